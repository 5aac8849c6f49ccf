//! Since when a verdict holds, and which stretch of time its evidence is about, in words. Pure.

use jiff::Timestamp;

use super::length;
use crate::expose::snapshot::{Snapshot, Verdict};

/// `Since 18:03:20; before that: even. The evidence is about the last 1 min.`
pub(crate) fn since_in_words(verdict: &Verdict, snapshot: &Snapshot) -> Option<String> {
    let since = verdict.since?;
    let began = snapshot.began.unwrap_or(snapshot.from);
    let at = clock(since, snapshot.to);
    let mut text = match verdict.before {
        Some(before) => format!("Since {at}; before that: {}.", before.as_str()),
        None if since <= began => format!("Since observation began at {at}, or longer."),
        None => format!("Since {at}, or longer."),
    };
    let seconds = verdict.stretch_seconds;
    let whole = snapshot.to.duration_since(began).as_secs_f64();
    if seconds > 0.0 && seconds < whole {
        let stretch = std::time::Duration::from_secs_f64(seconds.round().clamp(0.0, 1e9));
        text.push_str(&format!(" The evidence is about the last {}.", length(stretch)));
    }
    Some(text)
}

/// A moment, with the day only if it differs from that of `now`.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let is_today = at.strftime("%F").to_string() == now.strftime("%F").to_string();
    at.strftime(if is_today { "%T" } else { "%F %T" }).to_string()
}

/// The stretch of time that a snapshot is about: `30 s`, or `last 15 min of 3 h`.
pub(crate) fn stretch_in_words(snapshot: &Snapshot) -> String {
    let between = super::between(snapshot.from, snapshot.to);
    match snapshot.began.filter(|began| *began < snapshot.from) {
        Some(began) => format!("last {} of {}", length(between), length(super::between(began, snapshot.to))),
        None => length(between),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::Cause;
    use crate::expose::test_fixtures::{self, at};

    #[test]
    fn what_is_known_of_the_past_is_told() {
        let mut snapshot = test_fixtures::snapshot();
        (snapshot.began, snapshot.from, snapshot.to) = (Some(at(0)), at(2_700), at(3_600));
        let cases = [
            (at(3_300), Some(Cause::Even), 60.0, "before that: even. The evidence is about the last 1 min."),
            (at(0), None, 3_600.0, "Since observation began at "),
            (at(2_700), None, 900.0, ", or longer. The evidence is about the last 15 min."),
        ];
        for (since, before, stretch_seconds, expected) in cases {
            let verdict = Verdict { since: Some(since), before, stretch_seconds, ..Verdict::default() };
            let text = since_in_words(&verdict, &snapshot).unwrap();
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(stretch_in_words(&snapshot), "last 15 min of 1 h");
    }
}
