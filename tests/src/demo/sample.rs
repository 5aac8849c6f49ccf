//! The sample of this output in docs/report.md must be what the demonstration prints, apart from what differs each time.
//!
//! In: the document, and what was printed. Out: the first difference in [`shape`]: headers of tables, clients with their
//! verdicts, headings. Figures, times and bars are not compared.

const DOCUMENT: &str = include_str!("../../../docs/report.md");
const BEGIN: &str = "<!-- Printed by `cargo xtask demo`. -->\n```text\n";

/// What is different from the sample; nothing if all is alike.
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

/// The lines that are the same in each run, with single spaces; of a client's row its name and verdict.
fn shape(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_header =
            words.len() > 1 && words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let is_heading =
            line.ends_with(':') || line.starts_with("accepted ") || line.starts_with("The daemon runs");
        match words[..] {
            [client, .., verdict] if client.starts_with("shop/") && line.starts_with("  ") => {
                lines.push(format!("{client} {verdict}"));
            }
            _ if is_header || is_heading || line.starts_with("  `") => lines.push(words.join(" ")),
            _ => {}
        }
    }
    lines
}
