//! The engine's state as the input of series: [`Scrape`].
//!
//! Invariants: it has only Services with clients on this node. A Service is folded before its figures are computed, so
//! the governor's limits bound the work, not endpoints times clients. Sums per client and Service never decrease,
//! whatever endpoint is forgotten.

use std::sync::Arc;
use std::time::Duration;

use super::counted::Sources;
use super::{CellRow, Common, KernelState, Moment, View, Who};
use crate::engine::Engine;
use crate::engine::client_stats::ClientStats;
use crate::engine::connection_history::ConnectionHistory;
use crate::expose::metrics::Scrape;
use crate::expose::metrics::cardinality::{ClientLabels, Detail, Load};
use crate::expose::snapshot::Unanswered;
use crate::hash::HashSet;
use crate::ledger::CellKey;
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::{self, ServiceState, State};
use crate::windowed::Stretch;

/// The time that an endpoint keeps its series after it was removed.
pub(super) const KEEP_SERIES: Duration = Duration::from_secs(15 * 60);

impl Engine {
    /// The input of series.
    pub fn scrape(&mut self, kernel: &KernelState) -> Scrape {
        self.update_verdicts(kernel);
        let mut governor = std::mem::take(&mut self.governor);
        let labels = governor.client_labels();
        let counted = self.counted_for_series();
        let moment = Moment::new(kernel, Stretch::All, &counted);
        let common =
            Common { moment, counted: &counted, pod_detail: None, history: ConnectionHistory::default() };
        let mut states: Vec<_> = self
            .topology
            .services()
            .filter_map(|state| Some((state, counted.of(state.id())?.ever())))
            .filter(|(_, sums)| !sums.cells.is_empty() || !sums.client_stats.is_empty())
            .collect();
        states.sort_by_key(|(state, _)| state.key());
        let loads: Vec<Load> = states
            .iter()
            .map(|(state, sums)| self.load(state, sums, kernel.to, View::Series(labels)))
            .collect();
        let (plans, notices) = governor.decide(&loads);
        let services = states
            .into_iter()
            .zip(&plans)
            .map(|((state, sums), plan)| match plan.detail {
                Detail::Clients | Detail::Counts => self.service(state, sums, &common, View::Series(labels)),
                Detail::Endpoints | Detail::Essentials | Detail::Service => {
                    self.service(state, sums, &common, View::Series(ClientLabels::None))
                }
                Detail::Nothing => crate::expose::snapshot::Service {
                    namespace: state.key().namespace.to_string(),
                    name: state.key().name.to_string(),
                    ..Default::default()
                },
            })
            .collect();
        let mut snapshot = self.frame(kernel, Stretch::All, services);
        anonymise(&mut snapshot.unanswered, labels);
        for service in &mut snapshot.services {
            let present: Vec<_> =
                service.clients.iter().map(|client| self.verdict_log.present(service, client)).collect();
            for (client, present) in service.clients.iter_mut().zip(present) {
                (client.verdict, client.withheld) = present;
            }
        }
        for (service, plan) in snapshot.services.iter_mut().zip(&plans) {
            if labels != ClientLabels::Workload || plan.detail > Detail::Counts {
                // Several clients together have no statistics for a verdict.
                service
                    .clients
                    .iter_mut()
                    .for_each(|client| (client.verdict, client.withheld) = (None, None));
            }
        }
        self.governor = governor;
        Scrape::new(snapshot, plans, notices)
    }

    /// Whether a client has series: it has an open connection, or was active recently.
    pub(super) fn has_series(
        &self,
        facts: Option<&ClientStats<'_>>,
        cells: &[CellRow<'_>],
        now: Time,
    ) -> bool {
        let seen = facts.and_then(ClientStats::seen);
        seen.is_some_and(|(_, last)| now.since(last) < self.client_ttl)
            || cells.iter().any(|(_, cell)| cell.active() > 0)
    }

    /// The size of a Service.
    fn load(&self, state: &ServiceState, sums: &Sources<'_>, now: Time, view: View) -> Load {
        let cells = &sums.cells;
        let held = cells.iter().filter(|(_, cell)| cell.active() > 0);
        let mut clients: HashSet<Who> = held.map(|(key, _)| self.who(key.client, view)).collect();
        let mut others = cells.iter().filter(|(key, _)| is_other(key)).count();
        for (workload, facts) in &sums.client_stats {
            if self.has_series(Some(facts), &[], now) {
                clients.insert(self.who(Some(*workload), view));
            }
            let totals = facts.totals();
            others += totals.map_or(0, |totals| totals.response_kinds() + totals.wrong_ports.len());
        }
        let ports: HashSet<u16> = cells.iter().map(|(key, _)| key.port).filter(|port| *port != 0).collect();
        Load {
            namespace: state.key().namespace.to_string(),
            name: state.key().name.to_string(),
            endpoints: shown(state, now).len() as u64,
            clients: clients.len() as u64,
            ports: ports.len() as u64,
            others: others as u64,
        }
    }
}

/// Removes names that series do not carry.
fn anonymise(unanswered: &mut [Unanswered], labels: ClientLabels) {
    for row in unanswered {
        if labels != ClientLabels::Workload {
            row.workload.clear();
        }
        if labels == ClientLabels::None {
            row.namespace.clear();
        }
    }
}

/// Whether a cell is a series in addition to that of its edge.
fn is_other(key: &CellKey) -> bool {
    matches!(key.resolution, Resolution::Srv | Resolution::Hostname | Resolution::None) || key.port == 0
}

/// The endpoints that have series: existing ones, and those that left recently. If a pod is back under its name, the
/// new endpoint continues the counts of the old one.
pub(super) fn shown(state: &ServiceState, now: Time) -> Vec<&topology::Endpoint> {
    let there = state.endpoints().filter(|endpoint| endpoint.state() != State::Removed);
    let names: HashSet<&Arc<str>> = there.map(topology::Endpoint::label).collect();
    let is_shown = |endpoint: &&topology::Endpoint| {
        let left = endpoint.state_since().filter(|_| endpoint.state() == State::Removed);
        left.is_none_or(|since| now.since(since) < KEEP_SERIES || names.contains(endpoint.label()))
    };
    state.endpoints().filter(is_shown).collect()
}
