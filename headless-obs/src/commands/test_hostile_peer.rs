//! Test of a kind: a peer that writes escape sequences into any text of its snapshot does nothing to a terminal.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{diff, explain, fail_on, table, trace};
use crate::cli::{FailOn, Output};
use crate::client::sanitize::acts;
use crate::expose::snapshot::Snapshot;
use crate::expose::test_fixtures;
use crate::expose::trace_line::{Begin, Remark};

/// Clears the screen, sets the title, does so by one character, and changes the direction of writing.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\u{202e}\u{7f}";

/// Adds it to the chosen texts of a document, and to the chosen names of fields. Each has a number; `next` is the first.
fn poison(value: &mut Value, next: &mut usize, is_chosen: &impl Fn(usize) -> bool) {
    let mut is_next = || {
        *next += 1;
        is_chosen(*next - 1)
    };
    match value {
        Value::String(text) if is_next() => text.push_str(EVIL),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, next, is_chosen)),
        Value::Object(fields) => {
            for (name, mut field) in std::mem::take(fields) {
                poison(&mut field, next, is_chosen);
                *next += 1;
                if is_chosen(*next - 1) {
                    fields.insert(format!("{name}{EVIL}"), field.clone());
                }
                fields.insert(name, field);
            }
        }
        _ => {}
    }
}

/// Copies of a document, each with some of the texts poisoned that can be any text. A few together, because one can keep
/// another one from being shown.
fn poisoned<T: Serialize + DeserializeOwned>(good: &T) -> Vec<T> {
    let document = serde_json::to_value(good).unwrap();
    let poisoned = |is_chosen: &dyn Fn(usize) -> bool| {
        let (mut copy, mut count) = (document.clone(), 0);
        poison(&mut copy, &mut count, &|number| is_chosen(number));
        (serde_json::from_value::<T>(copy), count)
    };
    // Not every text can be any text.
    let (_, count) = poisoned(&|_| false);
    let free: Vec<usize> =
        (0..count).filter(|number| poisoned(&|other| other == *number).0.is_ok()).collect();
    assert!(free.len() > 20, "{} of {count}", free.len());
    let group = |group| {
        let chosen = |number| free.binary_search(&number).is_ok_and(|place| place % 5 == group);
        let Ok(copy) = poisoned(&chosen).0 else { panic!("each of group {group} is read alone") };
        copy
    };
    (0..5).map(group).collect()
}

fn assert_harmless(text: &str) {
    assert_eq!(text.lines().find(|line| line.contains(acts)), None);
}

#[test]
fn no_text_of_a_trace_acts_on_a_terminal() {
    for events in poisoned(&test_fixtures::trace_events()) {
        for event in events {
            for format in [Output::Table, Output::Json] {
                assert_harmless(&trace::printed(Some(EVIL), event.clone().into(), format));
            }
        }
    }
    let remarks = [
        Remark::Begin(Begin { node: EVIL.into(), schema: EVIL.into(), ..Begin::default() }),
        Remark::Lost { time: test_fixtures::at(1), reason: EVIL.into() },
        Remark::End { time: test_fixtures::at(1), reason: EVIL.into() },
    ];
    for remark in remarks {
        assert_harmless(&trace::printed(Some(EVIL), remark.into(), Output::Json));
    }
}

/// The texts that the commands print of it.
fn shown(snapshot: &Snapshot, before: &Snapshot) -> Vec<String> {
    let look = table::Look { width: 160, colours: false };
    let outcome = fail_on::judge(snapshot, &[FailOn::Imbalance, FailOn::Stale, FailOn::Idle]);
    let explained = snapshot.services.iter().map(|service| explain::render::render(snapshot, service, look));
    let mut texts: Vec<String> = explained.collect();
    texts.push(table::render(snapshot, look));
    texts.push(diff::render::render(&diff::compare::diff(before, snapshot), look));
    texts.extend(outcome.doubts.into_iter().chain(outcome.findings));
    texts
}

#[test]
fn no_text_of_a_peer_acts_on_a_terminal() {
    let good = test_fixtures::snapshot();
    for snapshot in poisoned(&good) {
        shown(&snapshot, &good).iter().for_each(|text| assert_harmless(text));
    }
    for list in poisoned(&test_fixtures::connection_list(&test_fixtures::connection_query())) {
        assert_harmless(&explain::connections::render(&list, table::Look { width: 300, colours: false }));
    }
}
