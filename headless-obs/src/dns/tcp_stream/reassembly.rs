//! One direction of one TCP connection: segments in any order to messages in order.

use std::mem;

use super::{Limits, Segment, StreamStats, flags};
use crate::time::Time;

/// A segment further than this from the expected sequence number belongs to another connection with the same addresses
/// and ports. The limit is more than a receive window of DNS and a tiny part of the sequence numbers.
const FAR: u32 = 1 << 20;

/// Size of the length prefix.
const PREFIX: usize = 2;

/// The shortest message: a header.
const SHORTEST: usize = 12;

/// The most segments of one stream that wait for those before them.
const MAX_WAITING: usize = 64;

/// Memory of a waiting segment, apart from its bytes.
const OVERHEAD: usize = size_of::<Waiting>();

/// Data that cannot begin a message.
struct Nonsense;

/// The state of a stream.
#[derive(Default)]
pub(super) struct Reassembly {
    /// Sequence number of the first byte after the SYN, if that was seen.
    first: Option<u32>,
    /// The expected sequence number; none: join at the next segment.
    next: Option<u32>,
    /// Whether message boundaries are known, not guessed.
    sure: bool,
    /// The beginning of a message, with its prefix.
    partial: Vec<u8>,
    /// Segments that arrived early, in the order of the stream.
    waiting: Vec<Waiting>,
    /// Since when the first of them has been waiting for the gap before it.
    since: Time,
}

/// A segment that arrived early.
struct Waiting {
    sequence: u32,
    cut: u16,
    payload: Vec<u8>,
}

/// The distance of `sequence` ahead of `from`; negative: behind.
fn ahead(from: u32, sequence: u32) -> i32 {
    sequence.wrapping_sub(from).cast_signed()
}

/// Sequence number of the byte after `payload`.
fn end(sequence: u32, payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).map_or(sequence, |length| sequence.wrapping_add(length))
}

/// The sink and the counters for the results of a segment.
struct Outcome<'a, S> {
    now: Time,
    limits: &'a Limits,
    stats: &'a mut StreamStats,
    sink: S,
}

impl Reassembly {
    /// Takes a segment without RST.
    pub(super) fn accept(
        &mut self,
        now: Time,
        segment: Segment<'_>,
        limits: &Limits,
        stats: &mut StreamStats,
        sink: impl FnMut(&[u8]),
    ) {
        let mut outcome = Outcome { now, limits, stats, sink };
        let Segment { mut sequence, cut, payload, .. } = segment;
        if segment.flags & flags::SYN != 0 {
            sequence = sequence.wrapping_add(1);
            if self.first != Some(sequence) {
                self.count_unfinished(outcome.stats);
                *self = Self { first: Some(sequence), next: Some(sequence), sure: true, ..Self::default() };
            }
        }
        if !self.waiting.is_empty() && now.since(self.since) > limits.gap {
            outcome.stats.gap += 1;
            self.lose_place();
            self.settle(&mut outcome);
        }
        if !payload.is_empty() {
            self.place(sequence, cut, payload, &mut outcome);
        }
        if segment.flags & flags::FIN != 0 && self.next == Some(end(sequence, payload)) {
            self.count_unfinished(outcome.stats);
            self.partial = Vec::new();
            self.waiting = Vec::new();
        }
    }

    /// Memory that the buffers take.
    pub(super) fn held(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|waiting| waiting.payload.capacity()).sum();
        self.partial.capacity() + waiting + self.waiting.capacity() * OVERHEAD
    }

    /// Counts what is lost if no more data comes.
    pub(super) fn count_unfinished(&self, stats: &mut StreamStats) {
        if !self.waiting.is_empty() {
            stats.gap += 1;
        } else if !self.partial.is_empty() {
            stats.incomplete += 1;
        }
    }

    /// Appends a payload, keeps it for later, or drops it.
    fn place<S: FnMut(&[u8])>(
        &mut self,
        sequence: u32,
        cut: u16,
        payload: &[u8],
        outcome: &mut Outcome<'_, S>,
    ) {
        loop {
            let next = *self.next.get_or_insert(sequence);
            let ahead = ahead(next, sequence);
            if ahead.unsigned_abs() > FAR {
                self.count_unfinished(outcome.stats);
                *self = Self::default();
            } else if ahead <= 0 {
                self.advance(sequence, cut, payload, outcome);
                self.settle(outcome);
                return;
            } else if self.set_aside(sequence, cut, payload, outcome) {
                return;
            } else {
                outcome.stats.overflow += 1;
                self.lose_place();
                // Join at the earliest data: a waiting segment, or else this one.
                if self.waiting.first().is_some_and(|first| self::ahead(first.sequence, sequence) >= 0) {
                    self.settle(outcome);
                }
            }
        }
    }

    /// Keeps a payload for later; false if there is no room.
    fn set_aside<S>(&mut self, sequence: u32, cut: u16, payload: &[u8], outcome: &Outcome<'_, S>) -> bool {
        let place = self.waiting.partition_point(|waiting| ahead(waiting.sequence, sequence) >= 0);
        let before = place.checked_sub(1).and_then(|before| self.waiting.get(before));
        if before
            .is_some_and(|before| ahead(end(sequence, payload), end(before.sequence, &before.payload)) >= 0)
        {
            return true; // All of it waits already.
        }
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.payload.len()).sum();
        if self.waiting.len() >= MAX_WAITING || bytes + payload.len() > outcome.limits.out_of_order {
            return false;
        }
        if self.waiting.is_empty() {
            self.since = outcome.now;
        }
        self.waiting.insert(place, Waiting { sequence, cut, payload: payload.to_vec() });
        true
    }

    /// Takes waiting segments that are next.
    fn settle<S: FnMut(&[u8])>(&mut self, outcome: &mut Outcome<'_, S>) {
        while let Some(first) = self.waiting.first() {
            let next = *self.next.get_or_insert(first.sequence);
            if ahead(next, first.sequence) > 0 {
                return;
            }
            let Waiting { sequence, cut, payload } = self.waiting.remove(0);
            self.since = outcome.now;
            self.advance(sequence, cut, &payload, outcome);
        }
        self.waiting = Vec::new();
    }

    /// Takes a payload that begins at or before the expected position.
    fn advance<S: FnMut(&[u8])>(
        &mut self,
        sequence: u32,
        cut: u16,
        payload: &[u8],
        outcome: &mut Outcome<'_, S>,
    ) {
        let next = self.next.unwrap_or(sequence);
        let seen = usize::try_from(ahead(sequence, next)).unwrap_or(0);
        let Some(fresh) = payload.get(seen..).filter(|fresh| !fresh.is_empty()) else { return };
        self.next = Some(end(sequence, payload));
        if self.frame(fresh, outcome).is_err() {
            outcome.stats.unsynced += 1;
            self.lose_place();
        }
        if cut > 0 {
            outcome.stats.cut += 1;
            self.lose_place();
        }
    }

    /// Drops the knowledge of message boundaries; the stream is joined at the next segment.
    fn lose_place(&mut self) {
        self.next = None;
        self.sure = false;
        self.partial = Vec::new();
    }

    /// Cuts bytes into messages.
    fn frame<S: FnMut(&[u8])>(
        &mut self,
        mut bytes: &[u8],
        outcome: &mut Outcome<'_, S>,
    ) -> Result<(), Nonsense> {
        // The rest of a message that has begun: first its prefix, then its content.
        while !self.partial.is_empty() && !bytes.is_empty() {
            let missing = needed(&self.partial) - self.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            self.check(&self.partial)?;
            if self.partial.len() == needed(&self.partial) && self.partial.len() > PREFIX {
                let message = mem::take(&mut self.partial);
                self.deliver(&message, outcome);
            }
        }
        while !bytes.is_empty() {
            self.check(bytes)?;
            let Some((message, rest)) = bytes.split_at_checked(needed(bytes)) else { break };
            self.deliver(message, outcome);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn deliver<S: FnMut(&[u8])>(&mut self, message: &[u8], outcome: &mut Outcome<'_, S>) {
        self.sure = true;
        outcome.stats.messages += 1;
        (outcome.sink)(message.get(PREFIX..).unwrap_or_default());
    }

    /// Whether `bytes` can begin a message. If the boundary is a guess, the header must also look like that of a
    /// response.
    fn check(&self, bytes: &[u8]) -> Result<(), Nonsense> {
        let too_short = bytes.len() >= PREFIX && needed(bytes) < PREFIX + SHORTEST;
        let no_response = bytes.get(PREFIX + 2).is_some_and(|flags| flags & 0x80 == 0);
        let no_question = bytes.get(PREFIX + 4..PREFIX + 6).is_some_and(|questions| questions != [0, 1]);
        let wrong = too_short || !self.sure && (no_response || no_question);
        if wrong { Err(Nonsense) } else { Ok(()) }
    }
}

/// The length of the message that `bytes` begins, including its prefix; the prefix alone until the prefix is complete.
fn needed(bytes: &[u8]) -> usize {
    match bytes {
        [high, low, ..] => PREFIX + usize::from(u16::from_be_bytes([*high, *low])),
        _ => PREFIX,
    }
}
