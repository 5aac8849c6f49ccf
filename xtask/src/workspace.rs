//! Paths of the workspace that tasks use, and copies of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // Cargo sets this at run time, so it is right even if the build directory was copied.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(PathBuf::from).unwrap_or(xtask)
}

/// The build directory. It ignores `CARGO_TARGET_DIR`, because the daemon's build script looks there.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Cargo's build directory for the BPF target.
pub(crate) fn ebpf_dir() -> PathBuf {
    target().join("ebpf")
}

/// The object that the daemon embeds.
pub(crate) fn ebpf_object() -> PathBuf {
    ebpf_dir().join("headless-obs.bpf.o")
}

/// The folder of `setup`'s tools and notes.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// The folder of the scenarios' clients and of the systems that they install.
pub(crate) fn scenarios() -> PathBuf {
    target().join("scenarios")
}

/// Files and folders that cargo needs to build any part of the workspace.
const SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "headless-obs", "headless-obs-ebpf", "tests", "xtask"];

/// Copies the sources.
pub(crate) fn copy_to(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in SOURCES {
        let (from, to) = (root().join(name), folder.join(name));
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}

/// Copies a folder with its content.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let copy = to.join(path.file_name().context("a file without a name")?);
        if path.is_dir() {
            copy_folder(&path, &copy)?;
        } else {
            fs::copy(&path, copy).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
