//! Startup: the node and the topology's source, and the phase before the probes are loaded, in which the daemon takes
//! the topology in and responds to requests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::clock::{now, wall_offset};
use super::instance_lock::InstanceLock;
use crate::engine::{Engine, KernelState};
use crate::engine_handle::Request;
use crate::expose::snapshot::TopologyState;
use crate::probe::trim_heap;
use crate::readiness::Readiness;
use crate::sources::{Update, files, kubernetes};
use crate::time::Time;
use crate::topology::model::Change;
use crate::trace_channel::TraceTap;

/// The number of changes after which memory for them is returned.
const TRIM_AFTER_CHANGES: usize = 256;

/// The state that the source writes.
#[derive(Clone, Debug)]
pub(super) enum SourceStatus {
    Kubernetes(kubernetes::Status),
    Files(files::Status),
    /// It has none.
    None,
}

/// Node, source, and start.
#[derive(Clone, Debug)]
pub(super) struct NodeInfo {
    pub(super) node: String,
    pub(super) source: &'static str,
    /// The state of the source.
    pub(super) status: SourceStatus,
    /// The start, on both clocks.
    pub(super) from: Timestamp,
    pub(super) began: Time,
}

/// Updates of the topology, requests, and the request to stop.
type Channels<'a> =
    (&'a mut mpsc::Receiver<Update>, &'a mut mpsc::Receiver<Request>, &'a mut oneshot::Receiver<()>);

impl NodeInfo {
    /// Whether the topology has this node's Pods and no others.
    pub(super) fn pods_are_own(&self) -> bool {
        self.source == kubernetes::NAME
    }

    /// The state without probes; `stands_by`: they wait for another daemon to end.
    pub(super) fn kernel_state(&self, stands_by: bool) -> KernelState {
        let nameless = match &self.status {
            SourceStatus::Kubernetes(status) => status.topology(),
            SourceStatus::Files(status) => status.topology(),
            SourceStatus::None => TopologyState::default(),
        };
        KernelState {
            node: self.node.clone(),
            from: self.from,
            began: self.began,
            to: now(),
            topology: TopologyState { source: self.source.to_owned(), ..nameless },
            counters: BTreeMap::new(),
            maps: BTreeMap::new(),
            hooks: BTreeMap::new(),
            unknown_records: 0,
            stands_by,
        }
    }

    /// Takes the topology in and responds to requests until the topology is complete and the lock is granted. Returns
    /// the readers of traces; nothing if it was stopped.
    pub(super) async fn wait_until_synced(
        &self,
        engine: &mut Engine,
        readiness: &Readiness,
        lock: &mut InstanceLock,
        (updates, requests, stop): Channels<'_>,
    ) -> Option<Vec<TraceTap>> {
        let mut trace_subscribers = Vec::new();
        loop {
            if engine.synced() {
                if lock.is_granted() {
                    return Some(trace_subscribers);
                }
                // It can take over at any moment, so a rollout that waits for readiness can end the other daemon now.
                readiness.clear("probes");
            }
            let stands_by = !lock.is_granted();
            tokio::select! {
                _stopped = &mut *stop => return None,
                () = lock.granted() => {}
                Some(update) = updates.recv() => apply_update(engine, readiness, update),
                Some(request) = requests.recv() => match request {
                    // The requester may have gone.
                    Request::Ping(reply) => drop(reply.send(())),
                    Request::Snapshot(last, reply) => {
                        engine.set_wall_offset(wall_offset());
                        drop(reply.send(engine.snapshot(&self.kernel_state(stands_by), last)));
                    }
                    Request::ShortStretch(span, reply) => {
                        engine.set_wall_offset(wall_offset());
                        drop(reply.send(engine.short_stretch(&self.kernel_state(stands_by), span)));
                    }
                    Request::Scrape(reply) => {
                        engine.set_wall_offset(wall_offset());
                        drop(reply.send(engine.scrape(&self.kernel_state(stands_by))));
                    }
                    Request::Connections(query, reply) => {
                        engine.set_wall_offset(wall_offset());
                        let mut listing = engine.begin_listing(query);
                        engine.end_listing(&mut listing, false);
                        let state = self.kernel_state(stands_by);
                        drop(reply.send(engine.connection_list(&listing, &state, &BTreeMap::new())));
                    }
                    Request::Trace(tap) => {
                        // This may take days.
                        trace_subscribers.retain(TraceTap::has_reader);
                        trace_subscribers.push(tap);
                    }
                },
            }
        }
    }
}

/// Takes an update of the topology's source.
pub(super) fn apply_update(engine: &mut Engine, readiness: &Readiness, update: Update) {
    match update {
        Update::Changes(changes) => {
            let is_everything = changes.iter().any(|change| matches!(change, Change::Reset(..)));
            let is_much = is_everything || changes.len() >= TRIM_AFTER_CHANGES;
            for change in changes {
                engine.apply(now(), change);
            }
            for wrong in engine.take_not_obeyed() {
                warn!("an annotation is not obeyed: {wrong}");
            }
            if is_much {
                trim_heap();
            }
            if engine.synced() {
                readiness.clear("topology");
            }
        }
        Update::Refused(reason) => {
            error!("the topology is invalid, so the last valid one stays in use: {reason}");
            readiness.block("topology", format!("invalid, so the last valid one stays in use: {reason}"));
        }
        Update::OutOfTouch(reason) => {
            engine.apply(now(), Change::Synced(false));
            readiness.block("topology", reason);
        }
    }
}
