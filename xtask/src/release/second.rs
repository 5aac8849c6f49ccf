//! The same release a second time, from a new clone in another folder and without anything that was built before.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Plan, files};
use crate::console::say;
use crate::{process, workspace};

/// Makes it, and compares the checksums of all files.
pub(super) fn compare(plan: &Plan, folder: &Path) -> Result<()> {
    ensure!(
        plan.commit.hash.is_some() && !plan.commit.is_dirty,
        "a second release is made from a clone, which has only what is committed: commit your changes"
    );
    let again = workspace::target().join("release-again");
    let _ = fs::remove_dir_all(&again);
    process::run(
        Command::new("git").args(["clone", "--quiet", "--local"]).arg(workspace::root()).arg(&again),
    )?;
    // The tools build nothing of a release but the kernel programs, whose linker has a pinned version.
    fs::create_dir(again.join("target")).context("cannot make the clone's target folder")?;
    std::os::unix::fs::symlink(fs::canonicalize(workspace::tools())?, again.join("target/tools"))
        .context("cannot link the tools")?;
    let mut task = process::cargo();
    task.current_dir(&again).args(["xtask", "release", "--dry-run", "--registry", &plan.registry]);
    task.args(["--downloads", &plan.downloads, "--builder", &plan.builder, "--profile", &plan.profile]);
    task.args(["--folder", "target/second"]);
    process::run(&mut task)?;
    let read = |folder: &Path| {
        let path = folder.join(files::SUMS);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (first, second) = (read(folder)?, read(&again.join("target/second"))?);
    let differing: Vec<&str> =
        first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    if !differing.is_empty() || first.len() != second.len() {
        bail!("the second release is in {}; these files differ: {}", again.display(), differing.join(", "));
    }
    say("a second release, from a new clone, has the same bytes");
    fs::remove_dir_all(&again).with_context(|| format!("cannot remove {}", again.display()))
}
