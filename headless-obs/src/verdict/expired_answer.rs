//! Rule about expired answers: if few answers lead to many connections, the connections are as uneven as the answers.

use super::context::RuleContext;
use super::format::{count, span, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, Confidence, Verdict};

/// Connections from which the age of answers shows a habit.
const CONNECTIONS: u64 = 10;

/// Most of at least ten connections used expired answers.
pub(super) fn uses_expired(scene: &RuleContext<'_>) -> bool {
    let age = &scene.client.answer_age;
    let all = age.within_ttl + age.past_ttl;
    all >= CONNECTIONS && age.past_ttl * 2 > all
}

/// They are uneven, too, and each selection led to one endpoint: a client that takes several endpoints of one answer is
/// not uneven because the answer is old. gRPC also resolves once; that it stays with one endpoint is its policy.
pub(super) fn is_uneven_by_age(scene: &RuleContext<'_>) -> bool {
    let used = scene.client.endpoints.iter().filter(|own| own.counted > 0).count() as u64;
    let selections: u64 = scene.client.endpoints.iter().map(|own| own.selections).sum();
    uses_expired(scene)
        && !scene.client.grpc
        && used <= selections
        && significance::uneven(&scene.client.spread)
}

/// Most connections use expired answers, and they are uneven.
pub(super) fn old_answers(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !is_uneven_by_age(scene) {
        return None;
    }
    let client = scene.client;
    let age = &client.answer_age;
    let all = age.within_ttl + age.past_ttl;
    let mut evidence = vec![format!(
        "{} of {} used an answer past its TTL of {} s; the oldest was {} old.",
        thousands(age.past_ttl),
        count(all, "connection"),
        client.answers.ttl_seconds,
        span(age.max_seconds)
    )];
    let by_one = client.selection_pattern.max_connects_per_answer;
    evidence.push(format!(
        "{} led to all of them; one process made up to {} by one answer.",
        count(client.answers.count, "answer"),
        thousands(by_one)
    ));
    evidence.push(super::evenness::figures(&client.spread, "connections"));
    Some(scene.verdict(Cause::StaleCache, Confidence::High, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    #[test]
    fn several_endpoints_of_one_answer_are_not_the_answers_fault() {
        let mut facts = Facts::new(&[500, 60, 40]);
        (facts.client.answer_age.within_ttl, facts.client.answer_age.past_ttl) = (10, 590);
        assert!(old_answers(&facts.scene()).is_some(), "many answers, one endpoint each");
        for (place, own) in facts.client.endpoints.iter_mut().enumerate() {
            own.selections = u64::from(place == 0);
        }
        assert_eq!(old_answers(&facts.scene()), None, "one answer, three endpoints");
    }

    #[test]
    fn old_answers_are_to_blame_where_they_are_used_and_uneven() {
        let cases: [(&[u64], u64, u64, bool, bool); 5] = [
            (&[600, 0, 0], 10, 590, false, true),
            (&[600, 0, 0], 590, 10, false, false),
            (&[200, 200, 200], 10, 590, false, false),
            (&[9, 0, 0], 0, 9, false, false),
            (&[600, 0, 0], 10, 590, true, false),
        ];
        for (counts, within, past, grpc, expected) in cases {
            let mut facts = Facts::new(counts);
            facts.client.answer_age.within_ttl = within;
            facts.client.answer_age.past_ttl = past;
            facts.client.grpc = grpc;
            let verdict = old_answers(&facts.scene());
            assert_eq!(
                verdict.map(|verdict| verdict.cause),
                expected.then_some(Cause::StaleCache),
                "{counts:?} {past}"
            );
        }
    }
}
