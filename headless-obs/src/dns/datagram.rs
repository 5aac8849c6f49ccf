//! Datagrams out of the pieces in which the kernel programs copy long ones.
//!
//! In: pieces in the order of their records. Out: whole datagrams. Pieces of other datagrams may come in between,
//! because other processors write records at the same time.
//!
//! Invariants: the number of unfinished datagrams and their length are bounded. A datagram is passed on whole or not at
//! all; one that has no room, or whose beginning is missing, is counted. If the kernel programs lose a piece, they count
//! that, and send no further ones.

use std::collections::VecDeque;

use super::tcp_stream::StreamKey;
use crate::time::Time;

/// The most unfinished datagrams; a processor writes one at a time.
const UNFINISHED: usize = 256;
/// The most bytes of a datagram.
const LONGEST: usize = u16::MAX as usize;

/// A part of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The time at which the datagram arrived; identifies it together with the addresses.
    pub at: Time,
    /// Receiver and sender.
    pub key: StreamKey,
    /// Position of the payload.
    pub offset: u32,
    /// Bytes of the datagram in further pieces.
    pub following: u32,
    /// The payload.
    pub payload: &'a [u8],
}

/// The unfinished datagrams.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// The oldest first.
    unfinished: VecDeque<(Time, StreamKey, Vec<u8>)>,
    incomplete: u64,
}

impl Datagrams {
    /// Takes a piece; returns the datagram that it completes. False if the datagram was lost.
    pub fn push(&mut self, piece: Piece<'_>, sink: impl FnOnce(&[u8])) -> bool {
        let Piece { at, key, offset, following, payload } = piece;
        if offset == 0 && following == 0 {
            sink(payload);
            return true;
        }
        let known = self.unfinished.iter().position(|(since, of, _)| (*since, *of) == (at, key));
        let known = known.and_then(|place| self.unfinished.remove(place));
        let mut bytes = match known {
            Some((.., bytes)) if Ok(bytes.len()) == usize::try_from(offset) => bytes,
            None if offset == 0 => Vec::new(),
            _ => return self.lose(),
        };
        let following = usize::try_from(following).unwrap_or(usize::MAX);
        if bytes.len().saturating_add(payload.len()).saturating_add(following) > LONGEST {
            return self.lose();
        }
        bytes.reserve_exact(payload.len() + following);
        bytes.extend_from_slice(payload);
        if following == 0 {
            sink(&bytes);
            return true;
        }
        self.unfinished.push_back((at, key, bytes));
        // The oldest one lacks a piece that the kernel programs lost.
        if self.unfinished.len() > UNFINISHED {
            self.unfinished.pop_front();
        }
        true
    }

    /// Datagrams that were lost here.
    pub fn incomplete(&self) -> u64 {
        self.incomplete
    }

    fn lose(&mut self) -> bool {
        self.incomplete += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    fn key(port: u16) -> StreamKey {
        let client = SocketAddr::from(([10, 0, 0, 1], port));
        StreamKey { cgroup: 1, client, server: SocketAddr::from(([10, 96, 0, 10], 53)) }
    }

    /// The pieces of a datagram, as the kernel programs make them.
    fn pieces(at: u64, port: u16, bytes: &[u8], most: usize) -> Vec<(u64, u16, u32, u32, Vec<u8>)> {
        let chunks = bytes.chunks(most).enumerate();
        let size = |length: usize| u32::try_from(length).unwrap();
        let after = |place: usize, chunk: &[u8]| size(bytes.len() - place * most - chunk.len());
        chunks
            .map(|(place, chunk)| (at, port, size(place * most), after(place, chunk), chunk.to_vec()))
            .collect()
    }

    fn push(
        datagrams: &mut Datagrams,
        piece: &(u64, u16, u32, u32, Vec<u8>),
        got: &mut Vec<Vec<u8>>,
    ) -> bool {
        let (at, port, offset, following, payload) = piece;
        let piece = Piece { at: Time(*at), key: key(*port), offset: *offset, following: *following, payload };
        datagrams.push(piece, |bytes| got.push(bytes.to_vec()))
    }

    proptest! {
        #[test]
        fn datagrams_are_whole_in_whatever_way_their_pieces_are_mixed(
            lengths in prop::collection::vec(1_usize..400, 1..8), choices in prop::collection::vec(any::<u8>(), 400)
        ) {
            let bytes = |(length, step): (&usize, u8)| -> Vec<u8> {
                (0..*length).scan(0_u8, |byte, _| { *byte = byte.wrapping_add(step); Some(*byte) }).collect()
            };
            let mut sent: Vec<Vec<u8>> = lengths.iter().zip(1..).map(bytes).collect();
            // Two datagrams at a time have one socket, and two have one time.
            let mut queues: Vec<VecDeque<_>> =
                sent.iter().zip(0_u16..).map(|(bytes, n)| pieces(u64::from(n / 2), n % 2, bytes, 64).into()).collect();
            let (mut datagrams, mut got) = (Datagrams::default(), Vec::new());
            let mut choices = choices.into_iter().cycle();
            while queues.iter().any(|queue| !queue.is_empty()) {
                let queue = usize::from(choices.next().unwrap()) % queues.len();
                queues.rotate_left(queue);
                let Some(next) = queues.iter_mut().find_map(VecDeque::pop_front) else { break };
                prop_assert!(push(&mut datagrams, &next, &mut got));
            }
            got.sort();
            sent.sort();
            prop_assert_eq!(got, sent);
            prop_assert!(datagrams.unfinished.is_empty());
        }
    }

    #[test]
    fn datagrams_without_beginning_or_beyond_the_limits_are_lost_and_counted() {
        let (mut datagrams, mut got) = (Datagrams::default(), Vec::new());
        let [first, second, third] = &pieces(1, 1, &[7; 150], 64)[..] else { panic!("three pieces") };
        assert!(!push(&mut datagrams, second, &mut got), "the beginning is missing");
        assert!(push(&mut datagrams, first, &mut got));
        assert!(!push(&mut datagrams, third, &mut got), "the middle is missing");
        assert!(!push(&mut datagrams, &(2, 1, 0, u32::MAX, vec![0; 10]), &mut got), "too long");
        assert!(push(&mut datagrams, &(2, 1, 0, 65_525, vec![0; 10]), &mut got));
        assert_eq!((got.len(), datagrams.incomplete(), datagrams.unfinished.len()), (0, 3, 1));
        for at in 0..1_000 {
            push(&mut datagrams, &(at, 9, 0, 1, vec![0; 10]), &mut got);
        }
        assert_eq!((datagrams.unfinished.len(), got.len()), (UNFINISHED, 0));
    }
}
