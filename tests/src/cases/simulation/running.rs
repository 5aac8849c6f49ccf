//! A process of a client in a simulation: the lab's client, event by event.
//!
//! In: a [`ClientSpec`], the network. Out: the records that its lookups and connections would cause.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use headless_obs::time::Time;
use headless_obs_ebpf::COMM_LEN;
use headless_obs_ebpf::dns_query::{MAX_SERVERS, PendingQuery};
use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{
    Header, KIND_CLOSED, KIND_FAILED, KIND_OPENED, KIND_STARTED, SocketRecord, TcpRecord,
};
use lab::client::{ClientSpec, Exchange, Families, Lookup, Resolver, Stub, Targets};

use super::Simulation;
use super::daemon::{self, Daemon};
use super::network::{Fate, Host, Network, ROUND_TRIP, abi, dns_record};
use crate::case::{Serve, here};
use crate::scene::PodState;
use crate::stage::DNS_HOST;

/// The time at which the daemon counts a query as unanswered.
const UNANSWERED: Duration = Duration::from_secs(12);
/// The kernel's number of an established connection.
const ESTABLISHED: u32 = 1;

/// Something that happens to a process; its number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// It may begin its next connection.
    Next(usize),
    /// It tries the next target.
    Try(usize),
    /// The attempt is over: without a reason, it has a connection.
    Over(usize, Option<u8>),
    /// One of its connections ends; with a reason, it is the peer who ends it.
    Closed(usize, u64, u8),
    /// A query of it has had no response for long.
    Unanswered(usize, u64),
}

/// A connection that it is making.
struct Attempt {
    targets: Vec<SocketAddr>,
    place: usize,
    record: TcpRecord,
    by: Serve,
}

/// A process.
pub(super) struct Running {
    spec: ClientSpec,
    stub: Stub,
    number: usize,
    host: IpAddr,
    addresses: Vec<IpAddr>,
    uid: String,
    node: String,
    targets: Targets,
    /// Connections to begin, and those begun.
    wanted: u64,
    begun: u64,
    /// Whether a command makes the connections now: at once, and to be kept.
    commanded: bool,
    started: Time,
    attempt: Option<Attempt>,
    /// A connection that it uses and then closes.
    using: Option<u64>,
    open: BTreeMap<u64, TcpRecord>,
    kept: VecDeque<u64>,
    /// Sockets so far.
    sockets: u64,
    ended: bool,
}

impl Running {
    /// `libc` has search domains and `ndots` if the C library looks names up.
    pub(super) fn new(
        spec: ClientSpec,
        libc: Option<(Vec<String>, u8)>,
        pod: &PodState,
        number: usize,
        seed: u64,
        now: Time,
    ) -> Result<Self> {
        let server = SocketAddr::new(here(DNS_HOST).parse()?, 53);
        let stub = match (&spec.resolver, libc) {
            (Resolver::Stub(stub), _) => stub.clone(),
            (_, Some((search, ndots))) => {
                Stub { server, families: Families::Both, search, ndots: ndots.into(), ..Stub::default() }
            }
            (_, None) => Stub { server, ..Stub::default() },
        };
        let Some(&host) = pod.addresses.first() else { bail!("the pod {} has no address", pod.name) };
        let own_seed = seed.wrapping_add(u64::try_from(number)?.wrapping_mul(0x9e37_79b9));
        Ok(Self {
            wanted: spec.connections,
            spec,
            stub,
            number,
            host,
            addresses: pod.addresses.clone(),
            uid: pod.uid.clone(),
            node: pod.node.clone(),
            targets: Targets::new(own_seed),
            begun: 0,
            commanded: false,
            started: now,
            attempt: None,
            using: None,
            open: BTreeMap::new(),
            kept: VecDeque::new(),
            sockets: 0,
            ended: false,
        })
    }

    /// The node of its pod.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn is_in(&self, pod: &str) -> bool {
        self.uid == pod && !self.ended
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.ended && (self.begun < self.wanted || self.attempt.is_some() || self.using.is_some())
    }

    pub(super) fn stop(&mut self) {
        self.wanted = self.begun;
    }

    pub(super) fn more(&mut self, connections: u64) {
        self.wanted = self.begun + connections;
        self.commanded = true;
    }

    /// Its open connections, as the iterator over sockets lists them.
    pub(super) fn open_sockets(&self) -> impl Iterator<Item = SocketRecord> {
        self.open.values().map(|record| SocketRecord {
            socket: record.socket,
            cgroup: record.header.cgroup,
            source: record.source,
            destination: record.destination,
            comm: record.comm,
            tgid: record.tgid,
            port: record.port,
            source_port: 40_000,
            state: ESTABLISHED,
            _pad: 0,
        })
    }

    /// The time at which it may begin the next connection.
    fn due(&self) -> Time {
        match self.spec.rate.filter(|rate| *rate > 0.0 && !self.commanded) {
            #[expect(clippy::cast_precision_loss, reason = "a count of connections is far below 2^52")]
            Some(rate) => self.started.plus(Duration::from_secs_f64(self.begun as f64 / rate)),
            None => self.started,
        }
    }

    fn record(&mut self, now: Time, cgroup: u64, to: SocketAddr) -> TcpRecord {
        self.sockets += 1;
        let process = u32::try_from(self.number).unwrap_or(u32::MAX).saturating_add(1000);
        let mut comm = [0; COMM_LEN];
        comm.iter_mut().zip(b"lab-agent").for_each(|(to, from)| *to = *from);
        let source = self.addresses.iter().find(|address| address.is_ipv4() == to.is_ipv4());
        TcpRecord {
            header: Header { kind: KIND_STARTED, length: 0, time: now.0, cgroup },
            source: abi(source.copied().unwrap_or(self.host)),
            destination: abi(to.ip()),
            port: to.port(),
            _pad: [0; 6],
            socket: u64::from(process) << 32 | self.sockets,
            bytes_sent: 0,
            started: now.0,
            bytes_received: 0,
            sent_to: [0; 16],
            comm,
            tgid: process,
            reason: reason::NONE,
            in_flow_totals: 1,
            end: end::NONE,
            _last: 0,
            segments_sent: 0,
            segments_received: 0,
            retransmitted: 0,
            rtt: 0,
        }
    }
}

/// Queries of a simulated process: they take no time, and the time that it waits for responses that never come is added.
struct Queries<'a> {
    now: Time,
    host: Host,
    number: usize,
    network: &'a mut Network,
    daemon: Option<&'a mut Daemon>,
    waited: Duration,
    unanswered: u64,
    streams: u16,
}

impl Queries<'_> {
    fn receive(&mut self, server: SocketAddr, stream: bool, payload: &[u8]) {
        let now = self.now.plus(self.waited + ROUND_TRIP);
        let mut record = dns_record(now, &self.host, server, stream.then_some(1), payload.len());
        if stream {
            self.streams = self.streams.wrapping_add(1);
            // Each stream is a connection of its own, which ends with its response.
            let process = u16::try_from(self.number % 1000).unwrap_or_default();
            record.client_port =
                2_000_u16.wrapping_add(process).wrapping_add(self.streams.wrapping_mul(1000));
            record.tcp_flags = headless_obs::dns::tcp_stream::flags::FIN;
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.on_dns(&record, payload);
        }
    }
}

impl Exchange for Queries<'_> {
    fn udp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let Some(answer) = self.network.dns.answer(query, self.host.address, false)? else {
            self.waited += timeout;
            self.unanswered += 1;
            bail!("no answer from the DNS server over UDP");
        };
        self.receive(server, false, &answer);
        Ok(answer)
    }

    fn tcp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<(Vec<u8>, u64)> {
        let Some(answer) = self.network.dns.answer(query, self.host.address, true)? else {
            self.waited += timeout;
            bail!("no answer from the DNS server over TCP");
        };
        let mut stream = u16::try_from(answer.len())?.to_be_bytes().to_vec();
        stream.extend(&answer);
        self.receive(server, true, &stream);
        Ok((answer, 1))
    }
}

impl Simulation {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Next(number) => self.next(number),
            Event::Try(number) => self.attempt(number),
            Event::Over(number, why) => self.over(number, why),
            Event::Closed(number, socket, end) => self.closed(number, socket, end),
            Event::Unanswered(number, at) => self.unanswered(number, at),
        }
    }

    fn next(&mut self, number: usize) {
        let one = &mut self.running[number];
        if one.ended || one.attempt.is_some() || one.using.is_some() || one.begun >= one.wanted {
            return;
        }
        let due = one.due();
        if due > self.now {
            let wait = due.since(self.now);
            self.after(wait, Event::Next(number));
            return;
        }
        one.begun += 1;
        let (found, waited) = self.look_up(number, |targets, spec, look_up| targets.next(spec, look_up));
        let targets = found.map(|choice| choice.targets).unwrap_or_default();
        if targets.is_empty() {
            self.after(waited + ROUND_TRIP, Event::Next(number));
            return;
        }
        let record = self.running[number].record(self.now, 0, targets[0]);
        self.running[number].attempt = Some(Attempt { targets, place: 0, record, by: Serve::Hold });
        self.after(waited + ROUND_TRIP * 2, Event::Try(number));
    }

    /// Looks the name up without connecting; returns how long that took.
    pub(super) fn look_up_alone(&mut self, number: usize) -> Duration {
        let name = self.running[number].spec.name.clone();
        self.look_up(number, |_, _, look_up| look_up(&name)).1 + ROUND_TRIP * 2
    }

    /// Uses a lookup; returns its result and how long it waited in vain.
    fn look_up<T>(
        &mut self,
        number: usize,
        use_it: impl FnOnce(&mut Targets, &ClientSpec, &mut dyn FnMut(&str) -> Result<Lookup>) -> Result<T>,
    ) -> (Result<T>, Duration) {
        let Self { running, network, daemons, now, .. } = self;
        let one = &mut running[number];
        let Some(host) = network.host(one.host).cloned() else {
            return (Err(anyhow::anyhow!("the pod is gone")), Duration::ZERO);
        };
        let daemon = daemon::of(daemons, &one.node);
        let streams = u16::try_from(one.begun % 60).unwrap_or_default();
        let mut queries = Queries {
            now: *now,
            host,
            number,
            network,
            daemon,
            waited: Duration::ZERO,
            unanswered: 0,
            streams,
        };
        let Running { targets, spec, stub, .. } = one;
        let result = use_it(targets, spec, &mut |name| match &spec.resolver {
            Resolver::Fixed(addresses) => {
                let targets = addresses.iter().map(|&address| SocketAddr::new(address, spec.port)).collect();
                Ok(Lookup { targets, ..Lookup::default() })
            }
            Resolver::Stub(_) | Resolver::Libc => stub.look_up(&mut queries, name, spec.port),
        });
        let (waited, unanswered) = (queries.waited, queries.unanswered);
        for _ in 0..unanswered {
            let asked = self.now.0;
            self.after(UNANSWERED, Event::Unanswered(number, asked));
        }
        (result, waited)
    }

    fn attempt(&mut self, number: usize) {
        let Self { running, network, now, .. } = self;
        let one = &mut running[number];
        let Some(mut attempt) = one.attempt.take().filter(|_| !one.ended) else { return };
        let cgroup = network.host(one.host).map_or(0, |host| host.cgroup);
        let target = attempt.targets[attempt.place];
        let is_last = attempt.place + 1 == attempt.targets.len();
        let limit = one.spec.dial.give_up_ms.filter(|_| !(one.spec.dial.patient_at_last && is_last));
        attempt.record = one.record(*now, cgroup, target);
        let (delay, event) = match network.attempt(one.host, target, limit.map(Duration::from_millis)) {
            Fate::Opened(delay, by) => {
                attempt.by = by;
                (delay, Event::Over(number, None))
            }
            Fate::Failed(delay, why) => (delay, Event::Over(number, Some(why))),
        };
        one.attempt = Some(attempt);
        self.after(delay, event);
    }

    fn over(&mut self, number: usize, why: Option<u8>) {
        let one = &mut self.running[number];
        let Some(mut attempt) = one.attempt.take().filter(|_| !one.ended) else { return };
        if let Some(reason) = why {
            let record = TcpRecord { reason, ..attempt.record };
            attempt.place += 1;
            let goes_on = attempt.place < attempt.targets.len();
            one.attempt = Some(attempt).filter(|_| goes_on);
            self.submit(number, KIND_FAILED, record);
            self.after(Duration::ZERO, if goes_on { Event::Try(number) } else { Event::Next(number) });
            return;
        }
        let (record, by) = (attempt.record, attempt.by);
        let target = attempt.targets[attempt.place];
        let is_sought = one.spec.seeks.is_none_or(|sought| sought == target.ip());
        let keeps = is_sought && (one.spec.dial.keep || one.commanded);
        one.open.insert(record.socket, record);
        attempt.place += 1;
        let goes_on = !is_sought && attempt.place < attempt.targets.len();
        one.attempt = Some(attempt).filter(|_| goes_on);
        let hold = if is_sought { Duration::from_millis(one.spec.dial.hold_ms) } else { Duration::ZERO };
        if keeps {
            one.kept.push_back(record.socket);
        } else {
            one.using = Some(record.socket);
        }
        self.submit(number, KIND_OPENED, record);
        match by {
            Serve::Close => self.after(ROUND_TRIP, Event::Closed(number, record.socket, end::SERVER)),
            Serve::Reset => self.after(ROUND_TRIP, Event::Closed(number, record.socket, end::SERVER_RESET)),
            Serve::Hold | Serve::Echo if keeps => self.after(Duration::ZERO, Event::Next(number)),
            Serve::Hold | Serve::Echo => {
                self.after(ROUND_TRIP + hold, Event::Closed(number, record.socket, end::CLIENT))
            }
        }
    }

    fn closed(&mut self, number: usize, socket: u64, end: u8) {
        let one = &mut self.running[number];
        let Some(record) = one.open.remove(&socket) else { return };
        one.kept.retain(|kept| *kept != socket);
        one.using = one.using.filter(|using| *using != socket);
        let dial = &one.spec.dial;
        let received = match dial.receive {
            lab::client::Receive::Bytes(length) => length,
            _ => 0,
        };
        let record = TcpRecord {
            bytes_sent: u64::try_from(dial.send).unwrap_or_default(),
            bytes_received: if end == end::CLIENT { u64::try_from(received).unwrap_or_default() } else { 0 },
            reason: if end == end::SERVER_RESET { reason::RESET } else { reason::NONE },
            end,
            ..record
        };
        let event = if one.attempt.is_some() { Event::Try(number) } else { Event::Next(number) };
        self.submit(number, KIND_CLOSED, record);
        self.after(Duration::ZERO, event);
    }

    /// Closes the oldest connections that a process keeps.
    pub(super) fn close_kept(&mut self, number: usize, connections: u64) {
        for _ in 0..connections {
            let Some(&socket) = self.running[number].kept.front() else { return };
            self.closed(number, socket, end::CLIENT);
        }
    }

    /// The process ends, and its connections close.
    pub(super) fn end(&mut self, number: usize) {
        let sockets: Vec<u64> = self.running[number].open.keys().copied().collect();
        self.running[number].ended = true;
        sockets.into_iter().for_each(|socket| self.closed(number, socket, end::CLIENT));
    }

    fn unanswered(&mut self, number: usize, at: u64) {
        let one = &self.running[number];
        let cgroup = self.network.host(one.host).map_or(0, |host| host.cgroup);
        let mut servers = [[0; 16]; MAX_SERVERS];
        let mut ports = [0; MAX_SERVERS];
        (servers[0], ports[0]) = (abi(one.stub.server.ip()), one.stub.server.port());
        let query =
            PendingQuery { time: at, cgroup, client: abi(one.host), servers, ports, _pad: [0; 6], state: 0 };
        if let Some(daemon) = daemon::of(&mut self.daemons, &one.node) {
            daemon.on_unanswered(self.now, &query);
        }
    }

    fn submit(&mut self, number: usize, kind: u32, record: TcpRecord) {
        let header = Header { kind, time: self.now.0, ..record.header };
        if let Some(daemon) = daemon::of(&mut self.daemons, &self.running[number].node) {
            daemon.on_tcp(&TcpRecord { header, ..record });
        }
    }
}
