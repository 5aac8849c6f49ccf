//! Load as repeated draws: how often each of several endpoints is far ahead of its share, or far behind it, in stretches of
//! time that are looked at one by one.
//!
//! In: for each stretch, the load of each endpoint and the connections that carried it. Out: [`Draws`] for each endpoint.
//!
//! Heavy tails make sums over a long time worthless: one large transfer is most of the sum. A count of stretches has no
//! tail. Whichever endpoint a large transfer hits, it is ahead there for once. If connections do not care where they go,
//! each of n endpoints is as likely as any other to be among the k that are ahead, whatever the distribution of load:
//! k/n. An endpoint with an unusual number of connections is more often at the edges than others, so more is allowed for
//! it.
//!
//! Invariants: a stretch in which fewer than two endpoints take part says nothing and is left out. Nothing is NaN.

use std::collections::BTreeMap;

/// Load over the share from which an endpoint is ahead.
pub(crate) const AHEAD: f64 = 1.5;
/// Load over the share below which an endpoint is behind.
pub(crate) const BEHIND: f64 = 0.5;

/// One endpoint in one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// The connections that could carry load.
    pub(crate) connections: u64,
    /// Their load, in bytes.
    pub(crate) load: u64,
}

/// An endpoint's fate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Draws {
    /// Stretches in which it took part.
    pub(crate) count: u64,
    /// Those in which it had more than [`AHEAD`] times its share.
    pub(crate) ahead: u64,
    /// The expected value of `ahead` if all endpoints are alike.
    pub(crate) ahead_by_chance: f64,
    /// Those in which it had less than [`BEHIND`] of its share.
    pub(crate) behind: u64,
    /// The expected value of `behind`.
    pub(crate) behind_by_chance: f64,
}

/// Adds one stretch of time to the draws of its endpoints, which are in the same order.
pub(crate) fn add(draws: &mut [Draws], stretch: &[Share]) {
    let connections: f64 = stretch.iter().map(|one| one.connections as f64).sum();
    let load: f64 = stretch.iter().filter(|one| one.connections > 0).map(|one| one.load as f64).sum();
    let n = stretch.iter().filter(|one| one.connections > 0).count() as f64;
    if n < 2.0 || load <= 0.0 {
        return;
    }
    let share = |one: &Share| one.connections as f64 / connections;
    let is_ahead = |one: &Share| one.load as f64 > AHEAD * share(one) * load;
    let is_behind = |one: &Share| (one.load as f64) < BEHIND * share(one) * load;
    let taking_part = || stretch.iter().filter(|one| one.connections > 0);
    let ahead = taking_part().filter(|one| is_ahead(one)).count() as f64;
    let behind = taking_part().filter(|one| is_behind(one)).count() as f64;
    for (draws, one) in draws.iter_mut().zip(stretch).filter(|(_, one)| one.connections > 0) {
        let unlike = n * share(one);
        let chance = |hits: f64| (hits / n * unlike.max(1.0 / unlike)).min(1.0);
        draws.count += 1;
        draws.ahead += u64::from(is_ahead(one));
        draws.ahead_by_chance += chance(ahead);
        draws.behind += u64::from(is_behind(one));
        draws.behind_by_chance += chance(behind);
    }
}

/// The time that it took to connect to an endpoint, beside others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Took {
    /// Slots in which there were connections to it and to others.
    pub(crate) times: u64,
    /// Those in which it was slow.
    pub(crate) slow: u64,
    /// The expected value of `slow` if all endpoints are alike.
    pub(crate) slow_by_chance: f64,
}

/// Adds one slot: the median time at each endpoint, by any key. An endpoint is slow if that is more than three times the
/// median of the others, and 5 ms longer: a zone or a node further away is no such difference.
pub(crate) fn compare(medians: &[(usize, f64)], all: &mut BTreeMap<usize, Took>) {
    const TIMES: f64 = 3.0;
    const LONGER: f64 = 0.005;
    if medians.len() < 2 {
        return;
    }
    let mut sorted: Vec<f64> = medians.iter().map(|(_, median)| *median).collect();
    sorted.sort_by(f64::total_cmp);
    let is_slow = |own: f64| {
        // The median of the others, the upper one of two.
        let place = sorted.partition_point(|median| *median < own);
        let middle = (sorted.len() - 1) / 2;
        let middle = if place <= middle { middle + 1 } else { middle };
        sorted.get(middle).is_some_and(|usual| own > TIMES * usual && own > usual + LONGER)
    };
    let slow = medians.iter().filter(|(_, median)| is_slow(*median)).count();
    for (key, median) in medians {
        let took = all.entry(*key).or_default();
        took.times += 1;
        took.slow += u64::from(is_slow(*median));
        took.slow_by_chance += slow as f64 / medians.len() as f64;
    }
}

/// The part of the bytes that shows an exchange of messages: the smaller direction, without what a transfer in the other
/// direction needs for its own control (window updates of HTTP/2, records of TLS: less than 1 byte in 200). A transfer is
/// one message, however long it takes; an exchange is many, and could be divided.
pub(crate) fn exchanged(sent: u64, received: u64) -> u64 {
    const CONTROL: u64 = 200;
    sent.min(received).saturating_sub(sent.max(received) / CONTROL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(stretches: &[&[(u64, u64)]]) -> Vec<(u64, u64, f64, u64, f64)> {
        let mut draws = vec![Draws::default(); stretches.first().map_or(0, |stretch| stretch.len())];
        for stretch in stretches {
            let stretch: Vec<_> = stretch
                .iter()
                .map(|(connections, load)| Share { connections: *connections, load: *load })
                .collect();
            add(&mut draws, &stretch);
        }
        let round = |chance: f64| (chance * 100.0).round() / 100.0;
        let row = |draws: Draws| {
            let Draws { count, ahead, ahead_by_chance, behind, behind_by_chance } = draws;
            (count, ahead, round(ahead_by_chance), behind, round(behind_by_chance))
        };
        draws.into_iter().map(row).collect()
    }

    #[test]
    fn ahead_and_behind_are_against_the_share_of_the_connections() {
        let one_ahead = drawn(&[&[(1, 100), (1, 1), (1, 1)]]);
        assert_eq!(one_ahead, [(1, 1, 0.33, 0, 0.67), (1, 0, 0.33, 1, 0.67), (1, 0, 0.33, 1, 0.67)]);
        assert_eq!(drawn(&[&[(1, 3), (1, 3), (1, 2)]])[0], (1, 0, 0.0, 0, 0.0));
        // Twice the connections, twice the load.
        assert_eq!(drawn(&[&[(5, 50), (2, 20), (2, 20)]])[0].1, 0);
    }

    #[test]
    fn who_is_unlike_the_others_is_more_often_ahead_by_chance() {
        let rows = drawn(&[&[(1, 100), (4, 100), (5, 100)]]);
        assert_eq!((rows[0].1, rows[0].2), (1, 1.0), "a third of the connections would be its part");
    }

    #[test]
    fn a_stretch_without_load_or_with_one_endpoint_says_nothing() {
        assert_eq!(
            drawn(&[&[(1, 0), (1, 0)], &[(1, 9), (0, 0)], &[(0, 0), (0, 9)], &[(0, 0), (0, 0)]])[0].0,
            0
        );
        assert_eq!(
            drawn(&[&[(1, 9), (0, 9), (1, 0)]]).iter().map(|row| row.0).collect::<Vec<_>>(),
            [1, 0, 1]
        );
    }

    #[test]
    fn slow_is_beside_the_others() {
        let slow = |medians: &[f64]| {
            let medians: Vec<_> = medians.iter().copied().enumerate().collect();
            let mut all = BTreeMap::new();
            compare(&medians, &mut all);
            all.values().filter(|took| took.slow > 0).count()
        };
        let cases: [(&[f64], usize); 8] = [
            (&[0.021, 0.001], 1),
            (&[0.021, 0.001, 0.001], 1),
            (&[0.001, 0.021, 0.022, 0.001, 0.001], 2),
            // All are slow: the client is far away, or its own node is busy.
            (&[0.021, 0.020, 0.022], 0),
            (&[0.021], 0),
            // Another zone.
            (&[0.000_1, 0.002, 0.002], 0),
            (&[0.005, 0.000_1, 0.000_1], 0),
            (&[1.0, 0.5, 0.5], 0),
        ];
        for (medians, expected) in cases {
            assert_eq!(slow(medians), expected, "{medians:?}");
        }
    }

    #[test]
    fn a_transfer_is_no_exchange() {
        let cases = [
            ((100, 300), 99),
            ((50_000, 50_000), 49_750),
            ((100, 1_000_000), 0),
            // A download over HTTP/2 with TLS: a window update of 42 bytes for each 16 KiB.
            ((2_560, 1_000_000), 0),
            ((9_000_000, 40), 0),
            ((0, 0), 0),
        ];
        for ((sent, received), expected) in cases {
            assert_eq!(exchanged(sent, received), expected, "{sent} {received}");
            assert_eq!(exchanged(received, sent), expected, "{sent} {received}");
        }
    }
}
