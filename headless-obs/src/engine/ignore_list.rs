//! The destinations that the kernel ignores. An address is relevant until it is proven irrelevant: a new pod's first
//! connection comes before anybody announces the pod.
//!
//! In: destinations of connections that belong to no Service. Out: [`IgnoreUpdates`]: addresses to add to the kernel's map
//! and to remove from it.

use std::net::IpAddr;
use std::time::Duration;

use crate::hash::{HashMap, HashSet};
use crate::time::Time;

/// Updates for the kernel. First those to report again, then those to ignore: an address in both is ignored in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreUpdates {
    /// To ignore from now on.
    pub add: Vec<IpAddr>,
    /// To report again.
    pub remove: Vec<IpAddr>,
}

/// Whether an address can become an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IgnorePolicy {
    /// It cannot: a ClusterIP, loopback, or outside of the filter.
    Never,
    /// No Service has it, but a new pod may get it.
    Unowned,
    /// It may at any moment: never ignored.
    Open,
}

/// The ignored addresses.
#[derive(Debug)]
pub(super) struct IgnoreList {
    limit: usize,
    unowned_for: Duration,
    ignored: HashSet<IpAddr>,
    unowned_since: HashMap<IpAddr, Time>,
    /// Whether there can be an address of each family: IPv4, IPv6. Every address of an answer is looked for here.
    families: [bool; 2],
    updates: IgnoreUpdates,
}

impl IgnoreList {
    /// At most `limit` addresses. An address that no Service has is ignored after `unowned_for`.
    pub(super) fn new(limit: usize, unowned_for: Duration) -> Self {
        Self {
            limit,
            unowned_for,
            ignored: HashSet::default(),
            unowned_since: HashMap::default(),
            families: [false; 2],
            updates: IgnoreUpdates::default(),
        }
    }

    /// A connection to `address` belonged to no Service.
    pub(super) fn unrelated(&mut self, now: Time, address: IpAddr, policy: IgnorePolicy) {
        self.note(address.is_ipv6());
        let is_ignored = match policy {
            IgnorePolicy::Never => true,
            IgnorePolicy::Open => false,
            IgnorePolicy::Unowned => {
                if self.unowned_since.len() >= self.limit && !self.unowned_since.contains_key(&address) {
                    return;
                }
                now.since(*self.unowned_since.entry(address).or_insert(now)) >= self.unowned_for
            }
        };
        if is_ignored && self.ignored.len() < self.limit && self.ignored.insert(address) {
            self.unowned_since.remove(&address);
            self.updates.add.push(address);
        }
    }

    fn note(&mut self, is_ipv6: bool) {
        let [v4, v6] = &mut self.families;
        *if is_ipv6 { v6 } else { v4 } = true;
    }

    /// Whether there can be an address of this family.
    pub(super) fn has_family(&self, is_ipv6: bool) -> bool {
        let [v4, v6] = self.families;
        if is_ipv6 { v6 } else { v4 }
    }

    /// A Service has `address`, or an answer listed it.
    pub(super) fn unignore(&mut self, address: IpAddr) {
        if !self.has_family(address.is_ipv6()) {
            return;
        }
        self.unowned_since.remove(&address);
        if self.ignored.remove(&address) {
            // The kernel must not ignore it in the end because it was ignored earlier in the same batch.
            self.updates.add.retain(|added| *added != address);
            self.updates.remove.push(address);
        }
    }

    /// Removes addresses that got few connections, to make room for others.
    pub(super) fn expire(&mut self, now: Time) {
        let keep = self.unowned_for.saturating_mul(2);
        self.unowned_since.retain(|_, since| now.since(*since) < keep);
        let has = |is_ipv6| {
            let mut all = self.ignored.iter().chain(self.unowned_since.keys());
            all.any(|address| address.is_ipv6() == is_ipv6)
        };
        self.families = [has(false), has(true)];
    }

    /// The updates since the last call.
    pub(super) fn take(&mut self) -> IgnoreUpdates {
        std::mem::take(&mut self.updates)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_is_ignored_once_proven_irrelevant_and_observed_again_once_it_matters() {
        let mut list = IgnoreList::new(2, Duration::from_secs(600));
        let late = Time(0).plus(Duration::from_secs(601));
        list.unrelated(Time(0), address(1), IgnorePolicy::Never);
        list.unrelated(Time(0), address(2), IgnorePolicy::Unowned);
        list.unrelated(Time(0), address(3), IgnorePolicy::Open);
        assert_eq!(list.take(), IgnoreUpdates { add: vec![address(1)], remove: vec![] });
        list.unrelated(late, address(2), IgnorePolicy::Unowned);
        list.unrelated(late, address(3), IgnorePolicy::Open);
        list.unrelated(late, address(4), IgnorePolicy::Never);
        assert_eq!(
            list.take(),
            IgnoreUpdates { add: vec![address(2)], remove: vec![] },
            "no room for a third"
        );
        list.unignore(address(2));
        list.unignore(address(3));
        assert_eq!(list.take(), IgnoreUpdates { add: vec![], remove: vec![address(2)] });
    }

    proptest! {
        /// The kernel ignores in the end what this list ignores, after any events in one batch or in several.
        #[test]
        fn kernel_ignores_what_the_list_ignores(steps in prop::collection::vec((0..3_u8, 1..4_u8), 1..40)) {
            let mut list = IgnoreList::new(2, Duration::from_secs(600));
            let mut kernel: HashSet<IpAddr> = HashSet::default();
            for (step, last) in steps {
                match step {
                    0 => list.unrelated(Time(0), address(last), IgnorePolicy::Never),
                    1 => list.unignore(address(last)),
                    _ => {
                        let updates = list.take();
                        updates.remove.iter().for_each(|address| _ = kernel.remove(address));
                        kernel.extend(updates.add);
                        prop_assert_eq!(&kernel, &list.ignored);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn address_that_matters_again_is_not_ignored_and_does_not_wait_for_it(
            steps in prop::collection::vec((0..4_u8, 0..4_usize), 1..40)
        ) {
            let addresses = ["10.0.0.1", "10.0.0.2", "fd00::1", "64:ff9b::10.0.0.1"];
            let mut list = IgnoreList::new(2, Duration::from_secs(600));
            for (step, which) in steps {
                let address = addresses[which].parse().unwrap();
                match step {
                    0 => list.unrelated(Time(0), address, IgnorePolicy::Never),
                    1 => list.unrelated(Time(0), address, IgnorePolicy::Unowned),
                    2 => list.expire(Time(0)),
                    _ => {
                        list.unignore(address);
                        let IgnoreList { ignored, unowned_since, .. } = &list;
                        prop_assert!(!ignored.contains(&address) && !unowned_since.contains_key(&address));
                    }
                }
            }
        }
    }

    #[test]
    fn addresses_that_were_dialled_once_do_not_take_the_place_of_others() {
        let mut list = IgnoreList::new(1, Duration::from_secs(600));
        let at = |seconds| Time(0).plus(Duration::from_secs(seconds));
        list.unrelated(at(0), address(1), IgnorePolicy::Unowned);
        list.expire(at(1200));
        list.unrelated(at(1200), address(2), IgnorePolicy::Unowned);
        list.unrelated(at(1800), address(2), IgnorePolicy::Unowned);
        assert_eq!(list.take().add, [address(2)]);
    }

    #[test]
    fn address_that_matters_again_in_the_same_batch_is_not_ignored_in_the_end() {
        let mut list = IgnoreList::new(10, Duration::from_secs(600));
        list.unrelated(Time(0), address(1), IgnorePolicy::Unowned);
        let late = Time(0).plus(Duration::from_secs(601));
        list.unrelated(late, address(1), IgnorePolicy::Unowned);
        list.unignore(address(1));
        assert_eq!(list.take(), IgnoreUpdates { add: vec![], remove: vec![address(1)] });
    }
}
