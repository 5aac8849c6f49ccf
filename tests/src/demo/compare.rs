//! Compares the daemon's report with the servers' counts.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lab::TruthRow;
use lab::connection_matrix::{Matrix, accepted, reported};
use serde_json::Value;

/// Number of opened connections.
pub(crate) fn opened(snapshot: &Value) -> u64 {
    reported(snapshot).values().sum()
}

/// Whether both agree on every client and pod.
pub(crate) fn is_equal(snapshot: &Value, truth: &[TruthRow]) -> bool {
    reported(snapshot) == accepted(truth)
}

/// One line per client, one column per pod: the reported number, and the accepted number if that differs.
pub(crate) fn table(snapshot: &Value, truth: &[TruthRow]) -> String {
    let (reported, accepted) = (reported(snapshot), accepted(truth));
    let keys = || reported.keys().chain(accepted.keys());
    let clients: BTreeSet<&String> = keys().map(|(client, _)| client).collect();
    let pods: BTreeSet<&String> = keys().map(|(_, pod)| pod).collect();
    let width = clients.iter().map(|client| client.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}", "accepted");
    for pod in &pods {
        let _infallible = write!(text, "  {pod:>9}");
    }
    text.push('\n');
    for client in clients {
        let _infallible = write!(text, "{client:width$}");
        for pod in &pods {
            let key = (client.clone(), (*pod).clone());
            let count = |matrix: &Matrix| matrix.get(&key).copied().unwrap_or(0);
            let (seen, true_count) = (count(&reported), count(&accepted));
            let cell =
                if seen == true_count { true_count.to_string() } else { format!("{true_count}≠{seen}") };
            let _infallible = write!(text, "  {cell:>9}");
        }
        text.push('\n');
    }
    let connections: u64 = accepted.values().sum();
    let verdict = if reported == accepted {
        format!("the report equals what the servers accepted: {connections} connections")
    } else {
        format!(
            "the report DIFFERS from what the servers accepted ({connections} connections): accepted≠reported"
        )
    };
    let _infallible = writeln!(text, "{verdict}");
    text
}
