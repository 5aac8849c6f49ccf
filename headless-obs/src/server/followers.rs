//! Those who follow a trace over HTTP: one JSON object a line, for as long as they read.
//!
//! In: the engine's events. Out: a body that never ends by itself. Invariants: a limited number follows at the same time,
//! in slots of their own, so nobody else is kept out. A slow reader misses events, and is told how many. A reader whose
//! token may not read any more is cut soon after. A daemon that stops says so in the last line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::access::Permit;
use crate::expose::trace_line::{Remark, TraceLine};
use crate::trace_channel::TraceReader;

/// The most who follow at the same time.
pub(super) const FOLLOWERS: usize = 8;
/// Lines that are sent at once.
const LINES: usize = 64;
/// After so long without an event, a line says that the daemon is there.
const ALIVE: Duration = Duration::from_secs(5);
/// The time after which a token is judged again.
const JUDGED_EVERY: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 60_000 });

/// The places of followers.
#[derive(Clone, Debug)]
pub(super) struct Followers(Arc<Semaphore>);

/// A mark on a response: its connection does not take a place from those who only ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follows;

/// Ends with the server.
#[derive(Clone, Debug)]
pub(super) struct Stopping(pub(super) watch::Receiver<()>);

/// A place among the followers; its drop frees it.
pub(super) type Place = OwnedSemaphorePermit;

impl Followers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS)))
    }

    /// A place, if there is one left.
    pub(super) fn place(&self) -> Option<Place> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// The events of a follower, and everything that ends them.
struct Followed {
    reader: TraceReader,
    alive: Interval,
    judged: Interval,
    permit: Option<Permit>,
    stopping: Option<watch::Receiver<()>>,
    is_over: bool,
    _place: Place,
}

/// The body of the response.
pub(super) fn body(
    reader: TraceReader,
    place: Place,
    permit: Option<Permit>,
    stopping: Option<Stopping>,
) -> Body {
    let followed = Followed {
        reader,
        alive: every(ALIVE),
        judged: every(JUDGED_EVERY),
        permit,
        stopping: stopping.map(|stopping| stopping.0),
        is_over: false,
        _place: place,
    };
    let lines = stream::unfold(followed, async |mut followed| {
        let lines = followed.next().await?;
        Some((Ok::<_, Infallible>(lines), followed))
    });
    Body::from_stream(Box::pin(lines))
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Returns when the server stops.
async fn stopped(stopping: &mut Option<watch::Receiver<()>>) {
    match stopping {
        Some(stopping) => drop(stopping.changed().await),
        None => std::future::pending().await,
    }
}

impl Followed {
    /// The next lines; none after the last one.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut text = Vec::new();
        tokio::select! {
            biased;
            () = stopped(&mut self.stopping) => self.end(&mut text, "the daemon stops"),
            _tick = self.judged.tick(), if self.permit.is_some() => {
                if !self.may_read().await {
                    self.end(&mut text, "the token may not read any more");
                } else {
                    self.alive(&mut text);
                }
            }
            line = self.reader.next() => match line {
                Some(line) => self.take(&mut text, &line),
                None => self.end(&mut text, "the observation has stopped"),
            },
            _tick = self.alive.tick() => self.alive(&mut text),
        }
        Some(text.into())
    }

    /// This line and those that are there already.
    fn take(&mut self, text: &mut Vec<u8>, line: &TraceLine) {
        write(text, line);
        for _ in 1..LINES {
            let Some(line) = self.reader.try_next() else { break };
            write(text, &line);
        }
        self.tell_missed(text);
        self.alive.reset();
    }

    fn tell_missed(&self, text: &mut Vec<u8>) {
        let events = self.reader.take_missed();
        if events > 0 {
            write(text, &Remark::Missed { time: Timestamp::now(), events }.into());
        }
    }

    fn alive(&mut self, text: &mut Vec<u8>) {
        write(text, &Remark::Alive { time: Timestamp::now() }.into());
        self.alive.reset();
    }

    fn end(&mut self, text: &mut Vec<u8>, reason: &str) {
        self.is_over = true;
        self.tell_missed(text);
        write(text, &Remark::End { time: Timestamp::now(), reason: reason.to_owned() }.into());
    }

    async fn may_read(&self) -> bool {
        match &self.permit {
            Some(permit) => permit.holds().await,
            None => true,
        }
    }
}

fn write(text: &mut Vec<u8>, line: &TraceLine) {
    // Memory takes any text, and these types have no value that is no JSON.
    if let Ok(json) = serde_json::to_vec(line) {
        text.extend(json);
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests;
