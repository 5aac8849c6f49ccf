//! Figures and names as text on a terminal: what they say is in [`crate::words`], here is how they fit its columns.

use ratatui::text::Span;

pub(super) use crate::words::{
    between, capital, clean, counted, full_name, length, percent, plural, thousands, total,
};

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
        assert_eq!(wrap("abcdefghijk", 5), ["abcd…"]);
    }
}
