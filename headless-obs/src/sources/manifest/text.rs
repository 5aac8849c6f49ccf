//! Bytes of a file to text: the encodings in which tools write manifests, and the lines that tools write in front. Pure.
//!
//! In: bytes. Out: text in which each line has the number that it has in the file; nothing if the bytes are no text.

use std::borrow::Cow;

use super::Format;

/// The text of a file in UTF-8 or UTF-16, with or without a byte order mark.
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks();
        let text = char::decode_utf16(units.iter().copied().map(unit)).collect::<Result<String, _>>();
        text.ok().filter(|_| rest.is_empty())
    };
    let text = match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => str::from_utf8(text).ok().map(Cow::Borrowed),
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes).map(Cow::Owned),
        // A manifest begins with an ASCII character.
        [first, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes).map(Cow::Owned),
        [0, second, ..] if *second != 0 => utf16(bytes, u16::from_be_bytes).map(Cow::Owned),
        _ => str::from_utf8(bytes).ok().map(Cow::Borrowed),
    };
    text.filter(|text| !text.contains('\0'))
}

/// Empties the lines that tools write between manifests when both of their outputs go to one file.
pub(super) fn without_remarks(format: Format, text: &str) -> Cow<'_, str> {
    let begins = |line: &str| line.trim_start().starts_with(['{', '[']);
    let head = match format {
        // JSON has nothing in front of its first bracket.
        Format::Json => text.lines().position(begins).unwrap_or(0),
        Format::Yaml => 0,
    };
    if head == 0 && !text.lines().any(is_remark) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').enumerate();
    let kept = lines.map(|(number, line)| if number < head || is_remark(line) { "" } else { line });
    Cow::Owned(kept.collect::<Vec<_>>().join("\n"))
}

/// A line at which no manifest can begin: a warning of kubectl, or a line of its log.
fn is_remark(line: &str) -> bool {
    let is_logged = || {
        let mut bytes = line.bytes();
        matches!(bytes.next(), Some(b'I' | b'W' | b'E' | b'F'))
            && bytes.by_ref().take(4).filter(u8::is_ascii_digit).count() == 4
            && bytes.next() == Some(b' ')
    };
    ["Warning: ", "WARNING: ", "warning: ", "Flag --"].iter().any(|head| line.starts_with(head))
        || is_logged()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let text = "kind: Sérvice\n";
        let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let with = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        for bytes in [
            text.as_bytes().to_vec(),
            with(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            with(&[0xff, 0xfe], &little),
            with(&[0xfe, 0xff], &big),
            little.clone(),
            big,
        ] {
            assert_eq!(decode(&bytes).as_deref(), Some(text), "{bytes:?}");
        }
        assert_eq!(decode(b"").as_deref(), Some(""));
        for binary in
            [&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0][..], &[0xff, 0xfe, 0, 0xd8], &little[..5], &[0xc3]]
        {
            assert_eq!(decode(binary), None, "{binary:?}");
        }
    }

    #[test]
    fn remarks_of_tools_are_emptied_and_lines_keep_their_numbers() {
        let yaml = "Warning: v1 Endpoints is deprecated\nW0102 03:04:05.000000   1 warnings.go:70] old\nkind: Pod\n\
                    ---\nWarning: again\nkind: Service\nmessage: |\n  Warning: not this one\n";
        assert_eq!(
            without_remarks(Format::Yaml, yaml),
            "\n\nkind: Pod\n---\n\nkind: Service\nmessage: |\n  Warning: not this one\n"
        );
        assert_eq!(without_remarks(Format::Json, "Using a cache\n\n {\"a\": 1}\n"), "\n\n {\"a\": 1}\n");
        assert_eq!(without_remarks(Format::Json, "no JSON at all"), "no JSON at all");
        assert!(matches!(without_remarks(Format::Yaml, "Warnings: 3\nI12: x\n"), Cow::Borrowed(_)));
    }
}
