//! Clients whose attempts all fail at addresses without a Service, a line each. Pure.

use jiff::Timestamp;

use super::since::clock;
use super::{clean, full_name, plural};
use crate::expose::unreached::{OTHERS, Unreached};

/// The most clients, and the most addresses of each.
const CLIENTS: usize = 5;
const ADDRESSES: usize = 3;

/// Those with the most attempts first; `to` is the end of the snapshot.
pub(super) fn lines(rows: &[Unreached], to: Timestamp) -> Vec<String> {
    let mut rows: Vec<&Unreached> = rows.iter().filter(|row| row.attempts > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.attempts));
    let mut lines: Vec<_> = rows.iter().take(CLIENTS).map(|row| line(row, to)).collect();
    let more = rows.len().saturating_sub(CLIENTS);
    lines
        .extend((more > 0).then(|| format!("The same holds for {}.", plural(more as u64, "further client"))));
    lines
}

fn line(row: &Unreached, to: Timestamp) -> String {
    let named = row.addresses.iter().filter(|(address, _)| *address != OTHERS);
    let mut named: Vec<_> = named.collect();
    named.sort_by_key(|(_, attempts)| std::cmp::Reverse(**attempts));
    let shown: Vec<_> = named.iter().take(ADDRESSES).map(|(address, _)| clean(address)).collect();
    let others = if row.addresses.len() > shown.len() { " and others" } else { "" };
    format!(
        "{}: {} to {}{others} failed, and none has succeeded since {}. No Service accounts for them; the client may \
         keep an old DNS answer.",
        full_name(&row.namespace, &row.workload),
        plural(row.attempts, "connect attempt"),
        shown.join(", "),
        clock(row.since, to),
    )
}
