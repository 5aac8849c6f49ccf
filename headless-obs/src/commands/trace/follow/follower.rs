//! Follows one daemon.
//!
//! In: a daemon, and the way to it. Out: its lines. Invariants: a daemon that is lost is asked again until it answers, and
//! its first line then says what is missing. The memory that it takes here is limited whatever it sends, and so is its
//! silence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tower::BoxError;

use super::super::Followed;
use crate::commands::fit_text::{clean, fit};
use crate::commands::snapshot_source::{SourceError, TIMEOUT, daemon};
use crate::config::remote::Credentials;
use crate::config::values::DaemonUrl;
use crate::expose::trace_line::{Begin, Remark, TraceLine};
use crate::sources::kubernetes::pod_proxy::{DaemonPod, PodProxy};
use crate::trace_channel::Tap;

/// A daemon says at least every five seconds that it is there.
const SILENCE: Duration = Duration::from_secs(20);
/// The time before a lost daemon is asked again: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The most bytes of a line.
pub(super) const LONGEST_LINE: usize = 64 << 10;

/// A body that goes on.
pub(super) type Lines = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type Opened = Result<Lines, SourceError>;

/// A daemon, and the way to it.
#[derive(Clone)]
pub(super) enum Source {
    Url(DaemonUrl, Credentials),
    Pod(PodProxy, DaemonPod, Option<HeaderValue>),
}

impl Source {
    /// The name of its node, or what stands for it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Url(url, _) => url.authority(),
            Self::Pod(_, pod, _) => pod.node.clone(),
        }
    }
}

/// The last that was seen of a daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    observation: Timestamp,
    at: Timestamp,
}

/// Follows one daemon.
pub(super) struct Follower {
    pub(super) source: Source,
    pub(super) path: String,
    pub(super) tap: Tap<Followed>,
    pub(super) seen: Arc<Mutex<Option<Seen>>>,
}

/// The reader is gone.
struct Unread;

impl Follower {
    /// The response, once its head has come.
    pub(super) async fn open(&self) -> Opened {
        let open = async {
            match &self.source {
                Source::Url(url, credentials) => {
                    let response = daemon::respond(url, credentials, self.path.clone()).await?;
                    Ok(response.into_body().map_err(BoxError::from).boxed_unsync())
                }
                Source::Pod(_, DaemonPod { trouble: Some(trouble), .. }, _) => {
                    Err(SourceError::NotRunning(trouble.clone()))
                }
                Source::Pod(proxy, pod, token) => {
                    let response = proxy.respond(pod, &self.path, token.clone()).await?;
                    Ok(response.into_body().map_err(BoxError::from).boxed_unsync())
                }
            }
        };
        timeout(TIMEOUT, open).await.unwrap_or(Err(SourceError::Silent))
    }

    /// Returns when nobody reads any more.
    pub(super) async fn run(self, first: Opened) -> anyhow::Error {
        let (mut opened, mut wait, mut told) = (first, FIRST_WAIT, None);
        let mut node = self.source.name();
        loop {
            let reason = match opened {
                Ok(lines) => match self.read(lines, &mut node).await {
                    Ok((reason, true)) => {
                        (wait, told) = (FIRST_WAIT, None);
                        reason
                    }
                    Ok((reason, false)) => reason,
                    Err(Unread) => break,
                },
                Err(error) => error.to_string(),
            };
            let reason = fit(&clean(&reason), 300);
            if told.as_ref() != Some(&reason) {
                let lost = Remark::Lost { time: Timestamp::now(), reason: reason.clone() };
                if self.send(&node, lost.into()).is_err() {
                    break;
                }
                told = Some(reason);
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            opened = self.open().await;
        }
        anyhow!("nobody reads the trace")
    }

    /// Reads to the end; returns why there is no more, and whether it was a trace.
    async fn read(&self, mut lines: Lines, node: &mut String) -> Result<(String, bool), Unread> {
        let (mut rest, mut was_trace) = (Vec::new(), false);
        loop {
            let frame = match timeout(SILENCE, lines.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Ok((format!("the connection broke: {error}"), was_trace)),
                Ok(None) => return Ok(("it has ended the trace".to_owned(), was_trace)),
                Err(_elapsed) => return Ok((format!("no word for {} s", SILENCE.as_secs()), was_trace)),
            };
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = serde_json::from_slice::<TraceLine>(&rest[..end]);
                rest.drain(..=end);
                match line {
                    Ok(line) => match self.take(line, node)? {
                        Some(reason) => return Ok((reason, true)),
                        None => was_trace = true,
                    },
                    Err(error) => {
                        return Ok((format!("it sends no trace: {error}"), was_trace));
                    }
                }
            }
            if rest.len() > LONGEST_LINE {
                return Ok(("it sends no trace: a line is too long".to_owned(), was_trace));
            }
        }
    }

    /// Passes a line on; returns the reason if it is the last one.
    fn take(&self, line: TraceLine, node: &mut String) -> Result<Option<String>, Unread> {
        let now = Timestamp::now();
        let line = match line {
            TraceLine::Remark(Remark::Alive { .. }) => {
                self.see(|seen| Seen { at: now, ..seen });
                return Ok(None);
            }
            TraceLine::Remark(Remark::End { reason, .. }) => return Ok(Some(reason)),
            TraceLine::Remark(Remark::Begin(begin)) => {
                if let Source::Url(..) = self.source {
                    *node = fit(&clean(&begin.node), 100);
                }
                let observation = begin.observation;
                let before = self.known().replace(Seen { observation, at: now });
                TraceLine::Remark(Remark::Begin(Begin {
                    missing_since: before.map(|before| before.at),
                    restarted: before.is_some_and(|before| before.observation != observation),
                    ..begin
                }))
            }
            line => {
                self.see(|seen| Seen { at: now, ..seen });
                line
            }
        };
        self.send(node, line)?;
        Ok(None)
    }

    fn see(&self, change: impl FnOnce(Seen) -> Seen) {
        let mut known = self.known();
        *known = known.map(change);
    }

    fn known(&self) -> MutexGuard<'_, Option<Seen>> {
        // One value, which each statement changes as a whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, node: &str, line: TraceLine) -> Result<(), Unread> {
        let has_reader = self.tap.send(Followed { node: Some(node.to_owned()), line });
        if has_reader { Ok(()) } else { Err(Unread) }
    }
}
