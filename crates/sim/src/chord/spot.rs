//! A peer on the simulated circle, in four bytes: its place is computed, never stored.

use potluck_proto::directory::chord::{OnRing, RingId};
use serde::{Deserialize, Serialize};

/// A peer. Neighbouring numbers stand at places that have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot(pub u32);

impl OnRing for Spot {
    fn ring_id(&self) -> RingId {
        RingId(scatter(PEERS, self.0))
    }
}

impl Spot {
    /// The place of one of several positions that the peer takes; the first is its own.
    pub fn position(self, which: u32) -> RingId {
        RingId(scatter(PEERS + (u64::from(which) << 8), self.0))
    }
}

/// The place of a numbered key.
pub fn key(number: u32) -> RingId {
    RingId(scatter(KEYS, number))
}

/// The place of a numbered child of a key.
pub fn child_key(parent: RingId, which: u32) -> RingId {
    let mixed = mix(parent.0 as u64 ^ mix((parent.0 >> 64) as u64));
    RingId(scatter(CHILDREN ^ mixed, which))
}

/// The first peer of a run: runs of different seeds have different peers.
pub fn first_spot(seed: u64) -> u32 {
    mix(seed) as u32
}

/// Mixes a number into another that looks random: the output function of SplitMix64.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

const PEERS: u64 = 1;
const KEYS: u64 = 2;
const CHILDREN: u64 = 3;
/// The golden ratio's fraction as an odd number.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn scatter(kind: u64, number: u32) -> u128 {
    let counter = (kind << 33) | (u64::from(number) << 1);
    let high = mix(counter.wrapping_add(1).wrapping_mul(GOLDEN) ^ (kind >> 31));
    let low = mix(counter.wrapping_add(2).wrapping_mul(GOLDEN) ^ (kind >> 31));
    (u128::from(high) << 64) | u128::from(low)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn places_of_peers_positions_and_keys_are_all_different_and_spread_evenly() {
        let peers = (0..4000).map(|number| Spot(number).ring_id());
        let more = (0..4000).map(|number| Spot(number).position(1));
        let all: BTreeSet<RingId> = peers.chain(more).chain((0..4000).map(key)).collect();
        assert_eq!(all.len(), 12_000);
        let mut sixteenths = [0u32; 16];
        all.iter().for_each(|place| sixteenths[(place.0 >> 124) as usize] += 1);
        assert!(sixteenths.iter().all(|count| (620..880).contains(count)), "{sixteenths:?}");
        assert_eq!(Spot(7).position(0), Spot(7).ring_id());
    }

    #[test]
    fn children_of_a_key_stand_elsewhere() {
        let children =
            (0..16).flat_map(|which| [child_key(key(1), which), child_key(key(2), which)]);
        assert_eq!(children.collect::<BTreeSet<RingId>>().len(), 32);
    }
}
