//! The programs in the pods: a client, servers, a DNS server. They do as little as possible, so that the kernel and the
//! observer cause most of the measured cost.
//!
//! In: a role as JSON on the command line, then commands on stdin, one a line. Out: one reply for each, a line of JSON.
//! The program ends when stdin ends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

mod answer;
mod ask;
mod connect;
mod pace;
mod pour;
mod serve;

pub(crate) use pace::{Done, Pace};
pub(crate) use serve::Counts;

/// Port of the server that accepts and closes.
pub(crate) const PORT: u16 = 8080;
/// Port of the servers that read and discard, TCP and UDP.
pub(crate) const SINK: u16 = 9000;

/// A role, and the processor that it is pinned to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Client { cpu: usize },
    Server { cpu: usize, address: IpAddr },
    Dns { cpu: usize, address: IpAddr, names: BTreeMap<String, Vec<IpAddr>> },
}

/// A command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Connect to the targets in turn, and close each connection at once.
    Connect { targets: Vec<SocketAddr>, pace: Pace },
    /// Query the addresses of a name; up to `window` queries are in flight.
    Ask { server: SocketAddr, name: String, window: usize, pace: Pace },
    /// Send pieces of `size` bytes, by TCP or UDP.
    Pour { target: SocketAddr, tcp: bool, size: usize, pace: Pace },
    /// Return a server's counts.
    Count,
}

/// Runs a role.
pub(crate) fn run(role: &str) -> Result<()> {
    match serde_json::from_str(role).context("unreadable role")? {
        Role::Client { cpu } => {
            stay_on(cpu)?;
            serve_commands(client)
        }
        Role::Server { cpu, address } => {
            stay_on(cpu)?;
            let server = serve::start(address)?;
            serve_commands(|_| Ok(server.counts()))
        }
        Role::Dns { cpu, address, names } => {
            stay_on(cpu)?;
            answer::start(SocketAddr::new(address, 53), &names)?;
            serve_commands(|_| Ok(()))
        }
    }
}

fn client(command: Command) -> Result<Done> {
    match command {
        Command::Connect { targets, pace } => connect::run(&targets, pace),
        Command::Ask { server, name, window, pace } => ask::run(server, &name, window, pace),
        Command::Pour { target, tcp, size, pace } => pour::run(target, tcp, size, pace),
        Command::Count => anyhow::bail!("only servers have counts, but this is a client"),
    }
}

/// Reports that it is ready, then obeys commands.
fn serve_commands<T: Serialize>(obey: impl Fn(Command) -> Result<T>) -> Result<()> {
    reply(&Ok(()))?;
    for line in stdin().lock().lines() {
        let done = serde_json::from_str(&line?).context("unreadable command").and_then(&obey);
        reply(&done.map_err(|error| format!("{error:#}")))?;
    }
    Ok(())
}

fn reply<T: Serialize>(reply: &Result<T, String>) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::to_string(reply)?)
        .and_then(|()| out.flush())
        .context("cannot write the reply to standard output")
}

/// Pins the process: the processors of client and server affect a connection's time more than any observer.
fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin the process to processor {cpu}"))
}
