//! The true number of connections from each client to each pod, from the servers' counts.
//!
//! In: owners of addresses, and the servers' counts by source address. Out: [`TruthRow`]s.
//!
//! Servers know addresses only, and an address can move from pod to pod. So the counts are read whenever an address
//! changes its owner and whenever a server ends: the increase since the last reading belongs to the former owner.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::server::Server;

/// Connections of one client to one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TruthRow {
    /// The client: its workload's name, a node's name, or an address without owner.
    pub client: String,
    /// The namespace of the pod that accepted them.
    pub namespace: String,
    /// That pod's name.
    pub pod: String,
    /// Number of accepted connections.
    pub accepted: u64,
}

#[derive(Clone)]
struct Owner {
    /// `namespace/name`.
    name: String,
    workload: String,
}

struct Source {
    namespace: String,
    pod: String,
    server: Server,
    seen: BTreeMap<IpAddr, u64>,
}

/// All counts so far.
#[derive(Default)]
pub(crate) struct Ledger {
    owners: BTreeMap<IpAddr, Owner>,
    sources: Vec<Source>,
    /// By client, and namespace and name of the pod.
    booked: BTreeMap<(String, String, String), u64>,
}

impl Ledger {
    /// Adds a server of a pod.
    pub(crate) fn add(&mut self, namespace: &str, pod: &str, server: &Server) {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        self.sources.push(Source { namespace, pod, server: server.clone(), seen: BTreeMap::new() });
    }

    /// Sets the owner of an address. Call [`Ledger::book`] before.
    pub(crate) fn own(&mut self, address: IpAddr, name: &str, workload: &str) {
        self.owners.insert(address, Owner { name: name.to_owned(), workload: workload.to_owned() });
    }

    /// Removes the owner of an address. Call [`Ledger::book`] before.
    pub(crate) fn disown(&mut self, address: IpAddr) {
        self.owners.remove(&address);
    }

    /// The owner of an address.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<String> {
        self.owners.get(&address).map(|owner| owner.name.clone())
    }

    /// Adds the connections accepted since the last call.
    pub(crate) fn book(&mut self) -> Result<()> {
        for source in &mut self.sources {
            for (address, accepted) in source.server.accepted()? {
                let before = source.seen.insert(address, accepted).unwrap_or(0);
                let owner = self.owners.get(&address);
                let client = owner.map_or_else(|| address.to_string(), |owner| owner.workload.clone());
                let key = (client, source.namespace.clone(), source.pod.clone());
                *self.booked.entry(key).or_default() += accepted - before;
            }
        }
        self.sources.retain(|source| !source.server.has_ended());
        Ok(())
    }

    /// The true counts now.
    pub(crate) fn rows(&mut self) -> Result<Vec<TruthRow>> {
        self.book()?;
        let rows = self.booked.iter().filter(|(_, accepted)| **accepted > 0);
        Ok(rows
            .map(|((client, namespace, pod), &accepted)| TruthRow {
                client: client.clone(),
                namespace: namespace.clone(),
                pod: pod.clone(),
                accepted,
            })
            .collect())
    }

    /// Removes all state.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
