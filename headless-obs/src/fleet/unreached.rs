//! Merges the clients whose attempts to addresses without a Service all fail.

use std::collections::BTreeMap;

use super::sums;
use crate::expose::unreached::Unreached;

/// One row for each client. An address that one node's clients reach can fail from another node, so no row is dropped.
pub(super) fn merge(rows: impl IntoIterator<Item = Unreached>) -> Vec<Unreached> {
    let mut merged: BTreeMap<(String, String), Unreached> = BTreeMap::new();
    for row in rows {
        let key = (row.namespace.clone(), row.workload.clone());
        let Some(known) = merged.get_mut(&key) else {
            merged.insert(key, row);
            continue;
        };
        sums::add(&mut known.attempts, row.attempts);
        known.since = known.since.min(row.since);
        for (address, attempts) in row.addresses {
            sums::add(known.addresses.entry(address).or_default(), attempts);
        }
    }
    merged.into_values().map(Unreached::folded).collect()
}
