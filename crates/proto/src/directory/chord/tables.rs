//! Whom a peer knows: predecessor, successors, fingers, and those it has only heard of.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{Time, limits};

use super::id::{RING_BITS, RingId};
use super::values::{FingerView, OnRing, Params};
use crate::dice::Dice;

/// Peers that are held for dead at a time; the oldest suspicions are forgotten first.
const SUSPECTS: usize = 256;
/// Round trips that are remembered.
const TIMES: usize = 512;

/// The tables of one peer.
pub(super) struct Tables<P> {
    own: P,
    id: RingId,
    length: usize,
    cache_size: usize,
    cache_time: Duration,
    remembers: bool,
    /// Who stands before us.
    pub(super) predecessor: Option<P>,
    /// Who stands behind us, the next first; empty if we are alone.
    successors: Vec<P>,
    /// Those that are kept, the lowest first.
    fingers: Vec<Finger<P>>,
    /// Others, by their distance from us, with the time of their last sign of life.
    cache: BTreeMap<u128, (P, Time)>,
    /// Peers that did not answer, and until when others' word for them counts for nothing.
    suspects: BTreeMap<P, Time>,
    /// Last round trips, for those who choose by them.
    times: BTreeMap<P, Duration>,
    /// Peers to find the circle again by, with the time of their last sign of life.
    known: BTreeMap<P, Time>,
    /// The last of them that was asked for our place.
    outsider: Option<P>,
}

struct Finger<P> {
    index: u8,
    peer: P,
    refreshed: Time,
}

impl<P: OnRing> Tables<P> {
    pub(super) fn new(own: P, params: &Params) -> Self {
        Self {
            own,
            id: own.ring_id(),
            length: params.successors,
            cache_size: params.cache,
            cache_time: params.cache_time,
            remembers: params.merge_every > 0,
            predecessor: None,
            successors: Vec::new(),
            fingers: Vec::new(),
            cache: BTreeMap::new(),
            suspects: BTreeMap::new(),
            times: BTreeMap::new(),
            known: BTreeMap::new(),
            outsider: None,
        }
    }

    pub(super) fn successors(&self) -> &[P] {
        &self.successors
    }

    /// The next peer; none if we are alone.
    pub(super) fn next(&self) -> Option<P> {
        self.successors.first().copied()
    }

    /// Takes a peer as the next one, and those that stand behind it by its own word. The list ends
    /// where it comes around to us; those that are held for dead are left out.
    pub(super) fn set_successors(&mut self, first: Option<P>, behind: &[P]) {
        let mut list = Vec::with_capacity(self.length);
        let mut reached = 0;
        for peer in first.iter().chain(behind) {
            let distance = self.id.distance_to(peer.ring_id());
            if distance == 0 || list.len() == self.length {
                break;
            }
            // A list that goes backwards has come around, or is a lie.
            if distance <= reached {
                break;
            }
            reached = distance;
            if !self.is_suspect(peer) || first == Some(*peer) {
                list.push(*peer);
            }
        }
        self.successors = list;
    }

    /// Takes a peer out of the list of successors; the others move up.
    pub(super) fn drop_successor(&mut self, peer: P) {
        self.successors.retain(|other| *other != peer);
    }

    /// Nobody else is there.
    pub(super) fn be_alone(&mut self) {
        self.successors.clear();
        self.predecessor = None;
    }

    /// Whether no table names anybody.
    pub(super) fn is_lonely(&self) -> bool {
        self.successors.is_empty() && self.fingers.is_empty() && self.cache.is_empty()
    }

    /// Whoever stands nearest behind us, of all that any table names and that is not held for dead.
    pub(super) fn nearest_behind(&self, now: Time) -> Option<P> {
        let fresh = |(_, heard): &&(P, Time)| now.since(*heard) < self.cache_time;
        let cached = self.cache.values().filter(fresh).map(|(peer, _)| *peer);
        let fingers = self.fingers.iter().map(|finger| finger.peer);
        let near = self.successors.iter().chain(&self.predecessor).copied();
        near.chain(fingers)
            .chain(cached)
            .filter(|peer| !self.is_suspect(peer))
            .min_by_key(|peer| self.id.distance_to(peer.ring_id()))
    }

    /// Whether a key is ours: it stands between our predecessor and us, or nobody else is there.
    pub(super) fn owns(&self, key: RingId) -> bool {
        match self.predecessor {
            Some(predecessor) => key.is_in(predecessor.ring_id(), self.id),
            None => self.successors.is_empty(),
        }
    }

    /// The range of our keys, `(from, to]`; the whole circle if we are alone.
    pub(super) fn range(&self) -> (RingId, RingId) {
        (self.predecessor.map_or(self.id, |predecessor| predecessor.ring_id()), self.id)
    }

    // Others' words for a peer, and its own.

    /// A peer has given a sign of life.
    pub(super) fn heard(&mut self, peer: P, now: Time, dice: &mut Dice) {
        self.suspects.remove(&peer);
        self.remember(peer, now, dice);
        self.note_in_cache(peer, now, dice);
    }

    /// A peer that asks for the way is there; whether it is on our circle is not known. If it is on
    /// another, we may ask it in turn.
    pub(super) fn remember_caller(&mut self, peer: P, now: Time, dice: &mut Dice) {
        self.suspects.remove(&peer);
        self.remember(peer, now, dice);
        if self.cache_size > 0 {
            self.told(peer, now, dice);
        }
    }

    /// Somebody named a peer; half as fresh as if it had spoken itself.
    pub(super) fn told(&mut self, peer: P, now: Time, dice: &mut Dice) {
        if self.cache_size == 0 || self.is_suspect(&peer) {
            return;
        }
        let half = Time(now.0.saturating_sub(self.cache_time.as_micros() as u64 / 2));
        self.note_in_cache(peer, half, dice);
    }

    fn note_in_cache(&mut self, peer: P, heard: Time, dice: &mut Dice) {
        let distance = self.id.distance_to(peer.ring_id());
        if self.cache_size == 0 || distance == 0 {
            return;
        }
        if let Some((_, before)) = self.cache.get_mut(&distance) {
            *before = heard.max(*before);
            return;
        }
        if self.cache.len() >= self.cache_size {
            self.make_room(dice);
        }
        self.cache.insert(distance, (peer, heard));
    }

    /// Forgets one of two that chance names: whoever spoke longer ago.
    fn make_room(&mut self, dice: &mut Dice) {
        let mut any = || {
            let from = (u128::from(dice.next_u64()) << 64) | u128::from(dice.next_u64());
            let found = self.cache.range(from..).next().or_else(|| self.cache.iter().next());
            found.map(|(distance, (_, heard))| (*heard, *distance))
        };
        if let (Some(one), Some(other)) = (any(), any()) {
            self.cache.remove(&one.min(other).1);
        }
    }

    fn remember(&mut self, peer: P, now: Time, dice: &mut Dice) {
        if !self.remembers || peer == self.own {
            return;
        }
        let known = self.known.contains_key(&peer);
        if !known && self.known.len() >= limits::RING_KNOWN {
            // One in sixteen takes the place of another: what is remembered should be long-lived.
            if !dice.chance(1, 16) {
                return;
            }
            let pick = dice.below(self.known.len() as u64) as usize;
            let gone = self.known.keys().nth(pick).copied();
            gone.map(|gone| self.known.remove(&gone));
        }
        self.known.insert(peer, now);
    }

    /// Peers that may be on the circle, without a sign of life so far.
    pub(super) fn learn(&mut self, peers: impl IntoIterator<Item = P>) {
        for peer in peers {
            if peer != self.own && self.known.len() < limits::RING_KNOWN {
                self.known.entry(peer).or_insert(Time::ZERO);
            }
        }
    }

    /// Peers to find the circle again by, those heard last first.
    pub(super) fn known(&self) -> Vec<P> {
        let mut known: Vec<(Time, P)> = self.known.iter().map(|(p, at)| (*at, *p)).collect();
        known.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let near = self.predecessor.iter().chain(&self.successors).copied();
        let mut all: Vec<P> = near.collect();
        all.extend(known.into_iter().map(|(_, peer)| peer));
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|peer| seen.insert(*peer));
        all.truncate(limits::RING_KNOWN);
        all
    }

    /// A remembered peer that is no neighbour: the first by chance, then one after the other, so
    /// that each has its turn.
    pub(super) fn outsider(&mut self, dice: &mut Dice) -> Option<P> {
        let inside = |peer: &P| self.predecessor == Some(*peer) || self.successors.contains(peer);
        let outside: Vec<P> = self.known.keys().filter(|peer| !inside(peer)).copied().collect();
        let pick = match self.outsider {
            Some(last) => outside.partition_point(|peer| *peer <= last) % outside.len().max(1),
            None => dice.below(outside.len() as u64) as usize,
        };
        self.outsider = outside.get(pick).copied();
        self.outsider
    }

    /// A peer did not answer: it leaves every table but the predecessor's place, and others' word
    /// for it counts for nothing until a time.
    pub(super) fn suspect(&mut self, peer: P, now: Time, until: Time) {
        self.drop_successor(peer);
        self.fingers.retain(|finger| finger.peer != peer);
        self.cache.remove(&self.id.distance_to(peer.ring_id()));
        self.times.remove(&peer);
        if self.suspects.len() >= SUSPECTS {
            self.suspects.retain(|_, until| *until > now);
        }
        while self.suspects.len() >= SUSPECTS {
            self.suspects.pop_first();
        }
        self.suspects.insert(peer, until);
    }

    pub(super) fn is_suspect(&self, peer: &P) -> bool {
        self.suspects.contains_key(peer)
    }

    /// Forgets what is too old to be worth anything.
    pub(super) fn tidy(&mut self, now: Time) {
        self.suspects.retain(|_, until| *until > now);
        let life = self.cache_time;
        self.cache.retain(|_, (_, heard)| now.since(*heard) < life);
    }

    /// A round trip, for those who choose by it.
    pub(super) fn timed(&mut self, peer: P, took: Duration) {
        if self.cache_size > 0 && (self.times.len() < TIMES || self.times.contains_key(&peer)) {
            self.times.insert(peer, took);
        }
    }

    pub(super) fn rtt(&self, peer: &P) -> Option<Duration> {
        self.times.get(peer).copied()
    }

    // Fingers.

    /// Where a finger starts.
    pub(super) fn start_of(&self, index: u8) -> RingId {
        self.id.plus(1 << index)
    }

    /// The finger to refresh after another: those that the successors cover need none. None if they
    /// cover the whole circle.
    pub(super) fn finger_after(&self, index: Option<u8>) -> Option<u8> {
        let lowest = self.lowest_finger()?;
        if u32::from(lowest) >= RING_BITS {
            return None;
        }
        match index {
            Some(index) if index > lowest => Some(index - 1),
            _ => Some((RING_BITS - 1) as u8),
        }
    }

    /// The first finger that starts behind the successors; none if there are few of them.
    fn lowest_finger(&self) -> Option<u8> {
        let last = self.successors.last().filter(|_| self.successors.len() >= self.length)?;
        Some((RING_BITS - self.id.distance_to(last.ring_id()).leading_zeros()) as u8)
    }

    /// Forgets fingers that are not needed any more, and so not refreshed: those that the
    /// successors cover, and all when they are the whole circle.
    pub(super) fn drop_covered_fingers(&mut self) {
        match self.lowest_finger() {
            Some(lowest) => self.fingers.retain(|finger| finger.index >= lowest),
            None if self.predecessor == self.successors.last().copied() => self.fingers.clear(),
            None => {}
        }
    }

    pub(super) fn set_finger(&mut self, index: u8, peer: P, now: Time) {
        let at = self.fingers.partition_point(|finger| finger.index < index);
        match self.fingers.get_mut(at) {
            Some(finger) if finger.index == index => {
                finger.peer = peer;
                finger.refreshed = now;
            }
            _ => self.fingers.insert(at, Finger { index, peer, refreshed: now }),
        }
    }

    pub(super) fn finger(&self, index: u8) -> Option<P> {
        let found = self.fingers.iter().find(|finger| finger.index == index);
        found.map(|finger| finger.peer)
    }

    pub(super) fn drop_finger(&mut self, index: u8) {
        self.fingers.retain(|finger| finger.index != index);
    }

    pub(super) fn fingers(&self) -> Vec<FingerView<P>> {
        let view = |finger: &Finger<P>| FingerView {
            index: finger.index,
            start: self.start_of(finger.index),
            peer: finger.peer,
            refreshed: finger.refreshed,
            rtt: self.rtt(&finger.peer),
        };
        self.fingers.iter().map(view).collect()
    }

    // The way to a key.

    /// The peers that stand closest before a key, between us and it; the closest first.
    pub(super) fn closest_before(&self, key: RingId, want: usize, now: Time, to: &mut Vec<P>) {
        let whole = self.id.distance_to(key);
        let whole = if whole == 0 { u128::MAX } else { whole };
        let from = to.len();
        let mut take = |peer: P| {
            let distance = self.id.distance_to(peer.ring_id());
            if distance == 0 || distance >= whole || to[from..].contains(&peer) {
                return;
            }
            let place = to[from..]
                .iter()
                .position(|other| self.id.distance_to(other.ring_id()) < distance)
                .unwrap_or(to.len() - from);
            if place < want {
                to.insert(from + place, peer);
                to.truncate(from + want);
            }
        };
        self.successors.iter().for_each(|peer| take(*peer));
        self.fingers.iter().for_each(|finger| take(finger.peer));
        if self.cache_size > 0 {
            let fresh = |(_, (_, heard)): &(&u128, &(P, Time))| now.since(*heard) < self.cache_time;
            let before = self.cache.range(..whole).rev().filter(fresh).take(want);
            before.for_each(|(_, (peer, _))| take(*peer));
        }
    }

    /// The first peer at or after a key that we have heard of, if it is not ourselves.
    pub(super) fn first_after(&self, key: RingId, now: Time) -> Option<P> {
        let whole = self.id.distance_to(key);
        let fresh = |(_, (_, heard)): &(&u128, &(P, Time))| now.since(*heard) < self.cache_time;
        let cached = self.cache.range(whole..).find(fresh).map(|(_, (peer, _))| *peer);
        let distance = |peer: &P| self.id.distance_to(peer.ring_id());
        let near = self.successors.iter().chain(&self.predecessor).copied();
        near.chain(cached).filter(|peer| distance(peer) >= whole).min_by_key(distance)
    }
}
