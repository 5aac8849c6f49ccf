//! The documents that the server sends: each is made once for all who wait for it, and sent in pieces.
//!
//! In: what is asked for. Out: a document, which all who waited share. Invariants: the engine is asked for one document at
//! a time, and the answer becomes text in another thread. At most `ALIVE` documents exist, whatever the number of
//! readers: who still reads an old one when its room is needed is cut. Nobody gets a document older than the question.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::metrics::{self, Format};
use crate::html::{self, Place};

/// Documents that exist at the same time, the one that is being made included.
const ALIVE: usize = 2;
/// How long a document is there to be read while others wait for its room.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of one piece. The allocator can give pieces of this size back.
const PIECE: usize = 64 << 10;

/// A kind of document. A length is how far to look back; none: everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Page(Option<Duration>),
    Snapshot(Option<Duration>),
    /// The shorter stretches that a verdict may rest on, and this one.
    Stretches(Option<Duration>),
    Metrics(Format),
}

/// Why there is no document.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NotMade {
    #[error(transparent)]
    Gone(#[from] Gone),
    #[error("cannot write the response: {0}")]
    Failed(String),
}

/// All documents of a server.
#[derive(Clone, Debug)]
pub(super) struct Documents(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: EngineHandle,
    /// Those who wait, by what they asked for; the making of it has not begun.
    waiting: Mutex<Vec<(DocumentKind, Vec<Waiter>)>>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
    /// The oldest first.
    alive: Mutex<Vec<Weak<Text>>>,
    /// A document was read by all.
    freed: Arc<Notify>,
}

type Waiter = oneshot::Sender<Result<Document, NotMade>>;

/// A document, and how much of it was read. It is the body of a response.
#[derive(Clone, Debug)]
pub(super) struct Document {
    text: Arc<Text>,
    length: usize,
    read: usize,
    next: usize,
}

#[derive(Debug)]
struct Text {
    made: Instant,
    /// Empty once it was cut.
    pieces: Mutex<Vec<Bytes>>,
    freed: Arc<Notify>,
}

/// The document's room was needed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the response was not read in time, and its memory was needed")]
pub(super) struct Cut;

impl Documents {
    pub(super) fn new(engine: EngineHandle) -> Self {
        Self(Arc::new(Shared {
            engine,
            waiting: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            alive: Mutex::default(),
            freed: Arc::default(),
        }))
    }

    /// The document of this moment, or of a later one.
    pub(super) async fn get(&self, asked: DocumentKind) -> Result<Document, NotMade> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = held(&self.0.waiting);
            match waiting.iter_mut().find(|(other, _)| *other == asked) {
                Some((_, waiters)) => waiters.push(sender),
                None => {
                    waiting.push((asked, vec![sender]));
                    // A task of its own: those who wait may go away at any moment.
                    tokio::spawn(Arc::clone(&self.0).make(asked));
                }
            }
        }
        receiver.await.unwrap_or(Err(NotMade::Gone(Gone)))
    }
}

impl Shared {
    /// Makes a document for all who wait for it by then.
    async fn make(self: Arc<Self>, asked: DocumentKind) {
        let _making = self.making.lock().await;
        self.room().await;
        let mut waiters = {
            let mut waiting = held(&self.waiting);
            let place = waiting.iter().position(|(other, _)| *other == asked);
            place.map(|place| waiting.swap_remove(place).1).unwrap_or_default()
        };
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.is_empty() {
            return;
        }
        let made = self.pieces(asked).await.map(|pieces| {
            let length = pieces.iter().map(Bytes::len).sum();
            let freed = Arc::clone(&self.freed);
            let text = Arc::new(Text { made: Instant::now(), pieces: Mutex::new(pieces), freed });
            held(&self.alive).push(Arc::downgrade(&text));
            Document { text, length, read: 0, next: 0 }
        });
        for waiter in waiters {
            // It may have gone.
            let _gone = waiter.send(made.clone());
        }
    }

    /// Waits until one more document may exist; cuts the oldest one for it.
    async fn room(&self) {
        loop {
            let oldest = {
                let mut alive = held(&self.alive);
                alive.retain(|text| text.strong_count() > 0);
                if alive.len() < ALIVE {
                    return;
                }
                alive[0].clone()
            };
            let Some(made) = oldest.upgrade().map(|text| text.made) else { continue };
            let end = made + PATIENCE;
            if end <= Instant::now() {
                held(&self.alive).remove(0);
                if let Some(text) = oldest.upgrade() {
                    *held(&text.pieces) = Vec::new();
                }
            } else {
                tokio::select! {
                    () = self.freed.notified() => {}
                    () = sleep_until(end) => {}
                }
            }
        }
    }

    async fn pieces(&self, asked: DocumentKind) -> Result<Vec<Bytes>, NotMade> {
        match asked {
            DocumentKind::Page(length) => {
                let snapshot = self.engine.snapshot(length).await?;
                write(move |pieces| pieces.write_all(html::render(&snapshot, Place::Daemon).as_bytes())).await
            }
            DocumentKind::Snapshot(length) => {
                let snapshot = self.engine.snapshot(length).await?;
                write(move |pieces| Ok(serde_json::to_writer(pieces, &snapshot)?)).await
            }
            DocumentKind::Stretches(length) => {
                let stretches = self.engine.stretches(length).await?;
                write(move |pieces| json_array(pieces, stretches)).await
            }
            DocumentKind::Metrics(format) => {
                let scrape = Arc::new(self.engine.scrape().await?);
                write(move |pieces| {
                    let text = metrics::encode(scrape, format).map_err(io::Error::other)?;
                    pieces.write_all(&text)
                })
                .await
            }
        }
    }
}

/// The list as JSON; each item is dropped when it is written.
fn json_array(pieces: &mut Pieces, items: Vec<impl Serialize>) -> io::Result<()> {
    let mut before = b"[";
    for item in items {
        pieces.write_all(before)?;
        serde_json::to_writer(&mut *pieces, &item)?;
        before = b",";
    }
    let end: &[u8] = if before == b"[" { b"[]" } else { b"]" };
    pieces.write_all(end)
}

/// Writes in another thread: this takes a while, and the engine must go on.
async fn write(
    text: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static,
) -> Result<Vec<Bytes>, NotMade> {
    let written = tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces::default();
        text(&mut pieces)?;
        Ok::<_, io::Error>(pieces.all())
    });
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(%error, "cannot write the response");
        NotMade::Failed(error.to_string())
    };
    match written.await {
        Ok(Ok(pieces)) => Ok(pieces),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

/// Text in pieces.
#[derive(Debug, Default)]
struct Pieces {
    full: Vec<Bytes>,
    last: Vec<u8>,
}

impl Pieces {
    fn all(mut self) -> Vec<Bytes> {
        if !self.last.is_empty() {
            self.last.shrink_to_fit();
            self.full.push(self.last.into());
        }
        self.full
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PIECE);
        }
        let length = bytes.len().min(PIECE - self.last.len());
        self.last.extend_from_slice(&bytes[..length]);
        if self.last.len() == PIECE {
            self.full.push(std::mem::take(&mut self.last).into());
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.freed.notify_one();
    }
}

impl hyper::body::Body for Document {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.read == self.length {
            return Poll::Ready(None);
        }
        let piece = held(&self.text.pieces).get(self.next).cloned();
        Poll::Ready(Some(match piece {
            Some(piece) => {
                self.next += 1;
                self.read += piece.len();
                Ok(Frame::data(piece))
            }
            None => Err(Cut),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.read == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.length - self.read).unwrap_or(u64::MAX))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Its content is consistent after every statement above, so a panic elsewhere cannot have left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
