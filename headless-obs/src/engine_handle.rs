//! Access to the engine: requests over a bounded channel.
//!
//! In: requests of the HTTP server and of commands. Out: the engine's answers. Invariant: the engine is the only owner of
//! its state and answers each request once.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::expose::connection_list::{ConnectionList, ConnectionQuery};
use crate::expose::metrics::Scrape;
use crate::expose::snapshot::Snapshot;
use crate::expose::trace_filter::TraceFilter;
use crate::trace_channel::{TraceReader, TraceTap, trace};

/// The most requests that wait for the engine; further senders wait.
const REQUESTS: usize = 32;

/// The requests.
#[derive(Debug)]
pub enum Request {
    /// Whether the engine still responds.
    Ping(oneshot::Sender<()>),
    /// A snapshot over the last part of the observation; `None`: over all of it.
    Snapshot(Option<Duration>, oneshot::Sender<Snapshot>),
    /// The facts over one of the shorter stretches that a verdict may rest on.
    ShortStretch(Duration, oneshot::Sender<Snapshot>),
    /// The input of series.
    Scrape(oneshot::Sender<Scrape>),
    /// Open connections one by one.
    Connections(ConnectionQuery, oneshot::Sender<ConnectionList>),
    /// The events that are asked for, from now on, until the reader is gone.
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

    /// The facts over one of the shorter stretches that a verdict may rest on: for the sum over several nodes. One at a
    /// time, because each takes a lot of memory.
    pub async fn short_stretch(&self, span: Duration) -> Result<Snapshot, Gone> {
        self.ask(|reply| Request::ShortStretch(span, reply)).await
    }

    /// The input of series of this moment.
    pub async fn scrape(&self) -> Result<Scrape, Gone> {
        self.ask(Request::Scrape).await
    }

    /// Open connections one by one.
    pub async fn connections(&self, query: ConnectionQuery) -> Result<ConnectionList, Gone> {
        self.ask(|reply| Request::Connections(query, reply)).await
    }

    /// The events that are asked for, from now on, with room for so many that wait.
    pub async fn trace(&self, filter: TraceFilter, room: usize) -> Result<TraceReader, Gone> {
        let (tap, reader) = trace(filter, room);
        self.0.send(Request::Trace(tap)).await.map_err(|_closed| Gone)?;
        Ok(reader)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(request(sender)).await.map_err(|_closed| Gone)?;
        receiver.await.map_err(|_closed| Gone)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! An engine with prepared responses, for tests.

    use super::*;
    use crate::expose::test_fixtures;
    use crate::expose::trace_events::TraceEvent;
    use crate::expose::trace_line::{Begin, Remark};

    /// Responds to every request from `snapshot`, and sends each event of `events` to every tap.
    pub(crate) fn engine(snapshot: Snapshot, events: Vec<TraceEvent>) -> EngineHandle {
        let (handle, mut requests) = EngineHandle::new();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Ping(reply) => drop(reply.send(())),
                    Request::Snapshot(_, reply) => drop(reply.send(snapshot.clone())),
                    Request::ShortStretch(_, reply) => drop(reply.send(snapshot.clone())),
                    Request::Scrape(reply) => drop(reply.send(snapshot.clone().into())),
                    Request::Connections(query, reply) => {
                        drop(reply.send(test_fixtures::connection_list(&query)));
                    }
                    Request::Trace(tap) => {
                        let (node, time) = (snapshot.node.clone(), snapshot.from);
                        tap.tell(Remark::Begin(Begin { time, node, observation: time, ..Begin::default() }));
                        events.iter().for_each(|event| {
                            let _read = tap.send(event);
                        });
                    }
                }
            }
        });
        handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;

    #[tokio::test]
    async fn requests_are_answered_until_the_engine_is_gone() {
        let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
        assert_eq!(engine.snapshot(None).await.unwrap(), test_fixtures::snapshot());
        engine.ping().await.unwrap();

        let (handle, requests) = EngineHandle::new();
        drop(requests);
        assert_eq!(handle.snapshot(None).await, Err(Gone));
    }
}
