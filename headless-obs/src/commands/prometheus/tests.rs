//! A fake server responds as a Prometheus did: `recorded/fleet.json` has the responses of one that scraped two daemons
//! and a third that was down. Each response has its query, so a changed query must be recorded again.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::cli::FailOn;
use crate::commands::fail_on;
use crate::expose::snapshot::{Cause, Client, Service};
use crate::messages::quality;
use crate::server::{MAIN, Server};

const FLEET: &str = include_str!("recorded/fleet.json");
/// The queries that come before all others.
const TIME: &str = "vector(time())";

#[derive(Deserialize)]
struct Recorded {
    query: String,
    answer: Value,
}

/// Query → response.
type Book = BTreeMap<String, Value>;

fn book() -> Book {
    let rows: Vec<Recorded> = serde_json::from_str(FLEET).unwrap();
    rows.into_iter().map(|row| (row.query, row.answer)).collect()
}

/// The query in a form.
fn query(form: &str) -> String {
    let value = form.strip_prefix("query=").unwrap().split('&').next().unwrap();
    let mut bytes = value.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        let hex = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
        let byte =
            if byte == b'%' { hex(bytes.next().unwrap()) * 16 + hex(bytes.next().unwrap()) } else { byte };
        text.push(byte);
    }
    String::from_utf8(text).unwrap()
}

fn ask(url: &str) -> Prometheus {
    Prometheus {
        url: url.parse().unwrap(),
        headers: Vec::new(),
        token_file: None,
        selector: None,
        window: Duration::from_secs(600),
        mature_after: Duration::ZERO,
    }
}

async fn serve(routes: Router) -> Prometheus {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), MAIN).await.unwrap();
    let url = format!("http://{}", server.address());
    tokio::spawn(server.serve(routes, std::future::pending()));
    ask(&url)
}

/// A server with these responses; to anything else it responds like Prometheus to an invalid query.
async fn prometheus(book: Book) -> Prometheus {
    let answer = move |form: String| {
        let query = query(&form);
        let unknown =
            || json!({"status": "error", "errorType": "bad_data", "error": format!("no answer to {query}")});
        std::future::ready(book.get(&query).cloned().unwrap_or_else(unknown).to_string())
    };
    serve(Router::new().route("/api/v1/query", post(answer))).await
}

async fn snapshot(book: Book) -> Snapshot {
    prometheus(book).await.snapshot().await.unwrap()
}

async fn error(prometheus: Prometheus) -> String {
    prometheus.snapshot().await.unwrap_err().to_string()
}

/// A series of a response.
fn row(labels: &[(&str, &str)], value: &str) -> Value {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    json!({"metric": labels, "value": [0, value]})
}

fn vector(rows: Vec<Value>) -> Value {
    json!({"status": "success", "data": {"resultType": "vector", "result": rows}})
}

fn scope() -> Scope {
    Scope { selector: String::new(), window: Duration::from_secs(600) }
}

/// The recorded responses, one of them replaced.
fn with(query: &str, rows: Vec<Value>) -> Book {
    let mut book = book();
    assert!(book.insert(query.to_owned(), vector(rows)).is_some(), "{query} is not recorded");
    book
}

fn client<'a>(service: &'a Service, name: &str) -> &'a Client {
    service.clients.iter().find(|client| client.workload == name).unwrap()
}

#[tokio::test]
async fn answers_make_a_snapshot() {
    let snapshot = snapshot(book()).await;
    let [orders] = &snapshot.services[..] else { panic!("{:#?}", snapshot.services) };
    assert_eq!((orders.namespace.as_str(), orders.name.as_str()), ("shop", "orders"));
    let endpoints: Vec<_> =
        orders.endpoints.iter().map(|row| (row.pod.as_str(), row.state.as_str(), row.mature)).collect();
    let ready = ["orders-0", "orders-1", "orders-2"].map(|pod| (pod, "ready", true));
    assert_eq!(endpoints, ready);
    // `increase` returns about 20.4 for 20.
    let opened = ["here", "holder", "there"].map(|name| client(orders, name).opened);
    assert_eq!(opened, [20, 4, 30]);
    assert_eq!(client(orders, "holder").active, 4);
    assert_eq!((orders.spread.connections, orders.open.connections), (54, 4));
    let counted: Vec<u64> = orders.endpoints.iter().map(|row| row.counted).collect();
    let peak = *counted.iter().max().unwrap() as f64 / 18.0;
    assert!((orders.spread.peak_to_mean - peak).abs() < 1e-9, "{counted:?}");
    assert_eq!(orders.selections.connections, 54);
    assert!(orders.spread.z.is_some() && orders.idle.is_empty());
    assert!((orders.dns.completeness - 1.0).abs() < 1e-9 && orders.dns.answers >= 54, "{:#?}", orders.dns);
    assert_eq!(snapshot.node, "n1, n2");
    assert!(snapshot.quality.topology.synced && snapshot.from < snapshot.to);
}

#[tokio::test]
async fn a_node_that_cannot_be_scraped_is_missing_and_a_gate_says_so() {
    let snapshot = snapshot(book()).await;
    let lines: Vec<_> = quality::lines(&snapshot).into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        lines[0],
        "No data from 1 of 3 nodes (33%); their clients are not included: n3: Prometheus cannot scrape it."
    );
    let outcome = fail_on::judge(&snapshot, &[FailOn::Imbalance]);
    let warning = "warning: 1 of 3 nodes are missing or not in sync (n3), so --fail-on imbalance may have missed \
                   something";
    assert!(outcome.doubts.iter().any(|doubt| doubt == warning), "{:#?}", outcome.doubts);

    // Both name a daemon that runs and does not know all Services.
    let synced = ["n1", "n2"].map(|node| row(&[("node", node)], if node == "n1" { "1" } else { "0" }));
    let snapshot = self::snapshot(with(&Query::Synced.text(&scope()), synced.into())).await;
    let lines: Vec<_> = quality::lines(&snapshot).into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines[1], "The list of Services and pods is incomplete or outdated on: n2.");
    let outcome = fail_on::judge(&snapshot, &[FailOn::Imbalance]);
    assert!(outcome.doubts[0].contains("2 of 3 nodes are missing or not in sync (n2, n3)"), "{outcome:#?}");
}

#[tokio::test]
async fn what_cannot_be_answered_says_what_to_do() {
    // Nothing listens, something else listens, and a server with other content.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = error(ask(&unused.to_string())).await;
    assert!(said.contains("cannot reach ") && said.ends_with("or use `kubectl port-forward`"), "{said}");
    let said = error(serve(Router::new()).await).await;
    assert!(said.contains("does not answer like Prometheus: 404 Not Found; give the address"), "{said}");
    let page = async || "<html>";
    let said = error(serve(Router::new().route("/api/v1/query", post(page))).await).await;
    assert!(said.contains("does not answer like Prometheus: expected value"), "{said}");
    let closed = async || StatusCode::UNAUTHORIZED;
    let said = error(serve(Router::new().route("/api/v1/query", post(closed))).await).await;
    assert!(said.contains("answers 401 Unauthorized: give --prometheus-token-file"), "{said}");

    // It is a Prometheus without the series.
    let none = with(&queries::daemons(&scope()), Vec::new());
    let said = error(prometheus(none).await).await;
    assert!(
        said.ends_with("has no metrics of headless-obs: let it scrape the daemons (docs/fleet.md)"),
        "{said}"
    );
    let mut other = prometheus(book()).await;
    other.selector = Some("cluster=\"eu\"".to_owned());
    let said = error(other).await;
    assert!(
        said.contains(
            "refuses a query: no answer to count by (cluster) (headless_observer_build_info{cluster="
        )
    );

    // The labels of the scraped pod instead of the endpoint's: honorLabels is missing.
    let said = error(prometheus(with(&queries::overwritten(&scope()), vec![row(&[], "3")])).await).await;
    assert!(
        said.contains("exported_namespace") && said.contains("set honorLabels: true in the PodMonitor"),
        "{said}"
    );
    let two = ["eu", "us"].map(|cluster| row(&[("cluster", cluster)], "2"));
    let said = error(prometheus(with(&queries::daemons(&scope()), two.into())).await).await;
    assert!(said.contains("several clusters: eu, us; choose one with --prometheus-selector"), "{said}");
    let said = error(prometheus(with(TIME, Vec::new())).await).await;
    assert!(said.contains("it does not know the time"), "{said}");
}

/// One client's verdict by its daemons, and further series.
async fn judged(cause: &str, answers: &[(Query, Vec<Value>)]) -> Client {
    let there = [
        ("namespace", "shop"),
        ("service", "orders"),
        ("client_namespace", "shop"),
        ("client_workload", "there"),
    ];
    let mut book =
        with(&Query::Verdicts.text(&scope()), vec![row(&[&there[..], &[("cause", cause)]].concat(), "2")]);
    for (query, rows) in answers {
        let rows = rows.iter().cloned().map(|mut row| {
            let labels = row["metric"].as_object_mut().unwrap();
            labels.extend(there.map(|(name, value)| (name.to_owned(), value.into())));
            row
        });
        assert!(book.insert(query.text(&scope()), vector(rows.collect())).is_some(), "{query:?}");
    }
    client(&snapshot(book).await.services[0], "there").clone()
}

#[tokio::test]
async fn verdicts_have_the_figures_there_are() {
    let told = "The daemons of 2 of the client's 2 nodes found this; `explain --fleet`, or `explain --from` a daemon, \
                shows all of the evidence.";
    let verdict = judged(
        "answer_order",
        &[(Query::AnswerPosition, vec![row(&[("position", "0")], "27.2"), row(&[("position", "1")], "3.1")])],
    )
    .await
    .verdict
    .unwrap();
    assert_eq!(verdict.cause, Cause::AnswerOrder);
    assert_eq!(verdict.evidence[0], "27 of 30 connections (90%) took the first address of their answer.");
    assert!(verdict.evidence[1].starts_with("30 connections went to 3 of 3 endpoints; "), "{verdict:#?}");
    assert_eq!(verdict.evidence[2], "The busiest endpoint is orders-1 with 13 connections (43%).");
    assert_eq!((verdict.evidence.len(), verdict.evidence[3].as_str()), (4, told));

    let verdict = judged(
        "stale_cache",
        &[(Query::Stale, vec![row(&[("kind", "removed")], "3"), row(&[("kind", "grace")], "9")])],
    )
    .await
    .verdict
    .unwrap();
    let stale =
        "3 of 30 connections and attempts (10%) went to addresses that were no ready endpoint: 3 removed.";
    assert_eq!(verdict.evidence, [stale, told]);

    let verdict = judged(
        "failing_endpoint",
        &[(
            Query::Failures,
            vec![
                row(&[("pod", "orders-1"), ("reason", "refused")], "12"),
                row(&[("pod", "orders-2"), ("reason", "timeout")], "1"),
            ],
        )],
    )
    .await
    .verdict
    .unwrap();
    let failed = &verdict.evidence[0];
    assert!(
        failed.contains("failed at orders-1 (12 refused), 1 of ") && failed.contains(" at the others ("),
        "{failed}"
    );

    let verdict =
        judged("port_mismatch", &[(Query::WrongPorts, vec![row(&[("port", "81")], "7")])]).await.verdict;
    assert_eq!(verdict.unwrap().evidence[0], "7 attempts went to port 81, which the endpoint does not have.");

    // A verdict that all daemons withheld stays withheld; a cause that this version does not know counts as none.
    for (cause, withheld) in [("withheld:losses", Some("losses")), ("something_new", None)] {
        let client = judged(cause, &[]).await;
        assert_eq!((client.verdict, client.withheld.as_deref()), (None, withheld));
    }
    let excluded = judged("withheld:excluded", &[]).await;
    assert_eq!(excluded.excluded.as_deref(), Some("excluded by its daemon"));
}
