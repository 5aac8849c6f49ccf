//! Simulations of clients at every age of the daemon, from minutes to 90 days: those that are even are not called uneven,
//! those that turn are named within a minute, and those that heal are let go within a minute.

use super::windows::{address, world};
use super::*;
use crate::testing::Random;

/// Moments in the life of a daemon at which a client was at work before: seconds ago.
const PAST: [u64; 6] = [90 * 86_400, 7 * 86_400, 86_400, 6 * 3_600, 3_600, 600];
const LOOKS: u64 = 30;

/// The way in which an even client chooses.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// The first address of each answer, which the server shuffles.
    First,
    /// Any address of each answer.
    Any,
    /// One pod after another.
    InTurn,
    /// Any address of each answer, with five connections.
    Pool,
}

/// The way in which a client that turned chooses.
#[derive(Clone, Copy, Debug)]
enum Skew {
    /// One of the pods.
    One,
    /// Half of them.
    Half,
    /// All, and one of them as often as all others together.
    Heavy,
}

struct Sim {
    world: World,
    random: Random,
    pods: usize,
    turn: usize,
}

impl Sim {
    fn new(seed: u64, pods: usize) -> Self {
        let config = Config { mature_after: Duration::ZERO, stale_grace: Duration::from_secs(5), ..config() };
        let world = world(config, u8::try_from(pods).unwrap());
        Self { world, random: Random::new(seed), pods, turn: 0 }
    }

    /// A lookup and the connections by it.
    fn visit(&mut self, choose: impl FnOnce(&mut Self) -> usize, is_first: bool, connections: usize) {
        let mut order: Vec<usize> = (0..self.pods).collect();
        for place in (1..self.pods).rev() {
            order.swap(place, self.random.below(place + 1));
        }
        let addresses: Vec<String> = order.iter().map(|pod| address(*pod)).collect();
        let chosen = choose(self);
        let chosen = if is_first { addresses[0].clone() } else { address(chosen) };
        self.world.resolve(1, ORDERS, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..connections {
            let dialled = self.world.connect(1, &chosen);
            self.world.close(dialled);
        }
        self.turn += 1;
    }

    fn even(&mut self, habit: Habit) {
        let (is_first, connections) = match habit {
            Habit::First => (true, 1),
            Habit::Pool => (false, 5),
            Habit::Any | Habit::InTurn => (false, 1),
        };
        let choose = |sim: &mut Self| match habit {
            Habit::InTurn => sim.turn % sim.pods,
            Habit::First | Habit::Any | Habit::Pool => sim.random.below(sim.pods),
        };
        self.visit(choose, is_first, connections);
    }

    fn skewed(&mut self, skew: Skew) {
        let choose = |sim: &mut Self| match skew {
            Skew::One => sim.pods - 1,
            Skew::Half => sim.random.below(sim.pods / 2),
            Skew::Heavy if sim.random.below(2) == 0 => 0,
            Skew::Heavy => sim.random.below(sim.pods),
        };
        self.visit(choose, false, 1);
    }

    /// Time passes, and visits are made at this pace.
    fn pass(&mut self, time: Duration, pace: Duration, mut visit: impl FnMut(&mut Self)) {
        let end = self.world.now + u64::try_from(time.as_millis()).unwrap();
        let pace = u64::try_from(pace.as_millis()).unwrap();
        while self.world.now + pace <= end {
            let due = self.world.now + pace;
            visit(self);
            self.world.now = self.world.now.max(due);
        }
        self.world.now = self.world.now.max(end);
    }

    /// The daemon is this old, and the client was at work now and then.
    fn age(&mut self, age: u64, mut visit: impl FnMut(&mut Self)) {
        let past: Vec<u64> = PAST.into_iter().filter(|ago| *ago <= age).chain([0]).collect();
        for pair in past.windows(2) {
            (0..60 * self.pods).for_each(|_| visit(self));
            self.world.pass(Duration::from_secs(pair[0] - pair[1]));
            let now = self.world.time();
            self.world.engine.expire(now);
        }
    }

    /// The verdict on the client, if something is wrong.
    fn alarm(&self) -> Option<String> {
        let clients = self.world.service("orders").clients;
        let verdict = clients.into_iter().find_map(|client| client.verdict)?;
        (!verdict.cause.is_well()).then(|| format!("{:?} {:?}", verdict.cause, verdict.evidence))
    }
}

#[test]
fn an_even_client_is_called_uneven_in_fewer_than_one_of_a_thousand_looks() {
    let (mut looks, mut alarms) = (0, Vec::new());
    let paces = [333, 700, 1_500, 5_000, 30_000, 300_000];
    for (number, habit) in [Habit::First, Habit::Any, Habit::InTurn, Habit::Pool].into_iter().enumerate() {
        for (place, pace) in paces.into_iter().enumerate() {
            for age in [0, 3_600, 86_400, 90 * 86_400] {
                let seed = number as u64 * 1_000_003 + pace * 101 + age;
                let pods = [2, 3, 5, 10][(number + place) % 4];
                let mut sim = Sim::new(seed, pods);
                sim.age(age, |sim| sim.even(habit));
                let pace = Duration::from_millis(pace);
                let until_look = Duration::from_secs(10).max(pace * 3);
                for look in 0..LOOKS {
                    sim.pass(until_look, pace, |sim| sim.even(habit));
                    looks += 1;
                    let said = sim.alarm();
                    alarms.extend(said.map(|said| format!("{habit:?} {pods} {pace:?} {age} {look}: {said}")));
                }
            }
        }
    }
    assert!(looks >= 2_500, "{looks}");
    assert!(alarms.len() * 1_000 < looks, "{} of {looks}: {}", alarms.len(), alarms.join("\n"));
}

#[test]
fn a_client_that_turns_is_named_and_one_that_heals_is_let_go_within_a_minute_at_every_age() {
    let mut wrong = Vec::new();
    for age in [0, 6 * 3_600, 7 * 86_400, 90 * 86_400] {
        for (pods, skew) in [
            (2, Skew::One),
            (3, Skew::One),
            (10, Skew::One),
            (4, Skew::Half),
            (10, Skew::Half),
            (5, Skew::Heavy),
        ] {
            // One connection a second and endpoint.
            let pace = Duration::from_secs(1) / u32::try_from(pods).unwrap();
            let mut sim = Sim::new(age + pods as u64, pods);
            sim.age(age, |sim| sim.even(Habit::Any));
            let mut stage = |sim: &mut Sim, seconds, what: &str, is_wrong: bool, visit: &dyn Fn(&mut Sim)| {
                sim.pass(Duration::from_secs(seconds), pace, visit);
                let said = sim.alarm();
                if said.is_some() != is_wrong {
                    wrong.push(format!(
                        "{pods} {skew:?} {age} {what}: {said:?}\n{}",
                        windows::show(&sim.world)
                    ));
                }
            };
            stage(&mut sim, 120, "even", false, &|sim| sim.even(Habit::Any));
            stage(&mut sim, 60, "turned", true, &|sim| sim.skewed(skew));
            stage(&mut sim, 180, "is skewed", true, &|sim| sim.skewed(skew));
            stage(&mut sim, 60, "healed", false, &|sim| sim.even(Habit::Any));
            stage(&mut sim, 260, "is even", false, &|sim| sim.even(Habit::Any));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_client_with_a_small_skew_is_named_while_it_lasts_and_let_go_soon_after() {
    const RUNS: u64 = 20;
    let (pods, pace) = (5, Duration::from_millis(200));
    let mut named = 0;
    let mut late = [0; 12];
    for seed in 0..RUNS {
        let mut sim = Sim::new(seed, pods);
        sim.pass(Duration::from_secs(600), pace, |sim| sim.even(Habit::Any));
        sim.pass(Duration::from_secs(60), pace, |sim| sim.skewed(Skew::Heavy));
        for _ in 0..12 {
            named += u64::from(sim.alarm().is_some());
            sim.pass(Duration::from_secs(20), pace, |sim| sim.skewed(Skew::Heavy));
        }
        for count in &mut late {
            sim.pass(Duration::from_secs(30), pace, |sim| sim.even(Habit::Any));
            *count += u64::from(sim.alarm().is_some());
        }
    }
    assert!(named * 100 >= RUNS * 12 * 99, "{named}");
    // Half a minute has too few connections to show in each look that a quarter of an hour with a third of its connections
    // at one of five is over. Four minutes have enough.
    assert!(late[..8].iter().sum::<u64>() * 2 <= RUNS * 8, "{late:?}");
    assert!(late[8..].iter().all(|count| *count == 0), "{late:?}");
}
