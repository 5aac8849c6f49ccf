//! The slots of a listening socket: which connections are served, and which one is closed when another needs its place.
//!
//! In: connections that come, requests that begin, responses that were read. Out: a slot for each connection, and the
//! message that it must end. Invariants: at most `Limits::connections` have a slot, without those that follow a trace, of
//! which `followers` limits the number. A connection without a request never
//! keeps another one out, whatever their number; one with a request does, for `Limits::patience`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// The most bytes of a response that are passed on at once. Those passed on last are all that a slow reader can have
/// unread while its connection counts as idle.
const FRAME: usize = 32 << 10;

/// All slots of one listening socket.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    table: Mutex<Table>,
    /// A connection has ended or become idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    served: BTreeMap<u64, Served>,
}

/// A connection that is served.
#[derive(Debug)]
struct Served {
    is_busy: bool,
    /// It follows a trace. Followers have places of their own, and make no room for others.
    is_followers: bool,
    /// The beginning of its request, or else the end of its last one.
    since: Instant,
    /// The drop of it is the message that the connection must end.
    _end: oneshot::Sender<()>,
}

/// The place for a new connection.
enum Room {
    Free,
    /// This one is closed for it.
    Instead(u64),
    /// Every request is younger than the patience that it deserves.
    At(Instant),
}

/// The place of one connection; the drop of it frees the place.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: u64,
}

/// One request, until its response was read; the connection is idle when it is dropped.
#[derive(Debug)]
struct Turn {
    slots: Slots,
    number: u64,
}

impl Slots {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, table: Mutex::default(), changed: Notify::new() }))
    }

    /// A slot for a connection that was accepted, and the message that it must end. If all are taken, the connection
    /// that was idle longest loses its own.
    pub(super) async fn take(&self) -> (Slot, oneshot::Receiver<()>) {
        loop {
            let room = self.table().room(&self.0.limits);
            match room {
                Room::Free => return self.add(),
                Room::Instead(number) => self.remove(number),
                Room::At(moment) => tokio::select! {
                    () = self.0.changed.notified() => {}
                    () = sleep_until(moment) => {}
                },
            }
        }
    }

    /// Returns when no connection has a slot.
    pub(super) async fn all_free(&self) {
        while !self.table().served.is_empty() {
            self.0.changed.notified().await;
        }
    }

    fn add(&self) -> (Slot, oneshot::Receiver<()>) {
        let (end, ended) = oneshot::channel();
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        table
            .served
            .insert(number, Served { is_busy: false, is_followers: false, since: Instant::now(), _end: end });
        (Slot { slots: self.clone(), number }, ended)
    }

    fn remove(&self, number: u64) {
        self.table().served.remove(&number);
        self.0.changed.notify_one();
    }

    fn set_busy(&self, number: u64, is_busy: bool) {
        if let Some(served) = self.table().served.get_mut(&number) {
            served.is_busy = is_busy;
            served.is_followers = false;
            served.since = Instant::now();
        }
        self.0.changed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is consistent after every statement above, so a panic elsewhere cannot have left it half changed.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn room(&self, limits: &Limits) -> Room {
        let counting = || self.served.iter().filter(|(_, served)| !served.is_followers);
        if counting().count() < limits.connections {
            return Room::Free;
        }
        let oldest = |is_busy| {
            let alike = counting().filter(move |(_, served)| served.is_busy == is_busy);
            alike.min_by_key(|(_, served)| served.since)
        };
        if let Some((number, _)) = oldest(false) {
            return Room::Instead(*number);
        }
        match oldest(true) {
            Some((number, served)) => {
                let end = served.since + limits.patience;
                if end <= Instant::now() { Room::Instead(*number) } else { Room::At(end) }
            }
            None => Room::Free,
        }
    }
}

impl Slot {
    /// Its response is a trace.
    pub(super) fn follow(&self) {
        if let Some(served) = self.slots.table().served.get_mut(&self.number) {
            served.is_followers = true;
        }
        self.slots.0.changed.notify_one();
    }

    /// Whether its response is a trace that goes on.
    pub(super) fn is_followers(&self) -> bool {
        self.slots.table().served.get(&self.number).is_some_and(|served| served.is_followers)
    }

    /// Its connection is busy until the body that this makes of the response's was read.
    pub(super) fn begin(&self) -> impl FnOnce(Body) -> SentBody + use<> {
        self.slots.set_busy(self.number, true);
        let turn = Turn { slots: self.slots.clone(), number: self.number };
        move |body| SentBody { body, rest: Bytes::new(), _turn: turn }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.remove(self.number);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.slots.set_busy(self.number, false);
    }
}

/// The body of a response, in frames of limited size: the next one is taken when the reader has read.
pub(super) struct SentBody {
    body: Body,
    rest: Bytes,
    _turn: Turn,
}

impl hyper::body::Body for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(FRAME);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut hint = self.body.size_hint();
        match hint.exact() {
            Some(exact) => hint.set_exact(exact.saturating_add(rest)),
            None => hint.set_lower(hint.lower().saturating_add(rest)),
        }
        hint
    }
}
