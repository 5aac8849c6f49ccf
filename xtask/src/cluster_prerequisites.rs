//! Additional requirements of the tests on a Kubernetes cluster: the control plane, and for real nodes a container
//! runtime and the daemon's image.

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::target_arch::TargetArch;
use crate::{chart, control_plane, dist, setup, workspace};

/// The test program with a control plane and fake pods.
const FAKE_PODS: &str = "cluster";
/// The test program that applies the chart's objects.
const CHART: &str = "chart";
/// The test program on real nodes.
const NODES: &str = "nodes";
/// All of them.
pub(crate) const PROGRAMS: [&str; 3] = [FAKE_PODS, CHART, NODES];

/// The profile of the image's daemon, unless the shipped one is asked for: the one that compiles fastest.
pub(crate) const QUICK: &str = "dev";

/// Programs of a real node, and their packages.
const RUNTIME: [(&str, &str); 3] =
    [("containerd", "containerd"), ("runc", "runc"), ("/usr/lib/cni/bridge", "containernetworking-plugins")];

/// Prepares the requirements of a test program; returns the variables with their paths. Other test programs need
/// nothing. `profile` is that of the daemon in the image.
pub(crate) fn prepare(program: &str, profile: &str) -> Result<Vec<(&'static str, OsString)>> {
    if !PROGRAMS.contains(&program) {
        return Ok(Vec::new());
    }
    let mut variables = vec![control_plane::variable()?];
    if program == NODES {
        setup::ensure_programs(&RUNTIME)?;
        // Not in the folder of `dist`, whose files a user may need.
        let own = [TargetArch::own()?];
        let made = dist::make(profile, &own, &chart::registry()?, &workspace::target().join("e2e"))
            .context("there is no image of the daemon")?;
        variables.push(("HEADLESS_OBS_IMAGE", made.image.into_os_string()));
    }
    Ok(variables)
}
