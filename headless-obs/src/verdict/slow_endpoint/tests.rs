//! Connect times and round trips are simulated slot by slot: a slow pod is named, and noise is not.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::spread::draws::{self, Took};
use crate::testing::Random;
use crate::verdict::judge;
use crate::verdict::test_fixtures::Facts;

/// A client's connections in slots, with the seconds that each took.
struct Run {
    rows: Vec<ComparedTimes>,
    zones: Vec<Option<&'static str>>,
}

impl Run {
    fn new(zones: &[Option<&'static str>]) -> Self {
        Self { rows: vec![ComparedTimes::default(); zones.len()], zones: zones.to_vec() }
    }

    /// A slot: the times at each endpoint.
    fn slot(&mut self, times: &[Vec<f64>]) {
        let mut zones: BTreeMap<Option<&str>, Vec<(usize, f64)>> = BTreeMap::new();
        for (place, times) in times.iter().enumerate() {
            let mut slot = crate::ledger::Times::default();
            times.iter().for_each(|seconds| slot.record(*seconds));
            self.rows[place].seconds.add(&slot.histogram());
            if let Some(median) = slot.median() {
                zones.entry(self.zones[place]).or_default().push((place, median));
            }
        }
        let mut all: BTreeMap<usize, Took> = BTreeMap::new();
        zones.values().for_each(|medians| draws::compare(medians, &mut all));
        for (place, took) in all {
            let row = &mut self.rows[place];
            row.times += took.times;
            row.slow += took.slow;
            row.slow_by_chance += took.slow_by_chance;
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::new(&vec![100; self.rows.len()]);
        for (place, row) in self.rows.iter().enumerate() {
            facts.client.endpoints[place].connect_times = row.clone();
            facts.service.endpoints[place].zone = self.zones[place].map(str::to_owned);
        }
        facts
    }

    fn verdict(&self) -> Verdict {
        judge(&self.facts().scene()).unwrap()
    }
}

/// One slot of connections at random endpoints; `seconds` says how long each takes.
fn connects(
    random: &mut Random,
    n: usize,
    connections: usize,
    mut seconds: impl FnMut(&mut Random, usize) -> f64,
) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); n];
    for _ in 0..connections {
        let place = random.below(n);
        let took = seconds(random, place);
        times[place].push(took);
    }
    times
}

#[test]
fn a_pod_behind_twenty_milliseconds_is_named() {
    for n in [2, 3, 5, 10] {
        let mut random = Random::new(n as u64);
        let mut run = Run::new(&vec![None; n]);
        for _ in 0..30 {
            let took = |random: &mut Random, place| {
                0.000_2 * random.lognormal(0.5) + if place == 1 { 0.02 } else { 0.0 }
            };
            run.slot(&connects(&mut random, n, 5 * n, took));
        }
        let verdict = run.verdict();
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::SlowEndpoint, Confidence::High),
            "{n}: {verdict:?}"
        );
        assert!(verdict.evidence[0].contains("to pod-1 took 2"), "{verdict:?}");
        assert!(verdict.evidence[0].contains("half took 0.2 ms or longer"), "{verdict:?}");
    }
}

#[test]
fn who_is_slow_to_all_and_who_is_far_from_one_says_nothing_about_an_endpoint() {
    let mut random = Random::new(5);
    let (mut far, mut zoned) = (Run::new(&[None; 3]), Run::new(&[Some("a"), Some("a"), Some("b")]));
    for _ in 0..90 {
        far.slot(&connects(&mut random, 3, 12, |random, _| 0.03 * random.lognormal(0.5)));
        let took = |random: &mut Random, place| {
            0.000_2 * random.lognormal(0.5) + if place == 2 { 0.03 } else { 0.0 }
        };
        zoned.slot(&connects(&mut random, 3, 12, took));
    }
    assert_eq!((far.verdict().cause, zoned.verdict().cause), (Cause::Even, Cause::Even));
}

#[test]
fn noise_blames_no_endpoint() {
    let (mut alarms, mut all) = (Vec::new(), 0);
    for number in 0..60_u64 {
        for n in [2, 3, 5, 10] {
            for per_slot in [n, 4 * n] {
                for noise in 0..5 {
                    let mut random = Random::new(number * 1_000 + n as u64 * 10 + noise);
                    let mut run = Run::new(&vec![None; n]);
                    // Endpoints that differ a little, and a node that is busy now and then.
                    let usual: Vec<f64> = (0..n).map(|_| 0.000_5 * (1.0 + random.unit())).collect();
                    let mut busy = 0.0_f64;
                    for slot in 1..=90 {
                        busy = if random.below(10) == 0 { 0.02 * random.pareto(1.1) } else { busy * 0.7 };
                        let took = |random: &mut Random, place: usize| match noise {
                            0 => usual[place] * random.lognormal(1.0),
                            1 => usual[place] * random.lognormal(2.0),
                            2 => usual[place] * random.pareto(1.1),
                            3 => usual[place] + busy * random.unit(),
                            // Lost SYNs.
                            _ => usual[place] + if random.below(4) == 0 { 1.0 } else { 0.0 },
                        };
                        run.slot(&connects(&mut random, n, per_slot, took));
                        if slot % 30 == 0 {
                            all += 1;
                            if run.verdict().cause == Cause::SlowEndpoint {
                                alarms.push(format!("{number} {n} {per_slot} {noise} {slot}"));
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(all >= 5_000, "{all}");
    assert!(alarms.len() * 1_000 < all, "{} of {all}: {}", alarms.len(), alarms.join("\n"));
}

#[test]
fn a_client_with_few_connections_needs_others_that_see_the_same() {
    let took =
        |random: &mut Random, place| 0.000_2 * random.lognormal(0.5) + if place == 0 { 0.02 } else { 0.0 };
    let mut random = Random::new(9);
    let (mut few, mut many, mut fast) = (Run::new(&[None; 3]), Run::new(&[None; 3]), Run::new(&[None; 3]));
    (0..5).for_each(|_| few.slot(&connects(&mut random, 3, 30, took)));
    (0..90).for_each(|_| many.slot(&connects(&mut random, 3, 30, took)));
    (0..40)
        .for_each(|_| fast.slot(&connects(&mut random, 3, 30, |random, _| 0.000_2 * random.lognormal(0.5))));
    assert_eq!(few.verdict().cause, Cause::Even);
    let beside = |own: &Run, other: &Run| {
        let (mut facts, other) = (own.facts(), other.facts().client);
        let other = Client { workload: "other".to_owned(), ..other };
        facts.service.clients = vec![facts.client.clone(), other];
        judge(&facts.scene()).unwrap().cause
    };
    assert_eq!(beside(&few, &many), Cause::SlowEndpoint);
    assert_eq!(beside(&many, &fast), Cause::Even, "the way from this client is slow");
    assert_eq!(beside(&fast, &many), Cause::Even, "it is not slow to this client");
}

/// An open connection: the least round trip of each of the last slots, and what it has sent since it was looked at.
#[derive(Clone, Default)]
struct Open {
    least: VecDeque<f64>,
    sent: usize,
}

/// The slots that the kernel's least round trip is about.
const KERNEL_WINDOW: usize = 30;

/// One slot of open connections, as many at each endpoint: each has some round trips, `seconds` long.
fn round_trips(
    random: &mut Random,
    open: &mut [Vec<Open>],
    most: usize,
    mut seconds: impl FnMut(&mut Random, usize) -> f64,
) -> Vec<Vec<f64>> {
    let mut taken = vec![Vec::new(); open.len()];
    for (place, connections) in open.iter_mut().enumerate() {
        for one in connections {
            let number = random.below(most + 1);
            let least = (0..number).map(|_| seconds(random, place)).fold(f64::INFINITY, f64::min);
            one.least.push_back(least);
            if one.least.len() > KERNEL_WINDOW {
                one.least.pop_front();
            }
            one.sent += number;
            if one.sent >= 10 {
                one.sent = 0;
                taken[place].push(one.least.iter().copied().fold(f64::INFINITY, f64::min));
            }
        }
    }
    taken
}

impl Run {
    /// The same times as those of round trips.
    fn of_round_trips(&self) -> Facts {
        let mut facts = self.facts();
        for own in &mut facts.client.endpoints {
            own.round_trips = std::mem::take(&mut own.connect_times);
        }
        facts
    }
}

#[test]
fn a_pod_behind_twenty_milliseconds_is_named_although_nobody_connects() {
    for (n, per_pod) in [(2, 1), (3, 1), (3, 5), (10, 2)] {
        let mut random = Random::new(n as u64);
        let mut run = Run::new(&vec![None; n]);
        let mut open = vec![vec![Open::default(); per_pod]; n];
        for _ in 0..90 {
            let took = |random: &mut Random, place| {
                0.000_2 * random.lognormal(0.5) + if place == 1 { 0.02 } else { 0.0 }
            };
            run.slot(&round_trips(&mut random, &mut open, 40, took));
        }
        let verdict = judge(&run.of_round_trips().scene()).unwrap();
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (Cause::SlowEndpoint, Confidence::Medium),
            "{n}: the program may be slow: {verdict:?}"
        );
        assert!(
            verdict.evidence[0].contains("connections to pod-1, half of the least round trips were 2"),
            "{verdict:?}"
        );
        let mut both = run.of_round_trips();
        for own in &mut both.client.endpoints {
            own.connect_times = own.round_trips.clone();
        }
        assert_eq!(judge(&both.scene()).unwrap().confidence, Confidence::High);
    }
}

#[test]
fn round_trips_to_another_zone_or_from_far_away_say_nothing() {
    let mut random = Random::new(5);
    let (mut far, mut zoned) = (Run::new(&[None; 3]), Run::new(&[Some("a"), Some("a"), Some("b")]));
    let (mut from_far, mut open) = (vec![vec![Open::default(); 2]; 3], vec![vec![Open::default(); 2]; 3]);
    for _ in 0..90 {
        far.slot(&round_trips(&mut random, &mut from_far, 40, |random, _| 0.03 * random.lognormal(0.5)));
        let took = |random: &mut Random, place| {
            0.000_2 * random.lognormal(0.5) + if place == 2 { 0.03 } else { 0.0 }
        };
        zoned.slot(&round_trips(&mut random, &mut open, 40, took));
    }
    for run in [far, zoned] {
        assert_eq!(judge(&run.of_round_trips().scene()).unwrap().cause, Cause::Even);
    }
}

#[test]
fn noise_of_round_trips_blames_no_endpoint() {
    let (mut alarms, mut all) = (Vec::new(), 0);
    for number in 0..40_u64 {
        for n in [2, 3, 5] {
            for (per_pod, most) in [(1, 2), (1, 40), (4, 10)] {
                for noise in 0..5 {
                    let mut random = Random::new(number * 1_000 + n as u64 * 100 + most as u64 * 10 + noise);
                    let mut run = Run::new(&vec![None; n]);
                    let mut open = vec![vec![Open::default(); per_pod]; n];
                    let usual: Vec<f64> = (0..n).map(|_| 0.000_5 * (1.0 + random.unit())).collect();
                    let mut busy = 0.0_f64;
                    for slot in 1..=180 {
                        busy = if random.below(10) == 0 { 0.02 * random.pareto(1.1) } else { busy * 0.7 };
                        let took = |random: &mut Random, place: usize| match noise {
                            0 => usual[place] * random.lognormal(1.0),
                            1 => usual[place] * random.lognormal(2.0),
                            2 => usual[place] * random.pareto(1.1),
                            3 => usual[place] + busy * random.unit(),
                            // The program's answers take as long, up to the moment when TCP waits no more.
                            _ => (0.01 * random.lognormal(1.5)).min(0.04),
                        };
                        run.slot(&round_trips(&mut random, &mut open, most, took));
                        if slot % 30 == 0 {
                            all += 1;
                            if judge(&run.of_round_trips().scene()).unwrap().cause == Cause::SlowEndpoint {
                                alarms.push(format!("{number} {n} {per_pod} {most} {noise} {slot}"));
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(all >= 10_000, "{all}");
    assert!(alarms.len() * 1_000 < all, "{} of {all}: {}", alarms.len(), alarms.join("\n"));
}
