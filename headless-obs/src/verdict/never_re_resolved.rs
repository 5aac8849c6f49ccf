//! Rule about endpoints that are newer than the client's last answer.

use jiff::Timestamp;

use super::context::RuleContext;
use super::format::{count, list, span};
use super::pinned;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Endpoint, Verdict};

/// Newer endpoints that the client does not use, and that some of its pods at work were never told of.
fn unknown<'a>(scene: &RuleContext<'a>) -> impl Iterator<Item = (&'a Endpoint, &'a ClientEndpoint)> {
    let unused = |own: &ClientEndpoint| own.counted == 0 && own.active == 0;
    scene
        .mature()
        .filter(move |(endpoint, own)| own.unaware_pods > 0 && unused(own) && endpoint.ready_since.is_some())
}

/// A pod of the client is at work and has received no answer since an endpoint became ready, and nothing connects
/// there.
pub(super) fn is_unaware(scene: &RuleContext<'_>) -> bool {
    unknown(scene).next().is_some()
}

/// A client that uses only one of several known endpoints would not use a newer one either.
pub(super) fn uses_one_of_several(scene: &RuleContext<'_>) -> bool {
    let known = scene.mature().filter(|(_, own)| own.unaware_pods == 0 || own.counted + own.active > 0);
    pinned::is_narrow(scene) && known.count() > 1
}

/// An endpoint became ready after the client's last answer, and the client, active since, does not use it.
pub(super) fn never_re_resolved(scene: &RuleContext<'_>) -> Option<Verdict> {
    if scene.is_glimpse() {
        return None;
    }
    let newer: Vec<(&str, Timestamp, &ClientEndpoint)> = unknown(scene)
        .filter_map(|(endpoint, own)| Some((endpoint.pod.as_str(), endpoint.ready_since?, own)))
        .collect();
    let first = newer.iter().map(|(_, since, _)| *since).min()?;
    let (answers, who) = (&scene.client.answers, scene.name());
    let names: Vec<_> = newer.iter().map(|(pod, ..)| *pod).collect();
    let (names, became) = (list(&names), format!("became ready at {first:.0}"));
    let unaware = newer.iter().map(|(.., own)| own.unaware_pods).max().unwrap_or(0);
    // The last answer to any pod, where all of them are meant.
    let last = answers.last.filter(|last| *last < first);
    let mut evidence = vec![match last {
        Some(last) => {
            let late = span(first.duration_since(last).as_secs_f64());
            format!("The last answer for {who} came at {last:.0}, {late} before {names} became ready.")
        }
        None if answers.count > 0 => format!(
            "{names} {became}; since then, {} of {who} worked without a new answer.",
            count(unaware, "pod")
        ),
        None => format!("{who} has received no answer since {:.0}; {names} {became}.", scene.from),
    }];
    let is = if newer.len() == 1 { "It has" } else { "They have" };
    let idle = span(scene.to.duration_since(first).as_secs_f64());
    evidence.push(format!("{is} been ready for up to {idle} without a connection from {who}."));
    let others = scene.mature().filter(|(_, own)| own.counted > 0 || own.active > 0).count();
    evidence.push(format!(
        "It uses {others} of the {} endpoints that count: {}.",
        scene.mature().count(),
        super::evenness::counts(scene)
    ));
    let is_told = newer.iter().any(|(.., own)| own.answered_pods > 0);
    let confidence = if is_told || answers.count == 0 { Confidence::Medium } else { Confidence::High };
    Some(scene.verdict(Cause::NeverReResolved, confidence, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::at;
    use crate::verdict::test_fixtures::Facts;

    /// Three old endpoints and some newer ones that no answer to the client listed.
    fn scaled_up(counts: &[u64]) -> Facts {
        let mut facts = Facts::new(counts);
        facts.client.answers.count = 1;
        for (endpoint, own) in facts.service.endpoints.iter_mut().zip(&mut facts.client.endpoints).skip(3) {
            endpoint.ready_since = Some(at(700));
            (own.answered_pods, own.unaware_pods) = (0, u64::from(own.counted == 0));
        }
        facts.client.answers.last = Some(at(10));
        facts
    }

    fn is_called(facts: &Facts) -> bool {
        never_re_resolved(&facts.scene()).is_some()
    }

    #[test]
    fn a_newer_endpoint_is_unknown_to_the_client() {
        let facts = scaled_up(&[30, 30, 30, 0, 0, 0]);
        let verdict = never_re_resolved(&facts.scene()).unwrap();
        assert_eq!((verdict.cause, verdict.confidence), (Cause::NeverReResolved, Confidence::High));
        assert!(verdict.evidence[0].starts_with("The last answer for shop/web came at "), "{verdict:?}");
        assert!(verdict.evidence[0].contains("before pod-3, pod-4 and pod-5 became ready"), "{verdict:?}");
        assert!(verdict.evidence[2].contains("uses 3 of the 6"), "{verdict:?}");
    }

    #[test]
    fn it_is_silent_where_another_reading_is_open() {
        let used = scaled_up(&[30, 30, 30, 1, 0, 0]);
        assert!(is_called(&used), "two are left");
        assert!(!is_called(&scaled_up(&[30, 30, 30, 1])));
        let mut aware = scaled_up(&[30, 30, 30, 0]);
        aware.client.endpoints[3].unaware_pods = 0;
        assert!(!is_called(&aware), "every pod at work was answered since");
        aware.client.endpoints[3].unaware_pods = 1;
        aware.client.endpoints[3].answered_pods = 4;
        let verdict = never_re_resolved(&aware.scene()).unwrap();
        assert_eq!(verdict.confidence, Confidence::Medium, "other pods of the client were told");
        let mut young = scaled_up(&[30, 30, 30, 0]);
        young.service.endpoints[3].mature = false;
        assert!(!is_called(&young), "too young to count");
    }

    #[test]
    fn older_than_the_observer_is_enough_where_an_endpoint_came_later() {
        let mut facts = scaled_up(&[30, 30, 30, 0]);
        facts.client.answers = crate::expose::snapshot::ClientAnswers::default();
        let verdict = never_re_resolved(&facts.scene()).unwrap();
        assert_eq!(verdict.confidence, Confidence::Medium);
        assert!(verdict.evidence[0].contains("has received no answer since"), "{verdict:?}");
    }
}
