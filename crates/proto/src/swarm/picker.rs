//! Which pieces to ask for next: the rarest first, equals in order from a place that dice choose.
//!
//! The pieces that may be asked for lie in classes by how many peers hold them, one bit set per
//! class, so that a piece changes class with two bits and a pick never sorts. Peers that hold
//! everything count for no piece: they make none rarer than another.
//!
//! A node goes on in order, which is good for disks and blocks, until it meets a piece that it
//! cannot take, or hears that another has got what it has asked for; then it jumps. Would it only
//! step over what others have taken, all nodes would soon take the same pieces at the same time.

use potluck_base::{PieceRange, PieceSet, limits};
use potluck_content::PieceMap;

use super::PIECE_OVERHEAD;
use crate::dice::Dice;

/// Up to how many holders each number has a class of its own: most swarms are smaller.
const EXACT_HOLDERS: u16 = 12;
/// Smallest number of holders of each class after those: who has that many is far from rare.
const COARSE_CLASSES: [u16; 4] = [12, 16, 24, 40];
const CLASSES: usize = EXACT_HOLDERS as usize + COARSE_CLASSES.len();

/// The pieces that may be asked for, by rarity.
pub(super) struct Picker {
    /// How many peers hold each piece, not counting those that hold everything.
    holders: Vec<u16>,
    classes: Vec<PieceSet>,
    /// Where to go on in each class. One place for all would lead from the pieces that a peer has
    /// got to those that it is getting.
    next: [u32; CLASSES],
    dice: Dice,
}

/// The pieces of one peer, as the picker needs to know them.
#[derive(Clone, Copy)]
pub(super) enum Holds<'a> {
    /// Everything, and it is not counted among the holders.
    All,
    /// These.
    Some(&'a PieceSet),
}

impl Picker {
    /// None of `total` pieces may be asked for yet, and nobody holds any.
    pub(super) fn new(total: u32, dice: Dice) -> Self {
        Self {
            holders: vec![0; total as usize],
            classes: vec![PieceSet::none(total); CLASSES],
            next: [0; CLASSES],
            dice,
        }
    }

    /// Whether this is the picker of a node that wants nothing.
    pub(super) fn is_asleep(&self) -> bool {
        self.holders.is_empty()
    }

    /// Go on from anywhere: another node is taking the same pieces in the same order.
    pub(super) fn jump(&mut self) {
        self.next = [u32::MAX; CLASSES];
    }

    /// One more peer holds these.
    pub(super) fn add_holder(&mut self, range: PieceRange) {
        self.recount(range, |holders| holders.saturating_add(1));
    }

    /// One peer fewer holds these.
    pub(super) fn remove_holder(&mut self, range: PieceRange) {
        self.recount(range, |holders| holders.saturating_sub(1));
    }

    /// Whether a peer that does not hold everything holds this piece.
    pub(super) fn is_held(&self, piece: u32) -> bool {
        self.holders.get(piece as usize).is_some_and(|holders| *holders > 0)
    }

    /// This piece may be asked for.
    pub(super) fn offer(&mut self, piece: u32) {
        if let Some(holders) = self.holders.get(piece as usize) {
            self.classes[class(*holders)].insert(piece);
        }
    }

    /// This piece may no longer be asked for.
    pub(super) fn withdraw(&mut self, piece: u32) {
        if let Some(holders) = self.holders.get(piece as usize) {
            self.classes[class(*holders)].remove(piece);
        }
    }

    /// Whether this piece may be asked for, and lies in the class where it belongs.
    #[cfg(test)]
    pub(super) fn offers(&self, piece: u32) -> bool {
        let classes: Vec<usize> =
            (0..CLASSES).filter(|class| self.classes[*class].contains(piece)).collect();
        let belongs = self.holders.get(piece as usize).map(|holders| class(*holders));
        assert!(classes.is_empty() || classes == Vec::from_iter(belongs), "class of {piece}");
        !classes.is_empty()
    }

    /// How many peers, not counting those with everything, hold a piece.
    #[cfg(test)]
    pub(super) fn holders(&self, piece: u32) -> u16 {
        self.holders[piece as usize]
    }

    /// Takes pieces that a peer holds, worth at most `budget`; in order, disjoint, neighbours
    /// joined.
    pub(super) fn pick(
        &mut self,
        map: &PieceMap,
        holds: Holds<'_>,
        budget: u64,
    ) -> Vec<PieceRange> {
        let mut basket = Basket { map, budget, full: false, next: 0, ranges: Vec::new() };
        for (class, next) in self.classes.iter_mut().zip(&mut self.next) {
            if basket.full {
                break;
            }
            if class.is_empty() {
                continue;
            }
            let before = basket.ranges.len();
            basket.next = *next;
            match holds {
                Holds::All => basket.fill_from(class, &mut self.dice),
                Holds::Some(have) => {
                    let mut common = class.clone();
                    common.keep_all(have);
                    basket.fill_from(&common, &mut self.dice);
                }
            }
            *next = basket.next;
            for range in &basket.ranges[before..] {
                class.remove_range(*range);
            }
        }
        in_order(basket.ranges)
    }

    fn recount(&mut self, range: PieceRange, change: impl Fn(u16) -> u16) {
        for piece in range.intersect(PieceRange::new(0, self.holders.len() as u32)).iter() {
            let holders = &mut self.holders[piece as usize];
            let before = class(*holders);
            *holders = change(*holders);
            let after = class(*holders);
            if before != after && self.classes[before].remove(piece) {
                self.classes[after].insert(piece);
            }
        }
    }
}

/// What one pick has gathered so far.
struct Basket<'a> {
    map: &'a PieceMap,
    budget: u64,
    full: bool,
    next: u32,
    ranges: Vec<PieceRange>,
}

impl Basket<'_> {
    /// Takes pieces of a class: on from where the last were taken, else from anywhere, and round.
    fn fill_from(&mut self, pieces: &PieceSet, dice: &mut Dice) {
        let total = pieces.capacity();
        let start = match pieces.contains(self.next) {
            true => self.next,
            false => dice.below(u64::from(total)) as u32,
        };
        for part in [PieceRange::new(start, total), PieceRange::new(0, start)] {
            let mut at = part.start;
            while !self.full {
                let first = pieces.first_present(at);
                if first >= part.end {
                    break;
                }
                at = pieces.first_absent(first).min(part.end);
                self.take(PieceRange::new(first, at));
            }
        }
    }

    /// Takes as much of a range, from its start, as the budget allows.
    fn take(&mut self, range: PieceRange) {
        let mut end = range.start;
        for piece in range.iter() {
            let cost = u64::from(self.map.piece_len(piece)) + u64::from(PIECE_OVERHEAD);
            if cost > self.budget {
                // A smaller piece might still fit, but it is not its turn.
                self.full = true;
                break;
            }
            self.budget -= cost;
            end = piece + 1;
        }
        if end > range.start {
            self.ranges.push(PieceRange::new(range.start, end));
            self.next = end;
        }
        if self.ranges.len() == limits::RANGES {
            self.full = true;
        }
    }
}

/// The class of pieces with so many holders.
fn class(holders: u16) -> usize {
    if holders < EXACT_HOLDERS {
        return usize::from(holders);
    }
    usize::from(EXACT_HOLDERS) + COARSE_CLASSES.partition_point(|least| *least <= holders) - 1
}

/// Sorts disjoint ranges and joins neighbours.
pub(super) fn in_order(mut ranges: Vec<PieceRange>) -> Vec<PieceRange> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let joins = before.end == next.start;
        if joins {
            before.end = next.end;
        }
        joins
    });
    ranges
}

#[cfg(test)]
mod tests {
    use potluck_base::ContentId;

    use super::*;

    /// A file of `pieces` pieces of 64 KiB, and a picker that may ask for all of them.
    fn picker(holders: &str, start: u32) -> (PieceMap, Picker) {
        let total = holders.len() as u32;
        let map = PieceMap::one_file(u64::from(total) << 16, ContentId([0; 32]));
        let mut picker = Picker::new(total, Dice::new(1));
        picker.next = [start; CLASSES];
        for (piece, count) in holders.bytes().enumerate() {
            picker.offer(piece as u32);
            for _ in b'0'..count {
                picker.add_holder(PieceRange::one(piece as u32));
            }
        }
        (map, picker)
    }

    fn set(drawn: &str) -> PieceSet {
        let mut set = PieceSet::none(drawn.len() as u32);
        for (piece, _) in drawn.bytes().enumerate().filter(|(_, mark)| *mark == b'#') {
            set.insert(piece as u32);
        }
        set
    }

    fn drawn(total: u32, ranges: &[PieceRange]) -> String {
        let set = PieceSet::from_ranges(total, ranges.iter().copied());
        (0..total).map(|piece| if set.contains(piece) { '#' } else { '.' }).collect()
    }

    /// A budget for so many pieces of 64 KiB.
    fn budget(pieces: u64) -> u64 {
        pieces * ((1 << 16) + u64::from(PIECE_OVERHEAD))
    }

    #[test]
    fn the_rarest_pieces_that_the_peer_has_come_first() {
        let (map, mut picker) = picker("2113231", 0);
        let have = set("####.##");
        for (count, expected) in [(3, ".##...#"), (1, "#......"), (9, "...#.#.")] {
            let ranges = picker.pick(&map, Holds::Some(&have), budget(count));
            assert_eq!(drawn(7, &ranges), expected);
        }
        assert!(picker.pick(&map, Holds::Some(&have), budget(9)).is_empty());
        // Piece 4 is left: that peer lacked it, one with everything does not.
        assert_eq!(drawn(7, &picker.pick(&map, Holds::All, budget(9))), "....#..");
        assert!(picker.pick(&map, Holds::All, budget(9)).is_empty());
    }

    #[test]
    fn equals_are_taken_in_order_and_round() {
        let (map, mut picker) = picker("00000000", 5);
        assert_eq!(drawn(8, &picker.pick(&map, Holds::All, budget(2))), ".....##.");
        assert_eq!(drawn(8, &picker.pick(&map, Holds::All, budget(3))), "##.....#");
        let ranges = picker.pick(&map, Holds::All, budget(3));
        assert_eq!(ranges, [PieceRange::new(2, 5)]);
    }

    #[test]
    fn where_to_begin_and_where_to_jump_is_left_to_the_dice() {
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let (map, mut picker) = picker(&"0".repeat(1000), 0);
            picker.dice = Dice::new(seed);
            picker.jump();
            places.insert(picker.pick(&map, Holds::All, budget(1))[0].start);
            picker.jump();
            places.insert(picker.pick(&map, Holds::All, budget(1))[0].start);
        }
        assert!(places.len() > 35, "{places:?}");
    }

    #[test]
    fn a_budget_is_never_exceeded() {
        let (map, mut picker) = picker("0000", 0);
        assert!(picker.pick(&map, Holds::All, budget(1) - 1).is_empty());
        assert_eq!(picker.pick(&map, Holds::All, budget(3) - 1), [PieceRange::new(0, 2)]);
        // What did not fit may still be asked for.
        assert_eq!(picker.pick(&map, Holds::All, budget(4)), [PieceRange::new(2, 4)]);
    }

    #[test]
    fn a_piece_follows_its_holders_from_class_to_class() {
        let (map, mut picker) = picker("00", 0);
        let counts: Vec<u16> = (0..60).collect();
        let classes: Vec<usize> = counts.iter().map(|count| class(*count)).collect();
        assert!(
            classes.is_sorted() && classes[59] == CLASSES - 1 && classes[11] + 1 == classes[12]
        );
        for _ in 0..60 {
            picker.add_holder(PieceRange::one(0));
        }
        assert_eq!(picker.pick(&map, Holds::All, budget(1)), [PieceRange::one(1)]);
        picker.offer(1);
        picker.add_holder(PieceRange::one(1));
        for _ in 0..60 {
            picker.remove_holder(PieceRange::one(0));
        }
        assert!(!picker.is_held(0) && picker.is_held(1));
        assert_eq!(picker.pick(&map, Holds::All, budget(1)), [PieceRange::one(0)]);
        picker.withdraw(1);
        assert!(picker.pick(&map, Holds::All, budget(9)).is_empty());
    }
}
