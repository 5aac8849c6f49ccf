//! The parts of docs/benchmarks.md that are made: what stands between two marks. All else is written by hand.

use anyhow::{Context as _, Result};

const END: &str = "<!-- end of what is made -->\n";

/// The mark that begins what this command makes.
fn begin(command: &str) -> String {
    format!("<!-- made by `{command}` -->\n")
}

/// The document with another section between the marks of this command.
pub(super) fn replace(document: &str, command: &str, section: &str) -> Result<String> {
    let begin = begin(command);
    let marked = || {
        let (before, rest) = document.split_once(&begin)?;
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{begin}\n{}\n\n{END}{after}", section.trim()))
    };
    marked().with_context(|| {
        format!("the document lacks the lines\n{begin}{END}between which the figures are written")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCH: &str = "cargo xtask bench";

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let (begin, other) = (begin(BENCH), begin("cargo xtask bench curves endpoints"));
        let document = format!("# A\n\n{other}kept\n{END}{begin}old\n{END}\n## B\n");
        let once = replace(&document, BENCH, "new\n").unwrap();
        assert_eq!(once, format!("# A\n\n{other}kept\n{END}{begin}\nnew\n\n{END}\n## B\n"));
        assert_eq!(replace(&once, BENCH, "new").unwrap(), once);
    }

    #[test]
    fn a_document_without_marks_is_left_alone() {
        let begin = begin(BENCH);
        for document in ["# A\n".to_owned(), format!("{END}{begin}"), begin] {
            assert!(replace(&document, BENCH, "new").is_err(), "{document}");
        }
    }
}
