//! `cargo xtask TASK`: the only entry to everything the project does beside `cargo build`.
//!
//! This file parses and dispatches; each task has a file of its own. Messages of xtask go to stderr, so
//! that the standard output belongs to what a task runs. Everything made is kept under `target/`.
//! Only the steps that need root get it: directly when started by root, through sudo otherwise.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

mod artifacts;
mod bench;
mod build_ebpf;
mod chart;
mod check;
mod clients;
mod cluster;
mod console;
mod daemon;
mod dashboards;
mod debian;
mod demo;
mod deny;
mod dist;
mod e2e;
mod elf;
mod fuzz;
mod go;
mod kernel;
mod lab;
mod layers;
mod libtest;
mod musl;
mod parts;
mod pictures;
mod privilege;
mod process;
mod processor;
mod rules;
mod sbom;
mod scenarios;
mod setup;
mod soak;
mod source;
mod test;
mod timing;
mod toolchain;
mod tools;
mod tree;
mod vm;
mod workspace;

/// The tasks of the project. Each one starts with `setup`, which is quick when nothing is missing.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Find or install what building the kernel programs needs
    Setup,
    /// Build the kernel programs into target/ebpf/headless-obs.bpf.o
    BuildEbpf(build_ebpf::Options),
    /// Check format, lints (host and BPF), documentation, the import rules of the layers, the rules for Prometheus, what
    /// is taken from others, and that the kernel programs are the same wherever they are built
    Check,
    /// Check what is taken from others: licences, sources, duplicates
    Deny(deny::Options),
    /// Try hostile input on the decoders
    Fuzz(fuzz::Options),
    /// Run the pure tests, then with root the kernel tests; the last line is `N passed, N failed`
    Test(test::Options),
    /// Run the tests that need a Kubernetes cluster, the scenarios, or the tests on other kernels
    #[command(subcommand)]
    E2e(e2e::Kind),
    /// Measure what headless-obs adds to connections, DNS answers and packets, beside others; or a part alone
    Bench(bench::Options),
    /// Run the demonstration: a lab with clients of different habits, observed by the real daemon
    #[command(disable_help_flag = true)]
    Demo {
        /// Options of the demonstration; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Take the pictures of README from the page of a real run
    Pictures,
    /// Make what deploy/ has twice: the chart's copies of rules and dashboards, and its output as manifests
    Chart,
    /// Build what is shipped into target/dist: the static program, its image as a tar file, the chart, the
    /// manifests
    Dist(dist::Options),
    /// Build headless-obs and run it with root
    #[command(disable_help_flag = true)]
    Run {
        /// Arguments of headless-obs; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write Grafana's dashboards into deploy/dashboards
    Dashboards(dashboards::Options),
    /// Run helm, promtool or prometheus at the version that the tests use
    #[command(disable_help_flag = true)]
    Tool {
        /// Which
        tool: tools::Tool,
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup::run(),
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::Check => check::run(),
        Task::Deny(options) => deny::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Test(options) => test::run(&options),
        Task::E2e(kind) => e2e::run(&kind),
        Task::Bench(options) => bench::run(&options),
        Task::Demo { args } => demo::run(&args),
        Task::Pictures => pictures::run(),
        Task::Chart => chart::run(),
        Task::Dist(options) => dist::run(&options),
        Task::Run { args } => daemon::run(&args),
        Task::Dashboards(options) => dashboards::run(&options),
        Task::Tool { tool, args } => tools::run(tool, &args),
    };
    done.unwrap_or_else(|error| {
        console::say(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}
