//! The reasons why a report may be empty, and what to check.

use super::super::fit_text::{between, clean, length, plural, wrap};
use super::{Look, Paint, paint};
use crate::expose::snapshot::Snapshot;

pub(super) fn render(text: &mut String, snapshot: &Snapshot, look: Look) {
    let seen = if snapshot.services.is_empty() {
        "No headless Service was seen."
    } else {
        "No connection to any endpoint was seen."
    };
    text.push('\n');
    text.push_str(&paint(seen, Paint::Warn, look));
    text.push_str(" Possible reasons:\n");
    for reason in reasons(snapshot) {
        for (number, line) in wrap(&reason, look.prose() - 4).iter().enumerate() {
            text.push_str(if number == 0 { "  - " } else { "    " });
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// The most likely reason first.
fn reasons(snapshot: &Snapshot) -> Vec<String> {
    let quality = &snapshot.quality;
    let mut reasons = Vec::new();
    for (probe, hook) in &quality.probes {
        if hook == "none" && !matches!(probe.as_str(), "existing" | "load") {
            let probe = clean(probe);
            reasons.push(format!(
                "The {probe} probe is not attached; `sudo headless-obs doctor` shows the reason."
            ));
        }
    }
    if !quality.topology.synced {
        reasons.push("The list of Services and pods is not complete yet; see the log.".to_owned());
    }
    reasons.extend(quality.unattributed.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| {
        let connections = plural(*count, "connection");
        match reason.as_str() {
            "no_dns" => format!(
                "{connections} reached endpoints without a DNS answer: their clients resolved the name before \
                 observation began, or get addresses from elsewhere than DNS."
            ),
            "ambiguous" => format!(
                "{connections} went to addresses that several Services have, without a DNS answer that tells which: \
                 their clients resolved the name before observation began, or do not use DNS. Restart a client."
            ),
            "other_port" => format!(
                "{connections} went to endpoints, at ports that their Service does not list."
            ),
            "not_endpoint" => format!(
                "{connections} went to addresses that a Service's name gave and that are none of its endpoints."
            ),
            "other_name" => format!(
                "{connections} went to endpoints, under names that are none of a Service here."
            ),
            other => format!("{connections} belong to no Service here ({}).", clean(other)),
        }
    }));
    if snapshot.services.is_empty() {
        reasons.push(match quality.topology.source.as_str() {
            "dns" => {
                "With --topology dns a name becomes a Service when it resolves to several private addresses. \
                      Use --dns-names for other names, and --dns-public for public addresses."
                    .to_owned()
            }
            "kubernetes" => {
                "The API server has no Service with `clusterIP: None`, or only in namespaces that \
                             --namespace excludes."
                    .to_owned()
            }
            _ => "The topology lists no Service with `clusterIP: None`: check the manifests.".to_owned(),
        });
    }
    let time = length(between(snapshot.from, snapshot.to));
    reasons.push(format!(
        "No client connected within {time}. Clients with long-lived connections rarely open one: observe longer, for \
         example with --for 5m."
    ));
    reasons.push(
        "headless-obs cannot see the clients' DNS traffic: it goes over TLS or HTTPS, or to another port (--dns-port); \
         or the clients run on another node, or in a virtual machine with its own kernel."
            .to_owned(),
    );
    reasons
}
