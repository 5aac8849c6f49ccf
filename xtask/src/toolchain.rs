//! Finds the compiler of the kernel programs.
//!
//! In: the installed toolchains. Out: a [`Toolchain`] with the core library for the BPF target, either compiled
//! (Debian's `libstd-rust-web-dev-bpf`) or as sources (`rust-src`).
//!
//! It installs nothing (`setup` does) and only makes a link to LLVM. It starts at most one process per candidate.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The target of the kernel programs. It is little-endian, as are all machines that the daemon supports.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build for [`BPF_TARGET`].
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The prefix: `bin/cargo`, `bin/rustc` and `lib/rustlib` are below it.
    pub(crate) sysroot: PathBuf,
    /// The source of the core library.
    pub(crate) core: Core,
    /// The folder of this rustc's own LLVM. bpf-linker must read its bitcode with the same version.
    pub(crate) llvm: PathBuf,
}

/// The source of the core library for the BPF target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// A compiled one is installed.
    Built,
    /// Cargo compiles it from rust-src.
    Source,
}

impl Toolchain {
    /// `cargo SUBCOMMAND` of this toolchain, for the package of the kernel programs.
    pub(crate) fn cargo(&self, subcommand: &str, linker: &Path) -> Command {
        self.cargo_in(&workspace::root(), &workspace::ebpf_dir(), subcommand, linker)
    }

    /// The same for a copy of the workspace. The object does not depend on the paths of the copy, of cargo's home and
    /// of the compiler.
    pub(crate) fn cargo_in(&self, root: &Path, target: &Path, subcommand: &str, linker: &Path) -> Command {
        let bin = self.sysroot.join("bin");
        // cargo-clippy is started directly: `cargo clippy` would prefer the one in ~/.cargo/bin, which is rustup's and
        // may belong to another toolchain.
        let mut command = match subcommand {
            "clippy" => Command::new(bin.join("cargo-clippy")),
            _ => Command::new(bin.join("cargo")),
        };
        let mut flags = vec![
            OsString::from("-Cdebuginfo=2"),
            [OsString::from("-Clinker="), linker.into()].into_iter().collect(),
            OsString::from("-Clink-arg=--btf"),
        ];
        for (path, name) in [
            (Some(root.to_path_buf()), "/headless-obs"),
            (cargo_home(), "/cargo"),
            (Some(self.sysroot.join("lib/rustlib/src/rust")), "/rustc"),
        ] {
            let Some(path) = path else { continue };
            flags.push(
                [OsString::from("--remap-path-prefix="), path.into(), format!("={name}").into()]
                    .into_iter()
                    .collect(),
            );
        }
        command
            .current_dir(root)
            .env("CARGO", bin.join("cargo"))
            .env("RUSTC", bin.join("rustc"))
            // Stable rustc accepts the BPF target and the features of aya-ebpf only with this variable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("LD_LIBRARY_PATH", &self.llvm)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join(&OsString::from("\x1f")))
            .arg(subcommand)
            .args(["--package", "headless-obs-ebpf", "--features", "kernel", "--bins"])
            .args(["--locked", "--release", "--target", BPF_TARGET])
            .arg("--target-dir")
            .arg(target);
        if self.core == Core::Source {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }

    /// Whether this is the system's own toolchain, installed by packages.
    pub(crate) fn is_system(&self) -> bool {
        self.sysroot == Path::new(SYSTEM)
    }
}

/// Cargo's folder of the sources of dependencies.
fn cargo_home() -> Option<PathBuf> {
    let given = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// The prefix of Debian's compiler.
const SYSTEM: &str = "/usr";

/// The first usable toolchain of: the one in use, rustup's others, the system's.
pub(crate) fn find() -> Result<Option<Toolchain>> {
    for sysroot in candidates()? {
        if let Some(toolchain) = inspect(&sysroot)? {
            return Ok(Some(toolchain));
        }
    }
    Ok(None)
}

/// The prefix of the first toolchain that has the standard library for a target.
pub(crate) fn with_standard(target: &str) -> Result<Option<PathBuf>> {
    for sysroot in candidates()? {
        let library = sysroot.join("lib/rustlib").join(target).join("lib");
        if has_library(&library, "libstd-") && version_of(&sysroot)?.is_some() {
            return Ok(Some(sysroot));
        }
    }
    Ok(None)
}

/// The prefix of the toolchain that runs this task.
pub(crate) fn current() -> Result<PathBuf> {
    // Cargo sets this variable, which saves a call of rustc.
    let from_cargo = std::env::var_os("CARGO").map(PathBuf::from).and_then(|cargo| {
        let sysroot = cargo.parent()?.parent()?.to_path_buf();
        sysroot.join("bin/rustc").is_file().then_some(sysroot)
    });
    match from_cargo {
        Some(sysroot) => Ok(sysroot),
        None => {
            Ok(PathBuf::from(process::output(Command::new("rustc").args(["--print", "sysroot"]))?.trim_end()))
        }
    }
}

fn candidates() -> Result<Vec<PathBuf>> {
    let current = current()?;
    let mut candidates = vec![current.clone()];
    if let Some(toolchains) = current.parent().filter(|folder| folder.ends_with("toolchains")) {
        let mut others: Vec<PathBuf> = fs::read_dir(toolchains)
            .with_context(|| format!("cannot list rustup's toolchains in {}", toolchains.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| *path != current)
            .collect();
        others.sort();
        candidates.extend(others);
    }
    candidates.push(PathBuf::from(SYSTEM));
    Ok(candidates)
}

/// The toolchain with this prefix, if it is complete.
fn inspect(sysroot: &Path) -> Result<Option<Toolchain>> {
    let Some(core) = core_of(sysroot) else { return Ok(None) };
    let Some(version) = version_of(sysroot)? else { return Ok(None) };
    let llvm = llvm_of(sysroot, version.llvm)?;
    Ok(llvm.map(|llvm| Toolchain { sysroot: sysroot.to_path_buf(), core, llvm }))
}

/// The version of a toolchain that has a cargo and is new enough.
fn version_of(sysroot: &Path) -> Result<Option<Version>> {
    let rustc = sysroot.join("bin/rustc");
    if !rustc.is_file() || !sysroot.join("bin/cargo").is_file() {
        return Ok(None);
    }
    let version = Version::parse(&process::output(Command::new(rustc).arg("-vV"))?);
    Ok(version.filter(|version| version.is_enough(env!("CARGO_PKG_RUST_VERSION"))))
}

/// Whether a folder has a compiled library of Rust.
fn has_library(folder: &Path, prefix: &str) -> bool {
    fs::read_dir(folder).is_ok_and(|files| {
        files.flatten().any(|file| {
            let name = file.file_name();
            name.to_string_lossy().starts_with(prefix) && name.to_string_lossy().ends_with(".rlib")
        })
    })
}

fn core_of(sysroot: &Path) -> Option<Core> {
    let rustlib = sysroot.join("lib/rustlib");
    if has_library(&rustlib.join(BPF_TARGET).join("lib"), "libcore-") {
        Some(Core::Built)
    } else {
        rustlib.join("src/rust/library/core/Cargo.toml").is_file().then_some(Core::Source)
    }
}

/// The folder that contains only the toolchain's LLVM.
fn llvm_of(sysroot: &Path, major: u32) -> Result<Option<PathBuf>> {
    let own = sysroot.join("lib");
    if library_in(&own, "libLLVM").is_some() {
        return Ok(Some(own));
    }
    // The system's library folder may have several versions, and bpf-linker uses the first.
    let shared = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let Some(library) = library_in(&shared, &format!("libLLVM.so.{major}")) else { return Ok(None) };
    let folder = workspace::tools().join(format!("llvm-{major}"));
    let link = folder.join(library.file_name().unwrap_or_default());
    if !link.exists() {
        fs::create_dir_all(&folder)?;
        // The link may be broken.
        let _none = fs::remove_file(&link);
        symlink(&library, &link).with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(Some(folder))
}

fn library_in(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?;
    let mut found: Vec<PathBuf> = files
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with(prefix))
        .map(|file| file.path())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// The output of `rustc -vV`.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    major: u32,
    minor: u32,
    /// LLVM's major version.
    llvm: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let (major, minor) = major_minor(field("release: ")?)?;
        let (llvm, _) = major_minor(field("LLVM version: ")?)?;
        Some(Self { major, minor, llvm })
    }

    fn is_enough(&self, wanted: &str) -> bool {
        major_minor(wanted).is_some_and(|wanted| (self.major, self.minor) >= wanted)
    }
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: &str =
        "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
    const NIGHTLY: &str = "rustc 1.97.0-nightly\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn the_compilers_own_words_are_understood() {
        assert_eq!(Version::parse(STABLE), Some(Version { major: 1, minor: 95, llvm: 22 }));
        assert_eq!(Version::parse(NIGHTLY), Some(Version { major: 1, minor: 97, llvm: 22 }));
        assert_eq!(Version::parse("rustc 1.95.0"), None);
        assert_eq!(Version::parse("release: one\nLLVM version: 22.1"), None);
    }

    #[test]
    fn an_older_compiler_is_not_enough() {
        let version = Version { major: 1, minor: 95, llvm: 22 };
        assert!(version.is_enough("1.95"));
        assert!(version.is_enough("1.94.3"));
        assert!(!version.is_enough("1.96"));
        assert!(!version.is_enough("2.0"));
        assert!(!version.is_enough("soon"));
    }

    #[test]
    fn a_built_core_is_preferred_to_its_sources() {
        let sysroot = std::env::temp_dir().join(format!("xtask-toolchain-{}", std::process::id()));
        let make = |file: &str| {
            let file = sysroot.join("lib/rustlib").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        };
        let nothing = core_of(&sysroot);
        make("src/rust/library/core/Cargo.toml");
        let source = core_of(&sysroot);
        make("bpfel-unknown-none/lib/libcore-0.rlib");
        let built = core_of(&sysroot);
        fs::remove_dir_all(&sysroot).unwrap();
        assert_eq!((nothing, source, built), (None, Some(Core::Source), Some(Core::Built)));
    }
}
