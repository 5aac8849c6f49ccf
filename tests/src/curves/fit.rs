//! The exponent of a growth, and the table of a curve.

use std::fmt::Write as _;

/// The exponent k of the best fit y = a·xᵏ: the slope of a straight line through the logarithms. `None` if fewer than
/// two values are above zero.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> =
        points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = f64::from(u32::try_from(logs.len()).ok().filter(|count| *count > 1)?);
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = logs.iter().map(|point| (point.0 - x).powi(2)).sum();
    (square > 0.0).then(|| both / square)
}

/// One measured quantity of a curve.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) decimals: usize,
    /// Below this value the exponent has no meaning.
    pub(crate) noise: f64,
    /// The value at zero, and at each step.
    pub(crate) values: Vec<f64>,
}

/// A table with a column for zero, one for each step, and the growth.
pub(crate) fn table(of: &str, steps: &[u32], lines: &[Line]) -> String {
    let mut text = format!("| {of} |");
    for step in steps {
        let _infallible = write!(text, " {} |", grouped(*step));
    }
    let _infallible = write!(text, " growth |\n|---|{}", "---:|".repeat(steps.len() + 1));
    for line in lines {
        let _infallible = write!(text, "\n| {} |", line.label);
        for value in &line.values {
            let _infallible = write!(text, " {value:.*} |", line.decimals);
        }
        let _infallible = write!(text, " {} |", growth(steps, line));
    }
    text.push('\n');
    text
}

fn growth(steps: &[u32], line: &Line) -> String {
    let base = line.values.first().copied().unwrap_or(0.0);
    let points: Vec<(f64, f64)> = steps
        .iter()
        .zip(&line.values)
        .map(|(step, value)| (f64::from(*step), value - base))
        .skip(1)
        .collect();
    // If a step's value is below that at zero, the growth has another reason.
    let is_above = points.iter().all(|(_, value)| *value > 0.0);
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    match exponent(&points) {
        Some(exponent) if is_above && most > line.noise && exponent > 0.0 => format!("{exponent:.2}"),
        _ => "none".to_owned(),
    }
}

/// `100000` as `100,000`.
pub(crate) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(of: impl Fn(f64) -> f64) -> f64 {
        exponent(&[1.0, 2.0, 4.0, 8.0].map(|x| (x, of(x)))).unwrap_or(f64::NAN)
    }

    #[test]
    fn the_exponent_is_that_of_the_function() {
        assert!((fitted(|x| 3.0 * x) - 1.0).abs() < 1e-9);
        assert!((fitted(|x| x * x) - 2.0).abs() < 1e-9);
        assert!(fitted(|_| 5.0).abs() < 1e-9);
        assert_eq!(exponent(&[(1.0, 0.0), (2.0, -1.0)]), None);
    }

    #[test]
    fn what_is_there_without_it_is_taken_off_and_noise_is_no_growth() {
        let line = |values: [f64; 3], noise| Line { label: "x", decimals: 1, noise, values: values.to_vec() };
        let lines = [[50.0, 60.0, 70.0], [5.0, 5.1, 5.2], [9.0, 4.0, 99.0]].map(|values| line(values, 1.0));
        let table = table("n", &[0, 1_000, 2_000], &lines);
        assert_eq!(
            table,
            "| n | 0 | 1,000 | 2,000 | growth |\n|---|---:|---:|---:|---:|\n| x | 50.0 | 60.0 | 70.0 | 1.00 |\n\
             | x | 5.0 | 5.1 | 5.2 | none |\n| x | 9.0 | 4.0 | 99.0 | none |\n"
        );
    }
}
