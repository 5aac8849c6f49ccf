//! Rule about clients that prefer the endpoints of their own zone: uneven over all endpoints, and even within the zone.
//!
//! The zone of a client is that of its node. In a fleet, the pods of a client can be in several zones; then each zone is
//! looked at by itself. DNS tells clients no zones, so a client that knows them has them from somewhere else. A client
//! whose answers listed its own zone alone had nothing to prefer, and is none of these.

use std::collections::BTreeMap;

use super::context::{RuleContext, options};
use super::format::{count, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, Client, ClientEndpoint, Confidence, Endpoint, Spread, Verdict};

/// The share of a client's connections that must stay within its zone.
const NEARLY_ALL: f64 = 0.9;
/// Ways to choose as many endpoints at random from which it is no luck that a subset is the own zone.
const WAYS: f64 = 1_000.0;

/// The rows of one zone.
type Rows<'a> = Vec<(&'a Endpoint, &'a ClientEndpoint)>;

/// The counts of a client in one of its zones.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    connections: u64,
    selections: u64,
    expected: f64,
}

impl Sum {
    fn of(rows: &[(&Endpoint, &ClientEndpoint)]) -> Self {
        let mut sum = Self::default();
        for (_, own) in rows {
            sum.connections = sum.connections.saturating_add(own.counted);
            sum.selections = sum.selections.saturating_add(own.selections);
            sum.expected += own.expected;
        }
        sum
    }
}

/// The client uses the endpoints of its own zones, and leaves those of others, although its answers listed them.
pub(super) fn prefers_own_zone(scene: &RuleContext<'_>) -> bool {
    of(scene).is_some()
}

/// It seems to prefer its own zone, with too few connections for certainty.
pub(super) fn may_prefer_own_zone(scene: &RuleContext<'_>) -> bool {
    preferred(&scene.service.endpoints, scene.client, significance::doubtful).is_some()
}

/// The zones that a client keeps to, if it prefers its own.
pub(super) fn kept_zones<'a>(endpoints: &'a [Endpoint], client: &'a Client) -> Option<Vec<&'a str>> {
    Some(preferred(endpoints, client, significance::beyond)?.into_keys().collect())
}

/// Within its own zone it is uneven beyond chance.
pub(super) fn is_uneven_within(scene: &RuleContext<'_>) -> bool {
    of(scene).is_some_and(|zones| zones.values().any(|rows| is_uneven(rows)))
}

/// It uses every endpoint of one zone, and so few are in it that a client which keeps to a few endpoints may have hit them.
pub(super) fn may_be_subset(scene: &RuleContext<'_>) -> bool {
    let Some(zones) = of(scene) else { return false };
    let (own, all) = (zones.values().map(Vec::len).sum::<usize>(), scene.mature().count());
    // Each pod would have to hit them by itself.
    zones.len() == 1 && ways(all, own).powf(scene.client.pods.max(1) as f64) < WAYS
}

/// The one endpoint that it uses is the only one of its zone, and others are in other zones.
pub(super) fn has_one_of_its_own(scene: &RuleContext<'_>) -> bool {
    let Some(froms) = froms(scene.client) else { return false };
    let is_own = |endpoint: &Endpoint| endpoint.zone.as_deref().is_some_and(|zone| froms.contains_key(zone));
    let own: Rows<'_> = scene.mature().filter(|(endpoint, _)| is_own(endpoint)).collect();
    let others = || scene.mature().filter(|(endpoint, _)| !is_own(endpoint));
    let is_unused = |(_, row): (&Endpoint, &ClientEndpoint)| row.counted == 0 && row.active == 0;
    !scene.client.grpc
        && froms.len() == 1
        && own.len() == 1
        && others().next().is_some()
        && others().all(|(endpoint, _)| endpoint.zone.is_some())
        && others().all(is_unused)
}

/// It prefers its own zone.
pub(super) fn zone_aware(scene: &RuleContext<'_>) -> Option<Verdict> {
    let zones = of(scene)?;
    let all = Sum::of(&scene.mature().collect::<Rows<'_>>());
    let within = Sum::of(&zones.values().flatten().copied().collect::<Rows<'_>>());
    let endpoints: usize = zones.values().map(Vec::len).sum();
    let names: Vec<&str> = zones.keys().copied().collect();
    let share = all.selections as f64 * within.expected / all.expected;
    let mut evidence = vec![
        super::evenness::figures(scene.spread(), "connections"),
        format!(
            "{} of {} went to the {} of the client's own zone, {}; random choice would give {:.0}.",
            thousands(within.selections),
            count(all.selections, "selection"),
            count(u64::try_from(endpoints).unwrap_or(u64::MAX), "endpoint"),
            names.join(" and "),
            share,
        ),
    ];
    evidence.extend(zones.iter().map(|(zone, rows)| {
        format!(
            "Within {zone}: {}",
            super::evenness::figures(&spread(rows, |own| own.counted), "connections")
        )
    }));
    if scene.service.endpoints.iter().any(|endpoint| !endpoint.hints.is_empty()) {
        evidence.push("The hints of the Service's slices ask for that.".to_owned());
    }
    let is_enough = |rows: &Rows<'_>| {
        Sum::of(rows).selections >= significance::needed(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    };
    let confidence = if zones.values().all(is_enough) { Confidence::High } else { Confidence::Medium };
    Some(scene.verdict(Cause::ZoneAware, confidence, evidence))
}

fn of<'a>(scene: &RuleContext<'a>) -> Option<BTreeMap<&'a str, Rows<'a>>> {
    preferred(&scene.service.endpoints, scene.client, significance::beyond)
}

/// The rows of the client's own zones, if it prefers them beyond chance by this measure.
fn preferred<'a>(
    endpoints: &'a [Endpoint],
    client: &'a Client,
    is_beyond: fn(u64, u64, f64) -> bool,
) -> Option<BTreeMap<&'a str, Rows<'a>>> {
    let froms = froms(client)?;
    let mut zones: BTreeMap<&str, Rows<'a>> = BTreeMap::new();
    for row in options(endpoints, client) {
        zones.entry(row.0.zone.as_deref()?).or_default().push(row);
    }
    let all = Sum::of(&zones.values().flatten().copied().collect::<Rows<'_>>());
    let of = |zone: &str| zones.get(zone).map(|rows| Sum::of(rows)).unwrap_or_default();
    // Connections by one selection are no choices of their own.
    let choices = (all.selections as f64 / all.connections.max(1) as f64).min(1.0);
    let is_preferred = |(zone, from): (&&str, &From)| {
        let is_nearly_all = from.within as f64 >= NEARLY_ALL * from.all as f64;
        let (hits, tries) = if froms.len() == 1 {
            (of(zone).selections, all.selections)
        } else {
            (scaled(from.within, choices), scaled(from.all, choices))
        };
        let by_chance = tries as f64 * of(zone).expected / all.expected;
        (is_nearly_all, is_beyond(hits, tries, by_chance))
    };
    let judged: Vec<(bool, bool)> = froms.iter().map(is_preferred).collect();
    // One endpoint in one zone is a choice of one, which says nothing about zones.
    let tells =
        froms.len() > 1 || froms.keys().all(|zone| zones.get(zone).is_some_and(|rows| rows.len() > 1));
    let is_certain = all.expected > 0.0
        && tells
        && judged.iter().all(|(is_nearly_all, _)| *is_nearly_all)
        && judged.iter().any(|(_, is_beyond)| *is_beyond);
    zones.retain(|zone, _| froms.contains_key(zone));
    is_certain.then_some(zones)
}

/// Connections from one zone.
#[derive(Clone, Copy, Debug, Default)]
struct From {
    within: u64,
    all: u64,
}

/// Connections by the zone of the client; nothing if some came from a zone that is not known, or there are none.
fn froms(client: &Client) -> Option<BTreeMap<&str, From>> {
    let mut froms: BTreeMap<&str, From> = BTreeMap::new();
    for row in client.zones.matrix.iter().filter(|row| row.sum.connections > 0) {
        let from = froms.entry(row.from.as_deref()?).or_default();
        from.all = from.all.saturating_add(row.sum.connections);
        if row.from == row.to {
            from.within = from.within.saturating_add(row.sum.connections);
        }
    }
    (!froms.is_empty()).then_some(froms)
}

/// As over all endpoints (`evenness::is_uneven`), within one zone.
fn is_uneven(rows: &Rows<'_>) -> bool {
    let (selections, connections) = (spread(rows, |own| own.selections), spread(rows, |own| own.counted));
    let peaks = significance::uneven(&selections) && significance::peak(&connections) > significance::PEAK;
    let n = selections.endpoints;
    let expected = Sum::of(rows).expected;
    let starves = |(_, own): &(&Endpoint, &ClientEndpoint)| {
        let share = own.expected / expected;
        significance::is_starved(own.selections, share * selections.connections as f64, n)
            && significance::is_starved(own.counted, share * connections.connections as f64, n)
    };
    peaks || selections.connections >= significance::needed(n) && expected > 0.0 && rows.iter().any(starves)
}

fn spread(rows: &Rows<'_>, of: fn(&ClientEndpoint) -> u64) -> Spread {
    let counts: Vec<u64> = rows.iter().map(|(_, own)| of(own)).collect();
    let expected: Vec<f64> = rows.iter().map(|(_, own)| own.expected).collect();
    crate::spread::exposed(&counts, &expected)
}

/// A part of a count, rounded down.
fn scaled(count: u64, share: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to the count")]
    let part = (count as f64 * share) as u64;
    part
}

/// The number of ways to choose `few` of `all`.
fn ways(all: usize, few: usize) -> f64 {
    (0..few.min(all)).map(|place| (all - place) as f64 / (few - place) as f64).product()
}

#[cfg(test)]
mod tests;
