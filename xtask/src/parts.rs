//! The parts of a Kubernetes cluster: one program, built from `tests/parts` once and kept.
//!
//! In: Go sources with pinned versions. Out: `target/cluster/parts-HASH`; the hash is that of all that decides what is
//! built, so any change builds anew. Go is found, or installed by apt where its package is new enough.
//!
//! Building takes some ten minutes, 0.7 GB of modules and 4 GB of build cache. A module cache that has Kubernetes
//! already is used, and kept; else both caches are below `target/` and go when the program is there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::{process, setup, workspace};

/// The files that decide what is built.
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// Where Kubernetes looks for its own version.
const VERSIONED: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// From this release on Go fetches by itself the release that go.mod asks for.
const OLDEST_GO: u32 = 21;

/// Debian's Go.
const PACKAGE: &str = "golang-go";

/// The program's path. Builds it if need be.
pub(crate) fn ensure() -> Result<PathBuf> {
    let sources = workspace::root().join("tests/parts");
    let read = |name: &&str| {
        fs::read(sources.join(name)).with_context(|| format!("cannot read {}", sources.join(name).display()))
    };
    let files = SOURCES.iter().map(read).collect::<Result<Vec<_>>>()?;
    let version = kubernetes(&String::from_utf8_lossy(&files[0]))?;
    let flags = flags(&version)?;
    let hash = hash(files.iter().map(Vec::as_slice).chain([flags.join(" ").as_bytes()]));
    let folder = workspace::target().join("cluster");
    let program = folder.join(format!("parts-{hash:016x}"));
    if !program.is_file() {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        build(&sources, &version, &flags, &program)?;
        remove_others(&folder, &program)?;
    }
    Ok(program)
}

fn build(sources: &Path, version: &str, flags: &[String], program: &Path) -> Result<()> {
    let go = go()?;
    say(&format!(
        "building Kubernetes {version}, etcd and CoreDNS for the cluster's tests (once, some ten minutes)"
    ));
    let folder = program.with_file_name("go");
    let caches = if is_warm(&go, sources, version)? {
        Vec::new()
    } else {
        vec![("GOCACHE", folder.join("build")), ("GOMODCACHE", folder.join("modules"))]
    };
    // Only a whole program gets the name.
    let draft = program.with_extension("draft");
    let mut command = Command::new(&go);
    command.current_dir(sources).env("CGO_ENABLED", "0").envs(caches.iter().map(|(name, path)| (name, path)));
    process::run(command.arg("build").args(flags).arg("-o").arg(&draft).arg(".")).with_context(|| {
        format!("cannot build the cluster's parts; try `cd {} && go build .`", sources.display())
    })?;
    fs::rename(&draft, program).with_context(|| format!("cannot write {}", program.display()))?;
    if !caches.is_empty() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Whether the user's own caches are to be used: told so, or they have what takes long to fetch.
fn is_warm(go: &Path, sources: &Path, version: &str) -> Result<bool> {
    if ["GOCACHE", "GOMODCACHE"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(true);
    }
    let modules = process::output(Command::new(go).current_dir(sources).args(["env", "GOMODCACHE"]))?;
    Ok(Path::new(modules.trim()).join(format!("k8s.io/kubernetes@{version}")).is_dir())
}

/// A Go that can build it: found, or installed.
pub(crate) fn go() -> Result<PathBuf> {
    if let Some(found) = find_go() {
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
    find_go().with_context(|| {
        format!(
            "no Go 1.{OLDEST_GO} or newer, which the tests need to build parts of them: install one into \
             /usr/local/go, or put yours on PATH"
        )
    })
}

fn find_go() -> Option<PathBuf> {
    let is_new = |go: &&str| {
        let version = process::output(Command::new(go).arg("version")).ok();
        version.as_deref().and_then(|text| text.strip_prefix("go version go")).and_then(minor)
            >= Some(OLDEST_GO)
    };
    ["go", "/usr/local/go/bin/go"].into_iter().find(is_new).map(PathBuf::from)
}

/// The minor number of `1.26.8 linux/amd64` or `2:1.24~2`.
fn minor(version: &str) -> Option<u32> {
    let version = version.rsplit_once(':').map_or(version, |(_, version)| version);
    let digits = version.strip_prefix("1.")?;
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The version of Kubernetes that go.mod names.
fn kubernetes(go_mod: &str) -> Result<String> {
    let version = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    version.map(str::to_owned).context("tests/parts/go.mod names no version of k8s.io/kubernetes")
}

/// Options of `go build`. Without the version the API server would say that it is 0.0.0.
fn flags(version: &str) -> Result<Vec<String>> {
    let Some(minor) = version.strip_prefix('v').and_then(minor) else {
        bail!("k8s.io/kubernetes has the version {version}, which is not v1.X.Y");
    };
    let values = [
        ("gitVersion", version),
        ("gitMajor", "1"),
        ("gitMinor", &minor.to_string()),
        ("gitTreeState", "clean"),
    ]
    .map(|(name, value)| format!("{name}={value}"));
    let stamps =
        VERSIONED.iter().flat_map(|package| values.iter().map(move |value| format!("-X {package}.{value}")));
    let linker = format!("-ldflags=-s -w {}", stamps.collect::<Vec<_>>().join(" "));
    Ok(["-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false", &linker].map(str::to_owned).to_vec())
}

/// FNV-1a: the same on every machine and with every compiler.
pub(crate) fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    // What separates two parts is in neither of them.
    parts
        .flat_map(|part| part.iter().copied().chain([0xff]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Programs of other sources, 160 MB each.
fn remove_others(folder: &Path, program: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten()
    {
        let path = entry.path();
        if path != program && entry.file_name().as_encoded_bytes().starts_with(b"parts-") {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The variable by which tests and the demonstration find the program.
pub(crate) fn variable() -> Result<(&'static str, OsString)> {
    Ok(("HEADLESS_OBS_CLUSTER_PARTS", ensure()?.into_os_string()))
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
    fn the_server_is_told_its_version() {
        let go_mod = "go 1.26.0\nrequire (\n\tk8s.io/kubelet v0.0.0\n\tk8s.io/kubernetes v1.37.1\n)\n";
        let version = kubernetes(go_mod).unwrap();
        assert_eq!(version, "v1.37.1");
        let linker = flags(&version).unwrap().pop().unwrap();
        for package in VERSIONED {
            assert!(
                linker.contains(&format!("-X {package}.gitVersion=v1.37.1 -X {package}.gitMajor=1")),
                "{linker}"
            );
        }
        assert!(flags("v2.0.0").is_err());
        assert!(kubernetes("module x\n").is_err());
    }

    #[test]
    fn any_change_has_another_hash() {
        let of = |parts: &[&str]| hash(parts.iter().map(|part| part.as_bytes()));
        let all = [of(&["a", "b"]), of(&["ab", ""]), of(&["a", "c"]), of(&["b", "a"])];
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)), "{all:x?}");
    }
}
