//! musl of a certain release, whatever this machine has: what its resolver does differs from release to release.
//!
//! In: a release of Debian that has it. Out: static programs. The package is fetched by apt with lists of its own, below
//! `target/scenarios`; nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::{process, workspace};

/// A release of musl, and Debian's release that has it.
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) suite: &'static str,
}

/// Answers of 512 bytes at most, and no TCP: what was cut is used.
pub(crate) const OLD: Release = Release { version: "1.2.3", suite: "bookworm" };
/// Asks again over TCP, and takes 48 addresses at most.
pub(crate) const NEW: Release = Release { version: "1.2.5", suite: "trixie" };

/// Where Debian's archive keys are.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
    let folder = workspace::target().join("scenarios").join(format!("musl-{}", release.version));
    let root = folder.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    say(&format!("fetching musl {} from Debian {}", release.version, release.suite));
    for part in ["lists/partial", "cache/archives/partial"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let list = format!("deb [signed-by={KEYS}] {} {} main\n", archive()?, release.suite);
    fs::write(folder.join("sources.list"), list).context("cannot write a list of sources")?;
    let folder = fs::canonicalize(&folder).context("the folder has gone")?;
    apt(&folder, &["--quiet", "update"])?;
    apt(&folder, &["--quiet", "download", "musl-dev"])?;
    // The lists are thirty times as large as what they are for.
    fs::remove_dir_all(folder.join("lists")).context("cannot remove apt's lists")?;
    let packages = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let package = packages.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let package = package.context("apt fetched no package musl-dev")?;
    if !package.to_string_lossy().contains(&format!("_{}-", release.version)) {
        bail!("Debian {} has another musl by now: {}", release.suite, package.display());
    }
    let draft = folder.join("draft");
    process::run(Command::new("dpkg").arg("-x").arg(&package).arg(&draft))?;
    fs::rename(&draft, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}

/// Where this machine has Debian's packages from; other releases are in the same place.
fn archive() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let all = process::output(&mut command)?;
    let archive = all.lines().map(|line| line.trim_end_matches('/')).find(|line| line.ends_with("/debian"));
    let archive =
        archive.context("apt on this machine knows no archive of Debian, which has the releases of musl")?;
    Ok(archive.to_owned())
}

/// apt-get with folders of its own.
fn apt(folder: &Path, words: &[&str]) -> Result<()> {
    let at = |name: &str| folder.join(name).display().to_string();
    let options = [
        format!("Dir::Etc::SourceList={}", at("sources.list")),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", at("lists")),
        format!("Dir::Cache={}", at("cache")),
        "Acquire::Languages=none".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let mut command = Command::new("apt-get");
    command.current_dir(folder).args(options.iter().flat_map(|option| ["-o", option])).args(words);
    process::run(&mut command)
}
