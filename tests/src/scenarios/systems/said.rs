//! What the daemon says of a system, in one line: of each client of each Service the verdict, or why there is none, and how
//! its connections were resolved.
//!
//! `reader@mysql=even[service:60]`: the client `reader` of the Service `mysql` is even, and all of its 60 connections were
//! by the Service's name. Where a driver makes as many connections as it likes the numbers are left out.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::scenario::{Seen, find, word};
use crate::stage::NAMESPACE;

/// Whether the number of connections is known before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// It is.
    Exact,
    /// It is not.
    Any,
}

/// What is said of these clients: (Service, client workload, how to count).
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

/// How connections were resolved, those that were made; how many attempts failed, and how many were at another port.
fn resolution(client: &Value, counts: Counts) -> String {
    let nothing = Map::new();
    let by = client["resolution"].as_object().unwrap_or(&nothing).iter();
    let by = by.map(|(kind, count)| (kind.as_str(), count.as_u64().unwrap_or_default()));
    let failed = client["failed"].as_u64().unwrap_or_default();
    let ports = client["other_ports"].as_array().into_iter().flatten();
    let elsewhere = ports.filter_map(|port| port["connections"].as_u64()).sum();
    let mut all: Vec<_> = by.collect();
    if counts == Counts::Exact {
        // Servers that start together refuse one another at first, or do not.
        all.extend([("failed", failed), ("other_port", elsewhere)]);
    }
    let all = all.into_iter().filter(|(_, count)| *count > 0);
    let words = all.map(|(kind, count)| match counts {
        Counts::Exact => format!("{kind}:{count}"),
        Counts::Any => kind.to_owned(),
    });
    words.collect::<Vec<_>>().join(",")
}
