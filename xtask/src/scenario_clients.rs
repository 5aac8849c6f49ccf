//! Real clients for the scenarios, built from `tests/clients` once and kept.
//!
//! In: sources, and pinned versions of their libraries. Out: a variable for each client, with its path below
//! `target/scenarios`, whose name has a hash of everything that determines the build. If a client cannot be built, its
//! variable has the reason, so that only the scenarios that need it fail.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::{go, musl, process, setup, workspace};

/// A client: its variable, and the function that builds it.
type Client = (&'static str, fn() -> Result<PathBuf>);

/// All of them.
const CLIENTS: [Client; 7] = [
    ("HEADLESS_OBS_CLIENT_GO", go_program),
    ("HEADLESS_OBS_CLIENT_JAVA", java),
    ("HEADLESS_OBS_CLIENT_NODE", node),
    ("HEADLESS_OBS_CLIENT_CURL", curl),
    ("HEADLESS_OBS_CLIENT_GLIBC", glibc),
    ("HEADLESS_OBS_CLIENT_MUSL", || c_with_musl(&musl::NEW)),
    ("HEADLESS_OBS_CLIENT_OLD_MUSL", || c_with_musl(&musl::OLD)),
];

/// The beginning of all variables.
const PREFIX: &str = "HEADLESS_OBS_CLIENT_";

/// Builds them; a value that begins with `!` is an error. Adds the folder in which the scenarios keep what they install.
pub(crate) fn variables() -> Vec<(&'static str, OsString)> {
    let folder = ("HEADLESS_OBS_SCENARIOS", workspace::scenarios().into_os_string());
    CLIENTS.into_iter().map(variable).chain([folder]).collect()
}

/// Builds those that a text names as `$MUSL`.
pub(crate) fn named_in(text: &str) -> Vec<(&'static str, OsString)> {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_uppercase() && !"$_".contains(c)).collect();
    let is_named = |(variable, _): &Client| {
        let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
        words.iter().any(|word| word.strip_prefix('$') == Some(name))
    };
    CLIENTS.into_iter().filter(is_named).map(variable).collect()
}

fn variable((name, make): Client) -> (&'static str, OsString) {
    let value = make().map_or_else(|why| format!("!{why:#}").into(), PathBuf::into_os_string);
    (name, value)
}

/// A Go program with servers and clients of Go libraries.
fn go_program() -> Result<PathBuf> {
    let sources = workspace::root().join("tests/clients/go");
    let files = ["go.mod", "go.sum", "main.go"].map(|name| sources.join(name));
    kept("go", &files, &[], |draft| {
        let mut command = Command::new(go::find_or_install()?);
        command.current_dir(&sources).env("CGO_ENABLED", "0");
        command.args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"]).arg(draft).arg(".");
        process::run(&mut command)
    })
}

/// A folder with classes for the JVM.
fn java() -> Result<PathBuf> {
    setup::ensure_programs(&[("java", "default-jre-headless")])?;
    let source = source("Dial.java");
    kept("java", std::slice::from_ref(&source), &[], |draft| {
        setup::ensure_programs(&[("javac", "default-jdk-headless")])?;
        fs::create_dir_all(draft).context("cannot make a folder")?;
        process::run(Command::new("javac").args(["--release", "11", "-d"]).arg(draft).arg(&source))
    })
}

/// A script for Node.js.
fn node() -> Result<PathBuf> {
    setup::ensure_programs(&[("node", "nodejs")])?;
    Ok(source("request.js"))
}

/// The name of a program.
fn curl() -> Result<PathBuf> {
    setup::ensure_programs(&[("curl", "curl")])?;
    Ok("curl".into())
}

/// The client in C with this machine's C library.
fn glibc() -> Result<PathBuf> {
    let source = source("dial.c");
    kept("dial-glibc", std::slice::from_ref(&source), &[], |draft| {
        setup::ensure_programs(&[("gcc", "gcc")])?;
        process::run(Command::new("gcc").args(["-O1", "-Wall", "-o"]).arg(draft).arg(&source))
    })
}

/// The same as a static program with musl.
fn c_with_musl(release: &musl::Release) -> Result<PathBuf> {
    let source = source("dial.c");
    let name = format!("dial-musl-{}", release.version);
    kept(&name, std::slice::from_ref(&source), &[release.suite.as_bytes()], |draft| {
        setup::ensure_programs(&[("gcc", "gcc")])?;
        musl::compile(release, &source, draft)
    })
}

fn source(name: &str) -> PathBuf {
    workspace::root().join("tests/clients").join(name)
}

/// The path of a file that is made from these sources and arguments; makes it if it does not exist.
fn kept(
    name: &str,
    files: &[PathBuf],
    words: &[&[u8]],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let contents = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let hash = go::hash(contents.iter().map(Vec::as_slice).chain(words.iter().copied()));
    let folder = workspace::scenarios();
    let path = folder.join(format!("{name}-{hash:016x}"));
    if path.exists() {
        return Ok(path);
    }
    say(&format!("making the client {name}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Only a complete file gets the final name.
    let draft = folder.join(format!("{name}.draft"));
    make(&draft).with_context(|| format!("cannot make the client {name}"))?;
    if !draft.exists() {
        bail!("nothing was made of the client {name}");
    }
    fs::rename(&draft, &path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}
