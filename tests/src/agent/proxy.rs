//! Role `proxy`: a service mesh's proxy. It accepts the connections that the pod's firewall redirects to it, and opens
//! one of its own to each connection's original target.
//!
//! In: [`MeshSpec`]. Out: nothing; it forwards data both ways until either side ends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::{Context, Result};
use lab::mesh::{INBOUND, MARK, MeshSpec, OUTBOUND};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::control;

/// Forwards until stdin ends.
pub(crate) fn run(spec: MeshSpec) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(spec))
}

async fn serve(spec: MeshSpec) -> Result<()> {
    for (port, source) in [(OUTBOUND, None), (INBOUND, Some(spec.delivers_from))] {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        tokio::spawn(async move {
            while let Ok((taken, _from)) = listener.accept().await {
                tokio::spawn(async move {
                    // If one end fails, the other is closed, as a client of a real proxy would see it.
                    let _ended = pass_on(taken, source).await;
                });
            }
        });
    }
    control::reply(Ok(()))?;
    let waiting = tokio::task::spawn_blocking(|| control::commands::<()>().for_each(drop));
    waiting.await.context("the reader of commands died")
}

async fn pass_on(mut taken: TcpStream, source: Option<Ipv4Addr>) -> Result<()> {
    let to = SockRef::from(&taken).original_dst_v4()?.as_socket().context("no IPv4 destination")?;
    let mut made = dial(to, source).await?;
    copy_bidirectional(&mut taken, &mut made).await?;
    Ok(())
}

async fn dial(to: SocketAddr, source: Option<Ipv4Addr>) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_mark(MARK)?;
    if let Some(source) = source {
        socket.bind(&SockAddr::from(SocketAddrV4::new(source, 0)))?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()).connect(to).await?)
}
