//! What goes into a peer's machine and what comes out, besides messages.

use std::fmt;
use std::time::Duration;

use potluck_base::Time;

use super::id::RingId;

/// Somebody on the circle, as the machine knows it. Its place follows from who it is.
pub trait OnRing: Copy + Ord + fmt::Debug {
    /// Its place.
    fn ring_id(&self) -> RingId;
}

/// What is kept under a key: the machine moves, copies and compares records, and leaves to them
/// what they mean.
pub trait Value: Clone + fmt::Debug {
    /// What a check needs to know: the network, say.
    type Rules: fmt::Debug;
    /// What a holder can be asked about the records under one key.
    type Question: Clone + fmt::Debug;
    /// What it answers.
    type Answer: Clone + fmt::Debug;

    /// What it takes the place of: of two records under one key with the same slot, the higher
    /// version stays.
    fn slot(&self) -> Slot;

    /// Grows with each change.
    fn version(&self) -> u64;

    /// Until when it counts, in unix milliseconds.
    fn expires_ms(&self) -> u64;

    /// How many peers are to have it; none for as many as the network says.
    fn copies(&self) -> Option<u8> {
        None
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize;

    /// Whether it may stand under this key: signatures, lifetime, that the key is its own.
    fn check(&self, rules: &Self::Rules, key: RingId, now_ms: u64) -> Result<(), Reject>;

    /// Whether it takes others away: it is kept where there is no more room too, and goes to the
    /// keys below besides.
    fn removes(&self) -> bool {
        false
    }

    /// The same record under other keys, in parts, for when there is no more room under this one;
    /// nothing if it cannot be split.
    fn split(&self, rules: &Self::Rules) -> Vec<(RingId, Self)>;

    /// What the records under a key come to, as an answer. `full` tells that some were sent on to
    /// other keys for want of room.
    fn answer<'a>(
        records: impl Iterator<Item = &'a Self>,
        question: &Self::Question,
        full: bool,
        now_ms: u64,
    ) -> Self::Answer
    where
        Self: 'a;

    /// Two keepers' answers to one question as one: what either has, and of each the newer.
    fn merge(one: Self::Answer, other: Self::Answer, question: &Self::Question) -> Self::Answer;
}

/// Names a record among those under one key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Slot(pub [u8; 16]);

/// Why a record is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reject {
    /// The key is another peer's to keep.
    NotMine,
    /// It breaks a rule, or its signature is wrong.
    Bad,
    /// Something newer is there.
    Stale,
    /// No room under this key: split it.
    Full,
    /// No room at all, or too fast.
    Busy,
}

/// How a peer takes part. The papers' figures and ours differ in these alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Entries of the successor list, r: the ring holds as long as not all of them fail at once.
    pub successors: usize,
    /// Whether there are fingers; without them it is a plain ring.
    pub fingers: bool,
    /// Peers that one lookup asks at a time; 1 is the papers' iterative lookup.
    pub parallel: usize,
    /// Peers that are remembered beside the tables, from whatever was said; 0 for none.
    pub cache: usize,
    /// How long a peer is remembered beside the tables after it last spoke.
    pub cache_time: Duration,
    /// Peers that a finger is chosen from, by round trip; 1 for the first at or after its start.
    pub choices: usize,
    /// Peers that keep each record: its successor and those behind it.
    pub replicas: usize,
    /// Pause between two stabilizations: evenly spread between these.
    pub stabilize: (Duration, Duration),
    /// Pause before a round out of turn, after somebody came or went beside us; zero for none.
    pub hurry: Duration,
    /// Pause between two comparisons of records with those who keep the same; none without records.
    pub compare: Option<Duration>,
    /// Time for an answer before a peer counts as dead.
    pub call_time: Duration,
    /// How long a peer that counted as dead is not believed in when others name it.
    pub suspect_time: Duration,
    /// After so many stabilizations one remembered peer outside the tables is asked to look us up:
    /// that is how two circles find that they are one network. 0 for never.
    pub merge_every: u32,
    /// Ways without a common peer on which a lookup goes at the same time, against peers that lie;
    /// the owner closest to the key wins.
    pub ways: usize,
    /// Whether a lookup ends with the word of the owner itself instead of its predecessor's.
    pub confirm: bool,
}

impl Params {
    /// What live networks use.
    pub fn live() -> Self {
        Self {
            successors: 8,
            fingers: true,
            parallel: 3,
            cache: 256,
            cache_time: Duration::from_secs(60),
            choices: 8,
            replicas: 3,
            stabilize: (Duration::from_millis(2500), Duration::from_millis(3500)),
            hurry: Duration::from_millis(300),
            compare: Some(Duration::from_secs(10)),
            call_time: Duration::from_millis(2000),
            suspect_time: Duration::from_secs(10),
            merge_every: 4,
            ways: 1,
            confirm: true,
        }
    }

    /// A plain ring: the same circle without fingers, each peer asked in turn.
    pub fn ring() -> Self {
        Self { fingers: false, parallel: 1, cache: 0, choices: 1, ..Self::live() }
    }

    /// What the journal version of the paper simulates (ToN 2003), with a successor list of `r`:
    /// one peer asked at a time, one entry refreshed each 15 to 45 s, dead after 500 ms.
    pub fn paper(r: usize) -> Self {
        Self {
            successors: r,
            fingers: true,
            parallel: 1,
            cache: 0,
            cache_time: Duration::ZERO,
            choices: 1,
            replicas: 1,
            stabilize: (Duration::from_secs(15), Duration::from_secs(45)),
            hurry: Duration::ZERO,
            compare: None,
            call_time: Duration::from_millis(500),
            suspect_time: Duration::from_secs(60),
            merge_every: 0,
            ways: 1,
            confirm: true,
        }
    }
}

/// What a machine starts with.
pub struct Setup<P, V: Value> {
    /// Who we are.
    pub own: P,
    /// How we take part.
    pub params: Params,
    /// Peers that may be on the circle: from an invite, or from before. The first are tried first.
    pub known: Vec<P>,
    /// Records that were kept before.
    pub records: Vec<(RingId, V)>,
    /// What records are checked against.
    pub rules: V::Rules,
    /// Unix time of [`Time::ZERO`] by our own clock, in milliseconds.
    pub epoch_ms: u64,
    /// Spreads the pauses and picks whom to try.
    pub seed: u64,
}

/// What our own side wants. Numbers are chosen by the asker; each gets exactly one event back.
#[derive(Clone, Debug)]
pub enum Command<P, V: Value> {
    /// Take part: join over those that are known, or found the circle if there is nobody.
    Start,
    /// Peers that may be on the circle.
    Learn(Vec<P>),
    /// Who keeps this key? [`Event::Found`] or [`Event::Lost`].
    Lookup {
        /// Its number.
        id: u64,
        /// Of what.
        key: RingId,
    },
    /// Keep these records, each under its key. [`Event::Put`] for each call, when all are settled.
    Put {
        /// Its number.
        id: u64,
        /// What to keep.
        records: Vec<(RingId, V)>,
    },
    /// Ask those who keep a key. [`Event::Told`].
    Ask {
        /// Its number.
        id: u64,
        /// Under which key.
        key: RingId,
        /// What.
        question: V::Question,
    },
    /// Ask one peer for its neighbours and, as with [`Command::Ask`], about its own place.
    /// [`Event::Visited`].
    Visit {
        /// Its number.
        id: u64,
        /// Whom.
        peer: P,
        /// What.
        question: V::Question,
    },
    /// Hand over and go. [`Event::Left`] when it is done, and nothing after that.
    Leave,
}

/// What a machine tells its own side.
#[derive(Clone, Debug)]
pub enum Event<P, V: Value> {
    /// We are on the circle: we know a successor that knows us, or are alone.
    Joined {
        /// Whether nobody else is there.
        alone: bool,
    },
    /// Nobody of those who are known answers; it goes on trying.
    Unreached,
    /// Somebody else stands beside us now, or something changed in the tables.
    Neighbours,
    /// Who keeps a key.
    Found {
        /// Of which lookup.
        id: u64,
        /// The answer.
        found: Found<P>,
    },
    /// A lookup came to nothing.
    Lost {
        /// Which.
        id: u64,
        /// Peers that did not answer.
        timeouts: u32,
    },
    /// Records are settled.
    Put {
        /// Of which command.
        id: u64,
        /// How each record ended, in no order: with how many copies, or why not.
        results: Vec<(RingId, Slot, Result<u8, Reject>)>,
    },
    /// What those who keep a key said.
    Told {
        /// Of which question.
        id: u64,
        /// Who answered, and what; none if nobody did.
        answer: Option<(P, V::Answer)>,
    },
    /// What one peer said.
    Visited {
        /// Of which question.
        id: u64,
        /// Its neighbours and its answer; none if it did not answer.
        answer: Option<(State<P>, V::Answer)>,
    },
    /// A peer said what cannot be: it is asked no more for a while.
    Liar {
        /// Who.
        peer: P,
        /// What it did.
        what: &'static str,
    },
    /// Everything is handed over.
    Left,
}

/// Work beside the machine.
#[derive(Clone, Debug)]
pub enum Effect<V> {
    /// Keep this record on disk, in place of one with the same key and slot.
    Keep {
        /// Under which key.
        key: RingId,
        /// What.
        record: V,
    },
    /// Forget a record on disk.
    Drop {
        /// Under which key.
        key: RingId,
        /// Which.
        slot: Slot,
    },
}

/// How such work ended, or what the links tell.
#[derive(Clone, Debug)]
pub enum Outcome<P> {
    /// A peer cannot be reached: no need to wait for its answers.
    Unreachable(P),
}

/// The machine's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Look after the ring.
    Stabilize,
    /// Compare records.
    Compare,
    /// Try again to join.
    Join,
    /// Try again to put what nobody would keep.
    Put(u64),
    /// The answer to a call is late.
    Call(u32),
}

/// The neighbours of a peer, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<P> {
    /// Who stands before it.
    pub predecessor: Option<P>,
    /// Who stands behind it, the next first; empty if it is alone.
    pub successors: Vec<P>,
}

/// The answer to a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<P> {
    /// The key.
    pub key: RingId,
    /// Who keeps it: the first peer at or after it.
    pub owner: P,
    /// Who stands before the owner, as far as is known: keys after it are the owner's.
    pub predecessor: Option<P>,
    /// Who stands behind the owner and has copies.
    pub successors: Vec<P>,
    /// Who was asked, in order.
    pub path: Vec<Hop<P>>,
    /// Peers between us and the owner on the way that led to it: as the papers count, without the
    /// last step to the owner itself; 0 if we knew it ourselves.
    pub hops: u32,
    /// Peers that did not answer on the way; dead owners are in [`Found::dead_owners`].
    pub timeouts: u32,
    /// Owners named by their predecessor that did not answer.
    pub dead_owners: u32,
    /// From question to answer.
    pub took: Duration,
}

/// One step of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<P> {
    /// Who was asked.
    pub peer: P,
    /// Its answer took so long; none if there was none.
    pub took: Option<Duration>,
    /// How many answers led to it.
    pub depth: u32,
}

/// A finger, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerView<P> {
    /// Which: it starts 2^index after us.
    pub index: u8,
    /// Where it starts.
    pub start: RingId,
    /// Who it is.
    pub peer: P,
    /// When it was last looked up.
    pub refreshed: Time,
    /// The last round trip to it, if it was ever asked.
    pub rtt: Option<Duration>,
}
