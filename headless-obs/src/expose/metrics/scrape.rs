//! The input of a scrape: a snapshot, and the detail of each of its Services.
//!
//! Invariant: the figures of a folded Service are summed before they come here. This module only leaves out names, and
//! families that mean nothing without them.

use std::collections::BTreeMap;

use super::cardinality::{Detail, Notice, Plan};
use crate::expose::snapshot::{Client, ClientEndpoint, Endpoint, Service, Snapshot};

/// The input of the series.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The figures.
    pub snapshot: Snapshot,
    /// Services that were folded for the first time, for the log.
    pub notices: Vec<Notice>,
    plans: Vec<Plan>,
    /// Ports as text, for labels to borrow.
    ports: BTreeMap<u16, String>,
}

/// A Service with clients on this node.
#[derive(Clone, Copy, Debug)]
pub struct ServicePlan<'a> {
    /// Its figures.
    pub service: &'a Service,
    /// The decision about its detail.
    pub plan: Plan,
}

/// A client at an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// The Service.
    pub part: ServicePlan<'a>,
    /// The client.
    pub client: &'a Client,
    /// Its figures there.
    pub own: &'a ClientEndpoint,
}

impl Scrape {
    /// `plans` are in the order of the snapshot's Services.
    pub fn new(snapshot: Snapshot, plans: Vec<Plan>, notices: Vec<Notice>) -> Self {
        let clients = || snapshot.services.iter().flat_map(|service| &service.clients);
        let connected_ports = clients().flat_map(connected_ports);
        let wrong = clients().flat_map(|client| client.other_ports.iter().map(|other| other.port));
        let served = snapshot.services.iter().flat_map(served);
        let all = connected_ports.chain(wrong).chain(served);
        let ports = all.map(|port| (port, port.to_string())).collect();
        Self { snapshot, notices, plans, ports }
    }

    /// Every Service with clients on this node, whatever its detail.
    pub fn services(&self) -> impl Iterator<Item = ServicePlan<'_>> {
        let plans = self.plans.iter().copied().chain(std::iter::repeat(Plan::default()));
        let parts =
            self.snapshot.services.iter().zip(plans).map(|(service, plan)| ServicePlan { service, plan });
        parts.filter(|part| !part.service.clients.is_empty() || part.plan.detail == Detail::Nothing)
    }

    /// Those with more detail than the fact that they are folded.
    pub fn described(&self) -> impl Iterator<Item = ServicePlan<'_>> {
        self.services().filter(|part| part.plan.detail < Detail::Nothing)
    }

    /// Every endpoint with series of its own.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Service, &Endpoint)> {
        let parts = self.services().filter(|part| part.plan.detail < Detail::Service && part.is_used());
        parts.flat_map(|part| part.service.endpoints.iter().map(move |endpoint| (part.service, endpoint)))
    }

    /// Every client of every Service.
    pub fn clients(&self) -> impl Iterator<Item = (&Service, &Client)> {
        self.services().flat_map(|part| part.service.clients.iter().map(move |client| (part.service, client)))
    }

    /// Every client that connected.
    pub fn connecting_clients(&self) -> impl Iterator<Item = (&Service, &Client)> {
        self.clients().filter(|(_, client)| has_connected(client))
    }

    /// Every client that connected, where zones are known: that of the node, and that of an endpoint.
    pub fn zoned_clients(&self) -> impl Iterator<Item = (&Service, &Client)> {
        let has_zones = |service: &Service| service.endpoints.iter().any(|endpoint| endpoint.zone.is_some());
        let of_node = self.snapshot.zone.is_some();
        self.connecting_clients()
            .filter(move |(service, client)| of_node && (has_zones(service) || !client.zones.is_unknown()))
    }

    /// Every client that connected, at every endpoint, including those without connections.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        self.services().flat_map(|part| {
            let connecting_clients = part.service.clients.iter().filter(|client| has_connected(client));
            connecting_clients
                .flat_map(move |client| client.endpoints.iter().map(move |own| Edge { part, client, own }))
        })
    }

    /// The edges of each client, with the ports that it may use there.
    pub fn edges_with_ports(&self) -> impl Iterator<Item = (Edge<'_>, Vec<u16>)> {
        self.services().flat_map(|part| {
            let connecting_clients = part.service.clients.iter().filter(|client| has_connected(client));
            connecting_clients.flat_map(move |client| {
                let mut ports: Vec<u16> = connected_ports(client).collect();
                if ports.is_empty() {
                    ports.extend(served(part.service));
                }
                ports.sort_unstable();
                ports.dedup();
                client.endpoints.iter().map(move |own| (Edge { part, client, own }, ports.clone()))
            })
        })
    }

    /// A port as a label.
    pub fn port(&self, port: u16) -> &str {
        self.ports.get(&port).map_or("", String::as_str)
    }
}

impl From<Snapshot> for Scrape {
    fn from(snapshot: Snapshot) -> Self {
        Self::new(snapshot, Vec::new(), Vec::new())
    }
}

impl ServicePlan<'_> {
    fn is_used(&self) -> bool {
        self.service.clients.iter().any(has_connected)
    }
}

impl<'a> Edge<'a> {
    /// The endpoint in figures of spread.
    pub fn pod(&self) -> &'a str {
        if self.part.plan.detail < Detail::Service { &self.own.pod } else { "" }
    }

    /// The endpoint in figures of paths.
    pub fn pod_of_path(&self) -> &'a str {
        if self.part.plan.detail < Detail::Counts { &self.own.pod } else { "" }
    }

    /// The endpoint in all other figures.
    pub fn pod_of_details(&self) -> &'a str {
        if self.part.plan.detail < Detail::Essentials { &self.own.pod } else { "" }
    }
}

/// Whether a client connected or tried to; others only received answers.
fn has_connected(client: &Client) -> bool {
    client.opened + client.failed + client.active > 0
        || !client.resolution.is_empty()
        || !client.other_ports.is_empty()
}

fn connected_ports(client: &Client) -> impl Iterator<Item = u16> {
    client.endpoints.iter().flat_map(|own| own.ports.iter().map(|counts| counts.port))
}

fn served(service: &Service) -> impl Iterator<Item = u16> {
    service.endpoints.iter().flat_map(|endpoint| endpoint.ports.iter().copied())
}
