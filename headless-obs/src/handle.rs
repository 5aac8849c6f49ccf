//! How the rest of the program talks to the engine: requests over a bounded channel, readiness, and a running
//! observer that can be stopped.
//!
//! Invariants: the engine is the only owner of its state and answers each request once; a slow reader of
//! a trace never holds it up, what the reader misses is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::expose::metrics::Scrape;
use crate::expose::snapshot::Snapshot;
use crate::expose::trace::TraceEvent;

/// Requests that may wait for the engine; whoever asks more waits.
const REQUESTS: usize = 32;
/// Events that may wait for a reader of a trace.
const TRACE_EVENTS: usize = 8_192;

/// What can be asked of the engine.
#[derive(Debug)]
pub enum Request {
    /// Whether it still answers.
    Ping(oneshot::Sender<()>),
    /// Everything it knows.
    Snapshot(oneshot::Sender<Snapshot>),
    /// What series are made of.
    Scrape(oneshot::Sender<Scrape>),
    /// Every event from now on, until the tap says that nobody reads.
    Trace(TraceTap),
}

/// The engine no longer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the observation has stopped; the log shows the reason")]
pub struct Gone;

/// Asks the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle(mpsc::Sender<Request>);

impl EngineHandle {
    /// A handle, and the end that the engine reads.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(REQUESTS);
        (Self(sender), receiver)
    }

    /// Returns once the engine has answered.
    pub async fn ping(&self) -> Result<(), Gone> {
        self.ask(Request::Ping).await
    }

    /// What the engine knows now.
    pub async fn snapshot(&self) -> Result<Snapshot, Gone> {
        self.ask(Request::Snapshot).await
    }

    /// What series are made of now.
    pub async fn scrape(&self) -> Result<Scrape, Gone> {
        self.ask(Request::Scrape).await
    }

    /// Every event from now on.
    pub async fn trace(&self) -> Result<TraceReader, Gone> {
        let (tap, reader) = trace();
        self.0.send(Request::Trace(tap)).await.map_err(|_closed| Gone)?;
        Ok(reader)
    }

    async fn ask<T>(&self, request: fn(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
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
    /// Hands an event over without waiting. False: nobody reads any more, the tap can go.
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
    /// The next event; none once the engine has stopped.
    pub async fn next(&mut self) -> Option<TraceEvent> {
        self.receiver.recv().await
    }

    /// As [`TraceReader::next`], for a thread that may block.
    pub fn blocking_next(&mut self) -> Option<TraceEvent> {
        self.receiver.blocking_recv()
    }

    /// Whether no event is waiting.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Events missed since the last call, because they were not read fast enough.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// Whether the observer sees what it should; not ready as long as anything stands in the way.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until each of these parts is [`Readiness::clear`]: part and what is being waited for.
    pub fn waiting_for<const N: usize>(parts: [(&'static str, &str); N]) -> Self {
        Self(Arc::new(Mutex::new(parts.map(|(part, reason)| (part, reason.to_owned())).into())))
    }

    /// This part stands in the way, from now on.
    pub fn block(&self, part: &'static str, reason: impl Into<String>) {
        self.parts().insert(part, reason.into());
    }

    /// This part is as it should be.
    pub fn clear(&self, part: &'static str) {
        self.parts().remove(part);
    }

    /// Why this part stands in the way, if it does.
    pub fn of(&self, part: &'static str) -> Option<String> {
        self.parts().get(part).cloned()
    }

    /// What stands in the way, one line per part; empty when ready.
    pub fn reasons(&self) -> Vec<String> {
        self.parts().iter().map(|(part, reason)| format!("{part}: {reason}")).collect()
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is whole after every statement above: a panic elsewhere cannot have left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running observer: probes, topology and engine.
#[derive(Debug)]
pub struct Observer {
    /// Asks its engine.
    pub engine: EngineHandle,
    /// Whether it sees what it should.
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

    /// Returns when the observer ends although nobody stopped it.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(Ok(())) => anyhow::anyhow!("the observation ended unexpectedly; please report this"),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error).context("the observation crashed; please report this"),
        }
    }

    /// Stops it and waits until everything is detached.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The task may have ended already: then there is nobody left to tell.
        let _ended = self.stop.send(());
        self.task.await?
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! An engine that answers with what a test gives it.

    use super::*;

    /// Answers every request from `snapshot`, and runs each event of `events` through every tap.
    pub(crate) fn engine(snapshot: Snapshot, events: Vec<TraceEvent>) -> EngineHandle {
        let (handle, mut requests) = EngineHandle::new();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Ping(reply) => drop(reply.send(())),
                    Request::Snapshot(reply) => drop(reply.send(snapshot.clone())),
                    Request::Scrape(reply) => drop(reply.send(snapshot.clone().into())),
                    Request::Trace(tap) => events.iter().for_each(|event| {
                        let _read = tap.send(event.clone());
                    }),
                }
            }
        });
        handle
    }

    /// The same as a running observer that is ready.
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
    use crate::expose::sample;
    use crate::expose::trace::{DnsAnswer, What};

    #[tokio::test]
    async fn requests_are_answered_until_the_engine_is_gone() {
        let engine = fake::engine(sample::snapshot(), Vec::new());
        assert_eq!(engine.snapshot().await.unwrap(), sample::snapshot());
        engine.ping().await.unwrap();

        let (handle, requests) = EngineHandle::new();
        drop(requests);
        assert_eq!(handle.snapshot().await, Err(Gone));
    }

    #[tokio::test]
    async fn a_slow_reader_misses_events_and_is_told_how_many() {
        let event = TraceEvent {
            time: sample::at(0),
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
