//! The selections that random choice would have made: each adds 1/n to each of the n endpoints of its [`Offer`].
//!
//! In: selections with their offers. Out: the expected selections of each endpoint. The sum is kept per offer, because a
//! client selects from the same offer many times. If a client has had many offers, the sum is kept per endpoint.
//!
//! Invariants: the expected selections of all endpoints add up to the number of selections that had an offer. The room
//! is bounded by the endpoints that were offered.

use std::sync::Arc;

use crate::hash::HashMap;
use crate::offer::{Offer, Offered};
use crate::windowed::Sum;

/// The most offers with sums of their own.
const OFFERS: usize = 8;

/// Expected selections.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Expected {
    by_offer: Vec<(Arc<Offer>, u64)>,
    by_endpoint: HashMap<Offered, f64>,
}

impl Expected {
    /// Adds selections from an offer.
    pub(super) fn select(&mut self, offer: &Arc<Offer>, selections: u64) {
        if offer.members().is_empty() || selections == 0 {
            return;
        }
        match self.by_offer.iter_mut().find(|(known, _)| Arc::ptr_eq(known, offer)) {
            Some((_, count)) => *count += selections,
            None => {
                if self.by_offer.len() == OFFERS {
                    self.fold();
                }
                self.by_offer.push((offer.clone(), selections));
            }
        }
    }

    /// Moves the sums of all offers to their endpoints.
    fn fold(&mut self) {
        for (offer, selections) in self.by_offer.drain(..) {
            share_out(&mut self.by_endpoint, &offer, selections);
        }
    }

    /// The expected selections of each member.
    pub(in crate::engine) fn by_endpoint(&self) -> HashMap<Offered, f64> {
        let mut sums = self.by_endpoint.clone();
        for (offer, selections) in &self.by_offer {
            share_out(&mut sums, offer, *selections);
        }
        sums
    }
}

impl Sum for Expected {
    fn add(&mut self, other: &Self) {
        for (member, more) in &other.by_endpoint {
            *self.by_endpoint.entry(*member).or_default() += more;
        }
        for (offer, selections) in &other.by_offer {
            self.select(offer, *selections);
        }
    }
}

fn share_out(sums: &mut HashMap<Offered, f64>, offer: &Offer, selections: u64) {
    let share = selections as f64 / offer.members().len() as f64;
    for member in offer.members() {
        *sums.entry(*member).or_default() += share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::Offers;
    use crate::testing::Random;
    use crate::time::Time;
    use crate::topology::{Config, Topology};
    use std::net::IpAddr;

    #[test]
    fn the_sum_of_all_expected_selections_is_their_number() {
        let (topology, mut offers) = (Topology::new(Config::default()), Offers::default());
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let (mut parts, mut made) = (vec![Expected::default(), Expected::default()], 0.0);
            let mut exact: HashMap<Offered, f64> = HashMap::default();
            for _ in 0..200 {
                let size = 1 + random.below(5);
                let first = random.below(6);
                let of =
                    (first..first + size).map(|n| (IpAddr::from([10, 0, 0, u8::try_from(n).unwrap()]), 0));
                let offer = offers.of(Time(1), None, of, &topology);
                let selections = random.below(4) as u64;
                parts[random.below(2)].select(&offer, selections);
                made += selections as f64;
                share_out(&mut exact, &offer, selections);
            }
            let [mut all, more] = <[Expected; 2]>::try_from(parts).unwrap();
            all.add(&more);
            let expected = all.by_endpoint();
            assert!((expected.values().sum::<f64>() - made).abs() < 1e-6);
            assert!(exact.iter().all(|(member, share)| (share - expected[member]).abs() < 1e-6));
            assert!(all.by_offer.len() <= OFFERS);
        }
        let used = offers.shared_count();
        offers.expire();
        assert!(used > 20 && offers.shared_count() == 0);
    }
}
