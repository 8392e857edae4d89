//! A node beside its machine: its lines, its disk, its driver's books, and its character.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use potluck_base::{PieceRange, PieceSet, Time};

/// How a node behaves beside its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Does what it says.
    Honest,
    /// Some of the pieces that it pushes are bad. Its claims may be false too.
    Corrupt,
    /// Takes requests and never pushes; does not answer about values.
    Silent,
    /// Pushes pieces that nobody asked for besides those that were.
    Pushy,
    /// Sends values that do not hash to the id.
    LyingValues,
    /// A puppet: no machine, it says what comes to mind, often and too much.
    Flooder,
}

/// What a node has beside its machine.
pub struct Hand {
    /// How it behaves.
    pub character: Character,
    /// Bytes per second that it can send.
    pub up_rate: u64,
    /// Bytes per second that it can receive.
    pub down_rate: u64,
    /// Pieces that are truly on its disk.
    pub truth: PieceSet,
    /// Pieces of those that can no longer be read.
    pub unreadable: PieceSet,
    /// Files whose piece values it knows.
    pub values: BTreeSet<u32>,
    /// Bytes of pieces that came and were stored.
    pub received: u64,
    /// Bytes of pieces that came and were there already, or were not expected.
    pub wasted: u64,
    /// Bytes that it sent.
    pub sent: u64,
    /// When it was told that all is here.
    pub complete: Option<Time>,
    /// Pieces that its own side was told nobody can serve.
    pub told_lost: PieceSet,
    /// When each piece was stored: a crash may lose the last.
    pub(crate) stored: Vec<(Time, PieceRange)>,
    pub(crate) expected: BTreeMap<u32, PieceSet>,
    pub(crate) queue: VecDeque<Job>,
    pub(crate) busy: bool,
    pub(crate) down_free: Time,
    /// Until then the up-link carries nothing.
    pub(crate) frozen_until: Time,
    /// Counts crashes: work begun before does not end after.
    pub(crate) life: u32,
}

/// Pieces that are to go up the line.
pub(crate) struct Job {
    pub(crate) to: u32,
    pub(crate) epoch: u32,
    pub(crate) range: PieceRange,
}

impl Hand {
    /// A node with nothing to do.
    pub fn new(character: Character, up_rate: u64, down_rate: u64, truth: PieceSet) -> Self {
        let total = truth.capacity();
        Self {
            character,
            up_rate,
            down_rate,
            truth,
            unreadable: PieceSet::none(total),
            values: BTreeSet::new(),
            received: 0,
            wasted: 0,
            sent: 0,
            complete: None,
            told_lost: PieceSet::none(total),
            stored: Vec::new(),
            expected: BTreeMap::new(),
            queue: VecDeque::new(),
            busy: false,
            down_free: Time::ZERO,
            frozen_until: Time::ZERO,
            life: 0,
        }
    }

    /// Whether it does what it says.
    pub fn is_honest(&self) -> bool {
        self.character == Character::Honest
    }

    /// The up-link carries nothing until then; what is under way gets through.
    pub fn freeze(&mut self, until: Time) {
        self.frozen_until = self.frozen_until.max(until);
    }

    /// The node crashes. Pieces stored after `kept_until` were not synced and are lost.
    pub fn crash(&mut self, kept_until: Time) {
        self.life += 1;
        self.busy = false;
        self.queue.clear();
        self.expected.clear();
        for (_, range) in self.stored.drain(..).filter(|(at, _)| *at > kept_until) {
            self.truth.remove_range(range);
        }
    }
}
