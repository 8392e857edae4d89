//! Leaving: what we keep goes to those who are to keep it when we are gone.
//!
//! The first successor that stays gets everything, as it takes our range and those who have copies
//! may be going too. Of each range that we keep a copy of, the peer that moves up to the last of
//! its keepers gets one: so a leave takes no copy away, and is no failure.

use potluck_base::Time;

use super::calls::Purpose;
use super::repair::Span;
use super::{Chord, OnRing, Out, Phase, RingId, Value};

/// What failures count for, and how much of it is enough: a message may be lost or late.
pub(super) const LATE: u8 = 1;
/// It gave no sign of life.
pub(super) const SILENT: u8 = 2;
/// It goes itself, or is just coming in.
pub(super) const BUSY: u8 = 1;
const ENOUGH: u8 = 4;

/// A peer that gets what we keep.
pub(super) struct Heir<P> {
    peer: P,
    failures: u8,
    /// Whether it is to be asked what it lacks, once it owes no answer.
    due: bool,
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Hands over and goes.
    pub(super) fn leave(&mut self, now: Time, out: &mut Out<P, V>) {
        match self.phase {
            // Somebody may have taken us in already, and what is on our disk belongs to the circle.
            Phase::Joining => self.leaves_when_in = true,
            Phase::Outside | Phase::On => {
                self.phase = Phase::Leaving;
                // What was asked before says nothing about who will take what we keep.
                let compares = |purpose: &Purpose<P>| {
                    matches!(purpose, Purpose::Compare { .. } | Purpose::Repair { .. })
                };
                self.calls.forget(compares);
                self.leave_when_done(now, out);
            }
            Phase::Leaving | Phase::Gone => {}
        }
    }

    /// Whether a call hands over what we keep.
    pub(super) fn is_handing(&self, purpose: &Purpose<P>) -> bool {
        self.phase == Phase::Leaving
            && matches!(purpose, Purpose::Compare { .. } | Purpose::Repair { .. })
    }

    /// An heir has not taken what it was given.
    pub(super) fn heir_failed(&mut self, peer: P, weight: u8) {
        let Some(at) = self.heirs.iter().position(|heir| heir.peer == peer) else { return };
        let heir = &mut self.heirs[at];
        heir.failures = heir.failures.saturating_add(weight);
        heir.due = heir.is_willing();
        if !heir.is_willing() {
            // Those behind it move up.
            self.heirs[at..].iter_mut().for_each(|heir| heir.due = heir.is_willing());
        }
    }

    /// Says goodbye once the heirs have all that we keep.
    pub(super) fn leave_when_done(&mut self, now: Time, out: &mut Out<P, V>) {
        if self.phase != Phase::Leaving {
            return;
        }
        self.hand_over_all(now, out);
        let busy = |purpose: &Purpose<P>| {
            matches!(purpose, Purpose::Compare { .. } | Purpose::Repair { .. } | Purpose::Leave)
        };
        if !self.calls.any(busy) {
            self.say_goodbye(now, out);
        }
    }

    /// Compares what we keep with those who inherit it and are due.
    fn hand_over_all(&mut self, now: Time, out: &mut Out<P, V>) {
        if self.said_goodbye {
            return;
        }
        let most = self.shelf.iter().map(|(_, record)| self.copies_of(record)).max().unwrap_or(0);
        let willing = self.heirs.iter().filter(|heir| heir.is_willing()).count();
        if willing < most {
            // Whoever has come since, and the one before us: better than nobody, and one of the
            // keepers where they are few.
            let near = self.tables.successors().iter().copied().chain(self.tables.predecessor);
            for peer in near.collect::<Vec<P>>() {
                if !self.heirs.iter().any(|heir| heir.peer == peer) {
                    self.heirs.push(Heir { peer, failures: 0, due: true });
                }
            }
        }
        let willing = (0..self.heirs.len()).filter(|at| self.heirs[*at].is_willing());
        let willing: Vec<usize> = willing.take(most).collect();
        for (place, at) in willing.into_iter().enumerate() {
            let peer = self.heirs[at].peer;
            let owes = self.calls.any_to(peer, |purpose| self.is_handing(purpose));
            if self.heirs[at].due && !owes {
                self.heirs[at].due = false;
                self.hand_to(now, peer, place, out);
            }
        }
    }

    fn hand_to(&mut self, now: Time, heir: P, place: usize, out: &mut Out<P, V>) {
        let spans = if place == 0 { vec![(self.id, self.id, 0)] } else { self.inherited(place) };
        for span in spans {
            if self.digest(span).count > 0 {
                self.compare_range(now, heir, span, out);
            }
        }
        if place > 0 {
            // What no owner has asked about belongs to nobody's range that we know.
            let ours = |(key, record): &(RingId, &V)| {
                self.tables.owns(*key) || self.is_vouched(*key, record)
            };
            let strays = self.shelf.iter().filter(|stray| !ours(stray));
            let strays = strays.filter(|(_, record)| self.copies_of(record) > place);
            let names = strays.map(|(key, record)| (key, record.slot())).collect();
            self.repair(now, heir, names, out);
        }
    }

    /// What the heir at this place is to keep when we are gone. The first takes our own place
    /// behind each owner, the others stand behind it.
    fn inherited(&self, place: usize) -> Vec<Span> {
        let behind = place as u8;
        let (from, to) = self.tables.range();
        let own = self.tables.predecessor.map(|_| (from, to, behind));
        let words = self.vouched.values();
        let others = words.map(|word| (word.from, word.to, word.rank.saturating_add(behind)));
        own.into_iter().chain(others).collect()
    }
}

impl<P> Heir<P> {
    fn is_willing(&self) -> bool {
        self.failures < ENOUGH
    }
}
