//! `cargo xtask e2e vm`: tests the daemon on other kernels, each in an emulated machine.
//!
//! In: the tables of `cases`, and the selected kernels and machines. Out: `N passed, N failed` over all of them. With
//! `--write`, each result goes into docs/kernels.md when its machine has finished, so that an interrupted run loses no
//! results. Each machine's console is kept in `target/vm/console`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console::say;
use crate::libtest::Counts;
use crate::target_arch::TargetArch;
use crate::test::conclude;
use crate::workspace;

mod cases;
mod cpio;
mod guest;
mod kernels_document;
mod machine;
mod packages;
mod programs;
mod transcript;

use cases::{KERNELS, Kernel, Machine};
use guest::Guest;
use kernels_document::Row;
use packages::Fetched;
use transcript::Transcript;

/// The document with the results.
const DOCUMENT: &str = "docs/kernels.md";

/// Options of the task.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Run only this kernel: 5.10, 6.1, 6.12, 7.2, 6.1-arm64 or 6.12-arm64; can be given several times
    #[arg(long, value_name = "NAME")]
    kernel: Vec<String>,
    /// Run only this machine: v2, hybrid, v1, no-btf or lockdown; can be given several times
    #[arg(long, value_name = "NAME")]
    machine: Vec<String>,
    /// Write the results into docs/kernels.md
    #[arg(long, conflicts_with = "filter")]
    write: bool,
    /// Look for newer packages of the kernels
    #[arg(long)]
    update: bool,
    /// Show the machines' consoles
    #[arg(long)]
    verbose: bool,
    /// Run only tests whose name contains one of these, including tests that are usually excluded
    filter: Vec<String>,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut counts = Counts::default();
    // Kernels of one architecture are adjacent, so that its programs are built once.
    let mut made: Option<(TargetArch, BTreeMap<String, PathBuf>, PathBuf)> = None;
    for (kernel, machines) in chosen(options)? {
        let processor = kernel.processor;
        let (_, programs, busybox) = match made.take().filter(|(of, ..)| *of == processor) {
            Some(made) => made,
            None => {
                machine::ensure(processor)?;
                (processor, programs::build(processor)?, packages::busybox(processor)?)
            }
        };
        let fetched = packages::kernel(kernel, options.update)?;
        let path = workspace::target().join("vm").join(format!("{}.cpio", kernel.name));
        for machine in machines {
            let modules = &fetched.modules;
            let (tests, filter) = (cases::programs(processor, machine), options.filter.as_slice());
            Guest { processor, busybox: &busybox, programs: &programs, modules, tests, filter }
                .write(&path)?;
            let ran = run_one(options, kernel, machine, &fetched, &path)?;
            counts.add(ran);
        }
        made = Some((processor, programs, busybox));
        // The archive is as large as all programs together, and quick to make again.
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(conclude(counts))
}

/// Runs one machine to its end.
fn run_one(
    options: &Options,
    kernel: &Kernel,
    machine: Machine,
    fetched: &Fetched,
    guest: &Path,
) -> Result<Counts> {
    let name = format!("{}, {}", kernel.name, machine.name());
    say(&format!("{name}: Debian's {}", fetched.version));
    let (path, mut console) = console(&format!("{}-{}.txt", kernel.name, machine.name()))?;
    let show = |line: &str| {
        // A failure to keep the line does not matter: the transcript has it.
        let _kept = console.write_all(line.as_bytes());
        if options.verbose {
            say(line.trim_end());
        }
    };
    let ran = machine::run(kernel.processor, &fetched.kernel, guest, machine.parameters(), show)?;
    let (ran, reasons) = judge(kernel.name, machine, ran, options.filter.is_empty());
    say(&format!("{name}: {}", ran.counts.summary()));
    if ran.counts.failed > 0 {
        ran.counts.failures.iter().for_each(|failure| say(&format!("failed: {failure}")));
        say(&format!("the console's log is in {}; its last lines are:", path.display()));
        ran.last.iter().for_each(|line| say(line));
    }
    let shown = format!("{} ({})", kernel.name, fetched.version);
    if options.write && ran.done {
        write(kernels_document::row(&shown, machine.title(), &ran, &reasons))?;
    }
    let failures = ran.counts.failures.into_iter().map(|failure| format!("{name}: {failure}")).collect();
    Ok(Counts { failures, ..ran.counts })
}

/// Kernels with their machines.
fn chosen(options: &Options) -> Result<Vec<(&'static Kernel, Vec<Machine>)>> {
    let unknown =
        |given: &[String], known: &[&str]| given.iter().find(|name| !known.contains(&name.as_str())).cloned();
    if let Some(name) = unknown(&options.kernel, &KERNELS.each_ref().map(|kernel| kernel.name)) {
        bail!("no kernel {name} in KERNELS of xtask/src/vm/cases.rs");
    }
    if let Some(name) = unknown(&options.machine, &Machine::ALL.map(Machine::name)) {
        bail!("no machine {name}: `--help` names them");
    }
    let is_wanted = |given: &[String], name: &str| given.is_empty() || given.iter().any(|one| one == name);
    let kernels = KERNELS.iter().filter(|kernel| is_wanted(&options.kernel, kernel.name));
    let machines = |kernel: &Kernel| -> Vec<Machine> {
        kernel.machines.iter().copied().filter(|one| is_wanted(&options.machine, one.name())).collect()
    };
    let chosen: Vec<_> = kernels.map(|kernel| (kernel, machines(kernel))).collect();
    if chosen.iter().all(|(_, machines)| machines.is_empty()) {
        bail!("none of these kernels runs on such a machine: see KERNELS of xtask/src/vm/cases.rs");
    }
    Ok(chosen)
}

fn console(name: &str) -> Result<(PathBuf, File)> {
    let folder = workspace::target().join("vm/console");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((path, file))
}

/// Removes expected failures from the results, and adds two kinds of errors: expected failures that passed, and a
/// machine with a wrong configuration. Returns the reasons of the expected failures.
fn judge(kernel: &str, machine: Machine, mut ran: Transcript, all: bool) -> (Transcript, Vec<&'static str>) {
    let mut reasons = Vec::new();
    if ran.done && !machine.is(&ran.cgroups, &ran.lockdown) {
        ran.counts.add(Counts::failure(format!(
            "the machine does not have {}: it has mounted{}, and its lockdown mode is {}",
            machine.title(),
            ran.cgroups,
            ran.lockdown
        )));
    }
    for row in cases::differences(kernel, machine) {
        let failures = &mut ran.counts.failures;
        match failures.iter().position(|failure| failure == row.test) {
            Some(place) => {
                failures.remove(place);
                ran.counts.failed -= 1;
                if !reasons.contains(&row.reason) {
                    reasons.push(row.reason);
                }
            }
            None if all && ran.is_complete() => ran.counts.add(Counts::failure(format!(
                "{} is expected to fail there, but passed: remove it from DIFFERENCES of xtask/src/vm/cases.rs",
                row.test
            ))),
            None => {}
        }
    }
    (ran, reasons)
}

fn write(row: Row) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let names = KERNELS.iter().flat_map(|kernel| {
        kernel.machines.iter().map(|machine| (kernel.name.to_owned(), machine.title().to_owned()))
    });
    let document = kernels_document::replace(&document, row, &names.collect::<Vec<_>>())?;
    fs::write(&path, document).with_context(|| format!("cannot write {DOCUMENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_of_a_kernel_that_is_tried() {
        for row in &cases::DIFFERENCES {
            assert!(!row.kernels.is_empty() && !row.machines.is_empty() && !row.reason.is_empty());
            let is_known = |name: &&str| KERNELS.iter().any(|kernel| kernel.name == *name);
            assert!(row.kernels.iter().all(is_known), "{:?}", row.kernels);
        }
    }

    /// A filter that matches no test would run nothing, and nobody would notice.
    #[test]
    fn what_is_chosen_are_tests_that_exist() {
        for (processor, machine) in
            TargetArch::ALL.into_iter().flat_map(|one| Machine::ALL.map(|of| (one, of)))
        {
            for program in cases::programs(processor, machine) {
                assert!(cases::PROGRAMS.contains(&program.name));
                for test in program.tests {
                    let (module, function) = test.split_once("::").unwrap();
                    let file = format!("tests/tests/{}/{module}.rs", program.name);
                    let text = fs::read_to_string(workspace::root().join(&file)).unwrap();
                    assert!(text.contains(&format!("\nfn {function}")), "{file} has no {function}");
                }
                for part in program.without {
                    let folder = workspace::root().join("tests/tests").join(program.name);
                    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
                    let has = |file: PathBuf| {
                        let text = fs::read_to_string(file).unwrap();
                        text.lines().any(|line| line.starts_with("fn ") && line.contains(part))
                    };
                    assert!(files.any(has), "{} has no test {part}", program.name);
                }
            }
        }
    }

    #[test]
    fn what_has_to_fail_is_no_failure_and_nothing_else_is_excused() {
        let console = |rest: &str| {
            let mut transcript = Transcript::default();
            let said = format!("@@ cgroups  1 cgroup2 \n@@ lockdown [none]\n@@ program node\n{rest}");
            said.split_inclusive('\n').for_each(|line| transcript.push(line));
            transcript.finish(Some("silent"))
        };
        let judged = |machine, rest: &str| judge("6.1", machine, console(rest), true).0.counts;
        let older = "test restart::connections_older_than_the_daemon_are_counted_down";
        let end = |failed| {
            format!("test result: x. 1 passed; {failed} failed\n@@ end node {}\n@@ done\n", failed * 101)
        };
        let as_known = judged(Machine::NoBtf, &format!("{older} ... FAILED\n{}", end(1)));
        assert_eq!((as_known.passed, as_known.failed), (1, 0), "{:?}", as_known.failures);
        let passed = judged(Machine::NoBtf, &format!("{older} ... ok\n{}", end(0)));
        assert!(passed.failures[0].contains("is expected to fail there, but passed"), "{passed:?}");
        let hung = judged(Machine::NoBtf, &format!("{older} ... FAILED\n"));
        assert_eq!((hung.failed, hung.failures.len()), (2, 2), "{hung:?}");
        let other = judged(Machine::Hybrid, &format!("{older} ... ok\n{}", end(0)));
        assert!(other.failures[0].contains("the machine does not have cgroup v1 and v2"), "{other:?}");
    }

    /// Each expected failure is among the tests of its machine; otherwise it would count as passed.
    #[test]
    fn what_has_to_fail_is_chosen() {
        for kernel in &KERNELS {
            for machine in kernel.machines {
                let programs = cases::programs(kernel.processor, *machine);
                let is_chosen = |name: &str| {
                    programs.iter().flat_map(|program| program.tests).any(|test| name.contains(test))
                };
                for row in cases::differences(kernel.name, *machine) {
                    assert!(is_chosen(row.test), "{} on {}, {}", row.test, kernel.name, machine.name());
                }
            }
        }
    }
}
