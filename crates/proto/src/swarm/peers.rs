//! Who takes part: joining, parting, what each peer has, misbehaviour, and introductions.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, Time, limits};

use super::grants::Up;
use super::requests::Down;
use super::{Effect, Event, GoneWhy, Message, Swarm, within};
use crate::machine::Outbox;

/// Faults after which a peer is hung up on: an honest one makes a few when messages cross.
const STRIKES_MAX: u32 = 64;
/// Pause after which one fault is forgiven, so that long links do not end by rare crossings.
const FORGIVE_EVERY: Duration = Duration::from_secs(10);
/// Peers that are never talked to again; more liars than this cannot all be remembered.
const BANNED_MAX: usize = 4096;
/// Goodbyes on one link after which a peer that comes back is hung up on: each return makes work.
const BYES_MAX: u32 = 16;
/// Peers that one peer may introduce in short time: it must not send us dialling round the world.
const INTRODUCTIONS_MAX: u32 = 200;
/// Introductions that are forgotten with each forgiven fault.
const INTRODUCTIONS_FORGOTTEN: u32 = 20;
/// Partners up to which introductions are followed: more links spread pieces hardly faster.
const PARTNERS_ENOUGH: usize = 40;
/// Pause before an introduced peer that was tried is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Introduced peers that are remembered as tried.
const TRIED_MAX: usize = 512;

/// What is known of a peer, and of the traffic with it.
pub(super) struct Peer {
    /// Whether its `Join` has come.
    pub(super) joined: bool,
    /// Whether it wants pieces.
    pub(super) wants: bool,
    pub(super) have: PieceSet,
    /// Whether it joined with every piece; then it is not counted among the holders.
    pub(super) everything: bool,
    /// What it once had: it is not believed to have it again.
    gone: Option<PieceSet>,
    strikes: u32,
    introductions: u32,
    /// Not before this is it asked for values again.
    pub(super) values_after: Time,
    pub(super) down: Down,
    pub(super) up: Up,
}

impl Peer {
    fn new(total: u32, window_min: u64, served: u64) -> Self {
        Self {
            joined: false,
            wants: false,
            have: PieceSet::none(total),
            everything: false,
            gone: None,
            strikes: 0,
            introductions: 0,
            values_after: Time::ZERO,
            down: Down::new(total),
            up: Up::new(total, window_min, served),
        }
    }

    #[cfg(test)]
    pub(super) fn strikes(&self) -> u32 {
        self.strikes
    }

    /// Ends what the driver does for this peer.
    pub(super) fn call_off_everything<P: Copy + Ord + Debug>(
        &self,
        id: P,
        out: &mut Outbox<Swarm<P>>,
    ) {
        let ranges: Vec<PieceRange> = self.down.asked.ranges().collect();
        if !ranges.is_empty() {
            out.perform(Effect::Forget { from: id, ranges });
        }
        let ranges = self.up.pushing();
        if !ranges.is_empty() {
            out.perform(Effect::CancelPush { to: id, ranges });
        }
    }
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    pub(super) fn link_up(&mut self, id: P, out: &mut Outbox<Self>) {
        if self.banned.contains(&id) {
            out.hangup(id);
        } else if !self.peers.contains_key(&id) && self.add_peer(id) {
            self.say_join(id, out);
        }
    }

    pub(super) fn received(
        &mut self,
        now: Time,
        from: P,
        message: Message<P>,
        out: &mut Outbox<Self>,
    ) {
        if self.banned.contains(&from) {
            return;
        }
        if let Message::Join { have, wants } = message {
            return self.peer_joins(now, from, &have, wants, out);
        }
        // What is left of a conversation that has ended, or one that never began.
        if !self.peers.get(&from).is_some_and(|peer| peer.joined) {
            return;
        }
        match message {
            Message::Join { .. } => {}
            Message::Have(ranges) => {
                self.peer_has(now, from, &ranges, out);
                self.fetch_values(now, out);
                self.fill(now, from, out);
            }
            Message::Grant { bytes } => self.granted(now, from, bytes, out),
            Message::Request(ranges) => self.requested(now, from, &ranges, out),
            Message::Cancel(ranges) => self.cancelled(from, &ranges, out),
            Message::Gone { ranges, why } => self.peer_lost(now, from, &ranges, why, out),
            Message::Peers(peers) => self.introduced(now, from, &peers, out),
            Message::Finished => self.peer_finished(from, out),
            Message::Bye => self.peer_leaves(now, from, out),
        }
    }

    pub(super) fn link_down(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        self.byes.remove(&id);
        self.part(now, id, out);
    }

    /// Our `Join`, and what does not fit into it.
    pub(super) fn say_join(&self, to: P, out: &mut Outbox<Self>) {
        let ranges: Vec<PieceRange> = self.have.ranges().collect();
        let mut parts = ranges.chunks(limits::RANGES);
        let have = parts.next().unwrap_or_default().to_vec();
        out.send(to, Message::Join { have, wants: self.missing > 0 });
        for part in parts {
            out.send(to, Message::Have(part.to_vec()));
        }
    }

    /// A peer takes no further part; the link may or may not be there.
    pub(super) fn part(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        peer.call_off_everything(id, out);
        self.pushes_out -= peer.up.pushes_counted();
        if peer.everything {
            self.full_peers -= 1;
        } else {
            peer.have.ranges().for_each(|range| self.picker.remove_holder(range));
        }
        self.values.part(id);
        let asked: Vec<PieceRange> = peer.down.asked.ranges().collect();
        self.release(id, &asked);
        self.report_lost(peer.have, out);
        self.fetch_values(now, out);
        self.fill_all(now, out);
        self.serve(now, out);
    }

    /// Ends the link to a peer and never talks to it again.
    pub(super) fn ban(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        if self.banned.len() == BANNED_MAX {
            self.banned.pop_first();
        }
        self.banned.insert(id);
        out.hangup(id);
        self.part(now, id, out);
    }

    /// A peer did what an honest one hardly ever does.
    pub(super) fn strike(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.strikes += 1;
        if peer.strikes > STRIKES_MAX {
            self.ban(now, id, out);
        }
    }

    /// Time heals.
    pub(super) fn forgive(&mut self, now: Time) {
        if now.since(self.forgiven_at) >= FORGIVE_EVERY {
            self.forgiven_at = now;
            for peer in self.peers.values_mut() {
                peer.strikes = peer.strikes.saturating_sub(1);
                peer.introductions = peer.introductions.saturating_sub(INTRODUCTIONS_FORGOTTEN);
            }
        }
    }

    /// Tells our own side which of these pieces, that a peer no longer offers, are wanted, were
    /// called gone, and are offered by nobody else.
    fn report_lost(&mut self, mut lost: PieceSet, out: &mut Outbox<Self>) {
        let Some((gone, why)) = &self.gone else {
            return;
        };
        if self.full_peers > 0 {
            return;
        }
        lost.keep_all(gone);
        lost.keep_all(&self.wanted);
        lost.remove_all(&self.have);
        lost.remove_all(&self.reported);
        for piece in lost.iter().filter(|piece| self.picker.is_held(*piece)).collect::<Vec<_>>() {
            lost.remove(piece);
        }
        if !lost.is_empty() {
            self.reported.insert_all(&lost);
            out.emit(Event::Lost { ranges: lost.ranges().collect(), why: *why });
        }
    }

    /// Whether there was room for one more.
    fn add_peer(&mut self, id: P) -> bool {
        if self.peers.len() >= limits::LINKS {
            return false;
        }
        // Who comes late starts level with the least served, and is not owed what others got
        // before.
        let wanting = self.peers.values().filter(|peer| peer.wants);
        let served = wanting.map(|peer| peer.up.served).min().unwrap_or(0);
        self.peers.insert(id, Peer::new(self.map.total(), self.window_min, served));
        true
    }

    fn peer_joins(
        &mut self,
        now: Time,
        from: P,
        have: &[PieceRange],
        wants: bool,
        out: &mut Outbox<Self>,
    ) {
        if !self.peers.contains_key(&from) {
            if !self.add_peer(from) {
                return;
            }
            self.say_join(from, out);
        }
        let total = self.map.total();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let again = std::mem::replace(&mut peer.joined, true);
        let heard = std::mem::replace(&mut peer.wants, wants);
        if !again && total > 0 && have == [PieceRange::new(0, total)] {
            peer.everything = true;
            peer.have = PieceSet::all(total);
            self.full_peers += 1;
            self.reported = PieceSet::none(total);
        } else {
            self.peer_has(now, from, have, out);
        }
        if again {
            // It changed its mind; while it wanted nothing it was not told what came.
            if wants && !heard {
                let ranges: Vec<PieceRange> = self.have.ranges().collect();
                for part in ranges.chunks(limits::RANGES) {
                    out.send(from, Message::Have(part.to_vec()));
                }
            }
            self.strike(now, from, out);
        } else {
            self.introduce(from, out);
        }
        self.grant(now, from, out);
        self.fetch_values(now, out);
        self.fill(now, from, out);
    }

    /// A peer says that it has pieces.
    fn peer_has(&mut self, now: Time, from: P, ranges: &[PieceRange], out: &mut Outbox<Self>) {
        let total = self.map.total();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        for range in ranges {
            let mut at = range.start;
            while let Some(new) = next_absent(&peer.have, PieceRange::new(at, range.end)) {
                at = new.end;
                if within(&self.asked, new).next().is_some() {
                    self.picker.jump();
                }
                for part in without(peer.gone.as_ref(), new) {
                    peer.have.insert_range(part);
                    self.picker.add_holder(part);
                    self.reported.remove_range(part);
                }
            }
        }
        if ranges.iter().any(|range| range.end > total) {
            self.strike(now, from, out);
        }
    }

    /// A peer no longer has pieces.
    fn peer_lost(
        &mut self,
        now: Time,
        from: P,
        ranges: &[PieceRange],
        why: GoneWhy,
        out: &mut Outbox<Self>,
    ) {
        let total = self.map.total();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if ranges.iter().all(|range| within(&peer.have, *range).next().is_none()) {
            return;
        }
        if std::mem::take(&mut peer.everything) {
            self.full_peers -= 1;
            self.picker.add_holder(PieceRange::new(0, total));
        }
        let mut gone = PieceSet::from_ranges(total, ranges.iter().copied());
        gone.keep_all(&peer.have);
        peer.have.remove_all(&gone);
        peer.gone.get_or_insert_with(|| PieceSet::none(total)).insert_all(&gone);
        gone.ranges().for_each(|range| self.picker.remove_holder(range));
        let said = self.gone.get_or_insert_with(|| (PieceSet::none(total), why));
        said.0.insert_all(&gone);
        said.1 = why;
        let asked = asked_within(&peer.down, ranges);
        if !asked.is_empty() {
            self.give_up(from, &asked);
            out.perform(Effect::Forget { from, ranges: asked });
            self.fill_all(now, out);
        }
        self.report_lost(gone, out);
    }

    fn peer_leaves(&mut self, now: Time, from: P, out: &mut Outbox<Self>) {
        let byes = self.byes.entry(from).or_insert(0);
        *byes += 1;
        if *byes > BYES_MAX { self.ban(now, from, out) } else { self.part(now, from, out) }
    }

    fn peer_finished(&mut self, from: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if std::mem::take(&mut peer.wants) {
            let ranges = peer.up.drop_queue();
            if !ranges.is_empty() {
                out.perform(Effect::CancelPush { to: from, ranges });
            }
            out.emit(Event::PeerFinished(from));
        }
    }

    /// Tells a newcomer of the others, and those who want pieces of the newcomer.
    fn introduce(&mut self, newcomer: P, out: &mut Outbox<Self>) {
        let useful = |peer: &Peer| peer.joined && (peer.wants || !peer.have.is_empty());
        if !self.peers.get(&newcomer).is_some_and(useful) {
            return;
        }
        let mut others: Vec<P> = Vec::new();
        for (id, peer) in &self.peers {
            if *id != newcomer && useful(peer) {
                others.push(*id);
                if peer.wants {
                    out.send(*id, Message::Peers(vec![newcomer]));
                }
            }
        }
        // Not always the same ones, so that no peer becomes everybody's neighbour.
        while others.len() > limits::EXCHANGE_PEERS {
            let at = self.dice.below(others.len() as u64) as usize;
            others.swap_remove(at);
        }
        let wants = self.peers.get(&newcomer).is_some_and(|peer| peer.wants);
        if wants && !others.is_empty() {
            out.send(newcomer, Message::Peers(others));
        }
    }

    /// A peer tells us of others.
    fn introduced(&mut self, now: Time, from: P, peers: &[P], out: &mut Outbox<Self>) {
        if self.missing == 0 {
            return;
        }
        for id in peers {
            let Some(by) = self.peers.get_mut(&from) else {
                return;
            };
            if by.introductions == INTRODUCTIONS_MAX {
                return;
            }
            by.introductions += 1;
            let enough = self.peers.len() >= PARTNERS_ENOUGH;
            if enough || self.peers.contains_key(id) || self.banned.contains(id) {
                continue;
            }
            if self.tried.get(id).is_some_and(|at| now.since(*at) < TRY_AGAIN_AFTER) {
                continue;
            }
            if self.tried.len() >= TRIED_MAX {
                self.tried.retain(|_, at| now.since(*at) < TRY_AGAIN_AFTER);
                if self.tried.len() >= TRIED_MAX {
                    continue;
                }
            }
            self.tried.insert(*id, now);
            out.perform(Effect::Connect { peer: *id });
        }
    }
}

/// Those of a peer's asked pieces that lie in these ranges.
pub(super) fn asked_within(down: &Down, ranges: &[PieceRange]) -> Vec<PieceRange> {
    ranges.iter().flat_map(|range| within(&down.asked, *range)).collect()
}

/// The first pieces of a range that a set lacks.
fn next_absent(set: &PieceSet, range: PieceRange) -> Option<PieceRange> {
    let end = range.end.min(set.capacity());
    let start = set.first_absent(range.start);
    (start < end).then(|| PieceRange::new(start, set.first_present(start).min(end)))
}

/// The parts of a range that are not in a set.
fn without(set: Option<&PieceSet>, range: PieceRange) -> Vec<PieceRange> {
    let Some(set) = set else { return vec![range] };
    let mut parts = Vec::new();
    let mut at = range.start;
    while let Some(part) = next_absent(set, PieceRange::new(at, range.end)) {
        parts.push(part);
        at = part.end;
    }
    parts
}
