//! A verdict, in the form of the snapshot. Plain data; docs/verdicts.md explains each cause.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The way in which a client workload spreads its connections over a Service, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// Its certainty.
    pub confidence: Confidence,
    /// The evidence: sentences with figures.
    pub evidence: Vec<String>,
    /// Other causes that would look the same; with any, the confidence is not high.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub alternatives: Vec<Cause>,
    /// For [`Cause::AsIntended`]: the cause without the annotation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead_of: Option<Cause>,
    /// The change to make; nothing if nothing is wrong.
    pub fix: Option<String>,
    /// The number of further selections that are needed; only for [`Cause::TooFew`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub needed: Option<u64>,
    /// Since when it holds, as far back as the facts show.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// The verdict before that; nothing if there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Cause>,
    /// The length of the stretch of time that the evidence is about, in seconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub stretch_seconds: f64,
}

impl Verdict {
    /// Takes a memory of the same verdict: since when it holds, and the one before it. A memory of another verdict before
    /// knows the time better than the stretches of time do, because a sign shows in longer ones, too.
    pub(crate) fn remember(&mut self, since: Timestamp, before: Option<Cause>) {
        let shown = self.since.filter(|_| before.is_none());
        self.since = Some(shown.map_or(since, |shown| shown.min(since)));
        self.before = before;
    }
}

/// Whether nothing is known.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// A change of the verdict on a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictChange {
    /// The time at which the daemon found it.
    pub at: Timestamp,
    /// Namespace of the Service.
    #[serde(skip)]
    pub service_namespace: String,
    /// Name of the Service.
    #[serde(skip)]
    pub service: String,
    /// Namespace of the client.
    pub namespace: String,
    /// Workload of the client.
    pub workload: String,
    /// The verdict before; nothing if there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Cause>,
    /// The verdict since; nothing if the facts of that time give none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Cause>,
    /// Since when it holds.
    pub since: Timestamp,
    /// If something wrong ended: what changed meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub after: Vec<String>,
}

/// All causes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// At least as even as random choice, or uneven without harm.
    Even,
    /// All connections go to one endpoint while its connection lasts.
    Pinned,
    /// An endpoint is newer than the client's last answer.
    NeverReResolved,
    /// The client uses an answer long after its TTL.
    StaleCache,
    /// It takes the first address, and the server does not shuffle or a cache froze the order.
    AnswerOrder,
    /// The client selects by address, not by position.
    AddressSort,
    /// It uses truncated answers.
    TruncatedAnswer,
    /// It uses only the first addresses of an answer.
    ClientCap,
    /// It connects to a port that the endpoints do not have.
    PortMismatch,
    /// It connects to an address that another pod has now.
    IpReused,
    /// It connects to endpoints that are not ready.
    DialsNotReady,
    /// The DNS server lists endpoints that have left, or lacks ready ones.
    DnsStale,
    /// Each client uses few endpoints, together they are even.
    Subset,
    /// Some endpoints fail where others do not.
    FailingEndpoint,
    /// The client gives up attempts before an answer can come.
    GivesUpEarly,
    /// It cannot connect, and no endpoint alone is the reason.
    CannotConnect,
    /// The DNS server lists only a part of the endpoints in each answer.
    AnswerLimit,
    /// It tries endpoints and stays with the one that has a role.
    SeeksRole,
    /// It is not even, and an annotation says that this is meant.
    AsIntended,
    /// It prefers the endpoints of its own zone, and is even among them.
    ZoneAware,
    /// Its connections are even, and what they carry is not.
    UnevenLoad,
    /// It takes much longer to connect to one endpoint than to the others.
    SlowEndpoint,
    /// More uneven than chance, without a known reason.
    Unexplained,
    /// Too few connections for a verdict.
    #[default]
    TooFew,
}

/// The certainty of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The figures permit other explanations.
    #[default]
    Low,
    /// Other explanations are unlikely.
    Medium,
    /// No other explanation is known.
    High,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 24] = [
        Self::Even,
        Self::Pinned,
        Self::NeverReResolved,
        Self::StaleCache,
        Self::AnswerOrder,
        Self::AddressSort,
        Self::TruncatedAnswer,
        Self::ClientCap,
        Self::PortMismatch,
        Self::IpReused,
        Self::DialsNotReady,
        Self::DnsStale,
        Self::Subset,
        Self::FailingEndpoint,
        Self::GivesUpEarly,
        Self::CannotConnect,
        Self::AnswerLimit,
        Self::SeeksRole,
        Self::AsIntended,
        Self::ZoneAware,
        Self::UnevenLoad,
        Self::SlowEndpoint,
        Self::Unexplained,
        Self::TooFew,
    ];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Pinned => "pinned",
            Self::NeverReResolved => "never_re_resolved",
            Self::StaleCache => "stale_cache",
            Self::AnswerOrder => "answer_order",
            Self::AddressSort => "address_sort",
            Self::TruncatedAnswer => "truncated_answer",
            Self::ClientCap => "client_cap",
            Self::PortMismatch => "port_mismatch",
            Self::IpReused => "ip_reused",
            Self::DialsNotReady => "dials_not_ready",
            Self::DnsStale => "dns_stale",
            Self::Subset => "subset",
            Self::FailingEndpoint => "failing_endpoint",
            Self::GivesUpEarly => "gives_up_early",
            Self::CannotConnect => "cannot_connect",
            Self::AnswerLimit => "answer_limit",
            Self::SeeksRole => "seeks_role",
            Self::AsIntended => "as_intended",
            Self::ZoneAware => "zone_aware",
            Self::UnevenLoad => "uneven_load",
            Self::SlowEndpoint => "slow_endpoint",
            Self::Unexplained => "unexplained",
            Self::TooFew => "too_few",
        }
    }

    /// Whether nothing is wrong.
    pub fn is_well(self) -> bool {
        matches!(
            self,
            Self::Even | Self::Subset | Self::SeeksRole | Self::AsIntended | Self::ZoneAware | Self::TooFew
        )
    }

    /// Whether the spread is worse than it could be (`--fail-on imbalance`).
    pub fn is_imbalance(self) -> bool {
        matches!(
            self,
            Self::Pinned
                | Self::NeverReResolved
                | Self::AnswerOrder
                | Self::AddressSort
                | Self::TruncatedAnswer
                | Self::ClientCap
                | Self::AnswerLimit
                | Self::UnevenLoad
                | Self::Unexplained
        )
    }

    /// Whether the client connects to wrong targets (`--fail-on stale`).
    pub fn is_stale(self) -> bool {
        matches!(self, Self::StaleCache | Self::IpReused | Self::DialsNotReady | Self::DnsStale)
    }
}

impl Confidence {
    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
