//! Makes the names of processes safe for labels and terminals.

use std::borrow::Cow;

/// The most characters of a name.
const LENGTH_MAX: usize = 64;

/// A process's `comm`: up to the first NUL, as text; `unknown` if there is none.
pub fn comm(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
    };
    if text.is_empty() { Cow::Borrowed("unknown") } else { text }
}

/// A name without control characters, cut to the length of a label.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(' ');
    // A character has at least one byte, so a short text cannot have too many.
    if text.len() <= LENGTH_MAX && !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if acts(c) { char::REPLACEMENT_CHARACTER } else { c });
    Cow::Owned(shown.take(LENGTH_MAX).collect())
}

/// Control characters, line separators, and marks that hide text or change its direction.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comm_is_text_up_to_nul() {
        let cases: [(&[u8], &str); 8] = [
            (b"curl\0\0\0", "curl"),
            (b"sixteen-bytes-xx", "sixteen-bytes-xx"),
            (b"curl\0rest", "curl"),
            (b"", "unknown"),
            (b"\0\0", "unknown"),
            (b"  ", "unknown"),
            (b"\x1b[31mred", "\u{fffd}[31mred"),
            (b"a\xffb", "a\u{fffd}b"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(comm(bytes), expected);
        }
        assert_eq!(comm("x\u{202e}y\u{2028}".as_bytes()), "x\u{fffd}y\u{fffd}");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(clean(&"ä".repeat(100)).chars().count(), LENGTH_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_name_that_acts(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let name = comm(&bytes);
            prop_assert!(!name.is_empty() && !name.contains(acts));
        }
    }
}
