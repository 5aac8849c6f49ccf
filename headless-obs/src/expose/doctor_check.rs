//! A finding of `doctor`: the subject, the result, and what to do.

use serde::Serialize;

use crate::topology::intent::NotObeyed;

/// The most annotations that are named.
const NAMED: usize = 20;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In order.
    Ok,
    /// It works, but something is missing.
    Warn,
    /// It does not work.
    Fail,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The subject, in a few words.
    pub name: String,
    /// The result.
    pub status: Status,
    /// The result of the check.
    pub found: String,
    /// The remedy; nothing if everything is in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// A finding without a problem.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Ok, found: found.into(), remedy: None }
    }

    /// A finding for something that works, but is not complete.
    pub fn warn(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Annotations that are not obeyed; nothing if there are none.
    pub fn annotations(wrong: impl IntoIterator<Item = NotObeyed>) -> Option<Self> {
        let mut lines: Vec<String> = wrong.into_iter().map(|wrong| wrong.to_string()).collect();
        lines.sort();
        let more = lines.len().saturating_sub(NAMED);
        lines.truncate(NAMED);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        let remedy = "correct or remove them; until then they change nothing";
        (!lines.is_empty())
            .then(|| Self::warn("annotations", format!("not obeyed: {}", lines.join("; ")), remedy))
    }

    /// A finding for something that does not work.
    pub fn fail(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}
