//! Complete cases: which rule decides, when there is no verdict, and that every cause has its page.

use super::test_fixtures::Facts;
use super::*;
use crate::expose::snapshot::{OtherPort, StaleTarget};
use crate::expose::test_fixtures::{at, counts, snapshot};

fn cause(facts: &Facts) -> Result<Cause, &'static str> {
    judge(&facts.scene()).map(|verdict| verdict.cause).map_err(Withheld::as_str)
}

#[test]
fn two_one_none_is_too_few() {
    let verdict = judge(&Facts::new(&[2, 1, 0]).scene()).unwrap();
    assert_eq!((verdict.cause, verdict.needed, verdict.fix), (Cause::TooFew, Some(12), None));
}

#[test]
fn a_scale_up_that_nobody_noticed_names_the_client() {
    let mut facts = Facts::new(&[30, 30, 30, 0, 0, 0]);
    facts.client.answers.last = Some(at(60));
    for (endpoint, own) in facts.service.endpoints.iter_mut().zip(&mut facts.client.endpoints).skip(3) {
        (endpoint.ready_since, own.answered_pods, own.unaware_pods) = (Some(at(600)), 0, 1);
    }
    let verdict = judge(&facts.scene()).unwrap();
    assert_eq!(
        (verdict.cause, verdict.confidence),
        (Cause::NeverReResolved, crate::expose::snapshot::Confidence::High)
    );
    assert!(verdict.evidence.iter().any(|line| line.contains("shop/web")), "{verdict:?}");
}

#[test]
fn a_hundred_pinned_clients_are_a_subset() {
    let mut facts = Facts::held(&[9, 14, 11, 8, 10, 12, 9, 6, 13, 8]);
    facts.client.pods = 100;
    let held = &mut facts.client.open_connections;
    (held.pods, held.pods_on_one, held.seconds) = (100, 100, 900.0);
    assert_eq!(cause(&facts), Ok(Cause::Subset));
    assert_eq!(judge(&facts.scene()).unwrap().fix, None);
}

#[test]
fn held_connections_are_judged_as_they_stand() {
    let mut one = Facts::held(&[0, 1, 0]);
    let held = &mut one.client.open_connections;
    (held.pods, held.pods_on_one, held.seconds) = (1, 1, 900.0);
    assert_eq!(cause(&one), Ok(Cause::Pinned));
    let mut three = Facts::held(&[1, 1, 1]);
    three.client.open_connections.pods = 1;
    let verdict = judge(&three.scene()).unwrap();
    assert_eq!(verdict.cause, Cause::Even);
    assert!(verdict.evidence.iter().any(|line| line.contains("are even")), "{verdict:?}");
}

#[test]
fn the_netmask_decides_on_rule_nine() {
    let mut wide = Facts::new(&[0, 0, 0, 0, 0, 600]);
    let choice = &mut wide.client.selection_pattern;
    (choice.first, choice.first_by_chance) = (104, 100.0);
    (choice.nearest_candidates, choice.nearest, choice.nearest_by_chance) = (600, 600, 100.0);
    assert_eq!(cause(&wide), Ok(Cause::AddressSort));
    let mut narrow = Facts::new(&[96, 104, 101, 99, 108, 92]);
    (narrow.client.selection_pattern.first, narrow.client.selection_pattern.first_by_chance) = (600, 100.0);
    assert_eq!(cause(&narrow), Ok(Cause::Even));
}

#[test]
fn what_is_wrong_comes_before_how_it_is_spread() {
    let mut facts = Facts::new(&[600, 0, 0]);
    let stale = |kind: &str| StaleTarget {
        pod: "pod-9".to_owned(),
        kind: kind.to_owned(),
        connections: 60,
        seconds: 90.0,
        ..StaleTarget::default()
    };
    facts.client.stale = ["removed", "not_ready", "ip_reused"].map(stale).into();
    facts.client.other_ports = vec![OtherPort {
        port: 80,
        connections: 60,
        opened: 0,
        failed: 60,
        of_service: true,
        use_port: Some(8080),
    }];
    assert_eq!(cause(&facts), Ok(Cause::PortMismatch));
    facts.client.other_ports.clear();
    assert_eq!(cause(&facts), Ok(Cause::IpReused));
    facts.client.stale.pop();
    assert_eq!(cause(&facts), Ok(Cause::DialsNotReady));
    facts.client.stale.pop();
    assert_eq!(cause(&facts), Ok(Cause::StaleCache));
    facts.client.stale.pop();
    assert_eq!(cause(&facts), Ok(Cause::Unexplained));
}

#[test]
fn certain_pods_are_meant_and_never_imbalance() {
    let mut facts = Facts::new(&[0, 0, 0]);
    facts.client.endpoints[0].opened = 500;
    facts.client.opened = 500;
    facts.client.resolution = counts([("hostname", 500)]);
    assert_eq!(cause(&facts), Err("by_hostname"));
    let mut older = Facts::held(&[100, 0, 0]);
    older.client.resolution = counts([("hostname", 3), ("preexisting", 97)]);
    assert_eq!(cause(&older), Err("by_hostname"), "what is older is likely no other");
    facts.client.stale = vec![StaleTarget {
        pod: "pod-9".to_owned(),
        kind: "removed".to_owned(),
        connections: 50,
        past_ttl: 50,
        ..StaleTarget::default()
    }];
    assert_eq!(cause(&facts), Ok(Cause::StaleCache));
}

#[test]
fn half_the_facts_carry_no_verdict() {
    type Change = fn(&mut Facts);
    let cases: [(Change, &str); 12] = [
        (|facts| facts.client.reconciled = 7, "losses"),
        (|facts| facts.client.losses = counts([("connections_full", 7)]), "losses"),
        (|facts| facts.client.losses = counts([("answers_evicted", 4), ("clients_folded", 3)]), "losses"),
        (|facts| facts.client.losses = counts([("dns_ring_full", 7)]), "losses"),
        (|facts| facts.client.losses = counts([("topology_full", 1)]), "losses"),
        (|facts| facts.quality.topology.synced = false, "not_in_sync"),
        (|facts| facts.quality.topology.stale_since = Some(at(0)), "not_in_sync"),
        (|facts| facts.client.excluded = Some("host".to_owned()), "excluded"),
        (|facts| facts.client.resolution = counts([("none", 600)]), "no_dns"),
        (|facts| facts.client.resolution = counts([("hostname", 4), ("none", 1)]), "no_dns"),
        (
            |facts| {
                facts.client.resolution = counts([("none", 600)]);
                facts.service.dns.answers = 60;
            },
            "resolved_elsewhere",
        ),
        (
            |facts| {
                facts.client.resolution = counts([("preexisting", 600)]);
                facts.client.answers.count = 0;
            },
            "started_after",
        ),
    ];
    for (change, expected) in cases {
        let mut facts = Facts::new(&[600, 0, 0]);
        change(&mut facts);
        assert_eq!(cause(&facts), Err(expected));
    }
    let mut few = Facts::new(&[200, 200, 200]);
    few.client.reconciled = 6;
    few.client.losses = counts([("connections_full", 6), ("ring_full", 5_000), ("dns_ring_full", 6)]);
    assert_eq!(cause(&few), Ok(Cause::Even), "losses below 1 % and details that the totals make up for");
    few.quality.reconciled_share = 0.5;
    few.quality.events_lost = counts([
        ("connections_full", 900),
        ("dns_cut", 900),
        ("answers_evicted", 900),
        ("topology_evicted", 900),
    ]);
    assert_eq!(cause(&few), Ok(Cause::Even), "losses of other clients, and forgotten history");
}

#[test]
fn older_than_the_observer_and_idle_endpoints_since_is_known() {
    let mut facts = Facts::held(&[1, 1, 0]);
    facts.client.resolution = counts([("preexisting", 2)]);
    facts.client.answers = crate::expose::snapshot::ClientAnswers::default();
    assert_eq!(cause(&facts), Err("started_after"));
    facts.service.endpoints[2].ready_since = Some(at(300));
    (facts.client.endpoints[2].answered_pods, facts.client.endpoints[2].unaware_pods) = (0, 1);
    assert_eq!(cause(&facts), Ok(Cause::NeverReResolved));
}

#[test]
fn every_client_of_a_snapshot_is_judged() {
    let mut snapshot = snapshot();
    snapshot.services[0].clients[0].excluded = Some("host".to_owned());
    judge_all(&mut snapshot);
    let clients = || snapshot.services.iter().flat_map(|service| &service.clients);
    assert!(clients().all(|client| client.verdict.is_some() != client.withheld.is_some()));
    assert_eq!(snapshot.services[0].clients[0].withheld.as_deref(), Some("excluded"));
    let mut again = snapshot.clone();
    judge_all(&mut again);
    assert_eq!(again, snapshot);
}

#[test]
fn every_cause_and_reason_has_its_section() {
    let text = include_str!("../../../docs/verdicts.md");
    let headings: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
    let names = Cause::ALL.map(Cause::as_str);
    for name in names.iter().chain(&Withheld::ALL.map(Withheld::as_str)) {
        assert!(
            headings.iter().any(|line| line.trim_start_matches('#').trim() == *name),
            "no section {name}"
        );
    }
    assert_eq!(doc_link(Cause::AddressSort), "docs/verdicts.md#address_sort");
}
