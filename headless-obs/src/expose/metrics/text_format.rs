//! The text formats. The library writes OpenMetrics, but cannot write when counters and histograms began. This module
//! adds that to the lines, and makes the older format from them.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::histogram_bounds::cumulative;
use super::series::Value;
use super::table::{Kind, METRICS};
use super::{Family, Scrape, gather};
use crate::expose::histogram::Histogram;

/// The time at which the series of counters and histograms began, in the order of the exposition.
type Starts = Arc<Mutex<Vec<Timestamp>>>;

/// The OpenMetrics text format.
pub(super) fn openmetrics(scrape: Arc<Scrape>) -> Result<String, fmt::Error> {
    let (text, starts) = written(scrape)?;
    with_starts(&text, starts)
}

/// The same in the older Prometheus text format. There a counter's family has the name of its samples, no line says
/// when it began, and nothing marks the end.
pub(super) fn plain(scrape: Arc<Scrape>) -> Result<String, fmt::Error> {
    let (text, _) = written(scrape)?;
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        if let (Some("#"), Some(word), Some(name), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next())
        {
            let counter =
                METRICS.iter().any(|metric| metric.kind == Kind::Counter && metric.family() == name);
            let suffix = if counter { "_total" } else { "" };
            writeln!(plain, "# {word} {name}{suffix} {rest}")?;
        } else {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    Ok(plain)
}

/// The output of the library.
fn written(scrape: Arc<Scrape>) -> Result<(String, Vec<Timestamp>), fmt::Error> {
    let starts = Starts::default();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Writer { scrape, starts: starts.clone() }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    let starts = std::mem::take(&mut *starts.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((text, starts))
}

/// Adds a `_created` line to each counter and histogram.
fn with_starts(text: &str, starts: Vec<Timestamp>) -> Result<String, fmt::Error> {
    let mut whole = String::with_capacity(text.len() * 2);
    let mut starts = starts.into_iter();
    let mut kind = "";
    let mut labels = "";
    for line in text.lines() {
        whole.push_str(line);
        whole.push('\n');
        if let Some(meta) = line.strip_prefix("# ") {
            if meta.starts_with("TYPE ") {
                kind = meta.rsplit(' ').next().unwrap_or_default();
            }
            continue;
        }
        // Names contain no brace and values no space, so the labels lie between them, whatever they contain.
        let Some((series, _)) = line.rsplit_once(' ') else { continue };
        let (name, rest) = series.split_at(series.find('{').unwrap_or(series.len()));
        let (family, is_last) = match kind {
            "counter" => {
                labels = rest;
                (name.strip_suffix("_total"), true)
            }
            // The sum comes first, the infinite bucket last.
            "histogram" => {
                if name.ends_with("_sum") {
                    labels = rest;
                }
                (name.strip_suffix("_bucket"), rest.starts_with("{le=\"+Inf\""))
            }
            _ => continue,
        };
        if let Some(family) = family.filter(|_| is_last)
            && let Some(start) = starts.next()
        {
            let seconds = start.as_duration().as_secs_f64();
            writeln!(whole, "{family}_created{labels} {seconds:.3}")?;
        }
    }
    Ok(whole)
}

/// Passes a scrape to the library.
#[derive(Debug)]
struct Writer {
    scrape: Arc<Scrape>,
    starts: Starts,
}

impl Collector for Writer {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        gather(&self.scrape).try_for_each(|family| self.family(&family, &mut encoder))
    }
}

impl Writer {
    fn family(&self, family: &Family<'_>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metric = family.metric;
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram(_) => MetricType::Histogram,
        };
        let mut written = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
        if metric.kind != Kind::Gauge {
            let starts = family.rows.iter().map(|row| row.start.unwrap_or(self.scrape.snapshot.from));
            self.starts.lock().unwrap_or_else(PoisonError::into_inner).extend(starts);
        }
        for row in &family.rows {
            let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(row.labels).collect();
            let series = written.encode_family(&labels)?;
            match (metric.kind, &row.value) {
                (Kind::Counter, Value::Count(count)) => ConstCounter::new(*count).encode(series)?,
                (Kind::Gauge, Value::Count(count)) => ConstGauge::new(*count).encode(series)?,
                (Kind::Gauge, Value::Number(number)) => match whole(*number) {
                    Some(count) => ConstGauge::new(count).encode(series)?,
                    None => ConstGauge::new(*number).encode(series)?,
                },
                (Kind::Histogram(bounds), Value::Histogram(histogram)) => {
                    write_histogram(histogram, bounds, series)?;
                }
                // The table's own test finds a metric with values of another kind.
                _ => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

/// A number that is written as an integer.
fn whole(number: f64) -> Option<u64> {
    /// Up to here every integer has an exact value.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at first")]
    let count = (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64);
    count
}

fn write_histogram(histogram: &Histogram, bounds: &[i32], mut series: MetricEncoder<'_>) -> fmt::Result {
    let mut below = 0;
    let mut buckets = Vec::with_capacity(bounds.len() + 1);
    for (bound, up_to) in cumulative(histogram, bounds) {
        buckets.push((bound, up_to - below));
        below = up_to;
    }
    buckets.push((f64::INFINITY, histogram.count - below));
    series.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count, &buckets, None)
}
