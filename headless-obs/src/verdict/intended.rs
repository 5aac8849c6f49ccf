//! Changes by annotations: a spread that is as they say is no fault.
//!
//! In: the verdict without them. Out: `as_intended` in its place, if the cause is one of imbalance and the facts are what
//! the annotation says. If they are not, the verdict stays and says so. Wrong targets are never intended.

use super::context::RuleContext;
use super::format::count;
use crate::expose::snapshot::{Cause, ClientIntent, Verdict};
use crate::topology::intent::Expectation;

/// The client is meant to connect as it does.
pub(super) fn is_as_said(scene: &RuleContext<'_>) -> bool {
    let said = scene.client.intent.as_ref().and_then(|intent| Expectation::named(&intent.expect));
    said.is_some_and(|expect| expect != Expectation::Even && contradiction(scene, expect).is_none())
}

/// The verdict with the annotations of the Service or of the client's pods.
pub(super) fn with_intent(scene: &RuleContext<'_>, verdict: Verdict) -> Verdict {
    let Some(intent) = &scene.client.intent else { return verdict };
    let expectation = Expectation::named(&intent.expect).filter(|expect| *expect != Expectation::Even);
    let Some(expectation) = expectation.filter(|_| verdict.cause.is_imbalance()) else { return verdict };
    let mut evidence = Vec::with_capacity(verdict.evidence.len() + 1);
    let Some(against) = contradiction(scene, expectation) else {
        evidence.push(format!(
            "{} allows this; without it: {}.",
            in_words(scene, intent),
            verdict.cause.as_str()
        ));
        evidence.extend(verdict.evidence);
        let as_intended = scene.verdict(Cause::AsIntended, verdict.confidence, evidence);
        return Verdict { instead_of: Some(verdict.cause), ..as_intended };
    };
    evidence.push(format!("{} does not allow this: {against}.", in_words(scene, intent)));
    evidence.extend(verdict.evidence);
    Verdict { evidence, ..verdict }
}

fn in_words(scene: &RuleContext<'_>, intent: &ClientIntent) -> String {
    let owner = match intent.said_by.as_str() {
        "pod" => "the client's pods".to_owned(),
        _ => format!("the Service {}/{}", scene.service.namespace, scene.service.name),
    };
    format!("The annotation headless-obs.io/expect={} of {owner}", intent.expect)
}

/// Deeds of the client that the annotation does not allow.
fn contradiction(scene: &RuleContext<'_>, expectation: Expectation) -> Option<String> {
    let client = scene.client;
    match expectation {
        Expectation::Even => None,
        Expectation::Pinned => {
            let (most, held) = (client.selection_pattern.max_endpoints, &client.open_connections);
            let several = held.pods.saturating_sub(held.pods_on_one);
            if most > 1 {
                Some(format!("one pod used {}", count(most, "endpoint")))
            } else {
                (several > 0)
                    .then(|| format!("{} with connections to several endpoints", count(several, "pod")))
            }
        }
        Expectation::Primary => {
            // A client that looks for the primary leaves the others at once.
            let kept = client.endpoints.iter().filter(|own| own.active > 0 || own.lasting > 0).count() as u64;
            (kept > 1).then(|| format!("connections to {} lasted", count(kept, "endpoint")))
        }
        Expectation::Subset => {
            let unused = scene.mature().any(|(_, own)| own.counted == 0 && own.active == 0);
            (!unused).then(|| "it uses every endpoint".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::judge;
    use crate::verdict::test_fixtures::Facts;

    fn judged(mut facts: Facts, expect: &str) -> Verdict {
        let said_by = "service".to_owned();
        facts.client.intent = Some(ClientIntent { expect: expect.to_owned(), said_by });
        judge(&facts.scene()).unwrap()
    }

    /// Each of some pods holds connections to one endpoint, for an hour.
    fn pinned(used: u64) -> Facts {
        let mut facts = Facts::new(&[120, 0, 0]);
        facts.client.active = 12;
        facts.client.endpoints[0].active = 12;
        facts.client.open = crate::spread::of(&[12, 0, 0]);
        let held = &mut facts.client.open_connections;
        (held.pods, held.pods_on_one, held.seconds) = (1, 1, 3_600.0);
        facts.client.selection_pattern.pods = 1;
        facts.client.selection_pattern.max_endpoints = used;
        facts
    }

    #[test]
    fn what_is_intended_is_no_fault_and_says_what_it_would_be() {
        let plain = judge(&pinned(1).scene()).unwrap();
        assert!(plain.cause.is_imbalance(), "{plain:?}");
        for expect in ["pinned", "primary", "subset"] {
            let verdict = judged(pinned(1), expect);
            assert_eq!(
                (verdict.cause, verdict.instead_of),
                (Cause::AsIntended, Some(plain.cause)),
                "{expect}"
            );
            assert_eq!(verdict.fix, None);
            assert!(verdict.evidence[0].contains(&format!("headless-obs.io/expect={expect}")), "{verdict:?}");
            assert_eq!(verdict.evidence[1..], plain.evidence);
        }
        for expect in ["even", "nonsense"] {
            assert_eq!(judged(pinned(1), expect), plain, "{expect}");
        }
    }

    #[test]
    fn what_the_annotation_does_not_say_stays_a_fault() {
        let uneven = || Facts::new(&[100, 20, 20]);
        let plain = judge(&uneven().scene()).unwrap();
        for (facts, expect, against) in [
            (pinned(2), "pinned", "one pod used 2 endpoints"),
            (uneven(), "primary", "connections to 3 endpoints lasted"),
            (uneven(), "subset", "it uses every endpoint"),
        ] {
            let verdict = judged(facts, expect);
            assert_eq!((verdict.cause.is_imbalance(), verdict.instead_of), (true, None), "{expect}");
            assert!(verdict.evidence[0].contains(against), "{:?}", verdict.evidence);
        }
        assert_eq!(judged(uneven(), "even"), plain);
    }

    #[test]
    fn nothing_changes_where_nothing_is_wrong_or_the_target_is() {
        for expect in ["pinned", "primary", "subset", "even"] {
            assert_eq!(judged(Facts::even(3, 300), expect).cause, Cause::Even);
            let mut failing = pinned(1);
            failing.client.other_ports = vec![crate::expose::snapshot::OtherPort {
                port: 9_999,
                connections: 500,
                failed: 500,
                ..Default::default()
            }];
            assert_eq!(judged(failing, expect).cause, Cause::PortMismatch);
        }
    }
}
