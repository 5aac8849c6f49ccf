//! The architectures of the shipped programs: their names in other tools, and cargo builds for each.
//!
//! In: this machine's architecture or the other one. Out: a cargo command that builds static programs. A build for the
//! other architecture needs a linker, a C library and Rust's standard library; missing ones are installed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{process, setup, workspace};

/// An architecture. Its names on the command line are those of Debian and of container tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetArch {
    /// x86, 64 bits
    Amd64,
    /// Arm, 64 bits
    Arm64,
}

impl TargetArch {
    /// All architectures.
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// This machine's.
    pub(crate) fn own() -> Result<Self> {
        let this = image::architecture();
        let own = Self::ALL.into_iter().find(|one| one.name() == this);
        own.with_context(|| format!("the project supports only amd64 and arm64, not {this}"))
    }

    /// Whether it is this machine's.
    pub(crate) fn is_own(self) -> bool {
        self.name() == image::architecture()
    }

    /// Its name in Debian and in container tools.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its name in rustc: for this machine's own, that of this machine's compiler.
    pub(crate) fn target(self) -> Result<String> {
        if self.is_own() { host() } else { Ok(format!("{}-unknown-linux-gnu", self.family())) }
    }

    /// The first part of its names in rustc and in the GNU tools.
    const fn family(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The prefix of its compilers and tools, which is also its folder below /usr.
    fn triple(self) -> String {
        format!("{}-linux-gnu", self.family())
    }

    /// One of binutils' programs for it.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_own() { name.to_owned() } else { format!("{}-{name}", self.triple()) }
    }

    /// The version of the compiler of its programs.
    pub(crate) fn compiler(self) -> Result<String> {
        let rustc = if self.is_own() {
            "rustc".into()
        } else {
            setup::ensure_standard(&self.target()?, self.name())?.join("bin/rustc")
        };
        let version = process::output(Command::new(rustc).arg("--version").current_dir(workspace::root()))?;
        Ok(version.trim().to_owned())
    }

    /// `cargo SUBCOMMAND` for it, which builds static programs.
    pub(crate) fn cargo(self, subcommand: &str) -> Result<Command> {
        let target = self.target()?;
        let mut cargo = if self.is_own() { process::cargo() } else { self.foreign(&target)? };
        // With an explicit target the flags do not apply to build scripts and procedural macros, which cannot be static.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags()?.join(OsStr::new("\x1f")));
        cargo.args([subcommand, "--locked", "--target", &target]);
        Ok(cargo)
    }

    /// A cargo command that builds for it on a machine of the other architecture.
    fn foreign(self, target: &str) -> Result<Command> {
        let (triple, name) = (self.triple(), self.name());
        let compiler = format!("{triple}-gcc");
        setup::ensure_programs(&[
            (&compiler, &format!("gcc-{}", triple.replace('_', "-"))),
            (&format!("/usr/{triple}/lib/libc.a"), &format!("libc6-dev-{name}-cross")),
        ])?;
        let bin = setup::ensure_standard(target, name)?.join("bin");
        let mut cargo = Command::new(bin.join("cargo"));
        cargo.current_dir(workspace::root()).env("CARGO", bin.join("cargo")).env("RUSTC", bin.join("rustc"));
        cargo.env(variable(target, "LINKER"), compiler);
        Ok(cargo)
    }
}

/// The compiler's flags. The messages of panics have the paths of sources, so these are the same on every machine: the
/// same sources give the same program in any folder.
fn flags() -> Result<Vec<OsString>> {
    let packages = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .context("cargo's folder is unknown: set CARGO_HOME")?;
    let remap = |folder: PathBuf, name: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(folder);
        flag.push(format!("={name}"));
        flag
    };
    Ok(vec![
        OsString::from("-Ctarget-feature=+crt-static"),
        remap(packages, "/cargo"),
        remap(workspace::root(), "/headless-obs"),
    ])
}

/// The cargo variable of a setting for one target.
pub(crate) fn variable(target: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", target.to_uppercase().replace('-', "_"))
}

/// This machine's name in rustc.
pub(crate) fn host() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV").current_dir(workspace::root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not report its host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_of_one_target_alone() {
        let expected = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";
        assert_eq!(variable("aarch64-unknown-linux-gnu", "LINKER"), expected);
    }

    #[test]
    fn tools_of_this_machine_have_no_prefix() {
        let own = TargetArch::own().unwrap();
        let other = TargetArch::ALL.into_iter().find(|one| *one != own).unwrap();
        assert!(own.is_own() && !other.is_own());
        assert_eq!(own.tool("strip"), "strip");
        assert_eq!(other.tool("strip"), format!("{}-strip", other.triple()));
    }
}
