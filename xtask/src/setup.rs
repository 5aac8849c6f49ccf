//! `cargo xtask setup`: finds or installs the tools that build the kernel programs.
//!
//! In: the machine. Out: a [`Tools`], or an error with a command to run. It is idempotent, and quick if everything is
//! there.
//!
//! It does not change the user's configuration: it adds a component of rustup and Debian packages, replaces nothing,
//! and keeps bpf-linker below `target/`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::toolchain::{self, Core, Toolchain};
use crate::{process, sudo, workspace};

/// The linker of the kernel programs: the newest version that was tried with the compilers in `toolchain`.
const LINKER_VERSION: &str = "0.10.3";

/// Debian's compiler with a compiled core library for the BPF target.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// Clippy for this compiler.
const CLIPPY_PACKAGE: &str = "rust-web-clippy";

/// The tools that build the kernel programs.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// The linker's path.
    pub(crate) linker: PathBuf,
}

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    let Tools { toolchain, linker } = ensure()?;
    let core = match toolchain.core {
        Core::Built => "with its core library for BPF",
        Core::Source => "with rust-src",
    };
    say(&format!("kernel programs are built by {} {core}", toolchain.sysroot.display()));
    say(&format!("and linked by {}", linker.display()));
    Ok(ExitCode::SUCCESS)
}

/// Finds the tools, or installs missing ones.
pub(crate) fn ensure() -> Result<Tools> {
    Ok(Tools { toolchain: compiler()?, linker: linker()? })
}

/// Makes sure that the kernel programs' toolchain has clippy.
pub(crate) fn ensure_clippy(toolchain: &Toolchain) -> Result<()> {
    if toolchain.sysroot.join("bin/cargo-clippy").is_file() {
        return Ok(());
    }
    if toolchain.is_system() {
        return install_packages(&[CLIPPY_PACKAGE]);
    }
    let name = toolchain.sysroot.file_name().unwrap_or_default();
    say("adding clippy to the toolchain of the kernel programs");
    process::run(Command::new("rustup").args(["component", "add", "clippy", "--toolchain"]).arg(name))
}

fn compiler() -> Result<Toolchain> {
    if let Some(found) = toolchain::find()? {
        return Ok(found);
    }
    let mut obstacles = Vec::new();
    for install in [add_rust_src, install_compiler] {
        if let Err(error) = install() {
            obstacles.push(format!("{error:#}"));
        } else if let Some(found) = toolchain::find()? {
            return Ok(found);
        } else {
            obstacles.push(format!(
                "the installed compiler is older than Rust {}",
                env!("CARGO_PKG_RUST_VERSION")
            ));
        }
    }
    bail!(
        "no compiler here can build the kernel programs ({}).\n\
         Run one of these, then try again:\n  \
         rustup component add rust-src\n  \
         sudo apt-get install {}",
        obstacles.join("; "),
        COMPILER_PACKAGES.join(" "),
    )
}

/// Finds a toolchain with the standard library for another target, or installs that; returns the toolchain's prefix.
/// `architecture` is Debian's name for the target.
pub(crate) fn ensure_standard(target: &str, architecture: &str) -> Result<PathBuf> {
    if let Some(found) = toolchain::with_standard(target)? {
        return Ok(found);
    }
    let mut obstacles = Vec::new();
    let add: [&dyn Fn() -> Result<()>; 2] = [&|| add_target(target), &|| install_standard(architecture)];
    for add in add {
        match (add(), toolchain::with_standard(target)?) {
            (_, Some(found)) => return Ok(found),
            (Err(error), None) => obstacles.push(format!("{error:#}")),
            (Ok(()), None) => obstacles.push("the installed packages are not enough".to_owned()),
        }
    }
    bail!(
        "no compiler here can build for {target} ({}).\n\
         Run one of these, then try again:\n  \
         rustup target add {target}\n  \
         sudo dpkg --add-architecture {architecture} && sudo apt-get update && sudo apt-get install {}",
        obstacles.join("; "),
        standard_packages(architecture).join(" "),
    )
}

fn add_rust_src() -> Result<()> {
    ask_rustup("rust-src", &["component", "add", "rust-src"])
}

fn add_target(target: &str) -> Result<()> {
    ask_rustup(target, &["target", "add", target])
}

/// Runs a command of rustup, but only once: if the download fails, each call would cost seconds for nothing.
fn ask_rustup(what: &str, arguments: &[&str]) -> Result<()> {
    let sysroot = toolchain::current()?;
    let name = sysroot.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_rustups = sysroot.parent().is_some_and(|folder| folder.ends_with("toolchains"));
    if !is_rustups || !sudo::on_path("rustup") {
        bail!("there is no rustup to add {what}");
    }
    let refused = workspace::tools().join(format!("{what}-refused-by-{name}"));
    if refused.exists() {
        bail!("rustup could not add {what} to {name} before, see {}", refused.display());
    }
    say(&format!("adding {what} to {name}"));
    let added = process::run(Command::new("rustup").args(arguments).args(["--toolchain", &name]));
    if let Err(error) = &added {
        fs::create_dir_all(workspace::tools())?;
        fs::write(&refused, format!("{error:#}\nRemove this file to let `cargo xtask` try again.\n"))?;
    }
    added
}

/// Finds the programs that the tests start, or installs their packages.
pub(crate) fn ensure_programs(programs: &[(&str, &str)]) -> Result<()> {
    // Administrators' tools are only on root's path.
    let is_there = |program: &str| sudo::on_path(program) || Path::new("/usr/sbin").join(program).is_file();
    let missing: Vec<_> =
        programs.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install_packages(&missing) }
}

fn install_compiler() -> Result<()> {
    install_packages(&COMPILER_PACKAGES)
}

/// Debian's compiler, and its standard library for another architecture.
fn standard_packages(architecture: &str) -> [String; 3] {
    let [compiler, cargo, _] = COMPILER_PACKAGES.map(str::to_owned);
    [compiler, cargo, format!("libstd-rust-web-dev:{architecture}")]
}

fn install_standard(architecture: &str) -> Result<()> {
    if !sudo::on_path("dpkg") {
        bail!("there is no dpkg to accept packages for {architecture}");
    }
    let arguments = ["--add-architecture", architecture].map(OsString::from);
    process::run(&mut sudo::as_root(Path::new("dpkg"), &arguments, &[])?)?;
    install_packages(&standard_packages(architecture).each_ref().map(String::as_str))
}

/// Held while apt works, because parallel fetches of lists disturb one another.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs packages by apt. It fetches the package lists only if they do not have the packages.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if !sudo::on_path("apt-get") {
        bail!("there is no apt-get to install {}", packages.join(" "));
    }
    sudo::as_root(Path::new("apt-get"), &[], &[])?;
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut install = vec!["--quiet", "install", "--yes", "--no-install-recommends"];
    install.extend_from_slice(packages);
    say(&format!("installing the packages {} (a minute or two)", packages.join(" ")));
    if known(packages) && apt(&install).is_ok() {
        return Ok(());
    }
    say("fetching the package lists");
    apt(&["--quiet", "update"])?;
    if !known(packages) {
        bail!("this distribution has no packages {}", packages.join(" "));
    }
    apt(&install)
        .with_context(|| format!("run `sudo apt-get install {}` to see the reason", packages.join(" ")))
}

fn apt(args: &[&str]) -> Result<()> {
    // The task that builds ahead of the tests installs packages too: one waits for the other.
    let args: Vec<OsString> =
        [&["-oDPkg::Lock::Timeout=600"], args].concat().iter().map(OsString::from).collect();
    let quiet = [("DEBIAN_FRONTEND", OsString::from("noninteractive"))];
    process::run(&mut sudo::as_root(Path::new("apt-get"), &args, &quiet)?)
}

/// Whether apt's lists have all of the packages.
fn known(packages: &[&str]) -> bool {
    process::output(Command::new("apt-cache").arg("policy").args(packages).env("LC_ALL", "C"))
        .is_ok_and(|policy| candidates(&policy) == packages.len())
}

/// The number of installable packages in the output of `apt-cache policy`.
fn candidates(policy: &str) -> usize {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .count()
}

fn linker() -> Result<PathBuf> {
    let linker = Installed { package: "bpf-linker", version: LINKER_VERSION, time: "about a minute" };
    linker.ensure()
}

/// A program that cargo builds once and keeps under `target/tools`.
pub(crate) struct Installed {
    /// The package, which has the program's name.
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// The time that a build takes.
    pub(crate) time: &'static str,
}

impl Installed {
    /// Its path. Builds it if necessary.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let Self { package, version, time } = self;
        let root = workspace::tools().join(format!("{package}-{version}"));
        let program = root.join("bin").join(package);
        if program.is_file() {
            return Ok(program);
        }
        say(&format!("installing {package} {version} into {} ({time})", root.display()));
        let build = workspace::tools().join(format!("build-{package}"));
        // On the path only to suppress cargo's advice to put it there.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::env::split_paths(&path).chain([root.join("bin")]))?;
        process::run(
            process::cargo()
                .env("PATH", path)
                .args(["install", package, "--version", version, "--locked", "--no-track"])
                // An optimised build would take longer than all its runs.
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .arg("--root")
                .arg(&root)
                .arg("--target-dir")
                .arg(&build),
        )
        .with_context(|| {
            format!(
                "cannot install {package}; run `cargo install {package} --version {version} --locked --root {}` to \
                 see why",
                root.display()
            )
        })?;
        // The build directory is not needed again.
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_a_candidate_are_unknown() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0\n  Version table:\n\
                      cargo-web:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(candidates(policy), 1);
        assert_eq!(candidates(""), 0);
    }
}
