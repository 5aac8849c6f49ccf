//! Rules about connections to addresses that are not a ready endpoint: the client or the DNS server is at fault.

use super::attempts::{self, has_recovered};
use super::context::RuleContext;
use super::format::{count, span, thousands};
use crate::expose::snapshot::{Cause, Confidence, StaleTarget, Verdict};

/// Another pod has the address now, so the client talks to a stranger. Once is enough.
pub(super) fn ip_reused(scene: &RuleContext<'_>) -> Option<Verdict> {
    let reused: Vec<_> = of_kind(scene, &["ip_reused"]).filter(|target| target.connections > 0).collect();
    let evidence: Vec<_> = reused
        .iter()
        .map(|target| {
            let now = target.current_owner.as_deref().unwrap_or("another pod");
            let unresolved = if target.unresolved < target.connections {
                ""
            } else {
                " No DNS answer led there; the client had connected to the address before, and to no other endpoint of \
                 its present owner's Service."
            };
            format!(
                "{} went to the former address of {}, which now belongs to {now}; the last was {} after the change.{unresolved}",
                count(target.connections, "connection"),
                target.pod,
                span(target.seconds)
            )
        })
        .collect();
    // Without an answer, the client may have found the address elsewhere since.
    let is_sure =
        |target: &&StaleTarget| target.current_owner.is_some() && target.unresolved < target.connections;
    let confidence = if reused.iter().copied().any(|target| is_sure(&target)) {
        Confidence::High
    } else {
        Confidence::Medium
    };
    (!evidence.is_empty()).then(|| scene.verdict(Cause::IpReused, confidence, evidence))
}

/// The endpoint exists and is not ready.
pub(super) fn dials_not_ready(scene: &RuleContext<'_>) -> Option<Verdict> {
    let targets = || of_kind(scene, &["not_ready"]);
    let (connections, listed) = sums(targets());
    if !reaches_not_ready(scene) {
        return None;
    }
    let mut evidence: Vec<_> = targets().map(|target| line(target, "while it was not ready")).collect();
    if scene.service.publishes_not_ready {
        evidence.push(
            "The Service asks for endpoints that are not ready (publishNotReadyAddresses), so DNS lists them on purpose."
                .to_owned(),
        );
    }
    evidence.push(if listed > 0 {
        format!(
            "DNS listed them: {} of {} used an answer that came after they were not ready.",
            thousands(listed),
            count(connections, "connection")
        )
    } else {
        "All of them used answers from before that time.".to_owned()
    });
    Some(scene.verdict(Cause::DialsNotReady, sure(connections), evidence))
}

/// The endpoint has left or is not ready, and DNS still listed it.
pub(super) fn dns_stale(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !was_told_of_left(scene) {
        return None;
    }
    let listed = |target: &&StaleTarget| target.answered_after > 0;
    let (_, after) = sums(of_kind(scene, unlisted(scene)).filter(listed));
    let mut evidence: Vec<_> = of_kind(scene, unlisted(scene))
        .filter(listed)
        .map(|target| {
            let what = format!("with answers that listed it after it was {}", target.kind.replace('_', " "));
            line(&StaleTarget { connections: target.answered_after, ..target.clone() }, &what)
        })
        .collect();
    let dns = &scene.service.dns;
    if dns.removed_answered > 0 {
        evidence.push(format!(
            "{} of {} for the Service listed endpoints that had left.",
            thousands(dns.removed_answered),
            count(dns.answers, "answer")
        ));
    }
    Some(scene.verdict(Cause::DnsStale, sure(after), evidence))
}

/// The endpoint has left, and the client knew it from an earlier answer.
pub(super) fn stale_cache(scene: &RuleContext<'_>) -> Option<Verdict> {
    let (connections, after) = sums(of_kind(scene, &LEFT));
    let kept = connections.saturating_sub(after);
    if !kept_left(scene) {
        return None;
    }
    let mut evidence: Vec<_> = of_kind(scene, &LEFT)
        .filter(|target| target.connections > target.answered_after)
        .map(|target| {
            let kept = target.connections - target.answered_after;
            let what = format!("with answers from before it was {}", target.kind);
            line(&StaleTarget { connections: kept, ..target.clone() }, &what)
        })
        .collect();
    let past: u64 = of_kind(scene, &LEFT).map(|target| target.past_ttl).sum();
    let (ttl, age) = (scene.client.answers.ttl_seconds, &scene.client.answer_age);
    if past > 0 {
        let oldest = span(age.max_seconds);
        evidence.push(format!(
            "{} of them used an answer past its TTL of {ttl} s; the oldest was {oldest} old.",
            thousands(past)
        ));
    }
    // Within the TTL the client did nothing wrong, and any cache may be the cause.
    let confidence = if past > 0 { sure(kept) } else { Confidence::Low };
    Some(scene.verdict(Cause::StaleCache, confidence, evidence))
}

/// The Service asks for endpoints that are not ready, and connections there succeed, or have begun to: members of a cluster
/// try one another until they are up.
pub(super) fn is_asked_for(scene: &RuleContext<'_>) -> bool {
    let not_ready = |pod: &str| of_kind(scene, &["not_ready"]).any(|target| target.pod == pod);
    let (mut tried, mut failed) = (0, 0);
    for (endpoint, own) in scene.rows().filter(|(_, own)| not_ready(&own.pod)) {
        tried += attempts::attempts(own);
        failed += if has_recovered(endpoint, own) { 0 } else { attempts::failures(own) };
    }
    scene.service.publishes_not_ready && failed * 2 <= tried
}

/// The endpoints were listed after they were not ready, although the Service does not ask for that.
pub(super) fn was_told_of_not_ready(scene: &RuleContext<'_>) -> bool {
    let (connections, after) = sums(of_kind(scene, &["not_ready"]));
    !scene.service.publishes_not_ready && after > 0 && after.saturating_mul(2) >= connections
}

/// Connections to endpoints of these kinds are 1 % or more of all.
pub(super) fn reaches_not_ready(scene: &RuleContext<'_>) -> bool {
    scene.is_significant_share(sums(of_kind(scene, &["not_ready"])).0)
}

/// Some connections went to an address that is another pod's.
pub(super) fn reaches_stranger(scene: &RuleContext<'_>) -> bool {
    of_kind(scene, &["ip_reused"]).any(|target| target.connections > 0)
}

/// Connections to endpoints that DNS should no longer list, by an answer from after that, are 1 % or more, and at least
/// half of those to such endpoints.
pub(super) fn was_told_of_left(scene: &RuleContext<'_>) -> bool {
    let (connections, after) =
        sums(of_kind(scene, unlisted(scene)).filter(|target| target.answered_after > 0));
    scene.is_significant_share(after) && after.saturating_mul(2) >= connections
}

/// Connections to endpoints that have left, by an answer from before, are 1 % or more.
pub(super) fn kept_left(scene: &RuleContext<'_>) -> bool {
    let (connections, after) = sums(of_kind(scene, &LEFT));
    scene.is_significant_share(connections.saturating_sub(after))
}

/// The client used answers that it had a right to use: a cache in between may have kept them.
pub(super) fn is_within_ttl(scene: &RuleContext<'_>) -> bool {
    kept_left(scene) && of_kind(scene, &LEFT).all(|target| target.past_ttl == 0)
}

const LEFT: [&str; 2] = ["removed", "terminating"];
const NOT_LISTED: [&str; 3] = ["removed", "terminating", "not_ready"];

/// The kinds of endpoints that DNS does not list if it is up to date.
fn unlisted(scene: &RuleContext<'_>) -> &'static [&'static str] {
    if was_told_of_not_ready(scene) { &NOT_LISTED } else { &LEFT }
}

fn of_kind<'a>(scene: &RuleContext<'a>, kinds: &'a [&str]) -> impl Iterator<Item = &'a StaleTarget> {
    scene.client.stale.iter().filter(|target| kinds.contains(&target.kind.as_str()))
}

/// Connections, and those by an answer from after the change.
fn sums<'a>(targets: impl Iterator<Item = &'a StaleTarget>) -> (u64, u64) {
    targets.fold((0, 0), |(all, after), target| (all + target.connections, after + target.answered_after))
}

fn line(target: &StaleTarget, what: &str) -> String {
    let connections = count(target.connections, "connection");
    format!(
        "{connections} went to {} {what}; the last was {} after the change.",
        target.pod,
        span(target.seconds)
    )
}

/// One or two may have been in progress.
fn sure(connections: u64) -> Confidence {
    if connections < 3 { Confidence::Medium } else { Confidence::High }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    fn target(kind: &str, connections: u64, answered_after: u64, past_ttl: u64) -> StaleTarget {
        let (pod, kind) = ("orders-9".to_owned(), kind.to_owned());
        StaleTarget {
            pod,
            kind,
            connections,
            answered_after,
            past_ttl,
            seconds: 300.0,
            current_owner: None,
            unresolved: 0,
        }
    }

    #[test]
    fn who_is_to_blame_shows_in_when_it_was_answered() {
        use Cause::{DialsNotReady, DnsStale, IpReused, StaleCache};
        use Confidence::{High, Low, Medium};
        let cases = [
            (target("ip_reused", 1, 0, 0), Some((IpReused, Medium))),
            (target("not_ready", 5, 5, 0), Some((DialsNotReady, High))),
            (target("not_ready", 2, 0, 0), Some((DialsNotReady, Medium))),
            (target("removed", 5, 5, 0), Some((DnsStale, High))),
            (target("removed", 5, 3, 0), Some((DnsStale, High))),
            (target("terminating", 5, 2, 3), Some((StaleCache, High))),
            (target("removed", 5, 0, 5), Some((StaleCache, High))),
            (target("removed", 5, 0, 0), Some((StaleCache, Low))),
            (target("removed", 0, 0, 0), None),
        ];
        for (stale, expected) in cases {
            let mut facts = Facts::even(3, 150);
            facts.client.stale = vec![stale];
            let scene = facts.scene();
            let rules = [ip_reused, dials_not_ready, dns_stale, stale_cache];
            let got = rules.iter().find_map(|rule| rule(&scene));
            let short = got.as_ref().map(|verdict| (verdict.cause, verdict.confidence));
            assert_eq!(short, expected, "{:?}", facts.client.stale);
            assert!(
                got.is_none_or(|verdict| verdict.evidence[0].contains("orders-9") && verdict.fix.is_some())
            );
        }
    }

    #[test]
    fn one_in_a_thousand_is_not_worth_a_word_unless_a_stranger_is_reached() {
        let mut facts = Facts::even(3, 3_000);
        facts.client.stale = vec![target("removed", 1, 0, 1)];
        assert_eq!(stale_cache(&facts.scene()), None);
        let mut reused = target("ip_reused", 1, 0, 1);
        reused.current_owner = Some("bank/vault-0".to_owned());
        facts.client.stale = vec![reused];
        let verdict = ip_reused(&facts.scene()).unwrap();
        assert_eq!(verdict.confidence, Confidence::High);
        assert!(verdict.evidence[0].contains("bank/vault-0"));
    }
}
