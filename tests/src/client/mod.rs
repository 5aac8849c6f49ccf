//! A client inside a pod: its resolver, its pick of addresses, its connections, its report.
//!
//! In: a [`ClientSpec`] of a resolver, a pick and a way to connect. Out: a [`ClientReport`]. [`Client`] can also open
//! and close connections one by one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use self::spec::{ClientSpec, Dial, Families, Pick, Receive, Resolver, SrvHabit, Stub};
pub use self::stub_resolver::Exchange;
pub use self::targets::{Choice, Targets};
use crate::agent_process::Agent;

mod spec;
mod stub_resolver;
mod targets;

/// Results of attempts to reach one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// Connections made.
    pub connected: u64,
    /// Attempts that the other side refused.
    pub refused: u64,
    /// Attempts without an answer, until the kernel gave up.
    pub timeout: u64,
    /// Network or host unreachable.
    pub unreachable: u64,
    /// Connections made and then reset by the other side.
    pub reset: u64,
    /// Attempts that the client aborted.
    pub aborted: u64,
    /// Attempts that the client aborted because the other address family was faster.
    pub superseded: u64,
    /// Anything else; the reason is in [`ClientReport::errors`].
    pub other: u64,
}

impl Outcomes {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.refused += other.refused;
        self.timeout += other.timeout;
        self.unreachable += other.unreachable;
        self.reset += other.reset;
        self.aborted += other.aborted;
        self.superseded += other.superseded;
        self.other += other.other;
    }
}

/// A client's own counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientReport {
    /// By address.
    pub addresses: BTreeMap<IpAddr, Outcomes>,
    /// Lookups that returned addresses.
    pub lookups: u64,
    /// Lookups that returned none.
    pub failed_lookups: u64,
    /// DNS queries by a stub resolver, over either transport.
    pub questions: u64,
    /// Connections it keeps open.
    pub open: u64,
    /// The first few unusual errors.
    pub errors: Vec<String>,
}

impl ClientReport {
    /// All addresses together.
    #[must_use]
    pub fn total(&self) -> Outcomes {
        let mut total = Outcomes::default();
        self.addresses.values().for_each(|outcomes| total.add(outcomes));
        total
    }

    /// Connections made to one address.
    #[must_use]
    pub fn connected(&self, address: IpAddr) -> u64 {
        self.addresses.get(&address).map_or(0, |outcomes| outcomes.connected)
    }
}

/// The result of one lookup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Addresses with their ports, in the order of the answer.
    pub targets: Vec<SocketAddr>,
    /// Time to live of the last record, in seconds.
    pub ttl: u32,
    /// Responses with TC set.
    pub truncated: u64,
    /// Records in those responses.
    pub cut_records: usize,
    /// Responses over TCP.
    pub over_tcp: u64,
    /// Number of reads for the responses over TCP.
    pub tcp_reads: u64,
    /// Length of the last response in bytes.
    pub bytes: usize,
    /// Queries sent.
    pub questions: u64,
    /// The name as the server wrote it in the last response.
    pub owner: String,
    /// Whether the last response had an OPT record.
    pub edns: bool,
}

/// A command to a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCommand {
    /// Wait until the initial run has ended; return the report.
    Wait,
    /// End that run early; return the report.
    Stop,
    /// Open this many connections and keep them; return the report.
    Open(u64),
    /// Close this many of the open connections, oldest first; return the report.
    Close(u64),
    /// Look the name up without connecting.
    Resolve,
    /// Return the report.
    Report,
}

/// A running client; dropping it ends it and closes its connections.
pub struct Client {
    pub(crate) agent: Agent,
}

impl Client {
    /// Waits until it has made all its connections.
    pub fn wait(&self) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Wait)
    }

    /// Ends its run early.
    pub fn stop(&self) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Stop)
    }

    /// Opens connections and keeps them.
    pub fn open(&self, connections: u64) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Open(connections))
    }

    /// Closes open connections, oldest first.
    pub fn close(&self, connections: u64) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Close(connections))
    }

    /// Looks its name up without connecting.
    pub fn resolve(&self) -> Result<Lookup> {
        self.agent.ask(&ClientCommand::Resolve)
    }

    /// Its report so far.
    pub fn report(&self) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Report)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.agent.pid()
    }

    /// Kills it; the kernel closes its connections.
    pub fn kill(&self) {
        self.agent.kill();
    }
}
