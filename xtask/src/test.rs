//! `cargo xtask test`: runs the pure tests, then as root the kernel tests, with the fuzz targets in parallel.
//!
//! The pure tests always run. If the kernel tests cannot run, they count as a failure with the reason: no test is
//! skipped silently. Before the last line, a table shows the duration of each part. The last line is `N passed, N
//! failed` over all parts.

use std::ffi::OsString;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console::{result, say};
use crate::libtest::{Counts, Reader};
use crate::timing::{Timing, Work};
use crate::{
    artifacts, build_ebpf, cluster_prerequisites, control_plane, dist, fuzz, lab, pictures, preflight,
    process, scenarios, setup, sudo, tools,
};

/// The package of the tests that need root and BPF; those of all other packages need neither.
const KERNEL: &str = "headless-obs-tests";
/// Its folder in the workspace.
const KERNEL_FOLDER: &str = "tests";

/// Programs that the kernel tests start, and their packages.
const PROGRAMS: [(&str, &str); 2] = [("nft", "nftables"), ("faketime", "faketime")];

/// Up to this many failed tests of one program run a second time. On some machines the kernel does not run BPF programs
/// while one of the machine's own processes runs (ARCHITECTURE.md, "Tests"): the programs miss a change by a soft
/// interrupt in that time, and exact counts fail. On a busy machine, one of forty runs of such a test failed for this
/// reason.
const CHANCE: usize = 2;

/// The test program that starts a browser.
const PAGE: &str = "page";

/// The tests to run.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Run only tests whose name contains one of these
    filter: Vec<String>,
    /// Other options of the test programs, for example `-- --nocapture`
    #[arg(last = true)]
    libtest: Vec<String>,
    /// Of the tests that need root, run only these programs'
    #[arg(skip)]
    only: Option<&'static [&'static str]>,
    /// Build the daemon's image with the shipped profile instead of the fastest one
    #[arg(skip)]
    shipped: bool,
}

impl Options {
    /// Whether all tests are selected.
    fn is_all(&self) -> bool {
        self.filter.is_empty() && self.only.is_none()
    }
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut counts = Counts::default();
    let mut timing = Timing::default();
    let object = timing.phase(Work::Building, "building the kernel programs", build_ebpf::build);
    // Tests mostly wait, so there is time to build for the later ones and to run the fuzz targets.
    let ahead = options.is_all().then(|| thread::spawn(build_ahead));
    if let Err(error) = &object {
        say(&format!("{error:#}"));
        say("the pure tests run all the same, because they do not need the kernel programs");
    }
    let pure = pure(options, object.is_ok(), &mut timing);
    counts.add(pure.unwrap_or_else(|error| not_run("the pure tests", &error)));
    let kernel = object.and_then(|()| kernel(options, &mut timing));
    counts.add(kernel.unwrap_or_else(|error| not_run("the kernel tests", &error)));
    if let Some(thread) = ahead {
        let fuzzed = timing.phase(Work::Running, "waiting for the fuzz targets", || thread.join());
        counts.add(fuzzed.unwrap_or_else(|_| Counts::failure("the fuzz task panicked".to_owned())));
    }
    result(&format!("\n{}", timing.table()));
    Ok(conclude(counts))
}

/// Builds what only some test programs need; errors do not matter here, because each test program tries again and
/// reports them. Then runs the fuzz targets and compiles the image's daemon, both at the lowest priority. The compiler
/// comes last: it holds the folder of built files, in which this task has built everything else by then.
fn build_ahead() -> Counts {
    let _ = control_plane::ensure();
    tools::ALL.iter().for_each(|&tool| drop(tools::ensure(tool)));
    let counts = fuzz::test();
    let _ = dist::compile_ahead(cluster_prerequisites::QUICK);
    counts
}

/// Runs only the tests on a cluster.
pub(crate) fn cluster(filter: &[String], options: &[&str], shipped: bool) -> Result<ExitCode> {
    build_ebpf::build()?;
    let libtest = options.iter().map(|&option| option.to_owned()).collect();
    let options =
        Options { only: Some(&cluster_prerequisites::PROGRAMS), filter: filter.to_vec(), libtest, shipped };
    let mut timing = Timing::default();
    let counts = kernel(&options, &mut timing)?;
    result(&format!("\n{}", timing.table()));
    Ok(conclude(counts))
}

/// Prints the failures and the last line of a test task.
pub(crate) fn conclude(mut counts: Counts) -> ExitCode {
    if counts.passed + counts.failed == 0 {
        counts.add(Counts::failure("no test has such a name".to_owned()));
    }
    for name in &counts.passed_second {
        say(&format!("passed only in the second run: {name}"));
    }
    for failure in &counts.failures {
        say(&format!("failed: {failure}"));
    }
    result(&counts.summary());
    if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn not_run(part: &str, error: &anyhow::Error) -> Counts {
    Counts::failure(format!("{part} did not run: {error:#}"))
}

fn pure(options: &Options, with_object: bool, timing: &mut Timing) -> Result<Counts> {
    say("pure tests");
    let command = |more: &[&str]| {
        let mut command = process::cargo();
        // The whole workspace apart from the tests that need root, so that dependencies have their usual features.
        command.args(["test", "--locked", "--workspace", "--exclude", KERNEL]).args(more);
        if !with_object {
            command.env("HEADLESS_OBS_EBPF", "none");
        }
        command
    };
    timing.phase(Work::Building, "building the pure tests", || process::run(&mut command(&["--no-run"])))?;
    let mut run = command(&["--no-fail-fast"]);
    run.arg("--").args(&options.libtest).args(&options.filter);
    let ran = timing.phase(Work::Running, "running the pure tests", || count(&mut run, &mut io::stdout()));
    Ok(ran?.0)
}

fn kernel(options: &Options, timing: &mut Timing) -> Result<Counts> {
    say("kernel tests");
    let missing = preflight::missing()?;
    if !missing.is_empty() {
        bail!("{}", missing.join("; "));
    }
    sudo::check()?;
    setup::ensure_programs(&PROGRAMS)?;
    let (daemon, mut tests) =
        timing.phase(Work::Building, "building the daemon and the kernel tests", || {
            let built = artifacts::build(&[artifacts::DAEMON])?;
            anyhow::Ok((
                artifacts::binary(&built, artifacts::DAEMON)?,
                artifacts::build_tests(KERNEL_FOLDER)?,
            ))
        })?;
    if let Some(only) = options.only {
        tests.retain(|test| only.contains(&test.name.as_str()));
    }
    // Test programs whose requirements take long to build come last.
    tests.sort_by_key(|test| {
        cluster_prerequisites::PROGRAMS.contains(&test.name.as_str()) || tools::has_needs(&test.name)
    });
    // One test at a time: they share the kernel's root cgroup and count its traffic.
    let one_at_a_time = String::from("--test-threads=1");
    let args = |more: &[String]| -> Vec<OsString> {
        std::iter::once(&one_at_a_time).chain(&options.libtest).chain(more).map(OsString::from).collect()
    };

    let mut counts = Counts::default();
    for test in tests {
        say(&format!("running {}", test.name));
        let mut env = vec![
            (lab::DAEMON_VARIABLE, daemon.clone().into_os_string()),
            ("CARGO_MANIFEST_DIR", test.package.clone().into_os_string()),
        ];
        if has_any(&test.path, &options.filter)? {
            let name = format!("preparing the tools and images for {}", test.name);
            match timing.phase(Work::Building, name, || prepare(&test.name, options.shipped)) {
                Ok(variables) => env.extend(variables),
                Err(error) => {
                    counts.add(not_run(&format!("the tests of {}", test.name), &error));
                    continue;
                }
            }
        }
        let run = |more: &[String]| {
            let mut command = sudo::as_root(&test.path, &args(more), &env)?;
            count(command.current_dir(&test.package), &mut io::stdout())
        };
        let mut once_more = Vec::new();
        let ran = timing.phase(Work::Running, format!("running {}", test.name), || {
            let (ran, mut times) = run(&options.filter)?;
            let ran = ran.with_second_run(CHANCE, |name| {
                say(&format!("second run: {name}"));
                let (ran, again) = run(&["--exact".to_owned(), name.to_owned()])?;
                once_more.extend(again);
                Ok(ran)
            })?;
            times.append(&mut once_more);
            anyhow::Ok((ran, times))
        });
        let (ran, times) = ran?;
        counts.add(ran);
        timing.add_tests(times.into_iter().map(|(name, time)| (format!("{} {name}", test.name), time)));
    }
    Ok(counts)
}

/// Prepares a test program's requirements other than the daemon; returns the variables with their paths.
fn prepare(test: &str, shipped: bool) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = cluster_prerequisites::prepare(
        test,
        if shipped { dist::SHIPPED } else { cluster_prerequisites::QUICK },
    )?;
    if test == PAGE {
        setup::ensure_programs(&pictures::BROWSER)?;
    }
    variables.extend(tools::prepare(test)?);
    variables.extend(scenarios::prepare(test));
    Ok(variables)
}

/// Whether the filter selects any test of a program; its requirements take long to build.
fn has_any(program: &Path, filter: &[String]) -> Result<bool> {
    Ok(process::output(Command::new(program).arg("--list").args(filter))?.contains(": test"))
}

/// Results of test programs: counts, and durations of tests that ran one at a time.
type Ran = (Counts, Vec<(String, Duration)>);

/// Runs test programs, shows their output as it arrives, and parses it.
fn count(command: &mut Command, screen: &mut impl Write) -> Result<Ran> {
    let name = process::describe(command);
    let began = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{name}`"))?;
    let mut reader = Reader::default();
    if let Some(mut output) = child.stdout.take() {
        let mut piece = [0; 4096];
        loop {
            let length = output.read(&mut piece).context("cannot read the tests' output")?;
            if length == 0 {
                break;
            }
            reader.push(&piece[..length], began.elapsed());
            // If the reader of the output has gone, the tests still go on.
            let _ = screen.write_all(&piece[..length]).and_then(|()| screen.flush());
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    let (mut counts, times) = reader.finish();
    if !status.success() && counts.failed == 0 {
        // The program did not compile, or died before its summary.
        counts.add(Counts::failure(format!("`{name}` failed ({status})")));
    }
    Ok((counts, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Counts {
        // Not shown on the screen, because a reader that counts this program's tests would count these lines too.
        count(Command::new("sh").args(["-c", script]), &mut io::sink()).unwrap().0
    }

    #[test]
    fn a_program_that_dies_without_a_result_is_a_failure() {
        let counts = shell("echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; kill -9 $$");
        assert_eq!((counts.passed, counts.failed), (2, 1));
        assert!(counts.failures[0].contains("signal"), "{:?}", counts.failures);
    }

    #[test]
    fn a_failed_test_is_counted_once() {
        let counts = shell("echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored'; exit 101");
        assert_eq!((counts.passed, counts.failed), (2, 1));
    }
}
