//! Ranges and sets of piece numbers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Consecutive pieces, `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PieceRange {
    /// The first piece.
    pub start: u32,
    /// The piece after the last.
    pub end: u32,
}

impl PieceRange {
    /// The pieces from `start` up to but not including `end`; empty if `end` comes first.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end: end.max(start) }
    }

    /// One piece.
    pub fn one(piece: u32) -> Self {
        Self { start: piece, end: piece.saturating_add(1) }
    }

    /// How many pieces.
    pub fn len(&self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `piece` is one of them.
    pub fn contains(&self, piece: u32) -> bool {
        (self.start..self.end).contains(&piece)
    }

    /// The pieces in both.
    pub fn intersect(&self, other: PieceRange) -> PieceRange {
        PieceRange::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The piece numbers, in order.
    pub fn iter(&self) -> Range<u32> {
        self.start..self.end
    }
}

/// A set of pieces out of `0..capacity`, one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceSet {
    words: Vec<u64>,
    capacity: u32,
    count: u32,
}

impl PieceSet {
    /// No pieces, out of `capacity`.
    pub fn none(capacity: u32) -> Self {
        Self { words: vec![0; (capacity as usize).div_ceil(64)], capacity, count: 0 }
    }

    /// All pieces, out of `capacity`.
    pub fn all(capacity: u32) -> Self {
        let mut set = Self::none(capacity);
        set.insert_range(PieceRange::new(0, capacity));
        set
    }

    /// The set with these ranges; what lies beyond `capacity` is left out.
    pub fn from_ranges(capacity: u32, ranges: impl IntoIterator<Item = PieceRange>) -> Self {
        let mut set = Self::none(capacity);
        for range in ranges {
            set.insert_range(range);
        }
        set
    }

    /// How many pieces it could have.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many pieces it has.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether it has all.
    pub fn is_full(&self) -> bool {
        self.count == self.capacity
    }

    /// Whether it has this piece.
    pub fn contains(&self, piece: u32) -> bool {
        self.words.get(piece as usize / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    /// Whether it has every piece of the range.
    pub fn contains_range(&self, range: PieceRange) -> bool {
        range.end <= self.capacity && self.first_absent(range.start) >= range.end
    }

    /// Adds a piece; whether it was new. A piece beyond the capacity is ignored.
    pub fn insert(&mut self, piece: u32) -> bool {
        if piece >= self.capacity || self.contains(piece) {
            return false;
        }
        self.words[piece as usize / 64] |= 1 << (piece % 64);
        self.count += 1;
        true
    }

    /// Takes a piece out; whether it was there.
    pub fn remove(&mut self, piece: u32) -> bool {
        if !self.contains(piece) {
            return false;
        }
        self.words[piece as usize / 64] &= !(1 << (piece % 64));
        self.count -= 1;
        true
    }

    /// Adds a range; how many were new. What lies beyond the capacity is ignored.
    pub fn insert_range(&mut self, range: PieceRange) -> u32 {
        let before = self.count;
        self.for_words(range, |word, mask| *word |= mask);
        self.count - before
    }

    /// Takes a range out; how many were there.
    pub fn remove_range(&mut self, range: PieceRange) -> u32 {
        let before = self.count;
        self.for_words(range, |word, mask| *word &= !mask);
        before - self.count
    }

    /// Adds every piece of `other`, which has the same capacity.
    pub fn insert_all(&mut self, other: &PieceSet) {
        self.zip(other, |a, b| a | b);
    }

    /// Takes out every piece of `other`, which has the same capacity.
    pub fn remove_all(&mut self, other: &PieceSet) {
        self.zip(other, |a, b| a & !b);
    }

    /// Keeps only pieces that `other`, of the same capacity, has too.
    pub fn keep_all(&mut self, other: &PieceSet) {
        self.zip(other, |a, b| a & b);
    }

    /// The first piece at or after `from` that it has; `capacity` if there is none.
    pub fn first_present(&self, from: u32) -> u32 {
        self.first(from, |word| word)
    }

    /// The first piece at or after `from` that it lacks; `capacity` if there is none.
    pub fn first_absent(&self, from: u32) -> u32 {
        self.first(from, |word| !word)
    }

    /// Its pieces as ranges, in order.
    pub fn ranges(&self) -> Ranges<'_> {
        Ranges { set: self, at: 0 }
    }

    /// Its pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges().flat_map(|range| range.iter())
    }

    fn first(&self, from: u32, wanted: impl Fn(u64) -> u64) -> u32 {
        if from >= self.capacity {
            return self.capacity;
        }
        let mut index = from as usize / 64;
        let mut bits = wanted(self.words[index]) & (u64::MAX << (from % 64));
        while bits == 0 {
            index += 1;
            match self.words.get(index) {
                Some(word) => bits = wanted(*word),
                None => return self.capacity,
            }
        }
        (index as u32 * 64 + bits.trailing_zeros()).min(self.capacity)
    }

    fn for_words(&mut self, range: PieceRange, change: impl Fn(&mut u64, u64)) {
        let (mut at, end) = (range.start, range.end.min(self.capacity));
        while at < end {
            let bit = at % 64;
            let bits = (64 - bit).min(end - at);
            let mask = (u64::MAX >> (64 - bits)) << bit;
            let word = &mut self.words[at as usize / 64];
            let before = word.count_ones();
            change(word, mask);
            self.count = self.count + word.count_ones() - before;
            at += bits;
        }
    }

    fn zip(&mut self, other: &PieceSet, join: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.capacity, other.capacity, "sets of different contents");
        self.count = 0;
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = join(*word, *other);
            self.count += word.count_ones();
        }
    }
}

/// The ranges of a [`PieceSet`], in order.
pub struct Ranges<'a> {
    set: &'a PieceSet,
    at: u32,
}

impl Iterator for Ranges<'_> {
    type Item = PieceRange;

    fn next(&mut self) -> Option<PieceRange> {
        let start = self.set.first_present(self.at);
        if start >= self.set.capacity {
            return None;
        }
        self.at = self.set.first_absent(start);
        Some(PieceRange::new(start, self.at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A tiny generator: tests must not need a crate for dice.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u32) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % u64::from(limit)) as u32
        }
    }

    #[test]
    fn a_piece_set_behaves_as_an_ordinary_set() {
        for seed in 1..40 {
            let mut dice = Dice(seed);
            let capacity = 1 + dice.below(300);
            let (mut set, mut model) = (PieceSet::none(capacity), BTreeSet::new());
            for _ in 0..200 {
                let (a, b) = (dice.below(capacity + 9), dice.below(capacity + 9));
                let range = PieceRange::new(a.min(b), a.max(b));
                let inside = range.iter().filter(|p| *p < capacity);
                match dice.below(4) {
                    0 => assert_eq!(set.insert(a), a < capacity && model.insert(a)),
                    1 => assert_eq!(set.remove(a), model.remove(&a)),
                    2 => {
                        let new = inside.filter(|p| model.insert(*p)).count();
                        assert_eq!(set.insert_range(range) as usize, new);
                    }
                    _ => {
                        let gone = inside.filter(|p| model.remove(p)).count();
                        assert_eq!(set.remove_range(range) as usize, gone);
                    }
                }
                assert!(set.iter().eq(model.iter().copied()));
                assert_eq!(set.len() as usize, model.len());
                let all_in = range.iter().all(|p| model.contains(&p));
                assert_eq!(set.contains_range(range), range.end <= capacity && all_in);
                let rebuilt = PieceSet::from_ranges(capacity, set.ranges());
                assert_eq!(rebuilt, set);
            }
        }
    }

    #[test]
    fn sets_join_and_part() {
        let a = PieceSet::from_ranges(130, [PieceRange::new(0, 70), PieceRange::one(129)]);
        let b = PieceSet::from_ranges(130, [PieceRange::new(60, 130)]);
        let (mut both, mut only, mut any) = (a.clone(), a.clone(), a.clone());
        both.keep_all(&b);
        only.remove_all(&b);
        any.insert_all(&b);
        assert_eq!(
            both.ranges().collect::<Vec<_>>(),
            [PieceRange::new(60, 70), PieceRange::one(129)]
        );
        assert_eq!(only.ranges().collect::<Vec<_>>(), [PieceRange::new(0, 60)]);
        assert!(any.is_full());
        assert!(PieceSet::all(0).is_full() && PieceSet::none(0).is_empty());
    }
}
