//! One way of a lookup: whom it may ask, who did not answer, and what it came to.

use std::time::Duration;

use potluck_base::limits;

use super::{Found, Hop, OnRing, RingId};

/// Peers that one way keeps in mind, asked or not.
const POOL: usize = 64;
/// Dead peers that one way keeps in mind.
const DEAD: usize = 256;

/// One way of a lookup.
pub(super) struct Way<P> {
    /// Whoever may be asked, the closest before the key first.
    pub(super) pool: Vec<Candidate<P>>,
    /// Places of those that did not answer: whoever named them is asked who else there is.
    pub(super) dead: Vec<RingId>,
    pub(super) in_flight: usize,
    pub(super) path: Vec<Hop<P>>,
    pub(super) timeouts: u32,
    pub(super) dead_owners: u32,
    pub(super) confirms: u32,
    second_chance: bool,
    /// Who may be the owner, and those behind it, while the first is asked for its word.
    pub(super) claim: Option<Claim<P>>,
    /// What came of it, once it has ended.
    pub(super) end: Option<Option<Found<P>>>,
}

#[derive(Clone)]
pub(super) struct Claim<P> {
    pub(super) predecessor: P,
    /// The owner first.
    pub(super) owners: Vec<P>,
    pub(super) hops: u32,
    /// Whether the owner itself says so.
    pub(super) sure: bool,
}

pub(super) struct Candidate<P> {
    pub(super) peer: P,
    pub(super) depth: u32,
    pub(super) stands: Stands,
}

/// How a candidate stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// To be asked.
    New,
    /// Asked, told of so many dead, and not heard of yet.
    Asked(usize),
    /// It has answered, knowing of so many dead.
    Answered(usize),
    /// It did not answer, or lied.
    Dead,
}

impl<P: OnRing> Way<P> {
    pub(super) fn new() -> Self {
        Self {
            pool: Vec::new(),
            dead: Vec::new(),
            in_flight: 0,
            path: Vec::new(),
            timeouts: 0,
            dead_owners: 0,
            confirms: 0,
            second_chance: true,
            claim: None,
            end: None,
        }
    }

    /// Puts a peer where it belongs: the closest before the key first. False if it is there.
    pub(super) fn add(&mut self, key: RingId, peer: P, depth: u32) -> bool {
        let closeness = |peer: &P| peer.ring_id().distance_to(key);
        let here = closeness(&peer);
        let at = self.pool.partition_point(|other| closeness(&other.peer) < here);
        let known = self.pool.get(at).is_some_and(|other| other.peer == peer);
        let new = !known && at < POOL;
        if new {
            self.pool.insert(at, Candidate { peer, depth, stands: Stands::New });
            self.pool.truncate(POOL);
        }
        new
    }

    pub(super) fn hop(&mut self, peer: P, took: Option<Duration>, depth: u32) {
        if self.path.len() < POOL {
            self.path.push(Hop { peer, took, depth });
        }
    }

    /// Notes how a peer that was asked stands now; how far it is from us.
    pub(super) fn settle(&mut self, peer: P, alive: bool) -> u32 {
        self.in_flight -= 1;
        if !alive {
            self.note_dead(peer);
        }
        let Some(found) = self.pool.iter_mut().find(|other| other.peer == peer) else { return 0 };
        found.stands = match (alive, found.stands) {
            (true, Stands::Asked(with)) => Stands::Answered(with),
            (true, stands) => stands,
            (false, _) => Stands::Dead,
        };
        found.depth
    }

    /// Somebody is dead, or held for dead.
    pub(super) fn note_dead(&mut self, peer: P) {
        let place = peer.ring_id();
        if self.dead.len() < DEAD && !self.dead.contains(&place) {
            self.dead.push(place);
        }
    }

    /// The dead between a peer and the key: it need not name them again.
    fn dead_behind(&self, key: RingId, peer: P) -> impl Iterator<Item = RingId> {
        let from = peer.ring_id();
        self.dead.iter().copied().filter(move |place| place.is_between(from, key))
    }

    /// The peer to ask next, told of the dead that it may name.
    pub(super) fn ask(&mut self, key: RingId, at: usize) -> (P, Vec<RingId>) {
        let peer = self.pool[at].peer;
        let mut without: Vec<RingId> = self.dead_behind(key, peer).collect();
        self.pool[at].stands = Stands::Asked(without.len());
        self.in_flight += 1;
        // Those closest to the key are the ones that would be named.
        without.sort_unstable_by_key(|place| place.distance_to(key));
        without.truncate(limits::RING_CONTACTS);
        (peer, without)
    }

    /// Whether an owner that was silent may be asked once more; it may not a second time.
    pub(super) fn has_second_chance(&mut self) -> bool {
        std::mem::replace(&mut self.second_chance, false)
    }

    /// A peer that has answered lied.
    pub(super) fn give_up_on(&mut self, peer: P) {
        self.in_flight += 1;
        self.settle(peer, false);
    }

    /// The closest that is still to be asked, or to be asked again as it named somebody dead.
    pub(super) fn next(&self, key: RingId) -> Option<usize> {
        self.pool.iter().position(|other| match other.stands {
            Stands::New => true,
            Stands::Answered(with) => with < self.dead_behind(key, other.peer).count(),
            Stands::Asked(_) | Stands::Dead => false,
        })
    }
}

/// What an answer claims, if it can be: the key lies between the two peers that it names, and the
/// sender is one of them.
pub(super) fn owners<P: OnRing>(
    key: RingId,
    from: P,
    predecessor: P,
    successors: Vec<P>,
) -> Option<Claim<P>> {
    let owner = successors.first().copied().unwrap_or(from);
    let beside = predecessor == from || owner == from;
    let between = key.is_in(predecessor.ring_id(), owner.ring_id());
    let sure = owner == from && predecessor != from;
    (beside && between).then_some(Claim { predecessor, owners: successors, hops: 0, sure })
}
