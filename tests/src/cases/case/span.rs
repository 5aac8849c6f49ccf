//! A length of time as cases write it: `250ms`, `1.2s`, `5m`, `1h30m`, `90d`.

use std::time::Duration;

use serde::Deserialize;

/// A length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As an option of the daemon.
    pub(crate) fn option(self) -> String {
        if self.0.is_zero() { "0s".to_owned() } else { format!("{}ms", self.0.as_millis()) }
    }
}

/// Units, and their seconds. `ms` comes before `m`, because the first one that fits is taken.
const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fault = || format!("{text:?} is no length of time; write 250ms, 1.2s, 5m, 1h30m or 90d");
        let (mut rest, mut seconds) = (text.as_str(), 0.0);
        while !rest.is_empty() {
            let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(fault)?;
            let number: f64 = rest[..end].parse().map_err(|_| fault())?;
            let unit = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit)).ok_or_else(fault)?;
            seconds += number * unit.1;
            rest = &rest[end + unit.0.len()..];
        }
        if text.is_empty() {
            return Err(fault());
        }
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| fault())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_sum_of_numbers_with_units() {
        let span = |text: &str| Span::try_from(text.to_owned()).map(|span| span.0.as_millis());
        assert_eq!(span("250ms"), Ok(250));
        assert_eq!(span("1.2s"), Ok(1200));
        assert_eq!(span("1h30m"), Ok(5_400_000));
        assert_eq!(span("90d"), Ok(7_776_000_000));
        for wrong in ["", "5", "s", "5 s", "5y", "-1s", "1.2.3s"] {
            assert!(span(wrong).is_err_and(|error| error.contains("is no length of time")), "{wrong}");
        }
    }
}
