//! Answering what other peers call for.

use potluck_base::{Time, limits};

use super::{
    Chord, Neighbours, OnRing, Out, Phase, Rep, Reply, Req, Request, RingId, Slot, State, Value,
};
use crate::directory::chord::message::Message;

impl<P: OnRing, V: Value> Chord<P, V> {
    /// A peer calls.
    pub(super) fn serve(
        &mut self,
        now: Time,
        from: P,
        id: u32,
        body: Req<P, V>,
        out: &mut Out<P, V>,
    ) {
        let brings =
            matches!(body, Request::Store { .. } | Request::Copy { .. } | Request::Compare { .. });
        let takes = match self.phase {
            Phase::On => true,
            // What comes now would go with us.
            Phase::Leaving => !brings,
            // One that has come so far as to have its list of successors.
            Phase::Joining => matches!(body, Request::State) && self.tables.next().is_some(),
            Phase::Outside | Phase::Gone => false,
        };
        if !takes {
            return answer(from, id, Reply::Busy, out);
        }
        let reply = match body {
            Request::State => self.state(),
            Request::Enter => {
                self.tables.heard(from, now, &mut self.dice);
                if self.phase == Phase::On {
                    self.rectify(now, from, out);
                }
                self.state()
            }
            Request::Next { key, want, without } => {
                self.tables.remember_caller(from, now, &mut self.dice);
                self.closer(now, key, want, &without)
            }
            Request::Leave { predecessor, successors } => {
                self.neighbour_leaves(now, from, predecessor, &successors, out);
                Reply::Done
            }
            Request::Store { records } => {
                return self.take_store(now, from, id, records, out);
            }
            Request::Copy { records } => {
                let kept = records.into_iter().map(|(key, record)| {
                    self.stays(key, record.slot());
                    self.keep(now, key, record, true, out).map(|()| 1)
                });
                Reply::Stored(kept.collect())
            }
            Request::Ask { key, question } => {
                let answer = self.say(now, key, &question);
                Reply::Told { answer, settled: self.settled && self.tables.owns(key) }
            }
            Request::Survey { question } => {
                let (start, end) = self.tables.range();
                let own = self.shelf.range(start, end).map(|(_, record)| record);
                let answer = V::answer(own, &question, false, self.epoch_ms + now.0 / 1000);
                Reply::Told { answer, settled: self.settled }
            }
            Request::Compare { from: start, to, rank, digest } => {
                self.compare_here(now, from, (start, to, rank), digest)
            }
            Request::Fetch { names } => Reply::Records(self.some(&names)),
        };
        answer(from, id, reply, out);
    }

    fn state(&self) -> Rep<P, V> {
        let predecessor = self.tables.predecessor;
        let successors = self.tables.successors().to_vec();
        Reply::State(Neighbours::from(State { predecessor, successors }))
    }

    /// Who is closer to a key, as if those at some places were not there.
    fn closer(&self, now: Time, key: RingId, want: u8, without: &[RingId]) -> Rep<P, V> {
        let there = |peer: &P| !without.contains(&peer.ring_id());
        let behind: Vec<P> = self.tables.successors().iter().copied().filter(there).collect();
        match (behind.first(), self.tables.predecessor.filter(there)) {
            (None, _) if self.tables.next().is_none() => {
                Reply::Owner { predecessor: self.own, successors: Vec::new() }
            }
            (Some(next), _) if key.is_in(self.id, next.ring_id()) => {
                Reply::Owner { predecessor: self.own, successors: behind }
            }
            (_, Some(before)) if key.is_in(before.ring_id(), self.id) => {
                let mut owners = vec![self.own];
                owners.extend(behind);
                owners.truncate(limits::RING_CONTACTS);
                Reply::Owner { predecessor: before, successors: owners }
            }
            _ => {
                let want = usize::from(want).clamp(1, limits::RING_CONTACTS);
                let mut contacts = Vec::with_capacity(want + without.len());
                self.tables.closest_before(key, want + without.len(), now, &mut contacts);
                contacts.retain(there);
                contacts.truncate(want);
                Reply::Closer { contacts }
            }
        }
    }

    /// What our records under a key say.
    pub(super) fn say(&self, now: Time, key: RingId, question: &V::Question) -> V::Answer {
        let records = self.shelf.under(key);
        V::answer(records, question, self.shelf.is_full(key), self.now_ms(now))
    }

    /// Those of the named records that are here and fit into a message.
    fn some(&self, names: &[(RingId, Slot)]) -> Vec<(RingId, V)> {
        let mut bytes = 0;
        let mut records = Vec::new();
        for (key, slot) in names.iter().take(limits::RING_RECORDS) {
            let Some(record) = self.shelf.get(*key, *slot) else { continue };
            bytes += record.bytes();
            if bytes > limits::RING_BATCH_BYTES && !records.is_empty() {
                break;
            }
            records.push((*key, record.clone()));
        }
        records
    }
}

/// Answers a call.
pub(super) fn answer<P: OnRing, V: Value>(to: P, id: u32, body: Rep<P, V>, out: &mut Out<P, V>) {
    out.send(to, Message::Answer { id, body });
}
