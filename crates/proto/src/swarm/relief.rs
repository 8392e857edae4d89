//! What is done about peers that are silent or slow: their pieces go to others.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, Time};

use super::requests::{Down, ENDGAME_PIECES};
use super::{Event, Swarm, within};
use crate::machine::Outbox;

/// Silence after which a peer with outstanding requests counts as stalled: several round trips
/// round the world, and the longest pause that congestion control makes on a path that still works.
const STALL_MIN: Duration = Duration::from_secs(5);
/// A peer whose pieces come far apart is given longer, but never longer than this.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Pause between two pieces asked of a stalled peer to learn whether it sends again.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Waiting time that is not worth taking pieces from one peer to another.
const RELIEF_MIN: Duration = Duration::from_millis(200);
/// In the endgame a second peer is asked only if it is so many times quicker.
const ENDGAME_GAIN: f64 = 2.0;

impl Down {
    /// How long silence is still patience.
    fn patience(&self) -> Duration {
        (self.gap * 4).clamp(STALL_MIN, STALL_MAX)
    }

    /// When what is out will have come, as far as one can tell.
    fn remaining(&self, now: Time) -> Duration {
        let waited = now.since(self.waiting_since);
        match self.meter.rate() {
            Some(rate) if rate > 0.0 => {
                let expected = (self.asked_bytes as f64 / rate).min(STALL_MAX.as_secs_f64());
                Duration::from_secs_f64(expected).max(waited)
            }
            // Nothing has come yet: what has taken this long may take as long again.
            _ => waited,
        }
    }
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    pub(super) fn check_stalls(&mut self, now: Time, out: &mut Outbox<Self>) {
        for id in self.everybody() {
            let Some(peer) = self.peers.get(&id) else {
                continue;
            };
            let silence = now.since(peer.down.waiting_since);
            if peer.down.asked.is_empty() {
                if peer.down.stalled && silence >= PROBE_EVERY {
                    self.probe(now, id, out);
                }
            } else if !peer.down.stalled && silence >= peer.down.patience() {
                self.stall(id, out);
            }
        }
    }

    /// Gives a silent peer's pieces to others, except one, by which it may show that it lives.
    fn stall(&mut self, id: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.down.stalled = true;
        let probe = next_due(&peer.down);
        let mut others = peer.down.asked.clone();
        others.remove(probe);
        self.doubled.insert(probe);
        self.release(id, &[PieceRange::one(probe)]);
        self.take_back(id, others.ranges().collect(), out);
        out.emit(Event::Stalled(id));
    }

    /// Asks a stalled peer for one piece that is missing, whoever else was asked for it.
    fn probe(&mut self, now: Time, id: P, out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.down.waiting_since = now;
        let mut missing = self.wanted.clone();
        missing.remove_all(&self.have);
        missing.remove_all(&self.unknown);
        missing.keep_all(&peer.have);
        let piece = missing.first_present(0);
        let range = PieceRange::one(piece);
        let allowance = peer.down.allowance;
        if piece < missing.capacity() && self.cost(range) <= allowance {
            self.doubled.insert(piece);
            self.ask(now, id, vec![range], out);
        }
    }

    /// Finds work for a peer that is idle although it may be asked: pieces that another, slower one
    /// was asked for. Near the end both are asked, before that the slower one is relieved of them.
    pub(super) fn relieve(&mut self, now: Time, idle: P, out: &mut Outbox<Self>) {
        let Some(helper) = self.peers.get(&idle) else {
            return;
        };
        let slowest = self
            .peers
            .iter()
            .filter(|(id, peer)| **id != idle && !peer.down.stalled && peer.down.asked_bytes > 0)
            .map(|(id, peer)| (peer.down.remaining(now), *id, &peer.down))
            .filter(|(remaining, _, down)| {
                *remaining >= RELIEF_MIN && self.shares(down, &helper.have)
            })
            .max_by_key(|(remaining, id, _)| (*remaining, *id));
        let Some((remaining, slow, down)) = slowest else {
            return;
        };
        let slow_rate = down.asked_bytes as f64 / remaining.as_secs_f64();
        let shared = self.shared(down, &helper.have);
        // A peer that nothing has come from yet is tried with one piece: it may be a liar.
        let measured = helper.down.meter.rate();
        let rate = measured.unwrap_or(ENDGAME_GAIN * slow_rate);
        let last = down.last;
        let most = Most {
            pieces: if measured.is_some() { u32::MAX } else { 1 },
            bytes: u64::MAX,
            cost: helper.down.budget(),
        };
        if self.missing <= ENDGAME_PIECES {
            if rate >= ENDGAME_GAIN * slow_rate {
                let pieces = self.latest(&shared, last, most);
                self.doubled.extend(pieces.iter().flat_map(PieceRange::iter));
                self.ask_some(now, idle, pieces, out);
            }
        } else if 2.0 * rate >= slow_rate {
            // Shared so that both end at the same time.
            let bytes = (down.asked_bytes as f64 * rate / (rate + slow_rate)) as u64;
            let pieces = self.latest(&shared, last, Most { bytes, ..most });
            self.take_back(slow, pieces.clone(), out);
            for range in &pieces {
                range.iter().for_each(|piece| self.picker.withdraw(piece));
                self.asked.insert_range(*range);
            }
            self.ask_some(now, idle, pieces, out);
        }
    }

    fn ask_some(&mut self, now: Time, id: P, ranges: Vec<PieceRange>, out: &mut Outbox<Self>) {
        if !ranges.is_empty() {
            self.ask(now, id, ranges, out);
        }
    }

    /// Whether a peer was asked for something that another has too. Looked at for every pair of
    /// peers with every tick, so nothing is copied.
    fn shares(&self, down: &Down, have: &PieceSet) -> bool {
        let mut common = down.asked.ranges().flat_map(|range| within(have, range));
        common.any(|range| range.iter().any(|piece| !self.doubled.contains(&piece)))
    }

    /// What one peer was asked for and another has too; not what two were asked for already.
    fn shared(&self, down: &Down, have: &PieceSet) -> PieceSet {
        let mut shared = down.asked.clone();
        shared.keep_all(have);
        for piece in &self.doubled {
            shared.remove(*piece);
        }
        shared
    }

    /// Those of the pieces that a peer, which pushes upwards from `last`, will push latest.
    fn latest(&self, of: &PieceSet, last: u32, mut most: Most) -> Vec<PieceRange> {
        let total = of.capacity();
        let below: Vec<u32> = within_pieces(of, PieceRange::new(0, last));
        let above: Vec<u32> = within_pieces(of, PieceRange::new(last, total));
        let mut taken = PieceSet::none(total);
        for piece in below.iter().rev().chain(above.iter().rev()) {
            let bytes = u64::from(self.map.piece_len(*piece));
            let cost = self.cost(PieceRange::one(*piece));
            if most.pieces == 0 || bytes > most.bytes || cost > most.cost {
                break;
            }
            most.pieces -= 1;
            most.bytes -= bytes;
            most.cost -= cost;
            taken.insert(*piece);
        }
        taken.ranges().collect()
    }
}

/// How much may be taken from one peer for another.
#[derive(Clone, Copy)]
struct Most {
    pieces: u32,
    bytes: u64,
    cost: u64,
}

fn within_pieces(set: &PieceSet, range: PieceRange) -> Vec<u32> {
    within(set, range).flat_map(|range| range.iter()).collect()
}

/// The asked piece that should come next.
fn next_due(down: &Down) -> u32 {
    let above = down.asked.first_present(down.last);
    if above < down.asked.capacity() { above } else { down.asked.first_present(0) }
}
