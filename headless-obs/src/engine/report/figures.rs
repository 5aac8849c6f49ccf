//! Evenness over a Service's mature endpoints: of connections opened, selections, open connections and bytes.

use std::collections::{BTreeMap, HashSet};

use super::{CellRow, Order};
use crate::attribution::Resolution;
use crate::expose::snapshot::Spread;
use crate::ledger::Cell;
use crate::spread;
use crate::topology::EndpointId;

/// Four ways to look at the same connections.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) spread: Spread,
    pub(super) selections: Spread,
    pub(super) open: Spread,
    pub(super) bytes: Spread,
}

/// The figures of these cells, zeros included.
pub(super) fn of(cells: &[CellRow<'_>], order: &Order<'_>) -> Figures {
    let chosen = |resolution: Resolution| resolution.counts();
    // What is open from before was chosen some time, too.
    let open = |resolution: Resolution| chosen(resolution) || resolution == Resolution::Preexisting;
    let selections = spread(cells, order, chosen, |cell| cell.selections);
    let mut opened = spread(cells, order, chosen, |cell| cell.opened);
    if selections.connections > 0 {
        opened.z = selections.z;
    }
    Figures {
        spread: opened,
        selections,
        open: spread(cells, order, open, Cell::active),
        bytes: spread(cells, order, chosen, |cell| cell.bytes_sent + cell.bytes_received),
    }
}

fn spread(
    cells: &[CellRow<'_>],
    order: &Order<'_>,
    counts: impl Fn(Resolution) -> bool,
    figure: impl Fn(&Cell) -> u64,
) -> Spread {
    let mut sums: BTreeMap<EndpointId, u64> = mature(order).map(|endpoint| (endpoint, 0)).collect();
    for (key, cell) in cells.iter().filter(|(key, _)| counts(key.resolution)) {
        if let Some(sum) = sums.get_mut(&key.endpoint.endpoint) {
            *sum += figure(cell);
        }
    }
    spread::of(&sums.into_values().collect::<Vec<_>>())
}

/// Mature endpoints without any connection that counts, if there are connections at all.
pub(super) fn idle(cells: &[CellRow<'_>], order: &Order<'_>) -> Vec<String> {
    // Whoever was resolved by a pod's own name, or not at all, keeps it busy all the same; only what is left out of
    // the cells does not.
    let used = cells.iter().filter(|(_, cell)| cell.opened + cell.preexisting > 0);
    let used: HashSet<EndpointId> = used.map(|(key, _)| key.endpoint.endpoint).collect();
    if used.is_empty() {
        return Vec::new();
    }
    let unused = order.iter().filter(|(endpoint, row)| row.mature && !used.contains(&endpoint.id().endpoint));
    unused.map(|(_, row)| row.pod.clone()).collect()
}

fn mature<'a>(order: &'a Order<'_>) -> impl Iterator<Item = EndpointId> + 'a {
    order.iter().filter(|(_, row)| row.mature).map(|(endpoint, _)| endpoint.id().endpoint)
}
