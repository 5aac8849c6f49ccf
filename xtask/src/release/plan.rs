//! The facts that everything in a release has in common.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::notes;
use crate::commit::Commit;
use crate::workspace;

/// The address of downloads before the project has one.
pub(super) const DOWNLOADS: &str = "https://localhost/headless-obs";
/// A builder that vouches for nothing: any machine.
pub(super) const BUILDER: &str = "urn:headless-obs:builder:any-machine";

/// The facts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) version: &'static str,
    pub(crate) commit: Commit,
    /// The registry, with the path below it.
    pub(crate) registry: String,
    /// The address below which the files can be downloaded.
    pub(crate) downloads: String,
    pub(crate) builder: String,
    /// Cargo's profile.
    pub(crate) profile: String,
}

impl Plan {
    /// The facts about the sources.
    pub(crate) fn read(registry: String, downloads: &str, builder: &str, profile: &str) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: Commit::read()?,
            registry: registry.trim_end_matches('/').to_owned(),
            downloads: downloads.trim_end_matches('/').to_owned(),
            builder: builder.to_owned(),
            profile: profile.to_owned(),
        })
    }

    /// The facts for a release in a registry of tests.
    pub(crate) fn of_test(registry: &str, profile: &str) -> Result<Self> {
        Self::read(registry.to_owned(), DOWNLOADS, BUILDER, profile)
    }

    /// The name of a file, with the version in it.
    pub(crate) fn file(&self, rest: &str) -> String {
        format!("headless-obs-{}{rest}", self.version)
    }

    /// The image's name in the registry, without a tag.
    pub(crate) fn image(&self) -> String {
        format!("{}/headless-obs", self.registry)
    }

    /// The chart's name in the registry, without a tag. Helm wants it to end in the name of the chart.
    pub(crate) fn chart(&self) -> String {
        format!("{}/charts/headless-obs", self.registry)
    }

    /// An error unless this tag may be released.
    pub(super) fn refuse_unless_tagged(&self, tag: &str) -> Result<()> {
        let changelog =
            fs::read_to_string(workspace::root().join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
        refuse(self, tag, &changelog)
    }
}

fn refuse(plan: &Plan, tag: &str, changelog: &str) -> Result<()> {
    let version = plan.version;
    ensure!(tag == format!("v{version}"), "the tag is {tag}, but Cargo.toml has version {version}");
    ensure!(
        notes::is_dated(changelog, version),
        "CHANGELOG.md has no date for {version}: put one after the version, as in `## [{version}] - 2030-01-31`"
    );
    ensure!(
        plan.commit.hash.is_some(),
        "a release needs a commit: run this in a clone, not in a source archive"
    );
    ensure!(!plan.commit.is_dirty, "files differ from the commit: commit them, or `git stash`");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tag_of_a_dated_and_committed_version_is_released() {
        let mut plan = Plan::of_test("localhost", "dev").unwrap();
        plan.commit = Commit { hash: Some("1".to_owned()), is_dirty: false, time: 0 };
        let version = plan.version;
        let (tag, dated) = (format!("v{version}"), format!("## [{version}] - 2030-01-31\n"));
        refuse(&plan, &tag, &dated).unwrap();
        let error = |plan: &Plan, tag: &str, log: &str| refuse(plan, tag, log).unwrap_err().to_string();
        assert!(error(&plan, "v9.9.9", &dated).contains("the tag is v9.9.9"));
        assert!(error(&plan, &tag, &format!("## [{version}] - unreleased\n")).contains("no date"));
        plan.commit.is_dirty = true;
        assert!(error(&plan, &tag, &dated).contains("differ"));
        plan.commit.hash = None;
        assert!(error(&plan, &tag, &dated).contains("a clone"));
    }
}
