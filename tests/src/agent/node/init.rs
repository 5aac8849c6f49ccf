//! Role `node-init`: the first process of a node. It starts containerd and the kubelet, and reaps all ended processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::cluster::nodes::InitSpec;
use rustix::process::{Pid, WaitOptions, wait};

use super::mounts;

/// The time that containerd may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until containerd or the kubelet ends.
pub(crate) fn run(spec: &InitSpec) -> Result<()> {
    mounts::prepare(spec.surroundings)?;
    let mut runtime = start(&spec.runtime)?;
    serving(&mut runtime, &spec.socket)?;
    for image in &spec.images {
        let imported = ctr(&spec.socket).args(["images", "import"]).arg(image).status();
        ensure!(imported.context("cannot start ctr")?.success(), "cannot import {}", image.display());
    }
    let kubelet = start(&spec.kubelet)?;
    bury_until_one_of(&[("containerd", runtime.id()), ("the kubelet", kubelet.id())])
}

fn start(command: &[String]) -> Result<Child> {
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.spawn().with_context(|| format!("cannot start {program}"))
}

fn ctr(socket: &Path) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket).args(["--namespace", "k8s.io"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Waits until the runtime answers.
fn serving(runtime: &mut Child, socket: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let asked = ctr(socket).arg("version").stderr(Stdio::null()).status().context("cannot start ctr")?;
        if asked.success() {
            return Ok(());
        }
        if let Some(status) = runtime.try_wait()? {
            bail!("containerd has ended ({status})");
        }
        ensure!(Instant::now() < end, "containerd does not answer after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Reaps every process that ends here, also orphans, until one of `children` ends.
fn bury_until_one_of(children: &[(&str, u32)]) -> Result<()> {
    loop {
        let Some((pid, status)) =
            wait(WaitOptions::empty()).context("node-init has no child processes left")?
        else {
            continue;
        };
        let is = |id: u32| i32::try_from(id).ok().and_then(Pid::from_raw) == Some(pid);
        if let Some((name, _)) = children.iter().find(|(_, id)| is(*id)) {
            bail!("{name} has ended ({status:?})");
        }
    }
}
