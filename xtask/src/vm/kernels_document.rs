//! Writes the generated part of docs/kernels.md, between two marks.
//!
//! In: the document, a result. Out: the document with the row of this result replaced; other rows stay. Pure.

use anyhow::{Context as _, Result};

use super::transcript::Transcript;

const BEGIN: &str = "<!-- results: begin -->\n";
const END: &str = "<!-- results: end -->\n";
const HEAD: &str = "\
| kernel | machine | DNS answers | connections | fallback | open connections | tests passed | differences |
|---|---|---|---|---|---|---|---|
";

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Kernel and architecture.
    pub(super) kernel: String,
    /// The machine.
    pub(super) machine: String,
    /// The other cells.
    pub(super) cells: Vec<String>,
}

/// The row of a result; `differences` are the reasons of expected failures.
pub(super) fn row(kernel: &str, machine: &str, of: &Transcript, differences: &[&str]) -> Row {
    let hook = |check: &str, probe: &str| -> String {
        let found = of.found(check).and_then(|found| found.strip_prefix("attached (")?.strip_suffix(')'));
        let found = found.unwrap_or_default();
        let hooks = found.split(", ").filter_map(|hook| hook.split_once(": "));
        let hook = hooks.into_iter().find(|(name, _)| *name == probe).map_or("no", |(_, hook)| hook);
        if hook == "none" { "no".to_owned() } else { hook.to_owned() }
    };
    let (auto, classic) = (AUTO, CLASSIC);
    // If `doctor` fell back to another hook, a user gets that hook, too.
    let tcp = hook(auto, "tcp");
    let used = if tcp == "no" { classic } else { auto };
    let total = of.counts.passed + of.counts.failed;
    let cells = vec![
        hook(used, "dns"),
        if tcp == "no" { hook(classic, "tcp") } else { tcp },
        hook(classic, "tcp"),
        hook(used, "existing"),
        if of.counts.failed == 0 {
            of.counts.passed.to_string()
        } else {
            format!("{} of {total}", of.counts.passed)
        },
        differences.join("; "),
    ];
    Row { kernel: kernel.to_owned(), machine: machine.to_owned(), cells }
}

/// Names of `doctor`'s checks that load the programs.
const AUTO: &str = "probes with tp_btf";
const CLASSIC: &str = "probes with the classic tracepoint";

/// The document with this row in place of the row for the same kernel and machine. `order` has the names of all kernels
/// and machines; rows of others are removed.
pub(super) fn replace(document: &str, row: Row, order: &[(String, String)]) -> Result<String> {
    let mark = |what: &str| format!("docs/kernels.md has no line `{}`", what.trim());
    let (before, rest) = document.split_once(BEGIN).with_context(|| mark(BEGIN))?;
    let (old, after) = rest.split_once(END).with_context(|| mark(END))?;
    let mut all: Vec<Row> = old.lines().skip(2).filter_map(parse).collect();
    all.retain(|old| (name(&old.kernel), &old.machine) != (name(&row.kernel), &row.machine));
    all.push(row);
    let place = |row: &Row| {
        order.iter().position(|(kernel, machine)| name(&row.kernel) == kernel && row.machine == *machine)
    };
    all.retain(|row| place(row).is_some());
    all.sort_by_key(place);
    let table: String = all.iter().map(text).collect();
    Ok(format!("{before}{BEGIN}{HEAD}{table}{END}{after}"))
}

/// A kernel's name without its version.
fn name(kernel: &str) -> &str {
    kernel.split(' ').next().unwrap_or_default()
}

fn text(Row { kernel, machine, cells }: &Row) -> String {
    format!("| {kernel} | {machine} | {} |\n", cells.join(" | "))
}

fn parse(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::to_owned);
    Some(Row { kernel: cells.next()?, machine: cells.next()?, cells: cells.collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::libtest::Counts;

    fn transcript(tp_btf: &str, classic: &str) -> Transcript {
        let check = |name: &str, found: &str| json!({"name": name, "found": found});
        Transcript {
            doctor: json!({"checks": [check(AUTO, tp_btf), check(CLASSIC, classic)]}),
            counts: Counts { passed: 7, ..Counts::default() },
            ..Transcript::default()
        }
    }

    const ALL: &str = "attached (dns: cgroup_skb, existing: iter/task_file, tcp: tp_btf)";
    const OLD: &str = "attached (dns: cgroup_skb, existing: none, tcp: tracepoint)";

    #[test]
    fn features_are_what_doctor_found() {
        let cells = |transcript: &Transcript| row("k", "m", transcript, &["slow"]).cells.join(" ");
        assert_eq!(cells(&transcript(ALL, OLD)), "cgroup_skb tp_btf tracepoint iter/task_file 7 slow");
        assert_eq!(
            cells(&transcript("the kernel has no BTF", OLD)),
            "cgroup_skb tracepoint tracepoint no 7 slow"
        );
        assert_eq!(cells(&transcript("no", "no")), "no no no no 7 slow");
        let mut failed = transcript(ALL, OLD);
        failed.counts.failed = 2;
        assert!(cells(&failed).contains(" 7 of 9 "));
    }

    #[test]
    fn rows_are_replaced_kept_put_in_order_and_dropped() {
        let of = |kernel: &str, machine: &str, cell: &str| Row {
            kernel: kernel.to_owned(),
            machine: machine.to_owned(),
            cells: vec![cell.to_owned(), "x".to_owned()],
        };
        let order = ["v2", "v1"].map(|machine| ("6.1".to_owned(), machine.to_owned()));
        let empty = format!("Prose.\n{BEGIN}{END}More.\n");
        let rows = [of("6.1 (1)", "v1", "a"), of("6.1 (1)", "v2", ""), of("6.2 (1)", "v2", "c")];
        let first = rows.into_iter().fold(empty, |text, row| replace(&text, row, &order).unwrap());
        assert_eq!(
            first,
            format!("Prose.\n{BEGIN}{HEAD}| 6.1 (1) | v2 |  | x |\n| 6.1 (1) | v1 | a | x |\n{END}More.\n")
        );
        let second = replace(&first, of("6.1 (2)", "v1", "d"), &order).unwrap();
        assert!(second.contains("| 6.1 (1) | v2 |  | x |\n| 6.1 (2) | v1 | d | x |\n"), "{second}");
        assert_eq!(replace(&second, of("6.1 (2)", "v1", "d"), &order).unwrap(), second);
        assert!(replace("Prose.", of("6.1 (1)", "v1", "a"), &order).is_err());
    }
}
