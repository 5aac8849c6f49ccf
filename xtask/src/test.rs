//! `cargo xtask test`: the pure tests, then with root the kernel tests.
//!
//! The pure tests run whatever else is missing. The kernel tests run, or count as a failure with the
//! reason: nothing is skipped in silence. The last line is `N passed, N failed` over everything.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console::{result, say};
use crate::libtest::{Counts, Reader};
use crate::{
    artifacts, build_ebpf, check, cluster, deny, dist, fuzz, kernel, lab, parts, pictures, privilege,
    process, scenarios, setup, tools,
};

/// The packages whose tests need neither root nor BPF.
const PURE: [&str; 5] =
    ["headless-obs", "headless-obs-docs", "headless-obs-ebpf", "headless-obs-image", "xtask"];

/// The package of the tests that need both.
const KERNEL: &str = "headless-obs-tests";

/// Programs that the kernel tests start, and the packages that have them.
const PROGRAMS: [(&str, &str); 2] = [("nft", "nftables"), ("faketime", "faketime")];

/// So many failed tests of one program are run once more. There are machines whose kernel keeps programs from running
/// while one of their own processes does (ARCHITECTURE.md, "Tests"): what a soft interrupt changes in its place is seen by
/// nobody, and a count that has to be exact is not. One run of forty of such a test failed so on a busy machine.
const CHANCE: usize = 2;

/// The test program that starts a browser.
const PAGE: &str = "page";

/// What to run.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Run only tests whose name contains one of these
    filter: Vec<String>,
    /// Run the checks first, each failed one counted as a failed test
    #[arg(long)]
    check: bool,
    /// More options of the test programs, for example `-- --nocapture`
    #[arg(last = true)]
    libtest: Vec<String>,
    /// Of the tests that need root, only these programs'
    #[arg(skip)]
    only: Option<&'static [&'static str]>,
    /// The daemon's image is built as it is shipped, not as it is built fastest
    #[arg(skip)]
    shipped: bool,
}

impl Options {
    /// Every test, and the checks.
    pub(crate) fn all() -> Self {
        Self { check: true, ..Self::default() }
    }
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut counts = Counts::default();
    // Tests mostly wait for what they test: time enough to build what the later ones need, and to try hostile input.
    let ahead = options.check.then(|| thread::spawn(build_ahead));
    if options.check {
        add_failed(&mut counts, check::of_code());
    }
    let object = build_ebpf::build();
    if let Err(error) = &object {
        say(&format!("{error:#}"));
        say("going on with the pure tests, which do not need the kernel programs");
    }
    counts.add(pure(options, object.is_ok()).unwrap_or_else(|error| not_run("the pure tests", &error)));
    let kernel = object.and_then(|()| kernel(options));
    counts.add(kernel.unwrap_or_else(|error| not_run("the kernel tests", &error)));
    if options.check {
        add_failed(&mut counts, check::of_what_is_deployed());
    }
    if let Some(thread) = ahead {
        counts.add(thread.join().unwrap_or_else(|_| Counts::failure("fuzz: it panicked".to_owned())));
    }
    Ok(conclude(counts))
}

/// Counts each failed check as a failed test.
fn add_failed(counts: &mut Counts, checks: Vec<impl Display>) {
    checks.into_iter().for_each(|check| counts.add(Counts::failure(format!("check: {check}"))));
}

/// Builds what only some test programs and checks need: whoever needs it tries again, and says what is wrong. Then
/// runs the fuzz targets, which leave the processors to everything else.
fn build_ahead() -> Counts {
    let _ = parts::ensure();
    tools::ALL.iter().for_each(|&tool| drop(tools::ensure(tool)));
    drop(deny::ensure());
    fuzz::test()
}

/// The tests on a cluster, and nothing else.
pub(crate) fn cluster(filter: &[String], options: &[&str], shipped: bool) -> Result<ExitCode> {
    build_ebpf::build()?;
    let libtest = options.iter().map(|&option| option.to_owned()).collect();
    let options = Options {
        only: Some(&cluster::PROGRAMS),
        filter: filter.to_vec(),
        libtest,
        shipped,
        ..Options::default()
    };
    Ok(conclude(kernel(&options)?))
}

/// Prints what failed and the line that ends a task of tests.
pub(crate) fn conclude(mut counts: Counts) -> ExitCode {
    if counts.passed + counts.failed == 0 {
        counts.add(Counts::failure("no test has such a name".to_owned()));
    }

    for name in &counts.passed_second {
        say(&format!("passed only when run once more: {name}"));
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

fn pure(options: &Options, with_object: bool) -> Result<Counts> {
    say("pure tests");
    let mut command = process::cargo();
    command.args(["test", "--locked", "--no-fail-fast"]);
    command.args(PURE.iter().flat_map(|package| ["--package", package]));
    if !with_object {
        command.env("HEADLESS_OBS_EBPF", "none");
    }
    command.arg("--").args(&options.libtest).args(&options.filter);
    count(&mut command, &mut io::stdout())
}

fn kernel(options: &Options) -> Result<Counts> {
    say("kernel tests");
    let missing = kernel::missing()?;
    if !missing.is_empty() {
        bail!("{}", missing.join("; "));
    }
    privilege::check()?;
    setup::ensure_programs(&PROGRAMS)?;
    let built = artifacts::build(&[artifacts::DAEMON])?;
    let daemon = artifacts::binary(&built, artifacts::DAEMON)?;
    // One test at a time: they share the kernel's cgroup root and count what happens there.
    let one_at_a_time = String::from("--test-threads=1");
    let args = |more: &[String]| -> Vec<OsString> {
        std::iter::once(&one_at_a_time).chain(&options.libtest).chain(more).map(OsString::from).collect()
    };

    let mut counts = Counts::default();
    let mut tests = artifacts::build_tests(KERNEL)?;
    // Those that need what takes long to build come last.
    tests.sort_by_key(|test| cluster::PROGRAMS.contains(&test.name.as_str()) || tools::has_needs(&test.name));
    for test in tests {
        if options.only.is_some_and(|only| !only.contains(&test.name.as_str())) {
            continue;
        }
        say(&format!("running {}", test.name));
        let mut env = vec![
            (lab::DAEMON_VARIABLE, daemon.clone().into_os_string()),
            ("CARGO_MANIFEST_DIR", test.package.clone().into_os_string()),
        ];
        if has_any(&test.path, &options.filter)? {
            match cluster::prepare(&test.name, if options.shipped { dist::SHIPPED } else { "dev" }) {
                Ok(variables) => env.extend(variables),
                Err(error) => {
                    counts.add(not_run("the tests on a cluster", &error));
                    continue;
                }
            }
            if test.name == PAGE
                && let Err(error) = setup::ensure_programs(&pictures::BROWSER)
            {
                counts.add(not_run("the tests in a browser", &error));
                continue;
            }
            match tools::prepare(&test.name) {
                Ok(variables) => env.extend(variables),
                Err(error) => {
                    counts.add(not_run("the tests with tools of others", &error));
                    continue;
                }
            }
            env.extend(scenarios::prepare(&test.name));
        }
        let run = |more: &[String]| {
            let mut command = privilege::as_root(&test.path, &args(more), &env)?;
            count(command.current_dir(&test.package), &mut io::stdout())
        };
        let ran = run(&options.filter)?;
        counts.add(ran.with_second_run(CHANCE, |name| {
            say(&format!("once more: {name}"));
            run(&["--exact".to_owned(), name.to_owned()])
        })?);
    }
    Ok(counts)
}

/// Whether a test program has tests of such names: building what it needs takes long.
fn has_any(program: &Path, filter: &[String]) -> Result<bool> {
    Ok(process::output(Command::new(program).arg("--list").args(filter))?.contains(": test"))
}

/// Runs test programs, shows their output as it comes and counts what it says.
fn count(command: &mut Command, screen: &mut impl Write) -> Result<Counts> {
    let name = process::describe(command);
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
            reader.push(&piece[..length]);
            // A reader that went away must not end the tests.
            let _ = screen.write_all(&piece[..length]).and_then(|()| screen.flush());
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    let mut counts = reader.finish();
    if !status.success() && counts.failed == 0 {
        // It did not compile, or died before it could count.
        counts.add(Counts::failure(format!("`{name}` failed ({status})")));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Counts {
        // Not to the screen: who counts this program's tests would count these lines too.
        count(Command::new("sh").args(["-c", script]), &mut io::sink()).unwrap()
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
