//! What is served under which path.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::expose::metrics;
use crate::expose::snapshot::Snapshot;
use crate::handle::{EngineHandle, Readiness};
use crate::page::{self, Place};

/// For an answer; the engine takes milliseconds unless it is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the routes need.
#[derive(Clone, Debug)]
struct Parts {
    engine: EngineHandle,
    readiness: Readiness,
}

/// All routes.
pub fn routes(engine: EngineHandle, readiness: Readiness) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(scrape))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/readyz", get(ready))
        .route("/healthz", get(health))
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here; / leads to what there is\n"))
        .layer(middleware::from_fn(in_time))
        .with_state(Parts { engine, readiness })
}

/// Gives up where the answer takes too long.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the observer did not answer in time; its log may say why\n")
                .into_response()
        }
    }
}

/// What a person sees: the snapshot of now. It names every path.
async fn page(State(parts): State<Parts>) -> Response {
    let snapshot = match take(&parts).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, page::render(&snapshot, Place::Daemon)).into_response()
}

async fn scrape(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let snapshot = match take(&parts).await {
        Ok(snapshot) => Arc::new(snapshot),
        Err(response) => return response,
    };
    let (kind, text) = if accepts_openmetrics(&headers) {
        (metrics::OPENMETRICS, metrics::openmetrics(snapshot))
    } else {
        (metrics::PLAIN, metrics::plain(snapshot))
    };
    match text {
        Ok(text) => typed(kind, text),
        Err(error) => failed(&error),
    }
}

/// Prometheus lists `application/openmetrics-text` when it can read it; a person's browser does not.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    let mut ranges =
        accepted.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let refused = |part: &str| {
            part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
        };
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"))
            && !parts.any(refused)
    })
}

async fn snapshot(State(parts): State<Parts>) -> Response {
    match take(&parts).await.map(|snapshot| serde_json::to_string(&snapshot)) {
        Ok(Ok(text)) => typed("application/json", text),
        Ok(Err(error)) => failed(&error),
        Err(response) => response,
    }
}

async fn ready(State(parts): State<Parts>) -> Response {
    let reasons = parts.readiness.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n"))).into_response()
}

async fn health(State(parts): State<Parts>) -> Response {
    match parts.engine.ping().await {
        Ok(()) => "ok\n".into_response(),
        Err(gone) => (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response(),
    }
}

async fn take(parts: &Parts) -> Result<Snapshot, Response> {
    let snapshot = parts.engine.snapshot().await;
    snapshot.map_err(|gone| (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response())
}

fn typed(kind: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "cannot write the answer");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the answer: {error}\n")).into_response()
}
