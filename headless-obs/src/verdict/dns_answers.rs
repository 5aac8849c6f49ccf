//! Rules about DNS answers and the client's use of them: missing endpoints, truncation, positions.

use super::context::RuleContext;
use super::evenness::{self, busiest, figures};
use super::format::{about, count, list, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Endpoint, Verdict};

/// Answers that lack something, or deny everything, from which it is a habit.
const WRONG_ANSWERS: u64 = 3;
/// Share of selections from which a pattern counts as a habit.
const HABIT: f64 = 0.9;
/// The most addresses that musl's resolver keeps.
const MUSL: u64 = 48;

/// A tenth of the answers or more, and at least three, lack an endpoint.
fn has_gaps(scene: &RuleContext<'_>) -> bool {
    let dns = &scene.service.dns;
    is_habit(dns.incomplete, dns.answers)
}

/// As many deny that there are any endpoints.
fn is_denied(scene: &RuleContext<'_>) -> bool {
    let dns = &scene.service.dns;
    is_habit(dns.denied, dns.answers + dns.denied)
}

fn is_habit(wrong: u64, all: u64) -> bool {
    wrong >= WRONG_ANSWERS && wrong * 10 >= all
}

/// Endpoints that were ready before the client's last answer and that no answer listed to it.
fn unlisted<'a>(scene: &RuleContext<'a>) -> impl Iterator<Item = &'a str> {
    let last = scene.client.answers.last;
    let is_unlisted = move |endpoint: &Endpoint, own: &ClientEndpoint| {
        let was_ready = endpoint.ready_since.zip(last).is_some_and(|(since, last)| since < last);
        own.answered_pods == 0 && own.counted == 0 && was_ready
    };
    scene
        .mature()
        .filter(move |(endpoint, own)| is_unlisted(endpoint, own))
        .map(|(endpoint, _)| endpoint.pod.as_str())
}

/// Answers lack endpoints, and this client never received the address of one that was ready.
pub(super) fn lacks_endpoints(scene: &RuleContext<'_>) -> bool {
    (has_gaps(scene) || is_denied(scene)) && unlisted(scene).next().is_some()
}

/// DNS does not list endpoints that have been ready for long, and the client does not know them.
pub(super) fn dns_incomplete(scene: &RuleContext<'_>) -> Option<Verdict> {
    if scene.is_glimpse() || !lacks_endpoints(scene) {
        return None;
    }
    let dns = &scene.service.dns;
    let unknown: Vec<_> = unlisted(scene).collect();
    let (has_gaps, is_denied) = (has_gaps(scene), is_denied(scene));
    let mut evidence = Vec::new();
    if has_gaps {
        evidence.push(format!(
            "{} of {} lacked an endpoint that was ready.",
            thousands(dns.incomplete),
            count(dns.answers, "answer")
        ));
    }
    if is_denied {
        let denied = count(dns.denied, "response");
        evidence.push(format!("{denied} had NXDOMAIN or no records while endpoints were ready."));
    }
    evidence.push(format!(
        "No answer for {} listed {}, ready before the client's last answer, and it has no connections there.",
        scene.name(),
        list(&unknown)
    ));
    Some(scene.verdict(Cause::DnsStale, Confidence::High, evidence))
}

/// A tenth of the connections or more used a truncated answer, and the smallest one lacks endpoints.
pub(super) fn uses_truncated(scene: &RuleContext<'_>) -> bool {
    let answers = &scene.client.answers;
    answers.truncated_used * 10 >= counted(scene).max(1) && answers.smallest < scene.endpoints()
}

fn counted(scene: &RuleContext<'_>) -> u64 {
    scene.client.endpoints.iter().map(|own| own.counted).sum()
}

/// The client accepts a truncated answer.
pub(super) fn truncated_answer(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !uses_truncated(scene) {
        return None;
    }
    let (answers, n, connections) = (&scene.client.answers, scene.endpoints(), counted(scene));
    let evidence = vec![
        format!(
            "{} of {} used a truncated answer.",
            thousands(answers.truncated_used),
            count(connections, "connection")
        ),
        format!(
            "{} of {} to the client were truncated; the smallest had {} of {n} addresses.",
            thousands(answers.truncated),
            count(answers.count, "answer"),
            answers.smallest
        ),
    ];
    Some(scene.verdict(Cause::TruncatedAnswer, Confidence::High, evidence))
}

/// Nine tenths of the selections or more took the nearest address, beyond chance, at any position, and that is uneven.
pub(super) fn takes_nearest(scene: &RuleContext<'_>) -> bool {
    let choice = &scene.client.selection_pattern;
    let is_near = share(choice.nearest, choice.nearest_candidates) >= HABIT
        && significance::beyond(choice.nearest, choice.nearest_candidates, choice.nearest_by_chance);
    // If the first address is also the nearest, the server decides the order.
    let is_first = share(choice.first, choice.selections) >= HABIT;
    is_near && !is_first && significance::peak(scene.spread()) > significance::PEAK
}

/// The client takes the address that is most similar to its own, at any position.
pub(super) fn address_sort(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !takes_nearest(scene) {
        return None;
    }
    let choice = &scene.client.selection_pattern;
    let evidence = vec![
        format!(
            "{} of {} used the address nearest to the client's own; random choice would give {}.",
            thousands(choice.nearest),
            count(choice.nearest_candidates, "selection"),
            about(choice.nearest_by_chance)
        ),
        format!(
            "The position in the answer plays no role: {} of {} took the first address; random choice would give {}.",
            thousands(choice.first),
            count(choice.selections, "selection"),
            about(choice.first_by_chance)
        ),
        figures(scene.spread(), "connections"),
    ];
    Some(scene.verdict(Cause::AddressSort, Confidence::High, evidence))
}

/// No connection used a position beyond some number, although answers were longer, and chance does not explain that.
pub(super) fn stays_below_cap(scene: &RuleContext<'_>) -> bool {
    let choice = &scene.client.selection_pattern;
    let cap = choice.max_position + 1;
    // A client that takes the first address and continues after a failure uses one or two positions. A client that goes
    // through an answer in turn has used all positions several times.
    if cap < 3 || cap >= choice.smallest_answer || choice.with_known_position < cap.saturating_mul(5) {
        return false;
    }
    // A selection may open several connections to its address, which are one choice. Only where more positions were used
    // than selections were made, connections by one answer went to several addresses.
    let positions = scene.client.answer_position.values().filter(|count| **count > 0).count() as u64;
    let is_choice = positions > choice.selections;
    let choices = if is_choice { choice.with_known_position } else { choice.selections };
    let by_chance = (cap as f64 / choice.smallest_answer as f64).ln() * choices as f64;
    let most = scene.client.answer_position.values().max().copied().unwrap_or(0);
    by_chance <= (1e-4_f64).ln() && (most * cap <= choice.with_known_position.saturating_mul(2) || cap > 32)
}

/// The client uses only positions below a limit, in answers of every length.
pub(super) fn client_cap(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !stays_below_cap(scene) {
        return None;
    }
    let choice = &scene.client.selection_pattern;
    let cap = choice.max_position + 1;
    let mut evidence = vec![format!(
        "None of {} used an address beyond position {cap}, although each answer had {} or more.",
        count(choice.with_known_position, "connection"),
        choice.smallest_answer
    )];
    if cap == MUSL {
        evidence.push("musl's resolver keeps at most 48 addresses of an answer.".to_owned());
    }
    let confidence = if cap == MUSL { Confidence::High } else { Confidence::Medium };
    Some(scene.verdict(Cause::ClientCap, confidence, evidence))
}

/// Nine tenths of the selections or more took the first address, beyond chance, and that is uneven.
pub(super) fn takes_first(scene: &RuleContext<'_>) -> bool {
    let choice = &scene.client.selection_pattern;
    evenness::is_uneven(scene)
        && share(choice.first, choice.selections) >= HABIT
        && significance::beyond(choice.first, choice.selections, choice.first_by_chance)
}

/// The client takes the first address, and the server does not shuffle.
pub(super) fn answer_order(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !takes_first(scene) {
        return None;
    }
    let choice = &scene.client.selection_pattern;
    let own = &scene.client.answers.first_records;
    let records = if own.is_empty() { &scene.service.dns.first_records } else { own };
    let all: u64 = records.values().sum();
    let (pod, _) = busiest(scene)?;
    let first = records.get(pod).copied().unwrap_or(0);
    let mean = all as f64 / scene.endpoints() as f64;
    if (first as f64) <= significance::PEAK * mean {
        return None;
    }
    let evidence = vec![
        format!(
            "{} of {} took the first address of their answer; random choice would give {}.",
            thousands(choice.first),
            count(choice.selections, "selection"),
            about(choice.first_by_chance)
        ),
        format!(
            "{pod} was first in {} of {}; shuffled answers would give {}.",
            thousands(first),
            count(all, "answer"),
            about(mean)
        ),
        figures(scene.spread(), "connections"),
    ];
    Some(scene.verdict(Cause::AnswerOrder, Confidence::High, evidence))
}

fn share(part: u64, whole: u64) -> f64 {
    crate::spread::ratio(part, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::{at, counts};
    use crate::verdict::test_fixtures::Facts;

    #[test]
    fn what_dns_does_not_list_is_not_used() {
        // Answers, incomplete, denied, told, expected.
        let cases = [
            (20, 5, 0, 0, true),
            (20, 0, 5, 0, true),
            (20, 2, 0, 0, false),
            (100, 5, 0, 0, false),
            (20, 5, 0, 1, false),
        ];
        for (answers, incomplete, denied, told, expected) in cases {
            let mut facts = Facts::new(&[300, 300, 0]);
            facts.client.answers.last = Some(at(1_000));
            facts.client.endpoints[2].answered_pods = told;
            facts.service.dns.answers = answers;
            facts.service.dns.incomplete = incomplete;
            facts.service.dns.denied = denied;
            let verdict = dns_incomplete(&facts.scene());
            assert_eq!(verdict.is_some(), expected, "{answers} {incomplete} {denied} {told}");
            assert!(verdict.is_none_or(|verdict| verdict.evidence.iter().any(|line| line.contains("pod-2"))));
        }
    }

    #[test]
    fn a_cut_answer_that_is_used_hides_endpoints() {
        for (used, smallest, expected) in [(90, 28, true), (9, 28, false), (90, 40, false), (0, 28, false)] {
            let mut facts = Facts::even(40, 100);
            facts.client.answers.truncated_used = used;
            facts.client.answers.smallest = smallest;
            let verdict = truncated_answer(&facts.scene());
            assert_eq!(verdict.is_some(), expected, "{used} {smallest}");
            assert!(verdict.is_none_or(|verdict| verdict.evidence[1].contains("28 of 40")));
        }
    }

    /// Six endpoints, 600 connections, each a selection.
    fn six(counts: &[u64; 6], first: u64, candidates: u64, nearest: u64) -> Facts {
        let mut facts = Facts::new(counts);
        let choice = &mut facts.client.selection_pattern;
        (choice.selections, choice.first, choice.first_by_chance) = (600, first, 100.0);
        (choice.nearest_candidates, choice.nearest, choice.nearest_by_chance) =
            (candidates, nearest, candidates as f64 / 6.0);
        facts
    }

    #[test]
    fn a_client_that_sorts_by_address_takes_the_nearest_at_any_position() {
        let all_on_one = [0, 0, 600, 0, 0, 0];
        let cases = [
            (six(&all_on_one, 95, 600, 600), true),
            (six(&all_on_one, 600, 600, 600), false),
            (six(&[100; 6], 95, 600, 100), false),
            (six(&[100; 6], 95, 0, 0), false),
            (six(&[100; 6], 95, 600, 600), false),
            (six(&all_on_one, 95, 4, 4), false),
        ];
        for (facts, expected) in cases {
            let verdict = address_sort(&facts.scene());
            assert_eq!(verdict.is_some(), expected, "{:?}", facts.client.selection_pattern);
            let line = "600 of 600 selections used the address nearest to the client's own; random choice would give \
                        100.";
            assert!(verdict.is_none_or(|verdict| verdict.evidence[0] == line));
        }
    }

    #[test]
    fn a_cap_is_a_position_that_nothing_goes_beyond() {
        // Highest position, smallest answer, connections with a known position, selections, most at one position, expected.
        let cases = [
            (47, 60, 600, 600, 20, Some(Confidence::High)),
            (9, 60, 600, 600, 70, Some(Confidence::Medium)),
            (59, 60, 600, 600, 20, None),
            (47, 60, 30, 30, 2, None),
            (1, 60, 600, 600, 590, None),
            (4, 60, 600, 600, 590, None),
            (19, 60, 20, 20, 1, None),
            (0, 60, 600, 600, 600, None),
            // Five connections by each selection are one choice; 600 by one answer, to several addresses, are 600.
            (3, 5, 60, 12, 15, None),
            (9, 60, 600, 1, 70, Some(Confidence::Medium)),
        ];
        for (max_position, smallest_answer, with_position, selections, most, expected) in cases {
            let mut facts = Facts::even(60, 10);
            let used = (1..=max_position.min(31)).map(|position: u64| (position.to_string(), 1));
            facts.client.answer_position = used.chain([("0".to_owned(), most)]).collect();
            let choice = &mut facts.client.selection_pattern;
            (choice.max_position, choice.smallest_answer, choice.with_known_position, choice.selections) =
                (max_position, smallest_answer, with_position, selections);
            let verdict = client_cap(&facts.scene());
            assert_eq!(verdict.map(|verdict| verdict.confidence), expected, "{max_position} {with_position}");
        }
    }

    #[test]
    fn the_order_is_to_blame_where_the_first_is_taken_and_is_always_the_same() {
        let same = counts([("pod-0", 600)]);
        let shuffled = counts([("pod-0", 100), ("pod-1", 100), ("pod-2", 400)]);
        let cases = [
            (six(&[600, 0, 0, 0, 0, 0], 600, 0, 0), &same, true),
            (six(&[600, 0, 0, 0, 0, 0], 600, 0, 0), &shuffled, false),
            (six(&[600, 0, 0, 0, 0, 0], 100, 0, 0), &same, false),
            (six(&[100; 6], 600, 0, 0), &same, false),
        ];
        for (mut facts, records, expected) in cases {
            facts.client.answers.first_records = records.clone();
            assert_eq!(
                answer_order(&facts.scene()).is_some(),
                expected,
                "{:?} {records:?}",
                facts.client.selection_pattern
            );
        }
        let mut of_service = six(&[600, 0, 0, 0, 0, 0], 600, 0, 0);
        of_service.service.dns.first_records = same;
        assert!(answer_order(&of_service.scene()).is_some());
    }
}
