//! Datagrams and segments of any size, as real sockets receive them from each other on loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use headless_obs::dns::datagram::{Datagrams, Piece};
use headless_obs::dns::tcp_stream::{Limits, Segment, StreamKey, StreamStats, Streams};
use headless_obs::time::Time;
use headless_obs_ebpf::ring_record::{DNS_MAX, DnsRecord};
use socket2::SockRef;

use crate::Kernel;
use crate::messages::of_length;

const RING: u32 = 1 << 20;
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The program attached to this machine's sockets, for a server on `port`.
fn attached(port: u16) -> Kernel {
    let mut kernel = Kernel::new(&[port], RING);
    kernel.attach();
    kernel
}

/// A datagram of `length` bytes, which is a response if it is long enough.
fn datagram(length: usize) -> Vec<u8> {
    if length < 12 { vec![0xff; length] } else { of_length(length) }
}

/// Sends a datagram; returns whether the client received this payload.
fn send(kernel: &mut Kernel, server: &UdpSocket, client: &UdpSocket, length: usize, to: SocketAddr) {
    let message = datagram(length);
    server.send_to(&message, to).unwrap();
    let mut buffer = vec![0; 1 << 16];
    assert_eq!(client.recv_from(&mut buffer).unwrap().0, length);
    let outcome = kernel.take();
    let counted = match length {
        0..=2 => [("dns_not_answer", 1)].into(),
        _ => [].into(),
    };
    assert_eq!(outcome.counted, counted, "{length} bytes to {to}");
    if length <= 2 {
        assert_eq!(outcome.records, []);
        return;
    }
    assert_eq!(outcome.records.len(), length.div_ceil(DNS_MAX), "{length} bytes to {to}");
    let mut datagrams = Datagrams::default();
    let mut whole = Vec::new();
    for (record, payload) in &outcome.records {
        assert_eq!(record.client_port, client.local_addr().unwrap().port());
        assert_eq!(record.server_port, server.local_addr().unwrap().port());
        assert_eq!(record.truncated_len, 0);
        let (at, offset, following) = (Time(record.header.time), record.sequence, record.following);
        let key = StreamKey { cgroup: 1, client: to, server: server.local_addr().unwrap() };
        let piece = Piece { at, key, offset, following, payload };
        assert!(datagrams.push(piece, |bytes| whole.push(bytes.to_vec())), "{record:?}");
    }
    assert!(whole == [message], "{length} bytes to {to}");
}

const LENGTHS: [usize; 14] = [0, 1, 2, 3, 511, 512, 513, 1535, 1536, 1537, 4095, 4096, 4097, 9000];

#[test]
fn datagrams_of_any_size_arrive() {
    for address in LOOPBACKS {
        let server = UdpSocket::bind((address, 0)).unwrap();
        let mut kernel = attached(server.local_addr().unwrap().port());
        let client = UdpSocket::bind((address, 0)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let to = client.local_addr().unwrap();
        for is_connected in [false, true] {
            if is_connected {
                client.connect(server.local_addr().unwrap()).unwrap();
            }
            for length in LENGTHS.into_iter().chain([65_507]) {
                send(&mut kernel, &server, &client, length, to);
            }
        }
    }
}

#[test]
fn ipv4_to_an_ipv6_socket_is_ipv4() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut kernel = attached(server.local_addr().unwrap().port());
    let client = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, client.local_addr().unwrap().port()));
    for length in LENGTHS {
        send(&mut kernel, &server, &client, length, to);
    }
}

#[test]
fn a_connected_socket_of_another_port_is_passed_over() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut kernel = attached(other.local_addr().unwrap().port());
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.send_to(&datagram(100), client.local_addr().unwrap()).unwrap();
    client.recv(&mut [0; 200]).unwrap();
    assert_eq!(kernel.take(), crate::Outcome::default());
}

/// The records in user space after a server sends these pieces to a client; corked: together with the end of the
/// stream.
fn exchange(
    kernel: &mut Kernel,
    listener: &TcpListener,
    pieces: &[Vec<u8>],
    is_corked: bool,
) -> (Vec<DnsRecord>, Vec<Vec<u8>>, StreamStats) {
    let server = listener.local_addr().unwrap();
    let (outcome, bytes) = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            SockRef::from(&stream).set_tcp_cork(is_corked).unwrap();
            pieces.iter().for_each(|piece| stream.write_all(piece).unwrap());
        });
        let mut client = TcpStream::connect(server).unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        (kernel.take(), bytes)
    });
    assert_eq!(bytes, pieces.concat(), "loopback");
    assert_eq!(outcome.counted, [].into());
    let mut streams = Streams::new(Limits::default());
    let mut messages = Vec::new();
    let key = StreamKey { cgroup: 1, client: server, server };
    for (record, payload) in &outcome.records {
        let segment = Segment {
            sequence: record.sequence,
            flags: record.tcp_flags,
            cut: record.truncated_len,
            payload,
        };
        streams.push(Time(record.header.time), key, segment, |message| messages.push(message.to_vec()));
    }
    (outcome.records.into_iter().map(|(record, _)| record).collect(), messages, streams.stats())
}

/// A message with its length prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[test]
fn segments_of_many_records_are_put_together_again() {
    for address in LOOPBACKS {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let mut kernel = attached(listener.local_addr().unwrap().port());
        for is_corked in [false, true] {
            for lengths in
                [&[65_000][..], &[65_535], &[4_094, 4_095, 4_096], &[9_000, 100, 20_000, 30_000], &[12]]
            {
                let sent: Vec<Vec<u8>> = lengths.iter().map(|length| of_length(*length)).collect();
                let pieces: Vec<Vec<u8>> = sent.iter().map(|message| framed(message)).collect();
                let (records, messages, stats) = exchange(&mut kernel, &listener, &pieces, is_corked);
                assert!(
                    messages == sent,
                    "{lengths:?} to {address}, corked: {is_corked}: {stats:?} {records:#?}"
                );
                let expected = StreamStats { messages: stats.messages, ..StreamStats::default() };
                assert_eq!(stats, expected, "nothing is lost");
                let full = records.iter().filter(|record| record.header.length as usize == DNS_MAX).count();
                assert!(full >= lengths.iter().sum::<usize>() / DNS_MAX / 2, "{full} full records");
            }
        }
    }
}
