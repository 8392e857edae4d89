//! Calls that wait for an answer, and what the answer is for.

use std::collections::BTreeMap;

use potluck_base::Time;

use super::id::RingId;
use super::values::Slot;

/// What an answer is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose<P> {
    /// The successor's neighbours, for the round of stabilization.
    Stabilize,
    /// The neighbours of a peer that is said to stand between us and our successor.
    Adopt,
    /// A sign of life of our predecessor, as this peer says that it stands there.
    Rectify {
        /// Who says so.
        candidate: P,
    },
    /// Coming in before a successor.
    Enter,
    /// A round trip to somebody that may become a finger.
    Measure {
        /// Which finger.
        index: u8,
    },
    /// A step of a lookup.
    Step {
        /// Which lookup.
        lookup: u64,
        /// On which way.
        way: usize,
    },
    /// The owner's own word, at the end of a lookup.
    Confirm {
        /// Which lookup.
        lookup: u64,
        /// On which way.
        way: usize,
    },
    /// The neighbours of a peer that our own side asked for.
    VisitState {
        /// Which visit.
        visit: u64,
    },
    /// What that peer says about its records.
    VisitSurvey {
        /// Which visit.
        visit: u64,
    },
    /// Goodbye.
    Leave,
    /// Records of a put, on their way to their owner.
    Store {
        /// Which put.
        put: u64,
        /// Which, in order.
        names: Vec<(RingId, Slot)>,
    },
    /// Copies of records that a deposit waits for.
    Copy {
        /// Which deposit.
        deposit: u64,
        /// The numbers of the records in the deposit, in order.
        indices: Vec<usize>,
    },
    /// A question about the records under a key.
    Ask {
        /// Which question.
        ask: u64,
    },
    /// A comparison of what two peers keep of a range.
    Compare {
        /// Its beginning.
        from: RingId,
        /// Its end.
        to: RingId,
        /// How far behind us the other stands.
        rank: u8,
    },
    /// Records that another keeper has and we lack.
    Fetch {
        /// What was asked for.
        asked: Vec<(RingId, Slot)>,
        /// The rest that is still to be fetched from it.
        rest: Vec<(RingId, Slot)>,
    },
    /// Records that another keeper lacked.
    Repair {
        /// The rest that it still lacks.
        rest: Vec<(RingId, Slot)>,
    },
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Call<P> {
    /// Whom.
    pub(super) to: P,
    /// When it was made.
    pub(super) sent: Time,
    /// What for.
    pub(super) purpose: Purpose<P>,
    /// Whether the peer has said something since, if not the answer.
    pub(super) alive: bool,
}

/// All that wait, by number.
#[derive(Debug)]
pub(super) struct Calls<P> {
    next: u32,
    open: BTreeMap<u32, Call<P>>,
}

impl<P: Copy + Ord> Calls<P> {
    pub(super) fn new() -> Self {
        Self { next: 0, open: BTreeMap::new() }
    }

    /// Notes a call and gives it a number.
    pub(super) fn open(&mut self, to: P, sent: Time, purpose: Purpose<P>) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.open.insert(self.next, Call { to, sent, purpose, alive: false });
        self.next
    }

    /// Takes a call off the list.
    pub(super) fn close(&mut self, id: u32) -> Option<Call<P>> {
        self.open.remove(&id)
    }

    /// Takes a call off the list if this is the peer that was called.
    pub(super) fn answered(&mut self, id: u32, from: P) -> Option<Call<P>> {
        if self.open.get(&id).is_some_and(|call| call.to == from) { self.close(id) } else { None }
    }

    /// A peer has said something: those calls to it that come to nothing were lost on the way.
    pub(super) fn alive(&mut self, peer: P) {
        self.open.values_mut().filter(|call| call.to == peer).for_each(|call| call.alive = true);
    }

    pub(super) fn get(&self, id: u32) -> Option<&Call<P>> {
        self.open.get(&id)
    }

    /// The numbers of all calls to a peer.
    pub(super) fn to(&self, peer: P) -> Vec<u32> {
        self.open.iter().filter(|(_, call)| call.to == peer).map(|(id, _)| *id).collect()
    }

    /// Takes calls off the list whose answers are not wanted any more.
    pub(super) fn forget(&mut self, unwanted: impl Fn(&Purpose<P>) -> bool) {
        self.open.retain(|_, call| !unwanted(&call.purpose));
    }

    /// Whether some call to a peer is for this.
    pub(super) fn any_to(&self, peer: P, fits: impl Fn(&Purpose<P>) -> bool) -> bool {
        self.open.values().any(|call| call.to == peer && fits(&call.purpose))
    }

    /// Whether some call is for this.
    pub(super) fn any(&self, fits: impl Fn(&Purpose<P>) -> bool) -> bool {
        self.open.values().any(|call| fits(&call.purpose))
    }
}
