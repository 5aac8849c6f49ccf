//! Why a report may be empty, and what to check.

use super::super::text::{between, clean, length, total, wrap};
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
    text.push_str(" Why that may be:\n");
    for reason in reasons(snapshot) {
        for (number, line) in wrap(&reason, look.width - 4).iter().enumerate() {
            text.push_str(if number == 0 { "  - " } else { "    " });
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// The likeliest first.
fn reasons(snapshot: &Snapshot) -> Vec<String> {
    let quality = &snapshot.quality;
    let mut reasons = Vec::new();
    for (probe, hook) in &quality.probes {
        if hook == "none" && probe != "existing" {
            let probe = clean(probe);
            reasons.push(format!("The {probe} probe is not attached: `sudo headless-obs doctor` says why."));
        }
    }
    if !quality.topology.synced {
        reasons.push("Services and pods have not been read completely: see the log.".to_owned());
    }
    let unattributed = total(&quality.unattributed);
    if unattributed > 0 {
        reasons.push(format!(
            "{unattributed} connections belong to no Service here, most likely because their clients asked DNS \
             before observation began: observe longer, or restart a client."
        ));
    }
    if snapshot.services.is_empty() {
        reasons.push(match quality.topology.source.as_str() {
            "dns" => "With --topology dns a name becomes a Service when it answers with several private addresses: \
                      name others with --dns-names, or take public addresses with --dns-public."
                .to_owned(),
            "kubernetes" => "The API server has no Service with `clusterIP: None`, or only in namespaces that \
                             --namespace leaves out."
                .to_owned(),
            _ => "The topology lists no Service with `clusterIP: None`: check what it was made of.".to_owned(),
        });
    }
    let time = length(between(snapshot.from, snapshot.to));
    reasons.push(format!(
        "Nobody connected within {time}: clients with long-lived connections open one rarely; observe longer, as \
         with --for 5m."
    ));
    reasons.push(
        "DNS goes another way: over TLS or HTTPS, or to another port (--dns-port); the clients run on another \
         node, or in a virtual machine with its own kernel."
            .to_owned(),
    );
    reasons
}
