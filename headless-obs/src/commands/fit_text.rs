//! Figures and names as text on a terminal: [`crate::messages`] has the content, this module fits it into columns.

use std::collections::HashSet;

use ratatui::text::Span;

pub(super) use crate::messages::{
    between, bytes, capital, clean, counted, full_name, length, percent, plural, thousands, total,
};

/// The number of columns of a text.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to a number of columns with `…` at its end if it is longer.
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

/// Like [`fit`], but it keeps both ends: pods of a Deployment differ in their last characters.
pub(super) fn fit_middle(text: &str, columns: usize) -> String {
    fit_around(text, columns, balanced(columns))
}

/// The names of one column, each cut in its middle if it is too long. If two names would then look the same, they are
/// cut at another place.
pub(super) fn fit_names(names: &[String], columns: usize) -> Vec<String> {
    let different = names.iter().collect::<HashSet<_>>().len();
    let apart = |shown: &[String]| shown.iter().collect::<HashSet<_>>().len();
    let balanced = balanced(columns);
    let mut tails: Vec<_> = (SHORTEST_END..columns.saturating_sub(SHORTEST_END)).collect();
    tails.sort_by_key(|tail| tail.abs_diff(balanced));
    tails.insert(0, balanced);
    let at_tails = tails.into_iter().map(|tail| {
        let cut = |name: &String| fit_around(name, columns, tail);
        names.iter().map(cut).collect::<Vec<_>>()
    });
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let at_windows = (1..longest).map(|behind| {
        let cut = |name: &String| fit_window(name, columns, behind);
        names.iter().map(cut).collect::<Vec<_>>()
    });
    let mut best = (0, Vec::new());
    for shown in at_tails.chain(at_windows) {
        let apart = apart(&shown);
        if apart > best.0 {
            best = (apart, shown);
        }
        if best.0 == different {
            break;
        }
    }
    best.1
}

/// The least part of each end that a cut name keeps, if possible.
const SHORTEST_END: usize = 3;

/// Columns of the end of a text that is cut in its middle.
fn balanced(columns: usize) -> usize {
    columns.saturating_sub(1) / 2
}

/// The text, cut so that its last columns remain.
fn fit_around(text: &str, columns: usize, tail_columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let tail = last(text, tail_columns);
    fit(text, columns.saturating_sub(width(tail))) + tail
}

/// The text, cut twice: each end gets a quarter of the columns, and the rest shows the text from this number of
/// characters on.
fn fit_window(text: &str, columns: usize, behind: usize) -> String {
    if width(text) <= columns || columns < 8 {
        return fit_middle(text, columns);
    }
    let (head, tail) = (fit(text, columns / 4 + 1), last(text, columns / 4));
    let left = columns.saturating_sub(width(&head) + width(tail));
    let end = text.len() - tail.len();
    let starts: Vec<_> = text.char_indices().map(|(at, _)| at).filter(|at| *at < end).collect();
    let begin = head.chars().count() - 1;
    let first = (begin + 1..=begin + behind).rev().filter_map(|first| starts.get(first));
    // If it would reach the end, it begins earlier.
    let window = first.map(|at| &text[*at..end]).find(|window| width(window) >= left);
    window.map_or_else(|| fit_middle(text, columns), |window| head + &fit(window, left) + tail)
}

/// The end of a text, with at most this number of columns.
fn last(text: &str, columns: usize) -> &str {
    let mut tail = text;
    while width(tail) > columns {
        let mut chars = tail.chars();
        chars.next();
        tail = chars.as_str();
    }
    tail
}

/// Lines with at most this number of columns, broken at blanks; a longer word is cut in its middle.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace().map(|word| fit_middle(word, columns)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_columns() {
        assert_eq!(fit("orders-0", 8), "orders-0");
        assert_eq!(fit("orders-10", 8), "orders-…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("x", 0), "");
        assert_eq!(fit_middle("orders-7d9f8b6c5d-x2x9z", 15), "orders-…d-x2x9z");
        assert_eq!(fit_middle("orders", 6), "orders");
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghijk", 5), ["ab…jk"]);
    }
    #[test]
    fn names_of_a_column_stay_apart() {
        for (names, columns, expected) in [
            (["orders-7d9f8b6c5d-x2x9z", "orders"], 15, ["orders-…d-x2x9z", "orders"]),
            (["orders-production-a", "orders-production-b"], 9, ["orde…on-a", "orde…on-b"]),
            (["orders-a-production", "orders-b-production"], 12, ["orders-a…ion", "orders-b…ion"]),
            (["o-a-production-canary", "o-b-production-canary"], 10, ["o-a-p…nary", "o-b-p…nary"]),
            (
                ["orders-production-a-canary-eu-w", "orders-production-b-canary-eu-w"],
                12,
                ["ord…on-a…u-w", "ord…on-b…u-w"],
            ),
            (["same-name-of-two", "same-name-of-two"], 9, ["same…-two", "same…-two"]),
            (["日本語日本語", "日本言日本語"], 9, ["日本語…語", "日本言…語"]),
            (["abcdef", "abcxef"], 1, ["…", "…"]),
        ] {
            let names = names.map(ToOwned::to_owned);
            let shown = fit_names(&names, columns);
            assert_eq!(shown, expected, "{names:?} {columns}");
            assert!(shown.iter().all(|name| width(name) <= columns), "{shown:?}");
        }
        assert_eq!(fit_names(&[], 9), [""; 0]);
    }
}
