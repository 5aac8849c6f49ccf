//! Simulations of clients in zones, looked at every ten seconds, with all the stretches of time on which a verdict may
//! rest: those that prefer their zone are never blamed and soon named, fair ones are never taken for them, and those that
//! turn within their zone are found.

use super::*;
use crate::testing::Random;

/// Seconds between two looks.
const LOOK: u64 = 10;

/// The way in which a client chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// The first address of each answer, which the server shuffles.
    Fair,
    /// The first of those of its own zone.
    OwnZone,
    /// The same, and one in twenty of any zone.
    MostlyOwnZone,
    /// Always the same endpoint of its zone.
    OneOfItsZone,
}

struct Sim {
    world: World,
    random: Random,
    zones: Vec<&'static str>,
}

impl Sim {
    /// So many endpoints in each of some zones; the client is in the first one.
    fn new(seed: u64, per_zone: usize, zones: usize) -> Self {
        let zones: Vec<&str> = (0..per_zone * zones).map(|place| ["a", "b", "c"][place % zones]).collect();
        let mut world = world(&zones);
        world.apply(Change::Synced(true));
        Self { world, random: Random::new(seed), zones }
    }

    fn visit(&mut self, habit: Habit) {
        let n = self.zones.len();
        let mut order: Vec<usize> = (0..n).collect();
        for place in (1..n).rev() {
            order.swap(place, self.random.below(place + 1));
        }
        let own = || order.iter().copied().find(|place| self.zones[*place] == "a");
        let chosen = match habit {
            Habit::Fair => Some(order[0]),
            Habit::OwnZone => own(),
            Habit::MostlyOwnZone if self.random.below(20) == 0 => Some(order[0]),
            Habit::MostlyOwnZone => own(),
            Habit::OneOfItsZone => Some(0),
        };
        let addresses: Vec<String> = order.iter().map(|place| format!("10.0.0.{}", place + 1)).collect();
        self.world.resolve(1, ORDERS, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
        let dialled = self.world.connect(1, &format!("10.0.0.{}", chosen.unwrap() + 1));
        self.world.close(dialled);
    }

    /// So many connections in ten seconds; the cause that is then named.
    fn look(&mut self, habit: Habit, connections: u64) -> Cause {
        let end = self.world.now + LOOK * 1_000;
        for left in (1..=connections).rev() {
            self.visit(habit);
            self.world.now += (end - self.world.now) / (left + 1);
        }
        self.world.now = end;
        let client = self.world.client("orders");
        client.verdict.unwrap_or_else(|| panic!("{:?}", client.withheld)).cause
    }
}

#[test]
fn who_prefers_its_zone_is_never_blamed_and_soon_named() {
    for (habit, per_zone, zones) in [
        (Habit::OwnZone, 2, 2),
        (Habit::OwnZone, 2, 3),
        (Habit::OwnZone, 6, 3),
        (Habit::MostlyOwnZone, 4, 2),
        (Habit::MostlyOwnZone, 3, 3),
    ] {
        for (seed, connections) in [1, 4, 20, 100].into_iter().enumerate() {
            let mut sim = Sim::new(seed as u64, per_zone, zones);
            let case = format!("{habit:?} {per_zone} of {zones} zones, {connections} in {LOOK} s");
            let causes: Vec<_> = (0..60).map(|_| sim.look(habit, connections)).collect();
            let wrong: Vec<_> = causes.iter().filter(|cause| !cause.is_well()).collect();
            assert!(wrong.is_empty(), "{case}: {causes:?}");
            let is_enough = connections * 60 >= 40 * (per_zone * zones) as u64;
            assert!(!is_enough || causes.last() == Some(&Cause::ZoneAware), "{case}: {causes:?}");
        }
    }
}

#[test]
fn a_fair_client_in_a_zone_is_never_taken_for_one() {
    let (mut looks, mut wrong) = (0, 0);
    for seed in 0..24 {
        let connections = [3, 30][seed % 2];
        let mut sim = Sim::new(seed as u64, 2 + seed % 4, 2 + seed % 2);
        for _ in 0..50 {
            looks += 1;
            wrong += u64::from(sim.look(Habit::Fair, connections) == Cause::ZoneAware);
        }
    }
    assert!(looks >= 1_000 && wrong * 1_000 <= looks, "{wrong} of {looks}");
}

#[test]
fn who_turns_to_one_endpoint_of_its_zone_is_found_within_a_minute() {
    for (per_zone, zones) in [(2, 2), (3, 3)] {
        let mut sim = Sim::new(7, per_zone, zones);
        for _ in 0..60 {
            sim.look(Habit::OwnZone, 50);
        }
        let turned: Vec<_> = (0..6).map(|_| sim.look(Habit::OneOfItsZone, 50)).collect();
        assert!(turned.iter().any(|cause| !cause.is_well()), "{per_zone} of {zones}: {turned:?}");
        assert!(!turned.last().unwrap().is_well(), "{per_zone} of {zones}: {turned:?}");
        let healed: Vec<_> = (0..12).map(|_| sim.look(Habit::OwnZone, 50)).collect();
        assert!(healed.last().unwrap().is_well(), "{per_zone} of {zones}: {healed:?}");
    }
}
