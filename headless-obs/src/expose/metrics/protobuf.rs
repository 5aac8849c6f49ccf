//! Prometheus' protobuf format: messages of its `metrics.proto`, each after its length. This module declares only what
//! it sends; numbers and types of the fields are those of that file.
//!
//! It is the only format with native histograms. It also carries the classic buckets, and the scraper takes what it
//! needs.

use jiff::Timestamp;
use prost::Message;

use super::histogram_bounds::cumulative;
use super::series::{Row, Value};
use super::table::{Kind, Metric};
use super::{Family, Scrape, gather};
use crate::expose::histogram::{Histogram, SCHEMA, ZERO_THRESHOLD};

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) help: String,
    /// 0 counter, 1 gauge, 4 histogram.
    #[prost(int32, optional, tag = "3")]
    pub(super) kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metrics: Vec<Sample>,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
}

/// `Metric` in metrics.proto.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Counter>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Buckets>,
}

/// `LabelPair`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Gauge {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) start: Option<ProtoTimestamp>,
}

/// `Histogram`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Buckets {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(double, tag = "2")]
    pub(super) sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) classic: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    pub(super) schema: i32,
    #[prost(double, tag = "6")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub(super) zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub(super) spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) deltas: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(super) start: Option<ProtoTimestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, tag = "1")]
    pub(super) up_to: u64,
    #[prost(double, tag = "2")]
    pub(super) bound: f64,
}

/// `BucketSpan`: the number of consecutive buckets, and the distance from the last one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtoTimestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanoseconds: i32,
}

/// Every family, one message after another.
pub(super) fn encode(scrape: &Scrape) -> Vec<u8> {
    let from = scrape.snapshot.from;
    gather(scrape).flat_map(|family| message(&family, from).encode_length_delimited_to_vec()).collect()
}

fn message(family: &Family<'_>, from: Timestamp) -> MetricFamily {
    let metric = family.metric;
    MetricFamily {
        name: metric.sample(),
        help: metric.help.to_owned(),
        kind: Some(match metric.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Histogram(_) => 4,
        }),
        metrics: family.rows.iter().map(|row| sample(metric, row, from)).collect(),
        unit: metric.unit.as_ref().map(|unit| unit.as_str().to_owned()).unwrap_or_default(),
    }
}

fn sample(metric: &Metric, row: &Row<'_>, from: Timestamp) -> Sample {
    let label = |(name, value): (&&str, &str)| Label { name: (*name).to_owned(), value: value.to_owned() };
    let mut sample =
        Sample { labels: metric.labels.iter().zip(row.labels).map(label).collect(), ..Sample::default() };
    let start = Some(moment(row.start.unwrap_or(from)));
    match (&row.value, metric.kind) {
        (Value::Histogram(values), Kind::Histogram(bounds)) => {
            sample.histogram = Some(Buckets { start, ..histogram(values, bounds) });
        }
        (value, kind) => {
            let value = match value {
                // A counter beyond 2^53 loses its last digits in this format.
                Value::Count(count) => *count as f64,
                Value::Number(number) => *number,
                Value::Histogram(values) => values.sum,
            };
            if kind == Kind::Counter {
                sample.counter = Some(Counter { value, start });
            } else {
                sample.gauge = Some(Gauge { value });
            }
        }
    }
    sample
}

fn histogram(values: &Histogram, bounds: &[i32]) -> Buckets {
    let finite = cumulative(values, bounds).map(|(bound, up_to)| Bucket { up_to, bound });
    let (spans, deltas) = native(values);
    Buckets {
        count: values.count,
        sum: values.sum,
        classic: finite.chain([Bucket { up_to: values.count, bound: f64::INFINITY }]).collect(),
        schema: SCHEMA,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: values.zero,
        spans,
        deltas,
        start: None,
    }
}

/// Spans of buckets, and the difference of each count to the previous one.
fn native(values: &Histogram) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (bucket, count) in &values.buckets {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        match spans.last_mut() {
            Some(span) if next == *bucket => span.length += 1,
            _ => spans.push(Span { offset: bucket - next, length: 1 }),
        }
        deltas.push(count - before);
        (next, before) = (bucket + 1, count);
    }
    (spans, deltas)
}

fn moment(time: Timestamp) -> ProtoTimestamp {
    ProtoTimestamp { seconds: time.as_second(), nanoseconds: time.subsec_nanosecond() }
}
