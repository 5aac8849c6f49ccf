//! The servers of a pod: one accepts, reads to the end and closes; the other two discard all data. All count.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use super::{PORT, SINK};

/// Counts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    /// Discarded bytes, by TCP.
    pub(crate) tcp_bytes: u64,
    /// Discarded packets, by UDP.
    pub(crate) packets: u64,
    pub(crate) udp_bytes: u64,
}

#[derive(Default)]
pub(super) struct Server {
    accepted: AtomicU64,
    tcp_bytes: AtomicU64,
    packets: AtomicU64,
    udp_bytes: AtomicU64,
}

impl Server {
    pub(super) fn counts(&self) -> Counts {
        let Self { accepted, tcp_bytes, packets, udp_bytes } = self;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            accepted: read(accepted),
            tcp_bytes: read(tcp_bytes),
            packets: read(packets),
            udp_bytes: read(udp_bytes),
        }
    }
}

/// Starts the servers.
pub(super) fn start(address: IpAddr) -> Result<Arc<Server>> {
    let server = Arc::<Server>::default();
    let (listener, bulk) = (listen(address, PORT)?, listen(address, SINK)?);
    let packets = UdpSocket::bind((address, SINK)).context("cannot receive packets")?;
    let shared = Arc::clone(&server);
    thread::Builder::new().spawn(move || accept(&listener, &shared))?;
    let shared = Arc::clone(&server);
    thread::Builder::new().spawn(move || drain(&bulk, &shared))?;
    let shared = Arc::clone(&server);
    thread::Builder::new().spawn(move || receive(&packets, &shared))?;
    Ok(server)
}

fn listen(address: IpAddr, port: u16) -> Result<TcpListener> {
    let listen = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(address, port).into())?;
        socket.listen(65_535)?;
        std::io::Result::Ok(socket.into())
    };
    listen().with_context(|| format!("cannot listen on {address}:{port}"))
}

/// The client always closes first, so that every connection takes the same course.
fn accept(listener: &TcpListener, server: &Server) {
    let mut piece = [0; 64];
    while let Ok((mut stream, _)) = listener.accept() {
        server.accepted.fetch_add(1, Ordering::Relaxed);
        while let Ok(1..) = stream.read(&mut piece) {}
    }
}

fn drain(listener: &TcpListener, server: &Server) {
    let mut piece = vec![0; 1 << 18];
    while let Ok((mut stream, _)) = listener.accept() {
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            server.tcp_bytes.fetch_add(length.try_into().unwrap_or(0), Ordering::Relaxed);
        }
    }
}

fn receive(socket: &UdpSocket, server: &Server) {
    let mut packet = vec![0; 1 << 16];
    while let Ok(length) = socket.recv(&mut packet) {
        server.packets.fetch_add(1, Ordering::Relaxed);
        server.udp_bytes.fetch_add(length.try_into().unwrap_or(0), Ordering::Relaxed);
    }
}
