//! A network without a server: its members stand on a circle, and each keeps what falls between the
//! peer before it and itself. Chord (Stoica et al., SIGCOMM 2001 and ToN 2003) with the corrected
//! ring maintenance of Zave ("A correct version of the Chord ring-maintenance protocol", 2017).
//!
//! Goals: lookups in O(log N) steps with fingers, O(N) without (`ring`); one ordered circle through
//! joins, leaves and crashes; no acknowledged record lost while fewer than `replicas` of its
//! keepers fail between two repairs; the same code in the simulator and on the network.
//!
//! Non-goals: withstanding a majority of lying members. Membership keeps strangers out; what a
//! member says is checked where it can be (signatures, ranges, several ways to one key).

mod asks;
mod calls;
mod deposits;
mod fingers;
mod heirs;
mod id;
pub mod index;
mod lookups;
mod message;
mod puts;
mod repair;
mod ring;
#[cfg(test)]
mod scenes;
mod serve;
mod shelf;
mod tables;
mod values;
mod way;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use potluck_base::Time;

use crate::dice::Dice;
use crate::machine::{Input, Machine, Outbox};
use asks::{Asking, Visit};
use calls::{Call, Calls, Purpose};
use deposits::Deposit;
use heirs::Heir;
use lookups::{For, Lookup};
use puts::PutJob;
use repair::Vouched;
use shelf::Shelf;
use tables::Tables;

pub use id::{RING_BITS, RingId};
pub use message::{Digest, Message, Neighbours, Notice, Reply, Request};
pub use values::{
    Command, Effect, Event, FingerView, Found, Hop, OnRing, Outcome, Params, Reject, Setup, Slot,
    State, Timer, Value,
};

/// One peer on the circle.
pub struct Chord<P: OnRing, V: Value> {
    own: P,
    id: RingId,
    params: Params,
    rules: V::Rules,
    epoch_ms: u64,
    dice: Dice,
    phase: Phase,
    tables: Tables<P>,
    calls: Calls<P>,
    shelf: Shelf<V>,
    /// Counts lookups, puts and the like of our own.
    serial: u64,
    lookups: BTreeMap<u64, Lookup<P>>,
    /// Lookups that wait for their turn.
    waiting: VecDeque<(For, RingId)>,
    asks: BTreeMap<u64, Asking<P, V>>,
    visits: BTreeMap<u64, Visit<P, V>>,
    puts: BTreeMap<u64, PutJob<V>>,
    deposits: BTreeMap<u64, Deposit<P>>,
    vouched: BTreeMap<P, Vouched>,
    /// The finger that was refreshed last.
    finger: Option<u8>,
    /// Whether the fingers are being looked up one after the other, as after joining.
    filling: bool,
    /// Rounds of stabilization, and of comparison.
    rounds: u32,
    compared: u32,
    /// Parts of ranges that may still be compared in this round.
    parts_left: u32,
    /// Whether our records were compared with those of our successor since our range grew.
    settled: bool,
    /// Attempts to join since the last that succeeded.
    attempts: u32,
    /// Whether the neighbours were told that we go.
    said_goodbye: bool,
    /// Our own range, while it is compared so that we are settled.
    settling: Option<(RingId, RingId)>,
    /// Who gets what we keep when we leave, the first first.
    heirs: Vec<Heir<P>>,
    /// Whether our own side wanted to leave while we were joining.
    leaves_when_in: bool,
}

/// How a peer stands to the circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not asked to take part yet.
    Outside,
    /// Looking for its place.
    Joining,
    /// On the circle.
    On,
    /// Handing over.
    Leaving,
    /// Has left for good.
    Gone,
}

type Out<P, V> = Outbox<Chord<P, V>>;
type Msg<P, V> = Message<P, V, <V as Value>::Question, <V as Value>::Answer>;
type Req<P, V> = Request<P, V, <V as Value>::Question>;
type Rep<P, V> = Reply<P, V, <V as Value>::Answer>;

impl<P: OnRing, V: Value> Chord<P, V> {
    /// A peer that is not on the circle yet.
    pub fn new(setup: Setup<P, V>) -> Self {
        let mut tables = Tables::new(setup.own, &setup.params);
        tables.learn(setup.known);
        let mut shelf = Shelf::new();
        for (key, record) in setup.records {
            shelf.restore(key, record);
        }
        Self {
            own: setup.own,
            id: setup.own.ring_id(),
            params: setup.params,
            rules: setup.rules,
            epoch_ms: setup.epoch_ms,
            dice: Dice::new(setup.seed),
            phase: Phase::Outside,
            tables,
            calls: Calls::new(),
            shelf,
            serial: 0,
            lookups: BTreeMap::new(),
            waiting: VecDeque::new(),
            asks: BTreeMap::new(),
            visits: BTreeMap::new(),
            puts: BTreeMap::new(),
            deposits: BTreeMap::new(),
            vouched: BTreeMap::new(),
            finger: None,
            filling: false,
            rounds: 0,
            compared: 0,
            parts_left: repair::PARTS_PER_ROUND,
            settled: false,
            attempts: 0,
            said_goodbye: false,
            settling: None,
            heirs: Vec::new(),
            leaves_when_in: false,
        }
    }

    /// A peer that already stands on the circle with these tables. It says nothing before its first
    /// round of stabilization; [`Command::Start`] sets the timers only.
    pub fn in_place(
        setup: Setup<P, V>,
        predecessor: Option<P>,
        successors: &[P],
        fingers: &[(u8, P)],
    ) -> Self {
        let mut chord = Self::new(setup);
        chord.tables.predecessor = predecessor;
        chord.tables.set_successors(None, successors);
        for (index, peer) in fingers {
            chord.tables.set_finger(*index, *peer, Time::ZERO);
        }
        chord.phase = Phase::On;
        chord.settled = true;
        chord
    }

    /// Who this is.
    pub fn own(&self) -> P {
        self.own
    }

    /// Who stands before it.
    pub fn predecessor(&self) -> Option<P> {
        self.tables.predecessor
    }

    /// Who stands behind it, the next first; empty if it is alone.
    pub fn successors(&self) -> &[P] {
        self.tables.successors()
    }

    /// Its fingers, the nearest first.
    pub fn fingers(&self) -> Vec<FingerView<P>> {
        self.tables.fingers()
    }

    /// Whether it is on the circle.
    pub fn is_joined(&self) -> bool {
        self.phase == Phase::On
    }

    /// Whether its records have been compared with its successor's since its range grew.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether a key is its own to keep.
    pub fn owns(&self, key: RingId) -> bool {
        self.is_joined() && self.tables.owns(key)
    }

    /// All records that it keeps, by key.
    pub fn records(&self) -> impl Iterator<Item = (RingId, &V)> {
        self.shelf.iter()
    }

    /// How many records it keeps.
    pub fn record_count(&self) -> usize {
        self.shelf.count()
    }

    /// How many bytes they take, about.
    pub fn record_bytes(&self) -> usize {
        self.shelf.bytes()
    }

    /// Peers worth remembering, to find the circle again after a restart.
    pub fn known(&self) -> Vec<P> {
        self.tables.known()
    }

    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn now_ms(&self, now: Time) -> u64 {
        self.epoch_ms + now.0 / 1000
    }

    /// Calls a peer; what comes of it is for `purpose`.
    fn call(
        &mut self,
        now: Time,
        to: P,
        purpose: Purpose<P>,
        body: Req<P, V>,
        out: &mut Out<P, V>,
    ) {
        let patience = self.patience(&purpose);
        let id = self.calls.open(to, now, purpose);
        out.set_timer(now + patience, Timer::Call(id));
        out.send(to, Message::Call { id, body });
    }

    /// How long an answer may take: an owner that is to keep something asks others first, who may
    /// not answer.
    fn patience(&self, purpose: &Purpose<P>) -> Duration {
        let times = if matches!(purpose, Purpose::Store { .. }) { 3 } else { 1 };
        self.params.call_time * times
    }

    fn pause(&mut self, (least, most): (Duration, Duration)) -> Duration {
        let spread = most.saturating_sub(least).as_micros() as u64;
        least + Duration::from_micros(self.dice.below(spread + 1))
    }

    fn set_round(&mut self, now: Time, out: &mut Out<P, V>) {
        let pause = self.pause(self.params.stabilize);
        out.set_timer(now + pause, Timer::Stabilize);
    }

    fn set_compare(&mut self, now: Time, out: &mut Out<P, V>) {
        if let Some(every) = self.params.compare {
            let pause = self.pause((every.mul_f32(0.8), every.mul_f32(1.2)));
            out.set_timer(now + pause, Timer::Compare);
        }
    }

    fn command(&mut self, now: Time, command: Command<P, V>, out: &mut Out<P, V>) {
        match command {
            Command::Start => self.start(now, out),
            Command::Learn(peers) => {
                self.tables.learn(peers);
                if self.phase == Phase::Joining && !self.is_on_the_way() {
                    self.join(now, out);
                }
            }
            Command::Lookup { id, key } => self.look_up(now, For::Asker(id), key, out),
            Command::Put { id, records } => self.put(now, id, records, out),
            Command::Ask { id, key, question } => self.ask(now, id, key, question, out),
            Command::Visit { id, peer, question } => self.visit(now, id, peer, question, out),
            Command::Leave => self.leave(now, out),
        }
    }

    /// A call's answer has come.
    fn answer(&mut self, now: Time, call: Call<P>, body: Rep<P, V>, out: &mut Out<P, V>) {
        let from = call.to;
        self.tables.timed(from, now.since(call.sent));
        match (call.purpose, body) {
            (purpose, Reply::Busy) if self.is_handing(&purpose) => {
                self.heir_failed(from, heirs::BUSY);
            }
            (purpose, Reply::Busy) => self.failed(now, from, purpose, out),
            (Purpose::Stabilize, Reply::State(said)) => self.stabilized(now, from, said, out),
            (Purpose::Adopt, Reply::State(said)) => self.adopt(now, from, &said, out),
            (Purpose::Rectify { .. }, Reply::State(_)) => {}
            (Purpose::Enter, Reply::State(said)) => self.entered(now, from, &said, out),
            (Purpose::Measure { index }, Reply::State(said)) => {
                self.hear_of(now, &said);
                self.measured(now, from, index);
            }
            (Purpose::Step { lookup, way }, body) => {
                let took = now.since(call.sent);
                self.stepped(now, (lookup, way), from, took, body, out);
            }
            (Purpose::Confirm { lookup, way }, Reply::State(said)) => {
                self.hear_of(now, &said);
                let took = now.since(call.sent);
                self.confirmed(now, (lookup, way), from, took, said.into(), out);
            }
            (Purpose::VisitState { visit }, Reply::State(said)) => {
                self.hear_of(now, &said);
                self.visited(visit, Some(said.into()), None, out);
            }
            (Purpose::VisitSurvey { visit }, Reply::Told { answer, .. }) => {
                self.visited(visit, None, Some(answer), out);
            }
            (Purpose::Leave, _) => {}
            (Purpose::Store { put, names }, Reply::Stored(results)) => {
                self.stored(now, put, names, results, out);
            }
            (Purpose::Copy { deposit, indices }, Reply::Stored(results)) => {
                let kept = indices.into_iter().zip(results);
                let kept = kept.filter(|(_, result)| matches!(result, Ok(_) | Err(Reject::Stale)));
                let kept: Vec<usize> = kept.map(|(index, _)| index).collect();
                self.copied(now, deposit, &kept, out);
            }
            (Purpose::Ask { ask }, Reply::Told { answer, settled }) => {
                self.told(now, ask, from, answer, settled, out);
            }
            (Purpose::Compare { from: start, to, rank }, body) => {
                self.compared_with(now, from, (start, to, rank), body, out);
            }
            (Purpose::Fetch { asked, rest }, Reply::Records(records)) => {
                self.fetched(now, from, records, (asked, rest), out);
            }
            (Purpose::Repair { rest }, Reply::Stored(_)) => self.repair(now, from, rest, out),
            (purpose, _) => {
                self.lied(now, from, "it answered something else than was asked", out);
                self.failed(now, from, purpose, out);
            }
        }
    }

    /// Notes the neighbours that a peer names.
    fn hear_of(&mut self, now: Time, said: &Neighbours<P>) {
        if self.params.cache > 0 {
            for peer in said.predecessor.iter().chain(&said.successors) {
                self.tables.told(*peer, now, &mut self.dice);
            }
        }
    }

    /// A call has come to nothing: the peer was silent, cannot be reached, or would not answer.
    fn failed(&mut self, now: Time, peer: P, purpose: Purpose<P>, out: &mut Out<P, V>) {
        match purpose {
            Purpose::Stabilize => self.successor_silent(now, peer, out),
            Purpose::Adopt => self.notify_successor(out),
            Purpose::Rectify { candidate } => {
                if self.tables.predecessor == Some(peer) {
                    self.take_predecessor(now, candidate, out);
                }
            }
            Purpose::Enter => self.enter_failed(now, peer, out),
            Purpose::Compare { .. } | Purpose::Fetch { .. } => self.not_compared(peer),
            Purpose::Measure { .. } | Purpose::Repair { .. } | Purpose::Leave => {}
            Purpose::Step { lookup, way } => self.step_failed(now, (lookup, way), peer, out),
            Purpose::Confirm { lookup, way } => self.unconfirmed(now, (lookup, way), peer, out),
            Purpose::VisitState { visit } | Purpose::VisitSurvey { visit } => {
                self.visit_failed(visit, out);
            }
            Purpose::Store { put, names } => self.store_failed(now, put, names, out),
            Purpose::Copy { deposit, .. } => self.copied(now, deposit, &[], out),
            Purpose::Ask { ask } => self.ask_next(now, ask, out),
        }
    }

    /// A peer did not answer.
    fn silent(&mut self, now: Time, call: Call<P>, out: &mut Out<P, V>) {
        if !call.alive {
            self.tables.suspect(call.to, now, now + self.params.suspect_time);
        } else if matches!(call.purpose, Purpose::Stabilize | Purpose::Rectify { .. }) {
            // It lives: the next round asks again.
            return;
        }
        if self.is_handing(&call.purpose) {
            let weight = if call.alive { heirs::LATE } else { heirs::SILENT };
            return self.heir_failed(call.to, weight);
        }
        let compares = matches!(call.purpose, Purpose::Compare { .. } | Purpose::Repair { .. });
        if compares && !call.alive && self.phase == Phase::On && !self.params.hurry.is_zero() {
            // Somebody else is to have what it has.
            out.set_timer(now + self.params.hurry, Timer::Compare);
        }
        self.failed(now, call.to, call.purpose, out);
        self.mend_successors(now, out);
    }

    /// A peer said what cannot be.
    fn lied(&mut self, now: Time, peer: P, what: &'static str, out: &mut Out<P, V>) {
        self.tables.suspect(peer, now, now + self.params.suspect_time);
        out.emit(Event::Liar { peer, what });
        self.mend_successors(now, out);
    }
}

impl<P: OnRing, V: Value> Machine for Chord<P, V> {
    type Peer = P;
    type Command = Command<P, V>;
    type Message = Msg<P, V>;
    type Timer = Timer;
    type Event = Event<P, V>;
    type Effect = Effect<V>;
    type Outcome = Outcome<P>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        if self.phase == Phase::Gone {
            return;
        }
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::LinkUp(_) => {}
            Input::LinkDown(peer) => self.link_lost(now, peer, out),
            Input::Received { from, message } => {
                if from == self.own {
                    return;
                }
                self.calls.alive(from);
                match message {
                    Message::Call { id, body } => self.serve(now, from, id, body, out),
                    Message::Answer { id, body } => {
                        if let Some(call) = self.calls.answered(id, from) {
                            out.cancel(Timer::Call(id));
                            self.tables.heard(from, now, &mut self.dice);
                            self.answer(now, call, body, out);
                        }
                    }
                    Message::Tell(notice) => self.noticed(now, from, notice, out),
                }
            }
            Input::TimerFired(Timer::Stabilize) => self.round(now, out),
            Input::TimerFired(Timer::Compare) => self.compare_round(now, out),
            Input::TimerFired(Timer::Join) => self.join_again(now, out),
            Input::TimerFired(Timer::Put(id)) => self.put_again(now, id, out),
            Input::TimerFired(Timer::Call(id)) => {
                // One that fires before its time was set for another call, or is late.
                let due = |call: &Call<P>| now.since(call.sent) >= self.patience(&call.purpose);
                if self.calls.get(id).is_some_and(due)
                    && let Some(call) = self.calls.close(id)
                {
                    self.silent(now, call, out);
                }
            }
            Input::Done(Outcome::Unreachable(peer)) => {
                for id in self.calls.to(peer) {
                    if let Some(call) = self.calls.close(id) {
                        out.cancel(Timer::Call(id));
                        self.silent(now, Call { alive: false, ..call }, out);
                    }
                }
            }
        }
        self.begin_waiting(now, out);
        if self.phase == Phase::Leaving {
            self.leave_when_done(now, out);
        }
    }
}
