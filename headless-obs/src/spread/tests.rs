//! Known distributions, properties of any, and the expectations against enumeration and simulation.

use proptest::prelude::*;

use super::*;
use crate::testing::Random;

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

/// Rounded to three places, as the published tables are.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[test]
fn known_distributions_have_their_figures() {
    // Of 10,000 connections to 15 pods one pod gets twice its share, the others differ by chance.
    let others = [572, 579, 586, 593, 600, 608, 615, 623, 630, 637, 645, 652, 658, 664];
    let first_record_twice = [[1338].as_slice(), &others].concat();
    // Coverage, peak to mean, CV, Jain, Gini, entropy, dispersion, z.
    let cases: [(&[u64], [f64; 8]); 7] = [
        (&[100, 0, 0], [0.333, 3.0, 1.414, 0.333, 0.667, 0.0, 100.0, 11.258]),
        (&[10, 10, 10], [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -2.667]),
        (&first_record_twice, [1.0, 2.007, 0.272, 0.931, 0.089, 0.989, 53.006, 22.004]),
        (&[60, 10, 7, 3, 6, 4, 10], [1.0, 4.2, 1.318, 0.365, 0.534, 0.697, 28.95, 10.951]),
        (&[30, 30, 30, 0, 0, 0], [0.5, 2.0, 1.0, 0.5, 0.5, 0.613, 18.0, 7.899]),
        (&[2, 1, 0], [0.667, 2.0, 0.816, 0.6, 0.444, 0.579, 1.0, 0.333]),
        (&[2128, 2037, 1957, 1943, 1935], [1.0, 1.064, 0.037, 0.999, 0.019, 1.0, 3.384, 2.363]),
    ];
    for (counts, expected) in cases {
        let s = of(counts);
        let z = s.z.unwrap();
        let got = [s.coverage, s.peak_to_mean, s.cv, s.jain, s.gini, s.entropy, s.dispersion, z].map(rounded);
        assert_eq!(got, expected, "{counts:?}");
        assert_eq!(s.connections, counts.iter().sum::<u64>());
        assert_eq!(s.endpoints, u64::try_from(counts.len()).unwrap());
    }
}

#[test]
fn without_two_endpoints_or_a_connection_there_is_no_z() {
    for counts in [[].as_slice(), &[0], &[7], &[0, 0]] {
        assert_eq!(of(counts).z, None, "{counts:?}");
    }
    assert!(of(&[1, 0]).z.is_some());
}

#[test]
fn the_correction_takes_off_what_chance_shows() {
    assert!(close(of(&[100, 0, 0]).cv_corrected, (2.0 - 2.0 / 100.0_f64).sqrt()));
    assert_eq!(of(&[2, 1, 0]).cv_corrected, 0.0);
    assert_eq!(of(&[10, 10, 10]).cv_corrected, 0.0);
}

#[test]
fn nothing_to_spread_is_all_zero() {
    assert_eq!(of(&[]), Spread::default());
    assert_eq!(of(&[0, 0, 0]), Spread { endpoints: 3, ..Spread::default() });
}

#[test]
fn who_came_later_could_expect_less() {
    let counts = [340, 335, 330, 10, 12, 8];
    let exposures = [335.0, 335.0, 335.0, 10.0, 10.0, 10.0];
    let (plain, exposed) = (of(&counts), exposed(&counts, &exposures));
    assert!(plain.z.unwrap() > 10.0, "{plain:?}");
    assert!(exposed.z.unwrap() < 1.0 && exposed.peak_to_expected < 1.3, "{exposed:?}");
    assert_eq!((exposed.peak_to_mean, exposed.cv), (plain.peak_to_mean, plain.cv), "figures are figures");
    let hot = super::exposed(&[340, 335, 330, 30, 30, 30], &exposures);
    assert!(hot.z.unwrap() > 4.0 && hot.peak_to_expected > 1.5, "{hot:?}");
    // A single connection to an endpoint with almost no expected share is no peak.
    let new = super::exposed(&[340, 335, 330, 1], &[335.0, 335.0, 335.0, 0.1]);
    assert!(new.z.unwrap() < 1.0 && new.peak_to_expected < 1.3, "{new:?}");
    for alike in [&[2.0; 6][..], &[0.0; 6], &[1.0]] {
        assert_eq!(super::exposed(&counts, alike), plain, "{alike:?}");
    }
}

#[test]
fn one_endpoint_is_even() {
    let expected = Spread {
        connections: 7,
        endpoints: 1,
        coverage: 1.0,
        peak_to_mean: 1.0,
        peak_to_expected: 1.0,
        jain: 1.0,
        entropy: 1.0,
        expected_coverage: 1.0,
        expected_peak_to_mean: 1.0,
        ..Spread::default()
    };
    assert_eq!(of(&[7]), expected);
}

#[test]
fn all_on_one_is_the_worst_whatever_the_rounding() {
    for (n, x) in (1..200_usize).flat_map(|n| (1..100_u64).map(move |x| (n, x))) {
        let mut counts = vec![0; n];
        counts[0] = x;
        let (spread, n) = (of(&counts), real(u64::try_from(n).unwrap()));
        assert!(spread.peak_to_mean <= n && close(spread.peak_to_mean, n), "{x} on one of {n}");
        assert!(spread.cv <= (n - 1.0).sqrt() && close(spread.cv, (n - 1.0).sqrt()), "{x} on one of {n}");
        assert!(spread.jain >= 1.0 / n && close(spread.jain, 1.0 / n), "{x} on one of {n}");
    }
}

#[test]
fn enormous_counts_do_not_overflow() {
    let spread = of(&[u64::MAX, u64::MAX, 0]);
    assert_eq!(spread.connections, u64::MAX);
    assert!(close(spread.peak_to_mean, 1.5) && close(spread.jain, 2.0 / 3.0), "{spread:?}");
}

proptest! {
    #[test]
    fn figures_stay_within_their_bounds(counts in prop::collection::vec(any::<u64>(), 1..50)) {
        let spread = of(&counts);
        let n = real(spread.endpoints);
        if counts.iter().all(|x| *x == 0) {
            prop_assert_eq!((spread.coverage, spread.peak_to_mean, spread.cv, spread.jain), (0.0, 0.0, 0.0, 0.0));
        } else {
            prop_assert!((1.0 / n..=1.0).contains(&spread.coverage));
            prop_assert!((1.0..=n).contains(&spread.peak_to_mean));
            prop_assert!((0.0..=(n - 1.0).sqrt()).contains(&spread.cv));
            prop_assert!((1.0 / n..=1.0).contains(&spread.jain));
            prop_assert!((0.0..=spread.cv).contains(&spread.cv_corrected));
            prop_assert!((0.0..=(n - 1.0) / n).contains(&spread.gini));
            prop_assert!((0.0..=1.0).contains(&spread.entropy));
            prop_assert!(spread.dispersion >= 0.0 && spread.dispersion.is_finite());
            prop_assert!(spread.z.is_none_or(f64::is_finite));
            prop_assert!((1.0 / n - 1e-9..=1.0).contains(&spread.expected_coverage));
            prop_assert!((1.0..=n).contains(&spread.expected_peak_to_mean));
        }
    }

    #[test]
    fn order_does_not_matter(mut counts in prop::collection::vec(0..10_000_u64, 0..50)) {
        let before = of(&counts);
        counts.sort_unstable();
        let after = of(&counts);
        prop_assert_eq!((before.connections, before.coverage), (after.connections, after.coverage));
        prop_assert!(close(before.peak_to_mean, after.peak_to_mean));
        prop_assert!(close(before.cv, after.cv) && close(before.jain, after.jain));
        prop_assert!(close(before.gini, after.gini) && close(before.entropy, after.entropy));
        prop_assert!(close(before.z.unwrap_or_default(), after.z.unwrap_or_default()));
    }

    #[test]
    fn scale_does_not_matter(counts in prop::collection::vec(0..10_000_u64, 0..50), factor in 1..1000_u64) {
        let (one, many) = (of(&counts), of(&counts.iter().map(|x| x * factor).collect::<Vec<_>>()));
        prop_assert_eq!((one.connections * factor, one.coverage), (many.connections, many.coverage));
        prop_assert!(close(one.peak_to_mean, many.peak_to_mean));
        prop_assert!(close(one.cv, many.cv) && close(one.jain, many.jain));
        prop_assert!(close(one.gini, many.gini) && close(one.entropy, many.entropy));
        // The same shares of more connections are further from chance.
        prop_assert!(close(one.dispersion * real(factor), many.dispersion));
    }
}

#[test]
fn what_random_choice_would_show_is_known() {
    // Choices, endpoints, expected peak to mean: 10 of 1000 by Raab and Steger's simulation, the others by ours.
    for (choices, endpoints, expected) in
        [(3, 3, 1.89), (6, 3, 1.62), (10, 5, 1.87), (20, 10, 2.2), (100, 10, 1.51), (1000, 10, 1.156)]
    {
        let got = expected_by_chance::peak_to_mean(choices, endpoints);
        assert!((got / expected - 1.0).abs() < 0.01, "{choices} among {endpoints}: {got} for {expected}");
    }
    for (choices, endpoints, expected) in
        [(3.0, 3.0, 0.70), (6.0, 3.0, 0.91), (10.0, 5.0, 0.89), (20.0, 10.0, 0.88)]
    {
        let got = expected_by_chance::coverage(choices, endpoints);
        assert!((got - expected).abs() < 0.006, "{choices} among {endpoints}: {got} for {expected}");
    }
}

#[test]
fn the_expected_peak_of_few_choices_is_exact() {
    for endpoints in 2..=5_u64 {
        for choices in 1..=6_u32 {
            let cases = endpoints.pow(choices);
            let peaks: u64 = (0..cases)
                .map(|mut case| {
                    let mut counts = [0_u64; 5];
                    for _ in 0..choices {
                        counts[usize::try_from(case % endpoints).unwrap()] += 1;
                        case /= endpoints;
                    }
                    counts.into_iter().max().unwrap()
                })
                .sum();
            let expected = real(peaks * endpoints) / real(cases * u64::from(choices));
            let got = expected_by_chance::peak_to_mean(choices.into(), endpoints);
            assert!(close(got, expected), "{choices} among {endpoints}: {got} for {expected}");
        }
    }
}

#[test]
fn the_expected_peak_is_that_of_simulated_choices() {
    let mut random = Random::new(1);
    for endpoints in [2, 3, 5, 10, 30, 100, 300] {
        for choices in [1, 2, 5, 16, 17, 20, 40, 100, 299, 1_000, 3_000] {
            let rounds = 300_000 / (choices + endpoints) + 300;
            let mut peaks = 0;
            for _ in 0..rounds {
                let mut counts = vec![0_u64; usize::try_from(endpoints).unwrap()];
                for _ in 0..choices {
                    let chosen = random.below(counts.len());
                    counts[chosen] += 1;
                }
                peaks += counts.into_iter().max().unwrap();
            }
            let expected = real(peaks * endpoints) / real(rounds * choices);
            let got = expected_by_chance::peak_to_mean(choices, endpoints);
            assert!(
                (got / expected - 1.0).abs() < 0.025,
                "{choices} among {endpoints}: {got} for {expected}"
            );
        }
    }
}
