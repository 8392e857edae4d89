//! A small memory of what was used last, bounded by weight.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Keeps what was used last, until the weights add up to more than allowed.
///
/// Looking up is cheap; making room walks all entries, of which there should be a thousand at most.
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    weight: u64,
    weight_max: u64,
    uses: u64,
}

struct Entry<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(weight_max: u64) -> Self {
        Self { entries: HashMap::new(), weight: 0, weight_max, uses: 0 }
    }

    /// The value, which counts as used now.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    /// Remembers a value; what was not used for longest goes. A value too heavy by itself is kept
    /// until the next comes.
    pub(crate) fn put(&mut self, key: K, value: V, weight: u64) {
        self.uses += 1;
        self.weight += weight;
        let entry = Entry { value, weight, used: self.uses };
        if let Some(old) = self.entries.insert(key, entry) {
            self.weight -= old.weight;
        }
        while self.weight > self.weight_max && self.entries.len() > 1 {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.remove(&key);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(old) = self.entries.remove(key) {
            self.weight -= old.weight;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut lru = Lru::new(3);
        for key in 0..3 {
            lru.put(key, key * 10, 1);
        }
        assert_eq!(lru.get(&0), Some(0));
        lru.put(3, 30, 1);
        assert_eq!(
            [lru.get(&0), lru.get(&1), lru.get(&2), lru.get(&3)],
            [Some(0), None, Some(20), Some(30)]
        );
        lru.put(4, 40, 2);
        assert_eq!([lru.get(&0), lru.get(&3), lru.get(&4)], [None, Some(30), Some(40)]);
        lru.put(5, 50, 99);
        assert_eq!([lru.get(&4), lru.get(&5)], [None, Some(50)]);
    }
}
