//! A trace: events on their way to one reader.
//!
//! In: lines from the engine, or from daemons. Out: the same lines for a reader. Invariant: a slow reader never delays
//! who sends; lines that the reader misses are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::expose::trace_events::TraceEvent;
use crate::expose::trace_filter::TraceFilter;
use crate::expose::trace_line::{Remark, TraceLine};

/// The most lines that wait for a reader in this process.
pub const OWN_LINES: usize = 8_192;
/// The most lines that wait for a reader elsewhere; a line takes some 500 bytes.
pub const REMOTE_LINES: usize = 2_048;

/// The sender's end.
#[derive(Debug)]
pub struct Tap<T> {
    sender: mpsc::Sender<T>,
    missed: Arc<AtomicU64>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Reader<T> {
    receiver: mpsc::Receiver<T>,
    missed: Arc<AtomicU64>,
}

/// The engine's end of a trace.
#[derive(Debug)]
pub struct TraceTap {
    tap: Tap<TraceLine>,
    filter: TraceFilter,
}

/// The reader's end of a trace.
pub type TraceReader = Reader<TraceLine>;

/// Both ends, with room for so many lines.
pub fn channel<T>(room: usize) -> (Tap<T>, Reader<T>) {
    let (sender, receiver) = mpsc::channel(room);
    let missed = Arc::<AtomicU64>::default();
    (Tap { sender, missed: missed.clone() }, Reader { receiver, missed })
}

/// Both ends of a trace of the events that are asked for.
pub fn trace(filter: TraceFilter, room: usize) -> (TraceTap, TraceReader) {
    let (tap, reader) = channel(room);
    (TraceTap { tap, filter }, reader)
}

impl<T> Clone for Tap<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), missed: self.missed.clone() }
    }
}

impl<T> Tap<T> {
    /// Sends a line, or counts it as missed. False: the reader is gone.
    pub fn send(&self, line: T) -> bool {
        match self.sender.try_send(line) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl TraceTap {
    /// Sends an event if it is asked for. False: the reader is gone, and the tap can be dropped.
    #[must_use]
    pub fn send(&self, event: &TraceEvent) -> bool {
        if self.filter.matches(event) { self.tap.send(event.clone().into()) } else { self.has_reader() }
    }

    /// Tells the reader something about the trace.
    pub fn tell(&self, remark: Remark) {
        // A reader that is gone is found out by the next event.
        let _gone = self.tap.send(remark.into());
    }

    /// Whether somebody reads.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        !self.tap.sender.is_closed()
    }
}

impl<T> Reader<T> {
    /// The next line; none if nobody sends any more.
    pub async fn next(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// The next line that is there already.
    pub fn try_next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Like [`Reader::next`], for a thread that may block.
    pub fn blocking_next(&mut self) -> Option<T> {
        self.receiver.blocking_recv()
    }

    /// Whether no line is waiting.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Lines that were missed since the last call, because the reader was too slow.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::trace_events;
    use crate::expose::trace_filter::TraceKind;

    #[tokio::test]
    async fn a_slow_reader_misses_events_and_is_told_how_many() {
        let event = trace_events().remove(0);
        let (tap, mut reader) = trace(TraceFilter::default(), 10);
        for _ in 0..13 {
            assert!(tap.send(&event));
        }
        assert_eq!((reader.take_missed(), reader.take_missed()), (3, 0));
        assert_eq!(reader.next().await, Some(event.clone().into()));
        drop(reader);
        assert!(!tap.send(&event) && !tap.has_reader());
    }

    #[test]
    fn events_that_nobody_asked_for_take_no_room() {
        let filter = TraceFilter { kinds: vec![TraceKind::Verdict], ..TraceFilter::default() };
        let (tap, mut reader) = trace(filter, 1);
        for event in trace_events() {
            assert!(tap.send(&event));
        }
        assert_eq!((reader.try_next(), reader.take_missed()), (None, 0));
        drop(reader);
        assert!(!tap.send(&trace_events()[0]), "a reader that is gone is found out by any event");
    }
}
