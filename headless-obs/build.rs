//! Puts the kernel programs and the revision into the daemon.
//!
//! In: the object that `cargo xtask build-ebpf` made, or the file that `HEADLESS_OBS_EBPF` names, or with the
//! word `none` an empty object, for work that does not start the programs; and git, where it is there.
//! Out: `headless-obs.bpf.o` in `OUT_DIR`, and the variable `HEADLESS_OBS_REVISION` for `env!`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where `cargo xtask build-ebpf` puts the object, from the workspace's root.
const OBJECT: &str = "target/ebpf/headless-obs.bpf.o";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = embed_object() {
        println!("cargo::error={error}");
    }
    println!("cargo::rustc-env=HEADLESS_OBS_REVISION={}", revision());
}

/// Copies the object to where the daemon includes it from.
fn embed_object() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=HEADLESS_OBS_EBPF");
    let embedded = Path::new(&variable("OUT_DIR")?).join("headless-obs.bpf.o");
    let object = match env::var("HEADLESS_OBS_EBPF") {
        Ok(word) if word == "none" => {
            return fs::write(&embedded, []).map_err(|error| format!("{}: {error}", embedded.display()));
        }
        // Relative to the root, where the command was typed, and not to this package's folder.
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

/// The commit this is built from: as given by the environment, else as git knows it, else `unknown`.
fn revision() -> String {
    println!("cargo::rerun-if-env-changed=HEADLESS_OBS_REVISION");
    if let Some(given) = env::var("HEADLESS_OBS_REVISION").ok().filter(|given| !given.is_empty()) {
        return given;
    }
    // git appends to this log whenever the checked-out commit changes, and at no other time.
    for path in ["logs/HEAD", "HEAD"] {
        let file = git(&["rev-parse", "--git-path", path]).filter(|file| Path::new(file).exists());
        if let Some(file) = file {
            println!("cargo::rerun-if-changed={file}");
            break;
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// What a git command prints, if it succeeds.
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
