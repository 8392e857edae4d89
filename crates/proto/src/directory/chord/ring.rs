//! Keeping the circle: joining, stabilizing, rectifying and leaving, in Zave's corrected form.
//!
//! What the published Chord got wrong, and what is done here instead (her paper, section 4):
//! a joiner takes the whole successor list of the peer before it, and that peer as its predecessor;
//! a peer that is said to stand between us and our successor is asked before it is believed in, and
//! comes with its own list; a dead successor makes room for the next at once; a predecessor is
//! replaced only by one that stands closer, or when it does not answer; and each round ends with
//! exactly one notification.

use std::time::Duration;

use potluck_base::Time;

use super::calls::Purpose;
use super::lookups::For;
use super::{Chord, Event, Neighbours, Notice, OnRing, Out, Phase, Request, Timer, Value};
use crate::directory::chord::message::Message;

/// First pause before another attempt to join; it doubles up to [`JOIN_PAUSE_MAX`].
const JOIN_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two attempts to join.
const JOIN_PAUSE_MAX: Duration = Duration::from_secs(15);
/// Attempts after which a peer that reaches nobody founds a circle of its own, and goes on looking
/// for the others from there.
const JOIN_ATTEMPTS: u32 = 3;
/// Peers that a joiner asks for its place at a time.
const JOIN_CONTACTS: usize = 4;

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Begins to take part.
    pub(super) fn start(&mut self, now: Time, out: &mut Out<P, V>) {
        match self.phase {
            // Put in place, by whoever built it.
            Phase::On => self.begin_rounds(now, out),
            Phase::Outside => {
                self.phase = Phase::Joining;
                self.join(now, out);
            }
            Phase::Joining | Phase::Leaving | Phase::Gone => {}
        }
    }

    fn begin_rounds(&mut self, now: Time, out: &mut Out<P, V>) {
        self.set_round(now, out);
        self.set_compare(now, out);
    }

    /// Looks for our place, over those that are known.
    pub(super) fn join(&mut self, now: Time, out: &mut Out<P, V>) {
        let mut contacts = self.tables.known();
        // Not always the same ones, should they be dead: chance puts some to the front.
        for at in 0..contacts.len().min(JOIN_CONTACTS) {
            if self.attempts > 0 {
                let other = at + self.dice.below((contacts.len() - at) as u64) as usize;
                contacts.swap(at, other);
            }
        }
        contacts.truncate(JOIN_CONTACTS);
        if contacts.is_empty() {
            self.found_circle(now, out);
            return;
        }
        self.look_up_from(now, For::Join, self.id, &contacts, out);
    }

    /// Whether an attempt to join is under way.
    pub(super) fn is_on_the_way(&self) -> bool {
        self.lookups.values().any(|lookup| matches!(lookup.purpose, For::Join))
            || self.calls.any(|purpose| matches!(purpose, Purpose::Enter))
    }

    /// Nobody else is there: the circle is ours alone.
    fn found_circle(&mut self, now: Time, out: &mut Out<P, V>) {
        self.tables.be_alone();
        let was_on = self.phase == Phase::On;
        self.phase = Phase::On;
        self.settled = true;
        if !was_on {
            out.emit(Event::Joined { alone: true });
            self.begin_rounds(now, out);
        }
        self.leave_if_wanted(now, out);
    }

    fn leave_if_wanted(&mut self, now: Time, out: &mut Out<P, V>) {
        if std::mem::take(&mut self.leaves_when_in) {
            self.leave(now, out);
        }
    }

    /// The peer before us said who stands behind it: we come in between.
    pub(super) fn found_place(
        &mut self,
        now: Time,
        predecessor: P,
        successors: &[P],
        out: &mut Out<P, V>,
    ) {
        let behind: Vec<P> = successors.iter().copied().filter(|peer| *peer != self.own).collect();
        let predecessor = Some(predecessor).filter(|peer| *peer != self.own);
        self.tables.set_successors(None, &behind);
        if self.tables.next().is_none() {
            // It was alone: it stands on both sides of us.
            self.tables.set_successors(predecessor, &[]);
        }
        self.tables.predecessor = predecessor;
        match self.tables.next() {
            Some(next) => self.call(now, next, Purpose::Enter, Request::Enter, out),
            None => self.join_failed(now, out),
        }
    }

    /// The successor has taken us in, or knows somebody between it and us.
    pub(super) fn entered(
        &mut self,
        now: Time,
        from: P,
        said: &Neighbours<P>,
        out: &mut Out<P, V>,
    ) {
        self.hear_of(now, said);
        self.tables.set_successors(Some(from), &said.successors);
        let between = |peer: &P| {
            peer.ring_id().is_between(self.id, from.ring_id()) && !self.tables.is_suspect(peer)
        };
        if let Some(closer) = said.predecessor.filter(between) {
            self.call(now, closer, Purpose::Enter, Request::Enter, out);
            return;
        }
        self.come_in(now, out);
    }

    fn come_in(&mut self, now: Time, out: &mut Out<P, V>) {
        let was_on = self.phase == Phase::On;
        self.phase = Phase::On;
        self.attempts = 0;
        self.settled = self.params.compare.is_none();
        if !was_on {
            out.emit(Event::Joined { alone: false });
            self.begin_rounds(now, out);
        }
        self.neighbours_changed(now, out);
        self.compare_now(now, out);
        self.fill_fingers(now, out);
        self.leave_if_wanted(now, out);
    }

    /// The successor that we wanted to come in before does not answer.
    pub(super) fn enter_failed(&mut self, now: Time, peer: P, out: &mut Out<P, V>) {
        self.tables.drop_successor(peer);
        match self.tables.next() {
            Some(next) => self.call(now, next, Purpose::Enter, Request::Enter, out),
            None => self.join_failed(now, out),
        }
    }

    /// Nobody led us to our place.
    pub(super) fn join_failed(&mut self, now: Time, out: &mut Out<P, V>) {
        self.attempts += 1;
        let lone = self.tables.next().is_none();
        if self.phase == Phase::Joining {
            out.emit(Event::Unreached);
        }
        if lone && (self.attempts >= JOIN_ATTEMPTS || self.phase == Phase::On) {
            self.found_circle(now, out);
        }
        let pause = JOIN_PAUSE.saturating_mul(1 << self.attempts.min(8)).min(JOIN_PAUSE_MAX);
        let pause = self.pause((pause / 2, pause));
        out.set_timer(now + pause, Timer::Join);
    }

    /// Time for another attempt, unless we have company by now.
    pub(super) fn join_again(&mut self, now: Time, out: &mut Out<P, V>) {
        let alone = self.tables.next().is_none();
        let wanting = matches!(self.phase, Phase::Joining | Phase::On) && alone;
        if wanting && !self.is_on_the_way() && !self.tables.known().is_empty() {
            self.join(now, out);
        }
    }

    // Stabilization.

    /// Somebody came or went beside us: our own side is told, and the next round comes soon.
    fn neighbours_changed(&mut self, now: Time, out: &mut Out<P, V>) {
        out.emit(Event::Neighbours);
        if !self.params.hurry.is_zero() && self.phase == Phase::On {
            let pause = self.pause((self.params.hurry / 2, self.params.hurry));
            out.set_timer(now + pause, Timer::Stabilize);
        }
    }

    /// One round: the successor, one finger, and now and then somebody outside the tables.
    pub(super) fn round(&mut self, now: Time, out: &mut Out<P, V>) {
        self.set_round(now, out);
        if self.phase != Phase::On {
            return;
        }
        self.tables.tidy(now);
        self.rounds = self.rounds.wrapping_add(1);
        match self.tables.next() {
            Some(next) => self.call(now, next, Purpose::Stabilize, Request::State, out),
            None => {
                self.join_again(now, out);
                return;
            }
        }
        if !self.filling {
            self.refresh_finger(now, out);
        }
        let every = self.params.merge_every;
        if every > 0 && self.rounds.is_multiple_of(every) {
            self.look_outside(now, out);
        }
    }

    /// The successor is there (StabilizeFromSuccessor).
    pub(super) fn stabilized(
        &mut self,
        now: Time,
        from: P,
        said: Neighbours<P>,
        out: &mut Out<P, V>,
    ) {
        self.hear_of(now, &said);
        if self.tables.next() != Some(from) || self.phase != Phase::On {
            return;
        }
        self.tables.set_successors(Some(from), &said.successors);
        let between = |peer: &P| {
            peer.ring_id().is_between(self.id, from.ring_id()) && !self.tables.is_suspect(peer)
        };
        match said.predecessor.filter(between) {
            Some(closer) => self.call(now, closer, Purpose::Adopt, Request::State, out),
            None => self.notify_successor(out),
        }
    }

    /// Whoever was said to stand between is there (StabilizeFromPredecessor).
    pub(super) fn adopt(&mut self, now: Time, from: P, said: &Neighbours<P>, out: &mut Out<P, V>) {
        self.hear_of(now, said);
        let closer = match self.tables.next() {
            Some(next) => from.ring_id().is_between(self.id, next.ring_id()),
            None => true,
        };
        if closer && self.phase == Phase::On {
            let before = self.tables.successors().to_vec();
            let behind = if said.successors.is_empty() { &before } else { &said.successors };
            self.tables.set_successors(Some(from), behind);
            self.neighbours_changed(now, out);
            self.fill_fingers(now, out);
        }
        self.notify_successor(out);
    }

    /// Tells the successor that we may be its predecessor: the end of each round.
    pub(super) fn notify_successor(&mut self, out: &mut Out<P, V>) {
        if let (Some(next), Phase::On) = (self.tables.next(), self.phase) {
            out.send(next, Message::Tell(Notice::Predecessor));
        }
    }

    /// The successor does not answer: the next one takes its place, and is asked at once.
    pub(super) fn successor_silent(&mut self, now: Time, peer: P, out: &mut Out<P, V>) {
        self.tables.drop_successor(peer);
        if self.phase != Phase::On {
            return;
        }
        out.emit(Event::Neighbours);
        match self.tables.next() {
            Some(next) => self.call(now, next, Purpose::Stabilize, Request::State, out),
            None => self.mend_successors(now, out),
        }
    }

    /// If all successors are gone, whoever else is known takes their place.
    pub(super) fn mend_successors(&mut self, now: Time, out: &mut Out<P, V>) {
        if self.phase != Phase::On || self.tables.next().is_some() {
            return;
        }
        if self.tables.predecessor.is_none() && self.tables.is_lonely() {
            return;
        }
        match self.tables.nearest_behind(now) {
            Some(next) => {
                self.tables.set_successors(Some(next), &[]);
                self.call(now, next, Purpose::Stabilize, Request::State, out);
            }
            None => {
                self.tables.be_alone();
                self.settled = true;
                out.emit(Event::Neighbours);
                out.set_timer(now + JOIN_PAUSE, Timer::Join);
            }
        }
    }

    /// Somebody says that it may stand before us (Rectify).
    pub(super) fn rectify(&mut self, now: Time, candidate: P, out: &mut Out<P, V>) {
        match self.tables.predecessor {
            Some(predecessor) if predecessor == candidate => {}
            Some(predecessor)
                if !candidate.ring_id().is_between(predecessor.ring_id(), self.id)
                    && !self.tables.is_suspect(&predecessor) =>
            {
                self.call(now, predecessor, Purpose::Rectify { candidate }, Request::State, out);
            }
            _ => self.take_predecessor(now, candidate, out),
        }
    }

    /// Takes a predecessor; the one before it hears who stands between us now.
    pub(super) fn take_predecessor(&mut self, now: Time, peer: P, out: &mut Out<P, V>) {
        let before = self.tables.predecessor.replace(peer);
        if self.tables.next().is_none() {
            self.tables.set_successors(Some(peer), &[]);
        }
        self.neighbours_changed(now, out);
        match before {
            Some(before) if peer.ring_id().is_between(before.ring_id(), self.id) => {
                if !self.tables.is_suspect(&before) {
                    out.send(before, Message::Tell(Notice::Between(peer)));
                }
            }
            // Our range has grown.
            _ => {
                self.settled = self.params.compare.is_none();
                self.compare_now(now, out);
            }
        }
    }

    /// Something was said that needs no answer.
    pub(super) fn noticed(&mut self, now: Time, from: P, notice: Notice<P>, out: &mut Out<P, V>) {
        self.tables.heard(from, now, &mut self.dice);
        if self.phase != Phase::On {
            return;
        }
        match notice {
            Notice::Predecessor => self.rectify(now, from, out),
            Notice::Between(peer) => {
                let next = self.tables.next();
                let closer = |next: P| peer.ring_id().is_between(self.id, next.ring_id());
                if next == Some(from) && next.is_some_and(closer) && !self.tables.is_suspect(&peer)
                {
                    self.call(now, peer, Purpose::Adopt, Request::State, out);
                }
            }
        }
    }

    /// A link has broken: if it was a neighbour's, it is asked at once whether it is still there.
    pub(super) fn link_lost(&mut self, now: Time, peer: P, out: &mut Out<P, V>) {
        let asked = self.calls.any(|purpose| matches!(purpose, Purpose::Stabilize));
        if self.phase == Phase::On && self.tables.next() == Some(peer) && !asked {
            self.call(now, peer, Purpose::Stabilize, Request::State, out);
        }
    }

    /// Asks somebody outside the tables to look us up: two circles that do so become one.
    fn look_outside(&mut self, now: Time, out: &mut Out<P, V>) {
        if let Some(outsider) = self.tables.outsider(&mut self.dice) {
            self.look_up_from(now, For::Merge, self.id, &[outsider], out);
        }
    }

    /// How somebody outside our tables sees our place.
    pub(super) fn seen_from_outside(
        &mut self,
        now: Time,
        predecessor: P,
        successors: &[P],
        out: &mut Out<P, V>,
    ) {
        if predecessor == self.own || self.phase != Phase::On {
            return;
        }
        let next = successors.first().copied().unwrap_or(predecessor);
        let closer = |ours: P| next.ring_id().is_between(self.id, ours.ring_id());
        if next != self.own && self.tables.next().is_none_or(closer) {
            self.call(now, next, Purpose::Adopt, Request::State, out);
        }
    }

    // Leaving.

    /// Tells both neighbours, once what we keep is handed over.
    pub(super) fn say_goodbye(&mut self, now: Time, out: &mut Out<P, V>) {
        let (before, behind) = (self.tables.predecessor, self.tables.successors().to_vec());
        let mut neighbours: Vec<P> = before.into_iter().chain(behind.first().copied()).collect();
        neighbours.dedup();
        if neighbours.is_empty() || self.said_goodbye {
            return self.gone(out);
        }
        self.said_goodbye = true;
        for neighbour in neighbours {
            let body = Request::Leave { predecessor: before, successors: behind.clone() };
            self.call(now, neighbour, Purpose::Leave, body, out);
        }
    }

    fn gone(&mut self, out: &mut Out<P, V>) {
        self.phase = Phase::Gone;
        out.cancel(Timer::Stabilize);
        out.cancel(Timer::Compare);
        out.cancel(Timer::Join);
        out.emit(Event::Left);
    }

    /// A neighbour goes. What it says of its neighbours is a hint: a round of stabilization
    /// follows.
    pub(super) fn neighbour_leaves(
        &mut self,
        now: Time,
        from: P,
        predecessor: Option<P>,
        successors: &[P],
        out: &mut Out<P, V>,
    ) {
        let was_next = self.tables.next() == Some(from);
        let was_before = self.tables.predecessor == Some(from);
        self.tables.suspect(from, now, now + self.params.suspect_time);
        self.vouched.remove(&from);
        if was_before {
            self.tables.predecessor = predecessor.filter(|peer| {
                *peer != self.own
                    && *peer != from
                    && !peer.ring_id().is_between(from.ring_id(), self.id)
            });
            self.settled = self.params.compare.is_none();
            self.compare_now(now, out);
        }
        if was_next {
            if self.tables.next().is_none() {
                let behind: Vec<P> = successors
                    .iter()
                    .copied()
                    .filter(|peer| *peer != self.own && *peer != from)
                    .collect();
                self.tables.set_successors(None, &behind);
            }
            match self.tables.next() {
                Some(next) => self.call(now, next, Purpose::Stabilize, Request::State, out),
                None => self.mend_successors(now, out),
            }
        }
        if was_next || was_before {
            self.neighbours_changed(now, out);
        }
    }
}
