//! Packets of every shape that carries DNS, and of many shapes that do not.

use crate::Kernel;
use crate::messages::{addresses, of_length, samples};
use crate::oracle::{Fate, fate};
use crate::packet::{ACK, Packet, SYN, Transport};

const PORTS: [u16; 3] = [53, 5353, 15053];
const RING: u32 = 1 << 20;

/// Runs a packet, asserts the expected result, and returns it.
#[track_caller]
fn run(kernel: &mut Kernel, packet: &[u8]) -> Fate {
    let outcome = kernel.run(packet);
    let fate = fate(packet, &PORTS);
    fate.check(&outcome);
    fate
}

/// Runs a packet, and asserts that this payload is forwarded.
#[track_caller]
fn arrives(kernel: &mut Kernel, packet: &Packet) {
    match run(kernel, &packet.bytes()) {
        Fate::Told(told) => {
            assert_eq!(told.payload, packet.payload);
            assert_eq!((told.server_port, told.client_port), (packet.server_port, packet.client_port));
        }
        other => panic!("{other:?}: {packet:?}"),
    }
}

/// IPv4 with all lengths of options, and IPv6 with all kinds of extensions.
fn carriers(packet: &Packet) -> Vec<Packet> {
    let v4 = (0..=10).map(|words| Packet { options: vec![1; words * 4], ..packet.clone() });
    let lists: [&[(u8, usize)]; 6] =
        [&[], &[(0, 8)], &[(60, 16), (43, 24)], &[(44, 8)], &[(0, 2048)], &[(0, 8), (43, 8), (44, 8)]];
    let v6 = lists.map(|list| Packet { extensions: list.to_vec(), ..packet.clone().v6() });
    v4.chain(v6).collect()
}

#[test]
fn answers_arrive_whatever_carries_them() {
    let mut kernel = Kernel::new(&PORTS, RING);
    let message = addresses(5);
    let options = |words: usize| Transport::Tcp { sequence: 7, flags: ACK, options: vec![1; words * 4] };
    let segments = [0, 3, 10].map(|words| Packet { transport: options(words), ..Packet::udp(&message) });
    for packet in segments.iter().chain([&Packet::udp(&message)]).flat_map(carriers) {
        for port in PORTS {
            arrives(&mut kernel, &Packet { server_port: port, ..packet.clone() });
        }
    }
}

#[test]
fn answers_of_any_length_arrive() {
    let mut kernel = Kernel::new(&PORTS, RING);
    for length in [3, 12, 100, 511, 512, 513, 1023, 1024, 1535, 1536, 1537, 3000] {
        let message = of_length(length);
        for packet in [Packet::udp(&message), Packet::tcp(u32::MAX - 10, ACK, &message)] {
            arrives(&mut kernel, &packet);
            arrives(&mut kernel, &packet.v6());
        }
    }
}

#[test]
fn what_is_no_answer_is_counted() {
    let mut kernel = Kernel::new(&PORTS, RING);
    let question = samples().into_iter().find(|message| message[2] & 0x80 == 0).unwrap();
    for payload in [&question[..], &question[..3], &[0x12, 0x34], &[0x12], &[]] {
        assert_eq!(run(&mut kernel, &Packet::udp(payload).bytes()), Fate::NotAnswer);
        assert_eq!(run(&mut kernel, &Packet::udp(payload).v6().bytes()), Fate::NotAnswer);
    }
    let segment = Packet::tcp(1, ACK, &[]).bytes();
    for header in [4, 8, 12, 13] {
        assert_eq!(
            run(&mut kernel, &segment[..20 + header]),
            Fate::NotAnswer,
            "{header} bytes of a TCP header"
        );
    }
}

#[test]
fn the_ends_of_a_stream_are_told_and_acknowledgements_are_not() {
    let mut kernel = Kernel::new(&PORTS, RING);
    assert_eq!(run(&mut kernel, &Packet::tcp(1, ACK, &[]).bytes()), Fate::Nothing);
    for flags in [1, SYN, 4, SYN | ACK, 1 | ACK] {
        arrives(&mut kernel, &Packet::tcp(99, flags, &[]));
        arrives(&mut kernel, &Packet::tcp(99, flags, b"data with it"));
    }
}

#[test]
fn what_is_no_dns_is_passed_over() {
    let mut kernel = Kernel::new(&PORTS, RING);
    let answer = Packet::udp(&addresses(2));
    let mut others = vec![
        Packet { server_port: 54, ..answer.clone() }.bytes(),
        Packet { server_port: 0, ..answer.clone() }.bytes(),
        Packet { server_port: 40_000, client_port: 53, ..answer.clone() }.v6().bytes(),
        // One extension header too many.
        Packet { extensions: vec![(60, 8); 4], ..answer.clone().v6() }.bytes(),
    ];
    for (first, protocol) in [(0x45, 1), (0x45, 132), (0x05, 17), (0x55, 17), (0xf5, 17)] {
        let mut bytes = answer.bytes();
        (bytes[0], bytes[9]) = (first, protocol);
        others.push(bytes);
    }
    for packet in others {
        assert_eq!(run(&mut kernel, &packet), Fate::PassedOver);
    }
}

#[test]
fn a_packet_may_end_anywhere_and_lie_about_its_lengths() {
    let mut kernel = Kernel::new(&PORTS, RING);
    let message = addresses(2);
    let shapes = [Packet::udp(&message), Packet::tcp(1, ACK, &message)];
    for packet in shapes.iter().flat_map(carriers) {
        let whole = packet.bytes();
        let headers = whole.len() - message.len();
        // BPF_PROG_TEST_RUN rejects a packet that ends within the IP header; so does the kernel, long before the hook.
        let ip_header = if packet.is_v6() { 40 } else { 20 };
        for end in (ip_header..headers + 4).chain([whole.len() - 1]) {
            run(&mut kernel, &whole[..end]);
        }
        // Every byte of a length field: of the IP header, of the packet, of an extension, of the TCP header.
        let (first, places) =
            if packet.is_v6() { (0x60, [4, 5, 41, headers - 8]) } else { (0x40, [0, 2, 3, headers - 8]) };
        for (place, value) in places.into_iter().flat_map(|place| [(place, 0), (place, 0x0f), (place, 0xff)])
        {
            let mut lying = whole.clone();
            lying[place] = value;
            lying[0] = first | lying[0] & 0x0f;
            run(&mut kernel, &lying);
        }
    }
}

#[test]
fn a_full_ring_is_counted() {
    let mut kernel = Kernel::new(&PORTS, 4096);
    let packet = Packet::udp(&addresses(5)).bytes();
    for _ in 0..100 {
        kernel.pass(&packet);
    }
    let outcome = kernel.take();
    let told = u64::try_from(outcome.records.len()).unwrap();
    assert!(told > 0 && told < 100);
    assert_eq!(outcome.counted, [("dns_ring_full", 100 - told)].into());
}
