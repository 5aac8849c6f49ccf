//! `cargo xtask dist`: writes the shipped files to `target/dist`: for each architecture the static program and its bill
//! of materials (`sbom`); one image for all architectures; the chart and the manifests.
//!
//! It writes the image without a container engine, and the same sources give the same image. Chart and manifests are
//! those of `deploy/`, which name the image of this version.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use image::{Entry, Image};

use crate::commit::Commit;
use crate::console::say;
use crate::target_arch::TargetArch;
use crate::{artifacts, build_ebpf, chart, elf, process, sbom, workspace};

/// Folders of `deploy/` that are shipped unchanged.
const FOLDERS: [&str; 5] = ["chart", "manifests", "monitoring", "namespaced", "seccomp"];

/// The cargo profile of the shipped program.
pub(crate) const SHIPPED: &str = "shipped";

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Cargo profile of the program; `dev` builds faster, but the program is slower and larger
    #[arg(long, default_value = SHIPPED)]
    profile: String,
    /// Build only for this architecture [default: both]
    #[arg(long, value_name = "NAME")]
    architecture: Option<TargetArch>,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let wanted = options.architecture.map_or(TargetArch::ALL.to_vec(), |one| vec![one]);
    let made = make(&options.profile, &wanted, &chart::registry()?, &workspace::target().join("dist"))?;
    for path in made.programs.iter().map(|(_, path)| path).chain([&made.image]) {
        let size = fs::metadata(path).with_context(|| format!("no {}", path.display()))?.len();
        say(&format!("{} ({:.1} MiB)", path.display(), mebibytes(size)));
    }
    say(&format!("{} of digest {}", made.name, made.digest));
    Ok(ExitCode::SUCCESS)
}

/// The results.
pub(crate) struct Made {
    /// The static programs.
    pub(crate) programs: Vec<(TargetArch, PathBuf)>,
    /// The archive with the image.
    pub(crate) image: PathBuf,
    /// The image's name.
    name: String,
    /// The image's digest.
    pub(crate) digest: String,
    /// The image's labels.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Builds everything with a cargo profile, for one or more architectures, into a folder that it empties first. The image
/// is named for a registry.
pub(crate) fn make(profile: &str, wanted: &[TargetArch], registry: &str, folder: &Path) -> Result<Made> {
    let built = wanted.iter().map(|one| Ok((*one, build(profile, *one)?))).collect::<Result<Vec<_>>>()?;
    package(&built, registry, folder)
}

/// Puts programs that are built into a folder that it empties first, with everything that is shipped.
pub(crate) fn package(built: &[(TargetArch, PathBuf)], registry: &str, folder: &Path) -> Result<Made> {
    replace_folder(folder)?;
    for name in FOLDERS {
        workspace::copy_folder(&workspace::root().join("deploy").join(name), &folder.join(name))?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{registry}/headless-obs:{version}");
    let labels = labels(version)?;
    let (mut programs, mut images) = (Vec::new(), Vec::new());
    for (one, built) in built {
        let own = folder.join(one.name());
        fs::create_dir(&own).with_context(|| format!("cannot make {}", own.display()))?;
        sbom::write(&own, &one.target()?)?;
        let program = own.join(artifacts::DAEMON);
        fs::copy(built, &program).with_context(|| format!("cannot copy {}", built.display()))?;
        images.push(Image {
            name: name.clone(),
            architecture: one.name().to_owned(),
            entrypoint: vec![format!("/{}", artifacts::DAEMON)],
            entries: BTreeMap::from([(
                artifacts::DAEMON.to_owned(),
                Entry::Program(
                    fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?,
                ),
            )]),
            labels: labels.clone(),
        });
        programs.push((*one, program));
    }
    let (path, digest) = archive(&images, &folder.join(format!("headless-obs-{version}-linux")))?;
    Ok(Made { programs, image: path, name, digest, labels })
}

/// Writes the image's archive; returns its path, which begins with `path`, and the image's digest.
fn archive(images: &[Image], path: &Path) -> Result<(PathBuf, String)> {
    let only = if let [only] = images { Some(only) } else { None };
    let mut name = path.as_os_str().to_owned();
    name.push(only.map_or(".tar".to_owned(), |only| format!("-{}.tar", only.architecture)));
    let path = PathBuf::from(name);
    let file = fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let out = BufWriter::new(file);
    let digest = match only {
        Some(only) => only.write(out)?,
        None => image::write_all(images, out)?,
    };
    Ok((path, digest))
}

/// Compiles the program for this machine at the lowest priority, so that [`make`] has less to do.
pub(crate) fn compile_ahead(profile: &str) -> Result<()> {
    process::run(&mut process::politely(&compiler(profile, TargetArch::own()?)?))
}

/// The command that compiles the daemon as a static program.
fn compiler(profile: &str, processor: TargetArch) -> Result<Command> {
    build_ebpf::build()?;
    let mut cargo = processor.cargo("build")?;
    cargo.args(["--profile", profile, "--package", "headless-obs", "--bin", artifacts::DAEMON]);
    Ok(cargo)
}

/// The daemon as a static program.
fn build(profile: &str, processor: TargetArch) -> Result<PathBuf> {
    let mut cargo = compiler(profile, processor)?;
    let program = artifacts::binary(&artifacts::run(&mut cargo)?, artifacts::DAEMON)?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    if let Some(interpreter) = elf::interpreter(&bytes)? {
        bail!("{} is not static: it needs {interpreter}", program.display());
    }
    Ok(program)
}

fn labels(version: &str) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::from([
        ("title", "headless-obs".to_owned()),
        (
            "description",
            "How clients spread their connections over the pods behind headless Services".to_owned(),
        ),
        ("version", version.to_owned()),
        ("licenses", "(MIT OR Apache-2.0) AND GPL-2.0-only AND LGPL-2.1-or-later".to_owned()),
    ]);
    if let Some(revision) = Commit::read()?.revision() {
        labels.insert("revision", revision);
    }
    let full = |(name, value)| (format!("org.opencontainers.image.{name}"), value);
    Ok(labels.into_iter().map(full).collect())
}

/// Removes a folder and makes it again, so that no file of an older version is shipped.
pub(crate) fn replace_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_name_the_image_of_this_version() {
        let path = workspace::root().join("deploy/manifests/3-daemonset.yaml");
        let registry = chart::registry().unwrap();
        let image = format!("image: \"{registry}/headless-obs:{}\"\n", env!("CARGO_PKG_VERSION"));
        assert!(fs::read_to_string(path).unwrap().contains(&image), "{image}");
    }
}
