//! `cargo xtask build-ebpf`: the kernel programs, compiled and put where the daemon's build script finds them.
//!
//! The object is replaced only when its content changed, so that an unchanged one never makes cargo
//! build the daemon again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::console::say;
use crate::toolchain::BPF_TARGET;
use crate::{process, setup, workspace};

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    build()?;
    say(&format!("kernel programs are in {}", workspace::ebpf_object().display()));
    Ok(ExitCode::SUCCESS)
}

/// Builds the object.
pub(crate) fn build() -> Result<()> {
    let tools = setup::ensure()?;
    process::run(&mut tools.toolchain.cargo("build", &tools.linker))
        .context("the kernel programs were not built")?;
    replace_if_changed(&built("headless-obs"), &workspace::ebpf_object())
}

/// Where the object with programs that do nothing is, after [`build`].
pub(crate) fn floor() -> PathBuf {
    built("floor")
}

fn built(name: &str) -> PathBuf {
    workspace::ebpf_dir().join(BPF_TARGET).join("release").join(name)
}

fn replace_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    // Through a rename: an interrupted write must not leave half an object behind.
    let part = to.with_extension("part");
    fs::write(&part, new)
        .and_then(|()| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_object_is_not_touched() {
        let folder = std::env::temp_dir().join(format!("xtask-build-ebpf-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("to.o"));
        fs::write(&from, "one").unwrap();
        replace_if_changed(&from, &to).unwrap();
        let first = fs::metadata(&to).unwrap();
        replace_if_changed(&from, &to).unwrap();
        let same = fs::metadata(&to).unwrap();
        fs::write(&from, "two").unwrap();
        replace_if_changed(&from, &to).unwrap();
        let content = fs::read_to_string(&to).unwrap();
        let files = fs::read_dir(&folder).unwrap().count();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(first.modified().unwrap(), same.modified().unwrap());
        assert_eq!(content, "two");
        assert_eq!(files, 2, "nothing but the two files is left");
    }
}
