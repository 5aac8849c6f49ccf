//! The engine as the shell uses it: the kernel's records in, snapshots out.
//!
//! Each file has one subject. A [`World`] is an engine, a clock that advances with every event, and clients: number n
//! has cgroup n, address 10.9.0.n and a process called `client-n`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{
    DnsRecord, Header, KIND_CLOSED, KIND_DNS, KIND_FAILED, KIND_OPENED, KIND_STARTED, SocketRecord, TcpRecord,
};
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use jiff::Timestamp;

use super::*;
use crate::expose::snapshot::{
    Cause, Client as ClientRow, ClientAnswers, Confidence, Counts, Service as ServiceRow, Snapshot, Spread,
    TopologyState,
};
use crate::topology::model::{Slice, SliceEndpoint};
use crate::topology::test_builders::{ip, ready, slice};

mod balance;
mod balancer;
mod client_pods;
mod client_stats;
mod clock;
mod connection_list;
mod differential;
mod dns_stats;
mod expiry;
mod false_alarms;
mod false_attribution;
mod intents;
mod limits;
mod load;
mod losses;
mod merged;
mod names;
mod nat64;
mod other_names;
mod other_ports;
mod part;
mod paths;
mod quality;
mod recovery;
mod reused_address;
mod scrape;
mod stale;
mod trace_events;
mod trouble;
mod unreached;
mod verdict_log;
mod windows;
mod zones;

const PORT: u16 = 8080;
const ORDERS: &str = "orders.shop.svc.cluster.local";

/// An engine and its clock.
struct World {
    engine: Engine,
    /// Milliseconds.
    now: u64,
    last_socket: u64,
}

/// A connection in progress.
#[derive(Clone, Copy)]
struct Dialled(TcpRecord);

fn config() -> Config {
    Config {
        cells: 1000,
        ignored: 100,
        mature_after: Duration::ZERO,
        stale_grace: Duration::ZERO,
        ..Config::default()
    }
}

/// `orders` in `shop` with these endpoints, port [`PORT`].
fn orders(endpoints: &[SliceEndpoint]) -> Slice {
    service("orders", endpoints)
}

fn service(name: &str, endpoints: &[SliceEndpoint]) -> Slice {
    endpoints.iter().cloned().fold(slice("shop", name, "a").ports(&[PORT]), |slice, one| slice.with(one))
}

/// Pods `orders-0` and up, at 10.0.0.1 and up.
fn pods(count: u8) -> Vec<SliceEndpoint> {
    (0..count).map(|n| ready(&format!("orders-{n}"), &format!("10.0.0.{}", n + 1))).collect()
}

impl World {
    fn new(slices: impl IntoIterator<Item = Slice>) -> Self {
        Self::with(config(), slices)
    }

    fn with(config: Config, slices: impl IntoIterator<Item = Slice>) -> Self {
        let mut world = Self { engine: Engine::new(config), now: 1000, last_socket: 0 };
        slices.into_iter().for_each(|slice| world.apply(slice));
        world
    }

    fn time(&self) -> Time {
        Time(self.now * 1_000_000)
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        self.time()
    }

    fn pass(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_millis()).unwrap();
    }

    fn apply(&mut self, change: impl Into<Change>) {
        let now = self.tick();
        self.engine.apply(now, change.into());
    }

    fn dns_record(&mut self, client: u8, protocol: u8, length: usize) -> DnsRecord {
        let time = self.tick().0;
        DnsRecord {
            header: Header {
                kind: KIND_DNS,
                length: u32::try_from(length).unwrap(),
                time,
                cgroup: client.into(),
            },
            client: address_of(client),
            server: abi(ip("10.96.0.10")),
            client_port: 40_000,
            server_port: 53,
            protocol,
            tcp_flags: 0,
            truncated_len: 0,
            sequence: 0,
            following: 0,
            queried_at: 0,
        }
    }

    /// A client receives a message in a datagram.
    fn answer(&mut self, client: u8, message: &Message) {
        let payload = message.to_bytes().unwrap();
        let record = self.dns_record(client, 17, payload.len());
        self.engine.on_dns(&record, &payload);
    }

    /// A client receives a part of a stream.
    fn segment(&mut self, client: u8, sequence: u32, payload: &[u8]) {
        let record = DnsRecord { sequence, ..self.dns_record(client, 6, payload.len()) };
        self.engine.on_dns(&record, payload);
    }

    /// A client resolves a name and gets these addresses.
    fn resolve(&mut self, client: u8, name: &str, addresses: &[&str]) {
        self.answer(client, &addresses_of(name, addresses));
    }

    /// A client sends its SYN.
    fn dial(&mut self, client: u8, address: &str) -> Dialled {
        self.last_socket += 1;
        let started = self.tick().0;
        let mut comm = [0; 16];
        comm.iter_mut().zip(format!("client-{client}").bytes()).for_each(|(to, from)| *to = from);
        Dialled(TcpRecord {
            header: Header { kind: KIND_STARTED, length: 0, time: started, cgroup: client.into() },
            source: address_of(client),
            destination: abi(ip(address)),
            port: PORT,
            _pad: [0; 6],
            socket: self.last_socket,
            started,
            bytes_sent: 0,
            bytes_received: 0,
            sent_to: [0; 16],
            comm,
            tgid: client.into(),
            reason: reason::NONE,
            in_flow_totals: 1,
            end: end::NONE,
            _last: 0,
            segments_sent: 0,
            segments_received: 0,
            retransmitted: 0,
            rtt: 0,
        })
    }

    fn submit(&mut self, kind: u32, dialled: Dialled) {
        let Dialled(record) = dialled;
        let header = Header { kind, time: self.tick().0, ..record.header };
        self.engine.on_tcp(&TcpRecord { header, ..record });
    }

    fn open(&mut self, dialled: Dialled) -> Dialled {
        self.submit(KIND_OPENED, dialled);
        dialled
    }

    /// Connects and is accepted.
    fn connect(&mut self, client: u8, address: &str) -> Dialled {
        let dialled = self.dial(client, address);
        self.open(dialled)
    }

    fn fail(&mut self, Dialled(record): Dialled, why: u8) {
        self.submit(KIND_FAILED, Dialled(TcpRecord { reason: why, ..record }));
    }

    /// The client sent 10 bytes and received 20.
    fn close(&mut self, Dialled(record): Dialled) {
        let ended = TcpRecord { bytes_sent: 10, bytes_received: 20, end: end::CLIENT, ..record };
        self.submit(KIND_CLOSED, Dialled(ended));
    }

    fn reset(&mut self, Dialled(record): Dialled) {
        let ended = TcpRecord { reason: reason::RESET, end: end::SERVER_RESET, ..record };
        self.submit(KIND_CLOSED, Dialled(ended));
    }

    fn snapshot(&self) -> Snapshot {
        self.engine.snapshot(&self.kernel(), None)
    }

    fn kernel(&self) -> KernelState {
        let mut counters: BTreeMap<_, _> = headless_obs_ebpf::counters::NAMES.map(|name| (name, 0)).into();
        counters.insert("ignored", 5);
        counters.insert("ring_full", 6);
        counters.insert("dns_not_answer", 7);
        counters.insert("dns_unsolicited", 9);
        counters.insert("dns_other_server", 10);
        KernelState {
            node: "n1".to_owned(),
            from: Timestamp::UNIX_EPOCH,
            began: Time(0),
            to: Time(self.now * 1_000_000),
            topology: TopologyState { source: "files".to_owned(), ..TopologyState::default() },
            counters,
            maps: BTreeMap::new(),
            hooks: BTreeMap::new(),
            unknown_records: 8,
            stands_by: false,
        }
    }

    /// A Service of the snapshot.
    fn service(&self, name: &str) -> ServiceRow {
        let found = self.snapshot().services.into_iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("no Service {name}"))
    }

    /// The only client of a Service.
    fn client(&self, name: &str) -> ClientRow {
        let [client] = <[ClientRow; 1]>::try_from(self.service(name).clients).unwrap();
        client
    }

    /// `pod opened/counted/failed/active` of the endpoints of a Service that have any figures.
    fn rows(&self, name: &str) -> Vec<String> {
        let endpoints = self.service(name).endpoints.into_iter();
        let rows = endpoints.map(|row| {
            let failed: u64 = row.failed.values().sum();
            (row.pod, [row.opened, row.counted, failed, row.active])
        });
        rows.filter(|(_, figures)| *figures != [0; 4])
            .map(|(pod, [opened, counted, failed, active])| {
                format!("{pod} {opened}/{counted}/{failed}/{active}")
            })
            .collect()
    }

    /// `client resolution=count …` of the clients of a Service.
    fn clients(&self, name: &str) -> Vec<String> {
        let text = |client: ClientRow| {
            let resolution = client.resolution.iter().map(|(name, count)| format!(" {name}={count}"));
            client.workload + &resolution.collect::<String>()
        };
        self.service(name).clients.into_iter().map(text).collect()
    }

    fn unattributed(&self, why: &str) -> u64 {
        self.snapshot().quality.unattributed[why]
    }
}

fn address_of(client: u8) -> Address {
    abi(IpAddr::from([10, 9, 0, client]))
}

fn abi(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).unwrap()
}

fn response(question: &str, kind: RecordType, answers: Vec<Record>) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name(question), kind));
    message.add_answers(answers);
    message
}

fn record(owner: &str, address: &str) -> Record {
    let data = match ip(address) {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name(owner), 30, data)
}

/// A or AAAA records, as the first address is.
fn addresses_of(owner: &str, addresses: &[&str]) -> Message {
    let is_ipv6 = addresses.first().is_some_and(|address| ip(address).is_ipv6());
    let kind = if is_ipv6 { RecordType::AAAA } else { RecordType::A };
    response(owner, kind, addresses.iter().map(|address| record(owner, address)).collect())
}
