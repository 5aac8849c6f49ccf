//! `cargo xtask TASK`: runs all tasks of the project apart from `cargo build`.
//!
//! This file parses and dispatches; each task has its own file. Messages of xtask go to stderr, because standard output
//! belongs to the program that a task runs. All generated files are below `target/`. Only the steps that need root get
//! it: directly if root has started xtask, through sudo otherwise.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

mod arch_lint;
mod artifacts;
mod bench;
mod build_ebpf;
mod chart;
mod check;
mod cluster_prerequisites;
mod commit;
mod console;
mod control_plane;
mod dashboards;
mod debian;
mod demo;
mod deny;
mod dist;
mod documents;
mod e2e;
mod elf;
mod features;
mod fuzz;
mod go;
mod lab;
mod libtest;
mod module_tree;
mod musl;
mod pictures;
mod preflight;
mod process;
mod promtool;
mod release;
mod run;
mod rust_imports;
mod sbom;
mod scenario_clients;
mod scenarios;
mod setup;
mod soak;
mod stack_depth;
mod sudo;
mod target_arch;
mod test;
mod timing;
mod toolchain;
mod tools;
mod vm;
mod workflows;
mod workspace;

/// The tasks of the project. Each starts with `setup`, which is quick if nothing is missing.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Find or install the compiler and the linker of the kernel programs
    Setup,
    /// Build the kernel programs into target/ebpf/headless-obs.bpf.o
    BuildEbpf(build_ebpf::Options),
    /// Check format, lints (host and BPF), documentation, the import rules of the layers, documents, the Prometheus
    /// rules, the chart's copies, the dashboards, dependencies and their features, and that builds of the kernel
    /// programs are reproducible
    Check(check::Options),
    /// Check the dependencies: licences, sources, duplicates
    Deny(deny::Options),
    /// Fuzz the decoders with hostile input
    Fuzz(fuzz::Options),
    /// Run the pure tests, then the kernel tests as root; the last line is `N passed, N failed`
    Test(test::Options),
    /// Run the tests that need a Kubernetes cluster, the scenarios, or the tests on other kernels
    #[command(subcommand)]
    E2e(e2e::Kind),
    /// Measure what headless-obs and other tools add to connections, DNS exchanges and packets; or run one benchmark
    Bench(bench::Options),
    Demo(lab_options::Demo),
    /// Take the pictures for README from the page of a real run
    Pictures,
    /// Write the generated files of deploy/: the chart's copies of rules and dashboards, and the rendered manifests
    Chart,
    /// Build the release files into target/dist: the static program, its image as a tar file, the chart, the manifests
    Dist(dist::Options),
    /// Make all files of a release in target/release-VERSION, check them, and publish image and chart
    Release(release::Options),
    /// Build headless-obs and run it as root
    #[command(disable_help_flag = true)]
    Run {
        /// Arguments of headless-obs; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write Grafana's dashboards into deploy/dashboards
    Dashboards(dashboards::Options),
    /// Run helm, promtool, prometheus or another tool at the version that the tests use
    #[command(disable_help_flag = true)]
    Tool {
        /// The tool
        tool: tools::Tool,
        /// Arguments of the tool
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup::run(),
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::Check(options) => check::run(options),
        Task::Deny(options) => deny::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Test(options) => test::run(&options),
        Task::E2e(kind) => e2e::run(&kind, &arguments(2)),
        Task::Bench(options) => bench::run(&options, &arguments(2)),
        Task::Demo(options) => demo::run(options.kubernetes, &arguments(1)),
        Task::Pictures => pictures::run(),
        Task::Chart => chart::run(),
        Task::Dist(options) => dist::run(&options),
        Task::Release(options) => release::run(&options),
        Task::Run { args } => run::run(&args),
        Task::Dashboards(options) => dashboards::run(&options),
        Task::Tool { tool, args } => tools::run(tool, &args),
    };
    done.unwrap_or_else(|error| {
        console::say(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// The arguments after a task of so many words, for a program that parses them itself.
fn arguments(words: usize) -> Vec<OsString> {
    std::env::args_os().skip(1 + words).collect()
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    /// The tasks whose arguments go to a program of the lab, each with an option of that program.
    const OF_THE_LAB: [(&str, &str); 5] = [
        ("demo", "--kubernetes"),
        ("e2e scenarios", "--runs"),
        ("e2e soak", "--minutes"),
        ("bench curves", "--part"),
        ("bench scale", "--endpoints"),
    ];

    fn error(task: &str, option: &str) -> clap::Error {
        let words = ["cargo xtask"].into_iter().chain(task.split(' ')).chain([option]);
        Task::try_parse_from(words).err().unwrap()
    }

    #[test]
    fn xtask_prints_the_help_of_the_labs_programs_and_refuses_their_wrong_options() {
        for (task, option) in OF_THE_LAB {
            let help = error(task, "--help");
            assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{task}");
            let help = help.to_string();
            assert!(help.contains(&format!("Usage: cargo xtask {task}")) && help.contains(option), "{help}");
            assert_eq!(error(task, "--nonsense").kind(), ErrorKind::UnknownArgument, "{task}");
        }
    }

    #[test]
    fn xtask_prints_help_for_the_measurements_of_criterion_and_passes_their_options_on() {
        for task in ["attribution", "stages", "metrics"] {
            let words = ["cargo xtask", "bench", task];
            assert_eq!(error(&format!("bench {task}"), "--help").kind(), ErrorKind::DisplayHelp, "{task}");
            assert!(Task::try_parse_from(words.into_iter().chain(["--quick", "answer"])).is_ok(), "{task}");
        }
    }
}
