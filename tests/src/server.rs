//! A server inside a pod. It counts accepted connections; tests compare the daemon's report with these counts.
//!
//! In: addresses to listen on, and a mode. Out: accepted connections and received bytes per source address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::agent_process::{Agent, lock};

/// The way a server treats a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMode {
    /// Closes it at once without reading.
    #[default]
    Close,
    /// Sends back what it receives, until the client closes.
    Echo,
    /// Reads until the client closes.
    Hold,
    /// Resets it at once.
    Reset,
    /// Sends this many bytes, then reads until the client closes.
    Send(usize),
}

/// The spec of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerSpec {
    /// Addresses to listen on; port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// The treatment of a connection.
    pub mode: ServerMode,
    /// Length of the accept queue.
    pub backlog: i32,
}

impl ServerSpec {
    /// A server on these addresses that closes accepted connections.
    #[must_use]
    pub fn new(listen: Vec<SocketAddr>) -> Self {
        Self { listen, mode: ServerMode::Close, backlog: 65535 }
    }

    /// The same with another mode.
    #[must_use]
    pub fn mode(mut self, mode: ServerMode) -> Self {
        self.mode = mode;
        self
    }
}

/// A server's report that it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerReady {
    /// Its listening addresses.
    pub listening: Vec<SocketAddr>,
}

/// A command to a server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCommand {
    /// Return the counts after all connections on their way are accepted.
    Counts,
    /// Return the present counts.
    LastCounts,
    /// Return the number of accepted connections that are still open.
    Open,
    /// Reset all open connections; return their number.
    ResetAll,
    /// Stop listening: from now on the kernel refuses connections.
    StopListening,
}

/// Counts of one source address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Connections accepted.
    pub accepted: u64,
    /// Bytes received.
    pub bytes: u64,
}

/// Counts by source address.
pub type SourceCounts = BTreeMap<IpAddr, SourceCount>;

struct Inner {
    agent: Agent,
    addresses: Vec<SocketAddr>,
    /// Its last counts, once it has ended.
    last: Mutex<Option<SourceCounts>>,
}

/// A running server; it ends with its pod, or by [`Server::kill`].
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

impl Server {
    pub(crate) fn new(agent: Agent, ready: ServerReady) -> Self {
        Self { inner: Arc::new(Inner { agent, addresses: ready.listening, last: Mutex::default() }) }
    }

    /// Its listening addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Its exact counts: it first waits for connections that the client side has completed.
    pub fn counts(&self) -> Result<SourceCounts> {
        match &*lock(&self.inner.last) {
            Some(last) => Ok(last.clone()),
            None => self.inner.agent.ask(&ServerCommand::Counts),
        }
    }

    /// Accepted connections, by source address.
    pub fn accepted(&self) -> Result<BTreeMap<IpAddr, u64>> {
        Ok(self.counts()?.into_iter().map(|(source, count)| (source, count.accepted)).collect())
    }

    /// Number of accepted connections.
    pub fn total(&self) -> Result<u64> {
        Ok(self.counts()?.values().map(|count| count.accepted).sum())
    }

    /// Number of accepted connections that are still open.
    pub fn open(&self) -> Result<u64> {
        self.inner.agent.ask(&ServerCommand::Open)
    }

    /// Resets all open connections; returns their number.
    pub fn reset_all(&self) -> Result<u64> {
        self.inner.agent.ask(&ServerCommand::ResetAll)
    }

    /// Stops listening: from now on the kernel refuses connections. Open ones stay.
    pub fn stop_listening(&self) -> Result<()> {
        self.inner.agent.ask(&ServerCommand::StopListening)
    }

    /// Kills it and keeps its counts.
    pub fn kill(&self) {
        let mut last = lock(&self.inner.last);
        if last.is_none() {
            // A server that has crashed has written the reason to stderr, and its counts are lost.
            *last = Some(self.inner.agent.ask(&ServerCommand::LastCounts).unwrap_or_default());
            self.inner.agent.kill();
        }
    }

    /// Whether it has been killed.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.inner.last).is_some()
    }
}
