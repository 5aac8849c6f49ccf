//! DNS queries without a response, per client.
//!
//! In: entries of the kernel's PENDING_QUERIES that are too old. Out: counts per client, over a stretch of time or over all
//! time; the latter never decrease. Bounded: a limited number of clients has names, and the others share one.

use std::collections::BTreeMap;

use headless_obs_ebpf::dns_query::PendingQuery;

use super::{Engine, ip};
use crate::client::Role;
use crate::expose::snapshot::Unanswered;
use crate::time::Time;
use crate::windowed::{Number, Stretch, Windowed};

/// The most clients with names. Each is a series for ever, because a counter that disappears would lose its count.
pub(super) const NAMED: usize = 100;
/// All others.
const OTHERS: &str = "~other";

/// Namespace and workload → queries.
pub(super) type DnsTimeouts = BTreeMap<(String, String), Windowed<Number>>;

impl Engine {
    /// A query got no response in time.
    pub fn on_unanswered(&mut self, now: Time, asked: &PendingQuery) {
        let client = self.clients.identify(&self.topology, asked.cgroup, ip(asked.client), &[]);
        if client.role == Role::OtherNode {
            return;
        }
        let name = self.clients.workload(client.workload);
        let name = name.map(|name| (name.namespace.to_string(), name.name.to_string())).unwrap_or_default();
        let is_named = self.dns_timeouts.contains_key(&name) || self.dns_timeouts.len() < NAMED;
        let name = if is_named { name } else { (String::new(), OTHERS.to_owned()) };
        self.dns_timeouts.entry(name).or_default().at(now).0 += 1;
    }

    /// The clients with unanswered queries in a stretch of time.
    pub(super) fn unanswered(&self, stretch: Stretch) -> Vec<Unanswered> {
        let rows = self.dns_timeouts.iter().filter(|(_, queries)| queries.has_changed(stretch));
        rows.map(|((namespace, workload), queries)| Unanswered {
            namespace: namespace.clone(),
            workload: workload.clone(),
            queries: queries.over(stretch).0,
        })
        .collect()
    }
}
