//! Sums over stretches of time: what happened since a moment, and what happened in all.
//!
//! In: changes with their time. Out: the sum since the start of a slot, or since the beginning. A slot is ten seconds
//! long. Slots older than five minutes are joined to minutes, those older than an hour to ten minutes, and those older
//! than a day are dropped.
//!
//! Invariants: the sum of all time never forgets anything. A slot without changes takes no room, so the room depends on
//! how long there were changes, not on how many there were. A start that [`Slot::start`] returned never falls into
//! the middle of joined slots.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::time::Time;

/// The length of a slot.
pub const SLOT: Duration = Duration::from_nanos(SLOT_NANOS);
const SLOT_NANOS: u64 = 10_000_000_000;
/// The longest stretch that can be asked for.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Slots of a minute.
const MINUTE: u64 = 6;
/// The number of slots that are joined at an age, counted in slots from the end of the joined stretch.
const GRAINS: [Grain; 2] = [Grain { slots: 60, age: 360 }, Grain { slots: MINUTE, age: 30 }];

#[derive(Clone, Copy, Debug)]
struct Grain {
    slots: u64,
    age: u64,
}

/// A slot, by its number since the clock's zero, from 1; 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u64);

impl Slot {
    /// The slot of a moment.
    pub fn of(time: Time) -> Self {
        Self(time.0 / SLOT_NANOS + 1)
    }

    /// The first slot of the stretch that ends now and is at least this long.
    pub fn start(now: Time, length: Duration) -> Self {
        let (now, start) = (Self::of(now), Self::of(now.minus(length.min(LONGEST))));
        let age = now.0 - start.0;
        let grain = GRAINS.iter().find(|grain| age > grain.age).map_or(1, |grain| grain.slots);
        Self((start.0 / grain * grain).max(1))
    }

    /// The time at which the slot begins.
    pub fn begin(self) -> Time {
        Time(self.0.saturating_sub(1).saturating_mul(SLOT_NANOS))
    }

    /// Begin and end of the joined stretch to which the slot belongs at a moment.
    pub fn span(self, now: Self) -> (Time, Time) {
        let (slots, number) = self.joined(now);
        let begin = |number: u64| Self((number * slots).max(1)).begin();
        (begin(number), begin(number + 1))
    }

    /// The first slot of the joined stretch to which the slot belongs at a moment.
    pub fn joined_start(self, now: Self) -> Self {
        let (slots, number) = self.joined(now);
        Self(number * slots)
    }

    /// The same, of a minute at least.
    pub fn minute(self, now: Self) -> Self {
        let (slots, _) = self.joined(now);
        let slots = slots.max(MINUTE);
        Self(self.0 / slots * slots)
    }

    /// The joined stretch to which the slot belongs at a moment: its length and number.
    fn joined(self, now: Self) -> (u64, u64) {
        let is_old = |grain: &&Grain| {
            let end = (self.0 / grain.slots + 1) * grain.slots;
            now.0.saturating_sub(end) >= grain.age
        };
        let slots = GRAINS.iter().find(is_old).map_or(1, |grain| grain.slots);
        (slots, self.0 / slots)
    }
}

/// A stretch of time that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Since the beginning.
    All,
    /// Since the start of this slot.
    Since(Slot),
}

/// Values that can be added.
pub trait Sum: Clone + Default {
    /// Adds what happened in another stretch of time.
    fn add(&mut self, other: &Self);
}

/// A count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub u64);

impl Sum for Number {
    fn add(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// Counts by name.
impl<K: Clone + Ord> Sum for BTreeMap<K, u64> {
    fn add(&mut self, other: &Self) {
        for (name, more) in other {
            *self.entry(name.clone()).or_default() += more;
        }
    }
}

/// A sum over stretches of time.
#[derive(Clone, Debug, Default)]
pub struct Windowed<T> {
    /// Everything before the current slot.
    before: T,
    /// The latest slots with changes, without the current one: start and sum, the oldest first.
    past: VecDeque<(Slot, T)>,
    slot: Slot,
    current: T,
}

impl<T: Sum> Windowed<T> {
    /// The sum of the current slot, for changes at this moment. A change that comes late counts in the current slot.
    pub fn at(&mut self, now: Time) -> &mut T {
        let slot = Slot::of(now);
        if slot > self.slot {
            self.close(slot);
        }
        &mut self.current
    }

    /// Ends the current slot.
    fn close(&mut self, next: Slot) {
        let ended = std::mem::take(&mut self.current);
        self.before.add(&ended);
        // The first one ever has seen nothing.
        if self.slot != Slot::default() {
            self.past.push_back((self.slot, ended));
        }
        let minute = |slot: Slot| slot.0 / MINUTE;
        if minute(next) > minute(self.slot) {
            self.join(next);
        }
        self.slot = next;
    }

    /// Joins old slots.
    fn join(&mut self, now: Slot) {
        let mut joined: VecDeque<(Slot, T)> = VecDeque::with_capacity(self.past.len());
        for (slot, sum) in self.past.drain(..) {
            match joined.back_mut().filter(|(last, _)| last.joined(now) == slot.joined(now)) {
                Some((_, known)) => known.add(&sum),
                None => joined.push_back((slot, sum)),
            }
        }
        joined.shrink_to_fit();
        self.past = joined;
        self.trim(Slot(now.0.saturating_sub((LONGEST.as_secs() / SLOT.as_secs()) + 60)));
    }

    /// The sum over a stretch.
    pub fn over(&self, stretch: Stretch) -> T {
        let Stretch::Since(start) = stretch else { return self.total() };
        let mut sum = T::default();
        self.slots(start).for_each(|(_, more)| sum.add(more));
        sum
    }

    /// Whether anything changed in a stretch.
    pub fn has_changed(&self, stretch: Stretch) -> bool {
        match stretch {
            Stretch::All => self.slot != Slot::default(),
            Stretch::Since(start) => self.slot >= start,
        }
    }

    /// The sum of all time.
    pub fn total(&self) -> T {
        let mut sum = self.before.clone();
        sum.add(&self.current);
        sum
    }

    /// One figure of the sum of all time.
    pub fn total_of(&self, figure: impl Fn(&T) -> u64) -> u64 {
        figure(&self.before) + figure(&self.current)
    }

    /// The figures of all time in two parts, to compute a total without adding whole sums.
    pub fn parts(&self) -> [&T; 2] {
        [&self.before, &self.current]
    }

    /// The slots since a start, with their sums, the oldest first.
    pub fn slots(&self, start: Slot) -> impl Iterator<Item = (Slot, &T)> {
        let first = self.past.partition_point(|(slot, _)| *slot < start);
        let past = self.past.range(first..).map(|(slot, sum)| (*slot, sum));
        past.chain((self.slot >= start).then_some((self.slot, &self.current)))
    }

    /// Drops slots before this one from stretches; the sum of all time keeps them.
    pub fn trim(&mut self, oldest: Slot) {
        let gone = self.past.partition_point(|(slot, _)| *slot < oldest);
        self.past.drain(..gone);
    }

    /// Changes every sum in the same way, to forget parts of it.
    pub fn edit(&mut self, change: impl Fn(&mut T)) {
        let past = self.past.iter_mut().map(|(_, sum)| sum);
        past.chain([&mut self.before, &mut self.current]).for_each(change);
    }

    /// The room that the slots take, in bytes, without what they point to.
    pub fn kept(&self) -> usize {
        self.past.len() * size_of::<(Slot, T)>()
    }
}

/// Drops slots before this one; returns the room that is taken, in bytes.
pub fn trim<T: Sum>(windowed: &mut Windowed<T>, oldest: Slot) -> usize {
    windowed.trim(oldest);
    windowed.kept()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn s(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    #[test]
    fn every_stretch_has_what_happened_in_it_and_no_more() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut windowed, mut events) = (Windowed::<Number>::default(), Vec::new());
            let mut now = 1_000 + random.below(100_000) as u64;
            // Busy, quiet and in between.
            let pause = [1, 30, 700][random.below(3)];
            for _ in 0..400 {
                now += random.below(pause * 2) as u64;
                windowed.at(s(now)).0 += 1;
                events.push(now);
                let length = Duration::from_secs(1 + random.below(90_000) as u64);
                let start = Slot::start(s(now), length);
                let since = start.begin().0 / 1_000_000_000;
                let expected = events.iter().filter(|at| **at >= since).count() as u64;
                assert_eq!(
                    windowed.over(Stretch::Since(start)).0,
                    expected,
                    "seed {seed}, {length:?} before {now}"
                );
                assert!(now - since >= length.as_secs().min(LONGEST.as_secs()).min(now), "as long as asked");
                assert_eq!(windowed.total().0, events.len() as u64);
            }
        }
    }

    #[test]
    fn a_stretch_is_little_longer_than_asked() {
        for (asked, most) in
            [(60, 70), (300, 310), (900, 970), (3_600, 3_670), (7_200, 7_810), (86_400, 87_010)]
        {
            for now in 100_000..100_700 {
                let start = Slot::start(s(now), Duration::from_secs(asked)).begin();
                let length = s(now).since(start).as_secs();
                assert!((asked..most).contains(&length), "{asked}: {length}");
            }
        }
    }

    #[test]
    fn room_depends_on_time_and_not_on_changes() {
        let mut windowed = Windowed::<Number>::default();
        for now in 1..200_000 {
            windowed.at(s(now)).0 += 1;
            assert!(windowed.past.len() <= 31 + 6 + 56 + 10 + 139, "{now}: {}", windowed.past.len());
        }
        windowed.trim(Slot::of(s(199_000)));
        assert!(windowed.past.len() < 50);
        assert_eq!(windowed.total().0, 199_999);
    }
}
