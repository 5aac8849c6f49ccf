//! Pushes by OTLP: a real OpenTelemetry Collector gets what a scrape has, figure for figure.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use lab::collector::{Collector, Series, bound_text};
use lab::dns::Order;
use lab::*;

const PORT: u16 = 8080;
const ORDERS: &str = "orders.shop.svc.cluster.local";
const CONNECTIONS: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(60);

/// Figures of the Services, without those of the daemon itself, which change with each request.
fn of_services(samples: impl IntoIterator<Item = (Series, f64)>) -> BTreeMap<Series, f64> {
    samples.into_iter().filter(|((name, _), _)| !name.starts_with("headless_observer_")).collect()
}

/// The samples of a page of metrics; no label here has an escaped character.
fn scraped(page: &str) -> BTreeMap<Series, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let labels = labels.strip_suffix('"').map(|labels| labels.split("\",")).into_iter().flatten();
        let mut labels: Vec<(String, String)> = labels
            .map(|label| {
                let (name, value) = label.split_once("=\"").unwrap();
                match (name, value.parse::<f64>()) {
                    ("le", Ok(bound)) => (name.to_owned(), bound_text(bound)),
                    _other => (name.to_owned(), value.to_owned()),
                }
            })
            .collect();
        labels.sort();
        ((name.to_owned(), labels), value.parse().unwrap())
    });
    of_services(samples)
}

/// Series with another value, or none, on one side. JSON keeps some fifteen digits.
fn differences(
    pushed: &BTreeMap<Series, f64>,
    scraped: &BTreeMap<Series, f64>,
) -> Vec<(Series, [Option<f64>; 2])> {
    let all: BTreeSet<&Series> = pushed.keys().chain(scraped.keys()).collect();
    let pairs =
        all.into_iter().map(|series| (series, [pushed, scraped].map(|side| side.get(series).copied())));
    let is_same = |pair: &[Option<f64>; 2]| match *pair {
        [Some(one), Some(other)] => (one - other).abs() <= 1e-14 * one.abs(),
        _one_side => false,
    };
    pairs.filter(|(_, pair)| !is_same(pair)).map(|(series, pair)| (series.clone(), pair)).collect()
}

#[test]
fn a_collector_receives_what_prometheus_scrapes() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let dns = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24")).unwrap();
    let options = DnsOptions { order: Order::Shuffle, ..DnsOptions::default() };
    let dns = dns.dns(&DnsSpec { options, ..DnsSpec::new(dns.sockets(53)) }).unwrap();
    let pods: Vec<Pod> = (0..3)
        .map(|number| {
            let name = format!("orders-{number}");
            let pod = PodSpec::new("shop", &name).address(&format!("10.244.1.{}/24", 100 + number));
            let pod = node.pod(pod).unwrap();
            pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
            pod
        })
        .collect();
    let addresses: Vec<_> = pods.iter().map(|pod| pod.ip(true).unwrap()).collect();
    dns.set_addresses(ORDERS, &addresses).unwrap();
    let web = node.pod(PodSpec::new("shop", "web").address("10.244.1.20/24")).unwrap();
    let service = ServiceSpec::new("shop", "orders", PORT, &pods);
    let topology = format!("files:{}", lab.write_manifests("services.yaml", &[service]).unwrap().display());

    let collector = Collector::start(&lab).unwrap();
    let url = format!("http://{}", collector.address());
    let options = ["--topology", &topology, "--node", "n1", "--otlp", &url, "--otlp-interval", "500ms"];
    let observer = Observer::start(&lab, &ObserverSpec::new(&options)).unwrap();
    let client = ClientSpec::new(ORDERS, PORT, dns.addresses()[0], CONNECTIONS).random();
    web.client(&client).unwrap().wait().unwrap();

    let opened = |samples: &BTreeMap<Series, f64>| -> f64 {
        let opened = samples.iter().filter(|((name, _), _)| name == "headless_connections_opened_total");
        opened.map(|(_, value)| value).sum()
    };
    let end = Instant::now() + PATIENCE;
    let (pushed, scraped) = loop {
        let pair = (of_services(collector.samples()), scraped(&observer.metrics().unwrap()));
        if (differences(&pair.0, &pair.1).is_empty() && opened(&pair.1) >= CONNECTIONS as f64)
            || Instant::now() > end
        {
            break pair;
        }
        thread::sleep(Duration::from_millis(200));
    };
    let differ = differences(&pushed, &scraped);
    assert!(differ.is_empty(), "pushed, scraped: {differ:#?}\n{}\n{}", observer.log(), collector.log());
    let accepted = lab.truth().unwrap().iter().map(|row| row.accepted).sum::<u64>();
    assert_eq!((accepted, opened(&pushed)), (CONNECTIONS, CONNECTIONS as f64));
    assert_eq!(collector.log(), "", "the Collector has nothing to complain about");
}
