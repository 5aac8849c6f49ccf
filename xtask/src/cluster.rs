//! What the tests on a Kubernetes cluster need beside what all need: the cluster's parts, and for real nodes a container
//! runtime and the daemon's image.

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::target_arch::TargetArch;
use crate::{control_plane, dist, setup, workspace};

/// The test program on a control plane whose pods are made by hand.
const HAND: &str = "cluster";
/// The test program that applies the chart's objects.
const CHART: &str = "chart";
/// The test program on real nodes.
const NODES: &str = "nodes";
/// All of them.
pub(crate) const PROGRAMS: [&str; 3] = [HAND, CHART, NODES];

/// What a real node runs, and the packages that have it.
const RUNTIME: [(&str, &str); 3] =
    [("containerd", "containerd"), ("runc", "runc"), ("/usr/lib/cni/bridge", "containernetworking-plugins")];

/// Makes what a test program needs; gives the variables that tell it where. Nothing for those that need no cluster.
/// `profile` is that of the daemon in the image.
pub(crate) fn prepare(program: &str, profile: &str) -> Result<Vec<(&'static str, OsString)>> {
    if !PROGRAMS.contains(&program) {
        return Ok(Vec::new());
    }
    let mut variables = vec![control_plane::variable()?];
    if program == NODES {
        setup::ensure_programs(&RUNTIME)?;
        // Beside what `dist` makes, which may be on its way to somebody.
        let own = [TargetArch::own()?];
        let made = dist::make(profile, &own, &workspace::target().join("e2e"))
            .context("there is no image of the daemon")?;
        variables.push(("HEADLESS_OBS_IMAGE", made.image.into_os_string()));
    }
    Ok(variables)
}
