//! The kernel's readings of open connections, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

use super::snapshot::is_zero;

/// The last readings of connections that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Connections that were read.
    pub connections: u64,
    /// Those of which the kernel knows a round-trip time.
    pub measured: u64,
    /// The mean of their smoothed round-trip times, in microseconds.
    pub mean_rtt_us: f64,
    /// The longest of these.
    pub max_rtt_us: u64,
    /// The least round-trip time of the last minutes of any of them, in microseconds.
    pub least_rtt_us: u64,
    /// Bytes that clients have written and that are not sent yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsent_bytes: u64,
    /// Bytes that are sent and not acknowledged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unacknowledged_bytes: u64,
}

impl Readings {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections == 0
    }

    /// Adds the readings of other connections.
    pub fn add(&mut self, more: &Self) {
        if more.measured > 0 {
            let all = self.measured.saturating_add(more.measured) as f64;
            let sum = self.mean_rtt_us * self.measured as f64 + more.mean_rtt_us * more.measured as f64;
            self.mean_rtt_us = sum / all;
            self.least_rtt_us =
                if self.measured == 0 { more.least_rtt_us } else { self.least_rtt_us.min(more.least_rtt_us) };
            self.max_rtt_us = self.max_rtt_us.max(more.max_rtt_us);
        }
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.connections, more.connections);
        add(&mut self.measured, more.measured);
        add(&mut self.unsent_bytes, more.unsent_bytes);
        add(&mut self.unacknowledged_bytes, more.unacknowledged_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_by_connections_and_who_is_not_measured_takes_no_part() {
        let one = |rtt: u64, least| Readings {
            connections: 1,
            measured: 1,
            mean_rtt_us: rtt as f64,
            max_rtt_us: rtt,
            least_rtt_us: least,
            unsent_bytes: 5,
            ..Readings::default()
        };
        let mut sum = Readings::default();
        [one(100, 90), one(200, 80), one(600, 500)].iter().for_each(|one| sum.add(one));
        sum.add(&Readings { connections: 1, unacknowledged_bytes: 7, ..Readings::default() });
        let expected = Readings {
            connections: 4,
            measured: 3,
            mean_rtt_us: 300.0,
            max_rtt_us: 600,
            least_rtt_us: 80,
            unsent_bytes: 15,
            unacknowledged_bytes: 7,
        };
        assert_eq!(sum, expected);
        let mut twice = sum;
        twice.add(&sum);
        assert_eq!((twice.mean_rtt_us, twice.measured), (300.0, 6));
    }
}
