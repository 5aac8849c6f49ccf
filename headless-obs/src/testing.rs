//! Helpers of tests: comparison with files in `src/golden/`, and random numbers that are the same each time.

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()));
    assert!(expected == actual, "{} differs; is now:\n{actual}", path.display());
}

/// Compares with the text between two marks in a file of the repository; `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden_part(name: &str, (begin, end): (&str, &str), actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(begin).expect("a mark where it begins");
    let (_, after) = rest.split_once(end).expect("a mark where it ends");
    let made = format!("{before}{begin}{actual}{end}{after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    assert!(made == document, "{name} is out of date; UPDATE_GOLDEN=1 brings it up to date");
}

/// Random numbers, the same for the same seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and at most 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / 9_007_199_254_740_992.0
    }

    /// At least 1, with a heavy tail: the smaller `alpha`, the heavier; without a mean from 1 down.
    pub(crate) fn pareto(&mut self, alpha: f64) -> f64 {
        self.unit().powf(-1.0 / alpha)
    }

    /// The exponential of a normal number with this deviation, around 1 (Box and Muller).
    pub(crate) fn lognormal(&mut self, deviation: f64) -> f64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        (deviation * normal).exp()
    }

    /// At least 0 and below the bound, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The upper half of the product is uniform except for one part in 2⁶⁴.
        let bound = u128::try_from(bound).unwrap();
        usize::try_from((u128::from(self.next()) * bound) >> 64).unwrap()
    }
}
