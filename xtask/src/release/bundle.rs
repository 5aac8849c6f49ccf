//! The archive for each architecture: the program with its completions, manual page and licences; and its bill of
//! materials beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use image::Entry;

use super::{Files, Plan};
use crate::dist::Made;
use crate::{artifacts, process, workspace};

/// Licences in the repository. The program contains the kernel programs, which have the last one.
pub(super) const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "headless-obs-ebpf/LICENSE-GPL2"];

/// Path in the archive, and the arguments with which the program prints the file.
const PRINTED: [(&str, &[&str]); 4] = [
    ("completions/headless-obs.bash", &["completions", "bash"]),
    ("completions/_headless-obs", &["completions", "zsh"]),
    ("completions/headless-obs.fish", &["completions", "fish"]),
    ("man/headless-obs.1", &["man"]),
];

/// The name of an architecture's archive, without `.tar.gz`, which is also that of the folder in it.
pub(super) fn name(plan: &Plan, architecture: &str) -> String {
    plan.file(&format!("-linux-{architecture}"))
}

/// Adds all archives and bills of materials.
pub(super) fn add(plan: &Plan, made: &Made, files: &mut Files) -> Result<()> {
    let own = made.programs.iter().find(|(architecture, _)| architecture.is_own());
    let (_, own) = own.context("the program of this machine's architecture prints the completions")?;
    let common = common(own)?;
    for (architecture, program) in &made.programs {
        let name = name(plan, architecture.name());
        let mut entries: BTreeMap<String, Entry> =
            common.iter().map(|(path, entry)| (format!("{name}/{path}"), entry.clone())).collect();
        entries.insert(format!("{name}/{}", artifacts::DAEMON), Entry::Program(read(program)?));
        files.add(&format!("{name}.tar.gz"), &image::tar_gz(&entries, plan.commit.time)?)?;
        files.add_copy(&format!("{name}.cdx.json"), &program.with_file_name(plan.file(".cdx.json")))?;
    }
    Ok(())
}

/// The files that all archives have.
fn common(program: &Path) -> Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for (path, args) in PRINTED {
        let text = process::output(Command::new(program).args(args))?;
        entries.insert(path.to_owned(), Entry::File(text.into_bytes()));
    }
    for path in LICENCES {
        let name = path.rsplit('/').next().unwrap_or(path);
        entries.insert(name.to_owned(), Entry::File(read(&workspace::root().join(path))?));
    }
    Ok(entries)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
