//! The documents that the server sends: each is made once for all who wait for it, and sent in pieces.
//!
//! In: what is asked for. Out: a document, which all who waited share. Invariants: the engine is asked for one document at
//! a time, and the answer becomes text in another thread. At most `ALIVE` documents exist, and while a large one does, no
//! other is made, whatever the number of readers: who still reads an old one when its room is needed is cut. Of several
//! snapshots in a document, one exists at a time. Nobody gets a document older than the question.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::connection_list::ConnectionQuery;
use crate::expose::metrics::{self, Format};
use crate::expose::snapshot::Snapshot;
use crate::html::{self, Place};
use crate::verdict;

/// Documents that exist at the same time, the one that is being made included.
const ALIVE: usize = 2;
/// The length from which a document is large. That of 15,000 endpoints is.
pub(super) const LARGE: usize = 8 << 20;
/// The time that a document is there to be read while others wait for its room, and for how many bytes a second more.
const PATIENCE: Duration = Duration::from_secs(3);
const PACE: usize = 16 << 20;
/// Bytes of one piece. The allocator can give pieces of this size back.
const PIECE: usize = 64 << 10;

/// A kind of document. A length is how far to look back; none: everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Page(Option<Duration>),
    Snapshot(Option<Duration>),
    /// The shorter stretches that a verdict may rest on, and this one.
    Stretches(Option<Duration>),
    Metrics(Format),
    /// Open connections one by one.
    Connections(ConnectionQuery),
}

/// The reason why there is no document.
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
    length: usize,
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
                    waiting.push((asked.clone(), vec![sender]));
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
            let text = Arc::new(Text { made: Instant::now(), length, pieces: Mutex::new(pieces), freed });
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
                let is_large = |text: &Weak<Text>| text.upgrade().is_some_and(|text| text.length >= LARGE);
                let most = if alive.iter().any(is_large) { 1 } else { ALIVE };
                match alive.first() {
                    Some(oldest) if alive.len() >= most => oldest.clone(),
                    _ => return,
                }
            };
            let Some(end) = oldest.upgrade().map(|text| text.end()) else { continue };
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
        let pieces = match asked {
            DocumentKind::Page(length) => {
                let snapshot = self.engine.snapshot(length).await?;
                let page = move |pieces: &mut Pieces| {
                    pieces.write_all(html::render(&snapshot, Place::Daemon).as_bytes())
                };
                write(Pieces::default(), page).await
            }
            DocumentKind::Snapshot(length) => {
                let snapshot = self.engine.snapshot(length).await?;
                write(Pieces::default(), move |pieces| Ok(serde_json::to_writer(pieces, &snapshot)?)).await
            }
            DocumentKind::Stretches(length) => {
                // The one that takes most is made first, while there is no text of the others. It is the last in the list.
                let asked = write_item(Pieces::default(), b']', self.engine.snapshot(length).await?).await?;
                let mut list = Pieces::beginning(b"[");
                for span in verdict::shorter_spans(length) {
                    list = write_item(list, b',', self.engine.short_stretch(span).await?).await?;
                }
                Ok(list.followed_by(asked))
            }
            DocumentKind::Metrics(format) => {
                let scrape = Arc::new(self.engine.scrape().await?);
                write(Pieces::default(), move |pieces| {
                    let text = metrics::encode(scrape, format).map_err(io::Error::other)?;
                    pieces.write_all(&text)
                })
                .await
            }
            DocumentKind::Connections(query) => {
                let list = self.engine.connections(query).await?;
                write(Pieces::default(), move |pieces| Ok(serde_json::to_writer(pieces, &list)?)).await
            }
        };
        Ok(pieces?.all())
    }
}

/// Adds a snapshot to a list as JSON, and what follows it.
async fn write_item(pieces: Pieces, next: u8, item: Snapshot) -> Result<Pieces, NotMade> {
    write(pieces, move |pieces| {
        serde_json::to_writer(&mut *pieces, &item)?;
        pieces.write_all(&[next])
    })
    .await
}

/// Writes in another thread: this takes a while, and the engine must go on.
async fn write(
    mut pieces: Pieces,
    text: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static,
) -> Result<Pieces, NotMade> {
    let written = tokio::task::spawn_blocking(move || {
        text(&mut pieces)?;
        Ok::<_, io::Error>(pieces)
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
    fn beginning(text: &[u8]) -> Self {
        Self { full: Vec::new(), last: text.to_vec() }
    }

    fn followed_by(self, next: Self) -> Self {
        let mut full = self.all();
        full.append(&mut next.all());
        Self { full, last: Vec::new() }
    }

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
        if self.last.capacity() < PIECE {
            self.last.reserve_exact(PIECE - self.last.len());
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

impl Text {
    /// The time from which its room may be taken from those who read it.
    fn end(&self) -> Instant {
        self.made + PATIENCE + Duration::from_secs_f64(self.length as f64 / PACE as f64)
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
