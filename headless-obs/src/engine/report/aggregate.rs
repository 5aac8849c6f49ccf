//! Sums over cells of the ledger and over responses, for the snapshot.

use std::collections::BTreeMap;

use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::reason;

use super::CellRow;
use crate::attribution::StaleKind;
use crate::engine::dns_stats::{AnswerCounts, RCODES, Transport};
use crate::expose::snapshot::{Before, Carried, ComparedTimes, Counts, Dns, Ends, Histogram, PortCounts};
use crate::ledger::{POSITIONS, Times};
use crate::service_resolution::Resolution;
use crate::topology::EndpointId;

/// Connections by resolution.
pub(super) fn resolutions(cells: &[CellRow<'_>]) -> Counts {
    let mut resolutions = Counts::new();
    for (key, cell) in cells {
        let count = if key.resolution == Resolution::Preexisting { cell.preexisting } else { cell.opened };
        *resolutions.entry(key.resolution.as_str().to_owned()).or_default() += count;
    }
    nonzero(resolutions)
}

pub(super) fn nonzero(mut counts: Counts) -> Counts {
    counts.retain(|_, count| *count > 0);
    counts
}

pub(super) fn failures(cells: &[CellRow<'_>]) -> Counts {
    reason::NAMES
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let count = cells.iter().filter_map(|(_, cell)| cell.failed.get(place)).sum();
            ((*name).to_owned(), count)
        })
        .collect()
}

/// The load of connections, beside their bytes.
pub(super) fn carried(cells: &[CellRow<'_>]) -> Carried {
    let mut sum = Carried::default();
    for (_, cell) in cells {
        let before = cell.before();
        sum.add(Carried {
            segments_sent: cell.segments_sent,
            segments_received: cell.segments_received,
            retransmitted: cell.retransmitted,
            before: Before {
                bytes_sent: before.bytes_sent,
                bytes_received: before.bytes_received,
                segments_sent: before.segments_sent,
                segments_received: before.segments_received,
            },
        });
    }
    sum
}

/// Times, without what a comparison with other endpoints shows.
pub(super) fn times<'a>(all: impl Iterator<Item = &'a Option<Box<Times>>>) -> ComparedTimes {
    let mut seconds = Histogram::default();
    all.flatten().for_each(|times| seconds.add(&times.histogram()));
    ComparedTimes { seconds, ..ComparedTimes::default() }
}

/// The ways in which connections ended. Of some, only the number is known.
pub(super) fn ends(cells: &[CellRow<'_>]) -> Ends {
    let (mut by, mut lifetimes) = ([0; end::COUNT], Histogram::default());
    for ends in cells.iter().filter_map(|(_, cell)| cell.ends.as_ref()) {
        by.iter_mut().zip(ends.by).for_each(|(sum, more)| *sum += more);
        lifetimes.add(&ends.lifetimes.histogram());
    }
    let closed: u64 = cells.iter().map(|(_, cell)| cell.closed).sum();
    let unseen = closed.saturating_sub(by.iter().sum());
    if let Some(other) = by.get_mut(usize::from(end::OTHER)) {
        *other += unseen;
    }
    let by = end::NAMES.into_iter().zip(by).map(|(name, count)| (name.to_owned(), count)).collect();
    Ends { by: nonzero(by), lifetimes }
}

/// Connections and failures by port; port 0 for those without room of their own.
pub(super) fn ports(cells: &[CellRow<'_>]) -> Vec<PortCounts> {
    let mut by_port: BTreeMap<u16, Vec<CellRow<'_>>> = BTreeMap::new();
    for row in cells {
        by_port.entry(row.0.port).or_default().push(*row);
    }
    by_port
        .into_iter()
        .map(|(port, cells)| {
            let mut opened = resolutions(&cells);
            // Their opening was not seen.
            opened.remove(Resolution::Preexisting.as_str());
            PortCounts { port, opened, failed: nonzero(failures(&cells)) }
        })
        .collect()
}

pub(super) fn stale(cells: &[CellRow<'_>]) -> Counts {
    StaleKind::ALL
        .iter()
        .enumerate()
        .map(|(place, kind)| {
            (kind.as_str().to_owned(), cells.iter().map(|(_, cell)| cell.stale(place).connections).sum())
        })
        .chain([("grace".to_owned(), cells.iter().map(|(_, cell)| cell.in_grace).sum())])
        .collect()
}

/// Positions of the selected addresses in the answers, for connections that count.
pub(super) fn answer_position(cells: &[CellRow<'_>]) -> Counts {
    let mut index = Counts::new();
    for (_, cell) in cells.iter().filter(|(key, _)| key.resolution.is_choice()) {
        for (place, count) in cell.positions.iter().enumerate().filter(|(_, count)| **count > 0) {
            let place = if place < POSITIONS { place.to_string() } else { format!("{POSITIONS}+") };
            *index.entry(place).or_default() += count;
        }
    }
    index
}

pub(super) fn dns(counts: &AnswerCounts, label: impl Fn(EndpointId) -> Option<String>) -> Dns {
    let mut first_records = Counts::new();
    for (endpoint, count) in &counts.firsts {
        if let Some(label) = label(*endpoint) {
            *first_records.entry(label).or_default() += count;
        }
    }
    Dns {
        ratio: counts.ratio.clone(),
        latency: counts.latency.clone(),
        answers: counts.answers,
        truncated: counts.truncated,
        completeness: counts.completeness(),
        listed: counts.listed,
        listable: counts.listable,
        rcodes: RCODES.iter().zip(counts.rcodes).map(|(name, count)| ((*name).to_owned(), count)).collect(),
        transports: [Transport::Udp, Transport::Tcp]
            .iter()
            .zip(counts.transports)
            .map(|(transport, count)| (transport.as_str().to_owned(), count))
            .collect(),
        truncated_used: 0,
        first_records,
        removed_answered: counts.removed_answered,
        incomplete: counts.incomplete,
        denied: counts.denied,
    }
}
