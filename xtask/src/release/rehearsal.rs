//! A release from its beginning to its users, on this machine alone: a registry on loopback takes it, and helm gets the
//! chart from there.
//!
//! It has the program of this machine's architecture, in the profile that compiles fastest and that other tests use, too.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Plan, checks, files, push};
use crate::cluster_prerequisites::QUICK;
use crate::target_arch::TargetArch;
use crate::tools::{self, Tool};
use crate::{chart, dist, process, workspace};

/// The time that the registry may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The check.
pub(crate) fn check() -> Result<()> {
    let folder = workspace::target().join("release-rehearsal");
    dist::replace_folder(&folder)?;
    let registry = Registry::start()?;
    let plan = Plan::of_test(&registry.name, QUICK)?;
    let own = [TargetArch::own()?];
    let made = dist::make(QUICK, &own, &plan.registry, &folder.join("parts"))?;
    let assembled = |name: &str| {
        let folder = folder.join(name);
        super::assemble(&plan, &made, &folder).map(|_files| folder)
    };
    let (one, other) = (assembled("one")?, assembled("other")?);
    let sums = |folder: &Path| fs::read_to_string(folder.join(files::SUMS)).context("there are no checksums");
    ensure!(sums(&one)? == sums(&other)?, "{} and {} differ", one.display(), other.display());
    checks::run(&plan, &one)?;
    push::all(&one)?;
    image_is_whole(&one)?;
    let pulled = pull_chart(&plan, &folder)?;
    install_as_documented(&plan, &folder)?;
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    ensure!(
        read(&pulled)? == read(&one.join(plan.file("-chart.tgz")))?,
        "helm got another chart than was pushed"
    );
    Ok(())
}

/// The registry has every layer of the image, for each architecture, under the digest in `PUBLISHED`.
fn image_is_whole(folder: &Path) -> Result<()> {
    let published = fs::read_to_string(folder.join(files::PUBLISHED)).context("nothing was published")?;
    let image = published.lines().next().context("nothing was published")?;
    process::run(Command::new(tools::ensure(Tool::Crane)?).args(["validate", "--remote", image]))
}

/// Gets the chart as README tells, but to a file; returns the file.
fn pull_chart(plan: &Plan, folder: &Path) -> Result<PathBuf> {
    let mut helm = helm(folder)?;
    helm.arg("pull").arg(format!("oci://{}", plan.chart())).args(["--version", plan.version, "--plain-http"]);
    process::run(helm.arg("--destination").arg(folder))?;
    Ok(folder.join(plan.file(".tgz")))
}

/// Runs the install command of README, word for word but for the registry, until helm would talk to a cluster.
fn install_as_documented(plan: &Plan, folder: &Path) -> Result<()> {
    let readme = fs::read_to_string(workspace::root().join("README.md")).context("cannot read README.md")?;
    let start = format!("helm install headless-obs oci://{}/charts/headless-obs ", chart::registry()?);
    let options = readme.lines().find_map(|line| line.strip_prefix(&start));
    let options = options.with_context(|| format!("README.md has no command `{start}…`"))?;
    let mut helm = helm(folder)?;
    helm.args(["install", "headless-obs"]).arg(format!("oci://{}", plan.chart())).args(options.split(' '));
    let shown = process::output(helm.args(["--plain-http", "--dry-run=client"]))?;
    ensure!(
        shown.contains(&format!("image: \"{}@sha256:", plan.image())),
        "helm would install no image of {}",
        plan.registry
    );
    Ok(())
}

/// Helm with folders of its own, so that it reads and writes no file of the user.
fn helm(folder: &Path) -> Result<Command> {
    let mut helm = Command::new(tools::ensure(Tool::Helm)?);
    for kind in ["CACHE", "CONFIG", "DATA"] {
        helm.env(format!("HELM_{kind}_HOME"), folder.join("helm"));
    }
    Ok(helm)
}

/// A registry that keeps everything in memory; dropping it ends it.
struct Registry {
    /// Address, and a path below it.
    name: String,
    running: Child,
}

impl Registry {
    fn start() -> Result<Self> {
        let crane = tools::ensure(Tool::Crane)?;
        // The port is free again once this listener is dropped, at the end of the statement.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?;
        let running = Command::new(crane)
            .args(["registry", "serve", "--address", &address.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start crane's registry")?;
        let mut registry = Self { name: format!("{address}/rehearsal"), running };
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = registry.running.try_wait()? {
                bail!("crane's registry has ended ({status})");
            }
            ensure!(began.elapsed() < PATIENCE, "crane's registry does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
