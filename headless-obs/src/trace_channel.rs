//! A trace: the engine's events on their way to one reader.
//!
//! In: events from the engine. Out: the same events for a reader. Invariant: a slow reader never delays the engine;
//! events that the reader misses are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::expose::trace_events::TraceEvent;

/// The most events that wait for a reader of a trace.
const TRACE_EVENTS: usize = 8_192;

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

/// Both ends of a trace.
pub fn channel() -> (TraceTap, TraceReader) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;
    use crate::expose::trace_events::{DnsAnswer, What};

    #[tokio::test]
    async fn a_slow_reader_misses_events_and_is_told_how_many() {
        let event = TraceEvent {
            time: test_fixtures::at(0),
            client: Default::default(),
            service: None,
            what: What::Dns(DnsAnswer::default()),
        };
        let (tap, mut reader) = channel();
        for _ in 0..TRACE_EVENTS + 3 {
            assert!(tap.send(event.clone()));
        }
        assert_eq!((reader.take_missed(), reader.take_missed()), (3, 0));
        assert!(reader.next().await.is_some());
        drop(reader);
        assert!(!tap.send(event));
    }
}
