//! The source `kubernetes`: topology from the API server, by watches.
//!
//! ```text
//! API server ─► connect ─► transport ─► watch* ─► merge ─► Update::Changes
//!                            │       └─────► sync_state ─► Update::OutOfTouch, Change::Synced
//!                            └─────────────► status: bytes, requests, restarts
//! ```
//!
//! It watches headless Services and their slices, hand-made slices, and the Pods of this node (`watches`), and nothing
//! else. Remote pods are known only by what slices say about them.
//!
//! Invariants:
//! - While the server is unreachable, the last known state stays and is marked as stale.
//! - The source never ends by itself. It asks an unreachable server again within seconds, and asks about every half
//!   minute for what the server refuses.
//! - It compares no time of the server with a time of this machine, except in certificates: clocks may differ.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Update;
use crate::config::Kubernetes as Options;
use crate::expose::snapshot::Refusal;
use crate::topology::model::{Change, Kind};

mod connect;
mod errors;
mod merge;
pub mod pod_proxy;
mod rbac_check;
mod status;
mod sync_state;
mod token_review;
mod transport;
mod watch;
mod watches;

pub use connect::ConfigError;
pub use rbac_check::checks;
pub use status::Status;
pub use token_review::reviewer;

use connect::Transport;
use errors::WatchError;
use merge::{Merger, Word};
use status::Said;
use sync_state::{Reason, State, SyncState};
use transport::{Monitored, WatchTransport};
use watch::{WatchReport, Watched};
use watches::{Watch, WatchKind};

/// The name of the source.
pub const NAME: &str = "kubernetes";
/// Events that may wait; after that the watches wait.
const HEARD: usize = 256;

/// A source that is configured and has sent no request yet.
#[derive(Debug)]
pub struct Kubernetes {
    node: String,
    transport: Arc<Transport>,
    watches: Vec<Watch>,
    status: Status,
    /// Notified when a stream opened or ended.
    changed: Arc<Notify>,
}

impl Kubernetes {
    /// Reads the configuration; `node` is the name of this node in the cluster.
    ///
    /// # Errors
    /// There is no configuration, or it cannot be used.
    pub async fn open(options: &Options, node: &str) -> Result<Self, ConfigError> {
        let transport = Transport::open(options).await?;
        let watches = watches::watches(&options.namespaces);
        let changed = Arc::new(Notify::new());
        let lines =
            watches.iter().map(|_watch| Arc::new(WatchTransport::new(Arc::clone(&changed)))).collect();
        Ok(Self { node: node.to_owned(), transport, watches, status: Status::new(lines), changed })
    }

    /// The current state of the source.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Reports everything, and then each change, until it is cancelled or the receiver is gone.
    pub async fn watch(self, sender: mpsc::Sender<Update>) {
        let (listener, mut heard) = mpsc::channel(HEARD);
        let mut tasks = JoinSet::new();
        for (place, (watch, line)) in self.watches.iter().zip(self.status.lines()).enumerate() {
            match watch.what {
                WatchKind::HeadlessSlices | WatchKind::OtherSlices => {
                    self.start::<EndpointSlice>(&mut tasks, place, watch, line, &listener);
                }
                WatchKind::Services => self.start::<Service>(&mut tasks, place, watch, line, &listener),
                WatchKind::Pods => self.start::<Pod>(&mut tasks, place, watch, line, &listener),
            }
        }
        let mut listening = Listening::new(&self);
        let mut batch = Vec::new();
        loop {
            for update in listening.updates(Instant::now()) {
                if sender.send(update).await.is_err() {
                    return;
                }
            }
            let deadline = listening.sync_state.deadline(Instant::now());
            tokio::select! {
                () = sender.closed() => return,
                _count = heard.recv_many(&mut batch, HEARD) => {}
                () = self.changed.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
            }
            let now = Instant::now();
            for (place, heard) in batch.drain(..) {
                listening.hear(place, heard, now);
            }
        }
    }

    fn start<K: Watched>(
        &self,
        tasks: &mut JoinSet<()>,
        place: usize,
        watch: &Watch,
        line: &Arc<WatchTransport>,
        listener: &mpsc::Sender<(usize, WatchReport)>,
    ) {
        let monitored = Monitored { transport: Arc::clone(&self.transport), line: Arc::clone(line) };
        let client = Client::new(monitored, "default");
        let api = match &watch.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let url = self.transport.url().to_owned();
        tasks.spawn(watch::run::<K>(api, watch.what.selected(&self.node), url, place, listener.clone()));
    }
}

/// The received events and the resulting state.
struct Listening<'a> {
    source: &'a Kubernetes,
    merger: Merger,
    sync_state: SyncState,
    changes: Vec<Change>,
    state: Option<State>,
    refused: Vec<Refusal>,
    /// Since when the topology has been stale, on both clocks.
    stale: Option<(Instant, Timestamp)>,
}

impl<'a> Listening<'a> {
    fn new(source: &'a Kubernetes) -> Self {
        Self {
            source,
            merger: Merger::new(source.watches.iter().map(|watch| watch.what)),
            sync_state: SyncState::new(source.transport.url(), &source.watches, Instant::now()),
            changes: Vec::new(),
            state: None,
            refused: Vec::new(),
            stale: None,
        }
    }

    fn hear(&mut self, place: usize, heard: WatchReport, now: Instant) {
        match heard {
            WatchReport::Word(word) => {
                match word {
                    Word::Begin => self.sync_state.set_listed(place, false, now),
                    Word::Complete => self.sync_state.set_listed(place, true, now),
                    _ => {}
                }
                self.merger.hear(place, word, &mut self.changes);
            }
            WatchReport::WatchError(WatchError::Refused(verb)) => self.sync_state.refuse(place, verb, now),
            WatchReport::WatchError(WatchError::Other(trouble)) => {
                self.sync_state.set_trouble(place, trouble, now)
            }
            // A list follows.
            WatchReport::WatchError(WatchError::Gone | WatchError::NoStreamingLists) => {}
        }
    }

    /// The update to report now.
    fn updates(&mut self, now: Instant) -> Vec<Update> {
        for (place, line) in self.source.status.lines().iter().enumerate() {
            self.sync_state.set_open(place, line.is_open(), now);
        }
        let state = self.sync_state.state(now);
        self.stale = match (&state, self.stale) {
            (State::Lost(since, _), Some(stale)) if stale.0 == *since => Some(stale),
            (State::Lost(since, _), _) => Some((*since, ago(now - *since))),
            _ => None,
        };
        self.tell_refusals(now);
        self.source.status.say(Said {
            stale_since: self.stale.map(|(_, since)| since),
            refused: self.refused.clone(),
            relists: self.merger.relists(),
            rejected: self.merger.rejected(),
        });
        let is_news = self.state.as_ref() != Some(&state);
        let mut changes = std::mem::take(&mut self.changes);
        if is_news && state == State::InTouch {
            changes.push(Change::Synced(true));
        }
        let mut updates = Vec::new();
        if !changes.is_empty() {
            updates.push(Update::Changes(changes));
        }
        if is_news {
            self.tell(&state);
            if let State::Waiting(reason) | State::Lost(_, reason) = &state {
                updates.push(Update::OutOfTouch(reason.text().to_owned()));
            }
            self.state = Some(state);
        }
        updates
    }

    /// Logs each refusal once.
    fn tell_refusals(&mut self, now: Instant) {
        let refusals = self.sync_state.refusals(now);
        for (watch, refusal) in refusals.iter().filter(|(_, refusal)| !self.refused.contains(refusal)) {
            let Refusal { verb, lost, .. } = refusal;
            let url = self.source.transport.url();
            warn!(
                "{url} does not allow headless-obs to {verb} {watch}, so it lacks {lost}; {}; it tries again twice a minute",
                watch.grant()
            );
        }
        self.refused = refusals.into_iter().map(|(_, refusal)| refusal).collect();
    }

    /// Logs a change of state.
    fn tell(&self, state: &State) {
        match state {
            State::Waiting(Reason::Wait(reason)) if self.state.is_none() => info!("{reason}"),
            State::Waiting(Reason::Wait(_)) => {}
            State::Waiting(Reason::WatchError(reason)) => warn!("no topology yet: {reason}"),
            State::Lost(_, reason) => {
                let is_new = match &self.state {
                    Some(State::Lost(_, before)) => {
                        matches!(reason, Reason::WatchError(_)) && before != reason
                    }
                    _ => true,
                };
                if is_new {
                    warn!("the last known topology stays in use: {}", reason.text());
                }
            }
            State::InTouch => {
                let count = |kind| self.merger.count(kind);
                let (services, slices, pods) = (count(Kind::Service), count(Kind::Slice), count(Kind::Pod));
                info!(services, slices, pods, "connected to {}", self.source.transport.url());
                let is_first = !matches!(self.state, Some(State::Lost(..)));
                if is_first && pods == 0 && !self.refused.iter().any(|of| of.resource == "pods") {
                    warn!(
                        "no pod runs on a node called {:?}: if this node has another name in the cluster \
                         (`kubectl get nodes`), give it with --node",
                        self.source.node
                    );
                }
            }
        }
    }
}

/// The moment that lies so far in the past.
fn ago(time: Duration) -> Timestamp {
    let now = Timestamp::now();
    now.checked_sub(time).unwrap_or(now)
}
