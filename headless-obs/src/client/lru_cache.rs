//! A map with a limit that drops entries that were not used recently.
//!
//! It has two generations. A used entry goes to the young generation. When that is full, it becomes the old one, and
//! the entries that are still in the old one are dropped. So an entry survives at least one generation of other
//! entries, and no operation visits more than one entry.

use std::hash::Hash;

use crate::hash::HashMap;

#[derive(Debug)]
pub(super) struct LruCache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> LruCache<K, V> {
    /// With room for `capacity` entries, at least 2.
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: (capacity / 2).max(1) }
    }

    /// The value of `key`, which now counts as used, and the values that were dropped for it.
    pub(super) fn get(&mut self, key: &K) -> (Option<&mut V>, Vec<V>) {
        let mut forgotten = Vec::new();
        if let Some((key, value)) = self.old.remove_entry(key) {
            forgotten = self.insert(key, value);
        }
        (self.young.get_mut(key), forgotten)
    }

    /// The value of `key`, which does not count as used.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.young.iter().chain(&self.old)
    }

    /// Adds or replaces an entry; returns the values that were dropped for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> Vec<V> {
        self.old.remove(&key);
        let mut forgotten = Vec::new();
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            forgotten =
                std::mem::replace(&mut self.old, std::mem::take(&mut self.young)).into_values().collect();
        }
        self.young.insert(key, value);
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let mut recent = LruCache::new(20);
        let mut forgotten = recent.insert(0, "used").len() + recent.insert(1, "not used").len();
        for key in 2..1000 {
            forgotten += recent.insert(key, "other").len() + recent.get(&0).1.len();
            assert_eq!(recent.peek(&0), Some(&"used"));
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.peek(&1), None);
        assert_eq!(forgotten, 1000 - recent.young.len() - recent.old.len());
    }

    #[test]
    fn entries_that_are_all_in_use_stay_within_bounds() {
        let mut recent = LruCache::new(20);
        for key in 0..20 {
            recent.insert(key, ());
        }
        let mut forgotten = 0;
        for key in 0..20 {
            forgotten += recent.get(&key).1.len();
            assert!(recent.young.len() <= 10 && recent.old.len() <= 10);
        }
        assert_eq!(forgotten, 20 - recent.young.len() - recent.old.len());
    }

    #[test]
    fn an_entry_survives_at_least_half_the_capacity() {
        let mut recent = LruCache::new(20);
        recent.insert(0, ());
        for key in 1..=10 {
            recent.insert(key, ());
        }
        assert!(recent.peek(&0).is_some());
    }
}
