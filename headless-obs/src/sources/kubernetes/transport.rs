//! The HTTP transport of one watch. It sees every request and every byte, which kube's watcher does not report.
//!
//! In: requests of one watch. Out: their responses; in [`WatchTransport`], whether the watch's stream is open, how often it was
//! opened, the number of requests and of bytes.
//!
//! It ends a request without a response, and a stream that is silent for longer than the server's bookmarks permit. If
//! a server closes each watch at once, it limits how often the watch is opened.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower::{BoxError, Service, ServiceExt};

use super::connect::Transport;

/// Time limit from a request to the head of its response. The server prepares a whole list before it sends the head.
const ANSWER: Duration = Duration::from_secs(20);
/// Silence after which a stream is ended. If nothing else happens, the server sends a bookmark about once a minute. A
/// server that does not is only asked a little more often.
const SILENCE: Duration = Duration::from_secs(150);
/// The least time between two openings of a watch.
const PACE: Duration = Duration::from_secs(1);

/// State and counts of one watch's transport.
#[derive(Debug)]
pub(super) struct WatchTransport {
    requests: AtomicU64,
    bytes: AtomicU64,
    opened: AtomicU64,
    /// The time at which the last byte came, in milliseconds since 1970; 0: never.
    last_byte: AtomicI64,
    is_open: AtomicBool,
    last_opened: Mutex<Option<Instant>>,
    /// Notified when the stream opens or ends.
    changed: Arc<Notify>,
}

impl WatchTransport {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self {
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            last_byte: AtomicI64::new(0),
            is_open: AtomicBool::new(false),
            last_opened: Mutex::new(None),
            changed,
        }
    }

    /// Whether the watch's stream is open.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Requests made.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes received in the bodies of responses.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The time at which the last byte came, if the stream was ever open.
    pub(super) fn last_byte(&self) -> Option<Timestamp> {
        let has_opened = self.opened.load(Ordering::Relaxed) > 0;
        let last = self.last_byte.load(Ordering::Relaxed);
        Timestamp::from_millisecond(last).ok().filter(|_| has_opened && last > 0)
    }

    /// The number of times that the stream was opened again.
    pub(super) fn restarts(&self) -> u64 {
        self.opened.load(Ordering::Relaxed).saturating_sub(1)
    }

    fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        *self.last_opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_open.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn ended(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits if the stream was opened a moment ago.
    async fn pace(&self) {
        let last = *self.last_opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            sleep_until(last + PACE).await;
        }
    }
}

/// Sends the requests of one watch.
#[derive(Clone, Debug)]
pub(super) struct Monitored {
    pub(super) transport: Arc<Transport>,
    pub(super) line: Arc<WatchTransport>,
}

/// The API server does not respond, or has stopped.
#[derive(Debug, Default, thiserror::Error)]
#[error("no data for {} s", .0.as_secs())]
pub(super) struct Silent(Duration);

impl Service<Request<Body>> for Monitored {
    type Response = Response<Counted>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { transport, line } = self.clone();
        Box::pin(async move {
            let is_watch =
                request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
            if is_watch {
                line.pace().await;
            }
            line.requests.fetch_add(1, Ordering::Relaxed);
            let answer = async { transport.service().await?.oneshot(request).await };
            let response = timeout(ANSWER, answer).await.map_err(|_elapsed| Silent(ANSWER))??;
            if response.status() == StatusCode::UNAUTHORIZED {
                transport.renew();
            }
            let is_stream = is_watch && response.status().is_success();
            if is_stream {
                line.opened();
            }
            let silence = Box::pin(sleep(SILENCE));
            Ok(response.map(|body| Counted { body, line, is_stream, silence }))
        })
    }
}

/// A body that counts its bytes and reports its end.
#[derive(Debug)]
pub(super) struct Counted {
    body: Incoming,
    line: Arc<WatchTransport>,
    is_stream: bool,
    silence: Pin<Box<Sleep>>,
}

impl Counted {
    fn end(&mut self) {
        if std::mem::take(&mut self.is_stream) {
            self.line.ended();
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context).map_err(BoxError::from);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.line.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                self.line.last_byte.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
                self.silence.as_mut().reset(Instant::now() + SILENCE);
            }
            Poll::Pending if self.silence.as_mut().poll(context).is_ready() => {
                self.end();
                return Poll::Ready(Some(Err(Silent(SILENCE).into())));
            }
            Poll::Ready(Some(Err(_)) | None) => self.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.end();
    }
}
