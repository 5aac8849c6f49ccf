//! A verdict, as the snapshot shows it. Plain data; see docs/verdicts.md for what each cause means.

use serde::{Deserialize, Serialize};

/// How a client workload spreads its connections over a Service, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// What it was drawn from, a sentence each, with figures.
    pub evidence: Vec<String>,
    /// What to change; nothing if nothing has to be.
    pub fix: Option<String>,
    /// Selections that are still needed to tell; only of [`Cause::TooFew`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub needed: Option<u64>,
}

/// All causes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// As even as random choice, or more.
    Even,
    /// Everything goes to one endpoint for as long as its connection lasts.
    Pinned,
    /// An endpoint is newer than the client's last answer.
    NeverReResolved,
    /// The client uses an answer long after its TTL.
    StaleCache,
    /// It takes the first address, and the server does not shuffle or a cache froze the order.
    AnswerOrder,
    /// The choice follows the address, not its place.
    AddressSort,
    /// It uses an answer that was cut.
    TruncatedAnswer,
    /// It never uses more than so many addresses of an answer.
    ClientCap,
    /// It dials a port that the endpoints do not have.
    PortMismatch,
    /// It dials an address that is another pod's now.
    IpReused,
    /// It dials endpoints that are not ready.
    DialsNotReady,
    /// The DNS server lists endpoints that have left, or lacks ready ones.
    DnsStale,
    /// Each client uses few endpoints, together they are even.
    Subset,
    /// One endpoint fails where others do not.
    FailingEndpoint,
    /// Uneven beyond chance, for no reason known.
    Unexplained,
    /// Too few connections to tell.
    TooFew,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The figures allow other readings.
    Low,
    /// Other readings are unlikely.
    Medium,
    /// No other reading is known.
    High,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 16] = [
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
            Self::Unexplained => "unexplained",
            Self::TooFew => "too_few",
        }
    }

    /// Whether connections are spread worse than they could be (`--fail-on imbalance`).
    pub fn is_imbalance(self) -> bool {
        matches!(
            self,
            Self::Pinned
                | Self::NeverReResolved
                | Self::AnswerOrder
                | Self::AddressSort
                | Self::TruncatedAnswer
                | Self::ClientCap
                | Self::Unexplained
        )
    }

    /// Whether something is dialled that it should not be (`--fail-on stale`).
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
