//! A server inside a pod, which counts what it accepts: the truth that the observer is measured against.
//!
//! In: addresses to listen on and what to do with a connection. Out: per source address, how many connections
//! were accepted and how many bytes came.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::{Agent, lock};

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMode {
    /// Closes it at once, unread.
    #[default]
    Close,
    /// Sends back what it receives, until the client closes.
    Echo,
    /// Reads until the client closes.
    Hold,
    /// Resets it at once.
    Reset,
    /// Sends that many bytes, then reads until the client closes.
    Send(usize),
}

/// A server to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerSpec {
    /// Addresses to listen on; port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// What to do with a connection.
    pub mode: ServerMode,
    /// Length of the queue of connections not yet accepted.
    pub backlog: i32,
}

impl ServerSpec {
    /// A server on these addresses that closes what it accepts.
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

/// What a server says when it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerReady {
    /// The addresses it listens on.
    pub listening: Vec<SocketAddr>,
}

/// A command to a server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCommand {
    /// Tell the counts, once nothing is on its way to being accepted.
    Counts,
    /// Tell the counts of now.
    LastCounts,
    /// Tell how many accepted connections are still open.
    Open,
    /// Reset all open connections; tell how many.
    ResetAll,
    /// Stop listening: from now on the kernel refuses.
    StopListening,
}

/// What came from one source address.
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
    /// Set when it has ended.
    last: Mutex<Option<SourceCounts>>,
}

/// A running server; it ends with its pod, or when it is killed.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

impl Server {
    pub(crate) fn new(agent: Agent, ready: ServerReady) -> Self {
        Self { inner: Arc::new(Inner { agent, addresses: ready.listening, last: Mutex::default() }) }
    }

    /// The addresses it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// What it counted, exactly: connections that the client side has completed are waited for.
    pub fn counts(&self) -> Result<SourceCounts> {
        match &*lock(&self.inner.last) {
            Some(last) => Ok(last.clone()),
            None => self.inner.agent.ask(&ServerCommand::Counts),
        }
    }

    /// Connections accepted, by source address.
    pub fn accepted(&self) -> Result<BTreeMap<IpAddr, u64>> {
        Ok(self.counts()?.into_iter().map(|(source, count)| (source, count.accepted)).collect())
    }

    /// Connections accepted, in all.
    pub fn total(&self) -> Result<u64> {
        Ok(self.counts()?.values().map(|count| count.accepted).sum())
    }

    /// Connections accepted and still open.
    pub fn open(&self) -> Result<u64> {
        self.inner.agent.ask(&ServerCommand::Open)
    }

    /// Resets all open connections; gives their number.
    pub fn reset_all(&self) -> Result<u64> {
        self.inner.agent.ask(&ServerCommand::ResetAll)
    }

    /// Stops listening: from now on connections are refused. Open ones stay.
    pub fn stop_listening(&self) -> Result<()> {
        self.inner.agent.ask(&ServerCommand::StopListening)
    }

    /// Ends it at once. What it had counted stays known.
    pub fn kill(&self) {
        let mut last = lock(&self.inner.last);
        if last.is_none() {
            // One that has crashed has said on stderr why, and counted nothing that anybody can know.
            *last = Some(self.inner.agent.ask(&ServerCommand::LastCounts).unwrap_or_default());
            self.inner.agent.kill();
        }
    }

    /// Whether it has been killed.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.inner.last).is_some()
    }
}
