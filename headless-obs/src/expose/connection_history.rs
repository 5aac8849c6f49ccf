//! Connections opened per endpoint over time, in the form of the snapshot. Plain data and its sums.
//!
//! Invariants: at most [`History::BUCKETS`] buckets, whatever is added. A step is a power of two, and buckets begin at
//! whole multiples of it since 1970. So the buckets of two nodes coincide after the finer ones are joined. Joining and
//! adding keep every endpoint's sum.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Connections opened per endpoint and time interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The length of a bucket in seconds: a power of two that grows with the stretch of time.
    pub step_seconds: u64,
    /// The start of the first bucket.
    pub from: Timestamp,
    /// Endpoint, as in `Endpoint::pod` → connections opened in each bucket, the oldest first. All rows have the same
    /// length. Endpoints without connections are left out. Buckets reach back a day at most.
    pub opened: BTreeMap<String, Vec<u64>>,
}

impl History {
    /// The most buckets.
    pub const BUCKETS: usize = 64;
    /// No step is longer, about 136 years. This also ends loops on forged data.
    const LONGEST: u64 = 1 << 32;

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
    }

    /// Buckets of each endpoint.
    pub fn len(&self) -> usize {
        self.opened.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The start of a bucket.
    pub fn begin(&self, bucket: usize) -> Timestamp {
        let seconds = i64::try_from(bucket).unwrap_or(i64::MAX).saturating_mul(self.step());
        Timestamp::from_second(self.from.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
    }

    /// Adds the history that another node has for the same Service.
    pub fn add(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        let mut other = other.clone();
        let step = self.step().max(other.step());
        self.join_to(step);
        other.join_to(step);
        // If the two are far apart, both need longer buckets before they fit into one row.
        while self.span(&other) > Self::BUCKETS && self.step() < Self::LONGEST.cast_signed() {
            let step = self.step().saturating_mul(2);
            self.join_to(step);
            other.join_to(step);
        }
        let (from, length) = (self.from.min(other.from), self.span(&other).min(Self::BUCKETS));
        self.stretch(from, length);
        other.stretch(from, length);
        for (pod, opened) in other.opened {
            let own = self.opened.entry(pod).or_insert_with(|| vec![0; length]);
            own.iter_mut().zip(opened).for_each(|(own, more)| *own = own.saturating_add(more));
        }
    }

    /// Joins buckets to this length, which is a power of two times the present one.
    pub fn join_to(&mut self, step: i64) {
        while self.step() < step.min(Self::LONGEST.cast_signed()) {
            let longer = self.step().saturating_mul(2);
            let begin = self.from.as_second();
            let first = begin.div_euclid(longer).saturating_mul(longer);
            // The first bucket may be the second half of a longer one.
            let is_half = first < begin;
            for opened in self.opened.values_mut() {
                let half = usize::from(is_half && !opened.is_empty());
                let (head, rest) = opened.split_at(half);
                let joined = head.iter().copied().chain(
                    rest.chunks(2)
                        .map(|pair| pair.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))),
                );
                *opened = joined.collect();
            }
            self.from = Timestamp::from_second(first).unwrap_or(Timestamp::MIN);
            self.step_seconds = longer.cast_unsigned();
        }
    }

    /// The step as a number; a value that is not a power of two becomes one.
    fn step(&self) -> i64 {
        let step = self.step_seconds.clamp(1, Self::LONGEST).next_power_of_two();
        i64::try_from(step).unwrap_or(1)
    }

    /// The number of buckets from the start of the earlier history to the end of the later one; both have the same
    /// step.
    fn span(&self, other: &Self) -> usize {
        let end = |history: &Self| {
            let length = i64::try_from(history.len()).unwrap_or(i64::MAX);
            history.from.as_second().saturating_add(length.saturating_mul(history.step()))
        };
        let begin = self.from.as_second().min(other.from.as_second());
        let seconds = end(self).max(end(other)).saturating_sub(begin);
        usize::try_from(seconds.div_euclid(self.step())).unwrap_or(usize::MAX)
    }

    /// Adds empty buckets at both ends.
    fn stretch(&mut self, from: Timestamp, length: usize) {
        let before = self.from.as_second().saturating_sub(from.as_second()).div_euclid(self.step());
        let before = usize::try_from(before).unwrap_or(0).min(length);
        for opened in self.opened.values_mut() {
            opened.splice(0..0, std::iter::repeat_n(0, before));
            // Rows from this program always fit; forged ones may not.
            let beyond = opened.get(length..).unwrap_or_default().iter().sum::<u64>();
            opened.resize(length, 0);
            if let Some(last) = opened.last_mut() {
                *last = last.saturating_add(beyond);
            }
        }
        self.from = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(step_seconds: u64, from: i64, rows: &[(&str, &[u64])]) -> History {
        let opened = rows.iter().map(|(pod, opened)| ((*pod).to_owned(), opened.to_vec())).collect();
        History { step_seconds, from: Timestamp::from_second(from).unwrap(), opened }
    }

    #[test]
    fn buckets_are_joined_at_whole_multiples() {
        let mut odd = history(1, 101, &[("a", &[1, 2, 3, 4])]);
        odd.join_to(2);
        assert_eq!(odd, history(2, 100, &[("a", &[1, 5, 4])]), "101 is the second half of 100");
        odd.join_to(8);
        assert_eq!(odd, history(8, 96, &[("a", &[6, 4])]), "100 to 103, then 104");
    }

    #[test]
    fn two_nodes_are_added_by_time() {
        let mut one = history(1, 101, &[("a", &[1, 2, 3]), ("b", &[0, 7, 0])]);
        one.add(&history(2, 104, &[("a", &[10]), ("c", &[5])]));
        assert_eq!(one, history(2, 100, &[("a", &[1, 5, 10]), ("b", &[0, 7, 0]), ("c", &[0, 0, 5])]));
        one.add(&History::default());
        let mut none = History::default();
        none.add(&one);
        assert_eq!(none, one);
    }

    #[test]
    fn it_stays_bounded_and_no_connection_is_lost() {
        let sum = |history: &History| history.opened.values().flatten().sum::<u64>();
        let mut one = history(1, 0, &[("a", &[1; History::BUCKETS])]);
        one.add(&history(1, 1_000_000, &[("a", &[3; History::BUCKETS]), ("b", &[1])]));
        assert!(one.len() <= History::BUCKETS, "{one:?}");
        assert_eq!(sum(&one), 64 + 192 + 1);
        // Forged data: rows that are too long, no step, the limits of time.
        let mut made_up = history(0, i64::from(i32::MIN), &[("a", &[1; 1_000])]);
        made_up.add(&history(u64::MAX, i64::from(i32::MAX), &[("a", &[u64::MAX])]));
        assert!(made_up.len() <= History::BUCKETS && made_up.opened["a"].contains(&u64::MAX), "{made_up:?}");
    }

    #[test]
    fn a_bucket_begins_a_step_after_the_one_before() {
        let two = history(4, 100, &[("a", &[1, 2])]);
        assert_eq!([two.begin(0), two.begin(1)].map(|at| at.as_second()), [100, 104]);
        assert_eq!(two.begin(usize::MAX), Timestamp::MAX);
    }
}
