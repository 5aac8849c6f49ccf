//! Options that the documents name in code font, such as `--for`.
//!
//! In: documents. Out: the options with their places. An option is the daemon's, which the daemon's tests check, or it is
//! in [`OTHERS`] with its program.

use crate::Document;

/// Options that are not the daemon's, each with its program.
pub const OTHERS: [(&str, &str); 4] = [
    ("--enable-feature", "prometheus"),
    ("--keep", "cargo xtask e2e cases"),
    ("--set", "helm"),
    ("--wait", "helm"),
];

/// An option and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `file:line`.
    pub place: String,
    /// The option, with its dashes.
    pub option: String,
}

/// The options that README.md and docs/ name without a command.
#[must_use]
pub fn named(documents: &[Document]) -> Vec<Named> {
    let documents = documents.iter().filter(|document| document.is_checked_whole());
    let spans = documents.flat_map(|document| document.spans.iter().map(move |span| (document, span)));
    spans
        .filter_map(|(document, span)| {
            let rest = span.text.strip_prefix("--")?;
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            let name = Some(&rest[..end]).filter(|name| !name.is_empty())?;
            Some(Named { place: format!("{}:{}", document.name, span.line), option: format!("--{name}") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_without_their_values() {
        let text = "`--for 30s`, `--set a=b`, `--a-b=c`, `-o json`, `a --b`, `--`";
        let named = |name: &str| named(&[Document::parse(name, text)]);
        let options: Vec<String> = named("docs/a.md").into_iter().map(|named| named.option).collect();
        assert_eq!(options, ["--for", "--set", "--a-b"]);
        assert!(named("CONTRIBUTING.md").is_empty());
    }
}
