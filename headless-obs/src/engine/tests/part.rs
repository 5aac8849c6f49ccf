//! Clients that ask by a name for a part of the endpoints: judged over what they were told, and over nothing else.

use super::windows::{address, world};
use super::*;
use crate::testing::Random;

const AREA: &str = "eu.pin._zone.orders.shop.svc.cluster.local";
const ALIAS: &str = "orders-eu.corp.example";

/// The way in which a client chooses from its answers.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// The first address of each answer, which the server shuffles.
    First,
    /// Any address of each answer.
    Any,
    /// The addresses of its first answer, one after another.
    Kept,
    /// The addresses of its first answer, with five connections each.
    Pool,
}

/// The way in which a client that is not fair chooses.
#[derive(Clone, Copy, Debug)]
enum Skew {
    /// The same address of each answer, whatever the order.
    One,
    /// One address of the first answer.
    KeptOne,
    /// Half of the connections go to one address.
    Heavy,
}

/// A part of the endpoints.
struct Sim {
    world: World,
    random: Random,
    /// The endpoints of an answer.
    part: Vec<usize>,
    kept: Vec<usize>,
    name: &'static str,
    lookups: usize,
}

impl Sim {
    fn new(seed: u64, endpoints: usize, part: usize, name: &'static str) -> Self {
        let config = Config { mature_after: Duration::ZERO, stale_grace: Duration::from_secs(5), ..config() };
        let world = world(config, u8::try_from(endpoints).unwrap());
        let mut random = Random::new(seed);
        let part = sample(&mut random, endpoints, part);
        Self { world, random, part, kept: Vec::new(), name, lookups: 0 }
    }

    /// The client asks for its part, and gets it in a random order.
    fn ask(&mut self) -> Vec<usize> {
        let places = sample(&mut self.random, self.part.len(), self.part.len());
        let order: Vec<usize> = places.into_iter().map(|place| self.part[place]).collect();
        let addresses: Vec<String> = order.iter().map(|pod| address(*pod)).collect();
        self.world.resolve(1, self.name, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
        self.lookups += 1;
        order
    }

    fn ask_once(&mut self) -> Vec<usize> {
        if self.kept.is_empty() {
            self.kept = self.ask();
        }
        self.kept.clone()
    }

    fn connect(&mut self, pod: usize) {
        let dialled = self.world.connect(1, &address(pod));
        self.world.close(dialled);
        self.world.pass(Duration::from_millis(200));
    }

    fn fair(&mut self, habit: Habit, turn: usize) {
        let pod = match habit {
            Habit::First => self.ask()[0],
            Habit::Any => {
                let order = self.ask();
                order[self.random.below(order.len())]
            }
            Habit::Kept => self.ask_once()[turn % self.part.len()],
            Habit::Pool => self.ask_once()[turn / 5 % self.part.len()],
        };
        self.connect(pod);
    }

    fn skewed(&mut self, skew: Skew) {
        let mut order = self.ask_once();
        let pod = match skew {
            Skew::KeptOne => order[0],
            Skew::One => {
                self.ask();
                order[0]
            }
            Skew::Heavy => {
                let one = order[0];
                order = self.ask();
                if self.random.below(2) == 0 { one } else { order[self.random.below(order.len())] }
            }
        };
        self.connect(pod);
    }

    /// The trouble: the cause of the client's verdict, or an endpoint that is called idle.
    fn alarm(&self) -> Option<String> {
        let service = self.world.service("orders");
        let verdict = service.clients.into_iter().find_map(|client| client.verdict);
        let cause = verdict.filter(|verdict| !verdict.cause.is_well());
        let cause = cause.map(|verdict| format!("{:?} {:?}", verdict.cause, verdict.evidence));
        cause.or_else(|| service.idle.first().map(|pod| format!("{pod} is idle")))
    }
}

/// So many different numbers below a bound, in a random order.
fn sample(random: &mut Random, below: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..below).collect();
    for place in 0..count {
        let other = place + random.below(below - place);
        all.swap(place, other);
    }
    all.truncate(count);
    all
}

#[test]
fn a_client_that_is_fair_within_a_random_part_gets_no_alarm_in_999_of_1000() {
    let mut alarms = Vec::new();
    let mut looks = 0_usize;
    for seed in 0..180 {
        let mut random = Random::new(seed);
        let endpoints = 4 + random.below(26);
        // Another name is one for a part if its answers hold half of the endpoints or less.
        let (name, most) = if random.below(2) == 0 { (AREA, endpoints) } else { (ALIAS, endpoints / 2) };
        let part = 2 + random.below(most - 1);
        let habit = [Habit::First, Habit::Any, Habit::Kept, Habit::Pool][random.below(4)];
        // The part stays, or is another one for each lookup, or changes once.
        let changes = random.below(3);
        let mut sim = Sim::new(seed, endpoints, part, name);
        for look in 0..6 {
            for turn in 0..8 * part {
                let is_time = changes == 1 || changes == 2 && look == 3 && turn == 0;
                if is_time && sim.kept.is_empty() {
                    sim.part = sample(&mut sim.random, endpoints, part);
                }
                sim.fair(habit, turn);
            }
            looks += 1;
            let said = sim.alarm();
            let case = format!("{seed}: {part} of {endpoints}, {habit:?}, {name}, {changes}, look {look}");
            alarms.extend(said.map(|said| format!("{case}: {said}")));
        }
    }
    assert!(looks >= 1_000);
    assert!(alarms.len() * 1_000 < looks, "{} of {looks}: {}", alarms.len(), alarms.join("\n"));
}

#[test]
fn a_client_that_is_skewed_within_a_part_is_named() {
    let mut silent = Vec::new();
    for seed in 0..40 {
        for skew in [Skew::One, Skew::KeptOne, Skew::Heavy] {
            let mut random = Random::new(seed);
            let endpoints = 8 + random.below(20);
            let least = if let Skew::Heavy = skew { 4 } else { 2 };
            let part = least + random.below(endpoints / 2 - least + 1);
            let name = [AREA, ALIAS][random.below(2)];
            let mut sim = Sim::new(seed, endpoints, part, name);
            (0..30 * part).for_each(|_| sim.skewed(skew));
            let client = sim.world.client("orders");
            let cause = client.verdict.as_ref().map(|verdict| verdict.cause);
            let is_named = match skew {
                Skew::One | Skew::KeptOne => cause == Some(Cause::Pinned),
                Skew::Heavy => cause == Some(Cause::Unexplained),
            };
            let told = client.endpoints.iter().filter(|own| own.offered).count();
            if !is_named || told != part {
                silent.push(format!("{part} of {endpoints} {skew:?} {name}: {told}, {:?}", client.verdict));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn a_part_is_no_part_of_the_services_own_spread() {
    let mut sim = Sim::new(1, 9, 3, AREA);
    (0..90).for_each(|turn| sim.fair(Habit::Kept, turn));
    for turn in 0..180 {
        let all: Vec<String> = (0..9).map(address).collect();
        sim.world.resolve(2, ORDERS, &all.iter().map(String::as_str).collect::<Vec<_>>());
        let dialled = sim.world.connect(2, &all[turn % 9]);
        sim.world.close(dialled);
    }
    let service = sim.world.service("orders");
    assert_eq!((service.spread.connections, service.spread.peak_to_expected), (180, 1.0));
    assert_eq!(service.endpoints.iter().map(|row| row.counted).sum::<u64>(), 180);
    assert!((service.endpoints.iter().map(|row| row.expected).sum::<f64>() - 180.0).abs() < 1e-6);
    let of = |workload: &str| service.clients.iter().find(|client| client.workload == workload).unwrap();
    let (part, whole) = (of("web"), of("client-2"));
    assert_eq!((part.spread.connections, part.spread.endpoints, part.coverage), (90, 3, 1.0));
    assert_eq!((whole.spread.connections, whole.spread.endpoints, whole.by_part), (180, 9, false));
    let verdict = part.verdict.as_ref().unwrap();
    assert_eq!(verdict.cause, Cause::Even);
    assert!(verdict.evidence.iter().any(|line| line.contains("held 3 of 9 endpoints")), "{verdict:?}");
}

#[test]
fn a_client_that_asks_for_all_and_for_a_part_is_judged_by_what_it_was_told_each_time() {
    let mut sim = Sim::new(3, 6, 2, AREA);
    for turn in 0..120 {
        sim.name = AREA;
        sim.part = vec![0, 1];
        sim.fair(Habit::First, turn);
        sim.name = ORDERS;
        sim.part = (0..6).collect();
        sim.fair(Habit::First, turn);
    }
    let client = sim.world.client("orders");
    assert!(!client.by_part && sim.alarm().is_none(), "{:?}", client.verdict);
    // The first two have a half of one name and a sixth of the other: four times the share of the rest.
    let expected: Vec<f64> = client.endpoints.iter().map(|own| own.expected.round()).collect();
    assert_eq!(expected, [80.0, 80.0, 20.0, 20.0, 20.0, 20.0]);
}

#[test]
fn what_no_answer_held_is_nobodys_fault() {
    // All clients ask for the same part: the others get nothing, and are not idle for that.
    for (name, part) in [(AREA, 2), (ALIAS, 2), (ALIAS, 4)] {
        let mut sim = Sim::new(7, 6, part, name);
        (0..300).for_each(|turn| sim.fair(Habit::First, turn));
        assert_eq!(sim.alarm(), None, "{part} of 6 by {name}");
    }
    // By the Service's own name, a part is what DNS lacks, and the others are idle.
    let mut sim = Sim::new(7, 6, 4, ORDERS);
    (0..300).for_each(|turn| sim.fair(Habit::First, turn));
    assert_eq!(sim.world.service("orders").idle.len(), 2);
}

#[test]
fn one_pods_own_name_is_a_part_of_one() {
    let mut sim = Sim::new(1, 3, 1, "orders-0.orders.shop.svc.cluster.local");
    sim.part = vec![0];
    (0..60).for_each(|turn| sim.fair(Habit::First, turn));
    let kept = sim.world.connect(1, &address(0));
    sim.world.pass(Duration::from_secs(600));
    assert_eq!((sim.alarm(), sim.world.client("orders").withheld.as_deref()), (None, Some("by_hostname")));
    sim.world.close(kept);
    // An area with one endpoint leaves no choice either.
    let mut sim = Sim::new(1, 3, 1, AREA);
    (0..60).for_each(|turn| sim.fair(Habit::First, turn));
    let _kept = sim.world.connect(1, &address(sim.part[0]));
    sim.world.pass(Duration::from_secs(600));
    let verdict = sim.world.client("orders").verdict.unwrap();
    assert_eq!((verdict.cause, sim.alarm()), (Cause::Even, None));
}
