//! Finds the paths of cgroups in records, within a budget: on a node where thousands of cgroups come and go, the daemon
//! must not walk the hierarchy without end.

use std::time::Duration;

use crate::client::{Clients, cgroup_path};
use crate::engine::Engine;
use crate::probe::CgroupRoot;
use crate::time::Time;

/// Walks that may follow one another at once.
const BURST: u32 = 50;
/// The time after which one more walk is permitted.
const REFILL: Duration = Duration::from_millis(100);

/// Finds the part of the hierarchy that belongs to this node, by one of its pods: all pods of the topology must be on
/// this node.
pub(super) fn detect_node_cgroup(root: &CgroupRoot, engine: &mut Engine) {
    let topology = engine.topology();
    let is_of_own_pod = |_id, path: &str| {
        cgroup_path::parse(path).pod_uid.is_some_and(|uid| topology.pod_by_uid(&uid).is_some())
    };
    if let Some(part) = root.find_path(is_of_own_pod).as_deref().and_then(cgroup_path::part_of_node) {
        engine.clients().part(part);
    }
}

/// The remaining walks.
#[derive(Debug)]
pub(super) struct CgroupResolver {
    left: u32,
    refilled: Time,
}

impl Default for CgroupResolver {
    fn default() -> Self {
        Self { left: BURST, refilled: Time::default() }
    }
}

impl CgroupResolver {
    /// Looks up a cgroup that the directory does not know, if the budget permits. A cgroup that is not found is looked
    /// up again later, and one without budget at its next record.
    pub(super) fn resolve(&mut self, now: Time, cgroup: u64, root: &CgroupRoot, clients: &mut Clients) {
        self.refill(now);
        if self.left == 0 || !clients.needs_path(now, cgroup) {
            return;
        }
        self.left -= 1;
        match root.path_of(cgroup) {
            Some(path) => clients.cgroup(cgroup, &path),
            None if !root.is_whole() => clients.cgroup_elsewhere(cgroup),
            None => {}
        }
    }

    fn refill(&mut self, now: Time) {
        let passed = now.since(self.refilled);
        if passed >= REFILL {
            let gained = passed.as_nanos() / REFILL.as_nanos();
            self.left = self.left.saturating_add(u32::try_from(gained).unwrap_or(BURST)).min(BURST);
            self.refilled = now;
        }
    }
}
