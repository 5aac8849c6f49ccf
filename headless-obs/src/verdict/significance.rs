//! Significance: the thresholds of all rules that rest on figures.
//!
//! In: counts. Out: whether a client that chooses at random would produce them in fewer than about 1 of 100,000
//! windows.

use crate::expose::snapshot::Spread;

/// Selections per endpoint from which the approximation of chi-square is good enough.
const PER_ENDPOINT: u64 = 5;
/// The fewest selections for any statement from figures.
const LEAST: u64 = 10;
/// Standard deviations that random choice does not reach.
const Z: f64 = 4.0;
/// Peak to mean below which a spread does no harm.
pub(super) const PEAK: f64 = 1.5;
/// Share of the expected connections below which an endpoint is starved.
const STARVED: f64 = 0.5;
/// Dispersion below which a client uses endpoints in turn, not at random.
pub(super) const IN_TURN: f64 = 0.2;
/// −ln of the probability that counts as impossible, 1 in 100,000.
const NEVER: f64 = 11.5;
/// −ln of the probability that counts as rare, 1 in 1,000.
const RARE: f64 = 6.9;
/// −ln of the probability from which another reading is in doubt, 1 in 100.
const DOUBT: f64 = 4.6;

/// Selections that are needed for this number of endpoints.
pub(super) fn needed(endpoints: u64) -> u64 {
    endpoints.saturating_mul(PER_ENDPOINT).max(LEAST)
}

/// More uneven than chance, and enough to do harm.
pub(super) fn uneven(spread: &Spread) -> bool {
    uneven_in_bursts(spread, 1.0)
}

/// More uneven than chance, whether that does harm or not.
pub(super) fn beyond_chance(spread: &Spread) -> bool {
    spread.connections >= needed(spread.endpoints) && spread.z.is_some_and(|z| z > Z)
}

/// More even than chance: a client that chooses at random is so in fewer than about 1 of 1,000 windows. It decides
/// about a word, not about an alarm.
pub(super) fn in_turn(spread: &Spread) -> bool {
    let (n, connections) = (spread.endpoints as f64, spread.connections as f64);
    if n < 2.0 || connections <= 0.0 {
        return false;
    }
    let freedom = n - 1.0;
    // Counts are whole, so the range of half a connection around them belongs to the event.
    let chi_square = ((spread.dispersion * freedom).sqrt() + n / (2.0 * connections.sqrt())).powi(2);
    // Chernoff's bound for the lower tail.
    let share = chi_square / freedom;
    share < 1.0 && freedom / 2.0 * (share.ln() + 1.0 - share) < -RARE
}

/// Like [`uneven`], if each selection makes `burst` connections, which multiplies the dispersion of random choice.
pub(super) fn uneven_in_bursts(spread: &Spread, burst: f64) -> bool {
    if spread.endpoints < 2 || peak(spread) <= PEAK {
        return false;
    }
    let (n, choices) = (spread.endpoints as f64, spread.connections as f64 / burst.max(1.0));
    if choices < LEAST as f64 {
        return false;
    }
    // If some endpoints came later, the mean is not the right expectation for the peak.
    let is_alike = (peak(spread) - spread.peak_to_mean).abs() < 1e-6 * spread.peak_to_mean;
    let is_sharp = is_alike && {
        let share = spread.peak_to_mean / n;
        // Any of n endpoints could have been the peak.
        choices * divergence(share, 1.0 / n) > NEVER + n.ln()
    };
    let z = crate::spread::deviations(spread.dispersion / burst.max(1.0), n - 1.0);
    is_sharp || (choices >= needed(spread.endpoints) as f64 && z > Z)
}

/// An endpoint gets less than half of the selections that are expected there, and chance rules that out for each of this
/// number of endpoints. Such an endpoint idles, however little the others have more.
pub(super) fn is_starved(selections: u64, expected: f64, endpoints: u64) -> bool {
    let got = selections as f64;
    if expected <= 0.0 || got >= STARVED * expected {
        return false;
    }
    let share = got / expected;
    let term = if got > 0.0 { share * share.ln() } else { 0.0 };
    // Chernoff's bound for the lower tail of a Poisson count, which a sum of trials does not exceed.
    expected * (1.0 - share + term) > NEVER + (endpoints.max(1) as f64).ln()
}

/// The peak divided by its endpoint's expected share; snapshots of older versions have only the mean.
pub(super) fn peak(spread: &Spread) -> f64 {
    if spread.peak_to_expected > 0.0 { spread.peak_to_expected } else { spread.peak_to_mean }
}

/// None of so many choices went to any particular one of the endpoints, where this number was expected.
pub(super) fn none_by_chance_is_ruled_out(expected: f64, endpoints: u64) -> bool {
    expected > NEVER + (endpoints.max(1) as f64).ln()
}

/// More than random choice: `hits` of `of`, where `expected` were expected.
pub(super) fn beyond(hits: u64, of: u64, expected: f64) -> bool {
    let (hits, of) = (hits as f64, of as f64);
    of > 0.0 && hits > expected && of * divergence(hits / of, expected / of) > NEVER
}

/// The same, unlikely enough to doubt a reading that rests on random choice; it names no cause.
pub(super) fn doubtful(hits: u64, of: u64, expected: f64) -> bool {
    let (hits, of) = (hits as f64, of as f64);
    of > 0.0 && hits > expected && of * divergence(hits / of, expected / of) > DOUBT
}

/// The same, where it could have been any of `n`.
pub(super) fn beyond_among(hits: u64, of: u64, expected: f64, n: u64) -> bool {
    let (hits, of) = (hits as f64, of as f64);
    of > 0.0
        && hits > expected
        && of * divergence(hits / of, (expected / of).min(1.0)) > NEVER + (n.max(1) as f64).ln()
}

/// Fewer than this share of all: no client with that share makes so few of `of` in 999 of 1,000 stretches of time. It
/// decides whether something is over, not whether it is there.
pub(super) fn below(hits: u64, of: u64, share: f64) -> bool {
    let (hits, of) = (hits as f64, of as f64);
    of > 0.0 && hits < share * of && of * divergence(hits / of, share) > RARE
}

/// Whether chance rules out that `tries` independent choices among `options` all hit the same.
pub(super) fn same_by_chance_is_ruled_out(tries: u64, options: u64) -> bool {
    options > 1 && tries as f64 * (options as f64).ln() > NEVER
}

/// Whether chance rules out that `pods` pods, with `tries` choices in all among `options`, used only `few` of these.
/// There are many sets of `few`, and each choice must have been of the pod's own.
pub(super) fn few_by_chance_is_ruled_out(few: u64, options: u64, pods: u64, tries: u64) -> bool {
    if few >= options {
        return false;
    }
    let sets: f64 = (0..few).map(|i| ((options - i) as f64 / (few - i) as f64).ln()).sum();
    tries as f64 * (options as f64 / few as f64).ln() - pods as f64 * sets > NEVER
}

/// Relative entropy of a share and the probability of a hit. By Chernoff, the probability of at least this number of
/// hits in m is at most exp(−m · divergence), also if the probabilities differ from try to try and this is their mean.
fn divergence(share: f64, chance: f64) -> f64 {
    if chance <= 0.0 {
        return if share > 0.0 { f64::INFINITY } else { 0.0 };
    }
    let term = |a: f64, b: f64| if a <= 0.0 || b <= 0.0 { 0.0 } else { a * (a / b).ln() };
    term(share, chance) + term(1.0 - share, 1.0 - chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread;

    #[test]
    fn uneven_is_beyond_chance_and_harmful() {
        let cases: [(&[u64], bool); 11] = [
            (&[2, 1, 0], false),
            (&[9, 0], false),
            (&[10, 0], false),
            (&[20, 0], true),
            (&[100, 0, 0], true),
            (&[20, 10, 10, 10, 10], false),
            (&[200, 100, 100, 100, 100], true),
            (&[10, 10, 10], false),
            (&[30, 30, 30, 0, 0, 0], true),
            // Far beyond chance, and harmless.
            (&[140_000, 100_000, 100_000], false),
            // All of 20 at one of 10: too few for chi-square, and still beyond chance.
            (&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], true),
        ];
        for (counts, expected) in cases {
            assert_eq!(uneven(&spread::of(counts)), expected, "{counts:?}");
        }
    }

    #[test]
    fn starved_is_far_below_what_is_expected() {
        let cases = [
            (0, 30.0, 3, true),
            (0, 12.0, 3, false),
            (5, 60.0, 10, true),
            // Beyond chance, and no harm.
            (700, 1_000.0, 3, false),
            (499, 1_000.0, 3, true),
            (0, 0.0, 3, false),
        ];
        for (selections, expected, endpoints, is_starved) in cases {
            assert_eq!(
                super::is_starved(selections, expected, endpoints),
                is_starved,
                "{selections} of {expected}"
            );
        }
    }

    #[test]
    fn bursts_are_one_choice() {
        let pools = spread::of(&[160, 80, 80, 80]);
        assert!(uneven(&pools));
        assert!(!uneven_in_bursts(&pools, 20.0));
    }

    #[test]
    fn hits_are_held_against_chance() {
        let cases = [
            (600, 600, 100.0, true),
            (110, 600, 100.0, false),
            (16, 16, 8.0, false),
            (17, 17, 8.5, true),
            (3, 3, 3.0, false),
        ];
        for (hits, of, expected, is_beyond) in cases {
            assert_eq!(beyond(hits, of, expected), is_beyond, "{hits} of {of}, expected {expected}");
        }
        let cases = [
            (55, 275, 0.33, true),
            (55, 275, 0.3, true),
            (62, 275, 0.3, false),
            (120, 275, 0.33, false),
            (0, 0, 0.3, false),
        ];
        for (hits, of, share, is_below) in cases {
            assert_eq!(below(hits, of, share), is_below, "{hits} of {of}, {share}");
        }
        assert!(same_by_chance_is_ruled_out(17, 2) && !same_by_chance_is_ruled_out(16, 2));
        assert!(!same_by_chance_is_ruled_out(1_000, 1));
    }
}
