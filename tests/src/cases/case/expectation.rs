//! The demands on a report.

use std::collections::BTreeMap;
use std::fmt;

use headless_obs::expose::snapshot::Cause;
use serde::Deserialize;
use serde_json::Value;

use super::{Names, Span};
use crate::metrics::Selector;

/// An expectation. Everything in it must hold in one snapshot.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expectation {
    /// The time that it may take until it holds.
    pub(crate) within: Option<Span>,
    /// The stretch of time that the report is about, as for the option `--last`.
    pub(crate) last: Option<String>,
    /// The reason why the report does not say this yet. The case is then reported as open, and does not fail.
    pub(crate) open: Option<String>,
    /// Service → client → its verdict.
    pub(crate) clients: BTreeMap<String, BTreeMap<String, Claims>>,
    /// A part of the snapshot: `Field: value`, with the names of Services, clients and pods as fields of lists.
    pub(crate) snapshot: serde_json::Map<String, Value>,
    /// Series → their sum, or a comparison with it, or `absent`.
    pub(crate) metrics: BTreeMap<Selector, Value>,
    /// Services whose endpoints opened exactly what their servers accepted, from each client.
    pub(crate) exact: Names,
    pub(crate) report: Texts,
    /// Service → texts of `explain`.
    pub(crate) explain: BTreeMap<String, Texts>,
    /// Findings such as `imbalance,idle` → the exit code of `report --fail-on`.
    pub(crate) fail_on: BTreeMap<String, i32>,
}

/// Texts that an output has, and texts that it must not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Texts {
    pub(crate) says: Names,
    pub(crate) does_not_say: Names,
}

/// One claim about a client, or several that must all be true.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Names")]
pub(crate) struct Claims(pub(crate) Vec<Claim>);

impl TryFrom<Names> for Claims {
    type Error = String;

    fn try_from(texts: Names) -> Result<Self, String> {
        texts.0.into_iter().map(Claim::try_from).collect::<Result<_, _>>().map(Self)
    }
}

/// A demand on a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// `even`, or `pinned high` with the confidence.
    Verdict { cause: Cause, confidence: Option<String> },
    /// `not pinned`: it is listed, and this is not its verdict.
    Not(Cause),
    /// `no alarm`: it is listed, and its verdict tells nobody to do anything.
    NoAlarm,
    /// `not high`: it is listed, and its verdict is not of high confidence.
    NotHigh,
    /// `no verdict`
    NoVerdict,
    /// `withheld losses`
    Withheld(String),
    /// `listed`
    Listed,
    /// `absent`
    Absent,
}

impl Texts {
    pub(crate) fn is_empty(&self) -> bool {
        self.says.0.is_empty() && self.does_not_say.0.is_empty()
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict { cause, confidence: None } => formatter.write_str(cause.as_str()),
            Self::Verdict { cause, confidence: Some(word) } => write!(formatter, "{} {word}", cause.as_str()),
            Self::Not(cause) => write!(formatter, "not {}", cause.as_str()),
            Self::NoAlarm => formatter.write_str("no alarm"),
            Self::NotHigh => formatter.write_str("not high"),
            Self::NoVerdict => formatter.write_str("no verdict"),
            Self::Withheld(reason) => write!(formatter, "withheld {reason}"),
            Self::Listed => formatter.write_str("listed"),
            Self::Absent => formatter.write_str("absent"),
        }
    }
}

const CONFIDENCES: [&str; 3] = ["low", "medium", "high"];

impl TryFrom<String> for Claim {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let cause = |word: &str| {
            let found = Cause::ALL.into_iter().find(|cause| cause.as_str() == word);
            found.ok_or_else(|| {
                let all: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
                format!("{word:?} is no cause; there are {}", all.join(", "))
            })
        };
        match words.as_slice() {
            ["listed"] => Ok(Self::Listed),
            ["absent"] => Ok(Self::Absent),
            ["no", "alarm"] => Ok(Self::NoAlarm),
            ["no", "verdict"] => Ok(Self::NoVerdict),
            ["not", "high"] => Ok(Self::NotHigh),
            ["not", word] => cause(word).map(Self::Not),
            ["withheld", reason] => Ok(Self::Withheld((*reason).to_owned())),
            [word] => Ok(Self::Verdict { cause: cause(word)?, confidence: None }),
            [word, confidence] if CONFIDENCES.contains(confidence) => {
                Ok(Self::Verdict { cause: cause(word)?, confidence: Some((*confidence).to_owned()) })
            }
            _ => Err(format!(
                "{text:?} says nothing about a client; write a cause such as `even` or `pinned high`, `not pinned`, `not \
                 high`, `no alarm`, `no verdict`, `withheld losses`, `listed` or `absent`"
            )),
        }
    }
}
