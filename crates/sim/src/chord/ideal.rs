//! The circle as it is when all is well: neighbours and fingers of every peer, from a sorted list.

use potluck_proto::directory::chord::{OnRing, RING_BITS, RingId};

use super::spot::Spot;

/// Peers in the order of their places.
#[derive(Clone, Debug)]
pub struct Ideal {
    spots: Vec<(RingId, Spot)>,
}

/// What one peer knows on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Whose tables.
    pub own: Spot,
    /// Who stands before it; none if it is alone.
    pub predecessor: Option<Spot>,
    /// Who stands behind it, the next first.
    pub successors: Vec<Spot>,
    /// Fingers, each with its number; those that start among the successors are left out.
    pub fingers: Vec<(u8, Spot)>,
}

/// How tables are filled.
pub struct Wanted<'a> {
    /// Entries of the successor list.
    pub successors: usize,
    /// Whether there are fingers.
    pub fingers: bool,
    /// A finger is the nearest of so many.
    pub choices: usize,
    /// How far two are apart, if that counts.
    pub apart: &'a dyn Fn(Spot, Spot) -> u64,
}

impl Ideal {
    /// The circle of these peers.
    pub fn new(spots: impl Iterator<Item = Spot>) -> Self {
        let mut spots: Vec<(RingId, Spot)> = spots.map(|spot| (spot.ring_id(), spot)).collect();
        spots.sort_unstable();
        Self { spots }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }

    /// Who keeps a key: the first at or after it.
    pub fn owner(&self, key: RingId) -> Option<Spot> {
        let at = self.spots.partition_point(|(place, _)| *place < key);
        self.spots.get(at).or(self.spots.first()).map(|(_, spot)| *spot)
    }

    /// Who stands before a key.
    pub fn before(&self, key: RingId) -> Option<Spot> {
        let at = self.spots.partition_point(|(place, _)| *place < key);
        let before = at.checked_sub(1).or(self.len().checked_sub(1))?;
        Some(self.spots[before].1)
    }

    /// Everybody, in the order of places.
    pub fn spots(&self) -> impl Iterator<Item = Spot> {
        self.spots.iter().map(|(_, spot)| *spot)
    }

    /// So many from a key on, the owner first.
    pub fn keepers(&self, key: RingId, count: usize) -> Vec<Spot> {
        let at = self.spots.partition_point(|(place, _)| *place < key);
        (at..at + count.min(self.len())).map(|at| self.at(at).1).collect()
    }

    /// Hands out everybody's tables, in the order of places.
    pub fn tables(&self, wanted: &Wanted<'_>, mut take: impl FnMut(Tables)) {
        let count = self.len();
        // For each finger, the first peer at or after where it starts; it only moves on.
        let mut heads = [0usize; RING_BITS as usize];
        for (at, (place, own)) in self.spots.iter().enumerate() {
            let neighbours =
                (1..=wanted.successors.min(count - 1)).map(|step| self.at(at + step).1);
            let successors: Vec<Spot> = neighbours.collect();
            let mut tables = Tables {
                own: *own,
                predecessor: (count > 1).then(|| self.at(at + count - 1).1),
                successors,
                fingers: Vec::new(),
            };
            if wanted.fingers && count > 1 {
                // Those that start among the successors are not needed.
                let covered = place.distance_to(self.at(at + tables.successors.len()).0);
                let first = (covered.checked_ilog2().unwrap_or(0) + 1).min(RING_BITS);
                for bit in first..RING_BITS {
                    let head = &mut heads[bit as usize];
                    *head = (*head).max(at + 1);
                    // Compared with distances, so that going around once does not matter.
                    while *head < at + count && self.distance(at, *head) < 1 << bit {
                        *head += 1;
                    }
                    if *head < at + count {
                        tables.fingers.push((bit as u8, self.choose(at, *head, bit, wanted)));
                    }
                }
            }
            take(tables);
        }
    }

    /// The nearest of the first few peers in a finger's part of the circle.
    fn choose(&self, at: usize, head: usize, bit: u32, wanted: &Wanted<'_>) -> Spot {
        let own = self.at(at).1;
        let end = 1u128.checked_shl(bit + 1).unwrap_or(u128::MAX);
        let few = head..(head + wanted.choices.max(1)).min(at + self.len());
        let few = few.filter(|one| *one == head || self.distance(at, *one) < end);
        let nearest = few.min_by_key(|one| {
            if wanted.choices <= 1 { 0 } else { (wanted.apart)(own, self.at(*one).1) }
        });
        self.at(nearest.unwrap_or(head)).1
    }

    fn distance(&self, from: usize, to: usize) -> u128 {
        self.at(from).0.distance_to(self.at(to).0)
    }

    fn at(&self, index: usize) -> (RingId, Spot) {
        self.spots[index % self.spots.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(count: u32, choices: usize) -> (Ideal, Vec<Tables>) {
        let ideal = Ideal::new((0..count).map(Spot));
        let apart = |one: Spot, other: Spot| u64::from(one.0.abs_diff(other.0));
        let wanted = Wanted { successors: 4, fingers: true, choices, apart: &apart };
        let mut all = Vec::new();
        ideal.tables(&wanted, |tables| all.push(tables));
        (ideal, all)
    }

    #[test]
    fn neighbours_and_fingers_are_those_of_a_search_through_everybody() {
        let (ideal, all) = tables(100, 1);
        assert_eq!(all.len(), 100);
        for Tables { own, predecessor, successors, fingers } in &all {
            let here = own.ring_id();
            let mut others: Vec<Spot> = (0..100).map(Spot).filter(|spot| spot != own).collect();
            others.sort_by_key(|spot| here.distance_to(spot.ring_id()));
            assert_eq!(successors[..], others[..4]);
            assert_eq!(*predecessor, others.last().copied());
            let mut expected = Vec::new();
            for bit in 0..RING_BITS {
                let start = here.plus(1 << bit);
                let owner = ideal.owner(start).expect("somebody is there");
                let beyond = here.distance_to(start) > here.distance_to(others[3].ring_id());
                if beyond && owner != *own {
                    expected.push((bit as u8, owner));
                }
            }
            assert_eq!(*fingers, expected, "{own:?}");
        }
    }

    #[test]
    fn of_several_choices_the_nearest_within_the_part_is_taken() {
        let (ideal, all) = tables(1000, 8);
        for Tables { own, fingers, .. } in &all {
            for (bit, finger) in fingers {
                let start = own.ring_id().plus(1 << bit);
                let few = ideal.keepers(start, 8);
                assert!(few.contains(finger));
                let nearer = few.iter().filter(|one| {
                    let away = own.ring_id().distance_to(one.ring_id());
                    away >> bit == 1 && one.0.abs_diff(own.0) < finger.0.abs_diff(own.0)
                });
                assert_eq!(nearer.count(), 0);
            }
        }
    }

    #[test]
    fn alone_there_is_nobody_else() {
        let (ideal, all) = tables(1, 1);
        assert_eq!(all[0].predecessor, None);
        assert!(all[0].successors.is_empty() && all[0].fingers.is_empty());
        assert_eq!(ideal.owner(RingId(5)), Some(Spot(0)));
        assert_eq!(ideal.keepers(RingId(5), 3), [Spot(0)]);
    }
}
