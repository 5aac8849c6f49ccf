//! Compares the demonstration's output with the sample in docs/report.md, apart from the parts that differ in each run.
//!
//! In: the document, and the output. Out: the first difference in [`shape`]: headers of tables, clients with their
//! verdicts, headings. It ignores numbers, times and bars.

const DOCUMENT: &str = include_str!("../../../docs/report.md");
const BEGIN: &str = "<!-- Printed by `cargo xtask demo`. -->\n```text\n";

/// The difference from the sample, or `None`.
pub(crate) fn difference(printed: &str) -> Option<String> {
    let sample = DOCUMENT.split_once(BEGIN).and_then(|(_, rest)| rest.split_once("\n```"));
    let Some((sample, _)) = sample else {
        return Some("docs/report.md has no sample of the demonstration any more".to_owned());
    };
    let (sample, printed) = (shape(sample), shape(printed));
    let lacks = |there: &[String], other: &[String]| there.iter().find(|line| !other.contains(line)).cloned();
    if let Some(line) = lacks(&sample, &printed) {
        return Some(format!(
            "the sample in docs/report.md has `{line}`, and the demonstration did not print it"
        ));
    }
    let line = lacks(&printed, &sample)?;
    Some(format!("the demonstration printed `{line}`, and the sample in docs/report.md does not have it"))
}

/// The lines that are the same in each run, with single spaces; of a client's row only its name and verdict.
fn shape(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_header =
            words.len() > 1 && words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let is_heading =
            line.ends_with(':') || line.starts_with("accepted ") || line.starts_with("The daemon runs");
        match words[..] {
            // A verdict may name several causes: `pinned or seeks_role`.
            [client, _, _, coverage, _, _, ref verdict @ ..]
                if client.starts_with("shop/") && coverage.ends_with('%') =>
            {
                lines.push(format!("{client} {}", verdict.join(" ")));
            }
            [client, .., verdict] if client.starts_with("shop/") && line.starts_with("  ") => {
                lines.push(format!("{client} {verdict}"));
            }
            _ if is_header || is_heading || line.starts_with("  `") => lines.push(words.join(" ")),
            _ => {}
        }
    }
    lines
}
