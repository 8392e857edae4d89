//! The receiver's side: what is asked of whom, and what becomes of it.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, Time};

use super::grants::WINDOW_MAX;
use super::meter::Meter;
use super::peers::asked_within;
use super::picker::Holds;
use super::{Effect, Event, Message, Swarm};
use crate::machine::Outbox;

/// An allowance that is not used up grows no further: what an honest uploader grants is at most
/// this, and a dishonest one must not draw every request to itself.
const ALLOWANCE_MAX: u64 = 2 * WINDOW_MAX;
/// Bytes for which a peer is asked that has not delivered anything yet, or the largest piece.
const UNPROVEN_BYTES: u64 = 8 * 1024 * 1024;
/// Pieces still missing at which slow ones are asked from a second peer too: the waste stays small.
pub(super) const ENDGAME_PIECES: u32 = 24;

/// What we asked of one peer.
pub(super) struct Down {
    /// What we may still ask for.
    pub(super) allowance: u64,
    pub(super) asked: PieceSet,
    pub(super) asked_bytes: u64,
    /// Pieces that were asked and then called off: they may still come, and are no fault then.
    excused: Option<PieceSet>,
    /// How many such pieces may still come: one may have been called off more than once.
    excuses: u64,
    /// Bytes that have come.
    earned: u64,
    /// When the last piece came, or when the first of those that are out was asked.
    pub(super) waiting_since: Time,
    /// A recent long pause between two pieces.
    pub(super) gap: Duration,
    pub(super) stalled: bool,
    pub(super) meter: Meter,
    /// The last piece that came: a peer pushes upwards from there.
    pub(super) last: u32,
}

impl Down {
    pub(super) fn new(total: u32) -> Self {
        Self {
            allowance: 0,
            asked: PieceSet::none(total),
            asked_bytes: 0,
            excused: None,
            excuses: 0,
            earned: 0,
            waiting_since: Time::ZERO,
            gap: Duration::ZERO,
            stalled: false,
            meter: Meter::default(),
            last: 0,
        }
    }

    fn note_arrival(&mut self, now: Time, bytes: u64, last: u32) {
        let pause = now.since(self.waiting_since);
        self.gap = (self.gap - self.gap / 8).max(pause);
        self.waiting_since = now;
        self.meter.count(now, bytes);
        self.earned += bytes;
        self.last = last;
    }

    /// For how much this peer may be asked now: what it allows, but little more than it has shown
    /// that it delivers. A liar must not draw every request to itself.
    pub(super) fn budget(&self) -> u64 {
        let trusted = UNPROVEN_BYTES.max(2 * self.earned);
        self.allowance.min(trusted.saturating_sub(self.asked_bytes))
    }

    fn excuse(&mut self, range: PieceRange) {
        let total = self.asked.capacity();
        self.excused.get_or_insert_with(|| PieceSet::none(total)).insert_range(range);
        self.excuses += u64::from(range.len());
    }

    /// Whether these pieces were called off; each time that they were excuses one arrival.
    fn forgive(&mut self, range: PieceRange) -> bool {
        let was_asked = self.excused.as_ref().is_some_and(|set| set.contains_range(range));
        let left = self.excuses.checked_sub(u64::from(range.len())).filter(|_| was_asked);
        self.excuses = left.unwrap_or(self.excuses);
        left.is_some()
    }
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    pub(super) fn granted(&mut self, now: Time, from: P, bytes: u32, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let allowance = &mut peer.down.allowance;
        *allowance = (*allowance + u64::from(bytes)).min(ALLOWANCE_MAX);
        self.fill(now, from, out);
    }

    /// Asks a peer for as much as it allows, as far as it has what nobody was asked for.
    pub(super) fn fill(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let budget = peer.down.budget();
        if self.missing == 0 || peer.down.stalled || budget == 0 {
            return;
        }
        let holds = if peer.everything { Holds::All } else { Holds::Some(&peer.have) };
        let ranges = self.picker.pick(&self.map, holds, budget);
        if !ranges.is_empty() {
            for range in &ranges {
                self.asked.insert_range(*range);
            }
            self.ask(now, id, ranges, out);
        } else if peer.down.asked.is_empty() {
            self.relieve(now, id, out);
        }
    }

    pub(super) fn fill_all(&mut self, now: Time, out: &mut Outbox<Self>) {
        if self.missing > 0 {
            for id in self.everybody() {
                self.fill(now, id, out);
            }
        }
    }

    /// Asks a peer for these, which its allowance covers.
    pub(super) fn ask(
        &mut self,
        now: Time,
        id: P,
        ranges: Vec<PieceRange>,
        out: &mut Outbox<Self>,
    ) {
        let cost: u64 = ranges.iter().map(|range| self.cost(*range)).sum();
        let bytes: u64 = ranges.iter().map(|range| self.map.bytes_of(*range)).sum();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let down = &mut peer.down;
        assert!(cost <= down.allowance, "more is asked than was granted");
        if down.asked.is_empty() {
            down.waiting_since = now;
            down.meter.begin(now);
        }
        down.allowance -= cost;
        down.asked_bytes += bytes;
        for range in &ranges {
            down.asked.insert_range(*range);
        }
        out.perform(Effect::Expect { from: id, ranges: ranges.clone() });
        out.send(id, Message::Request(ranges));
    }

    pub(super) fn arrived(
        &mut self,
        now: Time,
        from: P,
        range: PieceRange,
        out: &mut Outbox<Self>,
    ) {
        let range = self.clip(range);
        if range.is_empty() {
            return;
        }
        let mut elsewhere = Vec::new();
        if let Some(peer) = self.peers.get_mut(&from) {
            let down = &mut peer.down;
            down.note_arrival(now, self.map.bytes_of(range), range.end - 1);
            for piece in range.iter() {
                let was_asked = down.asked.remove(piece);
                down.asked_bytes -= u64::from(was_asked) * u64::from(self.map.piece_len(piece));
                if !was_asked || self.doubled.contains(&piece) {
                    elsewhere.push(PieceRange::one(piece));
                }
            }
            if std::mem::take(&mut down.stalled) {
                out.emit(Event::Revived(from));
            }
        } else {
            elsewhere.push(range);
        }
        self.asked.remove_range(range);
        self.call_off(&elsewhere, Some(from), out);
        self.store(now, range, out);
        if self.peers.get(&from).is_some_and(|peer| peer.down.asked.is_empty()) {
            self.fill(now, from, out);
        }
    }

    /// Something came that the driver does not expect.
    pub(super) fn unasked(
        &mut self,
        now: Time,
        from: P,
        range: PieceRange,
        out: &mut Outbox<Self>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if !peer.down.forgive(range) {
            self.strike(now, from, out);
        }
    }

    /// Nobody, except one, need push these any more.
    pub(super) fn call_off(
        &mut self,
        ranges: &[PieceRange],
        except: Option<P>,
        out: &mut Outbox<Self>,
    ) {
        if ranges.is_empty() {
            return;
        }
        for id in self.everybody() {
            let asked = self.peers.get(&id).map(|peer| asked_within(&peer.down, ranges));
            if Some(id) != except {
                self.take_back(id, asked.unwrap_or_default(), out);
            }
        }
        for piece in ranges.iter().flat_map(PieceRange::iter) {
            self.doubled.remove(&piece);
            self.asked.remove(piece);
        }
    }

    /// Tells a peer, and the driver, that these of its asked pieces are no longer wanted from it.
    pub(super) fn take_back(&mut self, id: P, ranges: Vec<PieceRange>, out: &mut Outbox<Self>) {
        if ranges.is_empty() {
            return;
        }
        self.give_up(id, &ranges);
        out.send(id, Message::Cancel(ranges.clone()));
        out.perform(Effect::Forget { from: id, ranges });
    }

    /// A peer is no longer asked for these: they may be asked from others.
    pub(super) fn give_up(&mut self, id: P, ranges: &[PieceRange]) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        for range in ranges {
            peer.down.asked.remove_range(*range);
            peer.down.asked_bytes -= self.map.bytes_of(*range);
            peer.down.excuse(*range);
        }
        self.release(id, ranges);
    }

    /// Pieces that were asked from a peer may be asked again, unless another was asked too.
    pub(super) fn release(&mut self, id: P, ranges: &[PieceRange]) {
        for piece in ranges.iter().flat_map(PieceRange::iter) {
            let other_asked = self.doubled.contains(&piece)
                && self.peers.iter().any(|(other, peer)| {
                    *other != id && !peer.down.stalled && peer.down.asked.contains(piece)
                });
            if !other_asked {
                self.asked.remove(piece);
                self.offer(PieceRange::one(piece));
            }
        }
    }
}
