//! A snapshot in words, for the tables, the live view and the page. Pure: data in, text out.
//!
//! Invariant: others choose the names, so every name in a sentence went through [`clean`].

use std::time::Duration;

use jiff::Timestamp;

use crate::expose::snapshot::Counts;

pub(crate) mod client_pods;
pub(crate) mod ends;
pub(crate) mod findings;
pub(crate) mod other_names;
pub(crate) mod paths;
pub(crate) mod quality;
pub(crate) mod since;
pub(crate) mod timeline;
mod unreached;
pub(crate) mod unresolved;
pub(crate) mod zones;

/// The meaning of a piece of text; it decides the style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

/// A name without effect on a terminal. Others choose the names of processes and DNS names.
pub(crate) fn clean(name: &str) -> String {
    // Direction marks have no width of their own, but change the text around them.
    let harmless = |c: char| !c.is_control() && (c.is_ascii() || c.is_alphanumeric());
    name.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

/// `namespace/name`, or the name alone without a namespace; clean.
pub(crate) fn full_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { clean(name) } else { format!("{}/{}", clean(namespace), clean(name)) }
}

/// `12,345`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `999 B`, `12.5 KiB`, `3.0 GiB`
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let (mut value, mut units) = (number as f64 / 1024.0, UNITS.iter().peekable());
    loop {
        let unit = units.next().unwrap_or(&"EiB");
        // A value that would be rounded to 1024.0 has the next unit.
        if value < 1023.95 || units.peek().is_none() {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
}

/// `1 pod`, `2 pods`
pub(crate) fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {one}{s}", thousands(count))
}

/// `67%`; 100% only for all, 0% only for nothing.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        some if some > 0.0 && some < 1.0 => "<1%".to_owned(),
        most if most > 99.0 && most < 100.0 => "99%".to_owned(),
        share => format!("{share:.0}%"),
    }
}

/// `12 refused, 1 timeout`, largest first, without zeros; empty if there is nothing.
pub(crate) fn counted(counts: &Counts) -> String {
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<_> =
        counts.iter().map(|(name, count)| format!("{} {}", thousands(**count), clean(name))).collect();
    words.join(", ")
}

/// The sum of all counts.
pub(crate) fn total(counts: &Counts) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// `30 s`, `5 min`, `2 h 5 min`
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) if duration.subsec_millis() > 0 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// Time from one moment to another; nothing if the clock went back.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The same as the beginning of a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::counts;

    #[test]
    fn names_cannot_do_anything_to_a_terminal() {
        assert_eq!(clean("ng\u{1b}[31minx\n\u{202e}"), "ng\u{fffd}[31minx\u{fffd}\u{fffd}");
        assert_eq!(full_name("", "héllo.org"), "héllo.org");
        assert_eq!(full_name("a", "b"), "a/b");
    }

    #[test]
    fn figures() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let sizes = [0, 1_023, 1_024, 1_048_575, 3 << 30, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "3.0 GiB", "16.0 EiB"]);
        let percents = [0.0, 0.001, 0.666, 0.999, 1.0].map(percent);
        assert_eq!(percents, ["0%", "<1%", "67%", "99%", "100%"]);
        assert_eq!(
            counted(&counts([("refused", 2), ("none", 0), ("timeout", 1_000)])),
            "1,000 timeout, 2 refused"
        );
        let lengths = [500, 30_000, 60_000, 61_000, 3_600_000, 7_500_000];
        let lengths = lengths.map(|millis| length(Duration::from_millis(millis)));
        assert_eq!(lengths, ["0.5 s", "30 s", "1 min", "1 min 1 s", "1 h", "2 h 5 min"]);
        assert_eq!([plural(1, "pod"), plural(0, "pod")], ["1 pod", "0 pods"]);
    }
}
