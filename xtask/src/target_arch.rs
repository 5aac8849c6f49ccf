//! The processors that programs are made for: their names everywhere, and cargo that builds for one of them.
//!
//! In: a processor, this machine's own or the other one. Out: a cargo whose programs are static. What building for the other
//! one takes (a linker, a C library, Rust's standard library) is looked for, and installed if it is missing.

use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{process, setup, workspace};

/// A processor. Its names on the command line are Debian's, which are also those of the container world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetArch {
    /// x86, 64 bits
    Amd64,
    /// Arm, 64 bits
    Arm64,
}

impl TargetArch {
    /// All of them.
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

    /// What Debian and the container world call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What rustc calls it: this machine's own as this machine's compiler does.
    pub(crate) fn target(self) -> Result<String> {
        if self.is_own() { host() } else { Ok(format!("{}-unknown-linux-gnu", self.family())) }
    }

    /// What rustc's names for it begin with, and those of the GNU tools.
    const fn family(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What the names of its compilers and tools begin with, and its folder below /usr.
    fn triple(self) -> String {
        format!("{}-linux-gnu", self.family())
    }

    /// One of binutils' programs for it.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_own() { name.to_owned() } else { format!("{}-{name}", self.triple()) }
    }

    /// `cargo SUBCOMMAND` for it; what is built is static.
    pub(crate) fn cargo(self, subcommand: &str) -> Result<Command> {
        let target = self.target()?;
        let mut cargo = if self.is_own() { process::cargo() } else { self.foreign(&target)? };
        // Named as a target, so that the flag is not for build scripts and procedural macros, which cannot be static.
        cargo.env(variable(&target, "RUSTFLAGS"), "-C target-feature=+crt-static");
        cargo.args([subcommand, "--locked", "--target", &target]);
        Ok(cargo)
    }

    /// A cargo that can build for it on a machine of another one.
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

/// The variable that tells cargo something about one target.
pub(crate) fn variable(target: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", target.to_uppercase().replace('-', "_"))
}

/// This machine, as rustc calls it.
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
