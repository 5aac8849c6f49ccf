//! The spread from sums: the same figures that the engine computes for one node, computed from merged rows.

use crate::expose::snapshot::{ClientEndpoint, Endpoint, Spread};
use crate::spread;

/// The input for one mature endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowFigures {
    counted: u64,
    selections: u64,
    expected: f64,
    active: u64,
    bytes: u64,
    segments: u64,
}

impl From<&Endpoint> for RowFigures {
    fn from(row: &Endpoint) -> Self {
        Self {
            counted: row.counted,
            selections: row.selections,
            expected: row.expected,
            active: row.counted_active,
            bytes: row.counted_bytes,
            segments: row.counted_segments,
        }
    }
}

impl From<&ClientEndpoint> for RowFigures {
    fn from(row: &ClientEndpoint) -> Self {
        Self {
            counted: row.counted,
            selections: row.selections,
            expected: row.expected,
            active: row.counted_active,
            bytes: row.counted_bytes,
            segments: row.counted_segments,
        }
    }
}

/// Connections opened, selections, open connections, bytes, segments.
pub(super) fn of(rows: &[RowFigures]) -> [Spread; 5] {
    let counts = |figure: fn(&RowFigures) -> u64| rows.iter().map(figure).collect::<Vec<_>>();
    let expected: Vec<f64> = rows.iter().map(|row| row.expected).collect();
    let selections = spread::exposed(&counts(|row| row.selections), &expected);
    let mut opened = spread::exposed(&counts(|row| row.counted), &expected);
    if selections.connections > 0 {
        opened.z = selections.z;
    }
    let load = [|row: &RowFigures| row.active, |row: &RowFigures| row.bytes, |row: &RowFigures| row.segments];
    let [open, bytes, segments] = load.map(|figure| spread::of(&counts(figure)));
    [opened, selections, open, bytes, segments]
}
