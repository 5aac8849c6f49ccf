//! Facts for the tests of rules: a client without problems, which each case changes.

use crate::expose::snapshot::{Client, ClientEndpoint, Endpoint, Quality, Service, Spread, TopologyState};
use crate::expose::test_fixtures::at;
use crate::spread;
use crate::verdict::RuleContext;

/// The data that the facts borrow.
pub(super) struct Facts {
    pub(super) quality: Quality,
    pub(super) service: Service,
    pub(super) client: Client,
}

impl Facts {
    /// shop/web with one pod. It has this number of connections to pod-0, pod-1 …, each by an answer of its own. All
    /// endpoints are as old as the observation and known to the client, which is still active.
    pub(super) fn new(counts: &[u64]) -> Self {
        let total = counts.iter().sum();
        let spread = spread::of(counts);
        let pods = || (0..counts.len()).map(|number| format!("pod-{number}"));
        let endpoint = |pod| Endpoint {
            pod,
            state: "ready".to_owned(),
            ready_since: Some(at(0)),
            mature: true,
            ..Endpoint::default()
        };
        let own = |(pod, count): (String, &u64)| ClientEndpoint {
            pod,
            opened: *count,
            counted: *count,
            lasting: *count,
            selections: *count,
            expected: spread.connections as f64 / spread.endpoints as f64,
            answered_pods: 1,
            last_connection: (*count > 0).then(|| at(2_000)),
            ..ClientEndpoint::default()
        };
        let mut client = Client {
            namespace: "shop".to_owned(),
            workload: "web".to_owned(),
            opened: total,
            pods: 1,
            spread,
            selections: spread,
            open: spread::of(&vec![0; counts.len()]),
            endpoints: pods().zip(counts).map(own).collect(),
            ..Client::default()
        };
        if total > 0 {
            client.resolution.insert("service".to_owned(), total);
        }
        client.answers.last = Some(at(2_000));
        client.answers.last_of_oldest = Some(at(2_000));
        (client.answers.count, client.selection_pattern.selections) = (total, total);
        (client.answers.smallest, client.answers.largest) = (spread.endpoints, spread.endpoints);
        let service = Service { endpoints: pods().map(endpoint).collect(), spread, ..Service::default() };
        let topology = TopologyState { synced: true, ..TopologyState::default() };
        Self { quality: Quality { topology, ..Quality::default() }, service, client }
    }

    /// This number of connections, as even as possible.
    pub(super) fn even(endpoints: u64, connections: u64) -> Self {
        let share = |place| connections / endpoints + u64::from(place < connections % endpoints);
        Self::new(&(0..endpoints).map(share).collect::<Vec<_>>())
    }

    /// This number of connections, open since before the start.
    pub(super) fn held(open: &[u64]) -> Self {
        let mut facts = Self::new(&vec![0; open.len()]);
        for (own, count) in facts.client.endpoints.iter_mut().zip(open) {
            own.active = *count;
        }
        facts.client.active = open.iter().sum();
        facts.client.open = spread::of(open);
        facts.client.selections = Spread::default();
        facts.service.open = facts.client.open;
        facts
    }

    pub(super) fn scene(&self) -> RuleContext<'_> {
        RuleContext {
            quality: &self.quality,
            began: at(0),
            from: at(0),
            to: at(2_000),
            mature_after_seconds: 600.0,
            service: &self.service,
            client: &self.client,
        }
    }
}
