//! A push has the samples of a scrape, in one request or in several.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::expose::metrics::{Format, encode};
use crate::expose::test_fixtures;

/// A series: name and labels.
type Key = (String, Vec<(String, String)>);

fn scrape() -> Scrape {
    test_fixtures::snapshot().into()
}

fn decoded(bodies: &[Vec<u8>]) -> Vec<ResourceMetrics> {
    let decoded = bodies.iter().map(|body| ExportMetricsServiceRequest::decode(body.as_slice()).unwrap());
    decoded.flat_map(|request| request.resource_metrics).collect()
}

fn text(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let one = |attribute: &KeyValue| match &attribute.value.as_ref().unwrap().value {
        Some(Any::StringValue(value)) => (attribute.key.clone(), value.clone()),
        other => panic!("{other:?}"),
    };
    let mut labels: Vec<_> = attributes.iter().map(one).collect();
    labels.sort();
    labels
}

/// Every sample as the text format of Prometheus would have it.
fn samples(of: &[ResourceMetrics]) -> BTreeMap<Key, f64> {
    let mut samples = BTreeMap::new();
    let mut add = |name: String, labels: Vec<(String, String)>, value: f64| {
        assert_eq!(samples.insert((name.clone(), labels), value), None, "{name} twice");
    };
    for metric in of.iter().flat_map(|part| &part.scope_metrics).flat_map(|scope| &scope.metrics) {
        let name = &metric.name;
        let number = |point: &NumberDataPoint| match point.value.unwrap() {
            Number::AsInt(value) => value as f64,
            Number::AsDouble(value) => value,
        };
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => sum.data_points.iter().for_each(|point| {
                add(format!("{name}_total"), text(&point.attributes), number(point));
            }),
            Data::Gauge(gauge) => gauge.data_points.iter().for_each(|point| {
                add(name.clone(), text(&point.attributes), number(point));
            }),
            Data::Histogram(histogram) => histogram.data_points.iter().for_each(|point| {
                let labels = text(&point.attributes);
                add(format!("{name}_count"), labels.clone(), point.count as f64);
                add(format!("{name}_sum"), labels.clone(), point.sum.unwrap());
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                let mut up_to = 0;
                let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                for (bound, count) in bounds.zip(&point.bucket_counts) {
                    up_to += count;
                    let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
                    let mut labels = labels.clone();
                    labels.push(("le".to_owned(), bound));
                    labels.sort();
                    add(format!("{name}_bucket"), labels, up_to as f64);
                }
            }),
            other => panic!("{other:?}"),
        }
    }
    samples
}

/// The samples of the text format.
fn scraped(scrape: Scrape) -> BTreeMap<Key, f64> {
    let text = String::from_utf8(encode(Arc::new(scrape), Format::OpenMetrics).unwrap()).unwrap();
    let exposition = crate::expose::metrics::tests::strict::Exposition::parse(&text);
    let samples = exposition.samples.into_iter().filter(|sample| !sample.name.ends_with("_created"));
    samples.map(|sample| ((sample.name, sample.labels.into_iter().collect()), sample.value)).collect()
}

#[test]
fn a_push_has_what_a_scrape_has() {
    let pushed = samples(&decoded(&requests(&scrape())));
    let scraped = scraped(scrape());
    assert!(scraped.len() > 200, "{} samples", scraped.len());
    assert_eq!(pushed.keys().collect::<Vec<_>>(), scraped.keys().collect::<Vec<_>>());
    assert_eq!(pushed, scraped);
}

#[test]
fn totals_are_cumulative_since_the_observation_began() {
    let snapshot = test_fixtures::snapshot();
    let parts = decoded(&requests(&scrape()));
    let attributes = text(&parts[0].resource.as_ref().unwrap().attributes);
    assert!(attributes.contains(&("k8s.node.name".to_owned(), snapshot.node.clone())), "{attributes:?}");
    let metrics = &parts[0].scope_metrics[0].metrics;
    let opened = metrics.iter().find(|metric| metric.name == "headless_connections_opened").unwrap();
    let Some(Data::Sum(sum)) = &opened.data else { panic!("{opened:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == AggregationTemporality::Cumulative as i32);
    for point in &sum.data_points {
        assert_eq!(point.time_unix_nano, nanoseconds(snapshot.to));
        assert!(point.start_time_unix_nano >= nanoseconds(snapshot.from));
    }
    let unit_of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().unit.clone();
    assert_eq!(unit_of("headless_connection_bytes"), "By");
    assert_eq!(unit_of("headless_connect_seconds"), "s");
}

#[test]
fn many_series_become_several_requests_of_bounded_size() {
    let mut snapshot = test_fixtures::snapshot();
    let service = snapshot.services[0].clone();
    for number in 0..400 {
        snapshot.services.push(crate::expose::snapshot::Service {
            name: format!("{}-{number}", "x".repeat(60)),
            ..service.clone()
        });
    }
    let many = Scrape::from(snapshot);
    let bodies = requests(&many);
    assert!(bodies.len() > 1, "{} bytes in one", bodies[0].len());
    assert!(bodies.iter().all(|body| body.len() < 2 * LARGEST), "{:?}", bodies.iter().map(Vec::len));
    assert_eq!(samples(&decoded(&bodies)), scraped(many));
}

#[test]
fn a_receiver_says_how_much_it_left_out() {
    let answer = |points, reason: &str| {
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
        let part =
            ExportMetricsPartialSuccess { rejected_data_points: points, error_message: reason.to_owned() };
        ExportMetricsServiceResponse { partial_success: Some(part) }.encode_to_vec()
    };
    let expected = Rejected { points: 3, reason: "too old".to_owned() };
    assert_eq!(rejected(&answer(3, "too old")), Some(expected));
    // A warning without anything left out, an answer without one, and one that is no message.
    assert_eq!(rejected(&answer(0, "slow down")), None);
    assert_eq!(rejected(&[]), None);
    assert_eq!(rejected(b"<html>"), None);
}
