//! Reassembles any segments of any streams: buffers stay within their bounds, losses are counted, and messages that
//! arrive completely, however cut and shuffled, come out as they were sent.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use headless_obs::dns::tcp_stream::{Limits, Segment, StreamKey, Streams, flags};
use headless_obs::time::Time;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// A segment of some stream.
#[derive(Arbitrary, Debug)]
struct Arrival<'a> {
    stream: u8,
    sequence: u32,
    flags: u8,
    cut: u8,
    after_ms: u16,
    payload: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Case<'a> {
    /// Arbitrary segments.
    Hostile(Vec<Arrival<'a>>),
    /// Messages of a server, cut at these lengths; a `true` swaps two neighbours.
    Whole { sequence: u32, messages: Vec<&'a [u8]>, cuts: Vec<u8>, swaps: Vec<bool> },
}

/// Small, so that the inputs reach them.
const LIMITS: Limits = Limits {
    streams: 8,
    bytes: 4096,
    out_of_order: 1024,
    gap: Duration::from_millis(500),
    idle: Duration::from_secs(5),
};

fuzz_target!(|case: Case<'_>| match case {
    Case::Hostile(arrivals) => hostile(&arrivals),
    Case::Whole { sequence, messages, cuts, swaps } => whole(sequence, &messages, &cuts, &swaps),
});

fn key(stream: u8) -> StreamKey {
    let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, stream)), 40_000);
    StreamKey { cgroup: 1, client, server: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 53) }
}

fn hostile(arrivals: &[Arrival<'_>]) {
    let mut streams = Streams::new(LIMITS);
    let (mut now, mut sent, mut received, mut messages) = (Time(1), 0, 0, 0);
    for arrival in arrivals {
        now = Time(now.0 + u64::from(arrival.after_ms) * 1_000_000);
        sent += arrival.payload.len();
        let segment = Segment {
            sequence: arrival.sequence,
            flags: arrival.flags,
            cut: u16::from(arrival.cut),
            payload: arrival.payload,
        };
        streams.push(now, key(arrival.stream), segment, |message| {
            received += message.len() + 2;
            messages += 1;
        });
        assert!(streams.len() <= LIMITS.streams, "{} streams", streams.len());
        assert!(streams.bytes() <= LIMITS.bytes, "{} bytes", streams.bytes());
        assert!(received <= sent, "{received} of {sent}");
        assert_eq!(streams.stats().messages, messages);
    }
    streams.expire(Time(now.0 + 3_600_000_000_000));
    assert!(streams.is_empty() && streams.bytes() == 0, "nothing is kept for ever");
}

fn whole(sequence: u32, messages: &[&[u8]], cuts: &[u8], swaps: &[bool]) {
    // As many as fit into the bounds: this case tests the order, not the bounds.
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    // Data shorter than a header are no message.
    for message in messages.iter().filter(|message| message.len() >= 12) {
        if bytes.len() + 2 + message.len() > LIMITS.out_of_order / 2 {
            break;
        }
        bytes.extend(u16::try_from(message.len()).unwrap_or_default().to_be_bytes());
        bytes.extend(*message);
        expected.push(message.to_vec());
    }
    let mut segments = Vec::new();
    let (mut rest, mut at) = (&bytes[..], sequence.wrapping_add(1));
    for length in cuts.iter().take(16).map(|&cut| usize::from(cut) + 1).chain([usize::MAX]) {
        let (piece, left) = rest.split_at(length.min(rest.len()));
        if !piece.is_empty() {
            segments.push((at, piece));
        }
        at = at.wrapping_add(u32::try_from(piece.len()).unwrap_or_default());
        rest = left;
    }
    for (place, _) in swaps.iter().enumerate().filter(|(_, swap)| **swap) {
        if place + 1 < segments.len() {
            segments.swap(place, place + 1);
        }
    }
    let mut streams = Streams::new(LIMITS);
    let mut received = Vec::new();
    let mut push = |sequence, flags, payload: &[u8]| {
        let segment = Segment { sequence, flags, cut: 0, payload };
        streams.push(Time(1), key(1), segment, |message| received.push(message.to_vec()));
    };
    push(sequence, flags::SYN, &[]);
    segments.iter().for_each(|(sequence, payload)| push(*sequence, 0, payload));
    assert_eq!(received, expected);
    assert_eq!(streams.stats().losses().iter().map(|(_, lost)| lost).sum::<u64>(), 0);
}
