//! Finds the paths of cgroups that records mention, within a budget: a node where thousands of cgroups come and go must
//! not make the observer walk the hierarchy without end.

use std::time::Duration;

use crate::client::Clients;
use crate::probe::CgroupRoot;
use crate::time::Time;

/// Walks that may follow each other at once.
const BURST: u32 = 50;
/// Time that gives one more walk.
const REFILL: Duration = Duration::from_millis(100);

/// The walks left.
#[derive(Debug)]
pub(super) struct Paths {
    left: u32,
    refilled: Time,
}

impl Default for Paths {
    fn default() -> Self {
        Self { left: BURST, refilled: Time::default() }
    }
}

impl Paths {
    /// Looks a cgroup up that the directory does not know, if the budget allows. One that is not found is asked for
    /// again later, one that there was no budget for with its next record.
    pub(super) fn find(&mut self, now: Time, cgroup: u64, root: &CgroupRoot, clients: &mut Clients) {
        self.refill(now);
        if self.left == 0 || !clients.wants(now, cgroup) {
            return;
        }
        self.left -= 1;
        if let Some(path) = root.path_of(cgroup) {
            clients.cgroup(cgroup, &path);
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
