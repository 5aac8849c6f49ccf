//! Runs one command as root: directly if root has started the task, else through sudo.
//!
//! sudo resets the environment, so the variables are passed by `env` on the command line. This works with any sudoers
//! policy, in contrast to `sudo -E`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Error, Result, bail};

use crate::process;

/// Prefixes of variables that sudo passes to the command.
const KEPT: [&str; 6] =
    ["HEADLESS_OBS_", "UPDATE_GOLDEN", "RUST_BACKTRACE", "RUST_LOG", "NO_COLOR", "COLORTERM"];

/// A command for root.
///
/// # Errors
/// This user is not root, and sudo is not installed.
pub(crate) fn as_root(program: &Path, args: &[OsString], env: &[(&str, OsString)]) -> Result<Command> {
    if is_root()? {
        return Ok(direct(program, args, env));
    }
    if !on_path("sudo") {
        bail!("{} needs root, and sudo is not installed: run the task as root", program.display());
    }
    Ok(through_sudo(program, args, env, std::env::vars_os()))
}

/// Checks early that sudo lets this user become root. It does so once.
pub(crate) fn check() -> Result<()> {
    let mut nothing = as_root(Path::new("true"), &[], &[])?;
    process::run(&mut nothing).context("sudo does not let this user become root; run the task as root")
}

fn direct(program: &Path, args: &[OsString], env: &[(&str, OsString)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().map(|(name, value)| (name, value)));
    command
}

fn through_sudo(
    program: &Path,
    args: &[OsString],
    env: &[(&str, OsString)],
    inherited: impl Iterator<Item = (OsString, OsString)>,
) -> Command {
    let given = env.iter().map(|(name, value)| (OsString::from(name), value.clone()));
    let kept = inherited.filter(|(name, _)| is_kept(name) && env.iter().all(|(given, _)| name != given));
    let env: Vec<(OsString, OsString)> = given.chain(kept).collect();
    let mut command = Command::new("sudo");
    command.args(sudo_args(program, args, &env));
    command
}

/// Replaces xtask by the command, so that signals, terminal and exit code are the command's own. Returns only if the
/// command could not start.
pub(crate) fn exec(mut command: Command) -> Error {
    let error = command.exec();
    Error::new(error).context(format!("cannot start `{}`", process::describe(&command)))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> Result<bool> {
    // The owner of a process's own directory in /proc is its effective user.
    Ok(fs::metadata("/proc/self").context("cannot read /proc; is it mounted?")?.uid() == 0)
}

/// Whether `PATH` has a program of this name.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| KEPT.iter().any(|prefix| name.starts_with(prefix)))
}

/// `-- env NAME=VALUE… PROGRAM ARGS…`
fn sudo_args(program: &Path, args: &[OsString], env: &[(OsString, OsString)]) -> Vec<OsString> {
    let mut line = vec![OsString::from("--"), OsString::from("env")];
    line.extend(env.iter().map(|(name, value)| {
        let mut assignment = name.clone();
        assignment.push("=");
        assignment.push(value);
        assignment
    }));
    line.push(program.into());
    line.extend_from_slice(args);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn sudo_gets_the_environment_then_the_program_then_its_arguments() {
        let env = [
            (OsString::from("HEADLESS_OBS_BIN"), OsString::from("/a b/headless-obs")),
            (OsString::from("RUST_LOG"), OsString::from("")),
        ];
        assert_eq!(
            sudo_args(Path::new("/t/demo"), &words(&["--keep", "-o", "json"]), &env),
            words(&[
                "--",
                "env",
                "HEADLESS_OBS_BIN=/a b/headless-obs",
                "RUST_LOG=",
                "/t/demo",
                "--keep",
                "-o",
                "json"
            ]),
        );
    }

    #[test]
    fn sudo_without_environment_or_arguments() {
        assert_eq!(sudo_args(Path::new("apt-get"), &[], &[]), words(&["--", "env", "apt-get"]));
    }

    #[test]
    fn only_the_projects_variables_are_kept() {
        for (name, kept) in [
            ("HEADLESS_OBS_EBPF", true),
            ("RUST_BACKTRACE", true),
            ("NO_COLOR", true),
            ("RUST_RECURSION_COUNT", false),
            ("LD_LIBRARY_PATH", false),
            ("PATH", false),
            ("MY_RUST_LOG", false),
        ] {
            assert_eq!(is_kept(OsStr::new(name)), kept, "{name}");
        }
    }

    #[test]
    fn root_runs_the_program_itself() {
        let command = direct(Path::new("/t/demo"), &words(&["x"]), &[("A", OsString::from("b"))]);
        assert_eq!(process::describe(&command), "/t/demo x");
        assert!(command.get_envs().any(|(name, value)| name == "A" && value == Some(OsStr::new("b"))));
    }

    #[test]
    fn others_run_it_through_sudo_with_what_is_kept_of_the_environment() {
        let inherited = [("RUST_LOG", "old"), ("HOME", "/home/u"), ("NO_COLOR", "1")];
        let command = through_sudo(
            Path::new("/t/demo"),
            &words(&["x"]),
            &[("RUST_LOG", OsString::from("new"))],
            inherited.into_iter().map(|(name, value)| (name.into(), value.into())),
        );
        assert_eq!(process::describe(&command), "sudo -- env RUST_LOG=new NO_COLOR=1 /t/demo x");
    }
}
