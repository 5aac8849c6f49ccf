//! One endpoint fails and others do not: retries elsewhere make the rest uneven.

use super::context::RuleContext;
use super::format::count;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Counts, Verdict};

/// Failures from which bad luck is no explanation.
const FAILURES: u64 = 5;

/// Most attempts at some endpoints fail, and few at the others.
pub(super) fn failing_endpoint(scene: &RuleContext<'_>) -> Option<Verdict> {
    let rows = || {
        let rows = scene.service.endpoints.iter().zip(&scene.client.endpoints);
        rows.filter(|(endpoint, own)| endpoint.state == "ready" && endpoint.pod == own.pod)
            .map(|(_, own)| own)
    };
    let is_failing = |own: &ClientEndpoint| own.failed >= FAILURES && own.failed * 2 > attempts(own);
    let failing: Vec<_> = rows().filter(|own| is_failing(own)).collect();
    let (tried, failed) = rows()
        .filter(|own| !is_failing(own))
        .fold((0, 0), |(tried, failed), own| (tried + attempts(own), failed + own.failed));
    // If all fail, or nothing else was tried, the endpoint is not the cause.
    if failing.is_empty() || tried < FAILURES || failed * 10 > tried {
        return None;
    }
    let mut evidence: Vec<_> = failing
        .iter()
        .map(|own| {
            let attempts = count(attempts(own), "attempt");
            format!("{} of {attempts} at {} failed ({}).", own.failed, own.pod, reasons(&own.reasons))
        })
        .collect();
    evidence.push(format!("At the other endpoints {failed} of {} failed.", count(tried, "attempt")));
    Some(scene.verdict(Cause::FailingEndpoint, Confidence::High, evidence))
}

/// Connections, plus attempts without a connection. A reset connection had been opened.
fn attempts(own: &ClientEndpoint) -> u64 {
    own.opened + own.failed - own.reasons.get("reset").copied().unwrap_or(0).min(own.failed)
}

fn reasons(counts: &Counts) -> String {
    let counts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if counts.is_empty() { "reason unknown".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    #[test]
    fn one_fails_and_the_others_do_not() {
        // Opened and failed at each endpoint.
        let cases: [(&[(u64, u64)], bool); 6] = [
            (&[(0, 20), (30, 0), (30, 0)], true),
            (&[(9, 10), (30, 0), (30, 3)], true),
            (&[(10, 9), (30, 0), (30, 0)], false),
            (&[(0, 4), (30, 0), (30, 0)], false),
            (&[(0, 20), (0, 20), (0, 20)], false),
            (&[(0, 20), (10, 3), (10, 3)], false),
        ];
        for (rows, expected) in cases {
            let opened: Vec<_> = rows.iter().map(|(opened, _)| *opened).collect();
            let mut facts = Facts::new(&opened);
            for (own, (_, failed)) in facts.client.endpoints.iter_mut().zip(rows) {
                own.failed = *failed;
                own.reasons.insert("timeout".to_owned(), *failed);
            }
            let verdict = failing_endpoint(&facts.scene());
            assert_eq!(verdict.is_some(), expected, "{rows:?}");
            assert!(verdict.is_none_or(|verdict| verdict.evidence[0].contains("at pod-0 failed")));
        }
    }
}
