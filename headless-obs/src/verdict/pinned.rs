//! Rules about clients that stay with one endpoint. One such client leaves the others idle; many of them together are
//! almost even.

use super::context::RuleContext;
use super::format::{count, span, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, Client, Confidence, Spread, Verdict};

/// Seconds for which a connection must be open, at most, to show a habit.
pub(super) const HELD: f64 = 60.0;
/// Connections by one answer from which it is a habit, not a burst.
const BY_ONE_ANSWER: u64 = 10;

/// Each pod of the client stays with one endpoint.
pub(super) fn is_narrow(scene: &RuleContext<'_>) -> bool {
    holds_one(scene) || chooses_one(scene)
}

/// It stays with one endpoint: `pinned`, or `subset` where all clients together are even.
pub(super) fn pinned(scene: &RuleContext<'_>) -> Option<Verdict> {
    let client = scene.client;
    let is_held = holds_one(scene);
    if !is_held && !chooses_one(scene) {
        return None;
    }
    let mut evidence = vec![if is_held {
        format!(
            "All open connections of {} of {} have been to one endpoint per pod for {} or longer.",
            thousands(client.open_connections.pods_on_one),
            count(client.open_connections.pods, "pod"),
            span(client.open_connections.seconds)
        )
    } else {
        format!(
            "{} of {} made all connections to one endpoint per pod: {} with {}.",
            thousands(client.selection_pattern.pods_on_one),
            count(client.selection_pattern.pods, "pod"),
            count(connections(client), "connection"),
            count(selections(client).max(1), "selection")
        )
    }];
    if let Some((fleet, whose, holders)) = even_fleet(scene, is_held) {
        evidence.push(format!(
            "Together, {} {whose} are even: {}",
            count(holders, "pod"),
            super::evenness::figures(fleet, "connections")
        ));
        return Some(scene.verdict(Cause::Subset, Confidence::High, evidence));
    }
    evidence
        .push(super::evenness::figures(if is_held { &client.open } else { &client.spread }, "connections"));
    if client.grpc {
        evidence.push(
            "The client queries gRPC's service configuration, and gRPC's default policy is pick_first."
                .to_owned(),
        );
    }
    // If endpoints count early, a connection that is open for that long may still be a short one.
    let is_sure = client.grpc || !is_held || client.open_connections.seconds >= HELD;
    let confidence = if is_sure { Confidence::High } else { Confidence::Medium };
    Some(scene.verdict(Cause::Pinned, confidence, evidence))
}

/// All open connections of each pod go to one endpoint, and have done so for a while.
fn holds_one(scene: &RuleContext<'_>) -> bool {
    let (client, held) = (scene.client, &scene.client.open_connections);
    // The open connections of a client that connects and disconnects all the time are not its habit.
    let is_habit = client.open.connections * 2 >= client.spread.connections
        || client.selection_pattern.max_endpoints <= 1;
    !scene.is_glimpse()
        && scene.options() > 1
        && client.open.connections > 0
        && held.pods > 0
        && held.pods_on_one == held.pods
        && held.seconds >= scene.mature_after_seconds.min(HELD)
        && is_habit
}

/// All of a pod's connections went to one endpoint, beyond chance.
fn chooses_one(scene: &RuleContext<'_>) -> bool {
    let (client, choice) = (scene.client, &scene.client.selection_pattern);
    if choice.pods == 0 || choice.pods_on_one < choice.pods || scene.options() < 2 {
        return false;
    }
    let n = scene.options();
    let options = if choice.smallest_answer > 1 { n.min(choice.smallest_answer) } else { n };
    // The first one of each pod proves nothing.
    let repeated =
        |all: u64| significance::same_by_chance_is_ruled_out(all.saturating_sub(choice.pods), options);
    let selections = selections(client);
    repeated(selections)
        || selections <= choice.pods
            && choice.max_connects_per_answer >= BY_ONE_ANSWER
            && repeated(connections(client))
}

fn connections(client: &Client) -> u64 {
    client.endpoints.iter().map(|own| own.counted).sum()
}

fn selections(client: &Client) -> u64 {
    client.endpoints.iter().map(|own| own.selections).sum()
}

/// All connections are to one endpoint, so few that a driver that looks for a role may have found it at first.
pub(super) fn may_have_found_role(scene: &RuleContext<'_>) -> bool {
    let used = scene.rows().filter(|(_, own)| own.active > 0 || own.counted > 0);
    let is_luck = !significance::same_by_chance_is_ruled_out(selections(scene.client), scene.options());
    is_luck && !scene.client.grpc && used.count() == 1
}

/// The workload's pods together, or all of the Service's clients, if they are even.
pub(super) fn even_fleet<'a>(
    scene: &RuleContext<'a>,
    is_held: bool,
) -> Option<(&'a Spread, &'static str, u64)> {
    let pods =
        |client: &Client| if is_held { client.open_connections.pods } else { client.selection_pattern.pods };
    // The Service's spread has no connections by names for a part.
    let counted = scene.service.clients.iter().filter(|client| client.excluded.is_none() && !client.by_part);
    let (own, all) = (pods(scene.client), counted.map(pods).sum());
    let of_client = if is_held { &scene.client.open } else { &scene.client.spread };
    let of_service = if is_held { &scene.service.open } else { &scene.service.spread };
    let of_all = (of_service, "of all clients", if scene.client.by_part { 0 } else { all });
    [(of_client, "of this client", own), of_all]
        .into_iter()
        .find(|(spread, _, holders)| is_even(spread, *holders))
}

/// Each of several pods uses few of the endpoints, beyond chance.
pub(super) fn uses_few(scene: &RuleContext<'_>) -> bool {
    let (choice, n) = (&scene.client.selection_pattern, scene.options());
    let few = choice.max_endpoints;
    choice.pods > 1
        && few > 0
        && significance::few_by_chance_is_ruled_out(few, n, choice.pods, selections(scene.client))
}

/// Each pod uses few of the endpoints and together they are even: `subset`, whether intended or not. A single pod, or
/// pods that are uneven together, are for other rules.
pub(super) fn subset(scene: &RuleContext<'_>) -> Option<Verdict> {
    let (client, choice) = (scene.client, &scene.client.selection_pattern);
    let (n, few) = (scene.options(), choice.max_endpoints);
    if !uses_few(scene) {
        return None;
    }
    let (fleet, whose, pods) = even_fleet(scene, false)?;
    let evidence = vec![
        format!(
            "Each of {} used at most {few} of {}, with {} in all; random choice would have reached more.",
            count(choice.pods, "pod"),
            count(n, "endpoint"),
            count(selections(client), "selection")
        ),
        format!(
            "Together, {} {whose} are even: {}",
            count(pods, "pod"),
            super::evenness::figures(fleet, "connections")
        ),
    ];
    Some(scene.verdict(Cause::Subset, Confidence::High, evidence))
}

/// Whether this number of holders, each with its share of the connections, is as even as this number of choices can be.
fn is_even(spread: &Spread, holders: u64) -> bool {
    if holders < 2 || spread.connections < holders {
        return false;
    }
    let each = spread.connections as f64 / holders as f64;
    let is_enough = holders >= significance::needed(spread.endpoints);
    let is_plainly_even = spread.coverage >= 1.0 && significance::peak(spread) <= significance::PEAK;
    is_plainly_even || is_enough && !significance::uneven_in_bursts(spread, each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    /// Pods with open connections, each to one endpoint.
    fn held(open: &[u64], pods: u64, seconds: f64) -> Facts {
        let mut facts = Facts::held(open);
        facts.client.open_connections.pods = pods;
        facts.client.open_connections.pods_on_one = pods;
        facts.client.open_connections.seconds = seconds;
        facts
    }

    fn cause(facts: &Facts) -> Option<Cause> {
        pinned(&facts.scene()).map(|verdict| verdict.cause)
    }

    #[test]
    fn one_held_connection_is_pinned() {
        let cases = [
            (held(&[1, 0, 0], 1, 120.0), Some(Cause::Pinned)),
            (held(&[8, 0, 0], 1, 120.0), Some(Cause::Pinned)),
            (held(&[1, 0, 0], 1, 20.0), None),
            (held(&[1], 1, 120.0), None),
            (held(&[1, 1, 0], 2, 120.0), Some(Cause::Pinned)),
            (held(&[1, 1, 1], 3, 120.0), Some(Cause::Subset)),
            (held(&[9, 14, 11, 8, 10, 12, 9, 6, 13, 8], 100, 120.0), Some(Cause::Subset)),
            (held(&[100, 0, 0, 0, 0, 0, 0, 0, 0, 0], 100, 120.0), Some(Cause::Pinned)),
            (held(&[50, 160, 130, 70, 100, 120, 90, 60, 130, 90], 100, 120.0), Some(Cause::Subset)),
        ];
        for (facts, expected) in cases {
            assert_eq!(cause(&facts), expected, "{:?}", facts.client.open);
        }
        let mut spreads = held(&[1, 1, 1], 1, 120.0);
        spreads.client.open_connections.pods_on_one = 0;
        assert_eq!(cause(&spreads), None);
    }

    #[test]
    fn few_endpoints_for_each_pod_are_a_subset_where_all_are_even() {
        // Per endpoint, pods, most endpoints of one of them.
        let cases: [(&[u64], u64, u64, Option<Cause>); 5] = [
            (&[24; 6], 12, 2, Some(Cause::Subset)),
            (&[24; 6], 12, 5, None),
            (&[24; 6], 1, 2, None),
            (&[2; 6], 12, 1, None),
            (&[60, 60, 6, 6, 6, 6], 12, 2, None),
        ];
        for (counts, pods, few, expected) in cases {
            let mut facts = Facts::new(counts);
            (facts.client.selection_pattern.pods, facts.client.selection_pattern.max_endpoints) = (pods, few);
            let got = subset(&facts.scene()).map(|verdict| verdict.cause);
            assert_eq!(got, expected, "{counts:?} {pods} {few}");
        }
    }

    #[test]
    fn other_clients_may_make_up_for_it() {
        let mut facts = held(&[1, 0, 0], 1, 120.0);
        let mut others = facts.client.clone();
        others.open_connections.pods = 30;
        facts.service.clients = vec![facts.client.clone(), others];
        facts.service.open = crate::spread::of(&[11, 10, 10]);
        assert_eq!(cause(&facts), Some(Cause::Subset));
        facts.service.open = crate::spread::of(&[31, 0, 0]);
        assert_eq!(cause(&facts), Some(Cause::Pinned));
    }

    #[test]
    fn many_connections_to_one_are_pinned_where_chance_is_ruled_out() {
        // Connections, selections, most by one answer, expected.
        let cases = [
            (600, 600, 1, Some(Cause::Pinned)),
            (600, 1, 600, Some(Cause::Pinned)),
            (12, 12, 1, Some(Cause::Pinned)),
            (10, 10, 1, None),
            (5, 1, 5, None),
            (60, 2, 30, None),
        ];
        for (connections, selections, by_one, expected) in cases {
            let mut facts = Facts::new(&[connections, 0, 0]);
            facts.client.endpoints[0].selections = selections;
            let choice = &mut facts.client.selection_pattern;
            (choice.pods, choice.pods_on_one, choice.max_connects_per_answer) = (1, 1, by_one);
            assert_eq!(cause(&facts), expected, "{connections} {selections} {by_one}");
        }
    }

    #[test]
    fn members_of_a_cluster_are_never_pinned() {
        for n in 2..=50 {
            for elders in 0..n - 1 {
                // Member number `elders` connects to members below it, or all members connect to all.
                let mut open = vec![0; n];
                open[..=elders].fill(1);
                open[elders] = 0;
                if elders == 0 {
                    open.fill(1);
                    open[0] = 0;
                }
                let mut facts = held(&open, 1, 600.0);
                facts.client.endpoints[elders].own_pods = 1;
                let others: Vec<u64> =
                    open.iter().enumerate().filter(|(place, _)| *place != elders).map(|(_, n)| *n).collect();
                facts.client.open = crate::spread::of(&others);
                facts.client.spread = crate::spread::of(&vec![0; n - 1]);
                facts.client.open_connections.pods_on_one = u64::from(others.iter().sum::<u64>() == 1);
                let verdict = crate::verdict::judge(&facts.scene()).unwrap();
                let is_calm = matches!(verdict.cause, Cause::Even | Cause::TooFew);
                assert!(is_calm, "{n} members, {elders} elders: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_driver_may_have_found_its_endpoint_at_first() {
        let facts = held(&[1, 0, 0], 1, 600.0);
        let verdict = crate::verdict::judge(&facts.scene()).unwrap();
        assert_eq!(
            (verdict.confidence, &verdict.alternatives[..]),
            (Confidence::Medium, &[Cause::SeeksRole][..])
        );
        let mut grpc = held(&[1, 0, 0], 1, 600.0);
        grpc.client.grpc = true;
        let verdict = crate::verdict::judge(&grpc.scene()).unwrap();
        assert_eq!((verdict.confidence, &verdict.alternatives[..]), (Confidence::High, &[][..]));
        let several = held(&[1, 1, 0], 2, 600.0);
        let verdict = crate::verdict::judge(&several.scene()).unwrap();
        assert_eq!(verdict.alternatives, [], "its pods stay at different endpoints");
    }
}
