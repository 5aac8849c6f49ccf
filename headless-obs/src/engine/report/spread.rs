//! The spread over a Service's mature endpoints: of connections opened, selections, open connections, bytes and
//! segments.

use super::{CellRow, Expectation, Order, Tally};
use crate::expose::snapshot::Spread;
use crate::hash::HashMap;
use crate::service_resolution::Resolution;
use crate::spread;
use crate::topology::{Endpoint, EndpointId};

/// Five views of the same connections.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) spread: Spread,
    pub(super) selections: Spread,
    pub(super) open: Spread,
    pub(super) bytes: Spread,
    pub(super) segments: Spread,
}

/// The connections that a spread is about.
pub(super) type Choice = fn(Resolution) -> bool;

/// The spread of these cells, including zeros.
pub(super) fn of(
    cells: &[CellRow<'_>],
    order: &Order<'_>,
    expected: &Expectation,
    chosen: Choice,
) -> Figures {
    let stays = |resolution| stays(resolution, chosen);
    let exposures: Vec<f64> = mature(order)
        .map(|endpoint| expected.get(&endpoint.id().endpoint).copied().unwrap_or_default())
        .collect();
    let selections = spread::exposed(&counts(cells, order, chosen, |cell| cell.selections), &exposures);
    let mut opened = spread::exposed(&counts(cells, order, chosen, |cell| cell.opened), &exposures);
    if selections.connections > 0 {
        opened.z = selections.z;
    }
    Figures {
        spread: opened,
        selections,
        open: spread::of(&counts(cells, order, stays, Tally::active)),
        bytes: spread::of(&counts(cells, order, chosen, Tally::bytes)),
        segments: spread::of(&counts(cells, order, chosen, Tally::segments)),
    }
}

/// Whether open connections count: also those from before the start, because a client selected them, too.
fn stays(resolution: Resolution, chosen: Choice) -> bool {
    chosen(resolution) || resolution == Resolution::Preexisting
}

/// The open connections and the load that count in the spread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InSpread {
    pub(super) active: u64,
    pub(super) bytes: u64,
    pub(super) segments: u64,
}

impl InSpread {
    pub(super) fn of<'a>(cells: impl Iterator<Item = CellRow<'a>>, chosen: Choice) -> Self {
        let mut sum = Self::default();
        for (key, cell) in cells.filter(|(key, _)| stays(key.resolution, chosen)) {
            sum.active += cell.active();
            if chosen(key.resolution) {
                sum.bytes += cell.bytes();
                sum.segments += cell.segments();
            }
        }
        sum
    }
}

/// A count for each mature endpoint, in their order.
fn counts(
    cells: &[CellRow<'_>],
    order: &Order<'_>,
    is_counted: impl Fn(Resolution) -> bool,
    figure: impl Fn(&Tally) -> u64,
) -> Vec<u64> {
    let mut sums: HashMap<EndpointId, u64> =
        mature(order).map(|endpoint| (endpoint.id().endpoint, 0)).collect();
    for (key, cell) in cells.iter().filter(|(key, _)| is_counted(key.resolution)) {
        if let Some(sum) = sums.get_mut(&key.endpoint.endpoint) {
            *sum += figure(cell);
        }
    }
    mature(order).filter_map(|endpoint| sums.get(&endpoint.id().endpoint).copied()).collect()
}

fn mature<'a>(order: &'a Order<'_>) -> impl Iterator<Item = &'a Endpoint> {
    order.iter().filter(|(_, row)| row.mature).map(|(endpoint, _)| *endpoint)
}
