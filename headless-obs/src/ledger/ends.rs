//! The ends of connections, and their lifetimes.
//!
//! In: records of ends. Out: [`Ends`].
//!
//! Invariant: an end whose record was lost is not here. It counts in [`Cell::closed`](super::Cell::closed) alone.

use headless_obs_ebpf::end;
use headless_obs_ebpf::ring_record::TcpRecord;

use super::Times;
use crate::time::Time;
use crate::windowed::Sum;

/// Ends of connections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends {
    /// Their number, by the constants of [`end`].
    pub by: [u64; end::COUNT],
    /// The time that they lived; not those of connections that are older than the daemon.
    pub lifetimes: Times,
}

impl Ends {
    /// The end of a connection.
    pub(super) fn record(&mut self, record: &TcpRecord) {
        let way = usize::from(record.end).min(usize::from(end::OTHER));
        if let Some(count) = self.by.get_mut(way) {
            *count += 1;
        }
        if record.started > 0 {
            let lifetime = Time(record.header.time).since(Time(record.started));
            self.lifetimes.record(lifetime.as_secs_f64());
        }
    }
}

impl Sum for Ends {
    fn add(&mut self, other: &Self) {
        self.by.iter_mut().zip(other.by).for_each(|(sum, more)| *sum += more);
        self.lifetimes.add(&other.lifetimes);
    }
}
