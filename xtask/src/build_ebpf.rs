//! `cargo xtask build-ebpf`: compiles the kernel programs and puts them where the daemon's build script looks for them.
//!
//! The object is replaced only when its content has changed. So an unchanged object never makes cargo rebuild the
//! daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console::say;
use crate::toolchain::BPF_TARGET;
use crate::{process, setup, workspace};

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Build the programs again, from a copy of the sources in another folder, and compare the bytes
    #[arg(long)]
    twice: bool,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    build()?;
    say(&format!("kernel programs are in {}", workspace::ebpf_object().display()));
    if options.twice {
        reproduce()?;
        say("and a build in another folder gives the same bytes");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the object.
pub(crate) fn build() -> Result<()> {
    let tools = setup::ensure()?;
    process::run(&mut tools.toolchain.cargo("build", &tools.linker))
        .context("the kernel programs were not built")?;
    replace_if_changed(&built(&workspace::ebpf_dir(), "headless-obs"), &workspace::ebpf_object())
}

/// The path of the object with empty programs, after [`build`].
pub(crate) fn noop_object() -> PathBuf {
    built(&workspace::ebpf_dir(), "bench-noop")
}

/// The path of the object with the tests' load balancer, after [`build`].
pub(crate) fn balancer_object() -> PathBuf {
    built(&workspace::ebpf_dir(), "socket-balancer")
}

fn built(target: &Path, name: &str) -> PathBuf {
    target.join(BPF_TARGET).join("release").join(name)
}

/// Builds the object again, from a copy of the sources in another folder and without a cache, and compares the bytes.
pub(crate) fn reproduce() -> Result<()> {
    build()?;
    let tools = setup::ensure()?;
    let folder = workspace::target().join("ebpf-again");
    let _ = fs::remove_dir_all(&folder);
    let (root, target) = (folder.join("a-copy"), folder.join("target"));
    workspace::copy_to(&root)?;
    process::run(&mut tools.toolchain.cargo_in(&root, &target, "build", &tools.linker))?;
    let again = fs::read(built(&target, "headless-obs")).context("there is no second object")?;
    let first = fs::read(workspace::ebpf_object()).context("there is no object")?;
    if let Some(place) = difference(&first, &again) {
        bail!(
            "two builds of the kernel programs differ from byte {place} on; both are kept, one in {}",
            folder.display()
        );
    }
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Position of the first different byte.
fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let place = one.iter().zip(other).position(|(one, other)| one != other);
    place.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

fn replace_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    // Renamed at the end: an interrupted write must not leave an incomplete object.
    let part = to.with_extension("part");
    fs::write(&part, new)
        .and_then(|()| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_differ_where_the_first_byte_does() {
        assert_eq!(difference(b"abc", b"abc"), None);
        assert_eq!(difference(b"abc", b"abd"), Some(2));
        assert_eq!(difference(b"abc", b"ab"), Some(2));
    }

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
