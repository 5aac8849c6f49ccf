//! A code block, and its one check.
//!
//! In: language, text and the HTML comment right above it. Out: a [`Check`], or advice for a block without a check. The
//! tests select blocks by their checks, so a block of a kind without a test is an error here.

/// A code block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The document.
    pub file: String,
    /// The line of the fence, from 1.
    pub line: usize,
    /// The text after the fence.
    pub language: String,
    /// The content.
    pub text: String,
    /// The HTML comment right above the fence, in one line.
    pub comment: Option<String>,
}

/// The check of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Commands: our programs parse ours, a test compares the others with the repository.
    Commands,
    /// A configuration of Prometheus: promtool checks it, and a real Prometheus uses it if it discovers pods.
    Prometheus,
    /// Part of one scrape configuration: promtool checks it within a complete configuration.
    PartOfScrape,
    /// Rules of Prometheus: promtool checks them.
    Rules,
    /// Queries, one a line: a PromQL parser checks them.
    Queries,
    /// A case: the player of tests/cases reads and plays it.
    Case,
    /// Values of the chart: helm renders the chart with them.
    Values,
    /// Kubernetes objects: a real API server accepts them.
    Objects,
    /// A sample that is cut from this file of the repository.
    CutFrom(String),
    /// A sample that this command prints.
    PrintedBy(String),
    /// No check, for this reason.
    Nothing(String),
}

impl Block {
    /// The check of this block.
    ///
    /// # Errors
    /// The block has no check. The text contains advice.
    pub fn check(&self) -> Result<Check, String> {
        let comment = self.comment.as_deref().unwrap_or_default();
        if let Some(reason) = comment.strip_prefix("not checked:") {
            let reason = reason.trim();
            return if reason.is_empty() {
                Err(self.error("the comment `not checked:` gives no reason: write one"))
            } else {
                Ok(Check::Nothing(reason.to_owned()))
            };
        }
        match self.language.as_str() {
            "sh" => Ok(Check::Commands),
            "yaml" => Ok(self.yaml()),
            "promql" => Ok(Check::Queries),
            "json" | "text" => self.sample(comment),
            other => Err(self.error(&format!(
                "no test checks a block of the language `{other}`: use sh, yaml, promql, json or text, or write \
                 `<!-- not checked: REASON -->` in the line above"
            ))),
        }
    }

    fn yaml(&self) -> Check {
        let has = |key: &str| self.text.lines().any(|line| line.trim_end().starts_with(&format!("{key}:")));
        if has("scrape_configs") || has("rule_files") {
            Check::Prometheus
        } else if has("metric_relabel_configs") || has("relabel_configs") {
            Check::PartOfScrape
        } else if has("groups") {
            Check::Rules
        } else if has("steps") {
            Check::Case
        } else if has("apiVersion") {
            Check::Objects
        } else {
            Check::Values
        }
    }

    fn sample(&self, comment: &str) -> Result<Check, String> {
        let first_word = |text: &str| {
            let end = text.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(text.len());
            text[..end].to_owned()
        };
        if let Some(rest) = comment.strip_prefix("Cut from ") {
            Ok(Check::CutFrom(first_word(rest)))
        } else if let Some(rest) = comment.strip_prefix("Printed by `") {
            Ok(Check::PrintedBy(rest.split('`').next().unwrap_or_default().to_owned()))
        } else {
            Err(self.error(
                "nothing says where this sample comes from: write `<!-- Cut from FILE -->` with a golden file, or \
                 `<!-- Printed by `COMMAND` -->`, in the line above",
            ))
        }
    }

    /// `file:line: what`.
    #[must_use]
    pub fn error(&self, what: &str) -> String {
        format!("{}:{}: {what}", self.file, self.line)
    }
}

/// The HTML comment that ends right above a line, apart from empty lines.
pub(crate) fn comment_above(text: &str, line: usize) -> Option<String> {
    let above: Vec<&str> = text.lines().take(line - 1).collect();
    let above = above.join("\n");
    let inner = above.trim_end().strip_suffix("-->")?;
    let (_, comment) = inner.rsplit_once("<!--")?;
    Some(comment.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(language: &str, text: &str, comment: Option<&str>) -> Block {
        let (file, comment) = ("docs/a.md".to_owned(), comment.map(str::to_owned));
        Block { file, line: 3, language: language.to_owned(), text: text.to_owned(), comment }
    }

    #[test]
    fn each_kind_of_block_has_a_check() {
        let yaml = |text| block("yaml", text, None).check();
        assert_eq!(block("sh", "ls", None).check(), Ok(Check::Commands));
        assert_eq!(block("promql", "up", None).check(), Ok(Check::Queries));
        assert_eq!(yaml("rule_files: [a]\nscrape_configs:\n"), Ok(Check::Prometheus));
        assert_eq!(yaml("metric_relabel_configs:\n"), Ok(Check::PartOfScrape));
        assert_eq!(yaml("groups: []\n"), Ok(Check::Rules));
        assert_eq!(yaml("title: a case\nsteps:\n"), Ok(Check::Case));
        assert_eq!(yaml("apiVersion: v1\n"), Ok(Check::Objects));
        assert_eq!(yaml("options:\n  groups: 1\n"), Ok(Check::Values));
        let sample = |comment| block("json", "{}", Some(comment)).check();
        assert_eq!(sample("Cut from a/b.json: some"), Ok(Check::CutFrom("a/b.json".to_owned())));
        assert_eq!(sample("Printed by `x y`."), Ok(Check::PrintedBy("x y".to_owned())));
        assert_eq!(sample("not checked: a drawing"), Ok(Check::Nothing("a drawing".to_owned())));
    }

    #[test]
    fn a_block_that_nothing_checks_is_an_error_with_the_remedy() {
        for (block, part) in [
            (block("rust", "", None), "language `rust`"),
            (block("", "", None), "language ``"),
            (block("text", "", None), "where this sample comes from"),
            (block("sh", "", Some("not checked: ")), "gives no reason"),
        ] {
            let error = block.check().unwrap_err();
            assert!(error.starts_with("docs/a.md:3: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_comment_belongs_to_the_block_right_below_it() {
        assert_eq!(comment_above("a\n<!-- b\nc -->\n\n```sh\n", 5).as_deref(), Some("b c"));
        assert_eq!(comment_above("<!-- b -->\na\n```sh\n", 3), None);
    }
}
