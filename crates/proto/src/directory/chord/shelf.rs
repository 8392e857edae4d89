//! The records that one peer keeps.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{Time, limits};

use super::{Digest, Reject, RingId, Slot, Value};

/// Records by key and slot.
pub(super) struct Shelf<V> {
    kept: BTreeMap<(RingId, Slot), Kept<V>>,
    /// Bytes under each key that has several records.
    sizes: BTreeMap<RingId, usize>,
    /// Keys under which there was no room once: others stand under the keys below since.
    split: BTreeSet<RingId>,
    bytes: usize,
}

struct Kept<V> {
    record: V,
    hash: u128,
    /// When somebody last wanted it kept here.
    wanted: Time,
}

const FIRST: Slot = Slot([0; 16]);
const LAST: Slot = Slot([0xff; 16]);

impl<V: Value> Shelf<V> {
    pub(super) fn new() -> Self {
        Self { kept: BTreeMap::new(), sizes: BTreeMap::new(), split: BTreeSet::new(), bytes: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RingId, &V)> {
        self.kept.iter().map(|((key, _), kept)| (*key, &kept.record))
    }

    pub(super) fn get(&self, key: RingId, slot: Slot) -> Option<&V> {
        self.kept.get(&(key, slot)).map(|kept| &kept.record)
    }

    /// All records under a key.
    pub(super) fn under(&self, key: RingId) -> impl Iterator<Item = &V> {
        self.kept.range((key, FIRST)..=(key, LAST)).map(|(_, kept)| &kept.record)
    }

    /// Whether there is no room for more under a key, or was none: what was sent on then would be
    /// missed if the key counted as whole again.
    pub(super) fn is_full(&self, key: RingId) -> bool {
        self.split.contains(&key)
            || self.size(key) + limits::RING_RECORD_BYTES > limits::RING_KEY_BYTES
    }

    /// Something was sent on for want of room.
    pub(super) fn note_split(&mut self, key: RingId) {
        self.split.insert(key);
    }

    fn size(&self, key: RingId) -> usize {
        self.sizes.get(&key).copied().unwrap_or(0)
    }

    /// Takes a record that was kept before.
    pub(super) fn restore(&mut self, key: RingId, record: V) {
        self.insert(Time::ZERO, key, record);
    }

    /// Somebody wants a record kept that is here already.
    pub(super) fn want(&mut self, now: Time, key: RingId, slot: Slot) {
        if let Some(kept) = self.kept.get_mut(&(key, slot)) {
            kept.wanted = now;
        }
    }

    /// When somebody last wanted a record kept here.
    pub(super) fn wanted(&self, key: RingId, slot: Slot) -> Option<Time> {
        self.kept.get(&(key, slot)).map(|kept| kept.wanted)
    }

    /// Whether a record may be kept; whether it would be new, or the same is there already. What an
    /// owner has taken has room with those who keep copies.
    pub(super) fn judge(&self, key: RingId, record: &V, copy: bool) -> Result<bool, Reject> {
        let bytes = record.bytes();
        let before = self.kept.get(&(key, record.slot()));
        match before.map(|kept| kept.record.version()) {
            Some(version) if version > record.version() => return Err(Reject::Stale),
            Some(version) if version == record.version() => return Ok(false),
            // What takes the place of another needs no room, or little.
            Some(_) => return Ok(true),
            None => {}
        }
        if bytes > limits::RING_RECORD_BYTES {
            Err(Reject::Bad)
        } else if self.bytes + bytes > limits::RING_BYTES {
            Err(Reject::Busy)
        } else if self.is_full(key) && !record.removes() && !copy {
            Err(Reject::Full)
        } else {
            Ok(true)
        }
    }

    /// Puts a record in, in place of one with the same slot.
    pub(super) fn insert(&mut self, now: Time, key: RingId, record: V) {
        let slot = record.slot();
        if let Some(before) = self.kept.get(&(key, slot)) {
            self.take_off(key, before.record.bytes());
        }
        let hash = Digest::hash(key, slot, record.version());
        self.bytes += record.bytes();
        *self.sizes.entry(key).or_default() += record.bytes();
        self.kept.insert((key, slot), Kept { record, hash, wanted: now });
    }

    pub(super) fn remove(&mut self, key: RingId, slot: Slot) {
        if let Some(gone) = self.kept.remove(&(key, slot)) {
            self.take_off(key, gone.record.bytes());
            if self.size(key) == 0 {
                self.sizes.remove(&key);
                self.split.remove(&key);
            }
        }
    }

    fn take_off(&mut self, key: RingId, bytes: usize) {
        self.bytes -= bytes;
        if let Some(size) = self.sizes.get_mut(&key) {
            *size = size.saturating_sub(bytes);
        }
    }

    /// The records of a range `(from, to]`, clockwise; of the whole circle if both are the same.
    pub(super) fn range(&self, from: RingId, to: RingId) -> impl Iterator<Item = (RingId, &V)> {
        self.pieces(from, to).map(|((key, _), kept)| (*key, &kept.record))
    }

    fn pieces(
        &self,
        from: RingId,
        to: RingId,
    ) -> impl Iterator<Item = (&(RingId, Slot), &Kept<V>)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let (from, to) = ((from, LAST), (to, LAST));
        let (first, second) = if from < to {
            (self.kept.range((Excluded(from), Included(to))), None)
        } else {
            let around = self.kept.range((Unbounded, Included(to)));
            (self.kept.range((Excluded(from), Unbounded)), Some(around))
        };
        first.chain(second.into_iter().flatten())
    }

    /// What the records of a range come to, of those that are to have more copies than `rank`.
    pub(super) fn digest(&self, from: RingId, to: RingId, fits: impl Fn(&V) -> bool) -> Digest {
        let mut digest = Digest::default();
        for (_, kept) in self.pieces(from, to).filter(|(_, kept)| fits(&kept.record)) {
            digest.add(kept.hash);
        }
        digest
    }

    /// The names of all records whose time is over.
    pub(super) fn expired(&self, now_ms: u64) -> Vec<(RingId, Slot)> {
        let over = self.kept.iter().filter(|(_, kept)| kept.record.expires_ms() < now_ms);
        over.map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::chord::scenes::Note;

    fn shelf(keys: &[u128]) -> Shelf<Note> {
        let mut shelf = Shelf::new();
        for key in keys {
            shelf.insert(Time::ZERO, RingId(*key), Note::new(*key as u64, 1));
        }
        shelf
    }

    #[test]
    fn a_range_goes_around_the_end_and_excludes_its_beginning() {
        let shelf = shelf(&[1, 5, 9]);
        let keys = |from, to| -> Vec<u128> {
            shelf.range(RingId(from), RingId(to)).map(|(key, _)| key.0).collect()
        };
        assert_eq!(keys(1, 9), [5, 9]);
        assert_eq!(keys(8, 1), [9, 1]);
        assert_eq!(keys(5, 5), [9, 1, 5]);
        assert_eq!(keys(9, 0), [0; 0]);
    }

    #[test]
    fn what_takes_the_place_of_another_frees_its_bytes() {
        let mut shelf = shelf(&[7]);
        let before = shelf.bytes();
        shelf.insert(Time::ZERO, RingId(7), Note::new(7, 2));
        assert_eq!((shelf.count(), shelf.bytes()), (1, before));
        assert_eq!(shelf.judge(RingId(7), &Note::new(7, 1), false), Err(Reject::Stale));
        assert_eq!(shelf.judge(RingId(7), &Note::new(7, 2), false), Ok(false));
        shelf.remove(RingId(7), Note::new(7, 2).slot());
        assert_eq!((shelf.count(), shelf.bytes()), (0, 0));
    }

    #[test]
    fn equal_records_have_equal_digests_in_any_order() {
        let (one, other) = (shelf(&[1, 2, 3]), shelf(&[3, 1, 2]));
        let all = |shelf: &Shelf<Note>| shelf.digest(RingId(0), RingId(0), |_| true);
        assert_eq!(all(&one), all(&other));
        assert_ne!(all(&one), all(&shelf(&[1, 2])));
    }
}
