//! A small memory of what was used last, bounded by weight.

use std::collections::VecDeque;

/// Keeps what was used last, until the weights add up to more than allowed.
///
/// Meant for tens of entries: looking one up walks the list.
pub(crate) struct Lru<K, V> {
    entries: VecDeque<(K, V, u64)>,
    weight: u64,
    weight_max: u64,
}

impl<K: PartialEq, V: Clone> Lru<K, V> {
    pub(crate) fn new(weight_max: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            weight: 0,
            weight_max,
        }
    }

    /// The value, which counts as used now.
    pub(crate) fn get<Q: PartialEq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let at = self
            .entries
            .iter()
            .position(|(known, ..)| known.borrow() == key)?;
        let entry = self.entries.remove(at)?;
        let value = entry.1.clone();
        self.entries.push_front(entry);
        Some(value)
    }

    /// Remembers a value; what was not used for longest goes. A value too heavy by itself is kept
    /// until the next comes.
    pub(crate) fn put(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        self.weight += weight;
        self.entries.push_front((key, value, weight));
        while self.weight > self.weight_max && self.entries.len() > 1 {
            if let Some((_, _, weight)) = self.entries.pop_back() {
                self.weight -= weight;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(at) = self.entries.iter().position(|(known, ..)| known == key)
            && let Some((_, _, weight)) = self.entries.remove(at)
        {
            self.weight -= weight;
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
        assert_eq!(
            [lru.get(&0), lru.get(&3), lru.get(&4)],
            [None, Some(30), Some(40)]
        );
        lru.put(5, 50, 99);
        assert_eq!([lru.get(&4), lru.get(&5)], [None, Some(50)]);
    }
}
