//! What peers on the circle say to each other; `docs/spec/10-chord.md` draws it.

use potluck_base::{bounded, limits};
use serde::{Deserialize, Serialize};

use super::id::RingId;
use super::values::{Reject, Slot, State};

/// What stands in a frame between two members' machines. `P` is a peer, with its places on the wire
/// and as a key inside; `V` a record, `Q` a question about records and `A` its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<P, V, Q, A> {
    /// Exactly one answer with this number follows, unless the peer is gone.
    Call {
        /// Chosen by the caller; one of its calls that are open.
        id: u32,
        /// What is wanted.
        body: Request<P, V, Q>,
    },
    /// The answer to a call.
    Answer {
        /// Of which call.
        id: u32,
        /// The answer.
        body: Reply<P, V, A>,
    },
    /// Nothing is expected back.
    Tell(Notice<P>),
}

/// What a peer wants of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<P, V, Q> {
    /// Who stands beside you? [`Reply::State`]. Also a sign of life.
    State,
    /// I stand before you now, having just come. [`Reply::State`].
    Enter,
    /// Who is closer to this key? [`Reply::Owner`] or [`Reply::Closer`].
    Next {
        /// The key.
        key: RingId,
        /// At most so many, [`limits::RING_CONTACTS`] at most.
        want: u8,
        /// The places of peers that do not answer: as if they were not there.
        #[serde(deserialize_with = "places")]
        without: Vec<RingId>,
    },
    /// I go; these were my neighbours. [`Reply::Done`].
    Leave {
        /// Who stood before me.
        predecessor: Option<P>,
        /// Who stood behind me.
        #[serde(deserialize_with = "contacts")]
        #[serde(bound(deserialize = "P: Deserialize<'de>"))]
        successors: Vec<P>,
    },
    /// Keep these, and see to it that those behind you have copies. [`Reply::Stored`].
    Store {
        /// Under which keys, and what.
        #[serde(deserialize_with = "records")]
        #[serde(bound(deserialize = "V: Deserialize<'de>"))]
        records: Vec<(RingId, V)>,
    },
    /// Keep a copy of these. [`Reply::Stored`].
    Copy {
        /// Under which keys, and what.
        #[serde(deserialize_with = "records")]
        #[serde(bound(deserialize = "V: Deserialize<'de>"))]
        records: Vec<(RingId, V)>,
    },
    /// What do you say to this about the records under a key? [`Reply::Told`].
    Ask {
        /// Under which key.
        key: RingId,
        /// What.
        question: Q,
    },
    /// What do you say to this about all records that are yours to keep? [`Reply::Told`].
    Survey {
        /// What.
        question: Q,
    },
    /// I keep the records of this range; do you have the same? [`Reply::Same`], [`Reply::Parts`]
    /// or [`Reply::Names`].
    Compare {
        /// The range `(from, to]`.
        from: RingId,
        /// Its end.
        to: RingId,
        /// How far behind the caller the other stands: 1 for its successor. Only records that are
        /// to have more copies than that count.
        rank: u8,
        /// What the caller has in it.
        digest: Digest,
    },
    /// Send me these. [`Reply::Records`].
    Fetch {
        /// Which.
        #[serde(deserialize_with = "names")]
        names: Vec<(RingId, Slot)>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<P, V, A> {
    /// Who stands beside the peer.
    #[serde(bound(deserialize = "P: Deserialize<'de>"))]
    State(Neighbours<P>),
    /// The key is mine, or my successor's.
    Owner {
        /// Who stands before the owner; the sender, if the key is its successor's.
        predecessor: P,
        /// The owner first, then those behind it. Empty if the sender is alone, and so the owner.
        #[serde(deserialize_with = "contacts")]
        #[serde(bound(deserialize = "P: Deserialize<'de>"))]
        successors: Vec<P>,
    },
    /// These stand between the sender and the key, the closest to the key first.
    Closer {
        /// Who.
        #[serde(deserialize_with = "contacts")]
        #[serde(bound(deserialize = "P: Deserialize<'de>"))]
        contacts: Vec<P>,
    },
    /// How each record ended, in order: how many copies there are, or why it is not kept.
    Stored(#[serde(deserialize_with = "stored")] Vec<Result<u8, Reject>>),
    /// What the records say.
    Told {
        /// The answer.
        answer: A,
        /// Whether the peer has compared its records with its neighbours since it came; else others
        /// may know more.
        settled: bool,
    },
    /// The same records.
    Same,
    /// Others, among too many to list: what there is in each sixteenth of the range, in order.
    Parts(#[serde(deserialize_with = "parts")] Vec<Digest>),
    /// Others: all that there are in the range.
    Names(#[serde(deserialize_with = "versions")] Vec<(RingId, Slot, u64)>),
    /// The records asked for, as far as they are there and fit.
    #[serde(bound(deserialize = "V: Deserialize<'de>"))]
    Records(#[serde(deserialize_with = "records")] Vec<(RingId, V)>),
    /// It is done.
    Done,
    /// Not now: too many calls.
    Busy,
}

/// What is said without expecting anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice<P> {
    /// I may be your predecessor (`notify` of the papers).
    Predecessor,
    /// This one stands between us now: your successor, if you ask it.
    Between(P),
}

/// Neighbours of a peer, as they are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbours<P> {
    /// Who stands before it.
    pub predecessor: Option<P>,
    /// Who stands behind it, the next first.
    #[serde(deserialize_with = "contacts")]
    #[serde(bound(deserialize = "P: Deserialize<'de>"))]
    pub successors: Vec<P>,
}

/// What a set of records comes to: equal sets have equal digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many.
    pub count: u32,
    /// The hashes of their keys, slots and versions, added up.
    #[serde(with = "sum")]
    pub sum: u128,
}

impl<P> From<State<P>> for Neighbours<P> {
    fn from(state: State<P>) -> Self {
        Self { predecessor: state.predecessor, successors: state.successors }
    }
}

impl<P> From<Neighbours<P>> for State<P> {
    fn from(said: Neighbours<P>) -> Self {
        Self { predecessor: said.predecessor, successors: said.successors }
    }
}

impl<P, V, Q, A> Message<P, V, Q, A> {
    /// The same message with its peers named otherwise; those for which there is no other name are
    /// left out. None if nothing is left to say.
    pub fn map_peers<R>(self, mut name: impl FnMut(P) -> Option<R>) -> Option<Message<R, V, Q, A>> {
        Some(match self {
            Message::Call { id, body } => Message::Call { id, body: body.map_peers(&mut name) },
            Message::Answer { id, body } => {
                Message::Answer { id, body: body.map_peers(&mut name)? }
            }
            Message::Tell(Notice::Predecessor) => Message::Tell(Notice::Predecessor),
            Message::Tell(Notice::Between(peer)) => Message::Tell(Notice::Between(name(peer)?)),
        })
    }
}

impl<P, V, Q> Request<P, V, Q> {
    fn map_peers<R>(self, name: &mut impl FnMut(P) -> Option<R>) -> Request<R, V, Q> {
        match self {
            Request::State => Request::State,
            Request::Enter => Request::Enter,
            Request::Next { key, want, without } => Request::Next { key, want, without },
            Request::Leave { predecessor, successors } => Request::Leave {
                predecessor: predecessor.and_then(&mut *name),
                successors: successors.into_iter().filter_map(name).collect(),
            },
            Request::Store { records } => Request::Store { records },
            Request::Copy { records } => Request::Copy { records },
            Request::Ask { key, question } => Request::Ask { key, question },
            Request::Survey { question } => Request::Survey { question },
            Request::Compare { from, to, rank, digest } => {
                Request::Compare { from, to, rank, digest }
            }
            Request::Fetch { names } => Request::Fetch { names },
        }
    }
}

impl<P, V, A> Reply<P, V, A> {
    fn map_peers<R>(self, name: &mut impl FnMut(P) -> Option<R>) -> Option<Reply<R, V, A>> {
        Some(match self {
            Reply::State(Neighbours { predecessor, successors }) => Reply::State(Neighbours {
                predecessor: predecessor.and_then(&mut *name),
                successors: successors.into_iter().filter_map(name).collect(),
            }),
            Reply::Owner { predecessor, successors } => Reply::Owner {
                predecessor: name(predecessor)?,
                successors: successors.into_iter().filter_map(name).collect(),
            },
            Reply::Closer { contacts } => {
                Reply::Closer { contacts: contacts.into_iter().filter_map(name).collect() }
            }
            Reply::Stored(results) => Reply::Stored(results),
            Reply::Told { answer, settled } => Reply::Told { answer, settled },
            Reply::Same => Reply::Same,
            Reply::Parts(parts) => Reply::Parts(parts),
            Reply::Names(names) => Reply::Names(names),
            Reply::Records(records) => Reply::Records(records),
            Reply::Done => Reply::Done,
            Reply::Busy => Reply::Busy,
        })
    }
}

impl Digest {
    /// Adds a record by its hash.
    pub fn add(&mut self, hash: u128) {
        self.sum = self.sum.wrapping_add(hash);
        self.count += 1;
    }

    /// The hash of a record: two with the same key, slot and version are the same.
    pub fn hash(key: RingId, slot: Slot, version: u64) -> u128 {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&key.0.to_be_bytes());
        bytes[16..32].copy_from_slice(&slot.0);
        bytes[32..].copy_from_slice(&version.to_be_bytes());
        let hash = potluck_content::hash(&bytes).0;
        u128::from_be_bytes(std::array::from_fn(|index| hash[index]))
    }
}

/// A sum as 16 bytes, the highest first.
mod sum {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(sum: &u128, to: S) -> Result<S::Ok, S::Error> {
        sum.to_be_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        <[u8; 16]>::deserialize(from).map(u128::from_be_bytes)
    }
}

fn contacts<'de, D, P>(from: D) -> Result<Vec<P>, D::Error>
where
    D: serde::Deserializer<'de>,
    P: Deserialize<'de>,
{
    bounded::list::<_, _, { limits::RING_CONTACTS }>(from)
}

fn places<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<RingId>, D::Error> {
    bounded::list::<_, _, { limits::RING_CONTACTS }>(from)
}

fn records<'de, D, V>(from: D) -> Result<Vec<(RingId, V)>, D::Error>
where
    D: serde::Deserializer<'de>,
    V: Deserialize<'de>,
{
    bounded::list::<_, _, { limits::RING_RECORDS }>(from)
}

fn names<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<(RingId, Slot)>, D::Error> {
    bounded::list::<_, _, { limits::RING_NAMES }>(from)
}

fn versions<'de, D>(from: D) -> Result<Vec<(RingId, Slot, u64)>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    bounded::list::<_, _, { limits::RING_NAMES }>(from)
}

fn parts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Digest>, D::Error> {
    bounded::list::<_, _, { limits::RING_PARTS }>(from)
}

fn stored<'de, D>(from: D) -> Result<Vec<Result<u8, Reject>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    bounded::list::<_, _, { limits::RING_RECORDS }>(from)
}
