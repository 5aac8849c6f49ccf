//! Unsolicited DNS responses are no evidence; response times, and queries without response.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use lab::*;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::ways_to_connect::client;
use crate::{ORDERS, PATIENCE, PORT, Scene, orders};

pub(crate) const DNS: u16 = 53;
/// A query counts as unanswered after ten seconds, and the daemon checks every five.
const UNANSWERED: Duration = Duration::from_secs(40);

/// A query for the Service, or its response with this address.
pub(crate) fn message(id: u16, answer: Option<Ipv4Addr>) -> Vec<u8> {
    let kind = if answer.is_some() { MessageType::Response } else { MessageType::Query };
    let mut message = Message::new(id, kind, OpCode::Query);
    let name = Name::from_str(&format!("{ORDERS}.")).unwrap();
    message.add_query(Query::query(name.clone(), RecordType::A));
    if let Some(address) = answer {
        message.add_answer(Record::from_rdata(name, 30, RData::A(A(address))));
    }
    message.to_vec().unwrap()
}

pub(crate) fn pod_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 1, 100 + n)
}

/// A socket inside a pod.
pub(crate) fn udp(pod: &Pod, port: u16) -> UdpSocket {
    let socket = pod.run(|| Ok(UdpSocket::bind((pod.ip(true)?, port))?)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a message from one socket to another, and receives it.
fn pass(from: &UdpSocket, to: &UdpSocket, message: &[u8]) {
    from.send_to(message, to.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 512];
    assert_eq!(to.recv(&mut buffer).unwrap(), message.len());
    assert_eq!(&buffer[..message.len()], message);
}

/// Connects from a pod to pods of the Service.
pub(crate) fn connect(pod: &Pod, to: &[u8]) {
    let dial = |n: &u8| Ok(TcpStream::connect((pod_address(*n), PORT)).map(drop)?);
    pod.run(|| to.iter().try_for_each(dial)).unwrap();
}

#[test]
fn an_answer_that_the_socket_did_not_ask_for_is_no_evidence() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(4, &ServerMode::Close);
    let [web, resolver, mallory] = [("web", 20), ("resolver", 54), ("mallory", 66)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let observer = scene.observe(&[service], &[]);
    let at = SocketAddr::new(resolver.ip(true).unwrap(), DNS);
    let [server, stranger] = [&resolver, &mallory].map(|pod| udp(pod, DNS));

    // A resolver that accepts responses from any server, like musl's without its check of the sender.
    let open = udp(&web, 0);
    open.send_to(&message(1, None), at).unwrap();
    pass(&stranger, &open, &message(1, Some(pod_address(1))));
    pass(&server, &open, &message(2, Some(pod_address(1))));
    pass(&server, &open, &message(1, Some(pod_address(0))));
    // A resolver that accepts responses from its server only: an attacker must guess just the id.
    let closed = udp(&web, 0);
    closed.connect(at).unwrap();
    closed.send(&message(3, None)).unwrap();
    pass(&server, &closed, &message(4, Some(pod_address(1))));
    pass(&server, &closed, &message(3, Some(pod_address(2))));
    // A connection from port 53 to a listener that is no resolver.
    let listener = web.run(|| Ok(TcpListener::bind((web.ip(true)?, 0))?)).unwrap();
    let victim = listener.local_addr().unwrap();
    let attacker = mallory.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(mallory.ip(true)?, DNS).into())?;
        socket.connect(&victim.into())?;
        Ok(socket)
    });
    let forged = message(5, Some(pod_address(3)));
    let framed = [&u16::try_from(forged.len()).unwrap().to_be_bytes()[..], &forged].concat();
    let attacker = attacker.unwrap();
    (&attacker).write_all(&framed).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut vec![0; framed.len()]).unwrap();

    connect(&web, &[0, 1, 2, 3]);
    let closed = |snapshot: &_| crate::sum(orders(snapshot), "closed") == 4;
    let snapshot = observer.snapshot_when(PATIENCE, closed).unwrap();
    let service = orders(&snapshot);
    let row = client(service, "web");
    let by_name: Vec<_> = row["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["resolution"].get("service").and_then(Value::as_u64).unwrap_or(0))
        .collect();
    assert_eq!(by_name, [1, 0, 1, 0], "{row:#}");
    assert_eq!(row["resolution"], json!({"service": 2, "none": 2}));
    assert_eq!(snapshot["quality"]["dns_refused"], json!({"unsolicited": 3, "other_server": 1}));
    assert_eq!(snapshot["quality"]["probes"]["queries"], "cgroup_skb/egress");
    // An unsolicited response has no response time.
    assert_eq!((&service["dns"]["answers"], &service["dns"]["latency"]["count"]), (&json!(2), &json!(2)));
}

#[test]
fn latency_is_measured_and_silence_is_counted() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(2, &ServerMode::Close);
    let [web, cron, resolver] = [("web", 20), ("cron", 21), ("resolver", 54)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let observer = scene.observe(&[service], &[]);
    let at = SocketAddr::new(resolver.ip(true).unwrap(), DNS);
    let server = udp(&resolver, DNS);
    let [asks, silent] = [&web, &cron].map(|pod| udp(pod, 0));
    for id in 0..3 {
        silent.send_to(&message(id, None), at).unwrap();
    }
    // Only one of two servers must answer.
    let other = IpAddr::from([10, 244, 1, 53]);
    scene.dns.set_options(&DnsOptions { silent: true, ..DnsOptions::default() }).unwrap();
    for to in [at, SocketAddr::new(other, DNS)] {
        asks.send_to(&message(7, None), to).unwrap();
    }
    const WAITED: Duration = Duration::from_millis(300);
    std::thread::sleep(WAITED);
    pass(&server, &asks, &message(7, Some(pod_address(0))));

    // The daemon checks from time to time, so a check may come between two of them.
    let is_counted = |snapshot: &Value| snapshot["unanswered"][0]["queries"] == 3;
    let snapshot = observer.snapshot_when(UNANSWERED, is_counted).unwrap();
    assert_eq!(
        snapshot["unanswered"],
        json!([{"namespace": "shop", "workload": "cron", "queries": 3}]),
        "nobody else"
    );
    let latency = &orders(&snapshot)["dns"]["latency"];
    assert_eq!(latency["count"], 1);
    let seconds = latency["sum"].as_f64().unwrap();
    assert!(seconds >= WAITED.as_secs_f64(), "{seconds}");
    let metrics = observer.metrics().unwrap();
    for line in [
        r#"headless_dns_unanswered_total{client_namespace="shop",client_workload="cron"} 3"#,
        r#"headless_dns_answer_seconds_count{namespace="shop",service="orders"} 1"#,
        r#"headless_observer_dns_refused_total{reason="unsolicited"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    // A later response belongs to no query.
    pass(&server, &silent, &message(0, Some(pod_address(0))));
    let is_refused = |snapshot: &Value| snapshot["quality"]["dns_refused"]["unsolicited"] == 1;
    let snapshot = observer.snapshot_when(PATIENCE, is_refused).unwrap();
    assert_eq!(orders(&snapshot)["dns"]["answers"], 1);
}
