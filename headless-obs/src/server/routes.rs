//! The paths that the server has.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::access::{self, Access, Permit};
use super::documents::{DocumentKind, Documents, NotMade};
use super::followers::{self, FOLLOWERS, Followers, Follows, Stopping};
use crate::config::values::Last;
use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::connection_list::{ConnectionOrder, ConnectionQuery, LISTED, MOST};
use crate::expose::metrics::Format;
use crate::expose::object_filter::ObjectFilter;
use crate::expose::trace_filter::TraceFilter;
use crate::html;
use crate::readiness::Readiness;
use crate::trace_channel::REMOTE_LINES;

/// Time limit for a response. The engine takes milliseconds unless it is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that the routes share.
#[derive(Clone, Debug)]
struct Parts {
    engine: EngineHandle,
    documents: Documents,
    followers: Followers,
    readiness: Readiness,
}

impl Parts {
    fn new(engine: EngineHandle, readiness: Readiness) -> Self {
        Self { documents: Documents::new(engine.clone()), followers: Followers::new(), engine, readiness }
    }
}

/// All routes. With `access`, those of the kubelet are open, and all others need a token.
pub fn routes(engine: EngineHandle, readiness: Readiness, access: Option<Access>) -> Router {
    let mut told = Router::new()
        .route("/", get(page))
        .route("/metrics", get(scrape))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/api/v1/snapshots", get(snapshots))
        .route("/api/v1/connections", get(connections))
        .route("/api/v1/trace", get(trace));
    if let Some(access) = access {
        told = told.route_layer(middleware::from_fn_with_state(access, access::check));
    }
    let all = health_paths().merge(told);
    served(all, "not found; / has the report, and links to everything else\n", Parts::new(engine, readiness))
}

/// Those of the kubelet alone.
pub fn health_routes(engine: EngineHandle, readiness: Readiness) -> Router {
    let missing = "not found; here are only /healthz and /readyz\n";
    served(health_paths(), missing, Parts::new(engine, readiness))
}

/// The answer to plain HTTP at a port with TLS.
pub(super) fn only_tls() -> Router {
    let answer = "this port has TLS: the address begins with https://\n";
    Router::new().fallback(async move || (StatusCode::BAD_REQUEST, answer))
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
struct Stretch {
    last: Option<String>,
}

/// The page for people: a snapshot of this moment. It names the paths of documents.
async fn page(State(parts): State<Parts>, asked: Query<Stretch>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, html::POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    match about(&parts, asked, DocumentKind::Page).await {
        Ok(page) => (headers, page).into_response(),
        Err(response) => response,
    }
}

async fn scrape(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accepted.join(","));
    typed(format.media_type(), document(&parts, DocumentKind::Metrics(format)).await)
}

async fn snapshot(State(parts): State<Parts>, asked: Query<Stretch>) -> Response {
    typed("application/json", about(&parts, asked, DocumentKind::Snapshot).await)
}

/// The shorter stretches that a verdict may rest on, and the one that was asked for: for the sum over several nodes.
async fn snapshots(State(parts): State<Parts>, asked: Query<Stretch>) -> Response {
    typed("application/json", about(&parts, asked, DocumentKind::Stretches).await)
}

/// The connections that are asked for. A name is `NAMESPACE/NAME`, or `NAME` in any namespace.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedConnections {
    service: String,
    client: Option<String>,
    #[serde(default)]
    order: ConnectionOrder,
    limit: Option<usize>,
}

impl WantedConnections {
    fn query(self) -> Result<ConnectionQuery, String> {
        Ok(ConnectionQuery {
            service: object("service", &self.service)?,
            client: self.client.map(|name| object("client", &name)).transpose()?,
            order: self.order,
            limit: self.limit.unwrap_or(LISTED).min(MOST),
        })
    }
}

/// Open connections one by one.
async fn connections(State(parts): State<Parts>, Query(asked): Query<WantedConnections>) -> Response {
    match asked.query() {
        Ok(query) => typed("application/json", document(&parts, DocumentKind::Connections(query)).await),
        Err(error) => refused(&error),
    }
}

/// The events that are asked for. Kinds are apart by commas.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedEvents {
    service: Option<String>,
    client: Option<String>,
    kind: Option<String>,
}

impl WantedEvents {
    fn filter(self) -> Result<TraceFilter, String> {
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(','));
        let kinds = kinds.map(|kind| kind.parse().map_err(|error| format!("kind: {error}")));
        Ok(TraceFilter {
            service: self.service.map(|name| object("service", &name)).transpose()?,
            client: self.client.map(|name| object("client", &name)).transpose()?,
            kinds: kinds.collect::<Result<_, _>>()?,
        })
    }
}

/// Events from now on, one JSON object a line.
async fn trace(
    State(parts): State<Parts>,
    Query(asked): Query<WantedEvents>,
    permit: Option<Extension<Permit>>,
    stopping: Option<Extension<Stopping>>,
) -> Response {
    let filter = match asked.filter() {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    let Some(place) = parts.followers.place() else {
        let said = format!("{FOLLOWERS} readers follow this daemon already, which is the most\n");
        return (StatusCode::SERVICE_UNAVAILABLE, said).into_response();
    };
    match parts.engine.trace(filter, REMOTE_LINES).await {
        Ok(reader) => {
            let (permit, stopping) = (permit.map(|Extension(it)| it), stopping.map(|Extension(it)| it));
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            let body = followers::body(reader, place, permit, stopping);
            (headers, Extension(Follows), body).into_response()
        }
        Err(gone) => unavailable(gone),
    }
}

fn object(field: &str, text: &str) -> Result<ObjectFilter, String> {
    text.parse().map_err(|error| format!("{field}: {error}"))
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

/// A document about the stretch that was asked for.
async fn about(
    parts: &Parts,
    stretch: Query<Stretch>,
    asked: fn(Option<Duration>) -> DocumentKind,
) -> Result<Body, Response> {
    let last = last(stretch).map_err(|error| refused(&format!("last: {error}")))?;
    document(parts, asked(last.length())).await
}

async fn document(parts: &Parts, asked: DocumentKind) -> Result<Body, Response> {
    match parts.documents.get(asked).await {
        Ok(document) => Ok(Body::new(document)),
        Err(NotMade::Gone(gone)) => Err(unavailable(gone)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()),
    }
}

fn last(Query(asked): Query<Stretch>) -> Result<Last, String> {
    asked.last.map_or_else(|| Ok(Last::default()), |text| text.parse())
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

fn unavailable(gone: Gone) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response()
}

fn typed(kind: &'static str, body: Result<Body, Response>) -> Response {
    let typed = |body| ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response();
    body.map_or_else(|response| response, typed)
}
