//! A DNS server inside a pod that can be told what to answer, and how.
//!
//! In: records by name, and [`DnsOptions`] for order, truncation, transport and encoding. Out: what it answered.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::Agent;

/// Order of the records of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As given.
    #[default]
    Fixed,
    /// Uniformly shuffled for each answer.
    Shuffle,
    /// Turned by one place from answer to answer.
    Rotate,
}

/// How the server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsOptions {
    /// Order of records.
    pub order: Order,
    /// Longest UDP answer in bytes; longer ones are cut and say so (TC). Without it: what the client's EDNS
    /// allows, at most 1232, or 512.
    pub udp_limit: Option<usize>,
    /// A cut answer carries no records at all, rather than those that fit.
    pub truncate_to_nothing: bool,
    /// Every UDP answer is empty with TC set: the client must ask again over TCP.
    pub tcp_only: bool,
    /// Names are compressed.
    pub compress: bool,
    /// An OPT record answers an OPT record.
    pub edns: bool,
    /// TCP answers are sent in pieces of that many bytes, each in a segment of its own.
    pub tcp_piece: Option<usize>,
    /// Names in the answer are written as the client wrote its question; else in lower case.
    pub echo_case: bool,
    /// The addresses of SRV targets ride along in the additional section.
    pub srv_additional: bool,
    /// Every answer is this response code, without records.
    pub rcode: Option<u8>,
    /// Nothing is answered at all.
    pub silent: bool,
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
        /// Share among equals.
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
}

/// A DNS server to be started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Addresses to answer on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// How to answer.
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
    /// A name has these records from now on.
    Set(String, Records),
    /// A name does not exist any more.
    Remove(String),
    /// Answer like this from now on.
    Options(DnsOptions),
    /// Tell what was answered.
    Counts,
}

/// What a DNS server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCounts {
    /// Answers over UDP.
    pub udp: u64,
    /// Answers over TCP.
    pub tcp: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// Those with records.
    pub with_records: u64,
    /// Those that said the name does not exist.
    pub nxdomain: u64,
    /// Answers by name asked, lower case, without the final dot.
    pub names: BTreeMap<String, u64>,
}

struct Inner {
    agent: Agent,
    addresses: Vec<SocketAddr>,
}

/// A running DNS server; it ends with its pod, or when it is killed.
#[derive(Clone)]
pub struct DnsServer {
    inner: Arc<Inner>,
}

impl DnsServer {
    pub(crate) fn new(agent: Agent, addresses: Vec<SocketAddr>) -> Self {
        Self { inner: Arc::new(Inner { agent, addresses }) }
    }

    /// The addresses it answers on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Gives a name its records; in any case, with or without a final dot.
    pub fn set(&self, name: &str, ttl: u32, data: Vec<Data>) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Set(name.to_owned(), Records { ttl, data }))
    }

    /// Gives a name these addresses, for five seconds.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        self.set(name, 5, addresses.iter().copied().map(Data::Address).collect())
    }

    /// Makes a name unknown.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Remove(name.to_owned()))
    }

    /// Changes how it answers.
    pub fn set_options(&self, options: &DnsOptions) -> Result<()> {
        self.inner.agent.ask(&DnsCommand::Options(options.clone()))
    }

    /// What it has answered so far.
    pub fn counts(&self) -> Result<DnsCounts> {
        self.inner.agent.ask(&DnsCommand::Counts)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.inner.agent.kill();
    }
}
