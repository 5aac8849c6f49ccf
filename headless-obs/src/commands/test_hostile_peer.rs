//! Test of a kind: a peer that writes escape sequences into any text of its snapshot does nothing to a terminal.

use serde_json::Value;

use super::{diff, explain, fail_on, table};
use crate::cli::FailOn;
use crate::client::sanitize::acts;
use crate::expose::snapshot::Snapshot;
use crate::expose::test_fixtures;

/// Clears the screen, sets the title, does so by one character, and changes the direction of writing.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\u{202e}\u{7f}";

/// Every text of a document, and every name of an object's field, by its number; returns whether it has that many.
fn poison(value: &mut Value, left: &mut usize) -> bool {
    let mut here = || {
        let is_here = *left == 0;
        *left = left.wrapping_sub(1);
        is_here
    };
    match value {
        Value::String(text) if here() => {
            text.push_str(EVIL);
            true
        }
        Value::Array(items) => items.iter_mut().any(|item| poison(item, left)),
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                let Some(field) = fields.get_mut(&name) else { continue };
                if poison(field, left) {
                    return true;
                }
                let is_here = *left == 0;
                *left = left.wrapping_sub(1);
                if is_here {
                    let field = field.clone();
                    fields.insert(format!("{name}{EVIL}"), field);
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

/// What the commands print of it.
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
    let document = serde_json::to_value(&good).unwrap();
    let mut read = 0;
    for number in 0.. {
        let mut poisoned = document.clone();
        if !poison(&mut poisoned, &mut { number }) {
            break;
        }
        // Not every text can be any text.
        let Ok(snapshot) = serde_json::from_value::<Snapshot>(poisoned) else { continue };
        read += 1;
        for text in shown(&snapshot, &good) {
            let found = text.lines().find(|line| line.contains(acts));
            assert_eq!(found, None, "text {number} of the snapshot");
        }
    }
    assert!(read > 50, "{read}");
}
