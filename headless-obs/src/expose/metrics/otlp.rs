//! The metrics as OpenTelemetry's OTLP: a [`Scrape`] in, the bodies of `ExportMetricsServiceRequest` out.
//!
//! Invariants: names, labels and values are those of the exposition. Totals are cumulative, so a lost request loses no
//! count: the next one has it. No body is much larger than `LARGEST` bytes, which every receiver takes.

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus_client::registry::Unit;
use prost::Message;

use super::histogram_bounds::cumulative;
use super::series::{Row, Value};
use super::table::{self, Kind};
use super::{Family, Scrape, gather};
use crate::expose::histogram;

/// A body has no further metrics from this many bytes on. A receiver takes four times as much by default.
const LARGEST: usize = 4 << 20;
/// Points of one message of a metric.
const POINTS: usize = 500;

/// Answer of a receiver that did not take everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Points that it left out.
    pub points: i64,
    /// Its reason, which may contain any character.
    pub reason: String,
}

/// Requests with all metrics of a scrape. Their time is that of its snapshot.
pub fn requests(scrape: &Scrape) -> Vec<Vec<u8>> {
    let snapshot = &scrape.snapshot;
    let resource = Resource {
        attributes: vec![
            attribute("service.name", "headless-obs"),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("service.instance.id", &snapshot.node),
            attribute("k8s.node.name", &snapshot.node),
        ],
        ..Resource::default()
    };
    let times = Times { from: snapshot.from, at: snapshot.to };
    let (mut bodies, mut metrics, mut bytes) = (Vec::new(), Vec::new(), 0);
    for family in gather(scrape) {
        for rows in family.rows.chunks(POINTS) {
            let metric = metric(&family, rows, times);
            bytes += metric.encoded_len();
            metrics.push(metric);
            if bytes >= LARGEST {
                bodies.push(body(&resource, std::mem::take(&mut metrics)));
                bytes = 0;
            }
        }
    }
    if !metrics.is_empty() {
        bodies.push(body(&resource, metrics));
    }
    bodies
}

/// The part of a request that a receiver left out, by its answer.
pub fn rejected(answer: &[u8]) -> Option<Rejected> {
    let part = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success?;
    let rejected = Rejected { points: part.rejected_data_points, reason: part.error_message };
    (rejected.points > 0).then_some(rejected)
}

fn body(resource: &Resource, metrics: Vec<Metric>) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "headless-obs".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let of_node =
        ResourceMetrics { resource: Some(resource.clone()), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_node] }.encode_to_vec()
}

/// The beginning of the observation, and the time of the snapshot.
#[derive(Clone, Copy)]
struct Times {
    from: Timestamp,
    at: Timestamp,
}

fn metric(family: &Family<'_>, rows: &[Row<'_>], times: Times) -> Metric {
    let table = family.metric;
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = || rows.iter().map(|row| number(table, row, times)).collect();
    let data = match table.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram(bounds) => Data::Histogram(Histogram {
            data_points: rows.iter().filter_map(|row| buckets(table, row, bounds, times)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    Metric {
        name: table.family(),
        description: table.help.to_owned(),
        unit: unit(table),
        data: Some(data),
        ..Metric::default()
    }
}

/// The unit as UCUM writes it.
fn unit(table: &table::Metric) -> String {
    match &table.unit {
        Some(Unit::Seconds) => "s".to_owned(),
        Some(Unit::Bytes) => "By".to_owned(),
        Some(other) => format!("{{{}}}", other.as_str()),
        None => String::new(),
    }
}

fn number(table: &table::Metric, row: &Row<'_>, times: Times) -> NumberDataPoint {
    let value = match &row.value {
        Value::Count(count) => i64::try_from(*count).map_or(Number::AsDouble(*count as f64), Number::AsInt),
        Value::Number(number) => Number::AsDouble(*number),
        Value::Histogram(values) => Number::AsDouble(values.sum),
    };
    let start = if table.kind == Kind::Counter { nanoseconds(row.start.unwrap_or(times.from)) } else { 0 };
    NumberDataPoint {
        attributes: attributes(table, row),
        start_time_unix_nano: start,
        time_unix_nano: nanoseconds(times.at),
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// The classic buckets, which every receiver knows. Here each has only the values above the bound before it.
fn buckets(table: &table::Metric, row: &Row<'_>, bounds: &[i32], times: Times) -> Option<HistogramDataPoint> {
    let Value::Histogram(values) = &row.value else { return None };
    let values: &histogram::Histogram = values;
    let (explicit_bounds, up_to): (Vec<f64>, Vec<u64>) = cumulative(values, bounds).unzip();
    let ends = up_to.iter().copied().chain([values.count]);
    let begins = std::iter::once(0).chain(up_to.iter().copied());
    Some(HistogramDataPoint {
        attributes: attributes(table, row),
        start_time_unix_nano: nanoseconds(row.start.unwrap_or(times.from)),
        time_unix_nano: nanoseconds(times.at),
        count: values.count,
        sum: Some(values.sum),
        bucket_counts: ends.zip(begins).map(|(end, begin)| end.saturating_sub(begin)).collect(),
        explicit_bounds,
        ..HistogramDataPoint::default()
    })
}

fn attributes(table: &table::Metric, row: &Row<'_>) -> Vec<KeyValue> {
    table.labels.iter().zip(row.labels).map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Any::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Nanoseconds since 1970.
fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
