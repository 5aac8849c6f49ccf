//! `cargo xtask bench`: builds daemon, no-op programs and the measuring program, runs that as root, computes
//! statistics, prints them and writes them into docs/benchmarks.md.
//!
//! Standard output has the results only. The exit code depends on headless-obs only: other tools may fail.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::input::Measured;
use super::{benchmarks_document, statistics, table};
use crate::console::{result, say};
use crate::lab::{Daemon, Program};
use crate::{artifacts, build_ebpf, process, setup, workspace};

/// Other tools to measure, and their packages.
const PEERS: [(&str, &str); 2] = [("bpftrace", "bpftrace"), ("tcpdump", "tcpdump")];
/// Reserved names of tools.
const TAKEN: [&str; 5] = ["nothing", "empty", "headless-obs", "bpftrace", "tcpdump"];
/// The document with the results, from the workspace's root.
pub(super) const DOCUMENT: &str = "docs/benchmarks.md";

/// Options of the measurement and its output.
#[derive(Debug, Args)]
pub(crate) struct Overhead {
    /// Take only a few minutes, with shorter phases and no ladders
    #[arg(long)]
    quick: bool,
    /// Format of the figures on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Name of another tool to measure, and the shell command that runs it in the foreground; can be given several times
    #[arg(long = "peer", value_name = "NAME=COMMAND", value_parser = peer)]
    peers: Vec<String>,
}

/// Format of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// For programs: `[{"tool","metric","unit","median","min","max","rounds"}]`
    Json,
}

/// The task.
pub(crate) fn run(options: &Overhead) -> Result<ExitCode> {
    for peer in PEERS {
        if let Err(error) = setup::ensure_programs(&[peer]) {
            say(&format!("{} is not measured: {error:#}", peer.0));
        }
    }
    let noop = [("HEADLESS_OBS_NOOP", build_ebpf::noop_object().into_os_string())];
    let measured =
        process::output(&mut Program::Bench.command(Daemon::Shipped, &arguments(options), noop)?)?;
    let measured: Measured = serde_json::from_str(&measured).context("cannot read the measurements")?;

    let rows = statistics::rows(&measured);
    let section = table::section(&measured, &rows);
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = benchmarks_document::replace(&text, "cargo xtask bench", &section)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("the figures are in {DOCUMENT}"));
    match options.output {
        Format::Table => result(section.trim_end()),
        Format::Json => result(&serde_json::to_string_pretty(&rows)?),
    }
    for (tool, reason) in &measured.failures {
        say(&format!("{tool} could not be measured: {reason}"));
    }
    let failed = measured.failures.contains_key(artifacts::DAEMON);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The measuring program's arguments.
fn arguments(options: &Overhead) -> Vec<OsString> {
    let quick = options.quick.then(|| OsString::from("--quick"));
    let peers = options.peers.iter().flat_map(|peer| ["--peer", peer]).map(OsString::from);
    quick.into_iter().chain(peers).collect()
}

/// `NAME=COMMAND`, checked.
fn peer(text: &str) -> Result<String, String> {
    let (name, command) = text.split_once('=').ok_or("write NAME=COMMAND")?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(format!("`{name}` is not a valid name: use letters, digits, `-`, `_` and `.`"));
    }
    if TAKEN.contains(&name) {
        return Err(format!("`{name}` is measured already: use another name"));
    }
    if command.trim().is_empty() {
        return Err(format!("{name} has no command"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: super::super::Options,
    }

    fn parse(words: &[&str]) -> Result<super::super::Options, clap::Error> {
        Line::try_parse_from([&["bench"], words].concat()).map(|line| line.options)
    }

    #[test]
    fn options_are_those_of_everything_and_subcommands_those_of_a_part() {
        let options = parse(&["--quick", "-o", "json", "--peer", "a=run a=1", "--peer", "b=x"]).unwrap();
        assert!(options.kind.is_none());
        assert_eq!(options.overhead.output, Format::Json);
        assert_eq!(arguments(&options.overhead), ["--quick", "--peer", "a=run a=1", "--peer", "b=x"]);

        let options = parse(&[]).unwrap();
        assert!(options.kind.is_none() && arguments(&options.overhead).is_empty());
        assert_eq!(options.overhead.output, Format::Table);

        assert!(parse(&["scale", "--services", "3"]).unwrap().kind.is_some());
        assert!(parse(&["--quick", "scale"]).is_err());
        assert!(parse(&["everything"]).is_err());
    }

    #[test]
    fn a_peer_has_a_name_of_its_own_and_a_command() {
        assert_eq!(peer("coroot=/opt/agent --x=y"), Ok("coroot=/opt/agent --x=y".to_owned()));
        for wrong in ["coroot", "=x", "a b=x", "a= ", "tcpdump=tcpdump -i lo", "headless-obs=x"] {
            assert!(peer(wrong).is_err(), "{wrong}");
        }
    }
}
