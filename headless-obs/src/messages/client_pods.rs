//! The pods of a client in words. Pure.

use jiff::Timestamp;

use super::{between, clean, length, plural, thousands};
use crate::expose::snapshot::{Client, ClientPod, PodEndpoint};

/// The most pods with a sentence of their own.
const PODS: usize = 5;
/// The most endpoints in a sentence.
const ENDPOINTS: usize = 2;

/// The worst pods, a sentence each, and the rest.
pub(crate) fn pods_in_words(client: &Client, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> =
        client.by_pod.iter().take(PODS).map(|pod| pod_in_words(client, pod, now)).collect();
    let sum = |own: u64, figure: fn(&ClientPod) -> u64| {
        client.by_pod.iter().skip(PODS).map(figure).fold(own, u64::saturating_add)
    };
    let (rest, hidden) = (client.other_pods, client.by_pod.len().saturating_sub(PODS));
    let pods = rest.pods.saturating_add(u64::try_from(hidden).unwrap_or(u64::MAX));
    if pods > 0 {
        let figures = figures(
            sum(rest.opened, |pod| pod.opened),
            sum(rest.failed, |pod| pod.failed),
            sum(rest.active, |pod| pod.active),
        );
        lines.push(format!("{} more: {}.", plural(pods, kind(client)), figures.join(", ")));
    }
    lines
}

fn pod_in_words(client: &Client, pod: &ClientPod, now: Timestamp) -> String {
    let node = pod.node.as_ref().map(|node| format!(" on {}", clean(node))).unwrap_or_default();
    let mut parts = figures(pod.opened, pod.failed, pod.active);
    if let [first, ..] = &pod.endpoints[..] {
        let is_only = pod.used <= 1;
        parts.push(if is_only {
            format!("all at {}", clean(&first.pod))
        } else {
            let busiest = pod
                .endpoints
                .iter()
                .take(ENDPOINTS)
                .map(|at| format!("{} at {}", thousands(connections(at)), clean(&at.pod)));
            let busiest: Vec<_> = busiest.collect();
            format!("{}, of {}", busiest.join(" and "), plural(pod.used, "endpoint"))
        });
    }
    if let Some(oldest) = pod.oldest_open {
        parts.push(format!("the oldest open for {}", length(between(oldest, now))));
    }
    if let Some(told) = pod.last_answered {
        parts.push(format!("the last answer {} ago", length(between(told, now))));
    }
    if let Some(program) = pod.program.as_ref().filter(|program| Some(*program) != client.program.as_ref()) {
        parts.push(format!("program {}", clean(program)));
    }
    let kind = super::capital(kind(client));
    format!("{kind} {}{node}: {}.", clean(&pod.pod), parts.join(", "))
}

/// Clients outside of pods have no namespace.
fn kind(client: &Client) -> &'static str {
    if client.namespace.is_empty() { "process group" } else { "pod" }
}

fn figures(opened: u64, failed: u64, active: u64) -> Vec<String> {
    let mut figures = vec![format!("{} opened", plural(opened, "connection"))];
    if failed > 0 {
        figures.push(format!("{} failed", thousands(failed)));
    }
    figures.push(format!("{} open", thousands(active)));
    figures
}

/// The same measure by which the endpoints are in order.
fn connections(at: &PodEndpoint) -> u64 {
    at.opened.max(at.active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::OtherPods;
    use crate::expose::test_fixtures::{at, client};

    fn pod(name: &str, made: &[(&str, u64)]) -> ClientPod {
        ClientPod {
            pod: name.into(),
            opened: made.iter().map(|(_, opened)| opened).sum(),
            active: 1,
            used: made.len() as u64,
            endpoints: made
                .iter()
                .map(|(pod, opened)| PodEndpoint {
                    pod: (*pod).into(),
                    opened: *opened,
                    ..PodEndpoint::default()
                })
                .collect(),
            ..ClientPod::default()
        }
    }

    #[test]
    fn one_that_pins_and_one_that_does_not() {
        let pinned = ClientPod {
            node: Some("n\u{1b}2".into()),
            failed: 3,
            oldest_open: Some(at(-7_200)),
            last_answered: Some(at(-60)),
            program: Some("java".into()),
            ..pod("web-a", &[("orders-0", 1_200)])
        };
        let spread = pod("web-b", &[("orders-0", 9), ("orders-1", 5), ("orders-2", 1)]);
        let web = client("web", 1.0, Vec::new());
        let said = pods_in_words(&Client { by_pod: vec![pinned, spread], ..web }, at(0));
        assert_eq!(
            said,
            [
                "Pod web-a on n\u{fffd}2: 1,200 connections opened, 3 failed, 1 open, all at orders-0, the oldest open for \
                 2 h, the last answer 1 min ago, program java.",
                "Pod web-b: 15 connections opened, 1 open, 9 at orders-0 and 5 at orders-1, of 3 endpoints.",
            ]
        );
    }

    #[test]
    fn the_rest_is_a_sum() {
        let by_pod: Vec<_> = (0..7).map(|n| pod(&format!("web-{n}"), &[("orders-0", 10)])).collect();
        let other_pods = OtherPods { pods: 3, opened: 6, failed: 2, active: 1 };
        let web = Client { by_pod, other_pods, ..client("web", 1.0, Vec::new()) };
        let said = pods_in_words(&web, at(0));
        assert_eq!(said.len(), PODS + 1);
        assert_eq!(said[PODS], "5 pods more: 26 connections opened, 2 failed, 3 open.");
        assert!(pods_in_words(&client("web", 1.0, Vec::new()), at(0)).is_empty());
    }
}
