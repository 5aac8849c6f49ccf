//! The daemon's report on a system in one line: for each client of each Service the verdict, or the reason for none,
//! and how its connections were resolved.
//!
//! `reader@mysql=even[service:60]`: the client `reader` of the Service `mysql` is even, and it made all of its 60
//! connections by the Service's name. The numbers are left out if a driver decides how many connections it makes.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::scenario::{Seen, find, word};
use crate::stage::NAMESPACE;

/// Whether the test knows the number of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The test knows it.
    Exact,
    /// The driver decides it.
    Any,
}

/// The line for these clients: (Service, client workload, how to count).
pub(crate) fn said(snapshot: &Value, clients: &[(&str, &str, Counts)]) -> Result<Seen> {
    let mut seen = Seen::nothing(&json!([]));
    let mut facts = Vec::new();
    for &(service, workload, counts) in clients {
        let client = find(snapshot, &format!("{NAMESPACE}/{service}"), workload)?;
        let said = format!("{}[{}]", word(client), resolution(client, counts));
        seen = seen.and(&format!("{workload}@{service}"), said);
        facts.push(json!({"service": service, "client": client}));
    }
    seen.facts = Value::Array(facts);
    Ok(seen)
}

/// The resolutions of the connections, the number of failed attempts, and the number of connections to another port.
fn resolution(client: &Value, counts: Counts) -> String {
    let nothing = Map::new();
    let by = client["resolution"].as_object().unwrap_or(&nothing).iter();
    let by = by.map(|(kind, count)| (kind.as_str(), count.as_u64().unwrap_or_default()));
    let failed = client["failed"].as_u64().unwrap_or_default();
    let ports = client["other_ports"].as_array().into_iter().flatten();
    let elsewhere = ports.filter_map(|port| port["connections"].as_u64()).sum();
    let mut all: Vec<_> = by.collect();
    if counts == Counts::Exact {
        // Servers that start together may refuse one another at first.
        all.extend([("failed", failed), ("other_port", elsewhere)]);
    }
    let all = all.into_iter().filter(|(_, count)| *count > 0);
    let words = all.map(|(kind, count)| match counts {
        Counts::Exact => format!("{kind}:{count}"),
        Counts::Any => kind.to_owned(),
    });
    words.collect::<Vec<_>>().join(",")
}
