//! Real HTTP over loopback: daemons with a prepared engine, and peers that are none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::follower::LONGEST_LINE;
use super::*;
use crate::commands::snapshot_source::daemon;
use crate::engine_handle::fake;
use crate::expose::snapshot::Snapshot;
use crate::expose::test_fixtures::{self, at, trace_events};
use crate::expose::trace_filter::TraceKind;
use crate::expose::trace_line::{Remark, TraceLine};
use crate::readiness::Readiness;
use crate::server::routes::routes;
use crate::server::{MAIN, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon at an address; its observation began after so many seconds.
async fn daemon_at(
    address: SocketAddr,
    node: &str,
    began: i64,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let snapshot = Snapshot { node: node.to_owned(), from: at(began), ..test_fixtures::snapshot() };
    let server = Server::bind(address, MAIN).await.unwrap();
    let address = server.address();
    let routes = routes(fake::engine(snapshot, trace_events()), Readiness::waiting_for([]), None);
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve(routes, async {
        let _dropped = stopped.await;
    }));
    (address, stop, serving)
}

async fn running(node: &str) -> SocketAddr {
    let (address, stop, _serving) = daemon_at("127.0.0.1:0".parse().unwrap(), node, 0).await;
    std::mem::forget(stop);
    address
}

fn urls(addresses: &[SocketAddr]) -> Sources {
    let urls = addresses.iter().map(|address| address.to_string().parse().unwrap()).collect();
    Sources::Urls(urls, Credentials::default())
}

async fn next(reader: &mut Reader<Followed>) -> Followed {
    timeout(PATIENCE, reader.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_lines_of_several_daemons_come_together() {
    let sources = urls(&[running("n1").await, running("n2").await]);
    assert!(sources.are_several());
    let filter = TraceFilter { kinds: vec![TraceKind::Opened], ..TraceFilter::default() };
    let (mut reader, _following) = sources.follow(&filter).await.unwrap();
    let mut seen: BTreeMap<String, Vec<TraceLine>> = BTreeMap::new();
    while seen.len() < 2 || seen.values().any(|lines| lines.len() < 3) {
        let Followed { node, line } = next(&mut reader).await;
        seen.entry(node.unwrap()).or_default().push(line);
    }
    let wanted = trace_events().into_iter().filter(|event| filter.matches(event)).map(TraceLine::from);
    let wanted: Vec<_> = wanted.collect();
    for (node, lines) in seen {
        let TraceLine::Remark(Remark::Begin(begin)) = &lines[0] else { panic!("{lines:?}") };
        assert_eq!((&begin.node, begin.missing_since, begin.restarted), (&node, None, false));
        assert_eq!(lines[1..3], wanted, "{node}");
    }
}

#[tokio::test]
async fn a_restart_is_said_and_what_is_missing_because_of_it() {
    let (address, stop, serving) = daemon_at("127.0.0.1:0".parse().unwrap(), "n1", 0).await;
    let (mut reader, _following) = urls(&[address]).follow(&TraceFilter::default()).await.unwrap();
    let first = next(&mut reader).await;
    assert!(matches!(first.line, TraceLine::Remark(Remark::Begin(_))), "{first:?}");
    stop.send(()).unwrap();
    serving.await.unwrap();
    let mut lost = Vec::new();
    let restarted = async {
        let mut next_daemon = None;
        loop {
            match next(&mut reader).await.line {
                TraceLine::Remark(Remark::Lost { reason, .. }) => {
                    lost.push(reason);
                    if next_daemon.is_none() {
                        next_daemon = Some(daemon_at(address, "n1", 500).await);
                    }
                }
                TraceLine::Remark(Remark::Begin(begin)) if begin.observation == at(500) => return begin,
                TraceLine::Remark(Remark::Begin(begin)) => assert!(!begin.restarted, "{begin:?}"),
                _ => {}
            }
        }
    };
    let begin = timeout(PATIENCE, restarted).await.unwrap();
    assert!(begin.restarted && begin.missing_since.is_some(), "{begin:?}");
    assert!(!lost.is_empty());
}

/// The reason that is given for a peer that answers with these bytes and leaves.
async fn said_of(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 4_096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            // It may be cut before.
            let _cut = stream.write_all(&body).await;
        }
    });
    let (mut reader, _following) = urls(&[address]).follow(&TraceFilter::default()).await.unwrap();
    let Followed { line, .. } = next(&mut reader).await;
    serving.abort();
    let TraceLine::Remark(Remark::Lost { reason, .. }) = line else { panic!("{line:?}") };
    assert!(reason.len() < 1_000, "{}", reason.len());
    reason
}

#[tokio::test]
async fn a_peer_that_is_no_daemon_is_told_from_one() {
    let deep = [vec![b'['; 50_000], b"\n".to_vec()].concat();
    for (body, hint) in [
        (b"<html>\n".to_vec(), "it sends no trace"),
        (b"{\"kind\":\"opened\"}\n".to_vec(), "it sends no trace"),
        (vec![b'x'; 10 * LONGEST_LINE], "a line is too long"),
        (deep, "it sends no trace"),
        (b"\xff\xfe\n".to_vec(), "it sends no trace"),
        (Vec::new(), "it has ended the trace"),
        (
            b"{\"kind\":\"end\",\"time\":\"2026-01-01T00:00:00Z\",\"reason\":\"x\\u001b[2J\"}\n".to_vec(),
            "x\u{fffd}[2J",
        ),
    ] {
        let said = said_of(body).await;
        assert!(said.contains(hint), "{hint}: {said}");
    }
}

#[tokio::test]
async fn nobody_at_all_is_an_error() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = async |addresses: &[SocketAddr]| {
        let followed = urls(addresses).follow(&TraceFilter::default()).await;
        followed.err().unwrap().to_string()
    };
    assert!(error(&[unused]).await.contains("is `headless-obs run` listening there?"));
    let said = error(&[unused, unused]).await;
    assert!(said.starts_with("none of the sources answered: "), "{said}");
    // One of two is enough.
    let (mut reader, _following) =
        urls(&[unused, running("n1").await]).follow(&TraceFilter::default()).await.unwrap();
    let mut nodes = std::collections::BTreeSet::new();
    while nodes.len() < 2 {
        nodes.extend(next(&mut reader).await.node);
    }
    assert_eq!(nodes, [unused.to_string(), "n1".to_owned()].into());
}

/// An API server with these pods, each a daemon behind the proxy.
async fn api_server(pods: Arc<Mutex<Vec<(&'static str, SocketAddr)>>>) -> SocketAddr {
    use axum::Router;
    use axum::extract::{Path, RawQuery, State};
    use axum::response::IntoResponse;
    use axum::routing::get;

    type Pods = Arc<Mutex<Vec<(&'static str, SocketAddr)>>>;

    async fn list(State(pods): State<Pods>) -> impl IntoResponse {
        let pod = |(name, _): &(&str, SocketAddr)| {
            serde_json::json!({
                "metadata": {"name": name, "namespace": "obs", "labels": {"app.kubernetes.io/name": "headless-obs"}},
                "spec": {"nodeName": "node-1", "serviceAccountName": "headless-obs", "containers": []},
                "status": {"phase": "Running", "podIP": "10.0.0.1"},
            })
        };
        let items: Vec<_> = pods.lock().unwrap().iter().map(pod).collect();
        axum::body::Body::from(
            serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
                .to_string(),
        )
    }

    async fn proxy(
        State(pods): State<Pods>,
        Path((pod, rest)): Path<(String, String)>,
        RawQuery(query): RawQuery,
    ) -> axum::response::Response {
        let known = pods.lock().unwrap().iter().find(|(name, _)| format!("{name}:9464") == pod).copied();
        let Some((_, address)) = known else { return hyper::StatusCode::NOT_FOUND.into_response() };
        let url: DaemonUrl = address.to_string().parse().unwrap();
        let path = format!("/{rest}{}", query.map(|query| format!("?{query}")).unwrap_or_default());
        match daemon::respond(&url, &Credentials::default(), path).await {
            Ok(response) => response.map(axum::body::Body::new),
            Err(error) => (hyper::StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }

    let routes = Router::new()
        .route("/api/v1/namespaces/obs/pods", get(list))
        .route("/api/v1/namespaces/obs/pods/{pod}/proxy/{*rest}", get(proxy))
        .with_state(pods);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(routes.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    address
}

#[tokio::test]
async fn the_daemons_of_a_cluster_are_followed_and_the_pod_that_takes_the_place_of_one() {
    let (address, stop, serving) = daemon_at("127.0.0.1:0".parse().unwrap(), "says-n9", 0).await;
    let pods = Arc::new(Mutex::new(vec![("observer-a", address)]));
    let server = api_server(Arc::clone(&pods)).await;
    let folder = std::env::temp_dir().join(format!("headless-obs-follow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let kubeconfig = folder.join("kubeconfig");
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let sources = Sources::Cluster {
        options: Kubernetes { kubeconfig: vec![kubeconfig], ..Kubernetes::default() },
        daemons: Daemons { namespace: "obs".into(), account: "headless-obs".into() },
        credentials: Credentials::default(),
    };
    assert!(sources.are_several());
    let filter = TraceFilter { kinds: vec![TraceKind::Failed], ..TraceFilter::default() };
    let (mut reader, _following) = sources.follow(&filter).await.unwrap();
    let first = next(&mut reader).await;
    assert!(matches!(first.line, TraceLine::Remark(Remark::Begin(_))), "{first:?}");
    let second = next(&mut reader).await;
    assert!(matches!(&second.line, TraceLine::Event(event) if TraceKind::of(event) == TraceKind::Failed));
    assert_eq!(second.node.as_deref(), Some("node-1"), "the API server knows the node");

    stop.send(()).unwrap();
    serving.await.unwrap();
    let (next_address, _stop, _serving) = daemon_at("127.0.0.1:0".parse().unwrap(), "says-n9", 500).await;
    *pods.lock().unwrap() = vec![("observer-b", next_address)];
    let restarted = async {
        loop {
            let Followed { node, line } = next(&mut reader).await;
            assert_eq!(node.as_deref(), Some("node-1"));
            match line {
                TraceLine::Remark(Remark::Begin(begin)) if begin.restarted => return begin,
                _ => {}
            }
        }
    };
    let begin = timeout(PATIENCE, restarted).await.unwrap();
    assert!(begin.missing_since.is_some(), "{begin:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
