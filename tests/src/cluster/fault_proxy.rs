//! A fault proxy: a way from this machine's loopback into a node's network, for one client, that tests can disturb.
//!
//! In: its destination. Out: an address on loopback. It forwards, refuses, stalls or resets connections as the test
//! says, and counts bytes. Each daemon under test has its own, so a test can cut off one alone.

use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::cluster::async_runtime::Runtime;
use crate::node::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Stalled,
    Closed,
}

/// The settings of the fault proxy's owner.
#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    /// The number of times that all connections have been reset.
    resets: u64,
}

/// Bytes that a fault proxy has forwarded.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// A fault proxy; dropping it ends its connections.
pub struct FaultProxy {
    runtime: Runtime,
    address: SocketAddr,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    counts: Arc<Counts>,
}

impl FaultProxy {
    /// An open fault proxy to an address that the node can reach.
    pub(crate) fn new(runtime: &Runtime, node: &Node, to: SocketAddr) -> Result<Self> {
        // Reserves the port while the fault proxy does not listen.
        let reserved = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address =
            reserved.local_addr()?.as_socket().context("the fault proxy's socket has no IP address")?;
        let (state, told) = watch::channel(State { mode: Mode::Open, resets: 0 });
        let (listens, listening) = watch::channel(false);
        let counts = Arc::default();
        let keeper = Keeper {
            node: node.clone(),
            to,
            told,
            listens,
            counts: Arc::clone(&counts),
            _reserved: reserved,
        };
        runtime.handle()?.spawn(keeper.run(address));
        let gate = Self { runtime: runtime.clone(), address, state, listening, counts };
        gate.open()?;
        Ok(gate)
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API server's URL by this fault proxy, if it leads there.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on it forwards everything, including data that has waited.
    pub fn open(&self) -> Result<()> {
        self.switch(Mode::Open)
    }

    /// From now on it keeps and accepts connections, but forwards nothing.
    pub fn stall(&self) -> Result<()> {
        self.switch(Mode::Stalled)
    }

    /// Resets all connections, and refuses new ones from now on.
    pub fn close(&self) -> Result<()> {
        self.switch(Mode::Closed)?;
        self.reset();
        Ok(())
    }

    /// Resets the open connections.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    fn switch(&self, mode: Mode) -> Result<()> {
        self.state.send_modify(|state| state.mode = mode);
        let mut listening = self.listening.clone();
        self.runtime.wait(async {
            let wanted = listening.wait_for(|listens| *listens == (mode != Mode::Closed)).await;
            wanted.map(drop).map_err(|_| anyhow!("the fault proxy at {} can no longer listen", self.address))
        })
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Bytes that clients have sent through it.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Bytes that clients have received through it.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.counts.received.load(Ordering::Relaxed)
    }
}

fn socket(address: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)
        .context("cannot open a socket for a fault proxy")?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into()).with_context(|| format!("cannot bind a fault proxy to {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The fault proxy's task.
struct Keeper {
    node: Node,
    to: SocketAddr,
    told: watch::Receiver<State>,
    listens: watch::Sender<bool>,
    counts: Arc<Counts>,
    _reserved: Socket,
}

impl Keeper {
    /// Runs until the fault proxy is dropped.
    async fn run(mut self, address: SocketAddr) {
        while self.told.wait_for(|state| state.mode != Mode::Closed).await.is_ok() {
            let Ok(listener) = listen(address) else { return };
            self.listens.send_replace(true);
            let mut told = self.told.clone();
            select! {
                // This ends, too, when the owner has gone.
                _ = told.wait_for(|state| state.mode == Mode::Closed) => {}
                () = self.accept(&listener) => {}
            }
            drop(listener);
            self.listens.send_replace(false);
        }
    }

    /// Accepts connections for ever.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            if let Ok((client, _)) = listener.accept().await {
                // Read before the connection is counted: a later reset must reach it.
                let resets = self.told.borrow().resets;
                self.counts.connections.fetch_add(1, Ordering::Relaxed);
                let dial = dial(self.node.clone(), self.to);
                tokio::spawn(pass(client, dial, resets, self.told.clone(), Arc::clone(&self.counts)));
            }
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = socket(address)?;
    socket.listen(128).context("the fault proxy cannot listen")?;
    Ok(TcpListener::from_std(socket.into())?)
}

/// Forwards one connection until both sides have ended or a reset ends it.
async fn pass(
    mut client: TcpStream,
    dial: impl Future<Output = Result<TcpStream>>,
    resets: u64,
    told: watch::Receiver<State>,
    counts: Arc<Counts>,
) {
    let mut cut = told.clone();
    let mut cut = pin!(cut.wait_for(|state| state.resets != resets));
    let server = select! { _ = &mut cut => None, server = dial => server.ok() };
    let Some(mut server) = server else { return reset_on_close(&client) };
    let ended = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let there = copy(from_client, to_server, told.clone(), &counts.sent);
        let back = copy(from_server, to_client, told, &counts.received);
        select! { _ = cut => false, ended = async { tokio::try_join!(there, back) } => ended.is_ok() }
    };
    if !ended {
        reset_on_close(&client);
        reset_on_close(&server);
    }
}

/// A connection from inside the node's network.
async fn dial(node: Node, to: SocketAddr) -> Result<TcpStream> {
    let dialled =
        spawn_blocking(move || node.run(|| Ok(StdStream::connect_timeout(&to, Duration::from_secs(5))?)));
    let stream = dialled.await??;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream)?)
}

/// Makes a side that has not ended by itself see a reset.
fn reset_on_close(stream: &TcpStream) {
    // This fails only if the connection has ended already.
    let _ended = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    count: &AtomicU64,
) -> Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        state.wait_for(|state| state.mode != Mode::Stalled).await?;
        if length == 0 {
            return Ok(to.shutdown().await?);
        }
        // Counted before it is written, so that a reader always finds its bytes counted.
        count.fetch_add(u64::try_from(length)?, Ordering::Relaxed);
        to.write_all(&buffer[..length]).await?;
    }
}
