//! Connections and bytes by the zones of client and endpoint.
//!
//! In: the cells of a client on this node. Out: its matrix of zones. All clients of a node are in the node's zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CellRow;
use crate::expose::snapshot::{ZoneSum, ZoneTraffic, Zones};

/// The matrix of a client on a node of this zone.
pub(super) fn of(cells: &[CellRow<'_>], own: Option<&Arc<str>>) -> Zones {
    let mut sums: BTreeMap<Option<&str>, ZoneSum> = BTreeMap::new();
    for (_, cell) in cells {
        let sum = sums.entry(cell.zone.as_deref()).or_default();
        sum.connections += cell.opened;
        sum.bytes_sent += cell.bytes_sent;
        sum.bytes_received += cell.bytes_received;
    }
    sums.retain(|_, sum| *sum != ZoneSum::default());
    let row = |(to, sum): (Option<&str>, ZoneSum)| ZoneTraffic {
        from: own.map(ToString::to_string),
        to: to.map(str::to_owned),
        sum,
    };
    Zones::of(sums.into_iter().map(row))
}
