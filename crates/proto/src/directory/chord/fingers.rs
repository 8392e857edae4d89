//! Fingers: the peers at distances that double, looked up one each round, and chosen by round trip
//! where there is a choice.

use potluck_base::Time;

use super::calls::Purpose;
use super::lookups::For;
use super::{Chord, Found, OnRing, Out, Request, Value};

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Refreshes the finger whose turn it is.
    pub(super) fn refresh_finger(&mut self, now: Time, out: &mut Out<P, V>) {
        if !self.params.fingers {
            return;
        }
        self.tables.drop_covered_fingers();
        let Some(index) = self.tables.finger_after(self.finger) else {
            self.filling = false;
            return;
        };
        self.finger = Some(index);
        self.look_up(now, For::Finger(index), self.tables.start_of(index), out);
    }

    /// Looks up all fingers, one after the other.
    pub(super) fn fill_fingers(&mut self, now: Time, out: &mut Out<P, V>) {
        if self.params.fingers && !self.filling && self.tables.fingers().is_empty() {
            self.filling = true;
            self.finger = None;
            self.refresh_finger(now, out);
        }
    }

    pub(super) fn next_finger(&mut self, now: Time, out: &mut Out<P, V>) {
        if !self.filling {
            return;
        }
        let before = self.finger;
        let next = self.tables.finger_after(before);
        // Around once is enough.
        if next.is_none() || next >= before {
            self.filling = false;
            return;
        }
        self.refresh_finger(now, out);
    }

    pub(super) fn finger_found(
        &mut self,
        now: Time,
        index: u8,
        found: &Found<P>,
        out: &mut Out<P, V>,
    ) {
        // One that stands beyond the next finger's start, or is ourselves, is no use here.
        let fits = |peer: &P| self.id.distance_to(peer.ring_id()) >> index == 1;
        let all = std::iter::once(found.owner).chain(found.successors.iter().copied());
        let near: Vec<P> = all.filter(fits).take(self.params.choices.max(1)).collect();
        let Some(first) = near.first().copied() else {
            self.tables.drop_finger(index);
            return self.next_finger(now, out);
        };
        let best = near.iter().filter_map(|peer| Some((self.tables.rtt(peer)?, *peer))).min();
        self.tables.set_finger(index, best.map_or(first, |(_, peer)| peer), now);
        if self.params.choices > 1 {
            let unknown = near.iter().filter(|peer| self.tables.rtt(peer).is_none());
            let unknown: Vec<P> = unknown.copied().take(2).collect();
            for peer in unknown {
                self.call(now, peer, Purpose::Measure { index }, Request::State, out);
            }
        }
        self.next_finger(now, out);
    }

    /// A peer that may be a finger was measured: the nearer one stays.
    pub(super) fn measured(&mut self, now: Time, peer: P, index: u8) {
        let Some(holder) = self.tables.finger(index) else { return };
        let nearer = match (self.tables.rtt(&peer), self.tables.rtt(&holder)) {
            (Some(theirs), Some(ours)) => theirs < ours,
            (theirs, None) => theirs.is_some(),
            _ => false,
        };
        if nearer {
            self.tables.set_finger(index, peer, now);
        }
    }
}
