//! The programs forward only responses to queries that the same socket sent. Tested with real sockets on loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use headless_obs_ebpf::dns_query::MAX_SERVERS;
use headless_obs_ebpf::symbols::MAX_PENDING_QUERIES;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::messages::{addresses, samples, spoil};
use crate::oracle::question;
use crate::packet::{ACK, Packet};
use crate::{Kernel, Outcome};

const RING: u32 = 1 << 20;
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const MAPPED: IpAddr = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());

/// A name server, and the programs attached to this machine's sockets.
fn watched(address: IpAddr) -> (UdpSocket, Kernel) {
    let server = patient(UdpSocket::bind((address.to_canonical(), 0)).unwrap());
    let mut kernel = Kernel::new(&[port(&server)], RING);
    kernel.watch();
    (server, kernel)
}

/// A client's socket connected to this address.
fn client(server: IpAddr) -> UdpSocket {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    patient(UdpSocket::bind((any, 0)).unwrap())
}

fn patient(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

/// A query with this id, and its response.
fn ask_and_answer(id: u16) -> [Vec<u8>; 2] {
    let question = samples().into_iter().find(|message| message[2] & 0x80 == 0).unwrap();
    [question, addresses(3)].map(|mut message| {
        message[..2].copy_from_slice(&id.to_be_bytes());
        message
    })
}

/// Delivers this message to the socket; returns the programs' output.
#[track_caller]
fn receive(kernel: &mut Kernel, client: &UdpSocket, message: &[u8]) -> Outcome {
    let mut buffer = [0; 2048];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], message, "loopback");
    kernel.take()
}

/// Asserts that the message was forwarded; returns the time of its query.
#[track_caller]
fn told(outcome: &Outcome, message: &[u8]) -> u64 {
    let [(record, payload)] = &outcome.records[..] else { panic!("{outcome:?}") };
    assert_eq!((payload.as_slice(), outcome.counted.len()), (message, 0), "{outcome:?}");
    assert!(record.queried_at > 0 && record.queried_at <= record.header.time, "{record:?}");
    record.queried_at
}

#[track_caller]
fn refused(outcome: &Outcome, reason: &'static str) {
    assert_eq!(*outcome, Outcome { counted: [(reason, 1)].into(), ..Outcome::default() });
}

#[test]
fn the_answer_to_a_question_is_told_once() {
    for address in [V4, V6, MAPPED] {
        let (server, mut kernel) = watched(address);
        let at = SocketAddr::new(address, port(&server));
        for is_connected in [false, true] {
            let client = client(address);
            let [question, answer] = ask_and_answer(7);
            if is_connected {
                client.connect(at).unwrap();
                client.send(&question).unwrap();
            } else {
                client.send_to(&question, at).unwrap();
            }
            let (_, from) = server.recv_from(&mut [0; 512]).unwrap();
            let entries = kernel.pending_queries();
            assert_eq!(entries.len(), 1, "{entries:?}");
            server.send_to(&answer, from).unwrap();
            let asked = told(&receive(&mut kernel, &client, &answer), &answer);
            assert_eq!(asked, entries[0].time, "{at}, connected: {is_connected}");
            assert_eq!(kernel.pending_queries(), [], "{at}, connected: {is_connected}");
            server.send_to(&answer, from).unwrap();
            refused(&receive(&mut kernel, &client, &answer), "dns_unsolicited");
        }
    }
}

#[test]
fn an_answer_from_elsewhere_is_refused_and_the_servers_own_is_not() {
    let (server, mut kernel) = watched(V4);
    let at = server.local_addr().unwrap();
    // An unconnected socket also receives from the same port of another address.
    let other = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), at.port())).unwrap();
    let (client, bystander) = (client(V4), client(V4));
    let here = |socket: &UdpSocket| SocketAddr::new(V4, port(socket));
    let [question, answer] = ask_and_answer(0x1234);
    let [_, guess] = ask_and_answer(0x1235);
    client.send_to(&question, at).unwrap();
    other.send_to(&answer, here(&client)).unwrap();
    refused(&receive(&mut kernel, &client, &answer), "dns_other_server");
    server.send_to(&guess, here(&client)).unwrap();
    refused(&receive(&mut kernel, &client, &guess), "dns_unsolicited");
    server.send_to(&answer, here(&bystander)).unwrap();
    refused(&receive(&mut kernel, &bystander, &answer), "dns_unsolicited");
    server.send_to(&answer, here(&client)).unwrap();
    told(&receive(&mut kernel, &client, &answer), &answer);
}

#[test]
fn several_servers_may_be_asked_at_once_and_one_of_them_twice() {
    let servers = [1, 2, 3, 4, 5].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let first = UdpSocket::bind((servers[0], 0)).unwrap();
    let port = port(&first);
    let servers =
        [vec![first], servers[1..].iter().map(|at| UdpSocket::bind((*at, port)).unwrap()).collect()];
    let servers: Vec<_> = servers.into_iter().flatten().collect();
    let mut kernel = Kernel::new(&[port], RING);
    kernel.watch();
    let client = client(V4);
    let here = SocketAddr::new(V4, client.local_addr().unwrap().port());
    let [question, answer] = ask_and_answer(99);
    for server in servers.iter().chain([&servers[1]]) {
        client.send_to(&question, server.local_addr().unwrap()).unwrap();
    }
    let entries = kernel.pending_queries();
    assert_eq!((entries.len(), entries[0].ports), (1, [port; MAX_SERVERS]), "one question");
    for (server, is_known) in servers.iter().zip([true, true, true, true, false]).rev() {
        server.send_to(&answer, here).unwrap();
        let outcome = receive(&mut kernel, &client, &answer);
        if is_known {
            assert_eq!(told(&outcome, &answer), entries[0].time, "since it was first asked");
        } else {
            refused(&outcome, "dns_other_server");
        }
    }
    assert_eq!(kernel.pending_queries(), []);
}

#[test]
fn the_oldest_question_goes_when_there_is_no_room() {
    let (server, mut kernel) = watched(V4);
    let client = client(V4);
    let here = SocketAddr::new(V4, port(&client));
    let last = u16::try_from(MAX_PENDING_QUERIES + 4096).unwrap();
    for id in 0..=last {
        client.send_to(&ask_and_answer(id)[0], server.local_addr().unwrap()).unwrap();
    }
    let held = kernel.pending_queries().len();
    assert!(held <= MAX_PENDING_QUERIES as usize && held > MAX_PENDING_QUERIES as usize / 2, "{held}");
    let [_, answer] = ask_and_answer(0);
    server.send_to(&answer, here).unwrap();
    refused(&receive(&mut kernel, &client, &answer), "dns_unsolicited");
    let [_, answer] = ask_and_answer(last);
    server.send_to(&answer, here).unwrap();
    told(&receive(&mut kernel, &client, &answer), &answer);
}

/// Waits until no query and no stream is pending.
fn forgotten(kernel: &Kernel) {
    let end = Instant::now() + Duration::from_secs(10);
    while !kernel.pending_queries().is_empty() {
        assert!(Instant::now() < end, "{:?}", kernel.pending_queries());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stream_is_told_to_who_began_it() {
    for address in [V4, V6] {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let mut kernel = Kernel::new(&[at.port()], RING);
        kernel.watch();
        for is_client_first in [false, true] {
            let mut client = TcpStream::connect(at).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let sent = addresses(200);
            server.write_all(&sent).unwrap();
            let mut received = vec![0; sent.len()];
            client.read_exact(&mut received).unwrap();
            let outcome = kernel.take();
            let payload: Vec<u8> = outcome.records.iter().flat_map(|(_, payload)| payload.clone()).collect();
            assert_eq!((payload, outcome.counted), (sent, [].into()));
            assert_eq!(kernel.pending_queries().len(), 1);
            if is_client_first {
                client.shutdown(std::net::Shutdown::Write).unwrap();
                // A half-closed socket still receives.
                server.write_all(b"more").unwrap();
                client.read_exact(&mut [0; 4]).unwrap();
                assert_eq!(kernel.take().records.len(), 1);
            }
            drop(server);
            assert_eq!(client.read(&mut [0; 4]).unwrap(), 0);
            drop(client);
            forgotten(&kernel);
            kernel.take();
        }
        // A closed server resets.
        drop(listener);
        TcpStream::connect(at).unwrap_err();
        forgotten(&kernel);
    }
}

#[test]
fn who_connects_from_a_dns_port_tells_nothing() {
    // It has its port from the beginning, because a program of this machine may take a port that is free.
    let attacker = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    attacker.bind(&SockAddr::from(SocketAddr::new(V4, 0))).unwrap();
    let port = attacker.local_addr().unwrap().as_socket().unwrap().port();
    let mut kernel = Kernel::new(&[port], RING);
    kernel.watch();
    let victim = TcpListener::bind((V4, 0)).unwrap();
    attacker.connect(&victim.local_addr().unwrap().into()).unwrap();
    let (mut stream, _) = victim.accept().unwrap();
    let message = addresses(3);
    (&attacker).write_all(&message).unwrap();
    let mut received = vec![0; message.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, message);
    refused(&kernel.take(), "dns_unsolicited");
    assert_eq!(kernel.pending_queries(), []);
}

#[test]
fn whatever_carries_it_an_answer_must_be_asked_for() {
    let mut kernel = Kernel::new(&[53], RING);
    kernel.refuse_unasked();
    for message in [&addresses(2)[..], &addresses(2)[..3]] {
        for packet in [Packet::udp(message), Packet::tcp(1, ACK, message)] {
            refused(&kernel.run(&packet.bytes()), "dns_unsolicited");
            refused(&kernel.run(&packet.v6().bytes()), "dns_unsolicited");
        }
    }
    for flags in [1, 2, 4, 2 | ACK] {
        assert_eq!(kernel.run(&Packet::tcp(1, flags, &[]).bytes()), Outcome::default(), "nothing to lose");
    }
}

/// The packet in the opposite direction.
fn from_client(packet: Packet) -> Packet {
    Packet {
        server: packet.client,
        client: packet.server,
        server_port: packet.client_port,
        client_port: packet.server_port,
        ..packet
    }
}

#[test]
fn questions_are_noted_whatever_carries_them_and_nothing_else_is() {
    let (mut rng, samples) = (StdRng::seed_from_u64(4), samples());
    let mut kernel = Kernel::new(&[53, 5353], RING);
    let (mut noted, mut passed) = (0, 0);
    for case in 0..6_000 {
        let mut message = samples[rng.random_range(0..samples.len())].clone();
        message[2] &= [0x7f, 0x7f, 0xff][rng.random_range(0..3)];
        if rng.random_bool(0.3) {
            spoil(&mut rng, &mut message);
        }
        message.truncate(1_000);
        let mut packet = from_client(Packet::udp(&message));
        packet.client_port = [53, 5353, 54][rng.random_range(0..3)];
        match rng.random_range(0..4) {
            0 => {
                packet = from_client(from_client(packet).v6());
                for _ in 0..rng.random_range(0..=4) {
                    packet.extensions.push(([0, 43, 44, 60][rng.random_range(0..4)], 8));
                }
            }
            1 => packet.client = [224, 0, 0, 251].into(),
            2 => {
                packet = from_client(from_client(packet).v6());
                packet.client = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0xfb]);
            }
            _ => packet.options = vec![1; rng.random_range(0..=10) * 4],
        }
        let mut bytes = packet.bytes();
        if rng.random_bool(0.3) {
            let ip_header = if packet.is_v6() { 40 } else { 20 };
            let end = rng.random_range(ip_header..=bytes.len());
            bytes.truncate(end);
        }
        kernel.send(&bytes);
        let found: Vec<_> = kernel.take_asked().into_iter().map(|entry| entry.question()).collect();
        let expected: Vec<_> = question(&bytes, &[53, 5353]).into_iter().collect();
        assert_eq!(found, expected, "case {case}: {bytes:02x?}");
        *if found.is_empty() { &mut passed } else { &mut noted } += 1;
    }
    assert!(noted > 500 && passed > 500, "{noted} {passed}");
    assert_eq!(kernel.take(), Outcome::default());
}
