//! Hostile DNS, end to end: an attacker runs a resolver, and the attacker's pod really queries it. The daemon goes on,
//! its memory is bounded, it counts the messages that it rejects, and other clients lose nothing.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr as _;
use std::thread;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use lab::*;
use serde_json::Value;

use crate::memory::own_memory;
use crate::snapshot_figures::client;
use crate::{ORDERS, PATIENCE, PORT, Scene, orders};

const DNS: u16 = 53;
/// Header of a DNS message.
const HEADER: usize = 12;
/// Maximum memory for 200,000 cached addresses, including the allocator's overhead.
const MOST_KIB: u64 = 64 << 10;

/// An attacker's pod and resolver.
struct Attacker {
    asks: UdpSocket,
    answers: UdpSocket,
    pods: [Pod; 2],
}

impl Attacker {
    fn new(scene: &Scene) -> Self {
        let pods = [("mallory", 66), ("resolver", 54)]
            .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
        let socket = |pod: &Pod, port| pod.run(|| Ok(UdpSocket::bind((pod.ip(true)?, port))?)).unwrap();
        let (asks, answers) = (socket(&pods[0], 0), socket(&pods[1], DNS));
        asks.connect(answers.local_addr().unwrap()).unwrap();
        for socket in [&asks, &answers] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Self { asks, answers, pods }
    }

    /// Sends a query and answers it with these bytes.
    fn exchange(&self, question: &[u8], answer: &[u8]) {
        let mut buffer = vec![0; 1 << 16];
        self.asks.send(question).unwrap();
        let (length, from) = self.answers.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], question);
        self.answers.send_to(answer, from).unwrap();
        assert_eq!(self.asks.recv(&mut buffer).unwrap(), answer.len());
    }
}

/// A query for a name.
fn question(id: u16, name: &str) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(&format!("{name}.")).unwrap(), RecordType::A));
    message
}

/// Its response with these addresses; without addresses it is NXDOMAIN.
fn answer(question: &Message, addresses: &[Ipv4Addr]) -> Message {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    message.add_query(query.clone());
    if addresses.is_empty() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    for address in addresses {
        message.add_answer(Record::from_rdata(query.name().clone(), 30, RData::A(A(*address))));
    }
    message
}

/// Both as bytes.
fn pair(id: u16, name: &str, addresses: &[Ipv4Addr]) -> [Vec<u8>; 2] {
    let question = question(id, name);
    [question.to_vec().unwrap(), answer(&question, addresses).to_vec().unwrap()]
}

/// Connections that a client opened to the Service.
fn opened_by(snapshot: &Value, name: &str) -> u64 {
    let rows = orders(snapshot)["clients"].as_array().unwrap();
    rows.iter().filter(|row| row["workload"] == name).map(|row| row["opened"].as_u64().unwrap()).sum()
}

/// Losses for this reason.
fn lost(snapshot: &Value, reason: &str) -> u64 {
    snapshot["quality"]["events_lost"][reason].as_u64().unwrap_or(0)
}

/// DNS responses over UDP that were counted for the Service.
fn answered(snapshot: &Value) -> u64 {
    orders(snapshot)["dns"]["transports"]["udp"].as_u64().unwrap()
}

/// A client has four addresses from an answer and has not used them yet. The daemon must keep them while another client
/// queries forty thousand names of the same Service.
#[test]
fn a_flood_of_names_takes_nothing_from_a_quiet_pod() {
    const NAMES: u16 = 40_000;
    const ADDRESSES: usize = 14;
    /// On a busy machine, the ring buffer loses many of the answers.
    const ROUNDS: u64 = 5;
    let scene = Scene::new();
    let (service, _servers) = scene.orders(4, &ServerMode::Close);
    // The pods belong to another Service too: without an answer the daemon cannot know which Service is meant.
    let twin = ServiceSpec { name: "twin".to_owned(), ..service.clone() };
    let web = scene.pod("web", "10.244.1.20/24");
    let attacker = Attacker::new(&scene);
    let observer = scene.observe(&[service, twin], &[]);
    let quiet = web.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0).round_robin(4)).unwrap();
    assert_eq!(quiet.open(1).unwrap().open, 1);
    observer.snapshot_when(PATIENCE, |snapshot| opened_by(snapshot, "web") == 1).unwrap();
    let at_first = own_memory(observer.pid());

    let asked = scene.dns.counts().unwrap().udp;
    let flood = |round: u64| {
        for id in 0..NAMES {
            let addresses: Vec<_> = (0..ADDRESSES).map(|_| Ipv4Addr::from(rand::random::<u32>())).collect();
            // Every fourth name does not exist.
            let addresses = if id % 4 == 3 { &[][..] } else { &addresses };
            let name = format!("n{:016x}-{id}.{ORDERS}", rand::random::<u64>());
            let [question, answer] = pair(id, &name, addresses);
            attacker.exchange(&question, &answer);
        }
        let sent = asked + round * u64::from(NAMES);
        let all = |snapshot: &Value| answered(snapshot) + lost(snapshot, "dns_ring_full") >= sent;
        observer.snapshot_when(PATIENCE, all).unwrap()
    };
    let is_displaced = |snapshot: &Value| lost(snapshot, "answers_evicted") > 100_000;
    let snapshot = (1..=ROUNDS).map(flood).find(is_displaced).expect("answers were displaced");
    let quality = &snapshot["quality"];
    let after = own_memory(observer.pid());
    assert!(after.saturating_sub(at_first) < MOST_KIB, "{at_first} KiB before, {after} KiB after");
    for (map, room) in quality["maps"].as_object().unwrap() {
        assert!(room["entries"].as_u64() <= room["capacity"].as_u64(), "{map}: {room}");
    }

    // By the answer from before the flood.
    assert_eq!(quiet.open(3).unwrap().open, 4);
    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| opened_by(snapshot, "web") == 4).unwrap();
    let row = client(orders(&snapshot), "web");
    assert_eq!(row["resolution"], serde_json::json!({"service": 4}), "{row:#}");
    assert_eq!(scene.dns.counts().unwrap().udp, asked, "it did not ask again");
}

/// One pod that looks up every Service does not displace other clients' answers.
#[test]
fn who_asks_for_every_service_takes_the_room_of_nobody_else() {
    const SERVICES: u16 = 300;
    let scene = Scene::new();
    let (service, _servers) = scene.orders(4, &ServerMode::Close);
    let addresses: Vec<_> = (100..104).map(|last| Ipv4Addr::new(10, 244, 1, last)).collect();
    let others: Vec<_> =
        (0..SERVICES).map(|n| ServiceSpec { name: format!("s{n}"), ..service.clone() }).collect();
    let web = scene.pod("web", "10.244.1.20/24");
    let attacker = Attacker::new(&scene);
    let all: Vec<_> = std::iter::once(service).chain(others).collect();
    let observer = scene.observe(&all, &["--max-clients", "64"]);
    let quiet = web.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0).round_robin(4)).unwrap();
    assert_eq!(quiet.open(2).unwrap().open, 2);
    let told = |snapshot: &Value| {
        let answers = &client(orders(snapshot), "web")["answers"];
        ["count", "largest", "ttl_seconds", "first_records"].map(|figure| answers[figure].clone())
    };
    let before = observer.snapshot_when(PATIENCE, |snapshot| opened_by(snapshot, "web") == 2).unwrap();

    for service in 0..SERVICES {
        let [question, answer] = pair(service, &format!("s{service}.shop.svc.cluster.local"), &addresses);
        attacker.exchange(&question, &answer);
    }
    let forgotten = |snapshot: &Value| lost(snapshot, "client_stats_evicted") >= u64::from(SERVICES) - 64;
    let after = observer.snapshot_when(PATIENCE, forgotten).unwrap();
    assert_eq!(told(&before)[0], 1, "{:#}", orders(&before));
    assert_eq!(told(&after), told(&before));
}

/// The question section, and the offset at which records begin.
fn question_section() -> (Vec<u8>, usize) {
    let [question, _] = pair(7, ORDERS, &[]);
    let end = question.len();
    (question, end)
}

/// A response with these bytes as records, and this number in its header.
fn raw(question: &[u8], records: u16, bytes: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] = 0x80;
    message[6..8].copy_from_slice(&records.to_be_bytes());
    message.extend(bytes);
    message
}

/// The rest of a record after its name.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let head = [kind.to_be_bytes(), 1_u16.to_be_bytes(), [0; 2], [0, 30], length.to_be_bytes()];
    [&head.concat(), data].concat()
}

/// A compression pointer to an offset of the message.
fn pointer(place: usize) -> [u8; 2] {
    (0xc000 | u16::try_from(place).unwrap()).to_be_bytes()
}

#[test]
fn loops_and_bombs_are_refused_or_small() {
    const TIMES: u16 = 2_000;
    const SRV: u16 = 33;
    const CNAME: u16 = 5;
    let scene = Scene::new();
    let (service, _servers) = scene.orders(2, &ServerMode::Close);
    let web = scene.pod("web", "10.244.1.20/24");
    let attacker = Attacker::new(&scene);
    let observer = scene.observe(&[service], &[]);
    let at_first = own_memory(observer.pid());
    let (question, end) = question_section();

    let loops = [
        // A name that points to itself, and two that point to each other.
        raw(&question, 1, &[&pointer(end)[..], &record(1, &[10, 0, 0, 1])].concat()),
        raw(&question, 1, &[&pointer(end + 2)[..], &pointer(end), &record(1, &[10, 0, 0, 1])].concat()),
        // A label, then a pointer to its own beginning.
        raw(&question, 1, &[&b"\x01a"[..], &pointer(end), &record(1, &[10, 0, 0, 1])].concat()),
        // An alias that points into itself.
        raw(&question, 1, &[&pointer(HEADER)[..], &record(CNAME, &pointer(end + 12))].concat()),
    ];
    for message in &loops {
        (0..TIMES).for_each(|_| attacker.exchange(&question, message));
    }
    // A name of 255 bytes that is written as 1020, and then hundreds of hosts of two bytes each, which differ by their
    // first label.
    let label = [&[63][..], &[0; 63]].concat();
    let long = [&label[..], &label, &label, b"\x01a\0"].concat();
    let host = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let target = [&[0, 0, 0, 0, 0x1f, 0x90, 2, high, low][..], &pointer(end + 12 + 6)].concat();
        [&pointer(HEADER)[..], &record(SRV, &target)].concat()
    };
    let first = [&pointer(HEADER)[..], &record(SRV, &[&[0; 6][..], &long].concat())].concat();
    let bomb: Vec<u8> = std::iter::once(first).chain((0..160).map(host)).flatten().collect();
    let mut asks_srv = question.clone();
    asks_srv[end - 3] = SRV.to_be_bytes()[1];
    let bomb = raw(&asks_srv, 161, &bomb);
    assert!(bomb.len() < 4096, "it is copied whole: {}", bomb.len());
    (0..TIMES).for_each(|_| attacker.exchange(&asks_srv, &bomb));

    let web = web.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 20).round_robin(2)).unwrap();
    assert_eq!(web.wait().unwrap().total().connected, 20);
    let asked = scene.dns.counts().unwrap().udp;
    let rejected = |snapshot: &Value| snapshot["quality"]["dns_rejected"]["malformed"].as_u64().unwrap_or(0);
    let sent = u64::from(TIMES) * 5 + asked;
    let all = |snapshot: &Value| {
        let seen = rejected(snapshot) + answered(snapshot) + lost(snapshot, "dns_ring_full");
        seen >= sent && opened_by(snapshot, "web") == 20
    };
    let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
    let (looped, lost) = (4 * u64::from(TIMES), lost(&snapshot, "dns_ring_full"));
    assert!(rejected(&snapshot) + lost >= looped, "no loop is an answer: {:#}", snapshot["quality"]);
    assert_eq!(client(orders(&snapshot), "web")["resolution"], serde_json::json!({"service": 20}));
    let after = own_memory(observer.pid());
    assert!(after.saturating_sub(at_first) < MOST_KIB, "{at_first} KiB before, {after} KiB after");
}

/// A TCP connection to the attacker's resolver with one query sent on it.
fn stream(attacker: &Attacker, listener: &TcpListener, question: &[u8]) -> [TcpStream; 2] {
    let at = listener.local_addr().unwrap();
    let asks = attacker.pods[0].run(|| Ok(TcpStream::connect(at)?)).unwrap();
    let (answers, _) = listener.accept().unwrap();
    (&asks).write_all(&framed(question)).unwrap();
    (&answers).read_exact(&mut vec![0; question.len() + 2]).unwrap();
    [asks, answers]
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[test]
fn a_message_of_65535_bytes_is_read_to_its_end() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(2, &ServerMode::Close);
    let twin = ServiceSpec { name: "twin".to_owned(), ..service.clone() };
    let attacker = Attacker::new(&scene);
    let observer = scene.observe(&[service, twin], &[]);
    let [asks, resolver] = &attacker.pods;
    let listener = resolver.run(|| Ok(TcpListener::bind((resolver.ip(true)?, DNS))?)).unwrap();
    let (question, _) = question_section();

    // As many addresses as fit; the last ones are those of the Service.
    const LONGEST: usize = u16::MAX as usize;
    let count = (LONGEST - question.len()) / 16;
    let address = |n: usize| match count - n {
        1 => [10, 244, 1, 100],
        2 => [10, 244, 1, 101],
        _ => [198, 18, n.to_be_bytes()[6], n.to_be_bytes()[7]],
    };
    let records: Vec<u8> =
        (0..count).flat_map(|n| [&pointer(HEADER)[..], &record(1, &address(n))].concat()).collect();
    let longest = raw(&question, u16::try_from(count).unwrap(), &records);
    assert_eq!(longest.len(), LONGEST);
    let [mut client_end, mut server_end] = stream(&attacker, &listener, &question);
    let writes = thread::spawn(move || server_end.write_all(&framed(&longest)).map(|()| server_end));
    client_end.read_exact(&mut vec![0; LONGEST + 2]).unwrap();
    drop(writes.join().unwrap().unwrap());
    let to = SocketAddr::new(IpAddr::from([10, 244, 1, 100]), PORT);
    asks.run(|| Ok(TcpStream::connect(to).map(drop)?)).unwrap();

    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| opened_by(snapshot, "mallory") == 1).unwrap();
    let row = client(orders(&snapshot), "mallory");
    assert_eq!(row["resolution"], serde_json::json!({"service": 1}), "{row:#}");
    assert_eq!(row["answer_position"], serde_json::json!({"32+": 1}));
    assert_eq!(orders(&snapshot)["dns"]["transports"]["tcp"], 1);
    assert!(parts_lost(&snapshot).is_empty(), "{:#}", snapshot["quality"]);

    // Many such messages that never end: the daemon buffers some and counts the others.
    let at_first = own_memory(observer.pid());
    let beginning = framed(&vec![0; LONGEST])[..60_000].to_vec();
    let open: Vec<_> = (0..400)
        .map(|_| {
            let [mut client_end, mut server_end] = stream(&attacker, &listener, &question);
            let bytes = beginning.clone();
            let writes = thread::spawn(move || server_end.write_all(&bytes).map(|()| server_end));
            client_end.read_exact(&mut vec![0; beginning.len()]).unwrap();
            (client_end, writes.join().unwrap().unwrap())
        })
        .collect();
    observer.snapshot_when(PATIENCE, |snapshot| !parts_lost(snapshot).is_empty()).unwrap();
    let after = own_memory(observer.pid());
    assert!(after.saturating_sub(at_first) < MOST_KIB, "{at_first} KiB before, {after} KiB after");
    drop(open);
}

/// Lost parts of streams, by reason.
fn parts_lost(snapshot: &Value) -> Vec<(String, u64)> {
    let lost = snapshot["quality"]["events_lost"].as_object().unwrap().iter();
    let lost = lost.map(|(reason, count)| (reason.clone(), count.as_u64().unwrap()));
    lost.filter(|(reason, count)| reason.starts_with("tcp_") && *count > 0).collect()
}
