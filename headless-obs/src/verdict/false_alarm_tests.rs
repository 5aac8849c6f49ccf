//! Measures how often a client that chooses at random gets another verdict, in simulated windows with fixed seeds.
//!
//! The facts are those that the engine has about a client with one process and short connections. One client takes the
//! first address of shuffled answers, one takes any address of its answer, and one takes any address of a single answer
//! that it keeps.

use std::collections::BTreeMap;

use super::test_fixtures::Facts;
use super::*;
use crate::spread;
use crate::testing::Random;

/// The way in which the client chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// The first address of each new, shuffled answer.
    First,
    /// Any address of each new answer, shuffled or not.
    Any,
    /// Any address of one answer that it keeps.
    Kept,
}

/// A client and its observed facts.
struct Window {
    habit: Habit,
    counts: Vec<u64>,
    /// The used positions of the answer.
    places: Vec<u64>,
    firsts: Vec<u64>,
    nearest: u64,
    selections: Vec<u64>,
}

impl Window {
    fn new(habit: Habit, endpoints: usize) -> Self {
        let zeros = vec![0; endpoints];
        let [counts, places, firsts, selections] = [zeros.clone(), zeros.clone(), zeros.clone(), zeros];
        Self { habit, counts, places, firsts, nearest: 0, selections }
    }

    /// One more connection.
    fn connect(&mut self, random: &mut Random) {
        let n = self.counts.len();
        let is_new = self.habit != Habit::Kept || self.counts.iter().all(|count| *count == 0);
        let endpoint = random.below(n);
        let place = if self.habit == Habit::First { 0 } else { random.below(n) };
        self.counts[endpoint] += 1;
        self.places[place] += 1;
        if is_new {
            let first = if place == 0 { endpoint } else { random.below(n) };
            self.firsts[first] += 1;
            self.selections[endpoint] += 1;
            // The last endpoint's address is the most similar to the client's.
            self.nearest += u64::from(endpoint == n - 1);
        }
    }

    /// The facts that the engine would report.
    fn report(&self, facts: &mut Facts) {
        let n = self.counts.len() as u64;
        let spread = spread::of(&self.counts);
        let selections = if self.habit == Habit::Kept { spread::of(&self.selections) } else { spread };
        let (service, client) = (&mut facts.service, &mut facts.client);
        let made = selections.connections;
        client.opened = spread.connections;
        client.resolution.insert("service".to_owned(), spread.connections);
        for (place, own) in client.endpoints.iter_mut().enumerate() {
            (own.opened, own.counted) = (self.counts[place], self.counts[place]);
            own.selections = self.selections[place];
        }
        (client.spread, client.selections, service.spread, service.selections) =
            (spread, selections, spread, selections);
        client.answers.count = made;
        // The rules look only at the busiest endpoint and the most frequent position; the other records are merged.
        let busiest =
            self.counts.iter().enumerate().max_by_key(|(_, count)| **count).map_or(0, |(place, _)| place);
        let firsts = self.firsts[busiest];
        client.answers.first_records =
            [(service.endpoints[busiest].pod.clone(), firsts), ("others".to_owned(), made - firsts)].into();
        client.answer_position.insert("0".to_owned(), self.places.iter().max().copied().unwrap_or(0));
        let used = self.counts.iter().filter(|count| **count > 0).count() as u64;
        let choice = &mut client.selection_pattern;
        choice.selections = made;
        choice.first =
            if self.habit == Habit::Kept { u64::from(self.places[0] > 0).min(made) } else { self.places[0] };
        choice.first_by_chance = made as f64 / n as f64;
        (choice.nearest_candidates, choice.nearest, choice.nearest_by_chance) =
            (made, self.nearest, made as f64 / n as f64);
        choice.with_known_position = spread.connections;
        choice.max_position = self.places.iter().rposition(|count| *count > 0).unwrap_or(0) as u64;
        choice.smallest_answer = n;
        choice.max_endpoints = used;
        choice.pods = 1;
        choice.pods_on_one = u64::from(spread.connections > 1 && used == 1);
        choice.max_connects_per_answer = if self.habit == Habit::Kept { spread.connections } else { 1 };
        let age = &mut client.answer_age;
        (age.within_ttl, age.past_ttl) =
            if self.habit == Habit::Kept { (0, spread.connections) } else { (spread.connections, 0) };
    }
}

/// Sizes of windows: all small ones, and a grid up to 10,000.
fn sizes() -> Vec<u64> {
    let grid = [60, 75, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000];
    (1..=50).chain(grid).collect()
}

/// False verdicts by size of the window: their number, the number of windows, and a description.
fn false_alarms(windows: u64, longest: impl Fn(u64) -> u64) -> BTreeMap<u64, (u64, u64, Vec<String>)> {
    let mut alarms: BTreeMap<u64, (u64, u64, Vec<String>)> = BTreeMap::new();
    for endpoints in [2, 3, 5, 10, 30, 100] {
        for habit in [Habit::First, Habit::Any, Habit::Kept] {
            let mut facts = Facts::new(&vec![0; endpoints]);
            // The last connection is still open.
            let open: Vec<u64> = (0..endpoints).map(|place| u64::from(place == 0)).collect();
            let client = &mut facts.client;
            client.open = spread::of(&open);
            (
                client.open_connections.pods,
                client.open_connections.pods_on_one,
                client.open_connections.seconds,
            ) = (1, 1, 0.2);
            for number in 0..windows {
                let mut random = Random::new(number * 1_000 + endpoints as u64 * 10 + habit as u64);
                let mut window = Window::new(habit, endpoints);
                let mut size = 0;
                for wanted in sizes().into_iter().take_while(|size| *size <= longest(number)) {
                    while size < wanted {
                        window.connect(&mut random);
                        size += 1;
                    }
                    window.report(&mut facts);
                    let judged = judge(&facts.scene());
                    let (alarm, all, what) = alarms.entry(wanted).or_default();
                    *all += 1;
                    let is_fair = |verdict: &Verdict| {
                        matches!(verdict.cause, Cause::Even | Cause::TooFew | Cause::Subset)
                    };
                    if !judged.as_ref().is_ok_and(is_fair) {
                        *alarm += 1;
                        what.push(format!("{habit:?} {endpoints} {judged:?} {:?}", window.counts));
                    }
                }
            }
        }
    }
    alarms
}

#[test]
fn a_random_client_is_called_nothing_else() {
    // Long windows take longer, so there are fewer of them, but still more than 1,000 of each size.
    for (size, (alarms, all, what)) in false_alarms(120, |number| if number % 2 == 0 { 10_000 } else { 300 })
    {
        assert!(all >= 1_000, "{size}: {all}");
        assert!(alarms * 1_000 < all, "{alarms} of {all} windows of {size}: {}", what.join("\n"));
    }
}

#[test]
#[ignore = "takes an hour without optimisation; prints the rates that docs/verdicts.md tells"]
fn measured_rates() {
    for (size, (alarms, all, what)) in
        false_alarms(6_000, |number| if number % 10 == 0 { 10_000 } else { 300 })
    {
        println!("{size}: {alarms} of {all} {}", what.first().map_or("", String::as_str));
    }
}
