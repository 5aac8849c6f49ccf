//! Real HTTP over loopback: a receiver that does what it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;

use super::*;
use crate::engine_handle::fake;
use crate::expose::test_fixtures;

type Answers = VecDeque<(StatusCode, Vec<u8>)>;

/// Requests so far, and the answers to come; then 200 without a body.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, ExportMetricsServiceRequest)>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Receiver {
    fn answers(&self, status: StatusCode, body: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap().push_back((status, body.into()));
    }

    fn got(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    async fn serve(&self, listener: TcpListener) {
        let take = |State(this): State<Self>, headers: HeaderMap, body: Bytes| async move {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            this.got.lock().unwrap().push((headers, request));
            this.answers.lock().unwrap().pop_front().unwrap_or_default()
        };
        let routes = Router::new().route("/v1/metrics", axum::routing::post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
}

fn to(address: SocketAddr) -> Otlp {
    Otlp {
        url: format!("http://{address}").parse().unwrap(),
        every: Duration::from_millis(20),
        headers: vec!["X-Scope-OrgID: shop".parse().unwrap()],
        token_file: None,
        ca_file: None,
    }
}

fn engine() -> EngineHandle {
    fake::engine(test_fixtures::snapshot(), Vec::new())
}

async fn until(holds: impl Fn() -> bool) {
    let patience = timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    patience.await.unwrap();
}

#[tokio::test]
async fn pushes_until_it_is_stopped_and_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Receiver::default();
    receiver.serve(listener).await;
    let token = std::env::temp_dir().join(format!("headless-obs-otlp-{}", std::process::id()));
    std::fs::write(&token, "secret\n").unwrap();
    let push = Push::new(Otlp { token_file: Some(token.clone()), ..to(address) }).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(push.run(engine(), stopped));
    until(|| receiver.got() >= 3).await;
    drop(stop);
    task.await.unwrap();
    let got = receiver.got.lock().unwrap();
    let (headers, request) = got.last().unwrap();
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-scope-orgid"], "shop");
    assert_eq!(headers["authorization"], "Bearer secret");
    assert!(!request.resource_metrics[0].scope_metrics[0].metrics.is_empty());
    std::fs::remove_file(token).unwrap();
}

#[tokio::test]
async fn a_last_push_has_what_happened_since_the_one_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = Receiver::default();
    let push = Push::new(Otlp { every: Duration::from_secs(3600), ..to(listener.local_addr().unwrap()) });
    receiver.serve(listener).await;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(push.await.unwrap().run(engine(), stopped));
    until(|| receiver.got() == 1).await;
    drop(stop);
    task.await.unwrap();
    assert_eq!(receiver.got(), 2);
}

#[tokio::test]
async fn each_failure_says_what_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Receiver::default();
    receiver.serve(listener).await;
    let push = Push::new(to(address)).await.unwrap();
    let engine = engine();

    receiver.answers(StatusCode::TOO_MANY_REQUESTS, "slow \u{1b}[31mdown");
    let error = push.push(&engine).await.unwrap_err().to_string();
    assert!(error.contains("429") && error.contains("slow") && !error.contains('\u{1b}'), "{error}");
    receiver.answers(StatusCode::OK, vec![b'x'; LARGEST + 1]);
    assert!(matches!(push.push(&engine).await.unwrap_err(), PushError::Failed(..)));
    let part = ExportMetricsPartialSuccess { rejected_data_points: 7, error_message: "too old".to_owned() };
    let answer = ExportMetricsServiceResponse { partial_success: Some(part) }.encode_to_vec();
    receiver.answers(StatusCode::OK, answer);
    let error = push.push(&engine).await.unwrap_err().to_string();
    assert!(error.contains("7 points: too old"), "{error}");
    push.push(&engine).await.unwrap();

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let push = Push::new(to(nobody)).await.unwrap();
    let error = push.push(&engine).await.unwrap_err().to_string();
    assert!(error.contains("failed") && error.contains("refused"), "{error}");
    let missing = Otlp { token_file: Some("/nowhere/token".into()), ..to(address) };
    let error = Push::new(missing).await.unwrap().push(&engine).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/token"), "{error}");
    let error = Push::new(Otlp { ca_file: Some(Path::new("/nowhere/ca").into()), ..to(address) }).await;
    assert!(error.err().unwrap().to_string().contains("/nowhere/ca"));
}

/// A receiver that comes late, as after a rollout.
#[tokio::test]
async fn a_receiver_that_was_away_gets_everything_later() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let mut push = Push::new(to(address)).await.unwrap();
    let engine = engine();
    for failed in 1..=3 {
        let pushed = push.push(&engine).await;
        push.note(pushed);
        assert_eq!(push.failed, failed);
    }
    let receiver = Receiver::default();
    receiver.serve(TcpListener::bind(address).await.unwrap()).await;
    let pushed = push.push(&engine).await;
    push.note(pushed);
    assert_eq!((push.failed, receiver.got()), (0, 1));
}
