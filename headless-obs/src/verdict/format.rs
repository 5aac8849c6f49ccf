//! Figures as text, for evidence.

pub(super) use crate::messages::{plural as count, thousands};

/// A figure that is not exact, as a whole number.
pub(super) fn about(figure: f64) -> String {
    let whole = format!("{figure:.0}");
    whole.parse().map_or(whole, thousands)
}

/// `no one`, `a`, `a and b`, `a, b and 3 more`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
    }
}

/// Seconds in a suitable unit: `45 s`, `12 min`, `3.5 h`, `2.0 d`.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3_600.0)
    } else {
        format!("{:.1} d", seconds / 86_400.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([about(0.4), about(1_233.6)], ["0", "1,234"]);
        let names: [&str; 4] = ["a", "b", "c", "d"];
        let lists = [0, 1, 2, 3, 4].map(|length| list(&names[..length]));
        assert_eq!(lists, ["none", "a", "a and b", "a, b and c", "a, b and 2 more"]);
        let spans = [0.5, 45.0, 720.0, 12_600.0, 172_800.0].map(span);
        assert_eq!(spans, ["0.5 s", "45 s", "12 min", "3.5 h", "2.0 d"]);
    }
}
