//! Builds programs with Go from pinned modules, each once, and keeps them.
//!
//! In: a folder with go.mod, and a package there. Out: programs whose names end in a hash of everything that determines
//! the build, so that any change causes a new build. Go is found on the machine, or installed by apt if its package is
//! new enough.
//!
//! Only one build runs at a time, at the lowest priority, because tests may run meanwhile.
//!
//! A module cache that already has the large modules is used and kept. Otherwise both of Go's caches are in the
//! programs' folder, and are removed after the build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use crate::console::say;
use crate::{process, setup};

/// The first Go release that downloads the release in go.mod by itself.
const OLDEST_GO: u32 = 21;

/// Debian's package of Go.
const PACKAGE: &str = "golang-go";

/// Options of all programs: they keep this machine's properties out of the result.
pub(crate) const OPTIONS: [&str; 4] = ["-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false"];

/// Held during a build: a second caller of the same build has to wait.
static BUILDING: Mutex<()> = Mutex::new(());

/// A build and its options.
pub(crate) struct Recipe<'a> {
    /// The folder of go.mod.
    pub(crate) sources: PathBuf,
    /// Files there that determine the build, in addition to go.mod and go.sum.
    pub(crate) files: &'a [&'a str],
    /// Options of `go build`.
    pub(crate) options: Vec<String>,
    /// The package for `go build`, and the resulting programs.
    pub(crate) package: &'a str,
    pub(crate) programs: &'a [&'a str],
    /// The largest module: a cache that has it has the others.
    pub(crate) module: String,
    /// A message before the build.
    pub(crate) notice: String,
}

impl Recipe<'_> {
    /// The paths of its programs in `folder`, in their order. Builds them if necessary.
    pub(crate) fn ensure(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let _alone = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = self.hash()?;
        let paths: Vec<PathBuf> =
            self.programs.iter().map(|name| folder.join(format!("{name}-{hash:016x}"))).collect();
        if !paths.iter().all(|path| path.is_file()) {
            say(&self.notice);
            self.build(folder, &paths)?;
            for (name, path) in self.programs.iter().zip(&paths) {
                remove_others(folder, name, path)?;
            }
        }
        Ok(paths)
    }

    fn hash(&self) -> Result<u64> {
        let read = |name: &&str| {
            let path = self.sources.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let files = ["go.mod", "go.sum"].iter().chain(self.files).map(read).collect::<Result<Vec<_>>>()?;
        let options = self.options.join(" ");
        Ok(hash(files.iter().map(Vec::as_slice).chain([options.as_bytes()])))
    }

    fn build(&self, folder: &Path, paths: &[PathBuf]) -> Result<()> {
        let go = find_or_install()?;
        let caches = if is_warm(&go, &self.sources, &self.module)? {
            Vec::new()
        } else {
            vec![("GOCACHE", folder.join("go/build")), ("GOMODCACHE", folder.join("go/modules"))]
        };
        // Only a complete program gets the final name.
        let drafts = folder.join("draft");
        fs::create_dir_all(&drafts).with_context(|| format!("cannot make {}", drafts.display()))?;
        let mut command = Command::new("nice");
        command
            .args(["-n", "19"])
            .arg(&go)
            .current_dir(&self.sources)
            .env("CGO_ENABLED", "0")
            .envs(caches.iter().map(|(name, path)| (name, path)));
        let output = match self.programs {
            [name] => drafts.join(name),
            _ => drafts.clone(),
        };
        command.arg("build").args(&self.options).arg("-o").arg(&output).arg(self.package);
        process::run(&mut command).with_context(|| {
            format!("cannot build {}; try `go build` in {}", self.programs.join(", "), self.sources.display())
        })?;
        for (name, path) in self.programs.iter().zip(paths) {
            fs::rename(drafts.join(name), path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        remove_folder(&drafts)?;
        if caches.is_empty() { Ok(()) } else { remove_folder(&folder.join("go")) }
    }
}

/// Whether to use the user's own caches: an environment variable says so, or they have the large modules.
fn is_warm(go: &Path, sources: &Path, module: &str) -> Result<bool> {
    if ["GOCACHE", "GOMODCACHE"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(true);
    }
    let modules = process::output(Command::new(go).current_dir(sources).args(["env", "GOMODCACHE"]))?;
    Ok(Path::new(modules.trim()).join(module).is_dir())
}

/// A Go that is new enough: found or installed.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let candidate = process::output(Command::new("apt-cache").args(["policy", PACKAGE]).env("LC_ALL", "C"));
    let is_new = candidate.is_ok_and(|policy| {
        let offered = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        offered.and_then(minor).is_some_and(|minor| minor >= OLDEST_GO)
    });
    if is_new {
        setup::install_packages(&[PACKAGE])?;
    }
    find().with_context(|| {
        format!(
            "no Go 1.{OLDEST_GO} or newer, which the tests need to build parts of them: install one into \
             /usr/local/go, or put yours on PATH"
        )
    })
}

fn find() -> Option<PathBuf> {
    let is_new = |go: &&str| {
        let version = process::output(Command::new(go).arg("version")).ok();
        version.as_deref().and_then(|text| text.strip_prefix("go version go")).and_then(minor)
            >= Some(OLDEST_GO)
    };
    ["go", "/usr/local/go/bin/go"].into_iter().find(is_new).map(PathBuf::from)
}

/// The minor number of `1.26.8 linux/amd64` or `2:1.24~2`.
pub(crate) fn minor(version: &str) -> Option<u32> {
    let version = version.rsplit_once(':').map_or(version, |(_, version)| version);
    let digits = version.strip_prefix("1.")?;
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// FNV-1a: its result is the same on every machine and with every compiler.
pub(crate) fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    // The separator of two parts occurs in neither of them.
    parts
        .flat_map(|part| part.iter().copied().chain([0xff]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Removes programs built from other sources, of up to 160 MB each.
fn remove_others(folder: &Path, name: &str, program: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten()
    {
        let path = entry.path();
        if path != program && entry.file_name().to_string_lossy().starts_with(&format!("{name}-")) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_minor_number() {
        for (text, number) in [("1.26.8 linux/amd64", 26), ("2:1.19~1", 19), ("1.21rc2 linux/arm64", 21)] {
            assert_eq!(minor(text), Some(number), "{text}");
        }
        assert_eq!(minor("(none)"), None);
        assert_eq!(minor("devel"), None);
    }

    #[test]
    fn any_change_has_another_hash() {
        let of = |parts: &[&str]| hash(parts.iter().map(|part| part.as_bytes()));
        let all = [of(&["a", "b"]), of(&["ab", ""]), of(&["a", "c"]), of(&["b", "a"])];
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)), "{all:x?}");
    }
}
