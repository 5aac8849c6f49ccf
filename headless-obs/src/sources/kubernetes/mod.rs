//! The source `kubernetes`: topology from the API server, by watches.
//!
//! ```text
//! API server ─► connect ─► line ─► watch* ─► merge ─► Update::Changes
//!                            │       └─────► touch ─► Update::OutOfTouch, Change::Synced
//!                            └─────────────► status: bytes, requests, restarts
//! ```
//!
//! It watches headless Services and their slices, hand-made slices, and the Pods of this node (`plan`), and nothing
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

mod access;
mod connect;
pub mod daemons;
mod line;
mod merge;
mod plan;
mod status;
mod touch;
mod watch;
mod words;

pub use access::checks;
pub use connect::ConfigError;
pub use status::Status;

use connect::Transport;
use line::{Line, Monitored};
use merge::{Merger, Word};
use plan::{Watch, What};
use status::Said;
use touch::{Reason, State, Touch};
use watch::{Heard, Watched};
use words::Trouble;

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
        let watches = plan::watches(&options.namespaces);
        let changed = Arc::new(Notify::new());
        let lines = watches.iter().map(|_watch| Arc::new(Line::new(Arc::clone(&changed)))).collect();
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
                What::HeadlessSlices | What::OtherSlices => {
                    self.start::<EndpointSlice>(&mut tasks, place, watch, line, &listener);
                }
                What::Services => self.start::<Service>(&mut tasks, place, watch, line, &listener),
                What::Pods => self.start::<Pod>(&mut tasks, place, watch, line, &listener),
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
            let deadline = listening.touch.deadline(Instant::now());
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
        line: &Arc<Line>,
        listener: &mpsc::Sender<(usize, Heard)>,
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
    touch: Touch,
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
            touch: Touch::new(source.transport.url(), &source.watches, Instant::now()),
            changes: Vec::new(),
            state: None,
            refused: Vec::new(),
            stale: None,
        }
    }

    fn hear(&mut self, place: usize, heard: Heard, now: Instant) {
        match heard {
            Heard::Word(word) => {
                match word {
                    Word::Begin => self.touch.set_listed(place, false, now),
                    Word::Complete => self.touch.set_listed(place, true, now),
                    _ => {}
                }
                self.merger.hear(place, word, &mut self.changes);
            }
            Heard::Trouble(Trouble::Refused(verb)) => self.touch.refuse(place, verb, now),
            Heard::Trouble(Trouble::Other(trouble)) => self.touch.set_trouble(place, trouble, now),
            // A list follows.
            Heard::Trouble(Trouble::Gone | Trouble::NoStreamingLists) => {}
        }
    }

    /// The update to report now.
    fn updates(&mut self, now: Instant) -> Vec<Update> {
        for (place, line) in self.source.status.lines().iter().enumerate() {
            self.touch.set_open(place, line.is_open(), now);
        }
        let state = self.touch.state(now);
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
        let refusals = self.touch.refusals(now);
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
            State::Waiting(Reason::Trouble(reason)) => warn!("no topology yet: {reason}"),
            State::Lost(_, reason) => {
                let is_new = match &self.state {
                    Some(State::Lost(_, before)) => matches!(reason, Reason::Trouble(_)) && before != reason,
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
