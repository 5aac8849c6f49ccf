//! The expected effects of a packet, by a parser that shares no code with the kernel program.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use headless_obs_ebpf::ring_record::{DNS_CHUNKS, DNS_MAX, DnsRecord};

use crate::Outcome;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// The expected treatment of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No IP, no transport that carries DNS, or not from a DNS port.
    PassedOver,
    /// A TCP segment that neither carries anything nor begins or ends a stream.
    Nothing,
    /// From a DNS port but no response: counted.
    NotAnswer,
    /// Forwarded to user space.
    Told(Told),
}

/// The expected content in user space.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) server: Ipv6Addr,
    pub(crate) client: Ipv6Addr,
    pub(crate) server_port: u16,
    pub(crate) client_port: u16,
    pub(crate) protocol: u8,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) payload: Vec<u8>,
}

/// Reads a packet.
pub(crate) fn fate(packet: &[u8], ports: &[u16]) -> Fate {
    read(packet, ports).unwrap_or(Fate::PassedOver)
}

/// `None`: the packet ends before its port is known.
fn read(packet: &[u8], ports: &[u16]) -> Option<Fate> {
    let (server, client, protocol, transport) = ends(packet)?;
    if protocol != 6 && protocol != 17 {
        return None;
    }
    let segment = packet.get(transport..)?;
    let number = |at: usize| Some(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?]));
    let (server_port, client_port) = (number(0)?, number(2)?);
    if !ports.contains(&server_port) {
        return None;
    }
    let told = Told {
        server,
        client,
        server_port,
        client_port,
        protocol,
        flags: 0,
        sequence: 0,
        payload: Vec::new(),
    };
    if protocol == 17 {
        let Some([_, _, third, ..]) = segment.get(8..) else { return Some(Fate::NotAnswer) };
        if third & 0x80 == 0 {
            return Some(Fate::NotAnswer);
        }
        return Some(Fate::Told(Told { payload: segment[8..].to_vec(), ..told }));
    }
    let Some(header) = segment.get(..14) else { return Some(Fate::NotAnswer) };
    let payload = segment.get(usize::from(header[12] >> 4) * 4..).unwrap_or_default().to_vec();
    let flags = header[13];
    if payload.is_empty() && flags & (FIN | SYN | RST) == 0 {
        return Some(Fate::Nothing);
    }
    let sequence = u32::from_be_bytes(header[4..8].try_into().ok()?);
    Some(Fate::Told(Told { flags, sequence, payload, ..told }))
}

/// Source, destination, protocol, and the offset of the transport header.
fn ends(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, u8, usize)> {
    Some(match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| {
                Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?).to_ipv6_mapped())
            };
            (address(12)?, address(16)?, *packet.get(9)?, usize::from(packet[0] & 15) * 4)
        }
        6 => {
            let address =
                |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            let (protocol, transport) = after_extensions(packet)?;
            (address(8)?, address(24)?, protocol, transport)
        }
        _ => return None,
    })
}

/// Id, client, server and its port.
pub(crate) type Question = (u16, Ipv6Addr, Ipv6Addr, u16);

/// The query in a packet to one server, sent by an unconnected socket.
pub(crate) fn question(packet: &[u8], ports: &[u16]) -> Option<Question> {
    let (client, server, protocol, transport) = ends(packet)?;
    let message = packet.get(transport + 8..)?;
    let port = u16::from_be_bytes([packet[transport + 2], packet[transport + 3]]);
    let is_multicast =
        server.is_multicast() || server.to_ipv4_mapped().is_some_and(|server| server.is_multicast());
    let is_question = message.len() >= 12 && message[2] < 0x80;
    let is_noted = protocol == 17 && ports.contains(&port) && is_question && !is_multicast;
    is_noted.then(|| (u16::from_be_bytes([message[0], message[1]]), client, server, port))
}

/// The programs skip up to three extension headers.
fn after_extensions(packet: &[u8]) -> Option<(u8, usize)> {
    let (mut next, mut at) = (*packet.get(6)?, 40);
    for _ in 0..3 {
        let length = match next {
            0 | 43 | 60 => (usize::from(*packet.get(at + 1)?) + 1) * 8,
            44 => 8,
            _ => break,
        };
        next = *packet.get(at)?;
        at += length;
    }
    Some((next, at))
}

impl Fate {
    /// Asserts that the program behaved as expected.
    pub(crate) fn check(&self, outcome: &Outcome) {
        let counted = |name| BTreeMap::from([(name, 1)]);
        match self {
            Self::PassedOver | Self::Nothing => assert_eq!(*outcome, Outcome::default()),
            Self::NotAnswer => {
                assert_eq!(*outcome, Outcome { counted: counted("dns_not_answer"), ..Outcome::default() });
            }
            Self::Told(told) => {
                let cut = told.payload.len().saturating_sub(DNS_CHUNKS * DNS_MAX);
                let expected = if cut > 0 { counted("dns_cut") } else { BTreeMap::new() };
                assert_eq!(outcome.counted, expected);
                told.check(&outcome.records, cut);
            }
        }
    }
}

impl Told {
    fn check(&self, records: &[(DnsRecord, Vec<u8>)], cut: usize) {
        let copied = &self.payload[..self.payload.len() - cut];
        // An empty payload is forwarded, too.
        let chunks: Vec<&[u8]> = if copied.is_empty() { vec![&[]] } else { copied.chunks(DNS_MAX).collect() };
        assert_eq!(records.len(), chunks.len());
        for (place, ((record, payload), chunk)) in records.iter().zip(&chunks).enumerate() {
            let is_last = place + 1 == chunks.len();
            assert_eq!(payload, chunk);
            assert_eq!(usize::from(record.truncated_len), if is_last { cut } else { 0 });
            assert_eq!((record.server, record.client), (self.server.octets(), self.client.octets()));
            assert_eq!((record.server_port, record.client_port), (self.server_port, self.client_port));
            let following = if is_last { 0 } else { self.payload.len() - (place + 1) * DNS_MAX };
            assert_eq!((record.protocol, record.following as usize), (self.protocol, following));
            assert_eq!(record.header.time, records[0].0.header.time);
            // A stream begins before its first byte and ends after its last one.
            let mut flags = self.flags;
            let mut sequence = self.sequence.wrapping_add(u32::try_from(place * DNS_MAX).unwrap());
            if place > 0 && flags & SYN != 0 {
                (flags, sequence) = (flags & !SYN, sequence.wrapping_add(1));
            }
            if !is_last {
                flags &= !(FIN | RST);
            }
            assert_eq!((record.tcp_flags, record.sequence), (flags, sequence), "record {place}");
            assert!(record.header.time > 0 && record.header.cgroup > 0);
        }
    }
}
