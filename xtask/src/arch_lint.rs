//! Checks the import rules of the layers, and some rules for every source file.
//!
//! In: the Rust files of the workspace. Out: violations as `file:line: what is wrong`.
//!
//! The rules: the pure core does no IO and reads no clock; the parts of the shell do not import each other; only `app`,
//! `commands` and `main` import both. `unsafe` is allowed only in the code that talks to the kernel. Each file belongs
//! to a crate, begins with a header, and has a limited length.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::console::say;
use crate::module_tree::File;
use crate::{module_tree, process, workspace};

/// The daemon's pure core: modules without IO.
const PURE: [&str; 20] = [
    "answer_cache",
    "attribution",
    "client",
    "cluster_zone",
    "dns",
    "engine",
    "expose",
    "fleet",
    "hash",
    "html",
    "ledger",
    "messages",
    "offer",
    "service_resolution",
    "spread",
    "time",
    "topology",
    "verdict",
    "windowed",
    "worst_pods",
];

/// The daemon's modules with IO, and the modules that each must not import.
const SHELL: [(&str, &[&str]); 12] = [
    ("app", &[]),
    ("cli", &["app", "commands", "probe", "server", "sources"]),
    ("commands", &[]),
    ("config", &["app", "cli", "commands", "probe", "server", "sources"]),
    ("engine_handle", &["app", "commands", "probe", "server", "sources"]),
    ("log", &["app", "commands", "probe", "server", "sources"]),
    ("probe", &["app", "commands", "server", "sources"]),
    ("readiness", &["app", "commands", "probe", "server", "sources"]),
    ("running_daemon", &["app", "commands", "probe", "server", "sources"]),
    ("server", &["app", "commands", "probe", "sources"]),
    ("sources", &["app", "commands", "probe", "server"]),
    ("trace_channel", &["app", "commands", "probe", "server", "sources"]),
];

/// The daemon's test-only modules. They read files with expected texts.
const TESTS: [&str; 1] = ["testing"];

/// Items that the pure core must not use, in addition to the shell.
const OUTSIDE: [&str; 30] = [
    "aya",
    "aya_log",
    "aya_obj",
    "axum",
    "btf_rs",
    "crossterm",
    "hyper",
    "hyper_util",
    "indicatif",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "kube",
    "libc",
    "notify",
    "ratatui",
    "rustix",
    "tokio",
    "tracing_subscriber",
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
];

/// The clocks. The pure core gets the time as an argument.
const CLOCKS: [&str; 2] = ["std::time::Instant", "std::time::SystemTime"];

/// The folders where `unsafe` is allowed.
const UNSAFE: [&str; 2] = ["headless-obs-ebpf", "headless-obs/src/probe"];

/// Maximum number of lines of a file.
const LONGEST: usize = 500;

/// The package with the layers.
const LAYERED: &str = "headless-obs";

/// The fuzz targets are built with instrumentation, so they have their own workspace.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// File, line, and the error.
type Violation = (String, usize, String);

/// Checks the workspace; violations go to stderr.
pub(crate) fn check() -> Result<()> {
    let mut roots = Vec::new();
    for workspace in WORKSPACES {
        let mut command = process::cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path", workspace]);
        roots.extend(module_tree::roots(&process::output(&mut command)?)?);
    }
    let tree = module_tree::read(&workspace::root(), roots)?;
    let mut found: BTreeSet<Violation> = tree.broken.into_iter().collect();
    found.extend(tree.files.iter().flat_map(violations));
    for (file, line, what) in &found {
        say(&format!("{file}:{line}: {what}"));
    }
    match found.len() {
        0 => Ok(()),
        count => bail!("{count} violations of the rules in xtask/src/arch_lint.rs; see the lines above"),
    }
}

/// Errors in one file.
fn violations(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |line, what: String| found.push((file.name.clone(), line, what));
    if !file.text.starts_with("//!") {
        report(1, "a file starts with `//!`: its purpose, its input and its output".to_owned());
    }
    let length = file.text.lines().count();
    if length > LONGEST {
        report(length, format!("{length} lines, more than {LONGEST}: give each subject a file"));
    }
    if !UNSAFE.iter().any(|folder| file.name.starts_with(&format!("{folder}/"))) {
        for &line in &file.source.unsafes {
            report(line, format!("`unsafe` is allowed only in {}", UNSAFE.join(" and ")));
        }
    }
    if let Some(layer) = file.module.first().filter(|_| file.library_of.as_deref() == Some(LAYERED)) {
        match forbidden(layer) {
            None => report(1, format!("`{layer}` has no layer: name it in xtask/src/arch_lint.rs")),
            Some(forbidden) => {
                for path in &file.source.paths {
                    if let Some((item, advice)) = forbidden.iter().find(|(item, _)| path.reaches(item)) {
                        report(path.line, format!("`{layer}` must not use `{item}`: {advice}"));
                    }
                }
            }
        }
    }
    found
}

/// Items that a layer must not use, and the alternative.
fn forbidden(layer: &str) -> Option<Vec<(String, &'static str)>> {
    if PURE.contains(&layer) {
        let shell =
            SHELL.iter().map(|(name, _)| (format!("crate::{name}"), "the pure core does not know the shell"));
        let outside =
            OUTSIDE.iter().map(|&item| (item.to_owned(), "the pure core does no IO; let `app` pass it in"));
        let clocks =
            CLOCKS.iter().map(|&item| (item.to_owned(), "the time is an argument, `crate::time::Time`"));
        return Some(shell.chain(outside).chain(clocks).collect());
    }
    if TESTS.contains(&layer) {
        return Some(Vec::new());
    }
    let (_, others) = SHELL.iter().find(|(name, _)| *name == layer)?;
    Some(others.iter().map(|other| (format!("crate::{other}"), "let `app` connect the two")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust_imports;

    /// The lines of violations in a file of the daemon's library.
    fn lines(module: &str, text: &str) -> Vec<usize> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let name = format!("headless-obs/src/{}.rs", module.join("/"));
        let text = format!("//! Doc.\n{text}");
        let source = rust_imports::read(&text, &module).unwrap();
        let file = File { name, library_of: Some(LAYERED.to_owned()), module, text, source };
        violations(&file).into_iter().map(|(_, line, _)| line).collect()
    }

    fn allowed(module: &str, text: &str) {
        assert_eq!(lines(module, text), Vec::<usize>::new(), "{module}: {text}");
    }

    fn refused(module: &str, text: &str) {
        assert_eq!(lines(module, text), [2], "{module}: {text}");
    }

    #[test]
    fn the_pure_core_does_no_io() {
        for text in [
            "use std::fs::File;",
            "use std::{collections::HashMap, fs};",
            "use std::net::*;",
            "use std::net::{IpAddr, TcpStream};",
            "fn f() { std::process::exit(1) }",
            "use tokio::sync::mpsc;",
            "use aya as kernel;",
            "use jiff::*;",
            "fn f() { m!(hyper::body::Bytes) }",
            "mod tests { use ::axum; }",
        ] {
            for module in PURE {
                refused(module, text);
            }
            refused("dns::message", text);
        }
        refused("engine", "use jiff::Timestamp; fn now() -> Timestamp { Timestamp::now() }");
    }

    #[test]
    fn the_pure_core_reads_no_clock() {
        refused("engine", "use std::time::Instant;");
        refused("engine", "use std::time::{Duration, SystemTime};");
        refused("engine", "use core::time; fn f() { time::Instant::now() }");
        refused("ledger", "fn f() { std::time::Instant::now() }");
        allowed("engine", "use std::time::Duration; use crate::time::Time;");
    }

    #[test]
    fn the_pure_core_does_not_know_the_shell() {
        for shell in ["probe", "sources", "server", "commands", "app", "cli", "engine_handle", "log"] {
            refused("topology::object", &format!("use crate::{shell}::X;"));
            refused("topology", &format!("fn f() {{ super::{shell}::go() }}"));
        }
        refused("spread", "use crate::{engine::Engine, probe};");
        assert!(!lines("time", "use super::*;").is_empty());
        allowed(
            "expose",
            "use crate::{engine::Engine, ledger::*}; use std::net::IpAddr; use jiff::Timestamp;",
        );
    }

    #[test]
    fn the_parts_of_the_shell_do_not_know_each_other() {
        refused("probe", "use crate::sources::files;");
        refused("sources::files", "use super::super::probe::Ring;");
        refused("server", "use crate::app::App;");
        refused("engine_handle", "use crate::commands;");
        allowed("server", "use crate::engine_handle::Handle; use tokio::net::TcpListener;");
        allowed("testing", "use std::fs;");
        allowed("app", "use crate::{probe, sources, server};");
        allowed("commands::run", "use crate::{app, probe, sources};");
        allowed("probe", "use std::fs; use crate::engine::Engine; use aya::Ebpf;");
    }

    #[test]
    fn a_module_without_a_layer_is_refused() {
        assert_eq!(lines("misc", ""), [1]);
    }

    #[test]
    fn unsafe_is_allowed_where_the_kernel_is_spoken_to() {
        allowed("probe::ring", "fn f() { unsafe { g() } }");
        refused("server", "fn f() { unsafe { g() } }");
        allowed("server", "// unsafe\n#![deny(unsafe_code)]");
    }

    #[test]
    fn a_file_says_what_it_is_and_is_short() {
        let file = |text: &str| File {
            name: "xtask/src/x.rs".to_owned(),
            library_of: None,
            module: vec!["x".to_owned()],
            text: text.to_owned(),
            source: rust_imports::read(text, &[]).unwrap(),
        };
        assert_eq!(violations(&file("// No doc.\n"))[0].1, 1);
        assert!(violations(&file(&format!("//! Doc.\n{}", "\n".repeat(LONGEST - 1)))).is_empty());
        assert_eq!(violations(&file(&format!("//! Doc.\n{}", "\n".repeat(LONGEST))))[0].1, LONGEST + 1);
    }
}
