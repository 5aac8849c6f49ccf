//! Checks of a finished release, by the tools that its users have: the checksums, the archives for registries, the chart
//! by helm, and krew's manifest by krew, which installs the plugin.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Plan, bundle, files, krew, push};
use crate::console::say;
use crate::process;
use crate::target_arch::TargetArch;
use crate::tools::{self, Tool};

/// All checks.
pub(super) fn run(plan: &Plan, folder: &Path) -> Result<()> {
    files::verify(folder)?;
    push::Layout::unpack(&push::archive(folder, push::CHART)?)?;
    let image = push::Layout::unpack(&push::archive(folder, push::IMAGE)?)?;
    chart(plan, folder, &format!("{}@{}", plan.image(), image.digest))?;
    plugin(plan, folder)?;
    say("checked: checksums, archives, the chart by helm, the plugin by krew");
    Ok(())
}

/// Helm renders the chart of the release with the image of the release.
fn chart(plan: &Plan, folder: &Path, image: &str) -> Result<()> {
    let chart = folder.join(plan.file("-chart.tgz"));
    let rendered =
        process::output(Command::new(tools::ensure(Tool::Helm)?).arg("template").arg("x").arg(chart))?;
    ensure!(rendered.contains(&format!("image: \"{image}\"")), "the chart does not install {image}");
    Ok(())
}

/// Krew accepts its manifest, and installs the plugin of this machine's architecture from its archive.
fn plugin(plan: &Plan, folder: &Path) -> Result<()> {
    let manifest = folder.join(krew::FILE);
    process::run(
        Command::new(tools::ensure(Tool::ValidateKrewManifest)?)
            .arg("-skip-install")
            .arg("-manifest")
            .arg(&manifest),
    )?;
    let root = folder.join("krew");
    let archive = folder.join(format!("{}.tar.gz", bundle::name(plan, TargetArch::own()?.name())));
    let mut install = Command::new(tools::ensure(Tool::Krew)?);
    install.env("KREW_ROOT", &root).env("KREW_NO_UPGRADE_CHECK", "1").arg("install");
    install.arg(format!("--manifest={}", manifest.display()));
    install.arg(format!("--archive={}", archive.display()));
    let version = process::run(&mut install)
        .and_then(|()| process::output(Command::new(root.join("bin/kubectl-headless_obs")).arg("--version")));
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    ensure!(version?.contains(plan.version), "the plugin has another version than {}", plan.version);
    Ok(())
}
