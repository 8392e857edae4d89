//! Scenes of one machine among peers that the test plays: what goes in, what comes out.

mod receiving;
mod sending;
mod soak;
mod trouble;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath, Time};
use potluck_content::{Entry, Kind, Manifest, PieceMap};

use super::{Command, Effect, Event, Message, Outcome, PIECE_OVERHEAD, Setup, Swarm, Timer};
use crate::machine::{Input, Machine, Outbox, Output};

/// A peer of the machine on stage.
type Peer = u8;

/// A machine, its time, and the outputs of the last input.
struct Stage {
    swarm: Swarm<Peer>,
    now: Time,
    out: Vec<Output<Swarm<Peer>>>,
}

/// A file of so many pieces of 64 KiB.
fn file(pieces: u32) -> PieceMap {
    PieceMap::one_file(u64::from(pieces) << 16, ContentId([0; 32]))
}

/// A folder with files of these sizes.
fn folder(sizes: &[u64]) -> PieceMap {
    let entries = sizes.iter().enumerate().map(|(number, size)| Entry {
        path: RelPath::parse(&format!("{number:04}")).unwrap(),
        kind: Kind::File { size: *size, id: ContentId([1; 32]), executable: false },
    });
    PieceMap::of_manifest(&Manifest::new(entries.collect()).unwrap())
}

/// The set of the pieces that are marked with `#`.
fn set(drawn: &str) -> PieceSet {
    let mut set = PieceSet::none(drawn.len() as u32);
    for (piece, _) in drawn.bytes().enumerate().filter(|(_, mark)| *mark == b'#') {
        set.insert(piece as u32);
    }
    set
}

/// The ranges of the pieces that are marked with `#`.
fn ranges(drawn: &str) -> Vec<PieceRange> {
    set(drawn).ranges().collect()
}

fn range(start: u32, end: u32) -> PieceRange {
    PieceRange::new(start, end)
}

/// What so many pieces of 64 KiB cost.
fn cost(pieces: u32) -> u32 {
    pieces * ((1 << 16) + PIECE_OVERHEAD)
}

/// The pieces of all these ranges, one by one.
fn pieces(ranges: &[PieceRange]) -> Vec<u32> {
    ranges.iter().flat_map(PieceRange::iter).collect()
}

impl Stage {
    fn new(map: PieceMap, have: PieceSet, wanted: PieceSet) -> Self {
        let values = (0..map.files()).collect();
        Self::with_values(map, have, wanted, values)
    }

    fn with_values(map: PieceMap, have: PieceSet, wanted: PieceSet, values: BTreeSet<u32>) -> Self {
        let setup = Setup { map: Arc::new(map), have, wanted, values, seed: 1 };
        Self { swarm: Swarm::new(setup), now: Time(1_000_000), out: Vec::new() }
    }

    /// Somebody who has these pieces of a file and wants the others.
    fn receiver(have: &str) -> Self {
        let total = have.len() as u32;
        Self::new(file(total), set(have), PieceSet::all(total))
    }

    /// Somebody who has a whole file.
    fn seed(pieces: u32) -> Self {
        Self::new(file(pieces), PieceSet::all(pieces), PieceSet::none(pieces))
    }

    fn put(&mut self, input: Input<Swarm<Peer>>) -> &mut Self {
        let mut out = Outbox::new();
        self.swarm.handle(self.now, input, &mut out);
        if !self.swarm.has_left() {
            self.swarm.check();
        }
        self.out = out.drain().collect();
        self
    }

    fn hear(&mut self, from: Peer, message: Message<Peer>) -> &mut Self {
        self.put(Input::Received { from, message })
    }

    /// A peer with these pieces joins.
    fn join(&mut self, from: Peer, have: &str, wants: bool) -> &mut Self {
        self.hear(from, Message::Join { have: ranges(have), wants })
    }

    /// A peer grants so many pieces of 64 KiB.
    fn grant(&mut self, from: Peer, pieces: u32) -> &mut Self {
        self.hear(from, Message::Grant { bytes: cost(pieces) })
    }

    fn arrive(&mut self, from: Peer, range: PieceRange) -> &mut Self {
        self.put(Input::Done(Outcome::Arrived { from, range }))
    }

    fn pushed(&mut self, to: Peer, range: PieceRange) -> &mut Self {
        self.put(Input::Done(Outcome::Pushed { to, range }))
    }

    fn command(&mut self, command: Command) -> &mut Self {
        self.put(Input::Command(command))
    }

    /// Time passes; the tick comes when it is due, as often as it is due. Collects all outputs.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some((at, timer)) = self.next_timer().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.put(Input::TimerFired(timer));
            all.append(&mut self.out);
        }
        self.now = end;
        self.out = all;
        self
    }

    fn next_timer(&self) -> Option<(Time, Timer)> {
        let announce = self.swarm.announce_at.map(|at| (at, Timer::Announce));
        let tick = self.swarm.tick_at.map(|at| (at, Timer::Tick));
        announce.into_iter().chain(tick).min()
    }

    /// What was sent to a peer.
    fn sent(&self, peer: Peer) -> Vec<Message<Peer>> {
        let sent = self.out.iter().filter_map(|output| match output {
            Output::Send { to, message } if *to == peer => Some(message.clone()),
            _ => None,
        });
        sent.collect()
    }

    /// The pieces that a peer was asked for.
    fn asked(&self, peer: Peer) -> Vec<u32> {
        let asked = self.sent(peer).into_iter().filter_map(|message| match message {
            Message::Request(ranges) => Some(pieces(&ranges)),
            _ => None,
        });
        asked.flatten().collect()
    }

    /// The pieces that a peer was told not to push.
    fn cancelled(&self, peer: Peer) -> Vec<u32> {
        let cancelled = self.sent(peer).into_iter().filter_map(|message| match message {
            Message::Cancel(ranges) => Some(pieces(&ranges)),
            _ => None,
        });
        cancelled.flatten().collect()
    }

    fn effects(&self) -> Vec<Effect<Peer>> {
        let effects = self.out.iter().filter_map(|output| match output {
            Output::Perform(effect) => Some(effect.clone()),
            _ => None,
        });
        effects.collect()
    }

    /// The runs that are pushed to a peer.
    fn pushes(&self, peer: Peer) -> Vec<PieceRange> {
        let pushes = self.effects().into_iter().filter_map(|effect| match effect {
            Effect::Push { to, range } if to == peer => Some(range),
            _ => None,
        });
        pushes.collect()
    }

    /// How much a peer was granted.
    fn granted(&self, peer: Peer) -> u32 {
        let granted = self.sent(peer).into_iter().filter_map(|message| match message {
            Message::Grant { bytes } => Some(bytes),
            _ => None,
        });
        granted.sum()
    }

    fn events(&self) -> Vec<Event<Peer>> {
        let events = self.out.iter().filter_map(|output| match output {
            Output::Emit(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }

    fn hung_up_on(&self, peer: Peer) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Hangup(who) if *who == peer))
    }
}
