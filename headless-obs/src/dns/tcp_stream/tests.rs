//! Streams split, shuffled, repeated and broken, put together again.

use proptest::prelude::*;

use super::flags::{FIN, RST, SYN};
use super::*;

const START: Time = Time(1_000_000_000);

fn key(client_port: u16) -> StreamKey {
    StreamKey {
        cgroup: 1,
        client: SocketAddr::from(([10, 244, 0, 9], client_port)),
        server: SocketAddr::from(([10, 96, 0, 10], 53)),
    }
}

/// A message of `length` bytes whose header is that of an answer and whose end is `mark`.
fn message(length: usize, mark: u8) -> Vec<u8> {
    let mut message = vec![0, mark, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.resize(length, mark);
    message
}

/// Messages as they are sent, each after its length.
fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame =
        |message: &Vec<u8>| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    messages.iter().flat_map(frame).collect()
}

/// Streams, and the messages they handed on.
struct Rig {
    streams: Streams,
    now: Time,
    got: Vec<Vec<u8>>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        Self { streams: Streams::new(limits), now: START, got: Vec::new() }
    }

    fn push(&mut self, key: StreamKey, sequence: u32, flags: u8, cut: u16, payload: &[u8]) {
        let segment = Segment { sequence, flags, cut, payload };
        self.streams.push(self.now, key, segment, |message| self.got.push(message.to_vec()));
        let held: usize = self.streams.streams.values().map(|stream| stream.flow.held()).sum();
        assert_eq!(held, self.streams.bytes());
        assert!(held <= self.streams.limits.bytes);
        assert!(self.streams.len() <= self.streams.limits.streams);
        assert_eq!(self.streams.order.len(), self.streams.len());
    }

    fn data(&mut self, sequence: u32, payload: &[u8]) {
        self.push(key(1), sequence, 0, 0, payload);
    }

    /// Compares the messages that were passed on, and prints only a few of them.
    fn got(&self, expected: &[Vec<u8>]) {
        let brief = |messages: &[Vec<u8>]| -> Vec<_> {
            messages.iter().map(|message| (message.len(), message.last().copied())).collect()
        };
        assert_eq!(brief(&self.got), brief(expected));
        assert!(self.got == expected, "the bytes differ");
    }

    /// The losses by name, without the zeros.
    fn losses(&self) -> Vec<(&'static str, u64)> {
        self.streams.stats().losses().into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

fn rig() -> Rig {
    Rig::new(Limits::default())
}

#[test]
fn whole_messages_pass_without_being_buffered() {
    let mut rig = rig();
    let messages = [message(12, 1), message(300, 2), message(4000, 3)];
    rig.push(key(1), 99, SYN, 0, &[]);
    rig.data(100, &framed(&messages[..1]));
    rig.data(114, &framed(&messages[1..]));
    assert_eq!(rig.streams.bytes(), 0);
    rig.got(&messages);
    assert_eq!(rig.losses(), []);
    assert_eq!(rig.streams.stats().messages, 3);
}

#[test]
fn every_split_of_two_messages() {
    let messages = vec![message(12, 1), message(40, 2)];
    let bytes = framed(&messages);
    for split in 1..bytes.len() {
        let mut rig = rig();
        rig.push(key(1), u32::MAX, SYN, 0, &[]);
        rig.data(0, &bytes[..split]);
        rig.push(key(1), u32::try_from(split).unwrap(), FIN, 0, &bytes[split..]);
        rig.got(&messages);
        assert_eq!(rig.losses(), []);
    }
}

#[test]
fn largest_message() {
    let messages = [message(65_535, 1)];
    let bytes = framed(&messages);
    let mut rig = rig();
    for (place, part) in bytes.chunks(1448).enumerate() {
        rig.data(u32::try_from(place * 1448).unwrap(), part);
    }
    rig.got(&messages);
    assert_eq!(rig.streams.bytes(), 0);
}

#[test]
fn retransmissions_yield_nothing_new() {
    let messages = vec![message(50, 1), message(60, 2)];
    let bytes = framed(&messages);
    let mut rig = rig();
    rig.push(key(1), 9, SYN, 0, &[]);
    rig.push(key(1), 9, SYN, 0, &[]);
    rig.data(10, &bytes[..70]);
    rig.push(key(1), 9, SYN, 0, &[]);
    rig.data(10, &bytes[..70]);
    rig.data(40, &bytes[30..]);
    rig.push(key(1), 10 + u32::try_from(bytes.len()).unwrap(), FIN, 0, &[]);
    rig.data(10, &bytes);
    rig.got(&messages);
    assert_eq!(rig.losses(), []);
}

#[test]
fn joined_in_the_middle_of_a_stream() {
    let messages = vec![message(50, 1), message(60, 2)];
    let mut rig = rig();
    rig.data(777, &framed(&messages));
    rig.got(&messages);

    // In the middle of a message: dropped until a message begins a segment.
    rig.push(key(2), 777, 0, 0, &[9; 100]);
    rig.push(key(2), 877, 0, 0, &[0; 100]);
    assert_eq!(rig.losses(), [("tcp_unsynced", 2)]);
    rig.push(key(2), 977, 0, 0, &framed(&messages[..1]));
    assert_eq!(rig.got.len(), 3);
    assert_eq!(rig.streams.bytes(), 0);
}

#[test]
fn a_length_that_cannot_be_loses_the_place_only() {
    let messages = [message(50, 1)];
    let mut rig = rig();
    rig.push(key(1), 9, SYN, 0, &[]);
    rig.data(10, &[0, 11, 1, 2, 3]);
    rig.data(15, &framed(&messages));
    rig.got(&messages);
    assert_eq!(rig.losses(), [("tcp_unsynced", 1)]);
}

#[test]
fn a_gap_is_filled_or_given_up() {
    let messages = vec![message(50, 1), message(60, 2), message(70, 3)];
    let bytes = framed(&messages);
    let mut filled = rig();
    filled.push(key(1), 9, SYN, 0, &[]);
    filled.data(62, &bytes[52..]);
    assert!(filled.got.is_empty() && filled.streams.bytes() > 0);
    filled.data(10, &bytes[..52]);
    filled.got(&messages);
    assert_eq!((filled.losses(), filled.streams.bytes()), (vec![], 0));

    let mut late = rig();
    late.push(key(1), 9, SYN, 0, &[]);
    late.data(62, &bytes[52..114]);
    late.now = late.now.plus(Limits::default().gap).plus(Duration::from_nanos(1));
    late.data(124, &bytes[114..]);
    late.got(&messages[1..]);
    assert_eq!((late.losses(), late.streams.bytes()), (vec![("tcp_gap", 1)], 0));
}

#[test]
fn too_much_behind_a_gap() {
    let messages: Vec<_> = (0..80).map(|mark| message(20, mark)).collect();
    let mut many = rig();
    many.push(key(1), 9, SYN, 0, &[]);
    for (place, message) in (0_u32..).zip(&messages) {
        many.data(1000 + 22 * place, &framed(std::slice::from_ref(message)));
    }
    many.got(&messages);
    assert_eq!(many.losses(), [("tcp_overflow", 1)]);

    let mut large = Rig::new(Limits { out_of_order: 3000, ..Limits::default() });
    large.push(key(1), 9, SYN, 0, &[]);
    let messages = [message(2000, 1), message(1200, 2), message(5000, 3)];
    large.data(20_000, &framed(&messages[..1]));
    large.data(10_000, &framed(&messages[1..2]));
    large.data(30_000, &framed(&messages[2..]));
    large.data(35_002, &framed(&messages[..1]));
    large.got(&[&messages[1..2], &messages[..1], &messages[2..], &messages[..1]].concat());
    assert_eq!(large.losses(), [("tcp_overflow", 3)]);
}

#[test]
fn a_cut_segment_is_counted_and_the_next_one_joined() {
    let messages = [message(50, 1), message(60, 2)];
    let mut rig = rig();
    rig.push(key(1), 9, SYN, 0, &[]);
    rig.push(key(1), 10, 0, 500, &[&framed(&messages[..1])[..], &[9, 9, 9]].concat());
    rig.data(565, &framed(&messages[1..]));
    rig.got(&messages);
    assert_eq!((rig.losses(), rig.streams.bytes()), (vec![("tcp_cut", 1)], 0));
}

#[test]
fn ends_of_streams() {
    let messages = vec![message(50, 1)];
    let bytes = framed(&messages);
    let begun = || {
        let mut rig = rig();
        rig.push(key(1), 9, SYN, 0, &[]);
        rig.data(10, &bytes[..30]);
        rig
    };
    let check = |rig: &Rig, streams| {
        assert_eq!((rig.streams.len(), rig.streams.bytes()), (streams, 0));
        assert_eq!(rig.losses(), [("tcp_incomplete", 1)]);
    };

    let mut rig = begun();
    rig.push(key(1), 40, FIN, 0, &[]);
    check(&rig, 1);

    let mut rig = begun();
    rig.push(key(1), 40, RST, 0, &[]);
    check(&rig, 0);

    let mut rig = begun();
    rig.now = rig.now.plus(Limits::default().idle).plus(Duration::from_nanos(1));
    rig.streams.expire(rig.now);
    check(&rig, 0);

    // The port is used again, with and without the SYN being seen.
    let mut rig = begun();
    rig.push(key(1), 5000, SYN, 0, &[]);
    rig.data(5001, &bytes);
    check(&rig, 1);
    rig.got(&messages);

    let mut rig = begun();
    rig.data(0x7000_0000, &bytes);
    check(&rig, 1);
    rig.got(&messages);
}

#[test]
fn acknowledgements_make_no_streams() {
    let mut rig = rig();
    rig.data(10, &[]);
    rig.push(key(1), 10, FIN, 0, &[]);
    rig.push(key(1), 10, RST, 0, &[]);
    assert!(rig.streams.is_empty());
    assert_eq!(rig.losses(), []);
}

#[test]
fn the_oldest_stream_makes_room() {
    let bytes = framed(&[message(2000, 1)]);
    let mut rig = Rig::new(Limits { streams: 3, bytes: 4096, ..Limits::default() });
    for port in 1..=4 {
        rig.push(key(port), 10, 0, 0, &bytes[..20]);
    }
    assert_eq!(rig.streams.len(), 3);
    assert_eq!(rig.losses(), [("tcp_evicted", 1)]);
    // By bytes: the third segment is too much for the three.
    for port in 2..=4 {
        rig.push(key(port), 30, 0, 0, &bytes[20..1500]);
    }
    assert_eq!(rig.losses(), [("tcp_evicted", 2)]);
    rig.push(key(4), 1510, 0, 0, &bytes[1500..]);
    assert_eq!(rig.got.len(), 1);
    // Streams that hold nothing are no loss.
    for port in 5..=9 {
        rig.push(key(port), 10, SYN, 0, &[]);
    }
    assert_eq!(rig.losses(), [("tcp_evicted", 3)]);
}

/// Segments of a stream: each byte at least once, in any order, some repeated with other boundaries.
fn shuffled(length: usize) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let range = (0..length, 0..length).prop_map(|(one, other)| (one.min(other), one.max(other) + 1));
    let cuts = prop::collection::btree_set(1..length, 0..30);
    let segments = (cuts, prop::collection::vec(range, 0..20)).prop_map(move |(cuts, again)| {
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([length]);
        starts.zip(ends).chain(again).collect::<Vec<_>>()
    });
    segments.prop_shuffle()
}

proptest! {
    #[test]
    fn any_order_gives_the_same_messages(
        (messages, segments) in prop::collection::vec((12..3000_usize, any::<u8>()), 1..8)
            .prop_flat_map(|lengths| {
                let messages: Vec<_> = lengths.iter().map(|&(length, mark)| message(length, mark)).collect();
                let length = framed(&messages).len();
                (Just(messages), shuffled(length))
            }),
        first in prop_oneof![any::<u32>(), u32::MAX - 20_000..=u32::MAX],
    ) {
        let bytes = framed(&messages);
        let mut rig = Rig::new(Limits { out_of_order: 1 << 20, ..Limits::default() });
        rig.push(key(1), first.wrapping_sub(1), SYN, 0, &[]);
        for (start, end) in segments {
            let sequence = first.wrapping_add(u32::try_from(start).unwrap());
            rig.data(sequence, &bytes[start..end]);
        }
        rig.got(&messages);
        prop_assert_eq!(rig.losses(), []);
        prop_assert_eq!(rig.streams.bytes(), 0);
    }

    #[test]
    fn hostile_segments_stay_within_the_bounds(
        segments in prop::collection::vec(
            (
                1..6_u16,
                prop_oneof![0..9000_u32, any::<u32>()],
                prop_oneof![8 => Just(0), 1 => any::<u8>()],
                prop_oneof![8 => Just(0), 1 => any::<u16>()],
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..400),
                    (12..3000_usize, any::<u8>(), 1..4000_usize).prop_map(|(length, mark, shown)| {
                        let mut bytes = framed(&[message(length, mark)]);
                        bytes.truncate(shown);
                        bytes
                    }),
                ],
                0..3_000_000_000_u64,
            ),
            1..200,
        ),
    ) {
        let limits = Limits { streams: 4, bytes: 16 << 10, out_of_order: 8 << 10, ..Limits::default() };
        let mut rig = Rig::new(limits);
        for (port, sequence, flags, cut, payload, wait) in segments {
            rig.now = rig.now.plus(Duration::from_nanos(wait));
            rig.push(key(port), sequence, flags, cut, &payload);
        }
        rig.streams.expire(rig.now.plus(Duration::from_hours(1)));
        prop_assert!(rig.streams.is_empty());
        prop_assert_eq!(rig.streams.bytes(), 0);
        prop_assert!(rig.got.iter().all(|message| message.len() >= 12));
    }
}
