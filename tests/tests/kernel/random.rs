//! Sends random and mutated bytes through the kernel program and the decoders: nothing panics, and every packet is
//! counted.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use headless_obs::dns::message::{Reject, decode};
use headless_obs::dns::tcp_stream::{Limits, Segment, StreamKey, StreamStats, Streams};
use headless_obs::engine::{self, Engine, KernelState};
use headless_obs::expose::snapshot::TopologyState;
use headless_obs::time::Time;

use headless_obs_ebpf::ring_record::DnsRecord;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Kernel;
use crate::messages::{noise, samples, spoil};
use crate::oracle::{Fate, fate};
use crate::packet::{ACK, Packet, SYN, Transport};

const PORTS: [u16; 2] = [53, 5353];
/// Maximum packet size for BPF_PROG_TEST_RUN, with a margin.
const LONGEST: usize = 3_200;

/// Counts of the results of all packets.
#[derive(Debug, Default)]
struct Account {
    packets: u64,
    passed_over: u64,
    nothing: u64,
    not_answer: u64,
    datagrams: u64,
    segments: u64,
    decoded: u64,
    rejected: BTreeMap<&'static str, u64>,
}

/// The whole path of a packet: the kernel, the decoders, and the engine, which contains decoders of its own.
struct Road {
    kernel: Kernel,
    streams: Streams,
    engine: Engine,
    account: Account,
}

impl Road {
    fn new() -> Self {
        let engine = Engine::new(engine::Config { cells: 100, ignored: 100, ..Default::default() });
        Self {
            kernel: Kernel::new(&PORTS, 1 << 20),
            streams: Streams::new(Limits::default()),
            engine,
            account: Account::default(),
        }
    }

    fn take(&mut self, packet: &[u8]) {
        let outcome = self.kernel.run(packet);
        let fate = fate(packet, &PORTS);
        fate.check(&outcome);
        let account = &mut self.account;
        account.packets += 1;
        match fate {
            Fate::PassedOver => account.passed_over += 1,
            Fate::Nothing => account.nothing += 1,
            Fate::NotAnswer => account.not_answer += 1,
            Fate::Told(told) if told.protocol == 17 => account.datagrams += 1,
            Fate::Told(_) => account.segments += 1,
        }
        for (record, payload) in &outcome.records {
            self.engine.on_dns(record, payload);
            if record.protocol == 17 {
                account.decode(payload);
            } else {
                let segment = Segment {
                    sequence: record.sequence,
                    flags: record.tcp_flags,
                    cut: record.truncated_len,
                    payload,
                };
                self.streams
                    .push(Time(record.header.time), key(record), segment, |message| account.decode(message));
            }
        }
    }

    /// Asserts that every packet has a result, and that the engine's counts equal those of these decoders.
    fn settle(self) -> (Account, StreamStats) {
        let Account { packets, passed_over, nothing, not_answer, datagrams, segments, decoded, ref rejected } =
            self.account;
        assert_eq!(packets, passed_over + nothing + not_answer + datagrams + segments);
        let stats = self.streams.stats();
        assert_eq!(datagrams + stats.messages, decoded + rejected.values().sum::<u64>());
        let quality = self.engine.snapshot(&state(&self.kernel), None).quality;
        let expected: BTreeMap<String, u64> =
            rejected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(quality.dns_rejected, expected);
        for (name, lost) in stats.losses() {
            assert_eq!(quality.events_lost[name], lost, "{name}");
        }
        (self.account, stats)
    }
}

impl Account {
    fn decode(&mut self, message: &[u8]) {
        match decode(message) {
            Ok(_answer) => self.decoded += 1,
            Err(reject) => *self.rejected.entry(reject.as_str()).or_default() += 1,
        }
    }
}

fn key(record: &DnsRecord) -> StreamKey {
    let address = |bytes: [u8; 16], port| SocketAddr::new(Ipv6Addr::from(bytes).to_canonical(), port);
    StreamKey {
        cgroup: record.header.cgroup,
        client: address(record.client, record.client_port),
        server: address(record.server, record.server_port),
    }
}

fn state(kernel: &Kernel) -> KernelState {
    KernelState {
        node: "n1".to_owned(),
        from: jiff::Timestamp::UNIX_EPOCH,
        began: headless_obs::time::Time(0),
        to: headless_obs::time::Time(0),
        topology: TopologyState::default(),
        counters: kernel.seen.clone(),
        maps: BTreeMap::new(),
        hooks: BTreeMap::new(),
        unknown_records: 0,
        stands_by: false,
    }
}

/// BPF_PROG_TEST_RUN rejects other packets; so does the kernel, long before the hook.
fn has_ip_header(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| packet.len() >= if first >> 4 == 6 { 40 } else { 20 })
}

/// A random sample, often mutated.
fn message(rng: &mut StdRng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut message = samples[rng.random_range(0..samples.len())].clone();
    if rng.random_bool(0.7) {
        spoil(rng, &mut message);
    }
    message.truncate(LONGEST);
    message
}

/// Puts a payload into a random kind of packet.
fn wrap(rng: &mut StdRng, payload: &[u8]) -> Packet {
    let mut packet = Packet::udp(payload);
    if rng.random_bool(0.5) {
        packet = packet.v6();
        for _ in 0..rng.random_range(0..=4) {
            packet.extensions.push(([0, 43, 44, 60][rng.random_range(0..4)], 8));
        }
    } else {
        packet.options = vec![1; rng.random_range(0..=10) * 4];
    }
    packet.server_port = [53, 53, 53, 5353, 54][rng.random_range(0..5)];
    packet
}

#[test]
fn mutated_datagrams_are_accounted_for() {
    let (mut rng, samples, mut road) = (StdRng::seed_from_u64(1), samples(), Road::new());
    for _ in 0..8_000 {
        let message = message(&mut rng, &samples);
        let mut packet = wrap(&mut rng, &message).bytes();
        if rng.random_bool(0.2) {
            // Mutates the headers, too.
            spoil(&mut rng, &mut packet);
        }
        packet.truncate(LONGEST + 200);
        if has_ip_header(&packet) {
            road.take(&packet);
        }
    }
    let (account, _) = road.settle();
    assert!(account.packets > 7_500 && account.passed_over > 500 && account.not_answer > 500, "{account:?}");
    assert!(account.decoded > 1_000);
    let possible =
        Reject::ALL.into_iter().filter(|reject| *reject != Reject::NotAResponse).map(Reject::as_str);
    for reason in possible {
        assert!(account.rejected.get(reason).is_some_and(|count| *count > 20), "{reason}: {account:?}");
    }
}

#[test]
fn mutated_streams_are_accounted_for() {
    let (mut rng, samples, mut road) = (StdRng::seed_from_u64(2), samples(), Road::new());
    while road.account.packets < 8_000 {
        // A few messages with their length prefixes, cut into segments; some segments are lost, repeated, swapped or
        // mutated.
        let mut bytes = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            let message = message(&mut rng, &samples);
            bytes.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
            bytes.extend(message);
        }
        if rng.random_bool(0.3) {
            spoil(&mut rng, &mut bytes);
        }
        let first: u32 = rng.random();
        let carrier = Packet { client_port: rng.random_range(30_000..30_050), ..wrap(&mut rng, &[]) };
        let mut segments = vec![Packet::tcp(first, SYN | ACK, &[])];
        let mut sequence = first.wrapping_add(1);
        while !bytes.is_empty() {
            let longest = bytes.len().min(LONGEST);
            let piece: Vec<u8> = bytes.drain(..rng.random_range(1..=longest)).collect();
            let length = u32::try_from(piece.len()).unwrap();
            segments.push(Packet::tcp(sequence, ACK, &piece));
            sequence = sequence.wrapping_add(length);
        }
        segments.push(Packet::tcp(sequence, [1 | ACK, 4][rng.random_range(0..2)], &[]));
        if rng.random_bool(0.5) {
            let (a, b) = (rng.random_range(0..segments.len()), rng.random_range(0..segments.len()));
            segments.swap(a, b);
        }
        for segment in segments {
            for _ in 0..[1, 1, 1, 1, 1, 1, 0, 2][rng.random_range(0..8)] {
                let (transport, payload) = (segment.transport.clone(), segment.payload.clone());
                let packet = Packet { transport, payload, ..carrier.clone() };
                road.take(&packet.bytes());
            }
        }
    }
    let (account, stats) = road.settle();
    assert!(account.segments > 4_000 && account.decoded > 400, "{account:?}");
    assert!(stats.unsynced > 100 && stats.incomplete > 100, "{stats:?}");
    assert!(account.rejected.len() == Reject::ALL.len(), "{account:?}");
}

#[test]
fn noise_is_accounted_for() {
    let (mut rng, mut road) = (StdRng::seed_from_u64(3), Road::new());
    for case in 0..6_000 {
        let packet = match case % 3 {
            // An invalid IP header with a valid version.
            0 => {
                let mut packet = [noise(&mut rng, 160), vec![0; 40]].concat();
                packet[0] = [0x40, 0x60][rng.random_range(0..2)] | packet[0] & 15;
                packet
            }
            1 => {
                let payload = noise(&mut rng, LONGEST);
                wrap(&mut rng, &payload).bytes()
            }
            _ => {
                let payload = noise(&mut rng, LONGEST);
                let mut packet = wrap(&mut rng, &payload);
                packet.transport =
                    Transport::Tcp { sequence: rng.random(), flags: rng.random(), options: Vec::new() };
                packet.bytes()
            }
        };
        road.take(&packet);
    }
    let (account, _) = road.settle();
    assert!(account.passed_over > 1_000 && account.not_answer > 500, "{account:?}");
    assert!(account.datagrams > 500 && account.segments > 1_000, "{account:?}");
}
