//! Rule about endpoints that are newer than the client's last answer.

use jiff::Timestamp;

use super::context::RuleContext;
use super::format::{list, span};
use super::pinned;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Endpoint, Verdict};

/// An endpoint became ready after the client's last answer, and the client, active since, does not use it.
pub(super) fn never_re_resolved(scene: &RuleContext<'_>) -> Option<Verdict> {
    let answers = &scene.client.answers;
    // Without any answer, the client resolved before the observation began.
    let last = answers.last_of_oldest.or(answers.last).unwrap_or(scene.from);
    let ready = |endpoint: &Endpoint| endpoint.ready_since.filter(|since| *since > last);
    let unused = |own: &ClientEndpoint| own.counted == 0 && own.active == 0;
    let pods = scene.client.pods.max(1);
    let newer: Vec<(&str, Timestamp, u64)> = scene
        .mature()
        .filter(|(_, own)| unused(own) && own.answered_pods < pods)
        .filter_map(|(endpoint, own)| Some((endpoint.pod.as_str(), ready(endpoint)?, own.answered_pods)))
        .collect();
    let first = newer.iter().map(|(_, since, _)| *since).min()?;
    if !is_at_work(scene, first) {
        return None;
    }
    // A client that uses only one of several known endpoints would not use a newer one either.
    let known = scene.mature().filter(|(endpoint, _)| ready(endpoint).is_none());
    if pinned::is_narrow(scene) && known.count() > 1 {
        return None;
    }

    let names: Vec<_> = newer.iter().map(|(pod, ..)| *pod).collect();
    let (who, late) = (scene.name(), span(first.duration_since(last).as_secs_f64()));
    let of_pods = if pods > 1 { format!(" to one of its {pods} pods") } else { String::new() };
    let mut evidence = vec![if answers.count > 0 {
        format!(
            "The last answer for {who}{of_pods} came at {last:.0}, {late} before {} became ready.",
            list(&names)
        )
    } else {
        format!(
            "{who} has received no answer since observation began at {last:.0}; {} became ready {late} later.",
            list(&names)
        )
    }];
    let is = if names.len() == 1 { "It has" } else { "They have" };
    let idle = span(scene.to.duration_since(first).as_secs_f64());
    evidence.push(format!("{is} been ready for up to {idle} without a connection from {who}."));
    let others = scene.mature().filter(|(_, own)| !unused(own)).count();
    evidence.push(format!(
        "It uses {others} of the {} endpoints that count: {}.",
        scene.mature().count(),
        super::evenness::counts(scene)
    ));
    let told = newer.iter().any(|(.., told)| *told > 0);
    let confidence = if told || answers.count == 0 { Confidence::Medium } else { Confidence::High };
    Some(scene.verdict(Cause::NeverReResolved, confidence, evidence))
}

/// It has connected since, or has open connections. An inactive client need not resolve.
fn is_at_work(scene: &RuleContext<'_>, since: Timestamp) -> bool {
    let is_at_work =
        |own: &ClientEndpoint| own.active > 0 || own.last_connection.is_some_and(|last| last > since);
    scene.client.endpoints.iter().any(is_at_work)
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
        facts.client.answers.last_of_oldest = Some(at(10));
        for (endpoint, own) in facts.service.endpoints.iter_mut().zip(&mut facts.client.endpoints).skip(3) {
            endpoint.ready_since = Some(at(700));
            own.answered_pods = 0;
        }
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
        let mut told = scaled_up(&[30, 30, 30, 0]);
        told.client.endpoints[3].answered_pods = 1;
        assert!(!is_called(&told), "it was told");
        told.client.pods = 2;
        assert!(is_called(&told), "one of two pods was told");
        let mut asked = scaled_up(&[30, 30, 30, 0]);
        asked.client.answers.last_of_oldest = Some(at(800));
        assert!(!is_called(&asked), "answered since");
        let mut young = scaled_up(&[30, 30, 30, 0]);
        young.service.endpoints[3].mature = false;
        assert!(!is_called(&young), "too young to count");
        let mut quiet = scaled_up(&[30, 30, 30, 0]);
        for own in &mut quiet.client.endpoints {
            own.last_connection = Some(at(600));
        }
        assert!(!is_called(&quiet), "quiet since");
        quiet.client.endpoints[0].active = 1;
        assert!(is_called(&quiet), "it holds one");
    }

    #[test]
    fn older_than_the_observer_is_enough_where_an_endpoint_came_later() {
        let mut facts = scaled_up(&[30, 30, 30, 0]);
        facts.client.answers = crate::expose::snapshot::ClientAnswers::default();
        let verdict = never_re_resolved(&facts.scene()).unwrap();
        assert_eq!(verdict.confidence, Confidence::Medium);
        assert!(
            verdict.evidence[0].contains("has received no answer since observation began"),
            "{verdict:?}"
        );
    }
}
