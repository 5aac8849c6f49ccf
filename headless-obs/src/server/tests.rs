//! Real HTTP over loopback, a fake engine behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::ConfigExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::*;
use crate::engine_handle::{EngineHandle, Request, fake};
use crate::expose::connection_list::{ConnectionList, ConnectionOrder, ConnectionQuery};
use crate::expose::snapshot::Snapshot;
use crate::expose::test_fixtures;
use crate::readiness::Readiness;
use crate::server::tls::test_authority::Authority;

pub(super) struct Running {
    pub(super) address: SocketAddr,
    readiness: Readiness,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) task: JoinHandle<()>,
}

async fn start(engine: EngineHandle) -> Running {
    start_with(engine, MAIN, |engine, readiness| routes::routes(engine, readiness, None)).await
}

async fn start_with(
    engine: EngineHandle,
    limits: Limits,
    routes: fn(EngineHandle, Readiness) -> Router,
) -> Running {
    serve(limits, None, |readiness| routes(engine, readiness)).await
}

pub(super) async fn serve(
    limits: Limits,
    certificate: Option<Certificate>,
    routes: impl FnOnce(Readiness) -> Router,
) -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let server = server.with_certificate(certificate);
    let readiness = Readiness::waiting_for([]);
    let routes = routes(readiness.clone());
    let (stop, stopped) = oneshot::channel();
    let address = server.address();
    let task = tokio::spawn(server.serve(routes, async {
        let _dropped = stopped.await;
    }));
    Running { address, readiness, stop, task }
}

/// Status line and headers in lower case, and the body.
pub(super) async fn get(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn serves_the_snapshot_and_its_metrics() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;

    let (head, body) = get(server.address, "/api/v1/snapshot", "").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Snapshot>(&body).unwrap(), test_fixtures::snapshot());

    let open = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1\r\n";
    let (head, body) = get(server.address, "/metrics", open).await;
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"));

    for accept in
        ["", "Accept: text/html,*/*\r\n", "Accept: application/openmetrics-text;q=0, text/plain\r\n"]
    {
        let (head, body) = get(server.address, "/metrics", accept).await;
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{accept}: {head}");
        assert!(body.contains("# TYPE headless_connections_opened_total counter"));
    }

    let (head, page) = get(server.address, "/", "").await;
    for line in ["content-type: text/html; charset=utf-8", "cache-control: no-store", "default-src 'none'"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(page.contains("href=\"/metrics\"") && page.contains("shop/orders"), "{page}");
    assert!(get(server.address, "/nonsense", "").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn lists_open_connections() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    let path = "/api/v1/connections?service=shop/orders&client=web&order=age&limit=2";
    let (head, body) = get(server.address, path, "").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: application/json"), "{head}");
    let query = ConnectionQuery {
        client: Some("web".parse().unwrap()),
        order: ConnectionOrder::Age,
        limit: 2,
        ..test_fixtures::connection_query()
    };
    assert_eq!(
        serde_json::from_str::<ConnectionList>(&body).unwrap(),
        test_fixtures::connection_list(&query)
    );
    for (wrong, said) in [
        ("", "missing field `service`"),
        ("?service=a/b/c", "service: write NAMESPACE/NAME"),
        ("?service=a&client=/", "client: write NAMESPACE/NAME"),
        ("?service=a&order=size", "unknown variant"),
        ("?service=a&limit=many", "invalid digit"),
        ("?service=a&what=else", "unknown field"),
    ] {
        let (head, body) = get(server.address, &format!("/api/v1/connections{wrong}"), "").await;
        assert!(head.starts_with("http/1.1 400") && body.contains(said), "{wrong}: {head} {body}");
    }
}

#[tokio::test]
async fn a_head_has_no_body() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/html") && body.is_empty(), "{answer}");
}

#[tokio::test]
async fn readiness_tells_what_is_missing() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    assert!(get(server.address, "/readyz", "").await.0.starts_with("http/1.1 200"));
    server.readiness.block("topology", "no contact with its source");
    let (head, body) = get(server.address, "/readyz", "").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(body.contains("topology: no contact with its source"), "{body}");
    assert!(get(server.address, "/healthz", "").await.0.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn an_engine_that_is_gone_is_no_health() {
    let (engine, requests) = EngineHandle::new();
    drop(requests);
    let server = start(engine).await;
    for path in ["/", "/healthz", "/metrics", "/api/v1/snapshot"] {
        let (head, body) = get(server.address, path, "").await;
        assert!(head.starts_with("http/1.1 503") && body.contains("stopped"), "{path}: {head} {body}");
    }
}

#[tokio::test]
async fn a_stuck_engine_is_answered_for_in_time() {
    let (engine, _unread) = EngineHandle::new();
    let routes = routes::routes(engine, Readiness::waiting_for([]), None);
    let request = hyper::Request::get("/healthz").body(axum::body::Body::empty()).unwrap();
    let response = hyper::service::Service::call(&TowerToHyperService::new(routes), request).await.unwrap();
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn garbage_costs_nobody_anything() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    for garbage in [&b"\x16\x03\x01\x00\xff\r\n\r\n"[..], b"GET / HTTP/9\r\n\r\n", &[b'A'; 40_000]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may close the connection in the middle of it.
        let _cut = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer).await;
    }
    assert!(get(server.address, "/healthz", "").await.0.starts_with("http/1.1 200"));
}

/// This number of silent connections, or fewer where the server takes no more.
async fn silent(address: SocketAddr, number: u64) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..number {
        match timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => silent.push(stream),
            _full => break,
        }
    }
    silent
}

/// Half of the files that this process may open, less those of other tests; at most 10,000.
fn many() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.map_or(10_000, |most| (most.saturating_sub(1_500) / 2).min(10_000))
}

/// Held by each test that opens many files.
static OPENS_MANY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn connections_that_only_wait_keep_nobody_out() {
    let _turn = OPENS_MANY.lock().await;
    let many = many();
    let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
    let server = start(engine.clone()).await;
    let probes = start_with(engine, PROBES, routes::health_routes).await;
    let held = (silent(server.address, many).await, silent(probes.address, many).await);
    for (address, path) in [
        (probes.address, "/healthz"),
        (probes.address, "/readyz"),
        (server.address, "/healthz"),
        (server.address, "/metrics"),
        (server.address, "/api/v1/snapshot"),
    ] {
        let answer = timeout(Duration::from_secs(2), get(address, path, "")).await;
        let (head, _) = answer.unwrap_or_else(|_elapsed| panic!("{path}: no answer"));
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
    }
    assert!(get(probes.address, "/metrics", "").await.0.starts_with("http/1.1 404"));
    assert_eq!([held.0.len() as u64, held.1.len() as u64], [many; 2]);
}

/// A client of a certificate's authority, over one connection.
async fn get_encrypted(authority: &Authority, address: SocketAddr, path: &str) -> String {
    let mut config = kube::Config::new(hyper::Uri::default());
    let file = std::fs::read(authority.file()).unwrap();
    config.root_cert = Some(vec![CertificateDer::from_pem_slice(&file).unwrap().to_vec()]);
    let connector = TlsConnector::from(Arc::new(config.rustls_client_config().unwrap()));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(address.ip().into(), stream).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Beginnings of handshakes: nothing, one byte, and a hello that promises more.
const BEGINNINGS: [&[u8]; 3] = [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"];

#[tokio::test]
async fn half_handshakes_keep_nobody_out() {
    let _turn = OPENS_MANY.lock().await;
    let many = many();
    let authority = Authority::new();
    let certificate = Certificate::open(authority.sign(&["127.0.0.1"], 2100)).unwrap();
    let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
    let of_server = engine.clone();
    let server = serve(MAIN, Some(certificate), |readiness| routes::routes(of_server, readiness, None)).await;
    let probes = start_with(engine, PROBES, routes::health_routes).await;
    let mut held = silent(server.address, many).await;
    assert_eq!(held.len() as u64, many);
    for (number, stream) in held.iter_mut().enumerate() {
        // Many were closed already.
        let _reset = stream.write_all(BEGINNINGS[number % BEGINNINGS.len()]).await;
    }
    for path in ["/healthz", "/readyz"] {
        let answer = timeout(Duration::from_secs(2), get(probes.address, path, "")).await;
        assert!(answer.expect("an answer").0.starts_with("http/1.1 200"), "{path}");
    }
    for path in ["/metrics", "/api/v1/snapshot"] {
        let answer = timeout(Duration::from_secs(2), get_encrypted(&authority, server.address, path)).await;
        assert!(answer.expect("an answer").starts_with("HTTP/1.1 200"), "{path}");
    }
}

/// Nobody else needs their slots, and they end all the same.
#[tokio::test]
async fn a_handshake_has_a_time_limit() {
    let authority = Authority::new();
    let certificate = Certificate::open(authority.sign(&["127.0.0.1"], 2100)).unwrap();
    let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
    let server = serve(MAIN, Some(certificate), |readiness| routes::routes(engine, readiness, None)).await;
    let ends = BEGINNINGS.map(async |beginning| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        timeout(Duration::from_secs(14), stream.read_to_end(&mut Vec::new())).await
    });
    let ends = futures_util::future::join_all(ends).await;
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    // A shutdown waits for none of them.
    let _open = silent(server.address, 3).await;
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(4), server.task).await.unwrap().unwrap();
}

/// A connection whose answer is on its way keeps its slot, and one that reads too slowly loses it to others.
#[tokio::test]
async fn requests_keep_their_slots_for_a_while() {
    let limits = Limits { connections: 2, patience: Duration::from_millis(300), ..MAIN };
    let large = |_: EngineHandle, _: Readiness| {
        Router::new()
            .route("/", axum::routing::get(async || vec![b'x'; 64 << 20]))
            .route("/small", axum::routing::get(async || "small"))
    };
    let server = start_with(fake::engine(test_fixtures::snapshot(), Vec::new()), limits, large).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 1_000]).await.unwrap();
        slow.push(stream);
    }
    assert!(get(server.address, "/small", "").await.1 == "small");
    // The oldest one was cut.
    let cut = slow.remove(0).read_to_end(&mut Vec::new()).await.map(|rest| rest < 60 << 20);
    assert!(cut.unwrap_or(true));
}

/// A snapshot with many Services, yet not a large one.
fn many_services() -> Snapshot {
    let one = test_fixtures::snapshot();
    Snapshot { services: std::iter::repeat_n(one.services, 230).flatten().collect(), ..one }
}

/// An engine that takes a while for each snapshot, the number of snapshots that it made, and the length of one's text.
fn slow_engine(snapshot: Snapshot) -> (EngineHandle, Arc<AtomicUsize>, usize) {
    let (made, length) = (Arc::new(AtomicUsize::new(0)), serde_json::to_string(&snapshot).unwrap().len());
    let (handle, mut requests) = EngineHandle::new();
    let counted = Arc::clone(&made);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Snapshot(_, reply) => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    drop(reply.send(snapshot.clone()));
                }
                Request::Ping(reply) => drop(reply.send(())),
                _other => {}
            }
        }
    });
    (handle, made, length)
}

#[tokio::test]
async fn a_snapshot_is_made_once_for_all_who_wait() {
    let (engine, made, _) = slow_engine(many_services());
    let documents = documents::Documents::new(engine);
    let readers = (0..60).map(|_| documents.get(documents::DocumentKind::Snapshot(None)));
    let answers = futures_util::future::join_all(readers).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(made.load(Ordering::Relaxed), 1, "snapshots for {} readers", answers.len());
}

/// Readers that do not read hold two documents, and no more; then the oldest one is cut.
#[tokio::test]
async fn a_document_that_is_not_read_makes_room() {
    let (engine, _, length) = slow_engine(many_services());
    assert!(length < documents::LARGE, "{length}");
    let server = start(engine).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /api/v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 1_000]).await.unwrap();
        slow.push(stream);
    }
    let (_, answer) = get(server.address, "/api/v1/snapshot", "").await;
    assert_eq!(answer.len(), length);
    let mut rest = Vec::new();
    let _reset = slow.remove(0).read_to_end(&mut rest).await;
    assert!(rest.len() + 1_000 < length, "the oldest was cut");
    let rest = slow.remove(0).read_exact(&mut vec![0; length - 1_000]).await;
    assert!(rest.is_ok(), "nobody else was: {rest:?}");
}

/// No other document is made while a large one is read; it is cut as the others are.
#[tokio::test]
async fn a_large_document_exists_alone() {
    let large = Snapshot { node: "x".repeat(documents::LARGE), ..test_fixtures::snapshot() };
    let (engine, made, length) = slow_engine(large);
    assert!(length >= documents::LARGE, "{length}");
    let documents = documents::Documents::new(engine);
    let ask = || documents.get(documents::DocumentKind::Snapshot(None));
    let held = ask().await.unwrap();
    assert!(timeout(Duration::from_secs(1), ask()).await.is_err());
    assert_eq!(made.load(Ordering::Relaxed), 1);
    drop(held);
    let held = timeout(Duration::from_secs(20), ask()).await.expect("its room is free").unwrap();
    assert!(timeout(Duration::from_secs(20), ask()).await.is_ok(), "the one that is not read is cut");
    drop(held);
}

/// A fleet reads one list from a node, the stretch that was asked for at the end.
#[tokio::test]
async fn stretches_are_a_list() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    for (last, number) in [("all", 7), ("15m", 4), ("10s", 1)] {
        let (_, body) = get(server.address, &format!("/api/v1/snapshots?last={last}"), "").await;
        let list: Vec<Snapshot> = serde_json::from_str(&body).unwrap();
        assert_eq!(list, vec![test_fixtures::snapshot(); number], "{last}");
    }
}

#[tokio::test]
async fn stop_ends_connections() {
    let server = start(fake::engine(test_fixtures::snapshot(), Vec::new())).await;
    let mut idle = Vec::new();
    for _ in 0..MAIN.connections {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_says_what_to_do() {
    let taken = Server::bind("127.0.0.1:0".parse().unwrap(), MAIN).await.unwrap();
    let error = Server::bind(taken.address(), PROBES).await.unwrap_err().to_string();
    assert!(
        error.contains("in use") && error.contains("--health-listen") && error.contains("ss -ltnp"),
        "{error}"
    );
    let error = Server::bind("203.0.113.1:9464".parse().unwrap(), MAIN).await.unwrap_err().to_string();
    assert!(error.contains("no such address"), "{error}");
}
