//! Role `server`: accepts and counts.
//!
//! In: addresses, a mode, commands. Out: exact counts by source address.
//!
//! Everything happens on one thread, and the server counts a connection when it accepts it. So a count includes every
//! connection that has left the kernel's queue.

use std::fs;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::server::{ServerCommand, ServerMode, ServerReady, ServerSpec, SourceCounts};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::control;

/// The time that the server waits for connections in the handshake.
const SETTLE: Duration = Duration::from_secs(3);

struct State {
    mode: ServerMode,
    counts: SourceCounts,
    open: u64,
}

/// State that the accepting tasks and the commands share.
#[derive(Clone)]
struct Server {
    state: Arc<Mutex<State>>,
    /// Incremented when all connections are to be reset.
    resets: watch::Sender<u64>,
}

/// Serves until stdin ends.
pub(crate) fn run(spec: ServerSpec) -> Result<()> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(spec))
}

async fn serve(spec: ServerSpec) -> Result<()> {
    let mut listeners = Vec::new();
    for &address in &spec.listen {
        listeners.push(listen(address, spec.backlog).with_context(|| format!("cannot listen on {address}"))?);
    }
    let listening = listeners.iter().map(StdListener::local_addr).collect::<std::io::Result<Vec<_>>>()?;
    let state = State { mode: spec.mode, counts: SourceCounts::new(), open: 0 };
    let server = Server { state: Arc::new(Mutex::new(state)), resets: watch::Sender::new(0) };
    let mut accepting = Vec::new();
    for listener in &listeners {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        accepting.push(tokio::spawn(accept(listener, server.clone())));
    }
    let ports: Vec<u16> = listening.iter().map(SocketAddr::port).collect();
    control::reply(Ok(ServerReady { listening }))?;

    let (sender, mut commands) = mpsc::unbounded_channel();
    thread::spawn(move || control::commands().try_for_each(|command| sender.send(command)));
    while let Some(command) = commands.recv().await {
        let result = match command {
            Ok(command) => server.obey(command, &mut listeners, &mut accepting, &ports).await,
            Err(error) => Err(error),
        };
        control::reply(result)?;
    }
    Ok(())
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn obey(
        &self,
        command: ServerCommand,
        listeners: &mut Vec<StdListener>,
        accepting: &mut Vec<JoinHandle<()>>,
        ports: &[u16],
    ) -> Result<Value> {
        match command {
            ServerCommand::Counts => {
                self.settle(listeners, ports).await?;
                Ok(serde_json::to_value(&self.state().counts)?)
            }
            ServerCommand::LastCounts => {
                self.drain(listeners);
                Ok(serde_json::to_value(&self.state().counts)?)
            }
            ServerCommand::Open => Ok(json!(self.state().open)),
            ServerCommand::ResetAll => {
                let open = self.state().open;
                self.resets.send_modify(|count| *count += 1);
                while self.state().open > 0 {
                    tokio::task::yield_now().await;
                }
                Ok(json!(open))
            }
            ServerCommand::StopListening => {
                self.settle(listeners, ports).await?;
                for task in accepting.drain(..) {
                    task.abort();
                    // The reply promises that the socket is closed; it closes when the task has ended.
                    let _aborted = task.await;
                }
                listeners.clear();
                Ok(Value::Null)
            }
        }
    }

    /// Accepts the connections in the queues, until none is in the handshake either.
    async fn settle(&self, listeners: &[StdListener], ports: &[u16]) -> Result<()> {
        let end = tokio::time::Instant::now() + SETTLE;
        loop {
            let pending = half_open(ports)?;
            self.drain(listeners);
            if pending == 0 || tokio::time::Instant::now() > end {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Accepts the connections that are in the queues now.
    fn drain(&self, listeners: &[StdListener]) {
        for listener in listeners {
            while let Ok((stream, peer)) = listener.accept() {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                self.accepted(stream, peer);
            }
        }
    }

    /// Counts a connection and starts its task.
    fn accepted(&self, stream: std::io::Result<TcpStream>, peer: SocketAddr) {
        let source = peer.ip().to_canonical();
        let mode = {
            let mut state = self.state();
            state.counts.entry(source).or_default().accepted += 1;
            state.mode
        };
        let Ok(stream) = stream else { return };
        match mode {
            ServerMode::Close => {}
            ServerMode::Reset => reset_on_close(&stream),
            ServerMode::Echo | ServerMode::Hold | ServerMode::Send(_) => {
                self.state().open += 1;
                let server = self.clone();
                // Subscribes before the task runs, so that the task sees every reset from now on.
                let mut resets = self.resets.subscribe();
                tokio::spawn(async move {
                    let mut stream = stream;
                    let received = tokio::select! {
                        received = converse(&mut stream, mode) => received,
                        _ = resets.changed() => { reset_on_close(&stream); 0 }
                    };
                    drop(stream);
                    let mut state = server.state();
                    state.open -= 1;
                    state.counts.entry(source).or_default().bytes += received;
                });
            }
        }
    }
}

async fn accept(listener: TcpListener, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => server.accepted(Ok(stream), peer),
            // No file descriptor is free. Some connection will end.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Talks until the client closes or resets; returns the number of bytes received.
async fn converse(stream: &mut TcpStream, mode: ServerMode) -> u64 {
    if let ServerMode::Send(length) = mode {
        // The server ignores a client that has gone.
        let _sent = stream.write_all(&vec![b'x'; length]).await;
    }
    let mut received = 0;
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        received += u64::try_from(length).unwrap_or(u64::MAX);
        if mode == ServerMode::Echo && stream.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    received
}

fn reset_on_close(stream: &TcpStream) {
    // This fails only if the connection has ended already.
    let _gone = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn listen(address: SocketAddr, backlog: i32) -> Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connections to these ports whose last handshake packet has not arrived: the client may see them as established, but
/// `accept` does not return them yet.
fn half_open(ports: &[u16]) -> Result<usize> {
    const SYN_RECV: &str = "03";
    let mut found = 0;
    for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        // Without IPv6 this table does not exist.
        let Ok(text) = fs::read_to_string(table) else { continue };
        let rows = text.lines().skip(1).filter(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let port =
                fields.next().and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
            port.is_some_and(|port| ports.contains(&port)) && fields.nth(1) == Some(SYN_RECV)
        });
        found += rows.count();
    }
    Ok(found)
}

/// Raises the limit, because a server may hold many connections.
fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}
