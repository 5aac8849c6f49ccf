//! The programs of the lab, and what each of them starts; both are built together.
//!
//! In: a program of the package `headless-obs-tests`. Out: the command that runs it as root, after cargo has built the
//! program, the kernel programs, the daemon, and the agent that the lab starts inside its pods. The command has the
//! paths of daemon and agent, so that no program searches for them.
//!
//! Invariant: no other file of xtask names one of these programs, so no task can start a program that is not built.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::{artifacts, build_ebpf, dist, sudo};

/// The program that the lab starts inside its pods.
pub(crate) const AGENT: &str = "lab-agent";

/// The variable with the path of the daemon.
pub(crate) const DAEMON_VARIABLE: &str = "HEADLESS_OBS_BIN";

/// The variable with the path of the agent.
const AGENT_VARIABLE: &str = "LAB_AGENT";

/// A program of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask e2e scenarios`.
    Scenarios,
    /// `cargo xtask e2e cases`.
    Cases,
    /// `cargo xtask e2e soak`.
    Soak,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask bench curves`.
    Curves,
    /// `cargo xtask bench scale`.
    Scale,
}

/// The build of the daemon that a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// The fastest build.
    Development,
    /// The shipped build, for measurements.
    Shipped,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Demo => "headless-obs-demo",
            Self::Scenarios => "headless-obs-scenarios",
            Self::Cases => "headless-obs-cases",
            Self::Soak => "headless-obs-soak",
            Self::Bench => "headless-obs-bench",
            Self::Curves => "headless-obs-curves",
            Self::Scale => "headless-obs-scale",
        }
    }

    /// Builds everything that the program starts; returns the command that runs it as root, with these arguments and
    /// variables.
    pub(crate) fn command(
        self,
        daemon: Daemon,
        args: &[OsString],
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<Command> {
        build_ebpf::build()?;
        let mut names = vec![self.name(), AGENT];
        if daemon == Daemon::Development {
            names.push(artifacts::DAEMON);
        }
        let mut built = artifacts::build(&names)?;
        if daemon == Daemon::Shipped {
            built.extend(artifacts::build_daemon(dist::SHIPPED)?);
        }
        let path = |name| artifacts::binary(&built, name);
        let mut env = vec![
            (DAEMON_VARIABLE, path(artifacts::DAEMON)?.into_os_string()),
            (AGENT_VARIABLE, path(AGENT)?.into_os_string()),
        ];
        env.extend(variables);
        sudo::as_root(&path(self.name())?, args, &env)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::workspace;

    /// Cargo builds a program of the lab only if this file requests it.
    #[test]
    fn no_other_file_names_a_program_of_the_lab() {
        let programs = fs::read_to_string(workspace::root().join("tests/Cargo.toml")).unwrap();
        let names: Vec<_> = programs
            .split("[[bin]]")
            .skip(1)
            .map(|target| target.split('"').nth(1).unwrap().to_owned())
            .collect();
        assert!(names.contains(&super::AGENT.to_owned()) && names.len() == 8, "{names:?}");
        let mut folders = vec![workspace::root().join("xtask/src")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("xtask/src/lab.rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    let named = names.iter().find(|name| text.contains(&format!("\"{name}\"")));
                    assert!(named.is_none(), "{} names {named:?}: it belongs into lab.rs", path.display());
                }
            }
        }
    }
}
