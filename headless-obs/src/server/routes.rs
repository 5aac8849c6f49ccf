//! The paths that the server has.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::config::values::Last;
use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::metrics::{self, Format};
use crate::expose::snapshot::Snapshot;
use crate::html::{self, Place};
use crate::readiness::Readiness;

/// Time limit for a response. The engine takes milliseconds unless it is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that the routes share.
#[derive(Clone, Debug)]
struct Parts {
    engine: EngineHandle,
    readiness: Readiness,
}

/// All routes.
pub fn routes(engine: EngineHandle, readiness: Readiness) -> Router {
    let all = health_paths()
        .route("/", get(page))
        .route("/metrics", get(scrape))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/api/v1/snapshots", get(snapshots));
    served(all, "not found; / has the report, and links to everything else\n", Parts { engine, readiness })
}

/// Those of the kubelet alone.
pub fn health_routes(engine: EngineHandle, readiness: Readiness) -> Router {
    let missing = "not found; here are only /healthz and /readyz\n";
    served(health_paths(), missing, Parts { engine, readiness })
}

fn health_paths() -> Router<Parts> {
    Router::new().route("/readyz", get(ready)).route("/healthz", get(health))
}

fn served(paths: Router<Parts>, missing: &'static str, parts: Parts) -> Router {
    let paths = paths.fallback(async move || (StatusCode::NOT_FOUND, missing));
    paths.layer(middleware::from_fn(in_time)).with_state(parts)
}

/// Returns an error if the response takes too long.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon did not answer in time; its log may show the reason\n",
        )
            .into_response(),
    }
}

/// The stretch of time that a request is about.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    last: Option<String>,
}

/// The page for people: a snapshot of this moment. It names every path.
async fn page(State(parts): State<Parts>, asked: Query<Asked>) -> Response {
    let snapshot = match take(&parts, asked).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, html::POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, html::render(&snapshot, Place::Daemon)).into_response()
}

async fn scrape(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let scrape = match parts.engine.scrape().await {
        Ok(scrape) => Arc::new(scrape),
        Err(gone) => return unavailable(gone),
    };
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accepted.join(","));
    // This takes a while if there are many series, and other requests must be served in the meantime.
    match tokio::task::spawn_blocking(move || metrics::encode(scrape, format)).await {
        Ok(Ok(body)) => typed(format.media_type(), body),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

async fn snapshot(State(parts): State<Parts>, asked: Query<Asked>) -> Response {
    json(take(&parts, asked).await)
}

/// The shorter stretches that a verdict may rest on, and the one that was asked for: for the sum over several nodes.
async fn snapshots(State(parts): State<Parts>, asked: Query<Asked>) -> Response {
    json(match last(asked) {
        Ok(last) => parts.engine.stretches(last.length()).await.map_err(unavailable),
        Err(error) => Err(refused(error)),
    })
}

fn json(answer: Result<impl serde::Serialize, Response>) -> Response {
    match answer.map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(text)) => typed("application/json", text.into_bytes()),
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
        Err(gone) => unavailable(gone),
    }
}

async fn take(parts: &Parts, asked: Query<Asked>) -> Result<Snapshot, Response> {
    let length = last(asked).map_err(refused)?.length();
    parts.engine.snapshot(length).await.map_err(unavailable)
}

fn last(Query(asked): Query<Asked>) -> Result<Last, String> {
    asked.last.map_or_else(|| Ok(Last::default()), |text| text.parse())
}

fn refused(error: String) -> Response {
    (StatusCode::BAD_REQUEST, format!("last: {error}\n")).into_response()
}

fn unavailable(gone: Gone) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response()
}

fn typed(kind: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "cannot write the response");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the response: {error}\n")).into_response()
}
