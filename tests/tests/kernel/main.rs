//! The kernel's DNS program alone: packets in, records and counters out.
//!
//! Each file is one subject. [`Kernel`] is the real object as the daemon embeds it, loaded by itself: packets are
//! handed to it by BPF_PROG_TEST_RUN, or by real sockets where that takes none of their size. No lab is needed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod messages;
mod oracle;
mod packet;
mod packets;
mod random;
mod sockets;
mod verifier;

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use headless_obs::probe::{CgroupRoot, Record, object};
use headless_obs_ebpf::counters;
use headless_obs_ebpf::names::{COUNTERS, DNS_INGRESS, DNS_PORTS, EVENTS, MAX_DNS_PORTS};
use headless_obs_ebpf::record::DnsRecord;

/// The program, its ring and its counters.
struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    /// Counters as they were last read.
    seen: BTreeMap<&'static str, u64>,
}

/// What the program did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Records with their payloads.
    records: Vec<(DnsRecord, Vec<u8>)>,
    /// Increase of the counters; those that stayed are left out.
    counted: BTreeMap<&'static str, u64>,
}

impl Kernel {
    /// Loads it for DNS servers on these ports, with a ring of that many bytes.
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
        let mut kernel = Self { ebpf, ring, counters, seen: BTreeMap::new() };
        kernel.program().load().unwrap();
        kernel
    }

    fn program(&mut self) -> &mut CgroupSkb {
        self.ebpf.program_mut(DNS_INGRESS).unwrap().try_into().unwrap()
    }

    /// Lets it see what the sockets of this machine receive.
    fn attach(&mut self) {
        let root = CgroupRoot::find(None).unwrap();
        self.program().attach(root.fd(), CgroupSkbAttachType::Ingress, CgroupAttachMode::Single).unwrap();
    }

    /// Hands it a packet that begins with its IP header, and says what it did.
    fn run(&mut self, packet: &[u8]) -> Outcome {
        self.pass(packet);
        self.take()
    }

    /// Hands it a packet.
    fn pass(&mut self, packet: &[u8]) {
        let ethertype: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let frame = [&[0; 12], &ethertype[..], packet].concat();
        let result =
            self.program().test_run(TestRunOptions { data_in: Some(&frame), ..Default::default() }).unwrap();
        assert_eq!(result.return_value, 1, "every packet passes: {packet:02x?}");
    }

    /// What it did since the last time.
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
