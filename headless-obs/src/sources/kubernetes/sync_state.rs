//! Whether the topology is complete and current. Pure; time is an argument.
//!
//! In: for each watch, whether its stream is open, whether its list is complete, and its error. Out: [`State`].
//!
//! Invariants: the source does not wait for a refused watch, unless it can report nothing without it. A watch counts as
//! refused after [`BELIEVED`], because a server that has just started refuses everything until it has read the roles.
//! If a stream ends and is opened again within [`GRACE`], nothing is lost: the server ends each stream now and then,
//! and the watch continues where it was.

use std::time::Duration;

use tokio::time::Instant;

use super::watches::Watch;
use crate::expose::snapshot::Refusal;

/// The time that a watch may be down before the topology is stale.
const GRACE: Duration = Duration::from_secs(2);

/// The time that the server must refuse a watch before the source continues without it.
const BELIEVED: Duration = Duration::from_secs(5);

/// Whether the topology is complete and current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is not complete yet, and why.
    Waiting(Reason),
    /// It is current.
    InTouch,
    /// It is the state of that moment, and the reason.
    Lost(Instant, Reason),
}

/// The reason why the topology is not current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// No error; it only takes time.
    Wait(String),
    /// Something is wrong.
    WatchError(String),
}

impl Reason {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Wait(text) | Self::WatchError(text) => text,
        }
    }
}

#[derive(Debug)]
struct WatchState {
    watch: Watch,
    is_open: bool,
    is_listed: bool,
    /// Since when it has not been current; none while it is.
    down_since: Option<Instant>,
    /// The refused verb, and since when.
    refused: Option<(&'static str, Instant)>,
    trouble: Option<String>,
}

impl WatchState {
    /// The verb that has been refused for long enough.
    fn denied(&self, now: Instant) -> Option<&'static str> {
        self.refused.filter(|(_, since)| *since + BELIEVED <= now).map(|(verb, _)| verb)
    }
}

/// All watches together.
#[derive(Debug)]
pub(super) struct SyncState {
    url: String,
    parts: Vec<WatchState>,
    was_synced: bool,
}

impl SyncState {
    pub(super) fn new(url: &str, watches: &[Watch], now: Instant) -> Self {
        let part = |watch: &Watch| WatchState {
            watch: watch.clone(),
            is_open: false,
            is_listed: false,
            down_since: Some(now),
            refused: None,
            trouble: None,
        };
        Self { url: url.to_owned(), parts: watches.iter().map(part).collect(), was_synced: false }
    }

    /// Its stream is open or not.
    pub(super) fn set_open(&mut self, watch: usize, is_open: bool, now: Instant) {
        self.change(watch, now, |part| part.is_open = is_open);
    }

    /// All its objects are listed, or it lists them again.
    pub(super) fn set_listed(&mut self, watch: usize, is_listed: bool, now: Instant) {
        self.change(watch, now, |part| part.is_listed = is_listed);
    }

    /// An error occurred.
    pub(super) fn set_trouble(&mut self, watch: usize, trouble: String, now: Instant) {
        self.change(watch, now, |part| part.trouble = Some(trouble));
    }

    /// The server does not allow `verb`.
    pub(super) fn refuse(&mut self, watch: usize, verb: &'static str, now: Instant) {
        let url = self.url.clone();
        self.change(watch, now, |part| {
            let since = part.refused.map_or(now, |(_, since)| since);
            part.refused = Some((verb, since));
            let (watch, grant) = (&part.watch, part.watch.grant());
            part.trouble =
                Some(format!("{url} does not allow headless-obs to {verb} {watch} (403 Forbidden); {grant}"));
        });
    }

    fn change(&mut self, watch: usize, now: Instant, change: impl FnOnce(&mut WatchState)) {
        let Some(part) = self.parts.get_mut(watch) else { return };
        change(part);
        if part.is_open {
            part.refused = None;
        }
        if part.is_open && part.is_listed {
            part.down_since = None;
            part.trouble = None;
        } else {
            part.down_since.get_or_insert(now);
        }
    }

    /// The watches that are refused, each once.
    pub(super) fn refusals(&self, now: Instant) -> Vec<(&Watch, Refusal)> {
        let refusal = |part: &WatchState| part.denied(now).map(|verb| part.watch.refusal(verb));
        let mut refusals: Vec<_> =
            self.parts.iter().filter_map(|part| Some((&part.watch, refusal(part)?))).collect();
        refusals.dedup_by(|(_, a), (_, b)| a == b);
        refusals
    }

    /// The current state.
    pub(super) fn state(&mut self, now: Instant) -> State {
        let is_needed = |part: &&WatchState| part.denied(now).is_none() || part.watch.what.is_vital();
        let down: Vec<_> =
            self.parts.iter().filter(is_needed).filter(|part| part.down_since.is_some()).collect();
        let Some(since) = down.iter().filter_map(|part| part.down_since).min() else {
            self.was_synced = true;
            return State::InTouch;
        };
        match self.was_synced {
            false => State::Waiting(self.reason(&down)),
            true if now < since + GRACE => State::InTouch,
            true => State::Lost(since, self.reason(&down)),
        }
    }

    /// The time at which the state changes without an event.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let lost = self.parts.iter().filter_map(|part| part.down_since).map(|since| since + GRACE);
        let denied = self.parts.iter().filter_map(|part| part.refused).map(|(_, since)| since + BELIEVED);
        lost.chain(denied).filter(|due| *due > now).min()
    }

    /// The reason why the topology is not current.
    fn reason(&self, down: &[&WatchState]) -> Reason {
        // A refusal comes first: it does not go away by itself.
        let refused = down.iter().find(|part| part.refused.is_some());
        if let Some(trouble) = refused.or(down.iter().find(|part| part.trouble.is_some())) {
            return Reason::WatchError(trouble.trouble.clone().unwrap_or_default());
        }
        let mut names: Vec<_> = down.iter().map(|part| part.watch.to_string()).collect();
        names.dedup();
        Reason::Wait(format!("waiting for {} from {}", names.join(", "), self.url))
    }
}

#[cfg(test)]
mod tests;
