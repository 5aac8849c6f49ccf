//! Two watches report in any order: the topology ends up with the objects that exist.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::topology::test_builders::{bare, key, slice};

const WATCHES: [WatchKind; 3] = [WatchKind::HeadlessSlices, WatchKind::OtherSlices, WatchKind::Services];

/// A slice whose only address identifies its version.
fn item(name: &str, version: u64) -> Item {
    let address = format!("10.0.{}.{}", version / 256, version % 256);
    let mut slice = slice("shop", name, "").with(bare(&address));
    slice.key = key("shop", name);
    Item { key: slice.key.clone(), version: Some(version), content: Ok(Some(Object::Slice(slice))) }
}

/// The remaining names after these changes, with their addresses.
fn applied(changes: &[Change]) -> BTreeMap<String, String> {
    let mut left = BTreeMap::new();
    for change in changes {
        match change {
            Change::Apply(Object::Slice(slice)) => {
                left.insert(slice.key.name.to_string(), slice.endpoints[0].address.to_string());
            }
            Change::Delete(Kind::Slice, key) => {
                assert!(left.remove(&*key.name).is_some(), "{} was not there", key.name);
            }
            other => panic!("{other:?}"),
        }
    }
    left
}

fn names(words: Vec<(usize, Word)>) -> Vec<String> {
    let mut merger = Merger::new(WATCHES);
    let mut changes = Vec::new();
    for (watch, word) in words {
        merger.hear(watch, word, &mut changes);
    }
    applied(&changes).into_keys().collect()
}

#[test]
fn a_list_replaces_what_its_own_watch_had() {
    let again = vec![(0, Word::Begin), (0, Word::Listed(item("b", 2)))];
    let all = |more: Vec<(usize, Word)>| {
        let words = [
            (0, Word::Begin),
            (0, Word::Listed(item("a", 1))),
            (0, Word::Listed(item("b", 2))),
            (0, Word::Complete),
            (1, Word::Begin),
            (1, Word::Listed(item("x", 3))),
            (1, Word::Complete),
        ];
        names(words.into_iter().chain(more).collect())
    };
    assert_eq!(all(Vec::new()), ["a", "b", "x"]);
    assert_eq!(all(again), ["a", "b", "x"], "a list that is not complete deletes nothing");
    let complete = vec![(0, Word::Begin), (0, Word::Listed(item("b", 2))), (0, Word::Complete)];
    assert_eq!(all(complete), ["b", "x"]);
    // An incomplete list has no effect.
    let broken = vec![
        (0, Word::Begin),
        (0, Word::Listed(item("c", 9))),
        (0, Word::Begin),
        (0, Word::Listed(item("a", 1))),
        (0, Word::Complete),
    ];
    assert_eq!(all(broken), ["a", "x"]);
}

#[test]
fn a_slice_that_goes_from_one_watch_to_another_stays() {
    let had = || vec![(0, Word::Apply(item("a", 1)))];
    let moved = |words: Vec<(usize, Word)>| names(had().into_iter().chain(words).collect());
    let (leave, arrive) = (|| (0, Word::Delete(key("shop", "a"))), || (1, Word::Apply(item("a", 2))));
    assert_eq!(moved(vec![leave(), arrive()]), ["a"]);
    assert_eq!(moved(vec![arrive(), leave()]), ["a"]);
    // It is back before the other watch reports anything.
    let back = vec![leave(), (0, Word::Apply(item("a", 3))), arrive(), (1, Word::Delete(key("shop", "a")))];
    assert_eq!(moved(back), ["a"]);
}

#[test]
fn an_object_that_cannot_be_read_stays_as_it_was() {
    let mut merger = Merger::new(WATCHES);
    let mut changes = Vec::new();
    let broken = |name: &str, version| Item {
        content: Err(Invalid { path: "ports[0].port".to_owned(), reason: "is odd".to_owned() }),
        ..item(name, version)
    };
    merger.hear(0, Word::Apply(item("a", 1)), &mut changes);
    merger.hear(0, Word::Apply(broken("a", 2)), &mut changes);
    merger.hear(0, Word::Apply(broken("b", 3)), &mut changes);
    assert_eq!(applied(&changes), BTreeMap::from([("a".to_owned(), "10.0.0.1".to_owned())]));
    assert_eq!((merger.rejected(), merger.count(Kind::Slice)), (2, 1));
    // The same after a new list.
    for word in [Word::Begin, Word::Listed(broken("a", 2)), Word::Complete] {
        merger.hear(0, word, &mut changes);
    }
    assert_eq!(applied(&changes).len(), 1);
    merger.hear(0, Word::Delete(key("shop", "b")), &mut changes);
    merger.hear(0, Word::Delete(key("shop", "a")), &mut changes);
    assert!(applied(&changes).is_empty());
}

#[test]
fn an_object_that_no_longer_matters_goes() {
    let mut merger = Merger::new(WATCHES);
    let mut changes = Vec::new();
    merger.hear(0, Word::Apply(item("a", 1)), &mut changes);
    merger.hear(0, Word::Apply(Item { content: Ok(None), ..item("a", 2) }), &mut changes);
    assert!(applied(&changes).is_empty());
    merger.hear(0, Word::Delete(key("shop", "a")), &mut changes);
    assert!(applied(&changes).is_empty());
}

/// An event at the server.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The object now belongs to this watch.
    Put(usize),
    Remove,
}

fn event() -> impl Strategy<Value = (usize, Event)> {
    (0..3_usize, prop_oneof![3 => (0..2_usize).prop_map(Event::Put), 1 => Just(Event::Remove)])
}

/// The part of one version of the server's state that a watch sees.
fn listed(history: &[BTreeMap<usize, (usize, u64)>], version: usize, watch: usize) -> Vec<Word> {
    let mine = history[version].iter().filter(|(_, (of, _))| *of == watch);
    let listed = mine.map(|(name, (_, version))| Word::Listed(item(&name.to_string(), *version)));
    std::iter::once(Word::Begin).chain(listed).chain([Word::Complete]).collect()
}

proptest! {
    /// Each watch receives the server's history, sometimes as a complete list, at its own pace.
    #[test]
    fn the_last_state_wins(
        events in prop::collection::vec(event(), 0..20),
        relists in prop::collection::vec(any::<bool>(), 40),
        turns in prop::collection::vec(0..2_usize, 200),
    ) {
        let mut history = vec![BTreeMap::<usize, (usize, u64)>::new()];
        for (name, event) in &events {
            let mut state = history[history.len() - 1].clone();
            match event {
                Event::Put(watch) => drop(state.insert(*name, (*watch, history.len() as u64))),
                Event::Remove => drop(state.remove(name)),
            }
            history.push(state);
        }
        let mut streams = [0, 1].map(|watch| {
            let mut words = listed(&history, 0, watch);
            for version in 1..history.len() {
                if relists[version * 2 % 40 + watch] {
                    words.extend(listed(&history, version, watch));
                    continue;
                }
                let (before, after) = (&history[version - 1], &history[version]);
                let name = events[version - 1].0;
                let is_mine = |state: &BTreeMap<usize, (usize, u64)>| {
                    state.get(&name).filter(|(of, _)| *of == watch).map(|(_, version)| *version)
                };
                match (is_mine(before), is_mine(after)) {
                    (_, Some(version)) => words.push(Word::Apply(item(&name.to_string(), version))),
                    (Some(_), None) => words.push(Word::Delete(key("shop", &name.to_string()))),
                    (None, None) => {}
                }
            }
            words.into_iter().peekable()
        });
        let mut merger = Merger::new(WATCHES);
        let mut changes = Vec::new();
        for turn in turns {
            if let Some(word) = streams[turn].next() {
                merger.hear(turn, word, &mut changes);
            }
        }
        for (watch, stream) in streams.iter_mut().enumerate() {
            for word in stream {
                merger.hear(watch, word, &mut changes);
            }
        }
        let expected: BTreeMap<String, String> = history[history.len() - 1]
            .iter()
            .map(|(name, (_, version))| {
                (name.to_string(), format!("10.0.{}.{}", version / 256, version % 256))
            })
            .collect();
        prop_assert_eq!(applied(&changes), expected);
    }
}
