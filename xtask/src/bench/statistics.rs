//! Statistics of samples: differences from the run without an observer or from the baseline in each round; then median
//! and range.
//!
//! A round is compared with itself only. From round to round the machine's other load changes more than most observers
//! cost.

use serde::Serialize;

use super::input::{Measured, Sample, Step};

/// A number of a tool over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) tool: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) rounds: usize,
}

/// The run without an observer, and the baseline of empty programs.
const NOTHING: &str = "nothing";
const EMPTY: &str = "empty";

/// (name, samples, tool to subtract)
const DIFFERENCES: [(&str, &str, &str); 9] = [
    ("added_connect_p50_ns", "connect_p50_ns", NOTHING),
    ("added_connect_p99_ns", "connect_p99_ns", NOTHING),
    ("added_connect_p50_ns_1k", "connect_p50_ns_1k", NOTHING),
    ("added_connect_p99_ns_1k", "connect_p99_ns_1k", NOTHING),
    ("added_dns_p50_ns", "dns_p50_ns", NOTHING),
    ("added_dns_p99_ns", "dns_p99_ns", NOTHING),
    ("kernel_over_empty_ns_per_connection", "kernel_ns_per_connection", EMPTY),
    ("tcp_packet_over_empty_ns", "kernel_ns_per_tcp_packet", EMPTY),
    ("udp_packet_over_empty_ns", "kernel_ns_per_udp_packet", EMPTY),
];

/// All numbers, in the order of their measurement.
pub(super) fn rows(measured: &Measured) -> Vec<Row> {
    let mut samples = measured.samples.clone();
    for (figure, of, to) in DIFFERENCES {
        samples.extend(differences(&measured.samples, figure, of, to));
    }
    let mut groups: Vec<(Row, Vec<f64>)> = Vec::new();
    for Sample { tool, metric, unit, value, .. } in samples {
        match groups.iter_mut().find(|(row, _)| row.tool == tool && row.metric == metric) {
            Some((_, values)) => values.push(value),
            None => groups
                .push((Row { tool, metric, unit, median: 0.0, min: 0.0, max: 0.0, rounds: 0 }, vec![value])),
        }
    }
    let rows = groups.into_iter().map(|(row, values)| summary(row, values));
    rows.chain(knees(&measured.ladder)).collect()
}

/// The cost of a tool: its samples minus those of another tool in the same round.
fn differences<'a>(
    samples: &'a [Sample],
    figure: &'a str,
    of: &'a str,
    to: &'a str,
) -> impl Iterator<Item = Sample> + 'a {
    let is_compared =
        move |sample: &&Sample| sample.metric == of && sample.tool != NOTHING && sample.tool != to;
    samples.iter().filter(is_compared).filter_map(move |sample| {
        let is_base = |base: &&Sample| base.metric == of && base.tool == to && base.round == sample.round;
        let base = samples.iter().find(is_base)?;
        Some(Sample { metric: figure.to_owned(), value: sample.value - base.value, ..sample.clone() })
    })
}

/// Median and range. For an even number of values the median is the mean of the two middle ones.
fn summary(row: Row, mut values: Vec<f64>) -> Row {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    let last = values.len().saturating_sub(1);
    let median = f64::midpoint(at(last / 2), at(values.len() / 2));
    Row { median: short(median), min: short(at(0)), max: short(at(last)), rounds: values.len(), ..row }
}

/// The rate at which detail is lost first, and the machine's limit.
fn knees(ladder: &[Step]) -> impl Iterator<Item = Row> {
    let of = |name: &'static str, without_loss: &'static str, most: &'static str| {
        let steps = || ladder.iter().filter(move |step| step.of == name);
        let clean = steps().take_while(|step| step.lost == 0).map(|step| step.reached).reduce(f64::max);
        let limit = steps().map(|step| step.reached).reduce(f64::max);
        [(without_loss, clean), (most, limit)]
    };
    let connections =
        of("connections", "connections_per_second_without_loss", "connections_per_second_limit");
    let answers = of("answers", "answers_per_second_without_loss", "answers_per_second_limit");
    connections.into_iter().chain(answers).filter_map(|(metric, value)| {
        let row = Row {
            tool: crate::artifacts::DAEMON.to_owned(),
            metric: metric.to_owned(),
            unit: "1/s".to_owned(),
            median: 0.0,
            min: 0.0,
            max: 0.0,
            rounds: 0,
        };
        Some(summary(row, vec![value?]))
    })
}

/// Four digits: the values are not more precise than that.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::input::Machine;
    use super::*;

    fn measured(samples: &[(usize, &str, &str, f64)]) -> Measured {
        let sample = |&(round, tool, metric, value): &(usize, &str, &str, f64)| Sample {
            round,
            tool: tool.to_owned(),
            metric: metric.to_owned(),
            unit: "ns".to_owned(),
            value,
        };
        Measured {
            machine: Machine::default(),
            plan: "quick".to_owned(),
            rounds: 3,
            samples: samples.iter().map(sample).collect(),
            ladder: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    fn row<'a>(rows: &'a [Row], tool: &str, metric: &str) -> Option<&'a Row> {
        rows.iter().find(|row| row.tool == tool && row.metric == metric)
    }

    #[test]
    fn what_is_added_is_the_difference_in_the_same_round() {
        let rows = rows(&measured(&[
            (0, "nothing", "connect_p50_ns", 100.0),
            (0, "x", "connect_p50_ns", 103.0),
            (1, "x", "connect_p50_ns", 1001.0),
            (1, "nothing", "connect_p50_ns", 1000.0),
            (2, "x", "connect_p50_ns", 5000.0),
        ]));
        let added = row(&rows, "x", "added_connect_p50_ns").unwrap();
        assert_eq!((added.median, added.min, added.max, added.rounds), (2.0, 1.0, 3.0, 2));
        assert_eq!(row(&rows, "x", "connect_p50_ns").unwrap().rounds, 3);
        assert_eq!(row(&rows, "nothing", "added_connect_p50_ns"), None);
    }

    #[test]
    fn a_packet_is_compared_with_the_baseline() {
        let rows = rows(&measured(&[
            (0, "empty", "kernel_ns_per_tcp_packet", 20.0),
            (0, "headless-obs", "kernel_ns_per_tcp_packet", 27.5),
        ]));
        assert_eq!(row(&rows, "headless-obs", "tcp_packet_over_empty_ns").unwrap().median, 7.5);
        assert_eq!(row(&rows, "empty", "tcp_packet_over_empty_ns"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let summary = |values: &[f64]| {
            let samples: Vec<_> = values.iter().map(|value| (0, "x", "rss_mib", *value)).collect();
            let rows = rows(&measured(&samples));
            (rows[0].min, rows[0].median, rows[0].max)
        };
        assert_eq!(summary(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(summary(&[4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(summary(&[123_456.0]), (123_500.0, 123_500.0, 123_500.0));
        assert_eq!(summary(&[0.0]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn the_knee_is_before_the_first_loss() {
        let step =
            |reached, lost| Step { of: "answers".to_owned(), asked: None, reached, lost, miscounted: None };
        let ladder = vec![step(1_000.0, 0), step(2_000.0, 0), step(5_000.0, 3), step(9_000.0, 0)];
        let rows = rows(&Measured { ladder, ..measured(&[]) });
        assert_eq!(row(&rows, "headless-obs", "answers_per_second_without_loss").unwrap().median, 2_000.0);
        assert_eq!(row(&rows, "headless-obs", "answers_per_second_limit").unwrap().median, 9_000.0);
        assert_eq!(rows.len(), 2, "no ladder of connections, no figures of it");
    }

    #[test]
    fn json_has_the_fields_that_were_promised() {
        let rows = rows(&measured(&[(0, "x", "rss_mib", 1.5)]));
        assert_eq!(
            serde_json::to_value(rows).unwrap(),
            serde_json::json!([{
                "tool": "x", "metric": "rss_mib", "unit": "ns", "median": 1.5, "min": 1.5, "max": 1.5, "rounds": 1,
            }])
        );
    }
}
