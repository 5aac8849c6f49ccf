//! An emulated machine: runs QEMU with a kernel and a guest, and reads its console to the end.
//!
//! In: files and the kernel's command line. Out: a [`Transcript`]. A machine that is silent or runs for too long is
//! ended, and its transcript has the reason. A machine that dies before its first program is started again: if each
//! processor is a thread of the emulator, some kernels crash when they change their own code.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::transcript::Transcript;
use crate::console::say;
use crate::target_arch::TargetArch;
use crate::{process, setup};

/// Without a line for this long, the machine hangs. Single tests take minutes on an emulated machine with other load.
const SILENCE: Duration = Duration::from_secs(600);
/// The same before the first output of its first program.
const BOOT: Duration = Duration::from_secs(180);
/// Maximum number of starts.
const ATTEMPTS: u32 = 3;
/// Maximum run time.
const LONGEST: Duration = Duration::from_secs(3600);
/// Memory, which also holds the guest's files.
const MEBIBYTES: &str = "2048";

/// The emulator of an architecture.
struct Emulator {
    program: &'static str,
    /// Its package.
    package: &'static str,
    /// The machine type, and a processor with all features.
    options: &'static [&'static str],
    /// The kernel's name of its serial console.
    console: &'static str,
}

/// The emulator for this architecture.
const fn emulator(processor: TargetArch) -> Emulator {
    match processor {
        TargetArch::Amd64 => Emulator {
            program: "qemu-system-x86_64",
            package: "qemu-system-x86",
            options: &["-cpu", "max"],
            console: "ttyS0",
        },
        // Pointer authentication stays on, with a function that is faster to emulate than the real one.
        TargetArch::Arm64 => Emulator {
            program: "qemu-system-aarch64",
            package: "qemu-system-arm",
            options: &["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
            console: "ttyAMA0",
        },
    }
}

/// Installs the emulator if it is missing.
pub(super) fn ensure(processor: TargetArch) -> Result<()> {
    let Emulator { program, package, .. } = emulator(processor);
    setup::ensure_programs(&[(program, package)])
}

/// Runs a machine until it is off; `show` gets each line.
pub(super) fn run(
    processor: TargetArch,
    kernel: &Path,
    guest: &Path,
    parameters: &str,
    mut show: impl FnMut(&str),
) -> Result<Transcript> {
    let mut attempt = 1;
    loop {
        let ran = watch(&mut command(processor, kernel, guest, parameters), SILENCE, LONGEST, &mut show)?;
        if ran.has_begun || attempt == ATTEMPTS {
            return Ok(ran);
        }
        attempt += 1;
        say(&format!(
            "the machine stopped before its first program: {}; starting it again",
            ran.counts.failures.join(", ")
        ));
    }
}

fn command(processor: TargetArch, kernel: &Path, guest: &Path, parameters: &str) -> Command {
    let Emulator { program, options, console, .. } = emulator(processor);
    let mut command = Command::new(program);
    command.args(options).args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", MEBIBYTES]);
    command.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(guest).arg("-append");
    command.arg(format!("console={console} quiet loglevel=1 panic=-1 {parameters}"));
    command
}

/// Ends a process when this goes out of scope.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

fn watch(
    command: &mut Command,
    silence: Duration,
    longest: Duration,
    show: &mut dyn FnMut(&str),
) -> Result<Transcript> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Guard(child.with_context(|| format!("cannot start `{}`", process::describe(command)))?);
    let output = child.0.stdout.take().context("no console")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    let mut transcript = Transcript::default();
    let end = Instant::now() + longest;
    let why = loop {
        let silence = if transcript.has_begun { silence } else { silence.min(BOOT) };
        let patience = silence.min(end.saturating_duration_since(Instant::now()));
        match lines.recv_timeout(patience) {
            Ok(line) => {
                show(&line);
                transcript.push(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) if patience < silence => {
                break Some(format!("the machine is not off after {} s", longest.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {
                break Some(format!("nothing on the console for {} s", silence.as_secs()));
            }
        }
    };
    Ok(transcript.finish(why.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, silence: u64, longest: u64) -> Transcript {
        let [silence, longest] = [silence, longest].map(Duration::from_millis);
        watch(Command::new("sh").args(["-c", script]), silence, longest, &mut |_| ()).unwrap()
    }

    #[test]
    fn one_that_goes_off_is_read_to_the_end() {
        let all = shell("echo '@@ lockdown 1'; echo '@@ done'", 60_000, 60_000);
        assert!(all.done && all.lockdown == "1" && all.counts.failures.is_empty());
        let all = shell("echo panic", 60_000, 60_000);
        assert_eq!(all.counts.failures, ["the run did not finish: the machine switched off"]);
    }

    #[test]
    fn one_that_hangs_is_ended_and_has_failed() {
        let all = shell("exec sleep 1000", 200, 60_000);
        assert!(all.counts.failures[0].contains("nothing on the console"), "{:?}", all.counts);
        let all = shell("while echo x; do sleep 0.01; done", 60_000, 1_000);
        assert!(all.counts.failures[0].contains("not off after 1 s"), "{:?}", all.counts);
    }
}
