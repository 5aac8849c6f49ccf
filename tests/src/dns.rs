//! A DNS server inside a pod; tests set its records and its behaviour.
//!
//! In: records by name, and [`DnsOptions`] for order, truncation, transport and encoding. Out: counts of its responses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use self::responder::Responder;
use crate::agent_process::Agent;

mod responder;
mod wire;
mod zone;

/// Order of the records of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As given.
    #[default]
    Fixed,
    /// Uniformly shuffled for each answer.
    Shuffle,
    /// Rotated by one position from answer to answer.
    Rotate,
    /// This many random ones of them.
    Sample(usize),
}

/// The server's behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsOptions {
    /// Order of records.
    pub order: Order,
    /// Maximum length of a UDP response in bytes; longer ones are truncated and set TC. `None`: the limit is the
    /// client's EDNS size, at most 1232, or 512 without EDNS.
    pub udp_limit: Option<usize>,
    /// A truncated response has no records at all, instead of those that fit.
    pub truncate_to_nothing: bool,
    /// Every UDP response is empty with TC set, so the client must query again over TCP.
    pub tcp_only: bool,
    /// Names are compressed.
    pub compress: bool,
    /// A query with an OPT record gets one in the response.
    pub edns: bool,
    /// TCP responses are sent in pieces of this many bytes, each in its own segment.
    pub tcp_piece: Option<usize>,
    /// Names in the answer have the letter case of the query; else they are in lower case.
    pub echo_case: bool,
    /// The additional section has the addresses of SRV targets.
    pub srv_additional: bool,
    /// Every response has this code and no records.
    pub rcode: Option<u8>,
    /// The server sends no responses.
    pub silent: bool,
    /// It sends no responses to these clients.
    pub deaf: BTreeSet<IpAddr>,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            order: Order::Fixed,
            udp_limit: None,
            truncate_to_nothing: false,
            tcp_only: false,
            compress: true,
            edns: true,
            tcp_piece: None,
            echo_case: true,
            srv_additional: true,
            rcode: None,
            silent: false,
            deaf: BTreeSet::new(),
        }
    }
}

/// The data of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// A or AAAA.
    Address(IpAddr),
    /// Another name.
    Cname(String),
    /// A target with a port.
    Srv {
        /// Lower is preferred.
        priority: u16,
        /// Relative share among records with the same priority.
        weight: u16,
        /// Port.
        port: u16,
        /// Name of the target.
        target: String,
    },
}

/// The records of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Time to live in seconds.
    pub ttl: u32,
    /// Their data, in order.
    pub data: Vec<Data>,
    /// Their order in answers, if it is not that of [`DnsOptions`].
    #[serde(default)]
    pub order: Option<Order>,
}

/// A DNS server to be started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Addresses to answer on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The way in which to answer.
    pub options: DnsOptions,
}

impl DnsSpec {
    /// A server on these addresses with default options.
    #[must_use]
    pub fn new(listen: Vec<SocketAddr>) -> Self {
        Self { listen, options: DnsOptions::default() }
    }
}

/// A command to a DNS server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsCommand {
    /// Set the records of a name.
    Set(String, Records),
    /// Remove a name.
    Remove(String),
    /// Set the options.
    Options(DnsOptions),
    /// Return the counts.
    Counts,
}

/// Counts of a DNS server's responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCounts {
    /// Responses over UDP.
    pub udp: u64,
    /// Responses over TCP.
    pub tcp: u64,
    /// Responses with TC set.
    pub truncated: u64,
    /// Responses with records.
    pub with_records: u64,
    /// Responses with NXDOMAIN.
    pub nxdomain: u64,
    /// Responses by name in the query, in lower case, without the final dot.
    pub names: BTreeMap<String, u64>,
}

struct Inner {
    agent: Agent,
    addresses: Vec<SocketAddr>,
}

/// A running DNS server; it ends with its pod, or by [`DnsServer::kill`].
#[derive(Clone)]
pub struct DnsServer {
    inner: Arc<Inner>,
}

impl DnsServer {
    pub(crate) fn new(agent: Agent, addresses: Vec<SocketAddr>) -> Self {
        Self { inner: Arc::new(Inner { agent, addresses }) }
    }

    /// Its listening addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Sets the records of a name, which may have any letter case, with or without a final dot.
    pub fn set(&self, name: &str, ttl: u32, data: Vec<Data>) -> Result<()> {
        self.set_records(name, Records { ttl, data, order: None })
    }

    /// Sets the records of a name, with their order.
    pub fn set_records(&self, name: &str, records: Records) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Set(name.to_owned(), records))
    }

    /// Sets the addresses of a name, with a TTL of five seconds.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        self.set(name, 5, addresses.iter().copied().map(Data::Address).collect())
    }

    /// Removes a name.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Remove(name.to_owned()))
    }

    /// Sets its options.
    pub fn set_options(&self, options: &DnsOptions) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Options(options.clone()))
    }

    /// Its counts so far.
    pub fn counts(&self) -> Result<DnsCounts> {
        self.inner.agent.ask(&DnsCommand::Counts)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.inner.agent.kill();
    }
}
