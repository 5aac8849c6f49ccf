//! Programs of this machine that use the cluster: helm, Prometheus. They run in its network as administrator.
//!
//! In: the environment variable with a program's path, and its arguments. Out: a [`Program`].

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::Cluster;
use crate::agent_process::Place;
use crate::lab::Lab;
use crate::pod_exec::Program;

/// The path in an environment variable such as `HEADLESS_OBS_HELM`.
pub fn tool(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).with_context(|| {
        format!("{variable} does not contain the path of a program; run `cargo xtask test`")
    })?;
    Ok(path.into())
}

impl Cluster {
    /// Starts the tool in this environment variable. `environment` has `NAME=VALUE` entries.
    pub fn start_tool(
        &self,
        lab: &Lab,
        variable: &str,
        environment: &[String],
        words: &[&str],
    ) -> Result<Program> {
        let program = tool(variable)?.display().to_string();
        let mut command = vec!["/usr/bin/env"];
        command.extend(environment.iter().map(String::as_str));
        command.push(&program);
        command.extend(words);
        let place = Place {
            netns: Some(self.node.netns_path()),
            cgroup: Some(lab.inner.cgroups.make("outside")?),
            ..Place::default()
        };
        Program::new(&lab.inner.spawner, &place, &command)
    }

    /// Runs helm to its end; returns its output. An error has helm's own message.
    pub fn helm(&self, lab: &Lab, words: &[&str]) -> Result<String> {
        let kubeconfig = format!("--kubeconfig={}", self.admin_kubeconfig().display());
        let output = self
            .start_tool(lab, "HEADLESS_OBS_HELM", &helm_home(lab), &[&[kubeconfig.as_str()], words].concat())?
            .output()?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        ensure!(output.status.success(), "helm {}: {}", words.join(" "), text(&output.stderr));
        Ok(text(&output.stdout))
    }
}

/// Helm's folders: it does not read or write the user's files.
fn helm_home(lab: &Lab) -> Vec<String> {
    let folder = |kind: &str| lab.folder().join("helm").join(kind).display().to_string();
    ["CACHE", "CONFIG", "DATA"].map(|kind| format!("HELM_{kind}_HOME={}", folder(kind))).to_vec()
}
