//! Leaving: what we keep goes to those who are to keep it when we are gone.
//!
//! The first successor that stays gets everything, as it takes our range and those who have copies
//! may be going too. Of each range that we keep a copy of, the peer that moves up to the last of
//! its keepers gets one: so a leave takes no copy away, and is no failure.

use potluck_base::Time;

use super::calls::Purpose;
use super::repair::Span;
use super::{Chord, OnRing, Out, Phase, Value};

/// What failures count for, and how much of it is enough: a message may be lost or late.
pub(super) const LATE: u8 = 1;
/// It gave no sign of life.
pub(super) const SILENT: u8 = 2;
/// It will not.
pub(super) const REFUSED: u8 = ENOUGH;
const ENOUGH: u8 = 4;

/// A peer that gets what we keep.
pub(super) struct Heir<P> {
    peer: P,
    failures: u8,
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Hands over and goes.
    pub(super) fn leave(&mut self, now: Time, out: &mut Out<P, V>) {
        let was_on = self.phase == Phase::On;
        self.phase = Phase::Leaving;
        if was_on && self.shelf.count() > 0 {
            let mut peers = self.tables.successors().to_vec();
            // Better than nobody, and one of the keepers where they are few.
            peers.extend(self.tables.predecessor.filter(|before| !peers.contains(before)));
            self.heirs = peers.into_iter().map(|peer| Heir { peer, failures: 0 }).collect();
            self.hand_to_heirs(now, 0, out);
        }
        self.leave_when_done(now, out);
    }

    /// Whether a call hands over what we keep.
    pub(super) fn is_handing(&self, purpose: &Purpose<P>) -> bool {
        self.phase == Phase::Leaving
            && matches!(purpose, Purpose::Compare { .. } | Purpose::Repair { .. })
    }

    /// Compares what we keep with those who inherit it, from one of them on.
    fn hand_to_heirs(&mut self, now: Time, first: usize, out: &mut Out<P, V>) {
        let most = self.shelf.iter().map(|(_, record)| self.copies_of(record)).max().unwrap_or(0);
        for index in first..most.min(self.heirs.len()) {
            self.hand_to(now, index, out);
        }
    }

    fn hand_to(&mut self, now: Time, index: usize, out: &mut Out<P, V>) {
        let Some(heir) = self.heirs.get(index).map(|heir| heir.peer) else { return };
        let spans = if index == 0 { vec![(self.id, self.id, 0)] } else { self.inherited(index) };
        for span in spans {
            if self.digest(span).count > 0 {
                self.compare_range(now, heir, span, out);
            }
        }
    }

    /// What the heir of this number is to keep when we are gone. The first takes our own place
    /// behind each owner, the others stand behind it.
    fn inherited(&self, index: usize) -> Vec<Span> {
        let behind = index as u8;
        let (from, to) = self.tables.range();
        let own = self.tables.predecessor.map(|_| (from, to, behind));
        let words = self.vouched.values();
        let others = words.map(|word| (word.from, word.to, word.rank.saturating_add(behind)));
        own.into_iter().chain(others).collect()
    }

    /// An heir has not taken what it was given.
    pub(super) fn heir_failed(&mut self, now: Time, peer: P, weight: u8, out: &mut Out<P, V>) {
        let Some(index) = self.heirs.iter().position(|heir| heir.peer == peer) else { return };
        self.heirs[index].failures += weight;
        if self.heirs[index].failures >= ENOUGH {
            self.heirs.remove(index);
            self.hand_to_heirs(now, index, out);
        } else if !self.calls.any_to(peer, |purpose| self.is_handing(purpose)) {
            self.hand_to(now, index, out);
        }
    }

    /// Says goodbye once the heirs have all that we keep.
    pub(super) fn leave_when_done(&mut self, now: Time, out: &mut Out<P, V>) {
        let busy = |purpose: &Purpose<P>| {
            matches!(purpose, Purpose::Compare { .. } | Purpose::Repair { .. } | Purpose::Leave)
        };
        if self.phase == Phase::Leaving && !self.calls.any(busy) {
            self.say_goodbye(now, out);
        }
    }
}
