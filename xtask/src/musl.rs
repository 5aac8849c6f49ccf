//! A given release of musl, on any machine: its resolver differs from release to release.
//!
//! In: a release of Debian that has it. Out: static programs. The package is kept below `target/scenarios`; nothing is
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::debian::{Apt, Archive, Suite};
use crate::{process, workspace};

/// A release of musl, and the Debian release that has it.
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) suite: &'static str,
}

/// Its resolver accepts responses of 512 bytes at most and uses no TCP: it uses truncated answers.
pub(crate) const OLD: Release = Release { version: "1.2.3", suite: "bookworm" };
/// Its resolver queries again over TCP, and accepts 48 addresses at most.
pub(crate) const NEW: Release = Release { version: "1.2.5", suite: "trixie" };

/// The package with its files.
const PACKAGE: &str = "musl-dev";

/// Compiles one file in C into a static program.
pub(crate) fn compile(release: &Release, source: &Path, program: &Path) -> Result<()> {
    let root = ensure(release)?.join("usr");
    let triple = format!("{}-linux-musl", std::env::consts::ARCH);
    let library = root.join("lib").join(&triple);
    let part = |name: &str| library.join(name);
    let own = |question: &str| {
        process::output(Command::new("gcc").arg(question)).map(|path| PathBuf::from(path.trim()))
    };
    let mut command = Command::new("gcc");
    command.args(["-O1", "-Wall", "-static", "-nostdlib", "-nostdinc", "-isystem"]);
    command.arg(root.join("include").join(&triple)).arg("-isystem").arg(own("-print-file-name=include")?);
    command.arg("-o").arg(program).args([part("crt1.o"), part("crti.o")]).arg(source);
    command.args([part("libc.a"), own("-print-libgcc-file-name")?, part("crtn.o")]);
    process::run(&mut command)
}

/// The folder with the package's files.
fn ensure(release: &Release) -> Result<PathBuf> {
    let folder = workspace::scenarios().join(format!("musl-{}", release.version));
    let root = folder.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    say(&format!("fetching musl {} from Debian {}", release.version, release.suite));
    let suite = Suite { archive: Archive::Main, name: release.suite, architecture: image::architecture() };
    let apt = Apt::of(&folder.join("apt"), &[suite])?;
    let all = apt.show(PACKAGE)?;
    if !all.lines().any(|line| line.starts_with(&format!("Version: {}-", release.version))) {
        bail!("Debian {} now has another version of musl", release.suite);
    }
    let draft = folder.join("draft");
    apt.unpack(&[PACKAGE.to_owned()], &draft)?;
    fs::rename(&draft, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}
