//! An id for each name of a workload; ids are never reused.

use std::sync::Arc;

use super::run_names::RunNames;
use crate::hash::HashMap;

/// The id of a client workload, for as long as figures are kept under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(pub u32);

impl WorkloadId {
    /// Whether it stands for all workloads for which there is no room.
    pub fn is_other(self) -> bool {
        self == OTHER
    }
}

/// The name of a client workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// Namespace; empty for a client outside of pods.
    pub namespace: Arc<str>,
    /// The name of the Deployment, StatefulSet …, or of the bare pod, container, cgroup or process.
    pub name: Arc<str>,
}

/// The id of all workloads for which there is no room.
const OTHER: WorkloadId = WorkloadId(0);

/// The name that stands for the forgotten workloads of a namespace; no process and no pod has it.
const FORGOTTEN: &str = "~forgotten";

#[derive(Debug)]
pub(super) struct WorkloadInterner {
    by_id: HashMap<WorkloadId, Workload>,
    /// Namespace → name → id: a lookup needs no owned key.
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, WorkloadId>>,
    runs: RunNames,
    capacity: usize,
    next: u32,
    /// The number of times that there was no room.
    pub(super) full: u64,
}

impl WorkloadInterner {
    pub(super) fn new(capacity: usize) -> Self {
        let other = Workload { namespace: Arc::default(), name: Arc::from("other") };
        Self {
            by_id: HashMap::from_iter([(OTHER, other)]),
            by_name: HashMap::default(),
            runs: RunNames::default(),
            capacity,
            next: 1,
            full: 0,
        }
    }

    pub(super) fn get(&self, id: WorkloadId) -> Option<&Workload> {
        self.by_id.get(&id)
    }

    fn known(&self, namespace: &str, name: &str) -> Option<WorkloadId> {
        self.by_name.get(namespace)?.get(name).copied()
    }

    pub(super) fn id(&mut self, namespace: &str, name: &str) -> WorkloadId {
        if let Some(id) = self.known(namespace, name) {
            return id;
        }
        let (Some(next), true) = (self.next.checked_add(1), self.by_id.len() <= self.capacity) else {
            self.full += 1;
            return OTHER;
        };
        let id = WorkloadId(self.next);
        self.next = next;
        let workload = Workload { namespace: namespace.into(), name: name.into() };
        self.by_name.entry(workload.namespace.clone()).or_default().insert(workload.name.clone(), id);
        self.by_id.insert(id, workload);
        id
    }

    /// The id of a workload that was seen before; of a run, with its pattern.
    pub(super) fn of_pod(&self, namespace: &str, name: &str, pattern: Option<&str>) -> Option<WorkloadId> {
        self.known(namespace, name).or_else(|| self.known(namespace, pattern?))
    }

    /// The id of a run with this name and pattern.
    pub(super) fn id_of_run(&mut self, namespace: &str, name: &str, pattern: &str) -> WorkloadId {
        if let Some(id) = self.of_pod(namespace, name, Some(pattern)) {
            return id;
        }
        let (name, takes_place) = self.runs.name(namespace, name, pattern);
        let id = self.id(namespace, name);
        if takes_place && let Some(workload) = self.by_id.get(&id).filter(|_| !id.is_other()) {
            self.runs.add(&workload.namespace, pattern, id);
        }
        id
    }

    /// The id that stands for the forgotten workloads of a namespace. There are few namespaces, so there is always room.
    pub(super) fn forgotten(&mut self, namespace: &str) -> WorkloadId {
        let capacity = std::mem::replace(&mut self.capacity, usize::MAX);
        let id = self.id(namespace, FORGOTTEN);
        self.capacity = capacity;
        id
    }

    pub(super) fn retain(&mut self, used: impl Fn(WorkloadId) -> bool) {
        self.by_id.retain(|id, _| *id == OTHER || used(*id));
        self.runs.retain(|id| self.by_id.contains_key(&id));
        self.by_name.retain(|_, names| {
            names.retain(|_, id| self.by_id.contains_key(id));
            !names.is_empty()
        });
    }
}
