//! Test fixture: Services, pods and clients with names of any length, and the properties of their tables at any width.

pub(super) use super::fit_text::full_name;
use super::fit_text::{thousands, width};
use crate::expose::snapshot::{Cause, Client, Service, Snapshot};
use crate::expose::test_fixtures::{self, client, counts, endpoint, part, spread, verdict};

/// Widths of terminals.
pub(super) const WIDTHS: [usize; 7] = [60, 80, 100, 120, 130, 160, 200];
/// Lengths of names.
pub(super) const LENGTHS: [usize; 9] = [5, 8, 12, 16, 24, 30, 40, 50, 60];

/// The part in which names differ.
#[derive(Clone, Copy, Debug)]
pub(super) enum Differ {
    Start,
    Middle,
    End,
}

pub(super) const DIFFER: [Differ; 3] = [Differ::Start, Differ::Middle, Differ::End];

/// A name of this length, with a number of two digits in it.
pub(super) fn name(number: usize, length: usize, differ: Differ) -> String {
    let at = match differ {
        Differ::Start => 0,
        Differ::Middle => (length - 2) / 2,
        Differ::End => length - 2,
    };
    let filler = "orders-production-canary-westeurope-".chars().cycle();
    let mut name: String = filler.take(length).collect();
    name.replace_range(at..at + 2, &format!("{number:02}"));
    name
}

/// Namespace and name with this length together; a short name has no namespace.
fn names(number: usize, length: usize, differ: Differ) -> (String, String) {
    match length.checked_sub("shop/".len()).filter(|left| *left >= 5) {
        Some(left) => ("shop".to_owned(), name(number, left, differ)),
        None => (String::new(), name(number, length, differ)),
    }
}

/// Two Services, six endpoints and five clients each.
pub(super) fn snapshot(length: usize, differ: Differ) -> Snapshot {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services = (0..2).map(|number| service(number, length, differ)).collect();
    snapshot
}

fn service(number: usize, length: usize, differ: Differ) -> Service {
    let pod = |number| name(number, length, differ);
    let opened = [12_345, 1_200, 800, 90, 0, 7];
    let states = ["ready", "ready", "ready", "not_ready", "ready", "removed"];
    let mut endpoints: Vec<_> = (0..6).map(|i| endpoint(&pod(i), states[i], opened[i], 3)).collect();
    endpoints[1].failed = counts([("refused", 120), ("timeout", 31)]);
    endpoints[1].counted = 1_000;
    // No client has the name of a Service.
    let (namespace, name) = names(90 + number, length, differ);
    Service {
        namespace,
        name,
        endpoints,
        spread: spread(&[12_345, 1_200, 800, 0]),
        waste: 123.4,
        idle: vec![pod(4)],
        clients: (0..5).map(|number| of(number, length, differ)).collect(),
        ..test_fixtures::orders()
    }
}

fn of(number: usize, length: usize, differ: Differ) -> Client {
    let opened = 10_000 >> number;
    let parts = (0..6).map(|i| part(&name(i, length, differ), if i == number { opened } else { 1 }, 2));
    let causes = [Cause::NeverReResolved, Cause::TruncatedAnswer, Cause::TooFew, Cause::Even, Cause::Even];
    let (namespace, workload) = names(number, length, differ);
    let mut client = Client { namespace, workload, ..client("", 0.5, parts.collect()) };
    client.spread = spread(&[opened, 1, 1, 1]);
    client.verdict =
        Some(verdict(causes[number], &["It used an answer 400 times of 400."], Some("Shuffle.")));
    match number {
        1 => {
            client.failed = 151;
            client.resolution.insert("hostname".into(), 10);
        }
        2 => client.verdict.as_mut().unwrap().needed = Some(1_200),
        4 => client.excluded = Some("option".into()),
        _ => {}
    }
    client
}

/// Rows of a table in the order of its first column.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) head: String,
    pub(super) rows: Vec<String>,
    pub(super) names: Vec<String>,
}

/// The rows of the first table that begins with this head.
pub(super) fn table(text: &str, head: &str, rows: usize) -> Shown {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(head));
    let head = lines.next().expect(head).to_owned();
    let rows: Vec<_> = lines.take(rows).map(ToOwned::to_owned).collect();
    let first = |row: &String| row.split_whitespace().next().unwrap_or_default().to_owned();
    let names = rows.iter().map(first).collect();
    Shown { head, rows, names }
}

/// Whether a name was cut; if so, it must keep its head and its tail.
fn is_cut(shown: &str, name: &str) -> bool {
    let Some((head, rest)) = shown.split_once('…') else {
        assert_eq!(shown, name, "neither whole nor cut");
        return false;
    };
    let tail = rest.rsplit('…').next().unwrap();
    assert!(!head.is_empty() && name.starts_with(head), "{shown} has not the head of {name}");
    assert!(!tail.is_empty() && name.ends_with(tail), "{shown} has not the tail of {name}");
    true
}

impl Shown {
    /// Asserts that names are cut last and stay distinct, and that figures are whole. Returns whether any name was cut.
    pub(super) fn assert_names(&self, names: &[String], optional: &[&str], case: &str) -> bool {
        assert_eq!(self.names.len(), names.len(), "{case}: {self:#?}");
        let cut: Vec<_> = self.names.iter().zip(names).filter(|(shown, name)| is_cut(shown, name)).collect();
        let distinct: std::collections::HashSet<_> = self.names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{case}: names look the same: {self:#?}");
        if cut.is_empty() {
            return false;
        }
        for head in optional {
            assert!(!self.head.contains(head), "{case}: a name was cut before {head}: {self:#?}");
        }
        let bars = |c| ('\u{2581}'..='\u{258f}').contains(&c) || c == '░';
        let has_bar = self.rows.iter().any(|row| row.contains(bars));
        assert!(!has_bar, "{case}: a name was cut before a bar: {self:#?}");
        true
    }

    pub(super) fn assert_figures(&self, opened: impl IntoIterator<Item = u64>, case: &str) {
        for (row, opened) in self.rows.iter().zip(opened) {
            let opened = thousands(opened);
            assert!(row.split([' ', '│']).any(|word| word == opened), "{case}: {opened}: {self:#?}");
        }
    }
}

/// No line is wider than the terminal.
pub(super) fn assert_fits(text: &str, columns: usize, case: &str) {
    for line in text.lines() {
        assert!(width(line) <= columns, "{case}: {} columns: {line}\n{text}", width(line));
    }
}

/// Every width, length and position.
pub(super) fn cases() -> impl Iterator<Item = (usize, usize, Differ)> {
    let of = |width| LENGTHS.into_iter().map(move |length| (width, length));
    WIDTHS.into_iter().flat_map(of).flat_map(|(width, length)| DIFFER.map(|differ| (width, length, differ)))
}

/// Full names of a Service's clients, busiest first.
pub(super) fn client_names(service: &Service) -> Vec<String> {
    service.clients.iter().map(|c| full_name(&c.namespace, &c.workload)).collect()
}

/// Names of a Service's endpoints.
pub(super) fn pod_names(service: &Service) -> Vec<String> {
    service.endpoints.iter().map(|endpoint| endpoint.pod.clone()).collect()
}
