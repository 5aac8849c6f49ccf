//! The load of open connections, compared with `ss`: the kernel's `TCP_INFO` of both ends.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use headless_obs::probe::{self, Loaded, OpenLoads, Options, TcpHook};
use headless_obs_ebpf::reading::Reading;
use lab::tcp_info::{self, TcpInfo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The time that counts may take to agree, because the kernel acknowledges late.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes for a server that does not read: more than fits into both buffers.
const TOO_MUCH: usize = 16 << 20;

/// Bytes sent once and received, and segments with data sent and received.
type Counts = [u64; 4];

/// Connections to one server, with both ends.
struct Connections {
    port: u16,
    ends: Vec<(TcpStream, TcpStream)>,
}

impl Connections {
    fn open(to: IpAddr, count: usize) -> Self {
        let listener = TcpListener::bind((to, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let pair = || {
            let client = TcpStream::connect(address).unwrap();
            client.set_nodelay(true).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let ends = (0..count).map(|_| pair()).collect();
        Self { port: address.port(), ends }
    }

    /// Another load on each connection, both ways; some carry nothing.
    fn use_each(&self, factor: usize) {
        for (number, (client, server)) in self.ends.iter().enumerate() {
            send(client, server, (number % 4) * factor, 1 + number % 1_000);
            send(server, client, (number % 3) * factor, 70_000);
        }
    }

    fn source_ports(&self) -> Vec<u16> {
        self.ends.iter().map(|(client, _)| client.local_addr().unwrap().port()).collect()
    }
}

/// Messages of a length, each read before the next one.
fn send(mut from: &TcpStream, mut to: &TcpStream, messages: usize, length: usize) {
    let mut bytes = vec![7; length];
    for _ in 0..messages {
        from.write_all(&bytes).unwrap();
        to.read_exact(&mut bytes).unwrap();
    }
}

fn load(hook: TcpHook) -> Loaded {
    probe::load(&Options { tcp_hook: hook, ..Options::default() }).unwrap()
}

/// The readings of connections to a port, by their source port.
fn readings(loads: &OpenLoads, port: u16) -> BTreeMap<u16, Reading> {
    let mut walk = loads.walk().unwrap();
    let slices = std::iter::from_fn(|| Some(walk.slice().unwrap()).filter(|slice| !slice.is_empty()));
    let own = slices.flatten().filter(|reading| reading.flow.port == port);
    own.map(|reading| (reading.source_port, reading)).collect()
}

fn counts(reading: &Reading) -> Counts {
    let Reading { bytes_sent, bytes_received, segments_sent, segments_received, .. } = reading;
    [*bytes_sent, *bytes_received, (*segments_sent).into(), (*segments_received).into()]
}

/// The figures of `ss` for one end of the connections to a port: of the clients', or of the server's as the clients see it.
fn told(port: u16, of_clients: bool) -> BTreeMap<u16, Counts> {
    let filter = format!("{} = :{port}", if of_clients { "dport" } else { "sport" });
    let [ss, options @ ..] = tcp_info::COMMAND;
    let out = Command::new(ss).args(options).arg(&filter).output().unwrap();
    let rows = TcpInfo::parse(&String::from_utf8(out.stdout).unwrap()).unwrap();
    let counts = |row: &TcpInfo| {
        let out = [row.bytes_sent, row.segments_sent];
        let into = [row.bytes_received, row.segments_received];
        let ([sent, received], client) =
            if of_clients { ([out, into], row.port) } else { ([into, out], row.peer_port) };
        (client, [sent[0], received[0], sent[1], received[1]])
    };
    rows.iter().map(counts).collect()
}

/// Waits until the readings are what `ss` says of both ends.
fn assert_equal(loads: &OpenLoads, connections: &Connections, what: &str) {
    let end = Instant::now() + PATIENCE;
    let mut expected = connections.source_ports();
    expected.sort_unstable();
    loop {
        let (clients, servers) = (told(connections.port, true), told(connections.port, false));
        let read: BTreeMap<u16, Counts> = readings(loads, connections.port)
            .into_iter()
            .map(|(source, reading)| (source, counts(&reading)))
            .collect();
        if read == clients && read == servers {
            assert_eq!(read.into_keys().collect::<Vec<_>>(), expected, "{what}");
            return;
        }
        let differ = expected.iter().filter(|source| {
            let of = |all: &BTreeMap<u16, Counts>| all.get(source).copied();
            of(&read).is_none() || of(&read) != of(&clients) || of(&read) != of(&servers)
        });
        let differ: Vec<_> = differ
            .map(|source| (source, read.get(source), clients.get(source), servers.get(source)))
            .collect();
        let more = [read.len(), clients.len(), servers.len()];
        assert!(Instant::now() < end, "{what}: {} {more:?} {differ:?}", expected.len());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    // A test has both ends of its connections.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn readings_are_what_both_ends_say() {
    let runtime = runtime();
    let _inside = runtime.enter();
    for (hook, to) in [
        (TcpHook::TpBtf, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        (TcpHook::TpBtf, Ipv6Addr::LOCALHOST.into()),
        (TcpHook::Tracepoint, Ipv4Addr::LOCALHOST.into()),
    ] {
        // Older than the programs.
        let older = Connections::open(to, 50);
        older.use_each(1);
        let loaded = load(hook);
        let loads = loaded.loads.as_ref().unwrap();
        assert_eq!(loaded.hooks["load"], "iter/bpf_map_elem");
        let mut newer = Connections::open(to, 300);
        for factor in 1..4 {
            assert_equal(loads, &older, "older");
            assert_equal(loads, &newer, "newer");
            older.use_each(factor);
            newer.use_each(factor);
        }
        let gone = newer.ends.split_off(100);
        drop(gone);
        assert_equal(loads, &newer, "what ended is not read");
        if hook == TcpHook::Tracepoint {
            // It takes a half-closed connection for ended.
            continue;
        }
        // Half closed: the client still receives.
        for (client, server) in &mut newer.ends {
            client.shutdown(std::net::Shutdown::Write).unwrap();
            server.write_all(&[1; 1_000]).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        let received =
            |source: &u16| readings(loads, newer.port).get(source).map_or(0, |one| one.bytes_received);
        let before: Vec<u64> = (0..100_u64).map(|number| (number % 3) * 6 * 70_000).collect();
        for (source, before) in newer.source_ports().iter().zip(before) {
            while received(source) != before + 1_000 {
                assert!(Instant::now() < end, "{} instead of {}", received(source), before + 1_000);
            }
        }
    }
}

#[test]
fn what_waits_and_the_way_are_read() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let loaded = load(TcpHook::TpBtf);
    let loads = loaded.loads.as_ref().unwrap();
    let mut connections = Connections::open(Ipv4Addr::LOCALHOST.into(), 1);
    connections.use_each(1);
    let (client, _server) = &mut connections.ends[0];
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(more @ 1..) = client.write(&vec![1; TOO_MUCH]) {
        written += more as u64;
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let read = readings(loads, connections.port).into_values().next().unwrap();
        // All that the client has written is on its way somewhere.
        if read.bytes_sent + u64::from(read.unsent) == written && read.unsent > 0 {
            assert!(read.rtt > 0 && read.min_rtt > 0 && read.min_rtt <= 1_000_000, "{read:?}");
            assert!(u64::from(read.unacknowledged) <= read.bytes_sent, "{read:?}");
            return;
        }
        assert!(Instant::now() < end, "{written} bytes written, {read:?}");
    }
}

#[test]
fn thousands_of_connections_are_read_in_slices() {
    const EACH: usize = 8_000;
    let runtime = runtime();
    let _inside = runtime.enter();
    let loaded = load(TcpHook::TpBtf);
    let loads = loaded.loads.as_ref().unwrap();
    let connections = Connections::open(Ipv4Addr::LOCALHOST.into(), EACH);
    connections.use_each(1);
    assert_equal(loads, &connections, "many");
    let mut walk = loads.walk().unwrap();
    let mut most = 0;
    loop {
        let slice = walk.slice().unwrap().len();
        if slice == 0 {
            break;
        }
        most = most.max(slice);
    }
    assert!((1..500).contains(&most), "{most} in one slice");
}
