//! Clients whose attempts to addresses without a Service all fail, in the form of the snapshot.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshot::Counts;

/// The most addresses of a client that are named.
const NAMED: usize = 10;
/// All others.
pub(crate) const OTHERS: &str = "~other";

/// A client whose attempts to these addresses all failed. The Service that it looks for is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// Namespace; empty for a client outside of pods.
    pub namespace: String,
    /// Workload, as [`Client::workload`](super::snapshot::Client::workload).
    pub workload: String,
    /// The number of attempts.
    pub attempts: u64,
    /// The first one; none has succeeded since.
    pub since: Timestamp,
    /// Attempts by address and port; `~other` are those to further ones.
    pub addresses: Counts,
}

impl Unreached {
    /// The row with the addresses that got the most attempts; the others are summed up.
    pub(crate) fn folded(mut self) -> Self {
        let mut rest = self.addresses.remove(OTHERS).unwrap_or(0);
        let mut sorted: Vec<_> = std::mem::take(&mut self.addresses).into_iter().collect();
        sorted.sort_by(|(a, of_a), (b, of_b)| (of_b, a).cmp(&(of_a, b)));
        rest += sorted.iter().skip(NAMED).map(|(_, attempts)| attempts).sum::<u64>();
        self.addresses = sorted.into_iter().take(NAMED).collect();
        self.addresses.extend((rest > 0).then(|| (OTHERS.to_owned(), rest)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attempt_is_lost_when_addresses_are_summed_up() {
        let of = |count: u64| Unreached {
            addresses: (1..=count).map(|number| (format!("10.0.0.{number}:80"), number)).collect(),
            ..Unreached::default()
        };
        let few = of(10).folded();
        assert_eq!(few, of(10));
        let mut many = of(12).folded();
        assert_eq!(many.addresses.get(OTHERS), Some(&3), "the two with the fewest attempts");
        many.addresses.insert("10.0.1.1:80".to_owned(), 1);
        let again = many.folded().addresses;
        assert_eq!((again.len(), again.get(OTHERS), again.values().sum::<u64>()), (11, Some(&4), 79));
    }
}
