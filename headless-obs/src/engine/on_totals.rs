//! Handles what the kernel says beside its records: connections that are older than the daemon, readings of open ones,
//! and the totals of flows.

use headless_obs_ebpf::flow::{FlowKey, FlowTotals};
use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::ring_record::SocketRecord;

use super::on_tcp::{admit, attribute_for, booking_of, given};
use super::{Engine, ip};
use crate::attribution::{Attribution, ConnectAttempt};
use crate::time::Time;

impl Engine {
    /// Connections that are older than the daemon.
    pub fn adopt(&mut self, now: Time, existing: &[SocketRecord]) {
        for record in existing {
            let client =
                self.clients.identify(&self.topology, record.cgroup, ip(record.source), &record.comm);
            let address = self.topology.original(ip(record.destination));
            let connect_attempt = ConnectAttempt {
                address,
                port: record.port,
                by: client.role,
                started: None,
                has_failed: false,
                now,
            };
            let outcome = self.attribute(ip(record.destination), connect_attempt, client, None);
            self.account.count(now, outcome, 1);
            if let Attribution::Endpoint(target) = outcome {
                let client_service = (client.scope, client.workload, target.endpoint.service);
                self.client_stats.connect_stats(client_service, now);
            }
            let booking = self.booking(outcome, connect_attempt, client, false);
            let flow = FlowKey {
                cgroup: record.cgroup,
                source: record.source,
                destination: record.destination,
                port: record.port,
                _pad: [0; 6],
            };
            self.reconciler.adopted(now, record.socket, flow, booking);
        }
    }

    /// A round of readings begins: of everything that is open.
    pub fn begin_readings(&mut self) {
        self.reconciler.begin_round();
    }

    /// Readings of open connections. A record that the ring has got since may not have been handled yet.
    pub fn on_readings(&mut self, now: Time, readings: &[Reading]) {
        readings.iter().for_each(|reading| self.reconciler.read(now, reading));
    }

    /// The round is complete. The ring must have been drained up to its end.
    pub fn end_readings(&mut self) {
        self.reconciler.end_round();
    }

    /// Whether the kernel's totals of a flow include changes that no record has brought yet.
    pub fn has_unseen_totals(&self, flow: &(FlowKey, FlowTotals)) -> bool {
        self.reconciler.has_unseen_totals(flow)
    }

    /// Counts the changes in the kernel's totals whose records were lost. The ring must have been drained up to the
    /// moment of their reading.
    pub fn reconcile(&mut self, now: Time, totals: &[(FlowKey, FlowTotals)]) {
        let grace = self.stale_grace;
        let mut without_service = Vec::new();
        let Self { reconciler, topology, zone, answer_cache, clients, account, losses, .. } = self;
        reconciler.reconcile(now, totals, |ledger, flow, totals, connections| {
            let client = clients.identify(topology, flow.cgroup, ip(flow.source), &totals.comm);
            let address = topology.original(ip(flow.destination));
            let connect_attempt = ConnectAttempt {
                address,
                port: flow.port,
                by: client.role,
                started: Some(now),
                has_failed: totals.opened == 0,
                now,
            };
            let sent_to = given(totals.sent_to, topology);
            let outcome =
                attribute_for((topology, zone), answer_cache, ledger, connect_attempt, client, sent_to);
            account.count(now, outcome, connections);
            if !matches!(outcome, Attribution::Endpoint(_)) {
                without_service.push((connect_attempt, client, outcome, connections));
            }
            booking_of(outcome, connect_attempt, client, grace)
                .map(|(key, entry)| (admit(ledger, losses, key, entry.at), entry))
        });
        for (connect_attempt, client, outcome, connections) in without_service {
            self.note_unreached(connect_attempt, client, outcome, connections);
        }
    }
}
