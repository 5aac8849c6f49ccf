//! The paths between clients and endpoints in words. Pure.

use super::{clean, plural};
use crate::expose::snapshot::{Client, ClientEndpoint, Histogram, Readings, Service};

/// The path to an endpoint, for all clients together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    connects: Histogram,
    readings: Readings,
}

/// The paths to a Service's endpoints, in their order.
pub(crate) fn paths(service: &Service) -> Vec<Path> {
    let mut paths = vec![Path::default(); service.endpoints.len()];
    for client in &service.clients {
        for (path, own) in paths.iter_mut().zip(&client.endpoints) {
            path.connects.add(&own.connect_times.seconds);
            path.readings.add(&own.readings);
        }
    }
    paths
}

impl Path {
    /// The median time to connect.
    pub(crate) fn connect(&self) -> Option<String> {
        self.connects.median().map(time)
    }

    /// The mean of the smoothed round-trip times.
    pub(crate) fn round_trip(&self) -> Option<String> {
        (self.readings.measured > 0).then(|| time(self.readings.mean_rtt_us / 1e6))
    }

    /// More about the open connections.
    pub(crate) fn details(&self) -> Option<String> {
        (!self.readings.is_empty()).then(|| {
            let Readings { max_rtt_us, least_rtt_us, unsent_bytes, unacknowledged_bytes, .. } = self.readings;
            format!(
                "{} at most, {} at least; {} unsent, {} unacknowledged",
                time(max_rtt_us as f64 / 1e6),
                time(least_rtt_us as f64 / 1e6),
                plural(unsent_bytes, "byte"),
                plural(unacknowledged_bytes, "byte"),
            )
        })
    }
}

/// The client's paths: how long it takes to connect, the round trips of open connections, and what was sent again.
pub(crate) fn paths_in_words(client: &Client) -> Vec<String> {
    let (mut connects, mut readings) = (Histogram::default(), Readings::default());
    let (mut syns, mut again) = (0_u64, 0_u64);
    for own in &client.endpoints {
        connects.add(&own.connect_times.seconds);
        readings.add(&own.readings);
        syns = syns.saturating_add(own.syns_retransmitted);
        again = again.saturating_add(own.carried.retransmitted);
    }
    let slowest = client.endpoints.iter().filter(|own| own.readings.measured > 0).max_by_key(longest);
    let mut lines = Vec::new();
    lines.extend(connects.median().map(|seconds| {
        format!(
            "Half of {} took {} or longer to connect.",
            plural(connects.count, "connection"),
            time(seconds)
        )
    }));
    lines.extend(slowest.map(|own| {
        format!(
            "Round trips of open connections take {} on average, and {} at most (to {}).",
            time(readings.mean_rtt_us / 1e6),
            time(readings.max_rtt_us as f64 / 1e6),
            clean(&own.pod),
        )
    }));
    let sent_again: Vec<String> = [(syns, "SYN"), (again, "segment")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| plural(count, what))
        .collect();
    if !sent_again.is_empty() {
        lines.push(format!("It sent {} again.", sent_again.join(" and ")));
    }
    lines
}

fn longest(own: &&ClientEndpoint) -> u64 {
    own.readings.max_rtt_us
}

/// `0.2 ms`, `21 ms`, `1.5 s`
pub(crate) fn time(seconds: f64) -> String {
    match seconds * 1_000.0 {
        ms if ms < 0.1 => format!("{:.0} µs", ms * 1_000.0),
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::{client, histogram, part};

    #[test]
    fn times_read_well() {
        let texts = [0.000_042, 0.000_21, 0.021, 0.999, 1.5].map(time);
        assert_eq!(texts, ["42 µs", "0.2 ms", "21 ms", "999 ms", "1.5 s"]);
    }

    #[test]
    fn the_longest_round_trip_names_its_endpoint() {
        let at = |pod: &str, rtt: u64| {
            let readings = Readings {
                connections: 1,
                measured: 1,
                mean_rtt_us: rtt as f64,
                max_rtt_us: rtt,
                least_rtt_us: rtt,
                ..Readings::default()
            };
            let mut own = ClientEndpoint { readings, ..part(pod, 3, 1) };
            own.connect_times.seconds = histogram(&[0.001; 3]);
            own
        };
        let mut web = client("web", 1.0, vec![at("a", 200), at("b", 20_000), part("c", 0, 0)]);
        let expected = [
            "Half of 6 connections took 1.1 ms or longer to connect.",
            "Round trips of open connections take 10 ms on average, and 20 ms at most (to b).",
        ];
        assert_eq!(paths_in_words(&web), expected);
        web.endpoints[0].syns_retransmitted = 1;
        web.endpoints[1].carried.retransmitted = 1_000;
        assert_eq!(paths_in_words(&web)[2], "It sent 1 SYN and 1,000 segments again.");
        assert!(paths_in_words(&client("idle", 0.0, vec![part("c", 0, 0)])).is_empty());
    }
}
