//! The kernel's DNS programs alone: packets in, records and counters out.
//!
//! Each file is one subject. [`Kernel`] is the real object that the daemon embeds, loaded without the daemon. It gets
//! packets by BPF_PROG_TEST_RUN, or by real sockets if they are too large for that. No lab is needed. Unless a test
//! says otherwise, responses count without a query, as in an environment that does not allow egress programs: each
//! packet of BPF_PROG_TEST_RUN has a new socket, which cannot have sent a query.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod ends;
mod loads;
mod messages;
mod oracle;
mod packet;
mod packets;
mod pending_queries;
mod random;
mod sockets;
mod verifier;

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use headless_obs::probe::{CgroupRoot, Record, object};
use headless_obs_ebpf::counters;
use headless_obs_ebpf::dns_query::{MAX_SERVERS, PendingQuery, QueryKey};
use headless_obs_ebpf::ring_record::DnsRecord;
use headless_obs_ebpf::symbols::{
    COUNTERS, DNS_EGRESS, DNS_INGRESS, DNS_PORTS, EVENTS, MAX_DNS_PORTS, PENDING_QUERIES, REQUIRE_QUERY,
};

/// The program, its ring and its counters.
struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    pending_queries: HashMap<MapData, [u8; size_of::<QueryKey>()], [u8; size_of::<PendingQuery>()]>,
    /// Counters at the last reading.
    seen: BTreeMap<&'static str, u64>,
}

/// A query or a stream in the programs' map.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    id: u16,
    protocol: u16,
    time: u64,
    client: [u8; 16],
    server: [u8; 16],
    ports: [u16; MAX_SERVERS],
}

impl Entry {
    fn read(key: &[u8], value: &[u8]) -> Self {
        let number = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            id: number(key, 8),
            protocol: number(key, 10),
            time: u64::from_ne_bytes(value[..8].try_into().unwrap()),
            client: value[16..32].try_into().unwrap(),
            server: value[32..48].try_into().unwrap(),
            ports: std::array::from_fn(|slot| number(value, 32 + 16 * MAX_SERVERS + 2 * slot)),
        }
    }

    /// Id, client, server and its port.
    fn question(&self) -> oracle::Question {
        assert_eq!((self.protocol, &self.ports[1..]), (17, &[0; MAX_SERVERS - 1][..]));
        (self.id, self.client.into(), self.server.into(), self.ports[0])
    }
}

/// The effects of one or more packets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Records with their payloads.
    records: Vec<(DnsRecord, Vec<u8>)>,
    /// Increase of the counters, without zeros.
    counted: BTreeMap<&'static str, u64>,
}

impl Kernel {
    /// Loads it for DNS servers on these ports, with a ring of this many bytes.
    fn new(ports: &[u16], ring_bytes: u32) -> Self {
        let mut all = [0_u16; MAX_DNS_PORTS];
        all[..ports.len()].copy_from_slice(ports);
        let mut ebpf = EbpfLoader::new()
            .override_global(DNS_PORTS, &all, true)
            .override_global("AYA_LOG_LEVEL", &0_u8, false)
            .map_max_entries(EVENTS, ring_bytes)
            .load(object())
            .unwrap();
        let ring = ebpf.take_map(EVENTS).unwrap().try_into().unwrap();
        let counters = ebpf.take_map(COUNTERS).unwrap().try_into().unwrap();
        let pending_queries = ebpf.take_map(PENDING_QUERIES).unwrap().try_into().unwrap();
        let mut kernel = Self { ebpf, ring, counters, pending_queries, seen: BTreeMap::new() };
        kernel.program(DNS_INGRESS).load().unwrap();
        kernel.program(DNS_EGRESS).load().unwrap();
        kernel
    }

    fn program(&mut self, name: &str) -> &mut CgroupSkb {
        self.ebpf.program_mut(name).unwrap().try_into().unwrap()
    }

    /// Attaches it to the packets that this machine's sockets receive.
    fn attach(&mut self) {
        let root = CgroupRoot::find(None).unwrap();
        let (program, mode) = (self.program(DNS_INGRESS), CgroupAttachMode::Single);
        program.attach(root.fd(), CgroupSkbAttachType::Ingress, mode).unwrap();
    }

    /// Attaches it to received and sent packets; from now on it forwards only solicited responses.
    fn watch(&mut self) {
        let root = CgroupRoot::find(None).unwrap();
        let (program, mode) = (self.program(DNS_EGRESS), CgroupAttachMode::Single);
        program.attach(root.fd(), CgroupSkbAttachType::Egress, mode).unwrap();
        self.refuse_unasked();
        self.attach();
    }

    fn refuse_unasked(&mut self) {
        let mut switch: Array<_, u32> = self.ebpf.map_mut(REQUIRE_QUERY).unwrap().try_into().unwrap();
        switch.set(0, 1, 0).unwrap();
    }

    /// The pending queries and streams.
    fn pending_queries(&self) -> Vec<Entry> {
        self.pending_queries
            .iter()
            .map(Result::unwrap)
            .map(|(key, value)| Entry::read(&key, &value))
            .collect()
    }

    /// The same; afterwards none is pending.
    fn take_asked(&mut self) -> Vec<Entry> {
        let entries = self.pending_queries();
        let keys: Vec<_> = self.pending_queries.keys().map(Result::unwrap).collect();
        keys.iter().for_each(|key| self.pending_queries.remove(key).unwrap());
        entries
    }

    /// Runs a packet that begins with its IP header; returns the effects.
    fn run(&mut self, packet: &[u8]) -> Outcome {
        self.pass(packet);
        self.take()
    }

    /// Runs a received packet.
    fn pass(&mut self, packet: &[u8]) {
        self.hand(DNS_INGRESS, packet);
    }

    /// Runs a sent packet.
    fn send(&mut self, packet: &[u8]) {
        self.hand(DNS_EGRESS, packet);
    }

    fn hand(&mut self, program: &str, packet: &[u8]) {
        let ethertype: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let frame = [&[0; 12], &ethertype[..], packet].concat();
        let options = TestRunOptions { data_in: Some(&frame), ..Default::default() };
        let result = self.program(program).test_run(options).unwrap();
        assert_eq!(result.return_value, 1, "every packet passes: {packet:02x?}");
    }

    /// The effects since the last call.
    fn take(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(item) = self.ring.next() {
            match Record::parse(&item) {
                Some(Record::Dns(record, payload)) => outcome.records.push((record, payload.to_vec())),
                other => panic!("a record of {} bytes is read as {other:?}", item.len()),
            }
        }
        for (number, name) in (0_u32..).zip(counters::NAMES) {
            let count = self.counters.get(&number, 0).unwrap().iter().sum();
            let before = self.seen.insert(name, count).unwrap_or(0);
            if count > before {
                outcome.counted.insert(name, count - before);
            }
        }
        outcome
    }
}
