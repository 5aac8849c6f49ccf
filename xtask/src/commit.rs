//! The commit that a build is of.
//!
//! In: the workspace's git history, if there is one: a source archive has none. Out: its name and time, which are in
//! everything that is shipped.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The variable with a time for builds, in seconds since 1970, by a convention of Linux distributions.
const TIME: &str = "SOURCE_DATE_EPOCH";

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its hash; unknown without git.
    pub(crate) hash: Option<String>,
    /// Whether the sources differ from it.
    pub(crate) is_dirty: bool,
    /// Its time, in seconds since 1970.
    pub(crate) time: u64,
}

impl Commit {
    /// The commit of the sources. `SOURCE_DATE_EPOCH` is stronger than the commit's own time.
    pub(crate) fn read() -> Result<Self> {
        let given = std::env::var(TIME).ok().map(|time| {
            time.parse().with_context(|| format!("{TIME} must be seconds since 1970, not {time:?}"))
        });
        let given: Option<u64> = given.transpose()?;
        if !workspace::root().join(".git").exists() {
            return Ok(Self { hash: None, is_dirty: false, time: given.unwrap_or_default() });
        }
        let shown = git(&["log", "-1", "--format=%H %ct"])?;
        let (hash, time) = shown.trim().split_once(' ').context("git shows no commit")?;
        let time = given.map_or_else(|| time.parse().context("git shows no time"), Ok)?;
        let is_dirty = !git(&["status", "--porcelain"])?.is_empty();
        Ok(Self { hash: Some(hash.to_owned()), is_dirty, time })
    }

    /// Its hash, which ends in `-dirty` if the sources differ from it.
    pub(crate) fn revision(&self) -> Option<String> {
        let hash = self.hash.as_ref()?;
        Some(format!("{hash}{}", if self.is_dirty { "-dirty" } else { "" }))
    }
}

fn git(args: &[&str]) -> Result<String> {
    process::output(Command::new("git").args(args).current_dir(workspace::root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_sources_are_not_taken_for_the_commit() {
        let commit = |is_dirty| Commit { hash: Some("1234".to_owned()), is_dirty, time: 0 };
        assert_eq!(commit(false).revision().unwrap(), "1234");
        assert_eq!(commit(true).revision().unwrap(), "1234-dirty");
    }
}
