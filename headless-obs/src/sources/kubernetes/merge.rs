//! Merges several watches into one topology. Pure.
//!
//! In: the events of each watch, in its own order. Out: [`Change`]s.
//!
//! A slice can move from one watch to another when its labels change, and the two watches report that in any order.
//! Invariants:
//! - An object belongs to the watch with the newest report about it, by resource version. Older reports of other
//!   watches are ignored, and only its own watch can delete the object.
//! - An object that a watch's complete list lacks is deleted if it belongs to that watch. Until the list is complete,
//!   everything stays.
//! - An object that cannot be read keeps its last readable state until it can be read again or is deleted: its
//!   endpoints exist, whatever is wrong with the rest.

use std::collections::{HashMap, HashSet};

use kube::ResourceExt;

use super::super::convert::Invalid;
use super::watches::WatchKind;
use crate::topology::model::{Change, Kind, Object, ObjectKey};

/// An object as a watch reports it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: ObjectKey,
    /// None if the server's versions are not numbers.
    pub(super) version: Option<u64>,
    /// The content; nothing if it cannot matter.
    pub(super) content: Result<Option<Object>, Invalid>,
}

/// An event of a watch.
#[derive(Debug)]
pub(super) enum Word {
    /// A list begins.
    Begin,
    /// The list has this object.
    Listed(Item),
    /// The list is complete.
    Complete,
    /// The object is new or changed.
    Apply(Item),
    /// The object is gone, or no longer belongs to the watch.
    Delete(ObjectKey),
}

/// The version of an object, if it is a number.
pub(super) fn version(object: &impl ResourceExt) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// All known objects, each with the watch to which it belongs.
#[derive(Debug)]
pub(super) struct Merger {
    watches: Vec<WatchedKind>,
    held: HashMap<(Kind, ObjectKey), Held>,
    /// Objects that could not be read, since the start.
    rejected: u64,
}

#[derive(Debug)]
struct WatchedKind {
    kind: Kind,
    /// The list that is being received.
    list: Option<Vec<Item>>,
    /// Lists received.
    lists: u64,
}

#[derive(Debug)]
struct Held {
    watch: usize,
    version: Option<u64>,
    /// Whether the topology has it.
    is_shown: bool,
}

impl Merger {
    /// For these watches; their position in the list identifies them.
    pub(super) fn new(watches: impl IntoIterator<Item = WatchKind>) -> Self {
        let part = |what: WatchKind| WatchedKind { kind: what.kind(), list: None, lists: 0 };
        Self { watches: watches.into_iter().map(part).collect(), held: HashMap::new(), rejected: 0 }
    }

    /// Objects that could not be read.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The number of times that a watch listed everything again.
    pub(super) fn relists(&self) -> u64 {
        self.watches.iter().map(|part| part.lists.saturating_sub(1)).sum()
    }

    /// The number of objects of a kind.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.held.iter().filter(|((of, _), held)| *of == kind && held.is_shown).count()
    }

    /// Takes an event of a watch; appends the resulting changes.
    pub(super) fn hear(&mut self, watch: usize, word: Word, changes: &mut Vec<Change>) {
        let Some(part) = self.watches.get_mut(watch) else { return };
        let kind = part.kind;
        match word {
            Word::Begin => part.list = Some(Vec::new()),
            Word::Listed(item) => part.list.get_or_insert_default().push(item),
            Word::Complete => {
                part.lists += 1;
                let list = part.list.take().unwrap_or_default();
                self.replace(watch, kind, list, changes);
            }
            Word::Apply(item) => self.apply(watch, kind, item, changes),
            Word::Delete(key) => self.delete(watch, kind, key, changes),
        }
    }

    fn replace(&mut self, watch: usize, kind: Kind, list: Vec<Item>, changes: &mut Vec<Change>) {
        let listed: HashSet<ObjectKey> = list.iter().map(|item| item.key.clone()).collect();
        for item in list {
            self.apply(watch, kind, item, changes);
        }
        let gone = |((of, key), held): (&(Kind, ObjectKey), &Held)| {
            (*of == kind && held.watch == watch && !listed.contains(key)).then(|| key.clone())
        };
        let gone: Vec<_> = self.held.iter().filter_map(gone).collect();
        for key in gone {
            self.delete(watch, kind, key, changes);
        }
        self.held.shrink_to_fit();
    }

    fn apply(&mut self, watch: usize, kind: Kind, item: Item, changes: &mut Vec<Change>) {
        let Item { key, version, content } = item;
        let before = self.held.get(&(kind, key.clone()));
        let is_old = |held: &Held| {
            held.watch != watch && version.zip(held.version).is_some_and(|(new, old)| new < old)
        };
        if before.is_some_and(is_old) {
            return;
        }
        let was_shown = before.is_some_and(|held| held.is_shown);
        let is_shown = match content {
            Ok(Some(object)) => {
                changes.push(Change::Apply(object));
                true
            }
            Ok(None) => {
                if was_shown {
                    changes.push(Change::Delete(kind, key.clone()));
                }
                false
            }
            Err(invalid) => {
                self.rejected += 1;
                tracing::warn!(
                    namespace = &*key.namespace,
                    name = &*key.name,
                    "{kind:?} rejected: {}: {}",
                    invalid.path,
                    invalid.reason
                );
                was_shown
            }
        };
        self.held.insert((kind, key), Held { watch, version, is_shown });
    }

    fn delete(&mut self, watch: usize, kind: Kind, key: ObjectKey, changes: &mut Vec<Change>) {
        let place = (kind, key);
        if self.held.get(&place).is_none_or(|held| held.watch != watch) {
            return;
        }
        let was_shown = self.held.remove(&place).is_some_and(|held| held.is_shown);
        if was_shown {
            changes.push(Change::Delete(kind, place.1));
        }
    }
}

#[cfg(test)]
mod tests;
