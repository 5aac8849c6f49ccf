//! The lines of a trace that a daemon sends: events, and what happened to the trace itself. Plain data; one JSON object
//! per line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::trace_events::TraceEvent;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TraceLine {
    /// An event.
    Event(TraceEvent),
    /// Something about the trace.
    Remark(Remark),
}

/// Something about the trace; `kind` in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remark {
    /// Every event from here on follows.
    Begin(Begin),
    /// So many events are missing here.
    Missed {
        /// Now.
        time: Timestamp,
        /// The number.
        events: u64,
    },
    /// Nothing happened for a while.
    Alive {
        /// Now.
        time: Timestamp,
    },
    /// The daemon cannot be followed at the moment; only in what `trace` prints.
    Lost {
        /// Now.
        time: Timestamp,
        /// Why.
        reason: String,
    },
    /// No further events follow.
    End {
        /// Now.
        time: Timestamp,
        /// Why.
        reason: String,
    },
}

/// The beginning of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Now.
    pub time: Timestamp,
    /// As [`super::snapshot::SCHEMA`].
    pub schema: String,
    /// The node.
    pub node: String,
    /// The time at which the observation began: another one after each start of the daemon.
    pub observation: Timestamp,
    /// The time since which events are missing, because the trace was interrupted; only in what `trace` prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Whether another observation was followed before; only in what `trace` prints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarted: bool,
}

impl From<TraceEvent> for TraceLine {
    fn from(event: TraceEvent) -> Self {
        Self::Event(event)
    }
}

impl From<Remark> for TraceLine {
    fn from(remark: Remark) -> Self {
        Self::Remark(remark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::{at, trace_events};

    #[test]
    fn every_line_reads_back() {
        let begin = Begin { time: at(1), node: "n1".into(), ..Begin::default() };
        let remarks = [
            Remark::Begin(begin),
            Remark::Missed { time: at(2), events: 7 },
            Remark::Alive { time: at(3) },
            Remark::Lost { time: at(3), reason: "away".into() },
            Remark::End { time: at(4), reason: "it stops".into() },
        ];
        let events = trace_events().into_iter().map(TraceLine::from);
        for line in events.chain(remarks.map(TraceLine::from)) {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<TraceLine>(&text).unwrap(), line, "{text}");
        }
        for wrong in [r#"{"kind":"else"}"#, r#"{"kind":"missed"}"#, "{}", "7"] {
            assert!(serde_json::from_str::<TraceLine>(wrong).is_err(), "{wrong}");
        }
    }
}
