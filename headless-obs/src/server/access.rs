//! Access to what is served: bearer tokens, as the cluster's API server judges them.
//!
//! In: requests, and what reviews tokens. Out: the request passes, or a response that says why not. Invariants: nothing
//! passes without a judgement, of this moment or kept for a while; without an API server nothing passes. A limited number
//! of reviews is under way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::config::access::{Judgement, PATH, Reviewer, TOKEN_HEADER};

mod kept_judgements;

use kept_judgements::KeptJudgements;

/// Reviews that are under way at the same time.
const AT_ONCE: usize = 4;
/// Time limit of a review, the wait for its turn included.
const LIMIT: Duration = Duration::from_secs(5);
/// The judgements, and the reviewer that makes new ones.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    reviewer: Reviewer,
    turns: Semaphore,
    kept: Mutex<KeptJudgements>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Without judgements.
    pub fn new(reviewer: Reviewer) -> Self {
        Self(Arc::new(Shared { reviewer, turns: Semaphore::new(AT_ONCE), kept: Mutex::default() }))
    }

    async fn judge(&self, token: String) -> Result<Judgement, String> {
        if let Some(judgement) = self.kept(&token) {
            return Ok(judgement);
        }
        // Another request with the same token may have had its turn before.
        self.review(token, |token| self.kept(token)).await
    }

    /// A new judgement, when its turn has come, unless there is one by then.
    async fn review(
        &self,
        token: String,
        known: impl Fn(&str) -> Option<Judgement>,
    ) -> Result<Judgement, String> {
        let review = async {
            let _turn = self.0.turns.acquire().await;
            if let Some(judgement) = known(&token) {
                return Ok(judgement);
            }
            let judgement = (self.0.reviewer)(token.clone()).await?;
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.put(token, judgement.clone(), Instant::now());
            Ok(judgement)
        };
        timeout(LIMIT, review)
            .await
            .unwrap_or_else(|_elapsed| Err(format!("no answer within {} s", LIMIT.as_secs())))
    }

    fn kept(&self, token: &str) -> Option<Judgement> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).get(token, Instant::now())
    }
}

/// The token of a request that passed.
#[derive(Clone)]
pub(super) struct Permit {
    access: Access,
    token: String,
}

impl Permit {
    /// Whether it would pass now, whatever is kept.
    pub(super) async fn holds(&self) -> bool {
        matches!(self.access.review(self.token.clone(), |_token| None).await, Ok(Judgement::Allowed))
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Lets a request pass that may.
pub(super) async fn check(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let Some(token) = token(request.headers()) else {
        let said = "no bearer token: send `Authorization: Bearer TOKEN` of an account that may get /metrics";
        return refusal(StatusCode::UNAUTHORIZED, said);
    };
    match access.judge(token.clone()).await {
        Ok(Judgement::Allowed) => {
            request.extensions_mut().insert(Permit { access, token });
            next.run(request).await
        }
        Ok(Judgement::Unknown) => refusal(
            StatusCode::UNAUTHORIZED,
            "the API server does not know this token: it is wrong or has expired",
        ),
        Ok(Judgement::Forbidden(user)) => {
            let said = format!(
                "{user} may not get {PATH}: bind it to a ClusterRole with nonResourceURLs: [{PATH}], verbs: [get]"
            );
            refusal(StatusCode::FORBIDDEN, &said)
        }
        Err(error) => {
            tracing::warn!(%error, "a request was refused, because its token could not be reviewed");
            refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("the token could not be reviewed: {error}"))
        }
    }
}

/// The token of a request.
fn token(headers: &HeaderMap) -> Option<String> {
    let own = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let usual = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = usual
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = bearer.map(|(_, token)| token).or(own)?.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

fn refusal(status: StatusCode, said: &str) -> Response {
    let mut response = (status, format!("{said}\n")).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests;
