//! Figures and names as text for people; shared by the tables, the live view and the trace.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::text::Span;

use crate::expose::snapshot::Counts;

/// A name that cannot do anything to a terminal: process names and DNS names are chosen by others.
pub(super) fn clean(name: &str) -> String {
    // Direction marks and the like have no width of their own but change what is around them.
    let harmless = |c: char| !c.is_control() && (c.is_ascii() || c.is_alphanumeric());
    name.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

/// `namespace/name`, or the name alone where there is no namespace; clean.
pub(super) fn full_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { clean(name) } else { format!("{}/{}", clean(namespace), clean(name)) }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to a number of columns with `…` as its end where it is longer.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut buffer = [0; 4];
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        match left.checked_sub(width(c.encode_utf8(&mut buffer))) {
            Some(rest) => left = rest,
            None => break,
        }
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// As [`fit`], but keeps both ends: pods of a Deployment differ in their last characters.
pub(super) fn fit_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let tail_columns = columns.saturating_sub(1) / 2;
    let mut tail = text;
    while width(tail) > tail_columns {
        let mut chars = tail.chars();
        chars.next();
        tail = chars.as_str();
    }
    fit(text, columns.saturating_sub(width(tail))) + tail
}

/// Lines of at most so many columns, broken at blanks; a word that is longer is cut.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace().map(|word| fit(word, columns)) {
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// `12,345`
pub(super) fn thousands(number: u64) -> String {
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

/// `1 pod`, `2 pods`
pub(super) fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {one}{s}", thousands(count))
}

/// `67%`; 100% only if it is all, 0% only if it is nothing.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        some if some > 0.0 && some < 1.0 => "<1%".to_owned(),
        most if most > 99.0 && most < 100.0 => "99%".to_owned(),
        share => format!("{share:.0}%"),
    }
}

/// `12 refused, 1 timeout`, largest first; names without a count are left out, nothing at all is empty.
pub(super) fn counted(counts: &Counts) -> String {
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<_> =
        counts.iter().map(|(name, count)| format!("{} {}", thousands(**count), clean(name))).collect();
    words.join(", ")
}

/// All counts together.
pub(super) fn total(counts: &Counts) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// `30 s`, `5 min`, `2 h 5 min`
pub(super) fn length(duration: Duration) -> String {
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

/// Time from one moment to another; nothing where the clock went back.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The same as the beginning of a sentence.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::sample::counts;

    #[test]
    fn names_cannot_do_anything_to_a_terminal() {
        assert_eq!(clean("ng\u{1b}[31minx\n\u{202e}"), "ng\u{fffd}[31minx\u{fffd}\u{fffd}");
        assert_eq!(full_name("", "héllo.org"), "héllo.org");
        assert_eq!(full_name("a", "b"), "a/b");
    }

    #[test]
    fn texts_are_cut_to_columns() {
        assert_eq!(fit("orders-0", 8), "orders-0");
        assert_eq!(fit("orders-10", 8), "orders-…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("x", 0), "");
        assert_eq!(fit_middle("orders-7d9f8b6c5d-x2x9z", 15), "orders-…d-x2x9z");
        assert_eq!(fit_middle("orders", 6), "orders");
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghijk", 5), ["abcd…"]);
    }

    #[test]
    fn figures() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
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
