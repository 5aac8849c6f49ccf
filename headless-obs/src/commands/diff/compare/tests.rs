//! Changes that are better, and changes that are worse.

use super::*;
use crate::commands::diff::render::render;
use crate::commands::table::Look;
use crate::commands::test_names;
use crate::expose::test_fixtures::{self, at, spread, verdict};
use crate::messages::full_name;
use crate::testing::golden;

/// The sample after a fix: cron is even, web uses TCP for DNS, and there is no idle pod.
fn repaired() -> Snapshot {
    let mut snapshot = test_fixtures::snapshot();
    (snapshot.from, snapshot.to) = (at(100), at(160));
    let orders = &mut snapshot.services[0];
    orders.spread = spread(&[402, 398, 400]);
    orders.idle.clear();
    orders.stale.clear();
    for client in &mut orders.clients {
        client.spread = spread(&[201, 199, 200]);
        client.stale.clear();
        client.verdict = Some(verdict(Cause::Even, &[], None));
    }
    snapshot
}

#[test]
fn a_change_that_helped() {
    let (before, mut after) = (test_fixtures::snapshot(), repaired());
    let diff = diff(&before, &after);
    assert_eq!(diff.services[0].change, Some(Change::Better));
    assert_eq!(diff.services[1].change, Some(Change::Same));
    assert_eq!(diff.services[1].clients[0].change, None, "it does not count");
    assert_eq!(super::diff(&after, &before).services[0].change, Some(Change::Worse));
    after.services[1].name = "new".into();
    after.services[0].clients.remove(0);
    let diff = super::diff(&before, &after);
    golden("diff-60.txt", &render(&diff, Look { width: 60, colours: false }));
    golden("diff-120.txt", &render(&diff, Look { width: 120, colours: false }));
    golden("diff-80.txt", &render(&diff, Look { width: 80, colours: false }));
    golden("diff.json", &(serde_json::to_string_pretty(&diff).unwrap() + "\n"));
}

#[test]
fn silence_is_no_improvement() {
    let (before, mut after) = (test_fixtures::snapshot(), test_fixtures::snapshot());
    let orders = &mut after.services[0];
    (orders.spread, orders.open) = (spread(&[0, 0, 0]), spread(&[0, 0, 0]));
    orders.idle.clear();
    orders.stale.clear();
    orders.clients.clear();
    assert_eq!(diff(&before, &after).services[0].change, Some(Change::TooFew));
}

fn client(counts: &[u64], cause: Option<Cause>, withheld: Option<&str>) -> Figures {
    let verdict = cause.map(|cause| verdict(cause, &[], None));
    let withheld = withheld.map(ToOwned::to_owned);
    of_client(&Client { spread: spread(counts), verdict, withheld, ..Client::default() }, 30.0)
}

#[test]
fn the_verdict_decides_where_there_is_one_and_figures_elsewhere() {
    use Cause::{Even, NeverReResolved, Pinned, Subset, TooFew};
    let (even, uneven): (&[u64], &[u64]) = (&[100, 103, 97], &[200, 100, 0]);
    let cases = [
        (even, Some(Even), even, Some(Subset), Change::Same),
        (uneven, Some(Pinned), even, Some(Even), Change::Better),
        (even, Some(Even), uneven, Some(Pinned), Change::Worse),
        (&[1, 0, 0], Some(Pinned), &[1, 1, 1], Some(Even), Change::Better),
        (&[1, 0, 0], Some(Pinned), &[0, 1, 0], Some(Pinned), Change::Same),
        (&[300, 0, 0], Some(Pinned), uneven, Some(NeverReResolved), Change::Better),
        (even, Some(Even), &[2, 1, 0], Some(TooFew), Change::TooFew),
        (even, None, uneven, None, Change::Worse),
        (even, None, even, None, Change::Same),
        (&[2, 1, 0], None, even, None, Change::TooFew),
        (&[], None, &[], None, Change::TooFew),
    ];
    for (old, old_cause, new, new_cause, expected) in cases {
        let (old, new) = (client(old, old_cause, None), client(new, new_cause, None));
        assert_eq!(change(&old, &new), expected, "{old:?} {new:?}");
    }
    let withheld = client(even, None, Some("losses"));
    assert_eq!(change(&withheld, &client(even, Some(Even), None)), Change::Withheld);
    let meant_so = client(even, None, Some("by_hostname"));
    assert_eq!(change(&meant_so, &meant_so), Change::Same);
}

#[test]
fn chance_and_restarted_counters_are_no_change() {
    let fair = |counts: &[u64]| client(counts, None, None);
    for (old, new) in
        [([30, 40, 35], [380, 410, 390]), ([38, 30, 22], [30, 31, 29]), ([9_800, 9_900, 10_100], [9, 11, 10])]
    {
        let change = by_figures(&fair(&old), &fair(&new));
        assert_eq!(change, Change::Same, "{old:?} {new:?}");
    }
}

#[test]
fn stale_connections_and_idle_endpoints_decide_too() {
    let mut before = test_fixtures::snapshot();
    before.services.remove(0);
    let mut after = before.clone();
    after.services[0].stale.insert("grace".into(), 100);
    let whole = |after: &Snapshot| diff(&before, after).services[0].change;
    assert_eq!(whole(&after), Some(Change::Same), "within the grace nothing is stale");
    after.services[0].stale.insert("removed".into(), 10);
    assert_eq!(whole(&after), Some(Change::Worse));
    after.services[0].stale.clear();
    after.services[0].idle.push("sessions-0".into());
    assert_eq!(whole(&after), Some(Change::Worse));
}

#[test]
fn what_makes_the_comparison_worth_less_is_said() {
    let before = test_fixtures::snapshot();
    let notes = |after: &Snapshot| diff(&before, after).notes;
    assert_eq!(notes(&repaired()), [""; 0]);
    assert!(notes(&before)[0].contains("include the same time"));
    let mut other = repaired();
    other.node = "n2".into();
    (other.from, other.to) = (at(-100), at(-50));
    other.quality.events_lost.insert("ring_full".into(), 1);
    other.quality.topology.synced = false;
    let notes = notes(&other);
    for (note, hint) in notes.iter().zip([
        "different nodes",
        "older than the first",
        "lost in the second",
        "incomplete or outdated",
    ]) {
        assert!(note.contains(hint), "{note}");
    }
    assert_eq!(notes.len(), 4);
}

#[test]
fn names_are_cut_last_at_any_width() {
    for (width, length, differ) in test_names::cases() {
        let mut before = test_names::snapshot(length, differ);
        before.services.truncate(1);
        let text = render(&diff(&before, &before), Look { width, colours: false });
        let case = format!("{width} columns, names of {length} that differ at the {differ:?}");
        test_names::assert_fits(&text, width, &case);
        let table = test_names::table(&text, "OPENED", 12);
        let names = table.names.into_iter().step_by(2).collect();
        let rows = table.rows.into_iter().step_by(2).collect();
        let mut wanted = vec![full_name(&before.services[0].namespace, &before.services[0].name)];
        wanted.extend(test_names::client_names(&before.services[0]));
        let (head, optional) = (table.head, ["/S", "OPEN ", "COVERAGE", "IDLE", "STALE", " Z "]);
        let shown = test_names::Shown { head, rows, names };
        shown.assert_names(&wanted, &optional, &case);
    }
}
