//! Role `dns`: answers queries over UDP and TCP as its options say.
//!
//! In: addresses, options, records set by commands. Out: responses, and counts of them.

mod wire;
mod zone;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, MessageType};
use lab::dns::{DnsCommand, DnsCounts, DnsOptions, DnsSpec};
use lab::server::ServerReady;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

use self::wire::Answer;
use self::zone::{Zone, key};
use crate::control;

/// Pause between two pieces of a TCP response. It is long enough for the client to read the first piece alone.
const BETWEEN_PIECES: Duration = Duration::from_millis(2);
const NOERROR: u8 = 0;
const NXDOMAIN: u8 = 3;

struct State {
    zone: Zone,
    options: DnsOptions,
    counts: DnsCounts,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers until stdin ends.
pub(crate) fn run(spec: DnsSpec) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(spec))
}

async fn serve(spec: DnsSpec) -> Result<()> {
    let state = State { zone: Zone::default(), options: spec.options, counts: DnsCounts::default() };
    let state = Arc::new(Mutex::new(state));
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
    match command {
        DnsCommand::Set(name, records) => state.zone.set(&name, records),
        DnsCommand::Remove(name) => state.zone.remove(&name),
        DnsCommand::Options(options) => state.options = options,
        DnsCommand::Counts => return Ok(serde_json::to_value(&state.counts)?),
    }
    Ok(Value::Null)
}

async fn answer_udp(socket: UdpSocket, state: Shared) {
    let mut buffer = [0; 4096];
    // If a client's port is closed, the next receive fails. The server ignores that error.
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        if let Ok(Some(answer)) = answer(&buffer[..length], &state, false) {
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
async fn converse(mut stream: TcpStream, _client: SocketAddr, state: Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(answer) = answer(&query, &state, true)? else { continue };
        let mut bytes = u16::try_from(answer.len())?.to_be_bytes().to_vec();
        bytes.extend(answer);
        let piece = lock(&state).options.tcp_piece.filter(|piece| *piece > 0);
        for part in bytes.chunks(piece.unwrap_or(bytes.len())) {
            stream.write_all(part).await?;
            if piece.is_some() {
                tokio::time::sleep(BETWEEN_PIECES).await;
            }
        }
    }
}

/// The response to a query; `None` if the options forbid one.
fn answer(query: &[u8], state: &Shared, over_tcp: bool) -> Result<Option<Vec<u8>>> {
    let message = Message::from_vec(query).context("unreadable query")?;
    ensure!(
        message.metadata.message_type == MessageType::Query && message.queries.len() == 1,
        "not one question"
    );
    let asked = wire::text_of(query, 12)?;
    // The root name is a single zero byte. Any other name has each label with its length, and a zero byte. Type and
    // class follow.
    let name_length = if asked.is_empty() { 1 } else { asked.len() + 2 };
    let mut question =
        query.get(12..12 + name_length + 4).context("the query ends within its question")?.to_vec();
    let mut state = lock(state);
    let options = state.options.clone();
    if options.silent {
        return Ok(None);
    }
    let owner = if options.echo_case {
        asked.clone()
    } else {
        question[..name_length].make_ascii_lowercase();
        key(&asked)
    };
    let mut found = state.zone.find(&owner, message.queries[0].query_type().into(), &options);
    let rcode = match options.rcode {
        Some(code) => {
            found = zone::Found::default();
            code
        }
        None if found.exists => NOERROR,
        None => NXDOMAIN,
    };
    let edns = options.edns && message.edns.is_some();
    let announced =
        message.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload().clamp(512, 1232)));
    let limit = if over_tcp { 65535 } else { options.udp_limit.unwrap_or(announced) };
    let (bytes, truncated) = Answer {
        id: message.metadata.id,
        recursion: message.metadata.recursion_desired,
        rcode,
        question: &question,
        answers: &found.answers,
        additionals: &found.additionals,
        edns,
        compress: options.compress,
        limit,
        truncate_to_nothing: options.truncate_to_nothing,
        truncate: !over_tcp && options.tcp_only,
    }
    .write()?;
    let counts = &mut state.counts;
    *if over_tcp { &mut counts.tcp } else { &mut counts.udp } += 1;
    counts.truncated += u64::from(truncated);
    counts.with_records += u64::from(!found.answers.is_empty());
    counts.nxdomain += u64::from(rcode == NXDOMAIN);
    *counts.names.entry(key(&asked)).or_default() += 1;
    Ok(Some(bytes))
}
