//! Open connections one by one, the first ones of an order.
//!
//! In: a query, and readings of everything that is open. Out: rows of at most so many connections, and the number of the
//! others.
//!
//! Invariant: a listing has room for twice the rows that are asked for, whatever the number of connections.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use headless_obs_ebpf::flow::FlowKey;
use headless_obs_ebpf::reading::Reading;

use super::KernelState;
use crate::engine::reconcile::Id;
use crate::engine::{Engine, ip};
use crate::expose::connection_list::{
    ConnectionList, ConnectionOrder, ConnectionQuery, ConnectionReading, MOST, OpenConnection, UsedAnswer,
};
use crate::expose::snapshot::SCHEMA;
use crate::expose::trace_events::{ClientName, ServiceName};
use crate::hash::HashSet;
use crate::ledger::CellKey;
use crate::time::Time;
use crate::topology::ServiceId;

/// The name of the probe whose readings tell what connections carry.
const LOAD: &str = "load";

/// The program behind a connection: its process, if that is known, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its number on the node.
    pub process: Option<u32>,
    /// Its name, clean.
    pub name: String,
}

/// A list in the making.
#[derive(Debug)]
pub struct Listing {
    query: ConnectionQuery,
    services: HashSet<ServiceId>,
    found: Vec<Found>,
    /// All that were asked for.
    open: u64,
}

/// A connection that was asked for.
#[derive(Clone, Copy, Debug)]
struct Found {
    flow: FlowKey,
    id: Id,
    cell: CellKey,
    reading: Option<Reading>,
}

impl Listing {
    fn add(&mut self, found: Found) {
        self.found.push(found);
        if self.found.len() >= 2 * self.query.limit.max(1) {
            self.cut();
        }
    }

    /// Keeps the first ones of the order.
    fn cut(&mut self) {
        let order = self.query.order;
        self.found.sort_unstable_by_key(|found| found.rank(order));
        self.found.truncate(self.query.limit);
    }

    /// The socket of each row, and when its connection was started; 0 if that is not known.
    pub fn sockets(&self) -> impl Iterator<Item = (u64, Time)> + use<> {
        let ids: Vec<_> = self.found.iter().map(|found| (found.id.1, Time(found.id.0))).collect();
        ids.into_iter()
    }
}

impl Found {
    /// The least is the first.
    fn rank(&self, order: ConnectionOrder) -> (Reverse<u64>, Id) {
        (Reverse(self.reading.as_ref().map_or(0, |reading| of(reading).weight(order))), self.id)
    }
}

impl Engine {
    /// Begins a list.
    pub fn begin_listing(&self, query: ConnectionQuery) -> Listing {
        let is_wanted = |name: &ServiceName| query.service.matches(&name.namespace, &name.name);
        let all = self.topology.services().map(|state| state.id());
        let services = all.filter(|id| self.service_name(*id).is_some_and(|name| is_wanted(&name))).collect();
        let query = ConnectionQuery { limit: query.limit.min(MOST), ..query };
        Listing { query, services, found: Vec::new(), open: 0 }
    }

    /// Takes readings into the list.
    pub fn list(&self, listing: &mut Listing, readings: &[Reading]) {
        for reading in readings {
            let id = (reading.started, reading.socket);
            let cell = self.reconciler.cell_of(reading).filter(|cell| self.is_listed(listing, cell));
            if let Some(cell) = cell {
                listing.add(Found { flow: reading.flow, id, cell, reading: Some(*reading) });
            }
        }
    }

    /// Ends a list of which every reading was taken; `are_read`: there are readings.
    pub fn end_listing(&self, listing: &mut Listing, are_read: bool) {
        if !are_read {
            listing.found.clear();
            for (flow, id, cell) in self.reconciler.each_open() {
                if self.is_listed(listing, &cell) {
                    listing.add(Found { flow: *flow, id, cell, reading: None });
                }
            }
        }
        let counted = self.reconciler.open_connections();
        let counted = counted.filter(|(_, cell, ..)| self.is_listed(listing, cell));
        listing.open = counted.map(|(_, _, count, _)| count).sum();
        listing.cut();
        listing.open = listing.open.max(listing.found.len() as u64);
    }

    /// The list. `programs`: by socket.
    pub fn connection_list(
        &self,
        listing: &Listing,
        kernel: &KernelState,
        programs: &BTreeMap<u64, Program>,
    ) -> ConnectionList {
        let row = |found: &Found| self.row(found, programs.get(&found.id.1));
        let connections: Vec<_> = listing.found.iter().map(row).collect();
        let mut services: Vec<_> =
            listing.services.iter().filter_map(|service| self.service_name(*service)).collect();
        services.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        ConnectionList {
            schema: SCHEMA.to_owned(),
            node: kernel.node.clone(),
            at: self.wall(kernel.to),
            services,
            order: listing.query.order,
            load: kernel.hooks.get(LOAD).map_or("none", String::as_str).to_owned(),
            open: listing.open,
            left_out: listing.open - connections.len() as u64,
            connections,
            nodes: Vec::new(),
        }
    }

    fn is_listed(&self, listing: &Listing, cell: &CellKey) -> bool {
        let is_wanted = || {
            let (namespace, workload) = self.client_names(cell.client);
            listing.query.client.as_ref().is_none_or(|wanted| wanted.matches(namespace, workload))
        };
        listing.services.contains(&cell.endpoint.service) && is_wanted()
    }

    fn row(&self, found: &Found, program: Option<&Program>) -> OpenConnection {
        let Found { flow, id, cell, reading } = found;
        let endpoint = self.topology.endpoint(cell.endpoint);
        let answer = self.reconciler.answer_of(flow, *id).map(|answer| UsedAnswer {
            name: answer.name.to_string(),
            at: self.wall(answer.at),
            position: answer.position.into(),
            size: answer.size.into(),
        });
        let (namespace, workload) = self.client_names(cell.client);
        OpenConnection {
            node: None,
            service: self.service_name(cell.endpoint.service).unwrap_or_default(),
            client: ClientName { namespace: namespace.to_owned(), workload: workload.to_owned() },
            client_pod: self.clients.pod_name(&self.topology, flow.cgroup, ip(flow.source)),
            program: program.map(|program| program.name.clone()),
            process: program.and_then(|program| program.process),
            source: ip(flow.source).to_string(),
            source_port: reading.map(|reading| reading.source_port),
            pod: endpoint.map(|endpoint| endpoint.label().to_string()),
            address: ip(flow.destination).to_string(),
            port: flow.port,
            opened: (id.0 > 0).then(|| self.wall(Time(id.0))),
            resolution: cell.resolution.as_str().to_owned(),
            answer,
            reading: reading.as_ref().map(of),
        }
    }
}

fn of(reading: &Reading) -> ConnectionReading {
    ConnectionReading {
        bytes_sent: reading.bytes_sent,
        bytes_received: reading.bytes_received,
        retransmitted: reading.retransmitted.into(),
        rtt_us: Some(reading.rtt.into()).filter(|rtt| *rtt > 0),
        least_rtt_us: Some(reading.min_rtt).filter(|rtt| *rtt != u32::MAX).map(u64::from),
        unsent_bytes: reading.unsent.into(),
        unacknowledged_bytes: reading.unacknowledged.into(),
    }
}
