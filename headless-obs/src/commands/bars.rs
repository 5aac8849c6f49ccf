//! Bars made of block characters.

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of at most `columns`: `part` of `value` solid, the rest shaded; `most` has full length. A value above 0 never
/// gives an empty bar.
pub(super) fn bar(value: u64, part: u64, most: u64, columns: usize) -> String {
    let eighths = scale(value, most, columns.saturating_mul(8));
    let solid = scale(part.min(value), value, eighths);
    let mut bar = "█".repeat(solid / 8);
    if eighths == solid {
        bar.extend((solid % 8).checked_sub(1).map(|eighth| EIGHTHS[eighth]));
    } else {
        // Shading has no eighths, so both ends are rounded to whole columns.
        bar.push_str(&"░".repeat(eighths.div_ceil(8).saturating_sub(solid / 8)));
    }
    bar
}

/// One column per value, with a height relative to the largest; 0 is a dot.
pub(super) fn columns(values: impl IntoIterator<Item = u64>, most: u64) -> String {
    let height = |value| match scale(value, most, 8).checked_sub(1) {
        Some(height) => HEIGHTS[height.min(7)],
        None => '·',
    };
    values.into_iter().map(height).collect()
}

/// `value` of `most` in steps; at least one step for a value above 0, at most all.
fn scale(value: u64, most: u64, steps: usize) -> usize {
    if value == 0 || most == 0 {
        return 0;
    }
    let scaled = u128::from(value) * steps as u128 / u128::from(most);
    usize::try_from(scaled).unwrap_or(steps).clamp(1, steps.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        for (value, part, most, expected) in [
            (0, 0, 10, ""),
            (10, 10, 10, "████"),
            (5, 5, 10, "██"),
            (1, 1, 1_000, "▏"),
            (7, 7, 32, "▉"),
            (10, 5, 10, "██░░"),
            (10, 0, 10, "░░░░"),
            (20, 30, 10, "████"),
            (u64::MAX, u64::MAX, u64::MAX, "████"),
            (1, 1, 0, ""),
        ] {
            assert_eq!(bar(value, part, most, 4), expected, "{value} {part} {most}");
        }
    }

    #[test]
    fn heights() {
        assert_eq!(columns([0, 1, 500, 1_000], 1_000), "·▁▄█");
        assert_eq!(columns([0, 0], 0), "··");
    }
}
