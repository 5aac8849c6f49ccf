//! Pushes of the metrics by OTLP.
//!
//! In: the engine, and the receiver. Out: requests, one after another. Invariants: a receiver that is away or slow holds up
//! nothing else. The totals are cumulative, so each push makes up for the failed ones before it. The log says when pushes
//! begin to fail, and when they work again, and not more.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::commands::fit_text::{clean, fit};
use crate::commands::http_client::{HttpClient, authorities};
use crate::commands::token_file;
use crate::config::otlp::{Otlp, OtlpUrl};
use crate::config::remote::Header;
use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::metrics::otlp;

/// The time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of the last push, while the daemon ends.
const LAST: Duration = Duration::from_secs(2);
/// The most bytes of an answer.
const LARGEST: usize = 64 << 10;

/// The reason that a receiver does not have the metrics.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Gone(#[from] Gone),
    #[error("cannot read the token in {0}: {1}")]
    Token(String, String),
    #[error("headless-obs cannot encode the metrics; please report this: {0}")]
    Crashed(String),
    #[error("the exchange with {0} failed: {1}")]
    Failed(OtlpUrl, String),
    #[error("{0} did not answer within {TIMEOUT:?}")]
    Timeout(OtlpUrl),
    #[error("{0} refused the metrics: {1} {2}")]
    Refused(OtlpUrl, StatusCode, String),
    #[error("{0} left out {1} points: {2}")]
    Part(OtlpUrl, i64, String),
}

/// Pushes to one receiver.
pub(super) struct Push {
    receiver: Otlp,
    client: HttpClient,
    /// Failed pushes since the last one that worked.
    failed: u64,
}

impl Push {
    /// # Errors
    /// The certificates cannot be used.
    pub(super) async fn new(receiver: Otlp) -> anyhow::Result<Self> {
        let trusted = match &receiver.ca_file {
            Some(file) => {
                let read = authorities(file).await;
                Some(read.map_err(|error| anyhow::anyhow!("cannot use {}: {error}", file.display()))?)
            }
            None => None,
        };
        let client = HttpClient::new(receiver.url.uri().clone(), trusted);
        let client = client.map_err(|error| anyhow::anyhow!("cannot push to {}: {error}", receiver.url))?;
        Ok(Self { receiver, client, failed: 0 })
    }

    /// Pushes until `stop` is sent or dropped, and once more then.
    pub(super) async fn run(mut self, engine: EngineHandle, mut stop: oneshot::Receiver<()>) {
        let mut turn = interval(self.receiver.every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _stopped = &mut stop => break,
                _time = turn.tick() => {}
            }
            tokio::select! {
                _stopped = &mut stop => break,
                pushed = self.push(&engine) => self.note(pushed),
            }
        }
        if let Ok(pushed) = timeout(LAST, self.push(&engine)).await {
            self.note(pushed);
        }
    }

    async fn push(&self, engine: &EngineHandle) -> Result<(), PushError> {
        let scrape = engine.scrape().await?;
        let made = tokio::task::spawn_blocking(move || otlp::requests(&scrape));
        let bodies = made.await.map_err(|panicked| PushError::Crashed(panicked.to_string()))?;
        let mut part = None;
        for body in bodies {
            match timeout(TIMEOUT, self.send(body)).await {
                Ok(Err(error @ PushError::Part(..))) => part = Some(error),
                Ok(sent) => sent?,
                Err(_elapsed) => return Err(PushError::Timeout(self.receiver.url.clone())),
            }
        }
        part.map_or(Ok(()), Err)
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), PushError> {
        let url = || self.receiver.url.clone();
        let mut request =
            Request::post(self.receiver.url.uri()).header(CONTENT_TYPE, "application/x-protobuf");
        for Header(name, value) in &self.receiver.headers {
            request = request.header(name, value);
        }
        if let Some(file) = &self.receiver.token_file {
            let token = token_file::read(file, "Bearer ").await;
            let token = token.map_err(|error| PushError::Token(file.display().to_string(), error))?;
            request = request.header(AUTHORIZATION, token);
        }
        let failed = |error: String| PushError::Failed(url(), error);
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| failed(error.to_string()))?;
        let (status, answer) = self.client.send(request, LARGEST).await.map_err(failed)?;
        if !status.is_success() {
            // It may be a message of protobuf.
            let text = fit(&clean(String::from_utf8_lossy(&answer).trim()), 200);
            return Err(PushError::Refused(url(), status, text));
        }
        match otlp::rejected(&answer) {
            Some(left) => Err(PushError::Part(url(), left.points, fit(&clean(&left.reason), 200))),
            None => Ok(()),
        }
    }

    fn note(&mut self, pushed: Result<(), PushError>) {
        match pushed {
            Ok(()) => {
                if self.failed > 0 {
                    info!(url = %self.receiver.url, failed = self.failed, "the receiver gets the metrics again");
                }
                self.failed = 0;
            }
            // The daemon ends.
            Err(PushError::Gone(_)) => {}
            Err(error) => {
                self.failed += 1;
                if self.failed == 1 {
                    let every = self.receiver.every;
                    let help = if self.receiver.url.is_for_grpc() {
                        "; 4317 is the usual port of OTLP over gRPC: that of OTLP over HTTP is 4318"
                    } else {
                        ""
                    };
                    warn!(%error, ?every, "the receiver lacks metrics{help}; a later push that works has all counts");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
