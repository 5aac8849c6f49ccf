//! The part of docs/benchmarks.md that is made: what stands between two marks. All else is written by hand.

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- made by `cargo xtask bench` -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// The document with another section between the marks.
pub(super) fn replace(document: &str, section: &str) -> Result<String> {
    let marked = || {
        let (before, rest) = document.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", section.trim()))
    };
    marked().with_context(|| format!("the document lacks the lines\n{BEGIN}{END}between which figures go"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("# A\n\n{BEGIN}old\n{END}\n## B\n");
        let once = replace(&document, "new\n").unwrap();
        assert_eq!(once, format!("# A\n\n{BEGIN}\nnew\n\n{END}\n## B\n"));
        assert_eq!(replace(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_document_without_marks_is_left_alone() {
        for document in ["# A\n".to_owned(), format!("{END}{BEGIN}"), BEGIN.to_owned()] {
            assert!(replace(&document, "new").is_err(), "{document}");
        }
    }
}
