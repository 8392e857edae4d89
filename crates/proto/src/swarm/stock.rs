//! What is here and what is wanted: pieces come, vanish, are wished for and given up.

use std::fmt::Debug;

use potluck_base::{PieceRange, PieceSet, Time, limits};

use super::picker::Picker;
use super::{ANNOUNCE_AFTER, GoneWhy, Message, Swarm, Timer};
use crate::machine::Outbox;

impl<P: Copy + Ord + Debug> Swarm<P> {
    pub(super) fn add_wanted(&mut self, pieces: &PieceSet) {
        let total = self.map.total();
        self.wanting = true;
        if self.picker.is_asleep() && total > 0 {
            self.values.start_at(self.dice.below(u64::from(self.map.files())) as u32);
            self.picker = Picker::new(total, self.dice.fork());
            for peer in self.peers.values().filter(|peer| !peer.everything) {
                peer.have.ranges().for_each(|range| self.picker.add_holder(range));
            }
        }
        let mut new = pieces.clone();
        new.remove_all(&self.wanted);
        self.wanted.insert_all(&new);
        new.remove_all(&self.have);
        self.missing += new.len();
        self.values.open_files(&self.map, &new);
        for range in new.ranges() {
            self.offer(range);
        }
    }

    /// Pieces may be asked for, unless they are here, unwanted, not verifiable or asked already.
    pub(super) fn offer(&mut self, range: PieceRange) {
        for piece in range.iter() {
            let idle = self.wanted.contains(piece)
                && !self.have.contains(piece)
                && !self.unknown.contains(piece)
                && !self.asked.contains(piece);
            if idle {
                self.picker.offer(piece);
            }
        }
    }

    pub(super) fn skip(&mut self, ranges: &[PieceRange], out: &mut Outbox<Self>) {
        for range in ranges {
            let range = self.clip(*range);
            for piece in range.iter().filter(|piece| self.wanted.contains(*piece)) {
                self.picker.withdraw(piece);
                self.missing -= u32::from(!self.have.contains(piece));
            }
            self.wanted.remove_range(range);
        }
        self.call_off(ranges, None, out);
        self.values.close_unwanted(&self.map, &self.wanted);
    }

    /// Pieces came by another way than a peer.
    pub(super) fn appeared(&mut self, now: Time, ranges: &[PieceRange], out: &mut Outbox<Self>) {
        self.call_off(ranges, None, out);
        for range in ranges {
            self.store(now, *range, out);
        }
        self.fill_all(now, out);
    }

    /// Pieces are here now: counts and announces them. Nobody is asked for them any more.
    pub(super) fn store(&mut self, now: Time, range: PieceRange, out: &mut Outbox<Self>) {
        let was_empty = self.have.is_empty();
        for piece in self.clip(range).iter() {
            self.picker.withdraw(piece);
            if self.have.insert(piece) {
                self.missing -= u32::from(self.wanted.contains(piece));
                self.fresh.insert(piece);
            }
        }
        if !self.fresh.is_empty() && self.announce_at.is_none() {
            let at = now + ANNOUNCE_AFTER;
            self.announce_at = Some(at);
            out.set_timer(at, Timer::Announce);
        }
        if was_empty {
            self.grant_all(now, out);
        }
    }

    /// Pieces of ours are no longer here.
    pub(super) fn lose(
        &mut self,
        now: Time,
        ranges: &[PieceRange],
        why: GoneWhy,
        out: &mut Outbox<Self>,
    ) {
        let total = self.map.total();
        let mut gone = PieceSet::from_ranges(total, ranges.iter().copied());
        gone.keep_all(&self.have);
        if gone.is_empty() {
            return;
        }
        self.have.remove_all(&gone);
        self.fresh.remove_all(&gone);
        self.lost.get_or_insert_with(|| PieceSet::none(total)).insert_all(&gone);
        self.unqueue_everywhere(&gone);
        let ranges: Vec<PieceRange> = gone.ranges().collect();
        for part in ranges.chunks(limits::RANGES) {
            for id in self.everybody() {
                out.send(id, Message::Gone { ranges: part.to_vec(), why });
            }
        }
        let mut again = gone;
        again.keep_all(&self.wanted);
        if !again.is_empty() {
            self.missing += again.len();
            again.ranges().for_each(|range| self.offer(range));
            self.finished = false;
            self.want_again(out);
            self.fill_all(now, out);
        }
    }

    /// Something is wanted after all: who was told that nothing is must know.
    pub(super) fn want_again(&mut self, out: &mut Outbox<Self>) {
        if self.missing == 0 || std::mem::replace(&mut self.told_wants, true) {
            return;
        }
        for id in self.everybody() {
            self.say_join(id, out);
        }
    }
}
