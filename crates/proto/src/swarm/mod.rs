//! One content, one node: who is asked for which piece, and whom pieces are pushed to.
//!
//! Participants: a node that has pieces (uploader) and one that wants some (receiver); most are
//! both.
//!
//! Goals: every receiver gets all it wants as long as somebody connected has it; rare pieces spread
//! first; an idle up-link is never idle while somebody wants what it could send; a slow, silent or
//! lying peer costs time, never correctness; memory per peer is bounded.
//!
//! Non-goals: moving bytes (the driver does, see [`Effect`]), finding peers (a directory does),
//! rewarding who gives (a later ledger), limiting rates.
//!
//! Flow: both sides send `Join`. The uploader grants an allowance in bytes; the receiver answers
//! with requests for what it chooses, at the moment it may ask; the uploader pushes run by run and
//! tops the allowance up as pieces leave. Whatever arrives is announced to others with `Have`.

#[cfg(test)]
mod books;
mod grants;
mod message;
mod meter;
mod peers;
mod picker;
mod relief;
mod requests;
#[cfg(test)]
mod scenes;
mod stock;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, Time, limits};
use potluck_content::PieceMap;

pub use message::{Command, Effect, Event, GoneWhy, Message, NotPushedWhy, Outcome, ValuesError};

use crate::dice::Dice;
use crate::machine::{Input, Machine, Outbox};
use peers::Peer;
use picker::Picker;
use values::ValuesPlan;

/// What a piece costs of an allowance besides its bytes: small files must not make endless lists.
pub const PIECE_OVERHEAD: u32 = 512;

/// Pause before new pieces are announced: one message then names many, and the delay is small
/// beside the time that a window of pieces takes.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(50);
/// Pause between two looks at what does not happen: stalls, slow peers, windows to shrink.
const TICK_EVERY: Duration = Duration::from_millis(250);

/// What a [`Swarm`] starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The content's pieces.
    pub map: Arc<PieceMap>,
    /// Pieces that are here.
    pub have: PieceSet,
    /// Pieces that shall be here, whether they are or not; none for a pure seed.
    pub wanted: PieceSet,
    /// Files of more than one piece whose piece values are known.
    pub values: BTreeSet<u32>,
    /// Decides where this node begins among equally rare pieces, and whom it introduces.
    pub seed: u64,
}

/// What a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Tell others which pieces have come.
    Announce,
    /// Look at what does not happen.
    Tick,
}

/// The machine of one content on one node. `P` names a peer.
pub struct Swarm<P> {
    map: Arc<PieceMap>,
    dice: Dice,
    have: PieceSet,
    wanted: PieceSet,
    /// How many wanted pieces are not here.
    missing: u32,
    /// Pieces of files whose values are not known: nobody could verify them.
    unknown: PieceSet,
    /// Pieces that were asked from a peer that is not stalled.
    asked: PieceSet,
    /// Pieces that may be asked from more than one peer: endgame and probes.
    doubled: BTreeSet<u32>,
    picker: Picker,
    values: ValuesPlan<P>,
    peers: BTreeMap<P, Peer>,
    /// Connected peers that have every piece.
    full_peers: u32,
    banned: BTreeSet<P>,
    /// How often peers that are still linked said goodbye.
    byes: BTreeMap<P, u32>,
    /// Peers that we were told of and tried to connect to, and when.
    tried: BTreeMap<P, Time>,
    /// Pieces of ours that vanished: a request for one has merely crossed our `Gone`.
    lost: Option<PieceSet>,
    /// Pieces that some peer said are gone, and what the last of them said.
    gone: Option<(PieceSet, GoneWhy)>,
    /// Pieces of which our own side knows that nobody can serve them.
    reported: PieceSet,
    /// Pieces that have come since the last announcement.
    fresh: PieceSet,
    announce_at: Option<Time>,
    tick_at: Option<Time>,
    forgiven_at: Time,
    /// Pushes that are out and not slow.
    pushes_out: usize,
    window_min: u64,
    /// Whether anything was ever wanted.
    wanting: bool,
    /// Whether the peers know that something is wanted.
    told_wants: bool,
    /// Whether our own side knows that everything wanted is here.
    finished: bool,
    left: bool,
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    /// A machine without peers. What is already complete is reported with the first input.
    ///
    /// # Panics
    /// If the sets are not as large as the map.
    pub fn new(setup: Setup) -> Self {
        let Setup { map, have, wanted, values, seed } = setup;
        let total = map.total();
        assert_eq!(have.capacity(), total, "pieces of another content");
        let mut swarm = Self {
            dice: Dice::new(seed),
            wanted: PieceSet::none(total),
            missing: 0,
            unknown: unknown_pieces(&map, &values),
            asked: PieceSet::none(total),
            doubled: BTreeSet::new(),
            picker: Picker::new(0, Dice::new(0)),
            values: ValuesPlan::new(values),
            peers: BTreeMap::new(),
            full_peers: 0,
            banned: BTreeSet::new(),
            byes: BTreeMap::new(),
            tried: BTreeMap::new(),
            lost: None,
            gone: None,
            reported: PieceSet::none(total),
            fresh: PieceSet::none(total),
            announce_at: None,
            tick_at: None,
            forgiven_at: Time::ZERO,
            pushes_out: 0,
            window_min: grants::window_min(&map),
            wanting: false,
            told_wants: false,
            finished: false,
            left: false,
            have,
            map,
        };
        if !wanted.is_empty() {
            swarm.add_wanted(&wanted);
            swarm.told_wants = swarm.missing > 0;
        }
        swarm
    }

    /// Pieces that are here.
    pub fn have(&self) -> &PieceSet {
        &self.have
    }

    /// Pieces that shall be here, whether they are or not.
    pub fn wanted(&self) -> &PieceSet {
        &self.wanted
    }

    /// Whether it was told to leave: it takes no further part.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// How many wanted pieces are not here.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// The peers that take part, as far as they have said so.
    pub fn partners(&self) -> impl Iterator<Item = Partner<P>> + '_ {
        self.peers.iter().filter(|(_, peer)| peer.joined).map(|(id, peer)| Partner {
            peer: *id,
            pieces: peer.have.len(),
            wants: peer.wants,
            stalled: peer.down.stalled,
        })
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox<Self>) {
        match command {
            Command::Want(pieces) => {
                self.add_wanted(&pieces);
                self.finished = false;
                self.want_again(out);
                self.fetch_values(now, out);
                self.fill_all(now, out);
            }
            Command::Skip(ranges) => self.skip(&ranges, out),
            Command::Local(ranges) => self.appeared(now, &ranges, out),
            Command::Lost(ranges) => self.lose(now, &ranges, GoneWhy::Changed, out),
            Command::Leave => self.leave(out),
        }
    }

    fn done(&mut self, now: Time, outcome: Outcome<P>, out: &mut Outbox<Self>) {
        match outcome {
            Outcome::Values { from, files, result } => {
                self.values_ended(now, from, files, result, out);
            }
            Outcome::Arrived { from, range } => self.arrived(now, from, range, out),
            Outcome::Bad { from, piece } => {
                // More of the same may have been under way when the first lie came out.
                if !self.banned.contains(&from) {
                    out.emit(Event::Liar { peer: from, piece: Some(piece) });
                    self.ban(now, from, out);
                }
            }
            Outcome::Unasked { from, range } => self.unasked(now, from, range, out),
            Outcome::Pushed { to, range } => self.pushed(now, to, range, out),
            Outcome::NotPushed { to, range, why } => self.not_pushed(now, to, range, why, out),
        }
    }

    fn leave(&mut self, out: &mut Outbox<Self>) {
        for (id, peer) in &self.peers {
            peer.call_off_everything(*id, out);
            out.send(*id, Message::Bye);
        }
        self.peers.clear();
        if self.announce_at.take().is_some() {
            out.cancel(Timer::Announce);
        }
        if self.tick_at.take().is_some() {
            out.cancel(Timer::Tick);
        }
        self.left = true;
    }

    fn fired(&mut self, now: Time, timer: Timer, out: &mut Outbox<Self>) {
        let due = match timer {
            Timer::Announce => &mut self.announce_at,
            Timer::Tick => &mut self.tick_at,
        };
        // A timer that was cancelled or moved may still fire.
        if due.is_none_or(|at| now < at) {
            return;
        }
        *due = None;
        match timer {
            Timer::Announce => self.announce(out),
            Timer::Tick => self.tick(now, out),
        }
    }

    fn announce(&mut self, out: &mut Outbox<Self>) {
        let fresh = std::mem::replace(&mut self.fresh, PieceSet::none(self.map.total()));
        let ranges: Vec<PieceRange> = fresh.ranges().collect();
        for (id, peer) in &self.peers {
            // Whoever has not joined yet has, or will have, our `Join`, which did not name these.
            if (peer.wants || !peer.joined) && !peer.have.is_full() {
                for part in ranges.chunks(limits::RANGES) {
                    out.send(*id, Message::Have(part.to_vec()));
                }
            }
        }
    }

    fn tick(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.forgive(now);
        self.check_stalls(now, out);
        self.fetch_values(now, out);
        self.fill_all(now, out);
        self.exempt_slow_pushes(now);
        self.grant_all(now, out);
        self.serve(now, out);
    }

    /// What follows from any input: the end, and whether to look again.
    fn settle(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.wanting && self.missing == 0 && !self.finished {
            self.finished = true;
            if std::mem::take(&mut self.told_wants) {
                for id in self.everybody() {
                    out.send(id, Message::Finished);
                }
            }
            out.emit(Event::Complete);
        }
        if self.tick_at.is_none() {
            let missing = self.missing > 0;
            if self.peers.values().any(|peer| peer.joined && (peer.wants || missing)) {
                let at = now + TICK_EVERY;
                self.tick_at = Some(at);
                out.set_timer(at, Timer::Tick);
            }
        }
    }

    /// All who have our `Join`, whether theirs has come or not.
    fn everybody(&self) -> Vec<P> {
        self.peers.keys().copied().collect()
    }

    /// The part of a range that the content has.
    fn clip(&self, range: PieceRange) -> PieceRange {
        range.intersect(PieceRange::new(0, self.map.total()))
    }

    /// What pieces cost of an allowance.
    fn cost(&self, range: PieceRange) -> u64 {
        self.map.bytes_of(range) + u64::from(range.len()) * u64::from(PIECE_OVERHEAD)
    }
}

impl<P: Copy + Ord + Debug> Machine for Swarm<P> {
    type Peer = P;
    type Command = Command;
    type Message = Message<P>;
    type Timer = Timer;
    type Event = Event<P>;
    type Effect = Effect<P>;
    type Outcome = Outcome<P>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        if self.left {
            return;
        }
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::LinkUp(peer) => self.link_up(peer, out),
            Input::LinkDown(peer) => self.link_down(now, peer, out),
            Input::Received { from, message } => self.received(now, from, message, out),
            Input::TimerFired(timer) => self.fired(now, timer, out),
            Input::Done(outcome) => self.done(now, outcome, out),
        }
        if !self.left {
            self.settle(now, out);
        }
    }
}

/// What our own side may know of a peer that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partner<P> {
    /// Who.
    pub peer: P,
    /// How many pieces it has.
    pub pieces: u32,
    /// Whether it wants any.
    pub wants: bool,
    /// Whether nothing has come from it for too long.
    pub stalled: bool,
}

/// The pieces of files of more than one piece whose values are not known.
fn unknown_pieces(map: &PieceMap, known: &BTreeSet<u32>) -> PieceSet {
    let mut unknown = PieceSet::none(map.total());
    for file in 0..map.files() {
        let pieces = map.file(file).pieces;
        if pieces.len() > 1 && !known.contains(&file) {
            unknown.insert_range(pieces);
        }
    }
    unknown
}

/// The pieces of a set that lie in a range, as ranges.
fn within(set: &PieceSet, range: PieceRange) -> impl Iterator<Item = PieceRange> + '_ {
    let mut at = range.start;
    let end = range.end.min(set.capacity());
    std::iter::from_fn(move || {
        let start = set.first_present(at);
        if start >= end {
            return None;
        }
        at = set.first_absent(start).min(end);
        Some(PieceRange::new(start, at))
    })
}
