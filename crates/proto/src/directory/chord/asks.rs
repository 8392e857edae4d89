//! Asking those who keep a key, and visiting peers.

use potluck_base::Time;

use super::calls::Purpose;
use super::lookups::For;
use super::{Chord, Event, Found, OnRing, Out, Request, RingId, State, Value};

/// A question under way.
pub(super) struct Asking<P, V: Value> {
    asker: u64,
    key: RingId,
    question: V::Question,
    /// Those who keep the key and were not asked yet, the owner first.
    holders: Vec<P>,
    /// What those said who may not know all, put together, and the first of them.
    partly: Option<(P, V::Answer)>,
}

/// A visit under way.
pub(super) struct Visit<P, V: Value> {
    asker: u64,
    state: Option<State<P>>,
    answer: Option<V::Answer>,
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Our own side wants to know something about the records under a key.
    pub(super) fn ask(
        &mut self,
        now: Time,
        asker: u64,
        key: RingId,
        question: V::Question,
        out: &mut Out<P, V>,
    ) {
        let id = self.serial();
        let asking = Asking { asker, key, question, holders: Vec::new(), partly: None };
        self.asks.insert(id, asking);
        self.look_up(now, For::Ask(id), key, out);
    }

    /// Those who keep the key are known.
    pub(super) fn ask_those(&mut self, now: Time, id: u64, found: &Found<P>, out: &mut Out<P, V>) {
        let replicas = self.params.replicas;
        let Some(asking) = self.asks.get_mut(&id) else { return };
        let behind = found.successors.iter().copied().filter(|peer| *peer != found.owner);
        asking.holders = std::iter::once(found.owner).chain(behind).take(replicas).collect();
        self.ask_next(now, id, out);
    }

    /// Asks the next of those who keep the key.
    pub(super) fn ask_next(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        let Some(asking) = self.asks.get_mut(&id) else { return };
        if asking.holders.is_empty() {
            return self.ask_lost(id, out);
        }
        let holder = asking.holders.remove(0);
        let (key, question) = (asking.key, asking.question.clone());
        if holder == self.own {
            let answer = self.say(now, key, &question);
            let settled = self.settled && self.tables.owns(key);
            return self.told(now, id, holder, answer, settled, out);
        }
        self.call(now, holder, Purpose::Ask { ask: id }, Request::Ask { key, question }, out);
    }

    /// One of them has answered. An owner that is settled knows all. One that is not, as it came
    /// just now, may know less than those behind it, and more: what it and they say is put
    /// together, and nobody's word that there is nothing hides what another has.
    pub(super) fn told(
        &mut self,
        now: Time,
        id: u64,
        from: P,
        answer: V::Answer,
        settled: bool,
        out: &mut Out<P, V>,
    ) {
        let Some(asking) = self.asks.get_mut(&id) else { return };
        if settled {
            let answer = Some((from, answer));
            out.emit(Event::Told { id: asking.asker, answer });
            self.asks.remove(&id);
            return;
        }
        asking.partly = Some(match asking.partly.take() {
            Some((first, before)) => (first, V::merge(before, answer, &asking.question)),
            None => (from, answer),
        });
        self.ask_next(now, id, out);
    }

    /// Nobody is left to ask.
    pub(super) fn ask_lost(&mut self, id: u64, out: &mut Out<P, V>) {
        if let Some(asking) = self.asks.remove(&id) {
            out.emit(Event::Told { id: asking.asker, answer: asking.partly });
        }
    }

    /// Our own side wants to see one peer.
    pub(super) fn visit(
        &mut self,
        now: Time,
        asker: u64,
        peer: P,
        question: V::Question,
        out: &mut Out<P, V>,
    ) {
        if peer == self.own {
            let (from, to) = self.tables.range();
            let own = self.shelf.range(from, to).map(|(_, record)| record);
            let answer = V::answer(own, &question, false, self.now_ms(now));
            let predecessor = self.tables.predecessor;
            let successors = self.tables.successors().to_vec();
            let state = State { predecessor, successors };
            out.emit(Event::Visited { id: asker, answer: Some((state, answer)) });
            return;
        }
        let visit = self.serial();
        self.visits.insert(visit, Visit { asker, state: None, answer: None });
        self.call(now, peer, Purpose::VisitState { visit }, Request::State, out);
        self.call(now, peer, Purpose::VisitSurvey { visit }, Request::Survey { question }, out);
    }

    /// A visited peer has said one of the two things.
    pub(super) fn visited(
        &mut self,
        id: u64,
        state: Option<State<P>>,
        answer: Option<V::Answer>,
        out: &mut Out<P, V>,
    ) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.state = state.or(visit.state.take());
        visit.answer = answer.or(visit.answer.take());
        if visit.state.is_some()
            && visit.answer.is_some()
            && let Some(visit) = self.visits.remove(&id)
        {
            out.emit(Event::Visited { id: visit.asker, answer: visit.state.zip(visit.answer) });
        }
    }

    /// A visited peer does not answer.
    pub(super) fn visit_failed(&mut self, id: u64, out: &mut Out<P, V>) {
        if let Some(visit) = self.visits.remove(&id) {
            out.emit(Event::Visited { id: visit.asker, answer: None });
        }
    }
}
