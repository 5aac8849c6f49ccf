//! The facts for a verdict: one client, its Service, and the quality of the snapshot; and functions that several rules
//! use.

use jiff::Timestamp;

use super::remedies;
use crate::expose::snapshot::{
    Cause, Client, ClientEndpoint, Confidence, Endpoint, Quality, Service, Snapshot, Spread, Verdict,
};

/// Seconds below which a stretch shows no habits.
const GLIMPSE: f64 = 300.0;

/// One client of one Service.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// The quality of the snapshot.
    pub quality: &'a Quality,
    /// The time at which observation began.
    pub began: Timestamp,
    /// The start of the stretch that the facts are about.
    pub from: Timestamp,
    /// The time at which the snapshot was taken.
    pub to: Timestamp,
    /// The maturity.
    pub mature_after_seconds: f64,
    /// The Service.
    pub service: &'a Service,
    /// Its client.
    pub client: &'a Client,
}

impl<'a> RuleContext<'a> {
    /// A client as the snapshot shows it.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, service: &'a Service, client: &'a Client) -> Self {
        Self {
            quality: &snapshot.quality,
            began: snapshot.began.unwrap_or(snapshot.from),
            from: snapshot.from,
            to: snapshot.to,
            mature_after_seconds: snapshot.mature_after_seconds,
            service,
            client,
        }
    }

    /// Length of the stretch.
    pub(super) fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }

    /// Whether the stretch is too short for evidence that does not depend on the number of connections: a client that
    /// happened to be quiet looks like one that does nothing else.
    pub(super) fn is_glimpse(&self) -> bool {
        self.from > self.began && self.seconds() < GLIMPSE
    }

    /// The Service's endpoints, with the client's row at each.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'a Endpoint, &'a ClientEndpoint)> {
        rows(&self.service.endpoints, self.client)
    }

    /// Those that are mature and that the client could choose: not itself, and of a part those that it was told of.
    pub(super) fn mature(&self) -> impl Iterator<Item = (&'a Endpoint, &'a ClientEndpoint)> {
        options(&self.service.endpoints, self.client)
    }

    /// Whether the client's own pods are endpoints of the Service.
    pub(super) fn is_member(&self) -> bool {
        self.client.endpoints.iter().any(|own| own.own_pods > 0)
    }

    /// The number of endpoints among which one pod of the client can choose: a member never connects to itself.
    pub(super) fn options(&self) -> u64 {
        let is_told = |own: &ClientEndpoint| own.offered || !self.client.by_part;
        let told = || self.rows().filter(|(endpoint, own)| endpoint.mature && is_told(own));
        let has_itself = told().any(|(_, own)| own.own_pods > 0);
        (told().count() as u64).saturating_sub(u64::from(has_itself))
    }

    /// The number of the Service's mature endpoints in the answers of a client that chooses among a part of them.
    pub(super) fn part(&self) -> Option<(u64, u64)> {
        let mature = || self.rows().filter(|(endpoint, _)| endpoint.mature);
        let told = mature().filter(|(_, own)| own.offered).count() as u64;
        self.client.by_part.then(|| (told, mature().count() as u64))
    }

    /// The Service's other clients that count.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a Client> {
        let name = |client: &'a Client| (&client.namespace, &client.workload);
        let own = name(self.client);
        self.service.clients.iter().filter(move |other| name(other) != own && other.excluded.is_none())
    }

    /// Connections and attempts, including those to ports that endpoints do not have.
    pub(super) fn attempts(&self) -> u64 {
        let client = self.client;
        let others = client.other_ports.iter().map(|port| port.connections.saturating_sub(port.opened));
        client.opened + client.failed + others.sum::<u64>()
    }

    /// Whether this is a significant share of the client's connections.
    pub(super) fn is_significant_share(&self, connections: u64) -> bool {
        connections > 0 && connections.saturating_mul(100) >= self.attempts()
    }

    /// The relevant spread: that of connections opened, or of open ones if none was opened.
    pub(super) fn spread(&self) -> &'a Spread {
        let client = self.client;
        if client.spread.connections > 0 { &client.spread } else { &client.open }
    }

    /// Selections. They are not known for connections that are older than the daemon, and for those without an event
    /// record.
    pub(super) fn selections(&self) -> &'a Spread {
        &self.client.selections
    }

    /// Endpoints that count.
    pub(super) fn endpoints(&self) -> u64 {
        self.spread().endpoints
    }

    /// The client's name for output.
    pub(super) fn name(&self) -> String {
        let client = self.client;
        if client.namespace.is_empty() {
            client.workload.clone()
        } else {
            format!("{}/{}", client.namespace, client.workload)
        }
    }

    /// A verdict with its fix.
    pub(super) fn verdict(&self, cause: Cause, confidence: Confidence, evidence: Vec<String>) -> Verdict {
        let fix = remedies::of(cause, self.client, Some(self.service));
        Verdict { cause, confidence, evidence, fix, ..Verdict::default() }
    }
}

/// Endpoints, with a client's row at each.
fn rows<'a>(
    endpoints: &'a [Endpoint],
    client: &'a Client,
) -> impl Iterator<Item = (&'a Endpoint, &'a ClientEndpoint)> {
    // Rows are in the same order; a pod that came back under its name has two.
    let rows = endpoints.iter().zip(&client.endpoints);
    rows.filter(|(endpoint, own)| endpoint.pod == own.pod)
}

/// Those that are mature and that the client could choose.
pub(super) fn options<'a>(
    endpoints: &'a [Endpoint],
    client: &'a Client,
) -> impl Iterator<Item = (&'a Endpoint, &'a ClientEndpoint)> {
    let by_part = client.by_part;
    rows(endpoints, client).filter(move |(endpoint, own)| endpoint.mature && own.is_option(by_part))
}
