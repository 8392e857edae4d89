//! Looking up who keeps a key: iterative, several peers asked at a time, on several ways if peers
//! may lie.
//!
//! A way ends with a claim: the peer before the key names the peers behind it. With
//! [`Params::confirm`](super::Params::confirm) the owner itself is asked: it knows of those who
//! came and went since, and it is seen to be there. Of several ways the owner closest to the key
//! wins: nobody can invent a peer that stands closer, as places follow from keys.

use std::time::Duration;

use potluck_base::{Time, limits};

use super::calls::Purpose;
use super::way::{Candidate, Claim, Stands, Way, owners};
use super::{Chord, Event, Found, OnRing, Out, Phase, Rep, Reply, Request, RingId, State, Value};

/// Peers that a lookup begins with and that each one asked may name: enough that some of them live.
const CONTACTS: usize = 8;
/// Owners that are asked for their word on one way, before it counts as lost.
const CONFIRMS: u32 = 16;

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Our own side, under its number.
    Asker(u64),
    /// Our place on the circle.
    Join,
    /// Our place as somebody outside our tables sees it.
    Merge,
    /// A finger.
    Finger(u8),
    /// The owner of records that are put.
    Put(u64),
    /// Those who are asked about a key.
    Ask(u64),
}

/// A lookup under way.
pub(super) struct Lookup<P> {
    pub(super) purpose: For,
    key: RingId,
    began: Time,
    ways: Vec<Way<P>>,
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Looks up a key, beginning with our own tables.
    pub(super) fn look_up(&mut self, now: Time, purpose: For, key: RingId, out: &mut Out<P, V>) {
        if self.phase == Phase::Joining || self.phase == Phase::Outside {
            return self.lost(now, purpose, 0, out);
        }
        if self.tables.owns(key) {
            let found = Found {
                key,
                owner: self.own,
                predecessor: self.tables.predecessor,
                successors: self.tables.successors().to_vec(),
                path: Vec::new(),
                hops: 0,
                timeouts: 0,
                dead_owners: 0,
                took: Duration::ZERO,
            };
            return self.found(now, purpose, found, out);
        }
        let Some(id) = self.open_lookup(now, purpose, key, out) else { return };
        if let Some(next) = self.tables.next()
            && key.is_in(self.id, next.ring_id())
        {
            let owners = self.tables.successors().to_vec();
            let claim = Claim { predecessor: self.own, owners, hops: 0, sure: false };
            if let Some(lookup) = self.lookups.get_mut(&id) {
                lookup.ways.truncate(1);
            }
            return self.claimed(now, (id, 0), claim, out);
        }
        let mut contacts = Vec::new();
        let want = CONTACTS.max(self.params.parallel * self.params.ways);
        self.tables.closest_before(key, want, now, &mut contacts);
        self.spread(id, &contacts);
        self.guess(now, id, key, out);
        self.walk(now, id, out);
    }

    /// Looks up a key, beginning with these peers, wherever they stand.
    pub(super) fn look_up_from(
        &mut self,
        now: Time,
        purpose: For,
        key: RingId,
        contacts: &[P],
        out: &mut Out<P, V>,
    ) {
        let Some(id) = self.open_lookup(now, purpose, key, out) else { return };
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.ways.truncate(1);
        }
        self.spread(id, contacts);
        self.walk(now, id, out);
    }

    fn open_lookup(
        &mut self,
        now: Time,
        purpose: For,
        key: RingId,
        out: &mut Out<P, V>,
    ) -> Option<u64> {
        let own = matches!(purpose, For::Join | For::Merge);
        if !own && self.lookups.len() >= limits::RING_LOOKUPS {
            if self.waiting.len() < limits::RING_LOOKUPS_WAITING {
                self.waiting.push_back((purpose, key));
            } else {
                self.lost(now, purpose, 0, out);
            }
            return None;
        }
        let ways = match purpose {
            For::Asker(_) | For::Put(_) | For::Ask(_) => self.params.ways.max(1),
            For::Join | For::Merge | For::Finger(_) => 1,
        };
        let id = self.serial();
        let ways = (0..ways).map(|_| Way::new()).collect();
        self.lookups.insert(id, Lookup { purpose, key, began: now, ways });
        Some(id)
    }

    /// Begins lookups that waited, as far as there is room now.
    pub(super) fn begin_waiting(&mut self, now: Time, out: &mut Out<P, V>) {
        while self.lookups.len() < limits::RING_LOOKUPS
            && let Some((purpose, key)) = self.waiting.pop_front()
        {
            self.look_up(now, purpose, key, out);
        }
    }

    /// Gives each way peers of its own to begin with.
    fn spread(&mut self, id: u64, contacts: &[P]) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let ways = lookup.ways.len();
        for (index, peer) in contacts.iter().enumerate() {
            lookup.ways[index % ways].add(lookup.key, *peer, 1);
        }
    }

    /// Asks the first peer after the key that we have heard of: it may be the owner.
    fn guess(&mut self, now: Time, id: u64, key: RingId, out: &mut Out<P, V>) {
        let plain = self.params.cache == 0 || self.params.ways > 1 || !self.params.confirm;
        let Some(lookup) = self.lookups.get(&id) else { return };
        if plain || matches!(lookup.purpose, For::Finger(_)) {
            return;
        }
        if let Some(peer) = self.tables.first_after(key, now).filter(|p| !self.tables.is_suspect(p))
        {
            let purpose = Purpose::Confirm { lookup: id, way: usize::MAX };
            self.call(now, peer, purpose, Request::State, out);
        }
    }

    /// Asks on every way as many as may be asked at a time; ends ways that lead nowhere.
    fn walk(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        for way in 0..lookup.ways.len() {
            self.walk_way(now, (id, way), out);
        }
        self.conclude(now, id, out);
    }

    fn walk_way(&mut self, now: Time, (id, way): (u64, usize), out: &mut Out<P, V>) {
        let parallel = self.params.parallel.max(1);
        loop {
            let Some(lookup) = self.lookups.get_mut(&id) else { return };
            let key = lookup.key;
            if lookup.ways[way].end.is_some() || lookup.ways[way].claim.is_some() {
                return;
            }
            if lookup.ways[way].in_flight >= parallel {
                return;
            }
            let Some(at) = lookup.ways[way].next(key) else {
                if self.refill(now, (id, way)) {
                    continue;
                }
                break;
            };
            let peer = lookup.ways[way].pool[at].peer;
            let elsewhere = |(other, asked): (usize, &Way<P>)| {
                let new = |one: &Candidate<P>| one.stands == Stands::New;
                other != way && asked.pool.iter().any(|one| !new(one) && one.peer == peer)
            };
            let taken = lookup.ways.iter().enumerate().any(elsewhere);
            if peer == self.own || taken {
                lookup.ways[way].pool[at].stands = Stands::Dead;
                continue;
            }
            let (peer, without) = lookup.ways[way].ask(key, at);
            let body = Request::Next { key, want: CONTACTS as u8, without };
            self.call(now, peer, Purpose::Step { lookup: id, way }, body, out);
        }
        self.end_way(now, (id, way), out);
    }

    /// All that were to be asked first are dead: whoever else is in our tables is asked.
    fn refill(&mut self, now: Time, (id, way): (u64, usize)) -> bool {
        let Some(lookup) = self.lookups.get_mut(&id) else { return false };
        let own = !matches!(lookup.purpose, For::Join | For::Merge);
        if !own || lookup.ways[way].in_flight > 0 {
            return false;
        }
        let mut contacts = Vec::new();
        self.tables.closest_before(lookup.key, CONTACTS, now, &mut contacts);
        let key = lookup.key;
        let mut any = false;
        for peer in contacts {
            any |= lookup.ways[way].add(key, peer, 1);
        }
        any
    }

    /// Nobody is left to ask on a way, unless it is ourselves: those who stood between us and the
    /// key may all be dead.
    fn end_way(&mut self, now: Time, (id, way): (u64, usize), out: &mut Out<P, V>) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if lookup.ways[way].in_flight > 0 {
            return;
        }
        let own = !matches!(lookup.purpose, For::Join | For::Merge);
        match self.tables.next() {
            Some(next) if own && lookup.key.is_in(self.id, next.ring_id()) => {
                let owners = self.tables.successors().to_vec();
                let claim = Claim { predecessor: self.own, owners, hops: 0, sure: false };
                self.claimed(now, (id, way), claim, out);
            }
            _ => lookup.ways[way].end = Some(None),
        }
    }

    /// A peer has answered on a way.
    pub(super) fn stepped(
        &mut self,
        now: Time,
        (id, way): (u64, usize),
        from: P,
        took: Duration,
        body: Rep<P, V>,
        out: &mut Out<P, V>,
    ) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let key = lookup.key;
        let at = &mut lookup.ways[way];
        let depth = at.settle(from, true);
        at.hop(from, Some(took), depth);
        if at.end.is_some() || at.claim.is_some() {
            return;
        }
        match body {
            Reply::Closer { contacts } => {
                let closer = |peer: &P| peer.ring_id().is_between(from.ring_id(), key);
                if contacts.iter().all(closer) {
                    self.follow(now, (id, way), depth + 1, &contacts);
                } else {
                    at.give_up_on(from);
                    self.lied(now, from, "it named peers that are not closer", out);
                }
            }
            Reply::Owner { predecessor, successors } => {
                match owners(key, from, predecessor, successors) {
                    Some(claim) => {
                        // The owner's own answer is no step between us and it.
                        let hops = depth - u32::from(claim.sure);
                        let claim = Claim { hops, ..claim };
                        return self.claimed(now, (id, way), claim, out);
                    }
                    None => {
                        at.give_up_on(from);
                        self.lied(now, from, "it named an owner that cannot be", out);
                    }
                }
            }
            _ => {
                at.give_up_on(from);
                self.lied(now, from, "it answered something else than was asked", out);
            }
        }
        self.walk(now, id, out);
    }

    /// Puts peers that were named into a way's pool.
    fn follow(&mut self, now: Time, (id, way): (u64, usize), depth: u32, contacts: &[P]) {
        for peer in contacts {
            self.tables.told(*peer, now, &mut self.dice);
            let Some(lookup) = self.lookups.get_mut(&id) else { return };
            if self.tables.is_suspect(peer) {
                // Whoever named it may know others.
                lookup.ways[way].note_dead(*peer);
            } else {
                lookup.ways[way].add(lookup.key, *peer, depth);
            }
        }
    }

    /// A peer on a way did not answer.
    pub(super) fn step_failed(
        &mut self,
        now: Time,
        (id, way): (u64, usize),
        peer: P,
        out: &mut Out<P, V>,
    ) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let at = &mut lookup.ways[way];
        let depth = at.settle(peer, false);
        at.timeouts += 1;
        at.hop(peer, None, depth);
        self.walk(now, id, out);
    }

    /// Somebody says who the owner is.
    fn claimed(&mut self, now: Time, at: (u64, usize), claim: Claim<P>, out: &mut Out<P, V>) {
        let (id, way) = at;
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let asks = self.params.confirm && !matches!(lookup.purpose, For::Finger(_) | For::Merge);
        let joins = matches!(lookup.purpose, For::Join);
        let known = claim.sure || claim.owners.first().is_none_or(|owner| *owner == self.own);
        if !asks || joins || known {
            let found = lookup.end_of(way, now, claim.owners.first().copied(), claim);
            lookup.ways[way].end = Some(Some(found));
            return self.conclude(now, id, out);
        }
        let owner = claim.owners[0];
        lookup.ways[way].claim = Some(claim);
        self.call(now, owner, Purpose::Confirm { lookup: id, way }, Request::State, out);
    }

    /// An owner has said who stands before it.
    pub(super) fn confirmed(
        &mut self,
        now: Time,
        (id, way): (u64, usize),
        from: P,
        took: Duration,
        said: State<P>,
        out: &mut Out<P, V>,
    ) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let key = lookup.key;
        let before = said.predecessor.filter(|peer| *peer != from);
        let nearer = before.filter(|peer| !key.is_in(peer.ring_id(), from.ring_id()));
        if way == usize::MAX {
            // A guess that was right ends the lookup; one that was not is forgotten.
            if nearer.is_none() && before.is_some() {
                let mut owners = vec![from];
                owners.extend(said.successors);
                let predecessor = before.unwrap_or(from);
                lookup.ways[0].hop(from, Some(took), 0);
                let claim = Claim { predecessor, owners, hops: 0, sure: false };
                let found = lookup.end_of(0, now, Some(from), claim);
                lookup.ways[0].end = Some(Some(found));
                self.conclude(now, id, out);
            }
            return;
        }
        let at = &mut lookup.ways[way];
        let Some(claim) = at.claim.take() else { return };
        at.hop(from, Some(took), claim.hops + 1);
        at.confirms += 1;
        match nearer {
            // Somebody has come in between, or the claim was old.
            // One that was silent gets a second chance if its successor still stands by it.
            Some(peer)
                if at.confirms < CONFIRMS
                    && (!self.tables.is_suspect(&peer) || at.has_second_chance()) =>
            {
                let mut owners = vec![peer];
                owners.extend(claim.owners);
                self.claimed(now, (id, way), Claim { owners, sure: false, ..claim }, out);
            }
            _ => {
                let mut owners = vec![from];
                owners.extend(said.successors);
                let predecessor = before.unwrap_or(claim.predecessor);
                let claim = Claim { predecessor, owners, ..claim };
                let found = lookup.end_of(way, now, Some(from), claim);
                lookup.ways[way].end = Some(Some(found));
                self.conclude(now, id, out);
            }
        }
    }

    /// An owner did not answer: the next one behind it is.
    pub(super) fn unconfirmed(
        &mut self,
        now: Time,
        (id, way): (u64, usize),
        peer: P,
        out: &mut Out<P, V>,
    ) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        if way == usize::MAX {
            return;
        }
        let at = &mut lookup.ways[way];
        let Some(mut claim) = at.claim.take() else { return };
        at.hop(peer, None, claim.hops + 1);
        at.dead_owners += 1;
        at.confirms += 1;
        claim.owners.retain(|owner| *owner != peer);
        if at.confirms < CONFIRMS && !claim.owners.is_empty() {
            // It may be ourselves.
            self.claimed(now, (id, way), claim, out);
        } else {
            self.walk(now, id, out);
        }
    }

    /// Ends a lookup all of whose ways have ended.
    fn conclude(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        let Some(lookup) = self.lookups.get(&id) else { return };
        if lookup.ways.iter().any(|way| way.end.is_none()) {
            return;
        }
        let Some(lookup) = self.lookups.remove(&id) else { return };
        let timeouts = lookup.ways.iter().map(|way| way.timeouts).sum();
        let (key, purpose) = (lookup.key, lookup.purpose);
        let ends = lookup.ways.into_iter().filter_map(|way| way.end.flatten());
        match ends.min_by_key(|found| key.distance_to(found.owner.ring_id())) {
            Some(found) => self.found(now, purpose, found, out),
            None => self.lost(now, purpose, timeouts, out),
        }
    }

    fn found(&mut self, now: Time, purpose: For, found: Found<P>, out: &mut Out<P, V>) {
        match purpose {
            For::Asker(id) => out.emit(Event::Found { id, found }),
            For::Put(put) => self.put_to(now, put, &found, out),
            For::Ask(ask) => self.ask_those(now, ask, &found, out),
            For::Finger(index) => self.finger_found(now, index, &found, out),
            For::Join | For::Merge => {
                let before = found.predecessor.unwrap_or(found.owner);
                let mut behind = vec![found.owner];
                behind.extend(found.successors);
                let lone = self.phase == Phase::Joining || self.tables.next().is_none();
                if purpose == For::Join && lone {
                    self.found_place(now, before, &behind, out);
                } else {
                    self.seen_from_outside(now, before, &behind, out);
                }
            }
        }
    }

    fn lost(&mut self, now: Time, purpose: For, timeouts: u32, out: &mut Out<P, V>) {
        match purpose {
            For::Asker(id) => out.emit(Event::Lost { id, timeouts }),
            For::Put(put) => self.put_lost(now, put, out),
            For::Ask(ask) => self.ask_lost(ask, out),
            For::Finger(_) => self.next_finger(now, out),
            For::Join => self.join_failed(now, out),
            For::Merge => {}
        }
    }
}

impl<P: OnRing> Lookup<P> {
    fn end_of(&self, way: usize, now: Time, owner: Option<P>, claim: Claim<P>) -> Found<P> {
        let way = &self.ways[way];
        let mut behind = claim.owners.into_iter();
        let first = behind.next();
        let owner = owner.or(first).unwrap_or(claim.predecessor);
        Found {
            key: self.key,
            owner,
            predecessor: Some(claim.predecessor),
            successors: behind.filter(|peer| *peer != owner).collect(),
            path: way.path.clone(),
            hops: claim.hops,
            timeouts: way.timeouts,
            dead_owners: way.dead_owners,
            took: now.since(self.began),
        }
    }
}
