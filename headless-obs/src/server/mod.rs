//! HTTP, with TLS or without: the page, /metrics, /healthz, /readyz, and what is below /api/v1; the engine's answers in,
//! responses out.
//!
//! Invariants: a limited number of connections is served at the same time, each with a time limit for its head, its
//! response and the reading of it, so no client can exhaust the daemon; `slots` says who makes room for whom. Probes can
//! have a listening socket of their own, which shares neither slots nor queue with the other one. The listening sockets
//! are bound before anything is loaded into the kernel.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

pub mod access;
mod documents;
mod followers;
pub mod routes;
mod slots;
pub mod tls;

use followers::{Follows, Stopping};
use slots::{Slot, Slots};
use tls::{Accepted, Certificate};

/// The limits of a listening socket.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The option that names its address.
    option: &'static str,
    /// Connections served at the same time.
    connections: usize,
    /// Time limit for the head of a request; also how long an idle connection is kept.
    head: Duration,
    /// The time that a request keeps its slot, from its head to the last byte that is read, while others wait for one.
    patience: Duration,
}

/// For everything that the daemon serves.
pub const MAIN: Limits = Limits {
    option: "--listen",
    connections: 64,
    head: Duration::from_secs(15),
    patience: Duration::from_secs(10),
};
/// For probes, whose responses are short.
pub const PROBES: Limits = Limits {
    option: "--health-listen",
    connections: 32,
    head: Duration::from_secs(2),
    patience: Duration::from_secs(1),
};

/// After this time, a connection is closed when its request is answered. Clients connect again by themselves. Those who
/// follow a trace keep theirs.
const MAX_AGE: Duration = Duration::from_secs(300);
/// The bytes of a response that the kernel buffers per connection, in memory of this process's cgroup. Without a limit,
/// a client that does not read would make it megabytes.
const SEND_BUFFER: u32 = 128 << 10;
/// Connections that may wait in the listening queue.
const BACKLOG: u32 = 1024;
/// The time that a client may leave a response unread. Others need its slot.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that requests in progress may take to finish. After that they are cut, like those of a client that does not
/// read.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A socket that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    /// Plain HTTP without one.
    certificate: Option<Arc<Certificate>>,
}

/// The address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has it.
    #[error(
        "cannot listen on {0}: the port is in use; stop the other program (`ss -ltnp 'sport = :{port}'` shows \
         it) or choose another address with {1}",
        port = .0.port()
    )]
    InUse(SocketAddr, &'static str),
    /// No interface of this machine has it.
    #[error("cannot listen on {0}: this machine has no such address; `{1} 0.0.0.0:{port}` means all", port = .0.port())]
    NoSuchAddress(SocketAddr, &'static str),
    /// A port below 1024.
    #[error("cannot listen on {0}: ports below 1024 need root; choose a higher one with {1}")]
    Forbidden(SocketAddr, &'static str),
    /// Anything else.
    #[error("cannot listen on {0}: {2}; choose another address with {1}")]
    Other(SocketAddr, &'static str, io::Error),
}

impl Server {
    /// Takes the address; port 0 takes any free port.
    pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Self, ListenError> {
        let bound = async {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of an earlier daemon may still occupy the port.
            socket.set_reuseaddr(true)?;
            // Accepted connections inherit it.
            socket.set_send_buffer_size(SEND_BUFFER)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, limits, certificate: None })
        };
        bound.await.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address, limits.option),
            io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress(address, limits.option),
            io::ErrorKind::PermissionDenied => ListenError::Forbidden(address, limits.option),
            _ => ListenError::Other(address, limits.option, error),
        })
    }

    /// The same with TLS only, if there is a certificate.
    #[must_use]
    pub fn with_certificate(self, certificate: Option<Certificate>) -> Self {
        Self { certificate: certificate.map(Arc::new), ..self }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.certificate.is_some() { "https" } else { "http" }, self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` ends, then lets requests in progress finish.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()>) {
        let slots = Slots::new(self.limits);
        // The value never changes: the drop of the sender is the message.
        let (stopping, stopped) = watch::channel(());
        let accept = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _peer)) => {
                        let (slot, end) = slots.take().await;
                        let served = Connection { limits: self.limits, slot, stopped: stopped.clone() };
                        let connection = served.serve(stream, self.certificate.clone(), routes.clone());
                        tokio::spawn(async move {
                            tokio::select! {
                                () = connection => {}
                                _dropped = end => {}
                            }
                        });
                        // A request that is there already is read before another connection takes its slot.
                        tokio::task::yield_now().await;
                    }
                    // No file descriptors are left, or the peer was faster: only waiting helps.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        let renewal = async {
            match self.certificate.clone() {
                Some(certificate) => certificate.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accept => {}
            () = renewal => {}
            () = stop => {}
        }
        drop(self.listener);
        drop(stopping);
        // Every connection releases its slot within DRAIN_TIMEOUT.
        slots.all_free().await;
    }
}

/// A connection that has a slot.
struct Connection {
    limits: Limits,
    slot: Slot,
    stopped: watch::Receiver<()>,
}

impl Connection {
    /// Serves it to its end.
    async fn serve(mut self, stream: TcpStream, certificate: Option<Arc<Certificate>>, routes: Router) {
        let stream = with_timeout(stream);
        let Some(certificate) = certificate else { return self.answer(stream, routes).await };
        let accepted = tokio::select! {
            accepted = certificate.accept(stream) => accepted,
            _dropped = self.stopped.changed() => None,
        };
        match accepted {
            Some(Accepted::Tls(stream)) => self.answer(stream, routes).await,
            Some(Accepted::Plain(stream)) => self.answer(stream, routes::only_tls()).await,
            None => {}
        }
    }

    /// Answers the requests of a stream.
    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin, routes: Router) {
        let Self { limits, slot, mut stopped } = self;
        let routes = TowerToHyperService::new(routes);
        let stopping = Stopping(stopped.clone());
        let service = service_fn(|mut request: Request<Incoming>| {
            let sent = slot.begin();
            request.extensions_mut().insert(stopping.clone());
            let answer = routes.call(request);
            async {
                let answer = answer.await?;
                if answer.extensions().get::<Follows>().is_some() {
                    slot.follow();
                }
                Ok::<_, Infallible>(answer.map(sent))
            }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        let result = loop {
            tokio::select! {
                result = serving.as_mut() => break Some(result),
                _dropped = stopped.changed() => break None,
                () = tokio::time::sleep(MAX_AGE) => {
                    if !slot.is_followers() {
                        break None;
                    }
                }
            }
        };
        let result = match result {
            Some(result) => result,
            None => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(DRAIN_TIMEOUT, serving).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

/// A stream that is cut if the peer does not read.
type TimedStream = Pin<Box<TimeoutStream<TcpStream>>>;

fn with_timeout(stream: TcpStream) -> TimedStream {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    Box::pin(stream)
}

#[cfg(test)]
mod tests;
