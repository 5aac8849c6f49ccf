//! The clients' traffic: each client has its own pod and a habit of real clients.
//!
//! Most clients are processes that live for one turn. `pinned` keeps connections open for long. `stubborn` looked the
//! name up once, at the start, and never does again.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::client::Outcomes;
use lab::{Client, ClientSpec};

use crate::stage::{PORT, Stage, address, domain};

/// Names of the clients and of their workloads.
pub(crate) const CALLERS: [&str; 8] =
    ["first", "robin", "random", "libc", "large", "failing", "stubborn", "pinned"];
/// Connections a second of each client that makes new ones all the time.
const RATE: f64 = 12.0;
/// Maximum number of connections that `pinned` keeps.
const PINNED: u64 = 24;
/// Connections that `stubborn` makes in a turn.
const STUBBORN: u64 = 10;

/// The running clients.
pub(crate) struct Traffic {
    turn: BTreeMap<&'static str, Client>,
    stubborn: Client,
    pinned: Client,
    held: u64,
    /// All results of `failing` so far.
    failed: Outcomes,
    length: Duration,
}

fn pinned(stage: &Stage<'_>) -> Result<Client> {
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver(), 0).round_robin(PINNED).keep();
    stage.caller("pinned")?.client(&spec)
}

impl Traffic {
    pub(crate) fn new(stage: &Stage<'_>) -> Result<Self> {
        let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver(), 0).round_robin(1).never_again();
        let stubborn = stage.caller("stubborn")?.client(&spec.dial(|dial| dial.give_up_ms = Some(200)))?;
        Ok(Self {
            turn: BTreeMap::new(),
            stubborn,
            pinned: pinned(stage)?,
            held: 0,
            failed: Outcomes::default(),
            length: Duration::ZERO,
        })
    }

    fn spec(&self, stage: &Stage<'_>, name: &str) -> ClientSpec {
        // The product is far below 2^53, so a float is exact.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds times a rate")]
        let connections = (self.length.as_secs_f64() * RATE) as u64;
        let of = |service| ClientSpec::new(&domain(service), PORT, stage.resolver(), connections).rate(RATE);
        let spec = match name {
            "robin" => of("orders").round_robin(20),
            "random" => of("orders").random(),
            "libc" => ClientSpec::libc("orders", PORT, connections).rate(RATE),
            "large" => of("large").random(),
            // In turn, so that both pods get attempts in every turn.
            "failing" => of("broken").round_robin(2).dial(|dial| dial.give_up_ms = Some(50)),
            _ => of("orders"),
        };
        spec.stub(|stub| stub.timeout_ms = 500)
    }

    /// Starts a turn.
    pub(crate) fn start(&mut self, stage: &Stage<'_>, length: Duration) -> Result<()> {
        self.length = length;
        for &name in CALLERS.iter().filter(|name| !["stubborn", "pinned"].contains(name)) {
            self.turn.insert(name, stage.caller(name)?.client(&self.spec(stage, name))?);
        }
        if self.held >= PINNED {
            self.held -= PINNED / 4;
            self.pinned.close(PINNED / 4)?;
        }
        self.held += 2;
        ensure!(
            self.pinned.open(2)?.open > 0,
            "the client pinned has no connection, so nothing would be compared"
        );
        let stubborn = self.stubborn.open(STUBBORN)?;
        self.stubborn.close(stubborn.open).map(drop)
    }

    /// Kills a client's process while it makes connections.
    pub(crate) fn kill(&mut self, name: &str) {
        if let Some(client) = self.turn.remove(name) {
            client.kill();
        }
    }

    /// Starts it again, in a pod that may be a new one.
    pub(crate) fn again(&mut self, stage: &Stage<'_>, name: &'static str) -> Result<()> {
        let client = stage.caller(name)?.client(&self.spec(stage, name))?;
        self.turn.insert(name, client);
        Ok(())
    }

    /// Ends the client that keeps connections, and starts it again.
    pub(crate) fn restart_pinned(&mut self, stage: &Stage<'_>) -> Result<()> {
        self.pinned.kill();
        (self.pinned, self.held) = (pinned(stage)?, 6);
        self.pinned.open(6).map(drop)
    }

    /// Waits for all clients; kept connections stay open. A client without traffic is an error, because nothing would
    /// be compared.
    pub(crate) fn finish(&mut self, stage: &Stage<'_>) -> Result<()> {
        for (name, client) in std::mem::take(&mut self.turn) {
            let report = client.wait()?;
            let Outcomes { connected, refused, aborted, .. } = report.total();
            ensure!(
                connected + refused + aborted > 0,
                "client {name} made no attempt to connect: {report:?}"
            );
            if name == "failing" {
                for pod in stage.broken() {
                    self.failed.add(report.addresses.get(&address(pod)?).unwrap_or(&Outcomes::default()));
                }
            }
        }
        Ok(())
    }

    /// Closes all kept connections.
    pub(crate) fn let_go(&self) -> Result<()> {
        self.pinned.close(u64::MAX).map(drop)
    }

    /// Refusals and timeouts of `failing`.
    pub(crate) fn failed(&self) -> [(&'static str, u64); 2] {
        [("refused", self.failed.refused), ("aborted", self.failed.aborted)]
    }

    /// Open connections of clients, from the kernel's tables.
    pub(crate) fn open(stage: &Stage<'_>) -> Result<u64> {
        let suffix = format!(":{PORT:04X}");
        let mut open = 0;
        for pod in stage.callers() {
            open += pod.run(|| {
                let table = fs::read_to_string("/proc/thread-self/net/tcp")?;
                let is_open = |line: &&str| {
                    let mut fields = line.split_whitespace().skip(2);
                    fields.next().is_some_and(|remote| remote.ends_with(&suffix))
                        && fields.next() == Some("01")
                };
                Ok(u64::try_from(table.lines().filter(is_open).count())?)
            })?;
        }
        Ok(open)
    }
}
