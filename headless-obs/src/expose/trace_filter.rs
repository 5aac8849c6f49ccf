//! The events of a trace that somebody asks for.
//!
//! In: names and kinds, or a request's text. Out: whether an event is meant.

use std::str::FromStr;

use super::object_filter::ObjectFilter;
use super::trace_events::{TraceEvent, What};

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// A connection was established.
    Opened,
    /// An attempt failed.
    Failed,
    /// A connection ended.
    Closed,
    /// A DNS response arrived.
    Dns,
    /// A verdict changed.
    Verdict,
}

impl TraceKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Opened, Self::Failed, Self::Closed, Self::Dns, Self::Verdict];

    /// The name in requests and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Dns => "dns",
            Self::Verdict => "verdict",
        }
    }

    /// The kind of an event.
    #[must_use]
    pub fn of(event: &TraceEvent) -> Self {
        match event.what {
            What::Opened(_) => Self::Opened,
            What::Failed(_) => Self::Failed,
            What::Closed(_) => Self::Closed,
            What::Dns(_) => Self::Dns,
            What::Verdict(_) => Self::Verdict,
        }
    }
}

impl FromStr for TraceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("write {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// The events that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Those of this Service.
    pub service: Option<ObjectFilter>,
    /// Those of this client.
    pub client: Option<ObjectFilter>,
    /// Those of these kinds; none given: of all.
    pub kinds: Vec<TraceKind>,
}

impl TraceFilter {
    /// Whether an event is meant.
    #[must_use]
    pub fn matches(&self, event: &TraceEvent) -> bool {
        let is_service = |wanted: &ObjectFilter| {
            event.service.as_ref().is_some_and(|service| wanted.matches(&service.namespace, &service.name))
        };
        let is_client =
            |wanted: &ObjectFilter| wanted.matches(&event.client.namespace, &event.client.workload);
        self.service.as_ref().is_none_or(is_service)
            && self.client.as_ref().is_none_or(is_client)
            && (self.kinds.is_empty() || self.kinds.contains(&TraceKind::of(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::trace_events;

    #[test]
    fn each_part_selects() {
        let kept = |filter: TraceFilter| trace_events().iter().filter(|event| filter.matches(event)).count();
        let all = trace_events().len();
        assert_eq!(kept(TraceFilter::default()), all);
        let service = |text: &str| Some(text.parse().unwrap());
        for (filter, expected) in [
            (TraceFilter { service: service("shop/orders"), ..TraceFilter::default() }, 3),
            (TraceFilter { service: service("x/orders"), ..TraceFilter::default() }, 0),
            (TraceFilter { client: service("shop/web"), ..TraceFilter::default() }, all),
            (TraceFilter { client: service("cron"), ..TraceFilter::default() }, 0),
            (TraceFilter { kinds: vec![TraceKind::Opened], ..TraceFilter::default() }, 2),
            (
                TraceFilter {
                    service: service("orders"),
                    kinds: vec![TraceKind::Dns, TraceKind::Failed],
                    ..TraceFilter::default()
                },
                2,
            ),
        ] {
            assert_eq!(kept(filter.clone()), expected, "{filter:?}");
        }
    }

    #[test]
    fn kinds_have_the_names_of_the_events() {
        for event in trace_events() {
            let json = serde_json::to_value(&event).unwrap();
            let kind = TraceKind::of(&event);
            assert_eq!((json["kind"].as_str(), kind.as_str().parse()), (Some(kind.as_str()), Ok(kind)));
        }
        assert!("open".parse::<TraceKind>().unwrap_err().contains("opened, failed, closed, dns, verdict"));
    }
}
