//! The metrics: a [`Snapshot`] in, exposition text out. Nothing is kept between scrapes, so a series ends with
//! what it counted.
//!
//! Invariants: [`table::METRICS`] is the only place where names, help and labels are; no two series of a
//! family have the same labels (figures of endpoints with the same name are added up); label values are data
//! and may hold any character.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::snapshot::Snapshot;

pub mod series;
pub mod table;

use series::Series;
use table::{Kind, METRICS, Metric};

/// Media type of [`openmetrics`].
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of [`plain`].
pub const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of a snapshot in the OpenMetrics text format.
pub fn openmetrics(snapshot: Arc<Snapshot>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(SnapshotCollector(snapshot)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the older Prometheus text format: there a counter's family is named as its samples are, and
/// nothing marks the end.
pub fn plain(snapshot: Arc<Snapshot>) -> Result<String, fmt::Error> {
    let text = openmetrics(snapshot)?;
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        if let (Some("#"), Some(word), Some(name), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next())
        {
            let counter =
                METRICS.iter().any(|metric| metric.kind == Kind::Counter && metric.family() == name);
            let suffix = if counter { "_total" } else { "" };
            plain.push_str(&format!("# {word} {name}{suffix} {rest}"));
        } else {
            plain.push_str(line);
        }
        plain.push('\n');
    }
    Ok(plain)
}

/// Turns a snapshot into metrics when asked.
#[derive(Debug)]
pub struct SnapshotCollector(pub Arc<Snapshot>);

impl Collector for SnapshotCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        METRICS.iter().try_for_each(|metric| encode(metric, &self.0, &mut encoder))
    }
}

/// A family without series is left out.
fn encode(metric: &Metric, snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut series = Series::default();
    (metric.collect)(snapshot, &mut series);
    let rows = series.into_rows();
    if rows.is_empty() {
        return Ok(());
    }
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let mut family = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
    for (values, value) in rows {
        let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values).collect();
        let series = family.encode_family(&labels)?;
        match metric.kind {
            Kind::Counter => ConstCounter::new(value).encode(series)?,
            Kind::Gauge => ConstGauge::new(value).encode(series)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
