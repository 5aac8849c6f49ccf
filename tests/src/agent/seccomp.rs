//! Applies a seccomp profile, in the format of container runtimes, to this process and its children.
//!
//! In: the profile's path. Out: from now on the kernel refuses the calls that the profile does not list. The agent
//! rejects profiles that have more than a list of allowed calls.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: u32,
    #[serde(rename = "architectures")]
    _architectures: Vec<String>,
    syscalls: Vec<Calls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    #[serde(rename = "comment")]
    _comment: String,
    names: Vec<String>,
    action: String,
}

/// Applies it. Call it once, while the process has one thread.
pub(crate) fn apply(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let profile: Profile = serde_json::from_str(&text)
        .context("the seccomp profile has fields that lab-agent does not support")?;
    ensure!(profile.default_action == "SCMP_ACT_ERRNO", "{} is not supported", profile.default_action);
    let mut names = Vec::new();
    for calls in &profile.syscalls {
        ensure!(calls.action == "SCMP_ACT_ALLOW", "{} is not supported", calls.action);
        for name in &calls.names {
            match compile(profile.default_errno_ret, &[name]) {
                Ok(_) => names.push(name.as_str()),
                // A profile lists calls of all architectures; x86-64 has all of them, so there an unknown name is a
                // mistake.
                Err(error) if cfg!(target_arch = "x86_64") => return Err(error),
                Err(_) => {}
            }
        }
    }
    let filter = compile(profile.default_errno_ret, &names)?;
    apply_filter(&filter).context("the kernel refuses the filter")
}

fn compile(errno: u32, names: &[&str]) -> Result<BpfProgram> {
    let calls: Vec<_> = names.iter().map(|name| json!({"syscall": name})).collect();
    let filter =
        json!({"only": {"mismatch_action": {"errno": errno}, "match_action": "allow", "filter": calls}});
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut compiled = compile_from_json(filter.to_string().as_bytes(), machine)
        .with_context(|| format!("system calls {names:?}"))?;
    compiled.remove("only").ok_or_else(|| anyhow!("the compiler returned no filter"))
}
