//! A client inside a pod: how it resolves, which address it takes, how it connects, what it saw.
//!
//! In: a [`ClientSpec`], put together from a resolver, a choice and a way to dial. Out: a [`ClientReport`], and
//! with [`Client`] connections can be opened and closed one by one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use self::spec::{ClientSpec, Dial, Families, Pick, Receive, Resolver, SrvHabit, Stub};
use crate::process::Agent;

mod spec;

/// How attempts to reach one address ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// Connections made.
    pub connected: u64,
    /// Refused by the other side.
    pub refused: u64,
    /// Given up by the kernel for want of an answer.
    pub timeout: u64,
    /// Network or host unreachable.
    pub unreachable: u64,
    /// Connections made and then reset by the other side.
    pub reset: u64,
    /// Given up by the client.
    pub aborted: u64,
    /// Given up because the other address family was faster.
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

/// What a client saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientReport {
    /// By address.
    pub addresses: BTreeMap<IpAddr, Outcomes>,
    /// Lookups that gave addresses.
    pub lookups: u64,
    /// Lookups that gave none.
    pub failed_lookups: u64,
    /// DNS questions sent by a stub of its own, over either transport.
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

/// What one lookup gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Addresses with the ports to dial, in the order of the answer.
    pub targets: Vec<SocketAddr>,
    /// Time to live of the last record, in seconds.
    pub ttl: u32,
    /// Answers with TC set.
    pub truncated: u64,
    /// Records that came in those all the same.
    pub cut_records: usize,
    /// Answers that came over TCP.
    pub over_tcp: u64,
    /// Reads it took to get the answers over TCP.
    pub tcp_reads: u64,
    /// Length of the last answer in bytes.
    pub bytes: usize,
    /// Questions sent.
    pub questions: u64,
    /// The name as the server wrote it in the last answer.
    pub owner: String,
    /// An OPT record came with the last answer.
    pub edns: bool,
}

/// A command to a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCommand {
    /// Wait until the run that began at the start has ended, and report.
    Wait,
    /// End that run early, and report.
    Stop,
    /// Make that many connections and keep them open; report.
    Open(u64),
    /// Close that many of the open connections, oldest first; report.
    Close(u64),
    /// Look the name up without connecting.
    Resolve,
    /// Report.
    Report,
}

/// A running client; it ends, and closes its connections, when this is dropped.
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

    /// Makes connections that stay open.
    pub fn open(&self, connections: u64) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Open(connections))
    }

    /// Closes open connections, oldest first.
    pub fn close(&self, connections: u64) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Close(connections))
    }

    /// Looks its name up, without connecting.
    pub fn resolve(&self) -> Result<Lookup> {
        self.agent.ask(&ClientCommand::Resolve)
    }

    /// What it has seen so far.
    pub fn report(&self) -> Result<ClientReport> {
        self.agent.ask(&ClientCommand::Report)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.agent.pid()
    }

    /// Ends it at once; the kernel closes its connections.
    pub fn kill(&self) {
        self.agent.kill();
    }
}
