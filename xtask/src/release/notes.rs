//! Release notes: the section of this version in CHANGELOG.md.

use std::fs;

use anyhow::{Context as _, Result};

use super::Plan;
use crate::workspace;

/// The notes of the version.
pub(super) fn of(plan: &Plan) -> Result<String> {
    let changelog =
        fs::read_to_string(workspace::root().join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    section(&changelog, plan.version)
        .map(|text| format!("{text}\n"))
        .with_context(|| format!("CHANGELOG.md has no section `## [{}]`", plan.version))
}

/// The text between this version's heading and the next one.
fn section<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let start = changelog.find(&format!("\n## [{version}]"))? + 1;
    let text = &changelog[start + changelog[start..].find('\n')?..];
    Some(text.find("\n## ").map_or(text, |end| &text[..end]).trim())
}

/// Whether the heading of this version has a date.
pub(super) fn is_dated(changelog: &str, version: &str) -> bool {
    let heading = changelog.lines().find_map(|line| line.strip_prefix(&format!("## [{version}] - ")));
    heading.is_some_and(|date| date.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "# Changelog\n\n## [0.2.0] - unreleased\n\n### Observing\n\n- New.\n\n## [0.1.0] - 2030-01-31\n\n- Old.\n";

    #[test]
    fn each_version_has_its_own_section() {
        assert_eq!(section(LOG, "0.2.0"), Some("### Observing\n\n- New."));
        assert_eq!(section(LOG, "0.1.0"), Some("- Old."));
        assert_eq!(section(LOG, "0.3.0"), None);
    }

    #[test]
    fn a_version_that_is_not_released_has_no_date() {
        assert!(is_dated(LOG, "0.1.0"));
        assert!(!is_dated(LOG, "0.2.0"));
    }
}
