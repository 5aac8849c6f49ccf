//! Reads what the kernel has counted, in slices: the totals of flows, and what open connections have carried.
//!
//! In: the kernel's maps. Out: counts in the engine. Invariant: between two slices, records and other tasks have their
//! turn, so no number of flows or connections makes the event loop stand still.

use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::EventLoop;
use crate::app::clock::now;
use crate::probe::{Flow, Walk};

/// A record that another CPU is writing hides those after it. Writing takes less than this, unless the host has paused
/// the virtual machine's CPU.
const SETTLE_DELAY: Duration = Duration::from_millis(2);
/// The number of waits for a record that is probably on its way, because the ring has lost none. An end that the kernel
/// programs found later has no record.
const MAX_SETTLE_RETRIES: u32 = 50;
/// Flows that are looked at before records have their turn.
const FLOWS: usize = 4096;

impl EventLoop {
    /// Reads the kernel's totals, then every record from before that, and counts the difference.
    pub(super) async fn reconcile_totals(&mut self) {
        let losses = self.ring_losses();
        let totals = match self.read_maps().await {
            Ok(totals) => totals,
            Err(error) => {
                if self.warned.insert("totals") {
                    warn!(%error, "cannot read the totals of connections");
                }
                Vec::new()
            }
        };
        let read_at = now();
        let is_round = self.read_loads().await;
        self.drain_until(read_at).await;
        let mut unseen = Vec::new();
        for slice in totals.chunks(FLOWS) {
            unseen.extend(slice.iter().filter(|flow| self.engine.has_unseen_totals(flow)));
            self.pause().await;
        }
        for _ in 0..MAX_SETTLE_RETRIES {
            sleep(SETTLE_DELAY).await;
            self.drain_until(read_at).await;
            unseen.retain(|flow| self.engine.has_unseen_totals(flow));
            if self.ring_losses() > self.settled_losses || unseen.is_empty() {
                break;
            }
        }
        if is_round {
            self.engine.end_readings();
        }
        for slice in totals.chunks(FLOWS) {
            self.engine.reconcile(read_at, slice);
            self.pause().await;
        }
        self.settled_losses = losses;
    }

    /// Reads the totals of all flows, and counts connections.
    async fn read_maps(&mut self) -> io::Result<Vec<Flow>> {
        let mut totals = Vec::new();
        for slice in self.loaded.maps.flows()? {
            totals.extend(slice?);
            self.pause().await;
        }
        let mut connections = 0;
        for slice in self.loaded.maps.connections()? {
            connections += slice?;
            self.pause().await;
        }
        self.counted = (totals.len() as u64, connections as u64);
        Ok(totals)
    }

    /// Takes what every open connection has carried, in slices; between two of them, the ring is drained. Returns whether
    /// the walk came to its end.
    pub(super) async fn read_loads(&mut self) -> bool {
        if self.loaded.loads.is_some() {
            // A reading counts for a connection that is known.
            self.drain_until(now()).await;
        }
        let Some(loads) = &self.loaded.loads else { return false };
        let walked = match loads.walk() {
            Ok(walk) => self.walk(walk).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &walked
            && self.warned.insert("load")
        {
            warn!(%error, "cannot read what open connections have carried");
        }
        walked.is_ok()
    }

    async fn walk(&mut self, mut walk: Walk) -> io::Result<()> {
        self.engine.begin_readings();
        loop {
            let readings = walk.slice()?;
            if readings.is_empty() {
                return Ok(());
            }
            self.engine.on_readings(now(), &readings);
            self.pause().await;
        }
    }
}
