//! Fair clients over zones at random are never zone-aware, those that prefer their zone are, and unevenness within the
//! zone stays unevenness.

use std::collections::BTreeMap;

use crate::expose::snapshot::{Cause, ZoneSum, ZoneTraffic, Zones};
use crate::spread;
use crate::testing::Random;
use crate::verdict::judge;
use crate::verdict::test_fixtures::Facts;

/// The name of a zone.
fn zone(number: usize) -> String {
    format!("zone-{number}")
}

/// A client in zone 0 with these connections to endpoints in these zones, each by an answer that listed all of them.
fn facts(places: &[usize], counts: &[u64]) -> Facts {
    from(places, &BTreeMap::from([(0, counts.to_vec())]))
}

/// The same for a client in several zones.
fn from(places: &[usize], counts: &BTreeMap<usize, Vec<u64>>) -> Facts {
    let sum = |place: usize| counts.values().map(|of_zone| of_zone[place]).sum::<u64>();
    let mut facts = Facts::new(&(0..places.len()).map(sum).collect::<Vec<_>>());
    for (endpoint, place) in facts.service.endpoints.iter_mut().zip(places) {
        endpoint.zone = Some(zone(*place));
    }
    let row = |from: usize, to: usize, connections: u64| ZoneTraffic {
        from: Some(zone(from)),
        to: Some(zone(to)),
        sum: ZoneSum { connections, bytes_sent: connections, bytes_received: 0 },
    };
    let rows = counts
        .iter()
        .flat_map(|(from, counts)| counts.iter().zip(places).map(move |(count, to)| row(*from, *to, *count)));
    facts.client.zones = Zones::of(rows.filter(|row| row.sum.connections > 0));
    facts
}

/// The places of endpoints: each in one of so many zones, at random, the first of them in zone 0, which may have most.
fn layout(random: &mut Random, endpoints: usize, zones: usize) -> Vec<usize> {
    let percent = random.below(100);
    let mut at_random =
        |place| if place == 0 || random.below(100) < percent { 0 } else { random.below(zones) };
    (0..endpoints).map(&mut at_random).collect()
}

fn cause(facts: &Facts) -> Cause {
    judge(&facts.scene()).unwrap().cause
}

/// Connections at random, of which this share is to the own zone alone, if that has endpoints.
fn choose(random: &mut Random, places: &[usize], connections: u64, percent: usize) -> Vec<u64> {
    let own: Vec<usize> = (0..places.len()).filter(|place| places[*place] == 0).collect();
    let mut counts = vec![0; places.len()];
    for _ in 0..connections {
        let stays = random.below(100) < percent;
        let place = if stays { own[random.below(own.len())] } else { random.below(places.len()) };
        counts[place] += 1;
    }
    counts
}

#[test]
fn a_fair_client_is_never_called_zone_aware() {
    let mut random = Random::new(31);
    let (mut windows, mut wrong) = (0, 0);
    for _ in 0..4_000 {
        let (endpoints, zones) = (2 + random.below(30), 2 + random.below(4));
        let places = layout(&mut random, endpoints, zones);
        for connections in [10, 16, 25, 40, 100, 400] {
            let counts = choose(&mut random, &places, connections, 0);
            windows += 1;
            wrong += u64::from(cause(&facts(&places, &counts)) == Cause::ZoneAware);
        }
    }
    assert!(wrong * 1_000 <= windows, "{wrong} of {windows}");
}

#[test]
fn a_client_that_prefers_its_zone_is_named_and_is_well() {
    let mut random = Random::new(32);
    let (mut windows, mut named) = (0, 0);
    for _ in 0..400 {
        let (per_zone, zones) = (2 + random.below(6), 2 + random.below(3));
        let places: Vec<usize> = (0..per_zone * zones).map(|place| place % zones).collect();
        let counts = choose(&mut random, &places, 100 * per_zone as u64, 97);
        let facts = facts(&places, &counts);
        let verdict = judge(&facts.scene()).unwrap();
        windows += 1;
        named += u64::from(verdict.cause == Cause::ZoneAware);
        assert!(verdict.cause.is_well() || verdict.cause == Cause::Unexplained, "{counts:?} {verdict:?}");
        if verdict.cause == Cause::ZoneAware {
            assert!(
                verdict.fix.is_none() && verdict.evidence[1].contains("own zone, zone-0;"),
                "{verdict:?}"
            );
        }
    }
    assert!(named * 1_000 >= windows * 995, "{named} of {windows}");
}

#[test]
fn who_is_uneven_within_its_zone_is_uneven() {
    let mut random = Random::new(33);
    for _ in 0..400 {
        let (per_zone, zones) = (2 + random.below(6), 2 + random.below(3));
        let places: Vec<usize> = (0..per_zone * zones).map(|place| place % zones).collect();
        let mut counts = choose(&mut random, &places, 60 * per_zone as u64, 100);
        // One of its own endpoints gets nothing, or as much as three.
        let own = random.below(per_zone) * zones;
        counts[own] = if random.below(2) == 0 { 0 } else { counts[own] * per_zone as u64 * 3 };
        let verdict = judge(&facts(&places, &counts).scene()).unwrap();
        assert!(verdict.cause != Cause::ZoneAware && !verdict.cause.is_well(), "{counts:?} {verdict:?}");
    }
}

#[test]
fn without_a_choice_between_zones_nothing_is_said_of_them() {
    let places = [0, 0, 0, 1, 1, 1, 2, 2, 2];
    let counts = [100, 100, 100, 0, 0, 0, 0, 0, 0];
    assert_eq!(cause(&facts(&places, &counts)), Cause::ZoneAware);
    // Its answers listed its own zone alone.
    let mut told = facts(&places, &counts);
    told.client.endpoints.iter_mut().skip(3).for_each(|own| own.expected = 0.0);
    assert_ne!(cause(&told), Cause::ZoneAware);
    // The zone of an endpoint, or of the client, is not known.
    let mut unknown = facts(&places, &counts);
    unknown.service.endpoints[8].zone = None;
    assert_ne!(cause(&unknown), Cause::ZoneAware);
    let mut nowhere = facts(&places, &counts);
    nowhere.client.zones.matrix[0].from = None;
    assert_ne!(cause(&nowhere), Cause::ZoneAware);
    // It is in another zone.
    let mut elsewhere = facts(&places, &counts);
    elsewhere.client.zones.matrix[0].from = Some(zone(1));
    assert_ne!(cause(&elsewhere), Cause::ZoneAware);
}

#[test]
fn a_subset_that_may_be_the_zone_by_luck_is_named_beside_it() {
    let alternatives = |facts: &Facts| judge(&facts.scene()).unwrap().alternatives;
    let few = facts(&[0, 0, 1, 1], &[200, 200, 0, 0]);
    assert_eq!((cause(&few), alternatives(&few)), (Cause::ZoneAware, vec![Cause::Subset]));
    let mut places = [1; 15];
    places[..5].fill(0);
    let mut counts = [0; 15];
    counts[..5].fill(100);
    assert_eq!(alternatives(&facts(&places, &counts)), []);
    let mut many = facts(&[0, 0, 1, 1], &[200, 200, 0, 0]);
    many.client.pods = 4;
    assert_eq!(alternatives(&many), [], "each of four pods would have had that luck");
}

#[test]
fn each_zone_of_a_fleet_is_looked_at_by_itself() {
    // Many pods in zone 0, few in zone 1: uneven over all, and each stays at home.
    let places = [0, 0, 1, 1, 2, 2];
    let home = BTreeMap::from([(0, vec![150, 150, 0, 0, 0, 0]), (1, vec![0, 0, 20, 20, 0, 0])]);
    assert_eq!(cause(&from(&places, &home)), Cause::ZoneAware);
    // One zone has one endpoint, which is even.
    let single = BTreeMap::from([(0, vec![150, 150, 0]), (1, vec![0, 0, 30])]);
    assert_eq!(cause(&from(&[0, 0, 1], &single)), Cause::ZoneAware);
    let astray = BTreeMap::from([(0, vec![150, 150, 0, 0, 0, 0]), (1, vec![20, 20, 0, 0, 0, 0])]);
    assert_ne!(cause(&from(&places, &astray)), Cause::ZoneAware, "those of zone 1 do not");
}

#[test]
fn the_only_endpoint_of_the_zone_leaves_both_readings() {
    let mut facts = facts(&[0, 1, 2], &[60, 0, 0]);
    let choice = &mut facts.client.selection_pattern;
    (choice.pods, choice.pods_on_one, choice.max_endpoints) = (1, 1, 1);
    let verdict = judge(&facts.scene()).unwrap();
    assert_eq!((verdict.cause, verdict.alternatives), (Cause::Pinned, vec![Cause::ZoneAware]));
    facts.client.grpc = true;
    assert_eq!(judge(&facts.scene()).unwrap().alternatives, []);
    (facts.client.grpc, facts.service.endpoints[1].zone) = (false, Some(zone(0)));
    assert_eq!(judge(&facts.scene()).unwrap().alternatives, [], "it left another one of its zone");
}

#[test]
fn the_figures_within_a_zone_are_those_of_its_endpoints() {
    let facts = facts(&[0, 1, 0, 1, 0], &[40, 0, 41, 1, 39]);
    let verdict = judge(&facts.scene()).unwrap();
    let figures = spread::of(&[40, 41, 39]);
    let expected = format!("Within zone-0: {}", crate::verdict::figures(&figures, "connections"));
    assert!(verdict.evidence.contains(&expected), "{verdict:?}");
}

#[test]
fn what_a_client_leaves_in_other_zones_is_not_idle() {
    let places = [0, 0, 0, 1, 1, 1];
    let idle = |facts: &Facts| {
        let clients = std::slice::from_ref(&facts.client);
        crate::verdict::idle::idle(&facts.service.endpoints, clients, &facts.service.dns)
    };
    assert!(idle(&facts(&places, &[100, 100, 100, 0, 0, 0])).is_empty());
    assert_eq!(idle(&facts(&places, &[150, 150, 0, 0, 0, 0])), ["pod-2"], "in its own zone");
    assert_eq!(
        idle(&facts(&places, &[100, 100, 100, 100, 100, 0])),
        ["pod-5"],
        "it does not prefer its zone"
    );
}
