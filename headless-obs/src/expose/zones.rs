//! Connections and bytes by the zones of client and endpoint, in the form of the snapshot.
//!
//! In: rows by pairs of zones, in any order. Out: [`Zones`], the matrix of zones with its sums.
//!
//! Invariants: a pair of zones has one row. `within`, `across` and `unknown` together are all rows. Sums saturate,
//! because files can hold any number.

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;

/// Bytes of the unit of prices.
const GIB: f64 = 1_073_741_824.0;

/// Connections and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSum {
    /// Connections established.
    pub connections: u64,
    /// Bytes that clients sent, also in connections that are open.
    pub bytes_sent: u64,
    /// Bytes that clients received, likewise.
    pub bytes_received: u64,
}

impl ZoneSum {
    /// Both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }

    fn add(&mut self, more: Self) {
        let Self { connections, bytes_sent, bytes_received } = more;
        self.connections = self.connections.saturating_add(connections);
        self.bytes_sent = self.bytes_sent.saturating_add(bytes_sent);
        self.bytes_received = self.bytes_received.saturating_add(bytes_received);
    }
}

/// The traffic from clients of one zone to endpoints of one zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneTraffic {
    /// The zone of the clients, if it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The zone of the endpoints, if it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// Its connections and bytes.
    #[serde(flatten)]
    pub sum: ZoneSum,
}

/// A matrix of zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zones {
    /// Both sides are in the same zone.
    pub within: ZoneSum,
    /// They are in different zones.
    pub across: ZoneSum,
    /// The zone of one side is not known.
    pub unknown: ZoneSum,
    /// The share of the bytes whose zones are known that crosses, 0 to 1.
    pub share_across: f64,
    /// The price of the bytes of `across`, both directions, if a price is given (`--zone-price`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<f64>,
    /// By zone of the clients and zone of the endpoints.
    pub matrix: Vec<ZoneTraffic>,
}

impl Zones {
    /// The matrix of these rows.
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = ZoneTraffic>) -> Self {
        let mut rows: Vec<ZoneTraffic> = rows.into_iter().collect();
        rows.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
        let mut zones = Self::default();
        for row in rows {
            let place = match (&row.from, &row.to) {
                (Some(from), Some(to)) if from == to => &mut zones.within,
                (Some(_), Some(_)) => &mut zones.across,
                _ => &mut zones.unknown,
            };
            place.add(row.sum);
            match zones.matrix.last_mut() {
                Some(last) if (&last.from, &last.to) == (&row.from, &row.to) => last.sum.add(row.sum),
                _ => zones.matrix.push(row),
            }
        }
        let (within, across) = (zones.within.bytes() as f64, zones.across.bytes() as f64);
        zones.share_across = if within + across > 0.0 { across / (within + across) } else { 0.0 };
        zones
    }

    /// The sum of several.
    #[must_use]
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::of(all.into_iter().flat_map(|zones| zones.matrix.iter().cloned()))
    }

    /// Whether no connection has a known zone on both sides.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.matrix.iter().all(|row| row.from.is_none() || row.to.is_none())
    }

    /// Every zone in it.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let both = self.matrix.iter().flat_map(|row| [row.from.as_deref(), row.to.as_deref()]);
        let mut names: Vec<&str> = both.flatten().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn charge(&mut self, price: f64) {
        self.cost = Some(self.across.bytes() as f64 / GIB * price);
    }
}

/// Puts a price on the bytes that cross zones, per GiB, in every Service and client.
pub(crate) fn charge(snapshot: &mut Snapshot, price: f64) {
    for service in &mut snapshot.services {
        service.zones.charge(price);
        service.clients.iter_mut().for_each(|client| client.zones.charge(price));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// A row of traffic; an empty name stands for a zone that is not known.
    fn row(from: &str, to: &str, connections: u64, bytes: u64) -> ZoneTraffic {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let sum = ZoneSum { connections, bytes_sent: bytes, bytes_received: 2 * bytes };
        ZoneTraffic { from: named(from), to: named(to), sum }
    }

    #[test]
    fn a_pair_of_zones_is_one_row() {
        let zones =
            Zones::of([row("a", "b", 1, 10), row("a", "a", 2, 30), row("a", "b", 3, 20), row("a", "", 4, 5)]);
        assert_eq!(zones.matrix, [row("a", "", 4, 5), row("a", "a", 2, 30), row("a", "b", 4, 30)]);
        assert_eq!(
            (zones.within.connections, zones.across.connections, zones.unknown.connections),
            (2, 4, 4)
        );
        assert_eq!((zones.across.bytes(), zones.share_across), (90, 0.5));
        assert_eq!(zones.names(), ["a", "b"]);
        assert!(Zones::of([row("", "a", 1, 1), row("", "", 1, 1)]).is_unknown());
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order_and_is_complete() {
        let mut random = Random::new(19);
        let names = ["", "a", "b", "c"];
        for _ in 0..200 {
            let rows: Vec<ZoneTraffic> = (0..random.below(20))
                .map(|_| row(names[random.below(4)], names[random.below(4)], 1, random.below(100) as u64))
                .collect();
            let split = random.below(rows.len() + 1);
            let parts = [Zones::of(rows[split..].to_vec()), Zones::of(rows[..split].to_vec())];
            let whole = Zones::of(rows.clone());
            assert_eq!(Zones::sum(&parts), whole);
            let all = whole.within.connections + whole.across.connections + whole.unknown.connections;
            assert_eq!(all, rows.len() as u64);
        }
    }

    #[test]
    fn the_price_is_per_gib_of_what_crosses() {
        let gib = 1 << 30;
        let mut zones = Zones::of([row("a", "b", 1, gib), row("a", "a", 1, 100 * gib)]);
        zones.charge(0.01);
        assert!((zones.cost.unwrap() - 0.03).abs() < 1e-12, "{:?}", zones.cost);
    }
}
