//! The destinations that the kernel ignores. An address is relevant until it is proven irrelevant: a new pod's first
//! connection comes before anybody announces the pod.
//!
//! In: destinations of connections that belong to no Service. Out: [`Effects`]: addresses to add to the kernel's map
//! and to remove from it.

use std::net::IpAddr;
use std::time::Duration;

use crate::hash::{HashMap, HashSet};
use crate::time::Time;

/// Updates for the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To ignore from now on.
    pub bore: Vec<IpAddr>,
    /// To report again.
    pub unbore: Vec<IpAddr>,
}

/// Whether an address can become an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// It cannot: a ClusterIP, loopback, or outside of the filter.
    Never,
    /// No Service has it, but a new pod may get it.
    Unowned,
    /// It may at any moment: never ignored.
    Open,
}

/// The ignored addresses.
#[derive(Debug)]
pub(super) struct Boring {
    limit: usize,
    unowned_for: Duration,
    current: HashSet<IpAddr>,
    unowned_since: HashMap<IpAddr, Time>,
    effects: Effects,
}

impl Boring {
    /// At most `limit` addresses. An address that no Service has is ignored after `unowned_for`.
    pub(super) fn new(limit: usize, unowned_for: Duration) -> Self {
        Self {
            limit,
            unowned_for,
            current: HashSet::default(),
            unowned_since: HashMap::default(),
            effects: Effects::default(),
        }
    }

    /// A connection to `address` belonged to no Service.
    pub(super) fn unrelated(&mut self, now: Time, address: IpAddr, prospect: Prospect) {
        let is_boring = match prospect {
            Prospect::Never => true,
            Prospect::Open => false,
            Prospect::Unowned => {
                if self.unowned_since.len() >= self.limit && !self.unowned_since.contains_key(&address) {
                    return;
                }
                now.since(*self.unowned_since.entry(address).or_insert(now)) >= self.unowned_for
            }
        };
        if is_boring && self.current.len() < self.limit && self.current.insert(address) {
            self.unowned_since.remove(&address);
            self.effects.bore.push(address);
        }
    }

    /// A Service has `address`, or an answer listed it.
    pub(super) fn interesting(&mut self, address: IpAddr) {
        self.unowned_since.remove(&address);
        if self.current.remove(&address) {
            self.effects.unbore.push(address);
        }
    }

    /// Removes addresses that got few connections, to make room for others.
    pub(super) fn expire(&mut self, now: Time) {
        let keep = self.unowned_for.saturating_mul(2);
        self.unowned_since.retain(|_, since| now.since(*since) < keep);
    }

    /// The updates since the last call.
    pub(super) fn take(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn boring_once_proven_and_interesting_again_once_it_matters() {
        let mut boring = Boring::new(2, Duration::from_secs(600));
        let late = Time(0).plus(Duration::from_secs(601));
        boring.unrelated(Time(0), address(1), Prospect::Never);
        boring.unrelated(Time(0), address(2), Prospect::Unowned);
        boring.unrelated(Time(0), address(3), Prospect::Open);
        assert_eq!(boring.take(), Effects { bore: vec![address(1)], unbore: vec![] });
        boring.unrelated(late, address(2), Prospect::Unowned);
        boring.unrelated(late, address(3), Prospect::Open);
        boring.unrelated(late, address(4), Prospect::Never);
        assert_eq!(boring.take(), Effects { bore: vec![address(2)], unbore: vec![] }, "no room for a third");
        boring.interesting(address(2));
        boring.interesting(address(3));
        assert_eq!(boring.take(), Effects { bore: vec![], unbore: vec![address(2)] });
    }

    #[test]
    fn addresses_that_were_dialled_once_do_not_take_the_place_of_others() {
        let mut boring = Boring::new(1, Duration::from_secs(600));
        let at = |seconds| Time(0).plus(Duration::from_secs(seconds));
        boring.unrelated(at(0), address(1), Prospect::Unowned);
        boring.expire(at(1200));
        boring.unrelated(at(1200), address(2), Prospect::Unowned);
        boring.unrelated(at(1800), address(2), Prospect::Unowned);
        assert_eq!(boring.take().bore, [address(2)]);
    }
}
