//! The naive reference of Chord: who stood on the circle when, in a sorted list, and thus whose a
//! key was.
//!
//! A peer may be named as an owner from the moment it begins to join until it is gone. It must be
//! named from the moment it says that it is on the circle until it begins to leave, or dies. While
//! it comes or goes, itself and its successor are both right.

use std::collections::BTreeMap;
use std::ops::Bound;

use potluck_base::Time;
use potluck_proto::directory::chord::{OnRing, RingId};

use crate::chord::Spot;

/// Everybody who is or was there.
#[derive(Clone, Debug, Default)]
pub struct Members {
    stays: BTreeMap<RingId, (Spot, Vec<Stay>)>,
}

/// One time that a peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stay {
    coming: Time,
    came: Time,
    leaving: Time,
    gone: Time,
}

/// Later than everything.
const NEVER: Time = Time(u64::MAX);

impl Members {
    /// A peer begins to join.
    pub fn coming(&mut self, spot: Spot, now: Time) {
        let stay = Stay { coming: now, came: NEVER, leaving: NEVER, gone: NEVER };
        self.stays.entry(spot.ring_id()).or_insert((spot, Vec::new())).1.push(stay);
    }

    /// It is on the circle.
    pub fn came(&mut self, spot: Spot, now: Time) {
        if let Some(stay) = self.last(spot) {
            stay.came = stay.came.min(now);
        }
    }

    /// It begins to leave.
    pub fn leaving(&mut self, spot: Spot, now: Time) {
        if let Some(stay) = self.last(spot) {
            stay.leaving = stay.leaving.min(now);
        }
    }

    /// It is gone, after it has left or because it died.
    pub fn gone(&mut self, spot: Spot, now: Time) {
        if let Some(stay) = self.last(spot) {
            stay.leaving = stay.leaving.min(now);
            stay.gone = stay.gone.min(now);
        }
    }

    /// Those who are on the circle now and do not leave, in order.
    pub fn present(&self, now: Time) -> impl Iterator<Item = Spot> {
        let stays = self.stays.values();
        stays
            .filter(move |(_, stays)| stays.iter().any(|stay| stay.is_sure(now)))
            .map(|(spot, _)| *spot)
    }

    /// Whether the owner of a key was this one at any moment from a first to a last.
    pub fn was_owner(&self, key: RingId, owner: Spot, first: Time, last: Time) -> bool {
        let place = owner.ring_id();
        let Some((_, stays)) = self.stays.get(&place) else { return false };
        // Everybody between the key and the owner must have been away at that moment.
        let mut surely = Vec::new();
        for (_, between) in self.between(key, place) {
            if between.iter().any(|stay| stay.came <= first && last < stay.leaving) {
                return false;
            }
            surely.extend(between.iter().map(|stay| (stay.came, stay.leaving)));
        }
        surely.sort_unstable();
        stays.iter().any(|stay| {
            let (mut at, end) = (stay.coming.max(first), stay.gone.min(last));
            for (from, to) in &surely {
                if *from <= at && at < *to {
                    at = *to;
                }
            }
            at <= end
        })
    }

    /// Everybody who was ever at or after a key and before a place.
    fn between(&self, key: RingId, place: RingId) -> impl Iterator<Item = &(Spot, Vec<Stay>)> {
        let around = key > place;
        let end = if around { Bound::Unbounded } else { Bound::Excluded(place) };
        let first = self.stays.range((Bound::Included(key), end));
        let rest = around.then(|| self.stays.range(..place)).into_iter().flatten();
        first.chain(rest).map(|(_, stays)| stays)
    }

    fn last(&mut self, spot: Spot) -> Option<&mut Stay> {
        self.stays.get_mut(&spot.ring_id())?.1.last_mut()
    }
}

impl Stay {
    fn is_sure(&self, now: Time) -> bool {
        self.came <= now && now < self.leaving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three peers in the order of their places, the second of which comes at 10 and goes at 20.
    fn three() -> (Members, [Spot; 3]) {
        let mut spots = [Spot(1), Spot(2), Spot(3)];
        spots.sort_by_key(OnRing::ring_id);
        let mut members = Members::default();
        for (spot, coming, came) in [(0, 0, 0), (1, 9, 10), (2, 0, 0)] {
            members.coming(spots[spot], Time(coming));
            members.came(spots[spot], Time(came));
        }
        members.leaving(spots[1], Time(20));
        members.gone(spots[1], Time(21));
        (members, spots)
    }

    #[test]
    fn who_comes_and_goes_is_right_with_its_successor_meanwhile_and_alone_in_between() {
        let (members, [_, middle, last]) = three();
        let was =
            |owner, first, end| members.was_owner(middle.ring_id(), owner, Time(first), Time(end));
        assert!(was(last, 0, 8) && !was(middle, 0, 8));
        assert!(was(last, 9, 9) && was(middle, 9, 9));
        assert!(!was(last, 10, 19) && was(middle, 10, 19));
        assert!(was(last, 20, 21) && was(middle, 20, 21));
        assert!(was(last, 22, 30) && !was(middle, 22, 30));
        // Any moment will do.
        assert!(was(last, 5, 15) && was(middle, 15, 30) && was(last, 12, 20));
    }

    #[test]
    fn keys_behind_the_last_peer_are_the_first_ones() {
        let (members, [first, _, last]) = three();
        let behind = last.ring_id().plus(1);
        assert!(members.was_owner(behind, first, Time(0), Time(5)));
        assert!(!members.was_owner(behind, last, Time(0), Time(5)));
        assert_eq!(members.present(Time(15)).count(), 3);
        assert!(members.present(Time(25)).eq([first, last]));
    }

    #[test]
    fn who_was_never_there_owns_nothing() {
        let (members, [first, ..]) = three();
        assert!(!members.was_owner(first.ring_id(), Spot(77), Time(0), Time(5)));
    }
}
