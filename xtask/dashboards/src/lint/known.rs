//! The existing metrics: those of the daemon, those that the rules record, and Prometheus's own.
//!
//! In: the text of docs/metrics.md, which a test of the daemon compares with its table, and of the rules. Out: names,
//! and which metrics are counters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Metrics that Prometheus adds to each target.
const OWN: [&str; 3] = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];

/// Metrics by name.
pub(crate) struct Known {
    /// Whether it is a counter, which starts at 0 with its process.
    counters: BTreeMap<String, bool>,
    /// Histograms, by the common prefix of their series.
    histograms: BTreeSet<String>,
}

impl Known {
    /// The metrics of the repository.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let document = super::super::read(&root.join("docs/metrics.md"))?;
        let folder = root.join("deploy/rules");
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut rules = String::new();
        for entry in
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "yaml"))
        {
            rules += &super::super::read(&entry.path())?;
        }
        Ok(Self::of(&document, &rules))
    }

    /// The metrics of a Markdown table, and those that YAML rules record.
    pub(crate) fn of(document: &str, rules: &str) -> Self {
        let mut counters: BTreeMap<String, bool> = OWN.map(|name| (name.to_owned(), false)).into();
        let mut histograms = BTreeSet::new();
        for (name, kind) in document.lines().filter_map(table_row) {
            if kind == "histogram" {
                histograms.insert(name.to_owned());
                counters.extend(["_bucket", "_sum", "_count"].map(|part| (format!("{name}{part}"), true)));
            } else {
                counters.insert(name.to_owned(), kind == "counter");
            }
        }
        let recorded = rules.lines().filter_map(|line| {
            let name = line.trim().trim_start_matches("- ").strip_prefix("record:")?;
            Some((name.trim().trim_matches(['"', '\'']).to_owned(), false))
        });
        counters.extend(recorded);
        Self { counters, histograms }
    }

    /// Whether there is a metric or histogram of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.counters.contains_key(name) || self.histograms.contains(name)
    }

    /// Whether it is a counter; `None` if there is no such metric.
    pub(super) fn is_counter(&self, name: &str) -> Option<bool> {
        self.counters.get(name).copied()
    }
}

/// Name and type in a row of the table: `` | `name` | type | … ``.
fn table_row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((name, cells.next()?))
}
