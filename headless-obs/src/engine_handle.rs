//! Access to the engine: requests over a bounded channel, readiness, and a running daemon that can be stopped.
//!
//! Invariants: the engine is the only owner of its state and answers each request once. A slow reader of a trace never
//! delays it; events that the reader misses are counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::expose::metrics::Scrape;
use crate::expose::snapshot::Snapshot;
use crate::expose::trace_events::TraceEvent;

/// The most requests that wait for the engine; further senders wait.
const REQUESTS: usize = 32;
/// The most events that wait for a reader of a trace.
const TRACE_EVENTS: usize = 8_192;

/// The requests.
#[derive(Debug)]
pub enum Request {
    /// Whether the engine still responds.
    Ping(oneshot::Sender<()>),
    /// A snapshot over the last part of the observation; `None`: over all of it.
    Snapshot(Option<Duration>, oneshot::Sender<Snapshot>),
    /// The same, after the facts of each shorter stretch that a verdict may rest on.
    Stretches(Option<Duration>, oneshot::Sender<Vec<Snapshot>>),
    /// The input of series.
    Scrape(oneshot::Sender<Scrape>),
    /// Every event from now on, until the reader is gone.
    Trace(TraceTap),
}

/// The engine no longer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the observation has stopped; the log shows the reason")]
pub struct Gone;

/// Sends requests to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle(mpsc::Sender<Request>);

impl EngineHandle {
    /// A handle, and the engine's end of the channel.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(REQUESTS);
        (Self(sender), receiver)
    }

    /// Returns when the engine has responded.
    pub async fn ping(&self) -> Result<(), Gone> {
        self.ask(Request::Ping).await
    }

    /// A snapshot of this moment, over the last part of the observation; `None`: over all of it.
    pub async fn snapshot(&self, last: Option<Duration>) -> Result<Snapshot, Gone> {
        self.ask(|reply| Request::Snapshot(last, reply)).await
    }

    /// The same, after the facts of each shorter stretch that a verdict may rest on: for the sum over several nodes.
    pub async fn stretches(&self, last: Option<Duration>) -> Result<Vec<Snapshot>, Gone> {
        self.ask(|reply| Request::Stretches(last, reply)).await
    }

    /// The input of series of this moment.
    pub async fn scrape(&self) -> Result<Scrape, Gone> {
        self.ask(Request::Scrape).await
    }

    /// Every event from now on.
    pub async fn trace(&self) -> Result<TraceReader, Gone> {
        let (tap, reader) = trace();
        self.0.send(Request::Trace(tap)).await.map_err(|_closed| Gone)?;
        Ok(reader)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(request(sender)).await.map_err(|_closed| Gone)?;
        receiver.await.map_err(|_closed| Gone)
    }
}

/// The engine's end of a trace.
#[derive(Debug)]
pub struct TraceTap {
    sender: mpsc::Sender<TraceEvent>,
    missed: Arc<AtomicU64>,
}

/// The reader's end of a trace.
#[derive(Debug)]
pub struct TraceReader {
    receiver: mpsc::Receiver<TraceEvent>,
    missed: Arc<AtomicU64>,
}

fn trace() -> (TraceTap, TraceReader) {
    let (sender, receiver) = mpsc::channel(TRACE_EVENTS);
    let missed = Arc::<AtomicU64>::default();
    (TraceTap { sender, missed: missed.clone() }, TraceReader { receiver, missed })
}

impl TraceTap {
    /// Sends an event. False: the reader is gone, and the tap can be dropped.
    #[must_use]
    pub fn send(&self, event: TraceEvent) -> bool {
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl TraceReader {
    /// The next event; none if the engine has stopped.
    pub async fn next(&mut self) -> Option<TraceEvent> {
        self.receiver.recv().await
    }

    /// Like [`TraceReader::next`], for a thread that may block.
    pub fn blocking_next(&mut self) -> Option<TraceEvent> {
        self.receiver.blocking_recv()
    }

    /// Whether no event is waiting.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Events that were missed since the last call, because the reader was too slow.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// Whether the daemon sees everything that it should. It is not ready while any part blocks it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until each of these parts is [`Readiness::clear`]. Each has a name and the reason for waiting.
    pub fn waiting_for<const N: usize>(parts: [(&'static str, &str); N]) -> Self {
        Self(Arc::new(Mutex::new(parts.map(|(part, reason)| (part, reason.to_owned())).into())))
    }

    /// This part blocks readiness from now on.
    pub fn block(&self, part: &'static str, reason: impl Into<String>) {
        self.parts().insert(part, reason.into());
    }

    /// This part no longer blocks readiness.
    pub fn clear(&self, part: &'static str) {
        self.parts().remove(part);
    }

    /// Why this part blocks readiness, if it does.
    pub fn of(&self, part: &'static str) -> Option<String> {
        self.parts().get(part).cloned()
    }

    /// The parts that block readiness, one line each; empty when ready.
    pub fn reasons(&self) -> Vec<String> {
        self.parts().iter().map(|(part, reason)| format!("{part}: {reason}")).collect()
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is consistent after every statement above, so a panic elsewhere cannot have left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running daemon: probes, topology and engine.
#[derive(Debug)]
pub struct Observer {
    /// Asks its engine.
    pub engine: EngineHandle,
    /// Its readiness.
    pub readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Observer {
    /// `task` must end soon after `stop` is sent or dropped, with everything detached.
    pub fn new(
        engine: EngineHandle,
        readiness: Readiness,
        stop: oneshot::Sender<()>,
        task: JoinHandle<anyhow::Result<()>>,
    ) -> Self {
        Self { engine, readiness, stop, task }
    }

    /// Returns if the daemon ends without being stopped.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(Ok(())) => anyhow::anyhow!("the observation ended unexpectedly; please report this"),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error).context("the observation crashed; please report this"),
        }
    }

    /// Stops it and waits until everything is detached.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The task may have ended already; then nobody receives the message.
        let _ended = self.stop.send(());
        self.task.await?
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! An engine with prepared responses, for tests.

    use super::*;

    /// Responds to every request from `snapshot`, and sends each event of `events` to every tap.
    pub(crate) fn engine(snapshot: Snapshot, events: Vec<TraceEvent>) -> EngineHandle {
        let (handle, mut requests) = EngineHandle::new();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Ping(reply) => drop(reply.send(())),
                    Request::Snapshot(_, reply) => drop(reply.send(snapshot.clone())),
                    Request::Stretches(_, reply) => drop(reply.send(vec![snapshot.clone()])),
                    Request::Scrape(reply) => drop(reply.send(snapshot.clone().into())),
                    Request::Trace(tap) => events.iter().for_each(|event| {
                        let _read = tap.send(event.clone());
                    }),
                }
            }
        });
        handle
    }

    /// The same as a running daemon that is ready.
    pub(crate) fn observer(snapshot: Snapshot, events: Vec<TraceEvent>) -> Observer {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _dropped = stopped.await;
            Ok(())
        });
        Observer::new(engine(snapshot, events), Readiness::waiting_for([]), stop, task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;
    use crate::expose::trace_events::{DnsAnswer, What};

    #[tokio::test]
    async fn requests_are_answered_until_the_engine_is_gone() {
        let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
        assert_eq!(engine.snapshot(None).await.unwrap(), test_fixtures::snapshot());
        engine.ping().await.unwrap();

        let (handle, requests) = EngineHandle::new();
        drop(requests);
        assert_eq!(handle.snapshot(None).await, Err(Gone));
    }

    #[tokio::test]
    async fn a_slow_reader_misses_events_and_is_told_how_many() {
        let event = TraceEvent {
            time: test_fixtures::at(0),
            client: Default::default(),
            service: None,
            what: What::Dns(DnsAnswer::default()),
        };
        let (tap, mut reader) = trace();
        for _ in 0..TRACE_EVENTS + 3 {
            assert!(tap.send(event.clone()));
        }
        assert_eq!((reader.take_missed(), reader.take_missed()), (3, 0));
        assert!(reader.next().await.is_some());
        drop(reader);
        assert!(!tap.send(event));
    }

    #[test]
    fn ready_when_nothing_stands_in_the_way() {
        let readiness = Readiness::waiting_for([("probes", "being attached"), ("topology", "first listing")]);
        assert_eq!(readiness.reasons(), ["probes: being attached", "topology: first listing"]);
        readiness.clear("probes");
        readiness.clear("topology");
        assert!(readiness.reasons().is_empty());
        readiness.block("topology", "no contact");
        assert_eq!(readiness.reasons(), ["topology: no contact"]);
    }

    #[tokio::test]
    async fn an_observer_that_fails_says_why() {
        let (stop, _stopped) = oneshot::channel();
        let task = tokio::spawn(async { anyhow::bail!("ring gone") });
        let mut observer = Observer::new(EngineHandle::new().0, Readiness::waiting_for([]), stop, task);
        assert_eq!(observer.ended().await.to_string(), "ring gone");
    }
}
