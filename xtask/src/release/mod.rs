//! `cargo xtask release`: makes all that a release consists of in `target/release-VERSION`, checks it, and publishes it.
//!
//! In: the sources of one commit, the registry, and the address of downloads. Out: [`Files`], each with its digest, and
//! the digests of image and chart. The same commit and options give the same bytes, apart from a signature.
//!
//! `--dry-run` publishes nothing and needs no account anywhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::console::{result, say};
use crate::dist::{self, Made};
use crate::target_arch::TargetArch;
use crate::{chart, workspace};

mod bundle;
mod checks;
mod deployment;
mod files;
mod krew;
mod notes;
mod plan;
mod provenance;
mod push;
mod rehearsal;
mod second;
mod signature;

use files::Files;
use plan::Plan;
pub(crate) use rehearsal::check;

/// Options of the task.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Make and check everything; publish nothing
    #[arg(long)]
    dry_run: bool,
    /// Registry, with the path below it, for the image `NAME/headless-obs` and the chart `NAME/charts/headless-obs`
    /// [default: that of deploy/chart/values.yaml]
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Address below which the files will be downloaded; krew's manifest has it
    #[arg(long, value_name = "URL", default_value = plan::DOWNLOADS)]
    downloads: String,
    /// URI of the machine or service that builds; the provenance has it
    #[arg(long, value_name = "URI", default_value = plan::BUILDER)]
    builder: String,
    /// Refuse to go on unless this is the tag of this version, CHANGELOG.md dates it, and no file differs from the commit
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
    /// Sign the checksums with this key: ECDSA on the curve P-256, PKCS#8, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write the files here: into a new or empty folder, or in place of an earlier release [default:
    /// target/release-VERSION]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Make everything a second time, in a new clone, and compare the bytes
    #[arg(long)]
    twice: bool,
    /// Publish what an earlier run has made in this folder, instead of making it
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["dry_run", "twice", "key", "folder"])]
    from: Option<PathBuf>,
    /// Cargo profile of the programs
    #[arg(long, default_value = dist::SHIPPED)]
    profile: String,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Some(folder) = &options.from {
        files::verify(folder)?;
        push::all(folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    let registry = options.registry.clone().map_or_else(chart::registry, Ok)?;
    ensure!(
        options.dry_run || registry != "localhost",
        "`localhost` stands for no registry: name yours with --registry, or add --dry-run"
    );
    let plan = Plan::read(registry, &options.downloads, &options.builder, &options.profile)?;
    if let Some(tag) = &options.tag {
        plan.refuse_unless_tagged(tag)?;
    }
    if let Some(folder) = &options.folder {
        files::refuse_other_files(folder)?;
    }
    let usual = || workspace::target().join(format!("release-{}", plan.version));
    let folder = options.folder.clone().unwrap_or_else(usual);
    let parts = workspace::target().join("release-parts");
    let made = dist::make(&plan.profile, &TargetArch::ALL, &plan.registry, &parts)?;
    let files = assemble(&plan, &made, &folder)?;
    checks::run(&plan, &folder)?;
    if let Some(key) = &options.key {
        say(&format!("signature: {}", signature::sign_file(key, &folder.join(files::SUMS))?.display()));
    }
    if options.twice {
        second::compare(&plan, &folder)?;
    }
    result(&files.table());
    if options.dry_run {
        say(&format!("everything is in {}; nothing was published", folder.display()));
    } else {
        push::all(&folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes all files from what is built, in a folder that it empties first.
fn assemble(plan: &Plan, made: &Made, folder: &Path) -> Result<Files> {
    dist::replace_folder(folder)?;
    let mut files = Files::new(folder);
    bundle::add(plan, made, &mut files)?;
    let image = add_image(plan, made, &mut files)?;
    let chart = deployment::add(plan, made, &mut files)?;
    files.add_text(krew::FILE, &krew::manifest(plan, &files)?)?;
    files.add_text("RELEASE_NOTES.md", &notes::of(plan)?)?;
    files.published = vec![image, chart];
    let published: Vec<String> =
        files.published.iter().map(|(name, digest)| format!("{name}@{digest}\n")).collect();
    files.add_text(files::PUBLISHED, &published.concat())?;
    files.add_text("provenance.intoto.json", &provenance::statement(plan, &files, made)?)?;
    files.write_sums()?;
    Ok(files)
}

/// Adds the image; returns its name and digest.
fn add_image(plan: &Plan, made: &Made, files: &mut Files) -> Result<(String, String)> {
    files.add_copy(&plan.file(push::IMAGE), &made.image)?;
    Ok((plan.image(), made.digest.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use clap::Parser as _;

    use super::*;
    use crate::process;

    /// A release whose program prints its arguments.
    fn assembled(folder: &Path, name: &str) -> (Plan, Files) {
        let program = folder.join("program");
        fs::write(&program, "#!/bin/sh\necho \"printed by $*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut plan = Plan::of_test("r.example/x", "dev").unwrap();
        plan.commit.time = 1_000_000_000;
        let built = [(TargetArch::own().unwrap(), program)];
        let made = dist::package(&built, &plan.registry, &folder.join("parts")).unwrap();
        let files = assemble(&plan, &made, &folder.join(name)).unwrap();
        (plan, files)
    }

    #[test]
    fn nothing_is_built_for_a_release_that_has_no_registry() {
        let task =
            crate::Task::try_parse_from(["cargo xtask", "release", "--registry", "localhost"]).unwrap();
        let crate::Task::Release(options) = task else { panic!("this is another task") };
        assert!(run(&options).unwrap_err().to_string().contains("--dry-run"));
    }

    #[test]
    fn the_same_programs_give_the_same_release() {
        let folder = std::env::temp_dir().join(format!("xtask-release-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (plan, files) = assembled(&folder, "one");
        let (_, others) = assembled(&folder, "other");
        let (one, other) = (folder.join("one"), folder.join("other"));
        let names = |folder: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(folder).unwrap().flatten();
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        let differ: Vec<String> = names(&one)
            .into_iter()
            .filter(|name| fs::read(one.join(name)).unwrap() != fs::read(other.join(name)).unwrap())
            .collect();
        files::verify(&one).unwrap();
        let archive = format!("{}.tar.gz", bundle::name(&plan, image::architecture()));
        let mut list = Command::new("tar");
        let listed =
            process::output(list.arg("-tvzf").arg(one.join(&archive)).args(["--numeric-owner", "--utc"]));
        let chart = fs::read_to_string(one.join(plan.file(".yaml"))).unwrap();
        let (there, summed) = (names(&one), fs::read_to_string(one.join(files::SUMS)).unwrap());
        let provenance = fs::read_to_string(one.join("provenance.intoto.json")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(differ.is_empty(), "{differ:?}");
        assert_eq!(files.table(), others.table());
        assert!(
            there.iter().all(|name| name == files::SUMS || summed.contains(&format!("  {name}\n"))),
            "{summed}"
        );
        let listed = listed.unwrap();
        for path in ["headless-obs", "completions/_headless-obs", "man/headless-obs.1", "LICENSE-GPL2"] {
            assert!(listed.lines().any(|line| line.ends_with(&format!("/{path}"))), "{path}: {listed}");
        }
        assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains("2001-09-09")), "{listed}");
        let (image, digest) = &files.published[0];
        assert!(chart.contains(&format!("image: \"{image}@{digest}\"")), "{chart}");
        assert!(provenance.contains(digest.trim_start_matches("sha256:")) && provenance.contains(&archive));
    }
}
