//! Rules by figures alone: even, unexplained, or too few.

use super::context::RuleContext;
use super::format::{about, count as number, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Spread, Verdict};

/// The most endpoints whose counts are listed.
const SHOWN: usize = 10;

/// More uneven than chance, and enough to do harm: one endpoint has too much, in the selections as well as in the
/// connections, or one has hardly anything.
pub(super) fn is_uneven(scene: &RuleContext<'_>) -> bool {
    significance::uneven(scene.selections()) && significance::peak(scene.spread()) > significance::PEAK
        || starved(scene).is_some()
}

/// The endpoint with the lowest share of the selections that are expected there, if chance rules that out, and as low a
/// share of the connections.
fn starved<'a>(scene: &RuleContext<'a>) -> Option<(&'a str, &'a ClientEndpoint)> {
    let (n, connections) = (scene.endpoints(), scene.client.spread.connections);
    let selections: u64 = scene.mature().map(|(_, own)| own.selections).sum();
    let expected: f64 = scene.mature().map(|(_, own)| own.expected).sum();
    // Counts of older snapshots, and of connections without a known answer, have no expectation.
    if scene.selections().connections < significance::needed(n) || expected < 0.5 * selections as f64 {
        return None;
    }
    let rows = scene.mature().filter(|(_, own)| {
        let share = own.expected / expected;
        significance::is_starved(own.selections, share * selections as f64, n)
            && significance::is_starved(own.counted, share * connections as f64, n)
    });
    let share = |own: &ClientEndpoint| own.selections as f64 / own.expected;
    let lowest = rows.min_by(|(_, a), (_, b)| share(a).total_cmp(&share(b)));
    lowest.map(|(endpoint, own)| (endpoint.pod.as_str(), own))
}

/// At least as even as random choice.
pub(super) fn even(scene: &RuleContext<'_>) -> Option<Verdict> {
    let (spread, selections) = (scene.spread(), scene.selections());
    let n = spread.endpoints;
    if spread.connections == 0 || n == 0 || is_uneven(scene) {
        return None;
    }
    let needed = significance::needed(n);
    let (confidence, line) = if scene.options() <= 1 {
        let other = if scene.is_member() { "other " } else { "" };
        (Confidence::High, format!("There is only one {other}endpoint."))
    } else if spread.coverage >= 1.0 && spread.dispersion < significance::IN_TURN {
        let dispersion = spread.dispersion;
        if significance::in_turn(spread) {
            let line = format!(
                "The spread is round-robin-like: its dispersion is {dispersion:.2}, and random choice gives about 1."
            );
            (Confidence::High, line)
        } else {
            let line = format!("The connections are even: their dispersion is {dispersion:.2}.");
            let is_enough = selections.connections >= needed;
            (if is_enough { Confidence::High } else { Confidence::Medium }, line)
        }
    } else if selections.connections >= needed {
        let dispersion = selections.dispersion;
        let line = if significance::beyond_chance(selections) {
            format!(
                "The selections are less even than random choice (dispersion {dispersion:.1}), but no endpoint has more \
                 than {:.1} times its share or less than half of it, so little capacity is lost.",
                significance::PEAK
            )
        } else {
            format!("The selections are as even as random choice: their dispersion is {dispersion:.1}.")
        };
        let is_plain =
            significance::peak(spread) <= significance::PEAK.max(2.0 * spread.expected_peak_to_mean - 1.0);
        (if is_plain { Confidence::High } else { Confidence::Low }, line)
    } else if spread.connections >= needed && !significance::uneven(spread) {
        // The selections are not known. Several connections per selection could only make the spread less even.
        let dispersion = spread.dispersion;
        let line =
            format!("The connections are as even as random choice: their dispersion is {dispersion:.1}.");
        (Confidence::Medium, line)
    } else {
        return None;
    };
    let what = if scene.client.spread.connections > 0 { "connections" } else { "open connections" };
    Some(scene.verdict(Cause::Even, confidence, vec![figures(spread, what), line]))
}

/// The number of selections that are missing for a statement.
pub(super) fn missing(scene: &RuleContext<'_>) -> u64 {
    significance::needed(scene.endpoints()).saturating_sub(scene.selections().connections)
}

/// Too few selections for a statement.
pub(super) fn too_few(scene: &RuleContext<'_>) -> Option<Verdict> {
    let (selections, n) = (scene.selections(), scene.endpoints());
    let (needed, missing) = (significance::needed(n), missing(scene));
    if missing == 0 || is_uneven(scene) {
        return None;
    }
    let line = if n == 0 && scene.is_member() {
        "The client is the only endpoint itself.".to_owned()
    } else if n == 0 {
        "No endpoint has been ready for long enough to count.".to_owned()
    } else {
        let made = number(selections.connections, "selection");
        format!("The client made {made} among {}; a verdict needs {needed}.", number(n, "endpoint"))
    };
    let mut verdict = scene.verdict(Cause::TooFew, Confidence::High, vec![line]);
    verdict.needed = Some(missing);
    Some(verdict)
}

/// More uneven than chance, and no rule finds a cause.
pub(super) fn unexplained(scene: &RuleContext<'_>) -> Verdict {
    let mut evidence = vec![figures(scene.spread(), "connections")];
    if let Some((pod, connections)) = busiest(scene) {
        evidence.push(format!(
            "The busiest endpoint is {pod} with {} ({}).",
            number(connections, "connection"),
            counts(scene)
        ));
    }
    if let Some((pod, own)) = starved(scene) {
        evidence.push(format!(
            "{pod} got {}; the answers that the client used lead to expect {:.0}.",
            number(own.selections, "selection"),
            own.expected
        ));
    }
    let choice = &scene.client.selection_pattern;
    if choice.selections > 0 {
        evidence.push(format!(
            "{} of {} took the first address of their answer; random choice would give {}.",
            thousands(choice.first),
            number(choice.selections, "selection"),
            about(choice.first_by_chance)
        ));
    }
    scene.verdict(Cause::Unexplained, Confidence::Medium, evidence)
}

/// `600 connections went to 1 of 6 endpoints; the busiest has 6.00 times the mean (1.20 by chance), z 45.0.`
pub(super) fn figures(spread: &Spread, what: &str) -> String {
    let what = if spread.connections == 1 { what.strip_suffix('s').unwrap_or(what) } else { what };
    let z = spread.z.map_or_else(String::new, |z| format!(", z {z:.1}"));
    format!(
        "{} {what} went to {} of {}; the busiest has {:.2} times the mean ({:.2} by chance){z}.",
        thousands(spread.connections),
        about(spread.coverage * spread.endpoints as f64),
        number(spread.endpoints, "endpoint"),
        spread.peak_to_mean,
        spread.expected_peak_to_mean
    )
}

/// The mature endpoint with most of the client's connections.
pub(super) fn busiest<'a>(scene: &RuleContext<'a>) -> Option<(&'a str, u64)> {
    let rows = scene.mature().map(|(endpoint, own)| (endpoint.pod.as_str(), own.counted));
    rows.max_by_key(|(_, counted)| *counted).filter(|(_, counted)| *counted > 0)
}

/// `orders-0 30, orders-1 30, orders-2 0`.
pub(super) fn counts(scene: &RuleContext<'_>) -> String {
    let is_open = scene.client.spread.connections == 0;
    let mut rows: Vec<_> = scene
        .mature()
        .map(|(endpoint, own)| {
            format!("{} {}", endpoint.pod, thousands(if is_open { own.active } else { own.counted }))
        })
        .collect();
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let shown = rows.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    fn cause(facts: &Facts) -> (Cause, Option<u64>) {
        let scene = facts.scene();
        let verdict = even(&scene).or_else(|| too_few(&scene)).unwrap_or_else(|| unexplained(&scene));
        (verdict.cause, verdict.needed)
    }

    #[test]
    fn figures_alone_say_even_uneven_or_too_few() {
        let cases: [(&[u64], Cause, Option<u64>); 15] = [
            (&[2, 1, 0], Cause::TooFew, Some(12)),
            (&[0, 0, 0], Cause::TooFew, Some(15)),
            (&[], Cause::TooFew, Some(10)),
            (&[7], Cause::Even, None),
            (&[1, 1, 1], Cause::Even, None),
            (&[110, 95, 100], Cause::Even, None),
            (&[10, 8, 3], Cause::Even, None),
            (&[30, 30, 30, 0, 0, 0], Cause::Unexplained, None),
            // No endpoint has much more than its share; one has nothing.
            (&[45, 45, 0], Cause::Unexplained, None),
            (&[30, 30, 30, 30, 0], Cause::Unexplained, None),
            (&[100, 100, 100, 100, 100, 100, 100, 100, 20], Cause::Unexplained, None),
            (&[10, 10, 10, 10, 10, 0], Cause::Even, None),
            (&[200, 100, 100, 100, 100], Cause::Unexplained, None),
            // Beyond chance, and harmless.
            (&[14_000, 10_000, 10_000], Cause::Even, None),
            (&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], Cause::Unexplained, None),
        ];
        for (counts, expected, needed) in cases {
            assert_eq!(cause(&Facts::new(counts)), (expected, needed), "{counts:?}");
        }
    }

    fn evidence(counts: &[u64]) -> String {
        even(&Facts::new(counts).scene()).unwrap().evidence.join(" ")
    }

    #[test]
    fn better_than_chance_is_said_where_chance_is_ruled_out() {
        assert!(evidence(&[10; 10]).contains("round-robin-like"));
        assert!(evidence(&[4_000; 3]).contains("round-robin-like"));
        for by_chance in [&[10, 10, 10][..], &[500, 500], &[110, 95, 100]] {
            assert!(!evidence(by_chance).contains("round-robin-like"), "{by_chance:?}");
        }
    }

    #[test]
    fn random_clients_are_rarely_called_round_robin_like() {
        let mut random = crate::testing::Random::new(3);
        for endpoints in [2, 3, 4, 6, 10, 30] {
            for connections in [10, 30, 60, 200, 1_000] {
                let mut called = 0;
                for _ in 0..2_000 {
                    let mut counts = vec![0; endpoints];
                    for _ in 0..connections {
                        counts[random.below(endpoints)] += 1;
                    }
                    called += u64::from(significance::in_turn(&crate::spread::of(&counts)));
                }
                assert!(called <= 6, "{endpoints} {connections}: {called} of 2,000");
            }
        }
    }

    #[test]
    fn what_is_harmless_beyond_chance_is_not_called_as_even_as_chance() {
        let text = evidence(&[14_000, 10_000, 10_000]);
        assert!(text.contains("less even than random choice") && !text.contains("as even as"), "{text}");
    }

    #[test]
    fn a_member_of_a_cluster_has_nothing_to_choose_between_two() {
        let mut facts = Facts::new(&[0, 40]);
        facts.client.endpoints[0].own_pods = 1;
        facts.client.spread = crate::spread::of(&[40]);
        let verdict = even(&facts.scene()).unwrap();
        assert_eq!(verdict.evidence[1], "There is only one other endpoint.");
    }

    #[test]
    fn what_is_open_counts_where_nothing_was_opened() {
        assert_eq!(cause(&Facts::held(&[1, 1, 1])).0, Cause::Even);
        assert_eq!(cause(&Facts::held(&[2, 1, 0])), (Cause::TooFew, Some(15)));
        // One selection may have opened them all.
        assert_eq!(cause(&Facts::held(&[90, 10, 10])), (Cause::TooFew, Some(15)));
    }

    #[test]
    fn connections_may_say_even_and_never_uneven() {
        let mut facts = Facts::new(&[200, 190, 210]);
        facts.client.selections = crate::spread::of(&[1, 1, 0]);
        assert_eq!(cause(&facts).0, Cause::Even);
        let mut facts = Facts::new(&[400, 190, 10]);
        facts.client.selections = crate::spread::of(&[1, 1, 0]);
        assert_eq!(cause(&facts), (Cause::TooFew, Some(13)));
    }
}
