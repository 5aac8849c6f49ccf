//! Role `dns`: answers queries over UDP and TCP as its options say.
//!
//! In: addresses, options, records set by commands. Out: responses, and counts of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::dns::{DnsCommand, DnsSpec, Responder};
use lab::server::ServerReady;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

use crate::control;

/// Pause between two pieces of a TCP response. It is long enough for the client to read the first piece alone.
const BETWEEN_PIECES: Duration = Duration::from_millis(2);

type Shared = Arc<Mutex<Responder>>;

fn lock(state: &Shared) -> MutexGuard<'_, Responder> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers until stdin ends.
pub(crate) fn run(spec: DnsSpec) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(spec))
}

async fn serve(spec: DnsSpec) -> Result<()> {
    let state = Arc::new(Mutex::new(Responder::new(spec.options, rand::random())));
    let mut listening = Vec::new();
    for address in spec.listen {
        let cannot = || format!("cannot answer DNS on {address}");
        let tcp = TcpListener::bind(address).await.with_context(cannot)?;
        // With port 0 the kernel has chosen a port for TCP; UDP uses the same.
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await.with_context(cannot)?;
        tokio::spawn(answer_udp(udp, Arc::clone(&state)));
        tokio::spawn(answer_tcp(tcp, Arc::clone(&state)));
        listening.push(address);
    }
    control::reply(Ok(ServerReady { listening }))?;

    let (sender, mut commands) = mpsc::unbounded_channel();
    thread::spawn(move || control::commands().try_for_each(|command| sender.send(command)));
    while let Some(command) = commands.recv().await {
        control::reply(command.and_then(|command| obey(command, &state)))?;
    }
    Ok(())
}

fn obey(command: DnsCommand, state: &Shared) -> Result<Value> {
    let mut state = lock(state);
    if matches!(command, DnsCommand::Counts) {
        return Ok(serde_json::to_value(state.counts())?);
    }
    state.obey(command);
    Ok(Value::Null)
}

async fn answer_udp(socket: UdpSocket, state: Shared) {
    let mut buffer = [0; 4096];
    // If a client's port is closed, the next receive fails. The server ignores that error.
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = lock(&state).answer(&buffer[..length], client.ip(), false);
        if let Ok(Some(answer)) = answer {
            let _gone = socket.send_to(&answer, client).await;
        }
    }
}

async fn answer_tcp(listener: TcpListener, state: Shared) {
    loop {
        if let Ok((stream, client)) = listener.accept().await {
            tokio::spawn(converse(stream, client, Arc::clone(&state)));
        }
    }
}

/// Answers the queries of one TCP connection until the client closes it.
async fn converse(mut stream: TcpStream, client: SocketAddr, state: Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let answer = lock(&state).answer(&query, client.ip(), true)?;
        let Some(answer) = answer else { continue };
        let mut bytes = u16::try_from(answer.len())?.to_be_bytes().to_vec();
        bytes.extend(answer);
        let piece = lock(&state).options().tcp_piece.filter(|piece| *piece > 0);
        for part in bytes.chunks(piece.unwrap_or(bytes.len())) {
            stream.write_all(part).await?;
            if piece.is_some() {
                tokio::time::sleep(BETWEEN_PIECES).await;
            }
        }
    }
}
