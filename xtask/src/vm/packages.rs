//! Fetches kernels and the guests' shell from Debian's packages once, and keeps them below `target/vm`.
//!
//! In: a row of the table of kernels. Out: the kernel's file, the modules that the lab needs, the package's version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cases::{self, Kernel};
use crate::console::say;
use crate::debian::{Apt, Suite};
use crate::target_arch::TargetArch;
use crate::{process, workspace};

/// Modules that the lab's networks need, in the order of their dependencies. They may be built into the kernel.
const MODULES: [&str; 4] = ["llc", "stp", "bridge", "veth"];

/// The files of a kernel.
pub(super) struct Fetched {
    /// The kernel itself.
    pub(super) kernel: PathBuf,
    /// Its modules, in loading order.
    pub(super) modules: Vec<PathBuf>,
    /// The version of Debian's package.
    pub(super) version: String,
}

/// The files of a kernel; with `anew`, a newer one if there is one.
pub(super) fn kernel(kernel: &Kernel, anew: bool) -> Result<Fetched> {
    let folder = workspace::target().join("vm/kernels").join(kernel.name);
    let read = || fs::read_to_string(folder.join("version"));
    if anew || read().is_err() {
        fetch(kernel, &folder).with_context(|| format!("cannot get Linux {}", kernel.name))?;
    }
    let modules = MODULES.map(|name| folder.join(name).with_extension("ko"));
    Ok(Fetched {
        kernel: folder.join("vmlinuz"),
        modules: modules.into_iter().filter(|path| path.is_file()).collect(),
        version: read().with_context(|| format!("cannot read {}", folder.display()))?,
    })
}

/// busybox, a static program with the usual commands.
pub(super) fn busybox(processor: TargetArch) -> Result<PathBuf> {
    let suite = cases::busybox(processor);
    let path = workspace::target().join("vm").join(format!("busybox-{}", suite.architecture));
    if path.is_file() {
        return Ok(path);
    }
    say(&format!("fetching busybox for {}", suite.architecture));
    let folder = path.with_extension("draft");
    replace(&folder)?;
    Apt::of(&folder.join("apt"), &[suite])?
        .unpack(&[format!("busybox-static:{}", suite.architecture)], &folder.join("root"))?;
    let found = find(&folder.join("root"), &|name| name == "busybox").context("no busybox in the package")?;
    fs::rename(&found, &path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::remove_dir_all(&folder).context("cannot remove a folder")?;
    Ok(path)
}

fn fetch(kernel: &Kernel, folder: &Path) -> Result<()> {
    let Suite { name: suite, architecture, .. } = kernel.suite();
    say(&format!("fetching Linux {} from Debian {suite}", kernel.series));
    let draft = folder.with_extension("draft");
    replace(&draft)?;
    let apt = Apt::of(&draft.join("apt"), &[kernel.suite()])?;
    let meta = format!("linux-image-cloud-{architecture}:{architecture}");
    let (version, image) = newest(&apt.show(&meta)?, kernel.series, "linux-image-").with_context(|| {
        format!(
            "Debian {suite} has no Linux {}* by now: change the row `{}` of KERNELS in xtask/src/vm/cases.rs to a \
             series that it has, or to a suite that has this one, and run the matrix again with `--write`",
            kernel.series, kernel.name
        )
    })?;
    let qualified = |name: &str| format!("{name}:{architecture}");
    // Newer releases split the package into three.
    let depends = apt.show(&qualified(&image))?;
    let mut packages = vec![qualified(&image)];
    for part in ["linux-binary-", "linux-modules-"] {
        packages.extend(newest(&depends, kernel.series, part).map(|(_, name)| qualified(&name)));
    }
    let root = draft.join("root");
    apt.unpack(&packages, &root)?;
    let file = find(&root, &|name| name == "vmlinuz" || name.starts_with("vmlinuz-"))
        .context("the package has no vmlinuz")?;
    fs::rename(file, draft.join("vmlinuz")).context("cannot move the kernel")?;
    for name in MODULES {
        take_module(&root, name, &draft)?;
    }
    fs::remove_dir_all(&root).context("cannot remove the package's other files")?;
    fs::write(draft.join("version"), version).context("cannot write the version")?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove an older kernel")?;
    }
    fs::rename(&draft, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies a module into a folder, uncompressed.
fn take_module(root: &Path, name: &str, folder: &Path) -> Result<()> {
    let is_it =
        |file: &str| file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."));
    let Some(path) = find(root, &is_it) else { return Ok(()) };
    if path.extension().is_some_and(|kind| kind == "xz") {
        process::run(Command::new("xz").arg("--decompress").arg(&path))?;
        return take_module(root, name, folder);
    }
    fs::rename(&path, folder.join(name).with_extension("ko"))
        .with_context(|| format!("cannot move {}", path.display()))
}

/// Reads apt's data of a package: the first version of a series, and the dependency with this prefix.
fn newest(text: &str, series: &str, prefix: &str) -> Option<(String, String)> {
    text.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        let version = field("Version: ")?;
        let depends = field("Depends: ")?.split(", ").find(|name| name.starts_with(prefix))?;
        let name = depends.split(' ').next()?;
        version.starts_with(series).then(|| (version.to_owned(), name.to_owned()))
    })
}

/// The first matching file below a folder.
fn find(folder: &Path, is_it: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.iter().find_map(|entry| match entry.file_type().ok()? {
        kind if kind.is_dir() => find(&entry.path(), is_it),
        kind if kind.is_file() && is_it(&entry.file_name().to_string_lossy()) => Some(entry.path()),
        _ => None,
    })
}

fn replace(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Package: linux-image-cloud-amd64\nVersion: 7.2.12-1\n\
        Depends: linux-base-cloud-amd64 (= 7.2.12-1), linux-image-7.2.12+deb14-cloud-amd64 (= 7.2.12-1)\n\n\
        Package: linux-image-cloud-amd64\nVersion: 6.1.192-2\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n\n\
        Package: linux-image-cloud-amd64\nVersion: 6.1.176-1\nDepends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1)\n";

    #[test]
    fn of_a_series_the_newest_is_taken() {
        let found = |series| newest(SHOWN, series, "linux-image-");
        let pair = |version: &str, name: &str| Some((version.to_owned(), name.to_owned()));
        assert_eq!(found("6.1."), pair("6.1.192-2", "linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(found("7.2."), pair("7.2.12-1", "linux-image-7.2.12+deb14-cloud-amd64"));
        assert_eq!(found("6.12."), None);
        assert_eq!(newest(SHOWN, "7.2.", "linux-binary-"), None);
    }
}
