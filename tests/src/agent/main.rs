//! lab-agent: the program that runs inside the pods of the lab.
//!
//! In: its destination (`--parent`, `--netns`, `--cgroup`, `--resolv-conf`), a profile (`--seccomp`), a role with its
//! spec in JSON, then commands on stdin, one a line. Out: one line on stdout when it is ready, and one reply for each
//! command, `{"ok": …}` or `{"error": "…"}`. It ends when stdin ends, and when its parent dies.

#![deny(unsafe_code)]

mod client;
mod control;
mod delay;
mod dns;
mod enter;
mod node;
mod pause;
mod proxy;
mod seccomp;
mod server;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            control::report_failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let mut place = enter::Place::default();
    let mut profile: Option<PathBuf> = None;
    let role = loop {
        let argument = arguments.next().context("no role: lab-agent is started by the lab, not by hand")?;
        let mut value = || arguments.next().with_context(|| format!("{} needs a value", argument.display()));
        match argument.to_str() {
            Some("--parent") => place.parent = value()?.to_str().and_then(|pid| pid.parse().ok()),
            Some("--netns") => place.netns = Some(value()?.into()),
            Some("--cgroup") => place.cgroup = Some(value()?.into()),
            Some("--resolv-conf") => place.resolv_conf = value()?.into_string().ok(),
            Some("--seccomp") => profile = Some(value()?.into()),
            _ => break argument,
        }
    };
    place.enter()?;
    profile.as_deref().map_or(Ok(()), seccomp::apply)?;
    match role.to_str() {
        Some("exec") => {
            let program = arguments.next().context("exec needs a program")?;
            let error = Command::new(&program).args(arguments).exec();
            Err(error).with_context(|| format!("cannot start {}", program.display()))
        }
        Some("server") => server::run(spec(arguments.next())?),
        Some("dns") => dns::run(spec(arguments.next())?),
        Some("delay") => delay::run(spec(arguments.next())?),
        Some("proxy") => proxy::run(spec(arguments.next())?),
        Some("client") => client::run(spec(arguments.next())?),
        Some("node") => {
            let text = arguments.next().context("the role needs a spec")?;
            node::run(&spec(Some(text.clone()))?, text)
        }
        Some("node-init") => node::run_init(&spec(arguments.next())?),
        Some("pause") => pause::run(),
        _ => bail!("{}: no such role", role.display()),
    }
}

fn spec<T: DeserializeOwned>(argument: Option<OsString>) -> Result<T> {
    let text = argument.and_then(|text| text.into_string().ok()).context("the role needs a spec")?;
    serde_json::from_str(&text).context("unreadable spec")
}
