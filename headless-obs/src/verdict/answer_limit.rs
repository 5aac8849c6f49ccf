//! Rule about servers that list only k of n endpoints in each answer, as Consul and some caches do.
//!
//! Such answers lack endpoints, but the server is not behind: together, the answers list more endpoints than any one. A
//! client that is uneven among the endpoints that it was told of is so for another reason.

use super::context::RuleContext;
use super::format::{count, thousands};
use super::pinned::even_fleet;
use super::significance;
use crate::expose::snapshot::{Cause, ClientAnswers, Confidence, Verdict};
use crate::spread;

/// The number of addresses in each answer to each client, if all answers have the same, fewer than there are endpoints,
/// and none was truncated.
fn size_of_all(scene: &RuleContext<'_>) -> Option<u64> {
    let own = &scene.client.answers;
    let n = scene.rows().filter(|(endpoint, _)| endpoint.mature).count() as u64;
    // The answers for a part have the size of the part.
    let whole = || scene.others().filter(|other| !other.by_part);
    let others = || whole().map(|other| &other.answers).filter(|answers| answers.count > 0);
    let size = if own.count > 0 { own.largest } else { others().next()?.largest };
    let is_alike = |one: &ClientAnswers| (one.smallest, one.largest, one.truncated) == (size, size, 0);
    let is_part = size > 0 && size < n && (own.count == 0 || is_alike(own)) && !scene.client.by_part;
    (is_part && others().all(is_alike)).then_some(size)
}

/// The server's limit: all answers have this number of addresses, and together they listed more endpoints.
pub(super) fn limit(scene: &RuleContext<'_>) -> Option<u64> {
    let listed = scene.rows().filter(|(endpoint, _)| endpoint.mature && endpoint.first_answered.is_some());
    size_of_all(scene).filter(|size| listed.count() as u64 > *size)
}

/// All answers have one size, and the endpoints that they lack are as old as the observation: a limit of the server
/// would look the same.
pub(super) fn may_be_limit(scene: &RuleContext<'_>) -> bool {
    let mut unlisted =
        scene.rows().filter(|(endpoint, _)| endpoint.mature && endpoint.first_answered.is_none());
    size_of_all(scene).is_some()
        && unlisted.all(|(endpoint, _)| endpoint.ready_since.is_none_or(|since| since <= scene.from))
}

pub(super) fn is_limited(scene: &RuleContext<'_>) -> bool {
    limit(scene).is_some() && misses(scene) > 0 && !is_uneven_within(scene)
}

/// The client is uneven among the endpoints that it was told of.
fn is_uneven_within(scene: &RuleContext<'_>) -> bool {
    let told = scene.mature().filter(|(_, own)| own.answered_pods > 0 || own.counted > 0);
    let (counts, shares): (Vec<u64>, Vec<f64>) = told.map(|(_, own)| (own.counted, own.expected)).unzip();
    significance::uneven(&spread::exposed(&counts, &shares))
}

/// Mature endpoints that no answer to this client listed.
fn misses(scene: &RuleContext<'_>) -> u64 {
    scene.mature().filter(|(_, own)| own.answered_pods == 0 && own.counted == 0).count() as u64
}

/// The client's answers list only a part of the endpoints, and that makes it uneven.
pub(super) fn answer_limit(scene: &RuleContext<'_>) -> Option<Verdict> {
    let limit = limit(scene).filter(|_| is_limited(scene))?;
    // Among the endpoints that it was told of, it may well be even.
    let counts: Vec<u64> = scene.mature().map(|(_, own)| own.counted).collect();
    let spread = spread::of(&counts);
    if !significance::uneven(&spread) {
        return None;
    }
    let n = scene.rows().filter(|(endpoint, _)| endpoint.mature).count() as u64;
    let mut evidence = vec![
        format!(
            "Each answer listed {limit} of {}, whoever asked, and none was truncated: the server gives no more.",
            count(n, "endpoint")
        ),
        format!(
            "{} to the client left out {} of them, to which it has no connections.",
            count(scene.client.answers.count, "answer"),
            thousands(misses(scene))
        ),
    ];
    if let Some((fleet, whose, pods)) = even_fleet(scene, false) {
        evidence.push(format!(
            "Together, {} {whose} are even: {}",
            count(pods, "pod"),
            super::evenness::figures(fleet, "connections")
        ));
    }
    evidence.push(super::evenness::figures(&spread, "connections"));
    Some(scene.verdict(Cause::AnswerLimit, Confidence::High, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::at;
    use crate::verdict::dns_answers::dns_incomplete;
    use crate::verdict::judge;
    use crate::verdict::test_fixtures::Facts;

    /// A client that took its connections in turn among the `k` of `n` endpoints that its one answer listed; `listed`
    /// endpoints were in answers to anybody.
    fn kept(k: usize, n: usize, listed: usize) -> Facts {
        let counts: Vec<u64> = (0..n).map(|place| if place < k { 600 / k as u64 } else { 0 }).collect();
        let mut facts = Facts::new(&counts);
        facts.client.answers.count = 1;
        (facts.client.answers.smallest, facts.client.answers.largest) = (k as u64, k as u64);
        let choice = &mut facts.client.selection_pattern;
        (choice.pods, choice.max_endpoints, choice.max_connects_per_answer) = (1, k as u64, 600);
        facts.service.dns.answers = 20;
        facts.service.dns.incomplete = 20;
        for (place, endpoint) in facts.service.endpoints.iter_mut().enumerate() {
            endpoint.first_answered = (place < listed).then(|| at(1));
            facts.client.endpoints[place].answered_pods = u64::from(place < k);
            facts.client.endpoints[place].selections = u64::from(place == 0);
        }
        let selections: Vec<u64> = (0..n).map(|place| u64::from(place == 0)).collect();
        facts.client.selections = crate::spread::of(&selections);
        facts
    }

    #[test]
    fn whatever_part_the_server_gives_the_server_is_not_behind() {
        for n in 3..=30 {
            for k in 1..n {
                let facts = kept(k, n, n);
                let verdict = judge(&facts.scene()).unwrap();
                assert_ne!(verdict.cause, Cause::DnsStale, "{k} of {n}: {verdict:?}");
                assert_ne!(verdict.cause, Cause::StaleCache, "{k} of {n}: {verdict:?}");
                // If nearly all are given, what is left out does no harm.
                if k * 2 <= n {
                    assert_eq!(verdict.cause, Cause::AnswerLimit, "{k} of {n}: {verdict:?}");
                    assert!(verdict.evidence[0].contains(&format!("{k} of {n} endpoints")), "{verdict:?}");
                }
            }
        }
    }

    #[test]
    fn a_client_that_is_uneven_among_what_it_was_told_of_is_so_by_itself() {
        for (n, k) in [(10, 3), (30, 2), (8, 4)] {
            let mut facts = kept(k, n, n);
            for (place, own) in facts.client.endpoints.iter_mut().enumerate() {
                (own.opened, own.counted) = if place == 0 { (600, 600) } else { (0, 0) };
                own.expected = if place < k { 1.0 / k as f64 } else { 0.0 };
            }
            let counts: Vec<u64> = facts.client.endpoints.iter().map(|own| own.counted).collect();
            facts.client.spread = crate::spread::of(&counts);
            let choice = &mut facts.client.selection_pattern;
            (choice.pods_on_one, choice.max_endpoints, choice.smallest_answer) = (1, 1, k as u64);
            assert_eq!(judge(&facts.scene()).unwrap().cause, Cause::Pinned, "{k} of {n}");
        }
    }

    #[test]
    fn answers_that_never_list_the_others_may_be_old_or_limited() {
        let mut facts = kept(3, 10, 3);
        assert_eq!(limit(&facts.scene()), None);
        let verdict = judge(&facts.scene()).unwrap();
        assert_eq!(
            (verdict.cause, verdict.confidence, verdict.alternatives),
            (Cause::DnsStale, Confidence::Medium, vec![Cause::AnswerLimit])
        );
        // The others came later, so the server is behind.
        for endpoint in &mut facts.service.endpoints[3..] {
            endpoint.ready_since = Some(at(500));
        }
        let verdict = judge(&facts.scene()).unwrap();
        assert_eq!((verdict.cause, verdict.confidence), (Cause::DnsStale, Confidence::High));
        assert!(dns_incomplete(&facts.scene()).is_some());
    }

    #[test]
    fn answers_of_different_sizes_are_no_limit() {
        let mut facts = kept(3, 10, 10);
        facts.client.answers.largest = 4;
        assert_eq!(limit(&facts.scene()), None);
        facts.client.answers.largest = 3;
        facts.client.answers.truncated = 1;
        assert_eq!(limit(&facts.scene()), None);
    }
}
