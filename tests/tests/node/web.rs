//! The daemon's HTTP pages with real traffic: every counter equals the servers' counts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use lab::*;
use serde_json::Value;

use crate::shop::Shop;
use crate::{ORDERS, PATIENCE, PORT, accepted, orders, sum};

/// Head and body of a response.
fn get(observer: &Observer, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(observer.address()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

/// Labels → value of every sample of a metric.
fn samples<'a>(text: &'a str, metric: &str) -> Vec<(BTreeMap<&'a str, &'a str>, u64)> {
    let of = |line: &'a str| {
        let (labels, value) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} ")?;
        let labels = labels.split("\",").map(|label| label.split_once("=\"").unwrap());
        Some((
            labels.map(|(name, value)| (name, value.trim_end_matches('"'))).collect(),
            value.parse().unwrap(),
        ))
    };
    text.lines().filter_map(of).collect()
}

/// Sum of the samples of a metric with these labels.
fn total(text: &str, metric: &str, labels: &[(&str, &str)]) -> u64 {
    let all = samples(text, metric).into_iter();
    all.filter(|(own, _)| labels.iter().all(|(name, value)| own[name] == *value))
        .map(|(_, value)| value)
        .sum()
}

#[test]
fn metrics_equal_the_servers_truth() {
    let mut shop = Shop::open();
    let holder = shop.scene.pod("holder", "10.244.1.21/24");
    let lost = shop.scene.pod("lost", "10.244.1.22/24");
    shop.publish(&[shop.service.clone()]);
    let observer = shop.observe(&[], &[]);

    // `web` sends 100 bytes each time, `holder` keeps its connections, `lost` connects to a pod that stopped listening.
    let sends = shop.client(45).dial(|dial| dial.send = 100);
    assert_eq!(shop.web.client(&sends).unwrap().wait().unwrap().total().connected, 45);
    let held = holder.client(&shop.client(0).keep()).unwrap();
    assert_eq!(held.open(4).unwrap().open, 4);
    shop.servers[0].stop_listening().unwrap();
    let refused = ClientSpec::fixed(&[shop.service.endpoints[0].pod.ip(true).unwrap()], PORT, 7);
    assert_eq!(lost.client(&refused).unwrap().wait().unwrap().total().refused, 7);

    let failed = |snapshot: &Value| -> u64 {
        let endpoints = orders(snapshot)["endpoints"].as_array().unwrap();
        endpoints.iter().map(|endpoint| endpoint["failed"]["refused"].as_u64().unwrap()).sum()
    };
    let all = |snapshot: &Value| {
        let orders = orders(snapshot);
        (sum(orders, "opened"), sum(orders, "closed"), failed(snapshot)) == (49, 45, 7)
    };
    observer.snapshot_when(PATIENCE, all).unwrap();

    let (head, text) =
        get(&observer, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let truth = accepted(&shop.scene.lab);
    let mut seen = BTreeMap::new();
    for (labels, value) in samples(&text, "headless_connections_opened_total") {
        assert_eq!(
            (labels["namespace"], labels["service"], labels["client_namespace"]),
            ("shop", "orders", "shop")
        );
        *seen.entry((labels["client_workload"].to_owned(), labels["pod"].to_owned())).or_default() += value;
    }
    seen.retain(|_, count| *count > 0);
    assert_eq!(seen, truth);
    assert_eq!(truth.values().sum::<u64>(), 49);
    let opened = "headless_connections_opened_total";
    assert_eq!(total(&text, opened, &[("resolution", "service")]), 49);
    assert_eq!(total(&text, "headless_connections_active", &[("client_workload", "holder")]), 4);
    assert_eq!(total(&text, "headless_connections_active", &[]), 4);
    assert_eq!(total(&text, "headless_connection_bytes_total", &[("direction", "sent")]), 4_500);
    assert_eq!(total(&text, "headless_connection_bytes_total", &[("direction", "received")]), 0);
    assert_eq!(
        total(&text, "headless_connect_failures_total", &[("pod", "orders-0"), ("reason", "refused")]),
        7
    );
    assert_eq!(total(&text, "headless_connect_failures_total", &[]), 7);
    let answers = shop.scene.dns.counts().unwrap().names[ORDERS];
    assert_eq!(total(&text, "headless_dns_responses_total", &[("rcode", "noerror")]), answers);
    let of_udp = [("transport", "udp"), ("truncated", "false"), ("qtype", "a")];
    assert_eq!(total(&text, "headless_dns_responses_total", &of_udp), answers);
    assert_eq!(total(&text, "headless_dns_answer_age_seconds_count", &[]), 49);
    assert_eq!(total(&text, "headless_connect_answer_position_total", &[("position", "not_in_answer")]), 0);
    assert_eq!(samples(&text, "headless_series_folded_total").len(), 1);
    assert_eq!(total(&text, "headless_endpoint_ready", &[]), 3);
    assert_eq!(total(&text, "headless_observer_events_lost_total", &[]), 0);
    assert_eq!(total(&text, "headless_observer_probe_enabled", &[("hook", "tp_btf")]), 1);
    assert_eq!(total(&text, "headless_observer_topology_synced", &[("source", "files")]), 1);
    assert_eq!(total(&text, "headless_observer_build_info", &[]), 1);

    let (head, plain) = get(&observer, "/metrics", "*/*");
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert!(plain.contains(&format!("# TYPE {opened} counter\n")) && !plain.contains("# EOF"), "{plain}");
    assert_eq!(samples(&plain, opened), samples(&text, opened));

    held.close(4).unwrap();
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 0).unwrap();
    assert_eq!(total(&get(&observer, "/metrics", "*/*").1, "headless_connections_active", &[]), 0);
}

#[test]
fn every_path_answers_for_itself() {
    let shop = Shop::open();
    let observer = shop.observe(&[], &[]);
    for (path, status, text) in [
        ("/healthz", "200 ok", "ok\n"),
        ("/readyz", "200 ok", "ready\n"),
        ("/none", "404 not found", "not found; / has the report"),
    ] {
        let (head, body) = get(&observer, path, "*/*");
        assert!(
            head.starts_with(&format!("http/1.1 {status}\r\n")) && body.contains(text),
            "{path}: {head} {body}"
        );
        assert!(head.contains("content-type: text/plain"), "{path}: {head}");
    }
    let (head, page) = get(&observer, "/", "*/*");
    assert!(head.contains("content-type: text/html") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("shop/orders") && page.contains("href=\"/api/v1/snapshot\""), "{page}");
    // Without clients a Service has no series; with one, every endpoint is there with its zeros.
    let (_, text) = get(&observer, "/metrics", "*/*");
    assert!(!text.contains("service=\"orders\""), "{text}");
    shop.connect(9);
    shop.settled(&observer, 9);
    let (_, text) = get(&observer, "/metrics", "*/*");
    let ready: Vec<_> = samples(&text, "headless_endpoint_ready")
        .into_iter()
        .map(|(labels, value)| (labels["pod"], value))
        .collect();
    assert_eq!(ready, [("orders-0", 1), ("orders-1", 1), ("orders-2", 1)]);
    assert_eq!(samples(&text, "headless_connection_bytes_total").len(), 6);
    assert_eq!(total(&text, "headless_connection_bytes_total", &[]), 0);

    let (head, body) = get(&observer, "/api/v1/snapshot", "*/*");
    assert!(head.contains("content-type: application/json"), "{head}");
    let snapshot: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&snapshot["schema"], sum(orders(&snapshot), "opened")), (&"headless-obs/v1".into(), 9));
    let (status, log) = observer.stop().unwrap();
    assert!(status.success(), "{log}");
}
