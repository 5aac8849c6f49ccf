//! The pods of a client that are shown: the worst first, and the rest as a sum.
//!
//! In: rows of pods. Out: at most [`SHOWN`] of them, in an order that depends on nothing but the rows. Those that failed
//! most and that have most connections beyond an even share at one endpoint come first, then those without an answer
//! for longest.
//!
//! Invariant: rows and rest together have the sums of what came in.

use std::cmp::Reverse;

use crate::expose::snapshot::{ClientPod, OtherPods, PodEndpoint};

/// The most pods of a client.
pub(crate) const SHOWN: usize = 32;
/// The most endpoints of a pod.
pub(crate) const ENDPOINTS: usize = 4;

/// The worst of these pods; the others are added to `rest`.
pub(crate) fn worst(
    mut pods: Vec<ClientPod>,
    shown: usize,
    mut rest: OtherPods,
) -> (Vec<ClientPod>, OtherPods) {
    pods.sort_by_cached_key(|pod| {
        let weight = pod.failed.saturating_add(pod.beyond_share);
        (Reverse(weight), pod.last_answered, pod.pod.clone(), pod.node.clone())
    });
    for pod in pods.drain(shown.min(pods.len())..) {
        rest.pods = rest.pods.saturating_add(1);
        rest.opened = rest.opened.saturating_add(pod.opened);
        rest.failed = rest.failed.saturating_add(pod.failed);
        rest.active = rest.active.saturating_add(pod.active);
    }
    (pods, rest)
}

/// The busiest of a pod's endpoints, the busiest first.
pub(crate) fn busiest(mut endpoints: Vec<PodEndpoint>) -> Vec<PodEndpoint> {
    endpoints.sort_by(|a, b| {
        (Reverse(connections(a)), Reverse(a.failed), &a.pod).cmp(&(
            Reverse(connections(b)),
            Reverse(b.failed),
            &b.pod,
        ))
    });
    endpoints.truncate(ENDPOINTS);
    endpoints
}

/// The connections of a pod at its busiest endpoint beyond an even share of all over this number of endpoints.
pub(crate) fn beyond_share(endpoints: &[PodEndpoint], all: u64, ready: usize) -> u64 {
    let most = endpoints.iter().map(connections).max().unwrap_or(0);
    let ready = u64::try_from(ready).unwrap_or(u64::MAX);
    most.saturating_sub(all.checked_div(ready).unwrap_or(0))
}

/// Connections that are older than the stretch of time are open, and were not opened in it.
fn connections(at: &PodEndpoint) -> u64 {
    at.opened.max(at.active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::at;
    use crate::testing::Random;

    fn pod(name: &str, made: &[u64]) -> ClientPod {
        let row = |(place, opened): (usize, &u64)| PodEndpoint {
            pod: format!("orders-{place}"),
            opened: *opened,
            ..PodEndpoint::default()
        };
        let endpoints: Vec<_> = made.iter().enumerate().map(row).collect();
        ClientPod {
            beyond_share: beyond_share(&endpoints, made.iter().sum(), 4),
            pod: name.into(),
            opened: made.iter().sum(),
            used: endpoints.len() as u64,
            endpoints: busiest(endpoints),
            ..ClientPod::default()
        }
    }

    fn names(pods: Vec<ClientPod>) -> Vec<String> {
        worst(pods, SHOWN, OtherPods::default()).0.into_iter().map(|pod| pod.pod).collect()
    }

    #[test]
    fn a_pod_that_pins_comes_before_one_that_spreads_more() {
        let failing = ClientPod { failed: 100, ..pod("failing", &[5, 5, 5, 5]) };
        let open = PodEndpoint { pod: "orders-1".into(), active: 70, ..PodEndpoint::default() };
        let beyond_share = beyond_share(std::slice::from_ref(&open), 70, 4);
        let held = ClientPod { active: 70, beyond_share, endpoints: vec![open], ..pod("held", &[]) };
        let pods =
            vec![pod("even", &[900, 901, 902, 903]), pod("few", &[4]), pod("pinned", &[80]), held, failing];
        assert_eq!(names(pods), ["failing", "pinned", "held", "few", "even"]);
    }

    #[test]
    fn among_equals_the_oldest_answer_comes_first() {
        let told = |name, seconds| ClientPod { last_answered: Some(at(seconds)), ..pod(name, &[4]) };
        assert_eq!(names(vec![told("b", 9), told("c", 2), told("a", 9)]), ["c", "a", "b"]);
    }

    #[test]
    fn rows_and_rest_have_the_sums_of_all_in_any_order() {
        let mut random = Random::new(7);
        for count in [0, 1, 31, 32, 33, 90] {
            let mut pods: Vec<_> = (0..count)
                .map(|n| {
                    let made: Vec<u64> = (0..6).map(|_| random.below(40) as u64).collect();
                    let (failed, active) = (random.below(3) as u64, random.below(9) as u64);
                    ClientPod { failed, active, ..pod(&format!("web-{n}"), &made) }
                })
                .collect();
            let sums = |pods: &[ClientPod]| {
                let sum = |figure: fn(&ClientPod) -> u64| pods.iter().map(figure).sum::<u64>();
                [pods.len() as u64, sum(|pod| pod.opened), sum(|pod| pod.failed), sum(|pod| pod.active)]
            };
            let all = sums(&pods);
            let (shown, rest) = worst(pods.clone(), SHOWN, OtherPods::default());
            let rest = [rest.pods, rest.opened, rest.failed, rest.active];
            assert!(shown.len() <= SHOWN && shown.iter().all(|pod| pod.endpoints.len() <= ENDPOINTS));
            let both: Vec<u64> = sums(&shown).iter().zip(rest).map(|(one, other)| one + other).collect();
            assert_eq!(both, all);
            pods.reverse();
            assert_eq!(worst(pods, SHOWN, OtherPods::default()).0, shown);
        }
    }
}
