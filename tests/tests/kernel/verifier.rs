//! The programs' cost for the kernel's verifier: the number of instructions that it processes for each one.
//!
//! The limit is a million. If a program's cost grows much, some kernel will soon reject it, most likely an older one.
//! The numbers depend a little on the kernel; the file names the kernel of its numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use aya::programs::loaded_programs;
use headless_obs::probe::{self, Options, TcpHook};

/// The recorded numbers.
const RECORDED: &str = include_str!("verifier.txt");
/// Allowed growth in percent, for small changes and other kernels.
const SLACK: u64 = 20;

/// All programs that the daemon can load, with their instructions.
fn counts() -> BTreeMap<String, u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut counts = BTreeMap::new();
    for tcp_hook in [TcpHook::TpBtf, TcpHook::Tracepoint] {
        let others = held();
        let _loaded = probe::load(&Options { tcp_hook, ..Options::default() }).unwrap();
        let own: BTreeSet<u32> = held().difference(&others).copied().collect();
        for program in loaded_programs().flatten().filter(|program| own.contains(&program.id())) {
            let name = program.name_as_str().unwrap().to_owned();
            let count = program.verified_instruction_count().expect("Linux 5.16 and newer tell it");
            counts.insert(name, u64::from(count));
        }
    }
    counts
}

/// The programs of this process: another process may load the same ones meanwhile.
fn held() -> BTreeSet<u32> {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let ids = texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()));
    ids.collect()
}

/// Program → instructions, of a file's text.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}

/// Errors in new numbers: programs that are not recorded or no longer exist, and those that cost too much more.
fn faults(recorded: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Vec<String> {
    let mut faults: Vec<String> = found
        .iter()
        .filter_map(|(name, &count)| match recorded.get(name) {
            None => Some(format!("{name} is not recorded")),
            Some(&before) if count * 100 > before * (100 + SLACK) => {
                Some(format!("{name} takes {count} instructions, {before} were recorded"))
            }
            Some(_) => None,
        })
        .collect();
    faults.extend(
        recorded.keys().filter(|name| !found.contains_key(*name)).map(|name| format!("{name} is gone")),
    );
    faults
}

#[test]
fn verifier_looks_at_no_more_instructions_than_recorded() {
    let found = counts();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let rows: String = found.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        let head = "# Instructions that the verifier looks at. Made by `UPDATE_GOLDEN=1 cargo xtask test verifier`.\n";
        let text = format!("{head}# Linux {release}{rows}");
        fs::write("tests/kernel/verifier.txt", text).unwrap();
        return;
    }
    let faults = faults(&parse(RECORDED), &found);
    assert!(
        faults.is_empty(),
        "{}\nIf that is meant, record it by `UPDATE_GOLDEN=1 cargo xtask test verifier`; that more is needed than \
         before should have a reason, told in the commit.",
        faults.join("\n")
    );
}

#[test]
fn verifier_counts_may_grow_by_a_fifth_and_programs_must_be_the_same() {
    let recorded = parse("# x\na 100\nb 10\n");
    let faults = |text| faults(&recorded, &parse(text));
    assert!(faults("a 120\nb 1\n").is_empty());
    assert_eq!(faults("a 121\nb 12\n"), ["a takes 121 instructions, 100 were recorded"]);
    assert_eq!(faults("a 100\nc 1\n"), ["c is not recorded", "b is gone"]);
}
