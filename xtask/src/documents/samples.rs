//! Compares samples in the documents with the file that they are cut from, or with a complete sample in another
//! document.
//!
//! In: blocks that name their source file, and those that name the command that prints them. Out: errors. A JSON sample
//! may omit elements of arrays; its objects are complete, and its values are those of the file. A text sample has lines
//! of the file, in their order. The longest sample of a command is complete, and the others are cut from it. The
//! command's own program compares the sample with its output: `tests/src/demo/sample.rs`.

use anyhow::Result;
use docs::{Block, Check, Document};
use serde_json::Value;

/// The commands whose programs compare the sample with their output.
const PRINTING: [&str; 1] = ["cargo xtask demo"];

/// Errors; `read` returns a file of the repository.
pub(super) fn wrong(documents: &[Document], read: &dyn Fn(&str) -> Result<String>) -> Vec<String> {
    let blocks = || documents.iter().flat_map(|document| &document.blocks);
    let mut wrong = Vec::new();
    for block in blocks() {
        let fault = match block.check() {
            Ok(Check::CutFrom(file)) => match read(&file) {
                Err(error) => Some(format!("{error:#}")),
                Ok(whole) if block.language == "json" => cut_json(&block.text, &whole, &file),
                Ok(whole) => cut_text(&block.text, &whole, &file),
            },
            Ok(Check::PrintedBy(command)) if !PRINTING.contains(&command.as_str()) => Some(format!(
                "nothing compares this with what `{command}` prints: use a golden file, or let the program compare and \
                 add it to PRINTING in xtask/src/documents/samples.rs"
            )),
            Ok(Check::PrintedBy(command)) => {
                let is_same = |other: &&Block| other.check() == Ok(Check::PrintedBy(command.clone()));
                let longest = blocks().filter(is_same).max_by_key(|block| block.text.len());
                let longest = longest.filter(|longest| *longest != block);
                longest.and_then(|whole| cut_text(&block.text, &whole.text, &whole.file))
            }
            _ => None,
        };
        wrong.extend(fault.map(|what| block.error(&what)));
    }
    wrong
}

/// The first line that the whole does not have after the previous lines.
fn cut_text(sample: &str, whole: &str, file: &str) -> Option<String> {
    let mut rest = whole.lines().map(str::trim_end);
    let mut lines = sample.lines().map(str::trim_end).filter(|line| !line.is_empty() && *line != "…");
    let missing = lines.find(|line| !rest.any(|other| other == *line))?;
    Some(format!("{file} does not have this line of the sample, behind those before it: `{missing}`"))
}

fn cut_json(sample: &str, whole: &str, file: &str) -> Option<String> {
    let parsed =
        serde_json::from_str::<Value>(sample).and_then(|sample| Ok((sample, serde_json::from_str(whole)?)));
    match parsed {
        Err(error) => Some(format!("the sample or {file} is no JSON: {error}")),
        Ok((sample, whole)) => {
            differs("", &sample, &whole).map(|path| format!("at `{path}` the sample is not what {file} has"))
        }
    }
}

/// The path at which a value is not a part of another.
fn differs(path: &str, sample: &Value, whole: &Value) -> Option<String> {
    match (sample, whole) {
        (Value::Object(sample), Value::Object(whole)) => {
            let missing = whole.keys().find(|name| !sample.contains_key(*name));
            let missing = missing.or_else(|| sample.keys().find(|name| !whole.contains_key(*name)));
            missing.map(|name| format!("{path}/{name}")).or_else(|| {
                sample
                    .iter()
                    .find_map(|(name, value)| differs(&format!("{path}/{name}"), value, &whole[name]))
            })
        }
        (Value::Array(sample), Value::Array(whole)) => {
            let mut rest = whole.iter();
            let missing = sample
                .iter()
                .enumerate()
                .find(|(_, element)| !rest.any(|other| differs("", element, other).is_none()));
            let (at, element) = missing?;
            // A more precise path, if the element at the same index shows one.
            let inner = whole.get(at).and_then(|other| differs(&format!("{path}/{at}"), element, other));
            Some(inner.unwrap_or_else(|| format!("{path}/{at}")))
        }
        _ => (sample != whole).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let read = |path: &str| {
            Ok(if path == "a.json" { r#"{"a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]}"# } else { "1\n 2\n3\n" }
                .to_owned())
        };
        wrong(&[Document::parse("docs/x.md", text)], &read)
    }

    #[test]
    fn samples_that_are_cut_from_their_files_are_taken() {
        for right in [
            "<!-- Cut from a.json -->\n```json\n{\"a\": [{\"b\": 3, \"c\": 4}]}\n```\n",
            "<!-- Cut from a.txt -->\n```text\n1\n…\n3\n```\n",
            "<!-- Printed by `cargo xtask demo`. -->\n```text\n1\n2\n3\n```\n<!-- Printed by `cargo xtask demo`: a part. -->\n```text\n1\n3\n```\n",
        ] {
            assert_eq!(found(right), [""; 0], "{right}");
        }
    }

    #[test]
    fn samples_that_are_not_in_their_files_are_named() {
        for (text, part) in [
            ("<!-- Cut from a.json -->\n```json\n{\"a\": [{\"b\": 1, \"c\": 9}]}\n```\n", "at `/a/0/c`"),
            ("<!-- Cut from a.json -->\n```json\n{\"a\": [{\"b\": 1}]}\n```\n", "at `/a/0/c`"),
            ("<!-- Cut from a.json -->\n```json\n{\n```\n", "no JSON"),
            ("<!-- Cut from a.txt -->\n```text\n3\n1\n```\n", "`1`"),
            ("<!-- Printed by `ls`. -->\n```text\n1\n```\n", "nothing compares"),
        ] {
            let found = found(text);
            assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
        }
    }
}
