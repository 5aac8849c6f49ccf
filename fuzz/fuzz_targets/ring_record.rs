//! Feeds any bytes as a series of ring records through decoding into the engine and its snapshot: nothing is read past
//! its end, and rejected data stay rejected whatever follows.

#![no_main]

use std::sync::OnceLock;

use headless_obs::engine::{Config, Engine, KernelState};
use headless_obs::probe::Record;
use headless_obs::sources::manifest::{Format, Manifest};
use headless_obs::time::Time;
use headless_obs::topology::model::Change;
use headless_obs_ebpf::ring_record::{DNS_MAX, DnsRecord, Header, TcpRecord};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// A headless Service with three pods, one of which is also a client.
const SHOP: &str = include_str!("shop.yaml");
/// Latest time of a record. Nobody can set the kernel's clock, so a hundred years are enough.
const LATEST: u64 = 100 * 365 * 86_400 * 1_000_000_000;
/// Maximum bytes of a connection in that time.
const MOST_BYTES: u64 = 1 << 56;

fuzz_target!(|bytes: &[u8]| {
    let mut engine = engine();
    let mut rest = bytes;
    let mut last = Time(0);
    // Each record has its length before it, as in the ring.
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (bytes, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = after;
        match Record::parse(bytes) {
            Some(Record::Dns(record, payload)) => {
                assert_eq!(Ok(payload.len()), usize::try_from(record.header.length));
                assert!(bytes.len() >= size_of::<DnsRecord>() + payload.len());
                let mut record = record;
                record.header.time %= LATEST;
                last = last.max(Time(record.header.time));
                engine.on_dns(&record, &payload[..payload.len().min(DNS_MAX)]);
            }
            Some(Record::Tcp(record)) => {
                assert!(bytes.len() >= size_of::<TcpRecord>());
                let mut record = record;
                record.header.time %= LATEST;
                record.started %= LATEST;
                record.bytes_sent %= MOST_BYTES;
                record.bytes_received %= MOST_BYTES;
                last = last.max(Time(record.header.time));
                engine.on_tcp(&record);
            }
            None => {
                let less = &bytes[..bytes.len() / 2];
                assert!(less.len() < size_of::<Header>() || Record::parse(less).is_none());
            }
        }
        drop(engine.take_ignore_updates());
    }
    engine.reconcile(last, &[]);
    engine.expire(last);
    let snapshot = engine.snapshot(&kernel_state(), None);
    for service in &snapshot.services {
        for endpoint in &service.endpoints {
            assert!(endpoint.active <= endpoint.opened, "{endpoint:?}");
        }
    }
});

fn engine() -> Engine {
    static CHANGES: OnceLock<Vec<Change>> = OnceLock::new();
    let changes = CHANGES.get_or_init(|| {
        let mut manifest = Manifest::default();
        manifest.add("shop", Format::Yaml, SHOP).expect("a manifest");
        manifest.into_changes()
    });
    let mut engine = Engine::new(Config::default());
    changes.iter().for_each(|change| engine.apply(Time(0), change.clone()));
    engine
}

fn kernel_state() -> KernelState {
    KernelState {
        node: "n".to_owned(),
        from: Timestamp::UNIX_EPOCH,
        began: Time(0),
        to: Time(0),
        topology: Default::default(),
        counters: Default::default(),
        maps: Default::default(),
        hooks: Default::default(),
        unknown_records: 0,
        stands_by: false,
    }
}
