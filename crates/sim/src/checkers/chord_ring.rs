//! The circle's invariant, after Zave: what must hold between all members' tables at every moment,
//! as long as nobody dies whom the others cannot do without.
//!
//! A *principal* is a member that nobody's list steps over. I1: every member's list names a member
//! that lives. I2: there are at least r + 1 principals. From these two follows that there is one
//! ordered ring that everybody reaches; it is checked all the same, for its messages say more.

use std::collections::{BTreeMap, BTreeSet};

use potluck_proto::directory::chord::{OnRing, RingId};

use crate::chord::{Ideal, Spot};

/// The tables of one member that lives.
#[derive(Clone, Debug)]
pub struct View {
    /// Who stands before it, as it believes.
    pub predecessor: Option<Spot>,
    /// Who stands behind it, as it believes, the next first.
    pub successors: Vec<Spot>,
}

/// All members that live.
#[derive(Clone, Debug, Default)]
pub struct Views(pub BTreeMap<Spot, View>);

impl Views {
    /// What is wrong in each list alone, whoever lives: order, doubles, oneself.
    pub fn list_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (own, view) in &self.0 {
            let mut before = 0;
            for peer in &view.successors {
                let distance = own.ring_id().distance_to(peer.ring_id());
                if distance <= before {
                    faults.push(format!("{own:?}'s list is out of order: {:?}", view.successors));
                    break;
                }
                before = distance;
            }
            if view.predecessor == Some(*own) {
                faults.push(format!("{own:?} takes itself for its predecessor"));
            }
        }
        faults
    }

    /// What breaks the invariant. `needed` is r + 1, or fewer while the circle grows.
    pub fn ring_faults(&self, needed: usize) -> Vec<String> {
        let mut faults = self.list_faults();
        if self.0.len() < 2 {
            return faults;
        }
        let cut_off = self.0.iter().filter(|(own, _)| self.next_of(**own).is_none());
        faults.extend(cut_off.map(|(own, view)| {
            format!("I1: nobody lives of {own:?}'s list {:?}", view.successors)
        }));
        let principals = self.principals();
        if principals.len() < needed {
            faults.push(format!("I2: {} principals and not {needed}", principals.len()));
        }
        if faults.is_empty() {
            faults.extend(self.cycle_faults(&principals));
        }
        faults
    }

    /// Members that nobody's list steps over.
    pub fn principals(&self) -> BTreeSet<Spot> {
        let mut places: Vec<(RingId, Spot)> =
            self.0.keys().map(|spot| (spot.ring_id(), *spot)).collect();
        places.sort_unstable();
        let mut principals: BTreeSet<Spot> = self.0.keys().copied().collect();
        for (own, view) in &self.0 {
            let mut from = own.ring_id();
            for peer in &view.successors {
                let to = peer.ring_id();
                let at = places.partition_point(|(place, _)| *place <= from);
                let behind = places[at..].iter().chain(&places[..at]);
                for (_, passed) in behind.take_while(|(place, _)| place.is_between(from, to)) {
                    principals.remove(passed);
                }
                from = to;
            }
        }
        principals
    }

    /// Whether this one may die without leaving the others helpless.
    pub fn can_spare(&self, who: Spot, needed: usize) -> bool {
        let mut rest = self.clone();
        rest.0.remove(&who);
        let leads = |own: &Spot| rest.next_of(*own).is_some();
        let led = rest.0.keys().all(leads);
        led && (!self.principals().contains(&who) || rest.principals().len() >= needed)
    }

    /// The first of its list that lives.
    fn next_of(&self, own: Spot) -> Option<Spot> {
        let view = self.0.get(&own)?;
        view.successors.iter().copied().find(|peer| self.0.contains_key(peer))
    }

    fn cycle_faults(&self, principals: &BTreeSet<Spot>) -> Vec<String> {
        let Some(first) = self.0.keys().next().copied() else { return Vec::new() };
        // After as many steps as there are members one is on a ring.
        let mut at = first;
        for _ in 0..self.0.len() {
            at = self.next_of(at).unwrap_or(at);
        }
        let mut ring = BTreeSet::new();
        let (start, mut turns) = (at, 0u128);
        while ring.insert(at) {
            let next = self.next_of(at).unwrap_or(at);
            turns = turns.saturating_add(at.ring_id().distance_to(next.ring_id()) >> 1);
            at = next;
        }
        let mut faults = Vec::new();
        // Halves are added so that a whole turn fits; each step loses less than one.
        if at != start || turns > 1 << 127 {
            faults.push(format!("the ring goes around more than once: {ring:?}"));
        }
        for own in self.0.keys() {
            let (mut at, mut steps) = (*own, 0);
            while !ring.contains(&at) && steps <= self.0.len() {
                at = self.next_of(at).unwrap_or(at);
                steps += 1;
            }
            if !ring.contains(&at) {
                faults.push(format!("{own:?} does not reach the ring: there are two"));
            }
        }
        let off = principals.iter().filter(|principal| !ring.contains(principal));
        faults.extend(off.map(|principal| format!("{principal:?} is a principal off the ring")));
        faults
    }

    /// How the circle differs from what it should be when all is quiet.
    pub fn ideal_faults(&self, length: usize) -> Vec<String> {
        let ideal = Ideal::new(self.0.keys().copied());
        let mut faults = Vec::new();
        for (own, view) in &self.0 {
            let behind = ideal.keepers(own.ring_id().plus(1), self.0.len() - 1);
            let expected = &behind[..length.min(behind.len())];
            if view.successors != expected {
                let has = &view.successors;
                faults.push(format!("{own:?} has the successors {has:?} and not {expected:?}"));
            }
            if view.predecessor != behind.last().copied() {
                let (has, last) = (view.predecessor, behind.last());
                faults.push(format!("{own:?} has the predecessor {has:?} and not {last:?}"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members in the order of their places, each with the next two.
    fn views(count: u32) -> (Views, Vec<Spot>) {
        let mut spots: Vec<Spot> = (0..count).map(Spot).collect();
        spots.sort_by_key(OnRing::ring_id);
        let at = |index: usize| spots[index % spots.len()];
        let view = |index: usize| View {
            predecessor: Some(at(index + spots.len() - 1)),
            successors: vec![at(index + 1), at(index + 2)],
        };
        let views = (0..spots.len()).map(|index| (at(index), view(index))).collect();
        (Views(views), spots)
    }

    #[test]
    fn a_circle_as_it_should_be_has_no_faults_and_only_principals() {
        let (views, spots) = views(8);
        assert_eq!(views.ring_faults(3), [""; 0]);
        assert_eq!(views.ideal_faults(2), [""; 0]);
        assert_eq!(views.principals().len(), 8);
        assert!(views.can_spare(spots[3], 3));
    }

    #[test]
    fn who_has_not_been_noticed_yet_is_no_principal() {
        let (mut views, spots) = views(8);
        views.0.get_mut(&spots[0]).expect("is there").successors = vec![spots[2], spots[3]];
        assert!(!views.principals().contains(&spots[1]));
        assert_eq!(views.ring_faults(3), [""; 0]);
        assert_eq!(views.ideal_faults(2).len(), 1);
    }

    #[test]
    fn a_list_of_the_dead_breaks_the_invariant() {
        let (mut views, spots) = views(8);
        views.0.remove(&spots[2]);
        assert!(views.ring_faults(3).is_empty() && !views.can_spare(spots[1], 3));
        views.0.remove(&spots[1]);
        assert!(views.ring_faults(3)[0].starts_with("I1"), "{:?}", views.ring_faults(3));
    }

    #[test]
    fn two_rings_and_a_ring_that_goes_around_twice_are_found() {
        let (mut views, spots) = views(8);
        for (index, spot) in spots.iter().enumerate() {
            let view = views.0.get_mut(spot).expect("is there");
            view.successors = vec![spots[(index + 2) % 8]];
        }
        assert!(views.cycle_faults(&BTreeSet::new())[0].contains("there are two"));
        assert!(views.ring_faults(3)[0].starts_with("I2"));
        for (index, spot) in spots.iter().enumerate() {
            let view = views.0.get_mut(spot).expect("is there");
            view.successors = vec![spots[(index + 3) % 8]];
        }
        assert!(views.cycle_faults(&BTreeSet::new())[0].contains("more than once"));
    }

    #[test]
    fn a_list_out_of_order_or_with_its_owner_is_found() {
        let (mut views, spots) = views(8);
        views.0.get_mut(&spots[0]).expect("is there").successors = vec![spots[2], spots[1]];
        views.0.get_mut(&spots[4]).expect("is there").successors.push(spots[4]);
        assert_eq!(views.list_faults().len(), 2);
    }
}
