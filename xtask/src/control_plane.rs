//! The components of a Kubernetes cluster: one program, built from `tests/parts` once and kept.
//!
//! In: Go sources with pinned versions. Out: `target/cluster/parts-HASH`. A build takes about ten minutes, 0.7 GB for
//! modules and 4 GB for the build cache.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{go, workspace};

/// Variables that contain Kubernetes's own version.
const VERSIONED: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// The program's path. Builds it if necessary.
pub(crate) fn ensure() -> Result<PathBuf> {
    let sources = workspace::root().join("tests/parts");
    let go_mod = sources.join("go.mod");
    let go_mod = fs::read_to_string(&go_mod).with_context(|| format!("cannot read {}", go_mod.display()))?;
    let version = kubernetes(&go_mod)?;
    let recipe = go::Recipe {
        sources,
        files: &["main.go"],
        options: flags(&version)?,
        package: ".",
        programs: &["parts"],
        module: format!("k8s.io/kubernetes@{version}"),
        notice: format!(
            "building Kubernetes {version}, etcd and CoreDNS for the cluster's tests (once, some ten minutes)"
        ),
    };
    recipe.ensure(&workspace::target().join("cluster"))?.pop().context("nothing was built")
}

/// The version of Kubernetes in go.mod.
fn kubernetes(go_mod: &str) -> Result<String> {
    let version = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    version.map(str::to_owned).context("tests/parts/go.mod names no version of k8s.io/kubernetes")
}

/// Options of `go build`. Without the version, the API server would report 0.0.0.
fn flags(version: &str) -> Result<Vec<String>> {
    let Some(minor) = version.strip_prefix('v').and_then(go::minor) else {
        bail!("k8s.io/kubernetes has the version {version}, which is not v1.X.Y");
    };
    let values = [
        ("gitVersion", version),
        ("gitMajor", "1"),
        ("gitMinor", &minor.to_string()),
        ("gitTreeState", "clean"),
    ]
    .map(|(name, value)| format!("{name}={value}"));
    let stamps =
        VERSIONED.iter().flat_map(|package| values.iter().map(move |value| format!("-X {package}.{value}")));
    let linker = format!("-ldflags=-s -w {}", stamps.collect::<Vec<_>>().join(" "));
    Ok(go::OPTIONS.iter().chain([&linker.as_str()]).map(|&option| option.to_owned()).collect())
}

/// The variable with the program's path, for tests and the demonstration.
pub(crate) fn variable() -> Result<(&'static str, OsString)> {
    Ok(("HEADLESS_OBS_CLUSTER_PARTS", ensure()?.into_os_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_its_version() {
        let go_mod = "go 1.26.0\nrequire (\n\tk8s.io/kubelet v0.0.0\n\tk8s.io/kubernetes v1.37.1\n)\n";
        let version = kubernetes(go_mod).unwrap();
        assert_eq!(version, "v1.37.1");
        let linker = flags(&version).unwrap().pop().unwrap();
        for package in VERSIONED {
            assert!(
                linker.contains(&format!("-X {package}.gitVersion=v1.37.1 -X {package}.gitMajor=1")),
                "{linker}"
            );
        }
        assert!(flags("v2.0.0").is_err());
        assert!(kubernetes("module x\n").is_err());
    }
}
