//! Rules about failures: the endpoint's, the client's own, or of the way between them.
//!
//! Attempts that the client gave up itself are told apart from those that an endpoint refused. Another client's success
//! at the same endpoint refutes that the endpoint fails.

use super::attempts::{FEW, Tried, is_over, sum, tried};
use super::context::RuleContext;
use super::format::{count, list, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, Confidence, Counts, Verdict};

/// Most attempts at some endpoints fail, and few at the others.
pub(super) fn failing_endpoint(scene: &RuleContext<'_>) -> Option<Verdict> {
    let all = tried(scene);
    let failing: Vec<_> = all.iter().filter(|row| row.fails() && !row.is_alive()).collect();
    let rest: Vec<_> = all.iter().filter(|row| !row.fails()).collect();
    let (attempts, failed) =
        (sum(rest.iter().copied(), |row| row.attempts), sum(rest.iter().copied(), |row| row.failed));
    // If all fail, or nothing else was tried by then, the endpoint is not the cause.
    let meanwhile = attempts.saturating_sub(scene.client.opened_since_failure);
    if failing.is_empty() || meanwhile < FEW || failed * 10 > attempts {
        return None;
    }
    // A client that gives up at most endpoints, or at one that works, is impatient; that is its own cause.
    let given_up: Vec<_> = all.iter().filter(|row| row.fails() && row.given_up() * 2 > row.failed).collect();
    let is_impatient = given_up.iter().any(|row| row.is_alive()) || given_up.len() > all.len() / 2;
    if is_impatient && failing.iter().all(|row| row.given_up() * 2 > row.failed) {
        return None;
    }
    let rate = (failed + 1) as f64 / (attempts + 2) as f64;
    let is_beyond =
        |row: &&&Tried<'_>| significance::beyond(row.failed, row.attempts, row.attempts as f64 * rate);
    let mut evidence: Vec<_> = failing.iter().filter(is_beyond).map(|row| line(row)).collect();
    if evidence.is_empty() {
        return None;
    }
    let failed = thousands(failed);
    evidence.push(format!("At the other endpoints {failed} of {} failed.", count(attempts, "attempt")));
    Some(scene.verdict(Cause::FailingEndpoint, Confidence::High, evidence))
}

/// The client itself ends a large part of its attempts, at endpoints that work or at several.
pub(super) fn gives_up_early(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !gives_up(scene) {
        return None;
    }
    let all = tried(scene);
    let (attempts, given_up) = (sum(&all, |row| row.attempts), sum(&all, |row| row.given_up()));
    let mut evidence = vec![format!(
        "The client itself ended {} of {} before an answer came: its time limit had passed, or it had no source \
         port left.",
        thousands(given_up),
        count(attempts, "attempt")
    )];
    let places: Vec<_> = all.iter().filter(|row| row.given_up() > 0).collect();
    for row in places.iter().filter(|row| row.is_alive()).take(3) {
        evidence.push(format!(
            "At {}, where it gave up {} of {}, other clients opened {}.",
            row.own.pod,
            thousands(row.given_up()),
            count(row.attempts, "attempt"),
            count(row.others, "connection")
        ));
    }
    let works: Vec<_> =
        places.iter().filter(|row| row.own.opened > 0).map(|row| row.own.pod.as_str()).collect();
    if !works.is_empty() {
        evidence.push(format!("Other attempts of its own succeeded at {}.", list(&works)));
    }
    Some(scene.verdict(Cause::GivesUpEarly, Confidence::High, evidence))
}

/// A fifth or more of its attempts, and most of its failures, are given up; not only at one endpoint that nobody
/// reaches.
pub(super) fn gives_up(scene: &RuleContext<'_>) -> bool {
    let all = tried(scene);
    let (attempts, failed) = (sum(&all, |row| row.attempts), sum(&all, |row| row.failed));
    let given_up = sum(&all, |row| row.given_up());
    let places = all.iter().filter(|row| row.given_up() > 1);
    given_up >= FEW
        && given_up * 5 >= attempts
        && given_up * 2 > failed
        && (places.clone().count() > 1 || places.clone().any(|row| row.is_alive() || row.own.opened > FEW))
}

/// The client fails, its own patience is not the reason, and no endpoint alone is.
pub(super) fn cannot_connect(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !cannot(scene) {
        return None;
    }
    let all = tried(scene);
    let (attempts, failed) = (sum(&all, |row| row.attempts), sum(&all, |row| row.failed));
    let failed = thousands(failed);
    let mut evidence = vec![format!("{failed} of {} to ready endpoints failed.", count(attempts, "attempt"))];
    let mut failing: Vec<_> = all.iter().filter(|row| row.fails()).collect();
    failing.sort_by_key(|row| std::cmp::Reverse((row.is_alive(), row.failed)));
    for row in failing.into_iter().take(3) {
        evidence.push(line(row));
        if row.is_alive() {
            let others = count(row.others, "connection");
            evidence.push(format!("Other clients opened {others} to {}.", row.own.pod));
        }
    }
    Some(scene.verdict(Cause::CannotConnect, Confidence::Medium, evidence))
}

/// More than half of its attempts fail, or more than half at an endpoint where other clients succeed.
pub(super) fn cannot(scene: &RuleContext<'_>) -> bool {
    let all = tried(scene);
    let (attempts, failed) = (sum(&all, |row| row.attempts), sum(&all, |row| row.failed));
    let is_over = is_over(failed, attempts, scene.client.opened_since_failure.min(attempts - failed));
    let most_fail = failed >= FEW && failed * 2 > attempts && !is_over;
    most_fail || all.iter().any(|row| row.fails() && row.is_alive())
}

/// Most attempts fail at some endpoint.
pub(super) fn some_fail(scene: &RuleContext<'_>) -> bool {
    tried(scene).iter().any(Tried::fails)
}

/// At each endpoint where most attempts fail, another client succeeds.
pub(super) fn others_connect_there(scene: &RuleContext<'_>) -> bool {
    let all = tried(scene);
    let mut failing = all.iter().filter(|row| row.fails()).peekable();
    failing.peek().is_some() && failing.all(Tried::is_alive)
}

/// The hook saw that the client ended most failed attempts at some endpoint itself, or it could not see who did.
pub(super) fn may_have_given_up(scene: &RuleContext<'_>) -> bool {
    let is_own = |row: &Tried<'_>| (row.given_up() + row.unclear()) * 2 > row.failed;
    tried(scene).iter().any(|row| row.fails() && !row.is_alive() && is_own(row))
}

/// No client connects to the endpoints where this one gives up.
pub(super) fn nobody_connects_there(scene: &RuleContext<'_>) -> bool {
    let all = tried(scene);
    all.iter().filter(|row| row.given_up() > 1).all(|row| !row.is_alive() && row.own.opened == 0)
}

/// No other client connects to the endpoints where most attempts fail.
pub(super) fn nobody_else_connects_there(scene: &RuleContext<'_>) -> bool {
    tried(scene).iter().filter(|row| row.fails()).all(|row| !row.is_alive())
}

/// There is an endpoint to which only other clients connect.
pub(super) fn only_others_connect_there(scene: &RuleContext<'_>) -> bool {
    tried(scene).iter().any(|row| row.fails() && row.is_alive() && row.own.opened == 0)
}

/// `20 of 20 attempts at pod-0 failed (20 timeout).`
fn line(row: &Tried<'_>) -> String {
    let attempts = count(row.attempts, "attempt");
    let failed = thousands(row.failed);
    format!("{failed} of {attempts} at {} failed ({}).", row.own.pod, reasons(&row.reasons))
}

fn reasons(counts: &Counts) -> String {
    let counts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{} {name}", thousands(*count)))
        .collect();
    if counts.is_empty() { "reason unknown".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::Client;
    use crate::testing::Random;
    use crate::verdict::judge;
    use crate::verdict::test_fixtures::Facts;

    /// A client with this many connections and failures at each endpoint, for one reason.
    fn client(rows: &[(u64, u64)], reason: &str) -> Facts {
        let opened: Vec<_> = rows.iter().map(|(opened, _)| *opened).collect();
        let mut facts = Facts::new(&opened);
        for (own, (_, failed)) in facts.client.endpoints.iter_mut().zip(rows) {
            own.failed = *failed;
            own.reasons.insert(reason.to_owned(), *failed);
        }
        facts.client.failed = rows.iter().map(|(_, failed)| failed).sum();
        facts
    }

    /// Another client that opens this number of connections to each endpoint.
    fn beside(facts: &mut Facts, opened: u64) {
        let mut other = Client { workload: "other".to_owned(), ..facts.client.clone() };
        for own in &mut other.endpoints {
            (own.opened, own.failed, own.reasons) = (opened, 0, [].into());
        }
        facts.service.clients = vec![facts.client.clone(), other];
    }

    fn judged(facts: &Facts) -> (Cause, Confidence, Vec<Cause>) {
        let verdict = judge(&facts.scene()).unwrap();
        (verdict.cause, verdict.confidence, verdict.alternatives)
    }

    #[test]
    fn one_fails_and_the_others_do_not() {
        // Opened and failed at each endpoint.
        let cases: [(&[(u64, u64)], bool); 7] = [
            (&[(0, 20), (30, 0), (30, 0)], true),
            (&[(9, 10), (30, 0), (30, 3)], true),
            (&[(10, 9), (30, 0), (30, 0)], false),
            (&[(0, 4), (30, 0), (30, 0)], false),
            (&[(0, 20), (0, 20), (0, 20)], false),
            (&[(0, 20), (10, 3), (10, 3)], false),
            (&[(0, 5), (5, 0)], false),
        ];
        for (rows, expected) in cases {
            let verdict = failing_endpoint(&client(rows, "timeout").scene());
            assert_eq!(verdict.is_some(), expected, "{rows:?}");
            assert!(verdict.is_none_or(|verdict| verdict.evidence[0].contains("at pod-0 failed")));
        }
    }

    #[test]
    fn who_connects_elsewhere_is_asked_before_an_endpoint_is_blamed() {
        let failing: &[(u64, u64)] = &[(0, 20), (30, 0), (30, 0)];
        for reason in ["refused", "timeout", "unreachable"] {
            let mut facts = client(failing, reason);
            assert_eq!(judged(&facts), (Cause::FailingEndpoint, Confidence::High, vec![]), "{reason}");
            beside(&mut facts, 4);
            assert_eq!(judged(&facts).0, Cause::FailingEndpoint, "so few may be luck");
            beside(&mut facts, 20);
            assert_eq!(judged(&facts), (Cause::CannotConnect, Confidence::Medium, vec![]), "{reason}");
        }
    }

    #[test]
    fn what_the_client_gave_up_itself_is_not_the_endpoints_fault() {
        use Cause::{CannotConnect, FailingEndpoint, GivesUpEarly};
        use Confidence::{High, Medium};
        // All but the last address are given up, in a fixed order and shuffled.
        let fixed: &[(u64, u64)] = &[(0, 40), (0, 40), (40, 0)];
        let shuffled: &[(u64, u64)] = &[(13, 27), (14, 26), (13, 27)];
        let one: &[(u64, u64)] = &[(0, 40), (40, 0), (40, 0)];
        assert_eq!(judged(&client(fixed, "aborted")), (GivesUpEarly, Medium, vec![FailingEndpoint]));
        assert_eq!(judged(&client(shuffled, "aborted")), (GivesUpEarly, High, vec![]));
        assert_eq!(judged(&client(one, "aborted")), (FailingEndpoint, Medium, vec![GivesUpEarly]));
        assert_eq!(judged(&client(one, "other")), (FailingEndpoint, Medium, vec![GivesUpEarly]));
        let with_another = |rows| {
            let mut facts = client(rows, "aborted");
            beside(&mut facts, 20);
            judged(&facts)
        };
        assert_eq!(with_another(fixed), (GivesUpEarly, Medium, vec![CannotConnect]));
        assert_eq!(with_another(shuffled), (GivesUpEarly, High, vec![]));
        assert_eq!(with_another(one), (GivesUpEarly, Medium, vec![CannotConnect]));
        // Another client uses the first endpoint alone.
        let mut facts = client(fixed, "aborted");
        beside(&mut facts, 0);
        facts.service.clients[1].endpoints[0].opened = 60;
        assert_eq!(judged(&facts), (GivesUpEarly, Medium, vec![CannotConnect]));
        // A pod that refuses is to blame, however impatient the client is elsewhere.
        facts.client.endpoints[1].reasons = [("refused".to_owned(), 40)].into();
        facts.service.clients[0] = facts.client.clone();
        assert_eq!(judged(&facts).0, FailingEndpoint);
    }

    #[test]
    fn a_client_whose_attempts_mostly_fail_is_never_silent() {
        for reason in ["refused", "timeout", "unreachable", "aborted", "other"] {
            for n in 1..=10_usize {
                for others in [0, 20] {
                    let mut facts = client(&vec![(10, 20); n], reason);
                    beside(&mut facts, others);
                    let cause = judged(&facts).0;
                    let expected =
                        if reason == "aborted" { Cause::GivesUpEarly } else { Cause::CannotConnect };
                    assert_eq!(cause, expected, "{reason} {n} {others}");
                }
            }
        }
    }

    #[test]
    fn failures_at_random_blame_nobody() {
        let mut random = Random::new(23);
        let reasons = ["refused", "timeout", "aborted", "unreachable"];
        let (mut alarms, mut all) = (0, 0);
        for n in [2, 3, 5, 10, 30] {
            for per_hundred in [1, 5, 10, 18] {
                for attempts in [20, 50, 200, 1_000] {
                    for window in 0..50_usize {
                        let mut rows = vec![(0, 0); n];
                        for _ in 0..attempts {
                            let row = &mut rows[random.below(n)];
                            *if random.below(100) < per_hundred { &mut row.1 } else { &mut row.0 } += 1;
                        }
                        let facts = client(&rows, reasons[window % 4]);
                        let cause = judged(&facts).0;
                        let is_blamed = matches!(
                            cause,
                            Cause::FailingEndpoint | Cause::CannotConnect | Cause::GivesUpEarly
                        );
                        alarms += u64::from(is_blamed && per_hundred < 18);
                        all += 1;
                    }
                }
            }
        }
        assert!(alarms * 1_000 < all, "{alarms} of {all}");
    }
}
