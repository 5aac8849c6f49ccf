//! DNS responses as clients receive them: bytes in, [`Answer`]s out. Pure; the input is hostile.

use std::net::IpAddr;
use std::sync::Arc;

pub mod datagram;
pub mod message;
pub mod service_name;
pub mod tcp_stream;
mod wire_format;

/// A domain name: lower case, labels joined by dots, no final dot; the root is the empty string.
pub type Name = Arc<str>;

/// One DNS response, reduced to what attribution needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The query name.
    pub question: Name,
    /// The query type.
    pub kind: QueryType,
    /// The response code.
    pub rcode: Rcode,
    /// TC: the response did not fit.
    pub truncated: bool,
    /// The query name and the CNAMEs that lead from it to the owner of `addresses`, in that order, each once; without
    /// CNAMEs the query name alone.
    pub chain: Vec<Name>,
    /// A and AAAA records of the last name of `chain`, or of another one if only that has any, and hints of its HTTPS and SVCB records, in answer order.
    pub addresses: Vec<AddressRecord>,
    /// SRV records, in answer order.
    pub targets: Vec<SrvTarget>,
}

/// An A or AAAA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRecord {
    /// The address. An IPv4-mapped address is stored as IPv4.
    pub address: IpAddr,
    /// The seconds for which a client may keep the record.
    pub ttl: u32,
}

/// An SRV record with the addresses that the additional section gives for its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvTarget {
    /// The host that serves.
    pub target: Name,
    /// The port it serves on.
    pub port: u16,
    /// The seconds for which a client may keep the record.
    pub ttl: u32,
    /// Its addresses from the additional section; often empty.
    pub addresses: Vec<AddressRecord>,
}

/// The query type, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services.
    Srv,
    /// Anything else, by number.
    Other(u16),
}

/// The response code, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rcode {
    /// No error.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The server failed.
    ServFail,
    /// Anything else, by number.
    Other(u16),
}
