//! Embeds the kernel programs and the revision in the daemon.
//!
//! In: the object of `cargo xtask build-ebpf`, or the file in `HEADLESS_OBS_EBPF`; the word `none` there means an empty
//! object, for work that does not start the programs; and git, if there is a repository. Out: `headless-obs.bpf.o` in
//! `OUT_DIR`, and the variable `HEADLESS_OBS_REVISION` for `env!`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The object of `cargo xtask build-ebpf`, from the workspace's root.
const OBJECT: &str = "target/ebpf/headless-obs.bpf.o";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = embed_object() {
        println!("cargo::error={error}");
    }
    println!("cargo::rustc-env=HEADLESS_OBS_REVISION={}", revision());
}

/// Copies the object to the path from which the daemon includes it.
fn embed_object() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=HEADLESS_OBS_EBPF");
    let embedded = Path::new(&variable("OUT_DIR")?).join("headless-obs.bpf.o");
    let object = match env::var("HEADLESS_OBS_EBPF") {
        Ok(word) if word == "none" => {
            return fs::write(&embedded, []).map_err(|error| format!("{}: {error}", embedded.display()));
        }
        // Relative to the root, where the command runs, and not to this package's folder.
        Ok(path) if !path.is_empty() => root()?.join(path),
        _ => root()?.join(OBJECT),
    };
    println!("cargo::rerun-if-changed={}", object.display());
    match fs::copy(&object, &embedded) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "no kernel programs in {} ({error}): run `cargo xtask build-ebpf` first",
            object.display()
        )),
    }
}

/// The commit of the sources: from the environment, else from git, else `unknown`.
fn revision() -> String {
    println!("cargo::rerun-if-env-changed=HEADLESS_OBS_REVISION");
    if let Some(given) = env::var("HEADLESS_OBS_REVISION").ok().filter(|given| !given.is_empty()) {
        return given;
    }
    // git appends to this log whenever the checked-out commit changes, and only then.
    for path in ["logs/HEAD", "HEAD"] {
        let file = git(&["rev-parse", "--git-path", path]).filter(|file| Path::new(file).exists());
        if let Some(file) = file {
            println!("cargo::rerun-if-changed={file}");
            break;
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// The output of a git command, if it succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The workspace's root.
fn root() -> Result<PathBuf, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    Ok(package.parent().map(Path::to_path_buf).unwrap_or(package))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}; build with cargo"))
}
