//! The past of the nodes' own verdicts: since when each holds, and the one before it.
//!
//! In: the snapshots of daemons before they are merged, and the merged snapshot with its verdicts. Out: the same, where a
//! node had the same verdict for longer than the merged stretches show.

use std::collections::HashMap;

use crate::expose::snapshot::{Client, Service, Snapshot, Verdict};

/// Namespace and name of a Service, namespace and workload of its client.
type Key = (String, String, String, String);

/// The verdicts of nodes, by client.
pub(super) struct KnownVerdicts(HashMap<Key, Vec<Verdict>>);

impl KnownVerdicts {
    pub(super) fn of(snapshots: &[Snapshot]) -> Self {
        let mut known: HashMap<Key, Vec<Verdict>> = HashMap::new();
        for service in snapshots.iter().flat_map(|snapshot| &snapshot.services) {
            for client in &service.clients {
                known.entry(key(service, client)).or_default().extend(client.verdict.clone());
            }
        }
        Self(known)
    }

    /// Takes the oldest of the nodes' verdicts that are the same.
    pub(super) fn complete(&self, merged: &mut Snapshot) {
        for service in &mut merged.services {
            let keys: Vec<Key> = service.clients.iter().map(|client| key(service, client)).collect();
            for (client, key) in service.clients.iter_mut().zip(keys) {
                let Some(verdict) = &mut client.verdict else { continue };
                let same = self.0.get(&key).into_iter().flatten().filter(|own| own.cause == verdict.cause);
                let oldest =
                    same.filter_map(|own| Some((own.since?, own.before))).min_by_key(|(since, _)| *since);
                if let Some((since, before)) = oldest {
                    verdict.remember(since, before);
                }
            }
        }
    }
}

fn key(service: &Service, client: &Client) -> Key {
    (service.namespace.clone(), service.name.clone(), client.namespace.clone(), client.workload.clone())
}
