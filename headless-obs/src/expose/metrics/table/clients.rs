//! Metrics of how clients use their answers, and of folding.

use super::{Kind, Metric, PER_SERVICE, SERVICE, client};

/// Positions in an answer that have a label of their own.
const POSITIONS: [&str; 3] = ["0", "1", "2"];
/// All later positions.
const LATER: &str = "3+";

/// See its `help`.
pub(super) const ANSWER_POSITION: Metric = Metric {
    name: "headless_connect_answer_position",
    unit: None,
    kind: Kind::Counter,
    help: "Connections and attempts by the position of their address in the DNS answer.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "position"],
    per: "Service, client and position",
    more: "`0`, `1`, `2`, `3+`; `not_in_answer` counts connections that no answer explains, such as those with \
           `resolution=\"none\"`.",
    example: "sum by (client_workload, position) (rate(headless_connect_answer_position_total{service=\"orders\"}[10m]))",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            let mut add = |position, count| {
                series.add([namespace, service, client_namespace, workload, position], count)
            };
            POSITIONS.iter().for_each(|position| add(position, 0));
            add(LATER, 0);
            for (position, count) in &of.answer_position {
                let label = POSITIONS.into_iter().find(|known| position == known).unwrap_or(LATER);
                add(label, *count);
            }
            add("not_in_answer", of.resolution.get("none").copied().unwrap_or(0));
        }
    },
};

/// See its `help`.
pub(super) const VERDICT: Metric = Metric {
    name: "headless_client_verdict",
    unit: None,
    kind: Kind::Gauge,
    help: "1 for the verdict on how the client spreads its connections, or for the reason why there is none.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "cause"],
    per: "Service and client",
    more: "[verdicts.md](verdicts.md) describes the causes; `withheld:REASON` means that there is no verdict. The verdict \
           covers only connections of this node.",
    example: "count by (service, cause) (headless_client_verdict)",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            let withheld = of.withheld.as_deref().map(withheld);
            let cause = of.verdict.as_ref().map(|verdict| verdict.cause.as_str()).or(withheld);
            if let Some(cause) = cause {
                let [namespace, service, client_namespace, workload] = client(service, of);
                series.max([namespace, service, client_namespace, workload, cause], 1.0);
            }
        }
    },
};

/// See its `help`.
pub(super) const SERIES_FOLDED: Metric = Metric {
    name: "headless_series_folded",
    unit: None,
    kind: Kind::Counter,
    help: "Pairs of client and endpoint that are aggregated, because there would be too many series.",
    labels: SERVICE,
    per: PER_SERVICE,
    more: "See [Limits](#limits).",
    example: "headless_series_folded_total > 0",
    collect: |scrape, series| {
        for part in scrape.services() {
            series.add([part.service.namespace.as_str(), &part.service.name], part.plan.folded);
        }
    },
};

/// The reason for no verdict, as a label.
fn withheld(reason: &str) -> &'static str {
    match reason {
        "losses" => "withheld:losses",
        "not_in_sync" => "withheld:not_in_sync",
        "started_after" => "withheld:started_after",
        "by_hostname" => "withheld:by_hostname",
        "no_dns" => "withheld:no_dns",
        "resolved_elsewhere" => "withheld:resolved_elsewhere",
        "no_answer" => "withheld:no_answer",
        "no_connection" => "withheld:no_connection",
        "not_endpoint" => "withheld:not_endpoint",
        "excluded" => "withheld:excluded",
        "silent" => "withheld:silent",
        _ => "withheld:other",
    }
}
