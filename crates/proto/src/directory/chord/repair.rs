//! Seeing to it that each record is where it belongs, as often as it is to be: comparison by
//! digests between an owner and those behind it, and handing over what is no longer ours.
//!
//! An owner compares its range with each of those who are to have copies, a sixteenth at a time
//! where there is much. What either lacks is sent. Whoever keeps records that no owner has asked
//! about for a while brings them to their owner, and forgets them only when it has acknowledged
//! them: a copy that is out of place is better than none (Carbonite, NSDI 2006).

use potluck_base::{Time, limits};

use super::calls::Purpose;
use super::puts::PutFor;
use super::{Chord, Digest, OnRing, Out, Phase, Reject, Rep, Reply, Request, RingId, Slot, Value};

/// Comparisons that an owner may miss before what it vouched for counts as out of place.
const MISSED: u32 = 3;
/// Records that are handed over in one round.
const HANDED_OVER: usize = 512;
/// Rounds of comparison between two looks for records whose time is over.
const EXPIRY_ROUNDS: u32 = 6;
/// Owners whose word for a range is remembered.
const VOUCHERS: usize = 64;
/// Parts of ranges that are compared in one round: sixteen times sixteen for each of four keepers.
/// Whoever always says that there is more to compare is not followed for ever.
pub(super) const PARTS_PER_ROUND: u32 = 1024;

/// An owner has asked about a range of which we have copies.
pub(super) struct Vouched {
    pub(super) from: RingId,
    pub(super) to: RingId,
    pub(super) rank: u8,
    at: Time,
}

/// Where a record stands.
type Name = (RingId, Slot);
/// A range and how far behind its owner the other stands.
pub(super) type Span = (RingId, RingId, u8);

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Time to compare.
    pub(super) fn compare_round(&mut self, now: Time, out: &mut Out<P, V>) {
        self.set_compare(now, out);
        if self.phase != Phase::On {
            return;
        }
        self.compared = self.compared.wrapping_add(1);
        if self.compared.is_multiple_of(EXPIRY_ROUNDS) {
            for (key, slot) in self.shelf.expired(self.now_ms(now)) {
                self.drop_record(key, slot, out);
            }
        }
        self.parts_left = PARTS_PER_ROUND;
        self.compare_now(now, out);
        self.hand_over(now, out);
    }

    /// Compares our own range with those behind us.
    pub(super) fn compare_now(&mut self, now: Time, out: &mut Out<P, V>) {
        if self.params.compare.is_none() || self.phase != Phase::On {
            return;
        }
        let (from, to) = self.tables.range();
        if self.tables.predecessor.is_none() {
            self.settled |= self.tables.next().is_none();
            return;
        }
        let most = self.shelf.range(from, to).map(|(_, record)| self.copies_of(record)).max();
        let most = most.unwrap_or(0).max(self.params.replicas).max(2);
        let holders = self.tables.successors().to_vec();
        self.settling = (!self.settled).then_some((from, to));
        if let (Some(next), false) = (holders.first(), self.settled) {
            // What is to have one copy only is with the one whose range it was until now.
            self.compare_range(now, *next, (from, to, 0), out);
        }
        for (rank, holder) in (1..most as u8).zip(holders) {
            self.compare_range(now, holder, (from, to, rank), out);
        }
    }

    /// We are settled when all that we asked the successor about our range has been answered.
    fn settle(&mut self, with: P) {
        let asks = |purpose: &Purpose<P>| {
            matches!(purpose, Purpose::Compare { .. } | Purpose::Fetch { .. })
        };
        if self.settling == Some(self.tables.range())
            && self.tables.next() == Some(with)
            && !self.calls.any_to(with, asks)
        {
            self.settled = true;
            self.settling = None;
        }
    }

    /// A peer did not say what it has of our range.
    pub(super) fn not_compared(&mut self, with: P) {
        if self.tables.next() == Some(with) {
            self.settling = None;
        }
    }

    pub(super) fn compare_range(&mut self, now: Time, with: P, span: Span, out: &mut Out<P, V>) {
        let (from, to, rank) = span;
        let digest = self.digest(span);
        let purpose = Purpose::Compare { from, to, rank };
        self.call(now, with, purpose, Request::Compare { from, to, rank, digest }, out);
    }

    pub(super) fn digest(&self, (from, to, rank): Span) -> Digest {
        self.shelf.digest(from, to, |record| self.copies_of(record) > usize::from(rank))
    }

    fn names(&self, (from, to, rank): Span) -> Vec<(RingId, Slot, u64)> {
        let fits = |(_, record): &(RingId, &V)| self.copies_of(record) > usize::from(rank);
        let range = self.shelf.range(from, to).filter(fits);
        range.map(|(key, record)| (key, record.slot(), record.version())).collect()
    }

    /// An owner compares its range with what we keep of it.
    pub(super) fn compare_here(
        &mut self,
        now: Time,
        from: P,
        span: Span,
        theirs: Digest,
    ) -> Rep<P, V> {
        let whole = Vouched { from: span.0, to: span.1, rank: span.2, at: now };
        match self.vouched.get_mut(&from) {
            // One that goes vouches for nothing, but will not tell us again what we say we have.
            _ if span.2 == 0 => self.range_stays(span.0, span.1),
            // A part of the range that it asked about just before.
            Some(known)
                if now.since(known.at) < self.params.call_time
                    && span.0.is_in(known.from, known.to)
                    && span.1.is_in(known.from, known.to) =>
            {
                known.at = now;
            }
            _ => {
                if self.vouched.len() >= VOUCHERS {
                    let oldest = self.vouched.iter().min_by_key(|(_, word)| word.at);
                    let oldest = oldest.map(|(peer, _)| *peer);
                    oldest.map(|peer| self.vouched.remove(&peer));
                }
                self.vouched.insert(from, whole);
            }
        }
        let ours = self.digest(span);
        if ours == theirs {
            return Reply::Same;
        }
        if ours.count as usize <= limits::RING_NAMES {
            return Reply::Names(self.names(span));
        }
        Reply::Parts(parts(span).map(|part| self.digest(part)).collect())
    }

    /// Another keeper has said what it has.
    pub(super) fn compared_with(
        &mut self,
        now: Time,
        with: P,
        span: Span,
        body: Rep<P, V>,
        out: &mut Out<P, V>,
    ) {
        match body {
            Reply::Same => {}
            Reply::Parts(theirs) => {
                let differ: Vec<Span> = parts(span)
                    .zip(theirs)
                    .filter(|(part, digest)| self.digest(*part) != *digest)
                    .map(|(part, _)| part)
                    .collect();
                for part in differ {
                    let Some(left) = self.parts_left.checked_sub(1) else {
                        return self.not_compared(with);
                    };
                    self.parts_left = left;
                    self.compare_range(now, with, part, out);
                }
            }
            Reply::Names(theirs) => {
                let ours = self.names(span);
                let mut lacks = newer(&ours, &theirs);
                if self.phase == Phase::On {
                    let copied = |name: &(RingId, Slot)| {
                        let record = self.shelf.get(name.0, name.1);
                        record.is_some_and(|record| self.copies_of(record) > 1)
                    };
                    lacks.retain(copied);
                }
                let lacked = newer(&theirs, &ours);
                let lacked = lacked.into_iter().filter(|(key, _)| self.owns(*key)).collect();
                self.repair(now, with, lacks, out);
                self.fetch(now, with, lacked, out);
            }
            _ => {
                self.not_compared(with);
                self.lied(now, with, "it answered something else than was asked", out);
            }
        }
        self.settle(with);
    }

    /// Gives another keeper what it lacks, a batch at a time.
    pub(super) fn repair(
        &mut self,
        now: Time,
        with: P,
        mut names: Vec<(RingId, Slot)>,
        out: &mut Out<P, V>,
    ) {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some((key, slot)) = names.pop() {
            let Some(record) = self.shelf.get(key, slot) else { continue };
            bytes += record.bytes();
            if !records.is_empty()
                && (bytes > limits::RING_BATCH_BYTES || records.len() >= limits::RING_RECORDS)
            {
                names.push((key, slot));
                break;
            }
            records.push((key, record.clone()));
        }
        if !records.is_empty() {
            self.call(now, with, Purpose::Repair { rest: names }, Request::Copy { records }, out);
        }
    }

    /// Gets from another keeper what we lack, a batch at a time.
    fn fetch(&mut self, now: Time, with: P, mut names: Vec<(RingId, Slot)>, out: &mut Out<P, V>) {
        if names.is_empty() {
            return;
        }
        let rest = names.split_off(names.len().min(limits::RING_RECORDS / 4));
        let purpose = Purpose::Fetch { asked: names.clone(), rest };
        self.call(now, with, purpose, Request::Fetch { names }, out);
    }

    /// Records that we lacked.
    pub(super) fn fetched(
        &mut self,
        now: Time,
        with: P,
        records: Vec<(RingId, V)>,
        (mut asked, mut rest): (Vec<Name>, Vec<Name>),
        out: &mut Out<P, V>,
    ) {
        // What did not fit into the answer is asked for again; what is there no more is not.
        let last = records.last().map(|(key, record)| (*key, record.slot()));
        let sent = last.and_then(|last| asked.iter().position(|name| *name == last));
        rest.splice(..0, asked.drain(sent.map_or(asked.len(), |sent| sent + 1)..));
        for (key, record) in records {
            if self.owns(key) {
                // A record that may not be kept is the other's mistake, and stays there.
                let _: Result<(), Reject> = self.keep(now, key, record, true, out);
            }
        }
        self.fetch(now, with, rest, out);
        self.settle(with);
    }

    /// Brings what nobody has asked about for a while to its owner.
    fn hand_over(&mut self, now: Time, out: &mut Out<P, V>) {
        let Some(every) = self.params.compare else { return };
        let fresh = every * MISSED + self.params.call_time;
        self.vouched.retain(|_, word| now.since(word.at) < fresh);
        // Who came just now waits for owners to ask.
        if self.compared <= MISSED || self.tables.next().is_none() || self.is_handing_over() {
            return;
        }
        if self.tables.predecessor.is_none() {
            return;
        }
        let (from, to) = self.tables.range();
        // What was brought just now waits for its owner too.
        let left = |key: RingId, record: &V| {
            let wanted = self.shelf.wanted(key, record.slot());
            wanted.is_none_or(|wanted| wanted == Time::ZERO || now.since(wanted) >= fresh)
        };
        let strays = self
            .shelf
            .range(to, from)
            .filter(|(key, record)| left(*key, record) && !self.is_vouched(*key, record));
        let strays: Vec<(RingId, V)> =
            strays.take(HANDED_OVER).map(|(key, record)| (key, record.clone())).collect();
        if !strays.is_empty() {
            self.put_for(now, PutFor::HandOver, strays, out);
        }
    }

    pub(super) fn is_vouched(&self, key: RingId, record: &V) -> bool {
        self.vouched.values().any(|word| {
            key.is_in(word.from, word.to) && self.copies_of(record) > usize::from(word.rank)
        })
    }

    /// Records were brought to their owners: what has all its copies there and is not ours to keep
    /// is forgotten here.
    pub(super) fn handed_over(
        &mut self,
        results: &[(RingId, Slot, Result<u8, Reject>)],
        out: &mut Out<P, V>,
    ) {
        for (key, slot, result) in results {
            let Some(record) = self.shelf.get(*key, *slot) else { continue };
            let there = match result {
                Ok(copies) => usize::from(*copies) >= self.copies_of(record),
                Err(reject) => matches!(reject, Reject::Stale | Reject::Bad),
            };
            if there && !self.tables.owns(*key) && !self.is_vouched(*key, record) {
                self.drop_record(*key, *slot, out);
            }
        }
    }
}

/// A range in sixteen parts.
fn parts((from, to, rank): Span) -> impl Iterator<Item = Span> {
    let whole = from.distance_to(to);
    let count = limits::RING_PARTS as u128;
    // The whole circle is one more than the largest distance.
    let step = if whole == 0 { u128::MAX / count + 1 } else { (whole / count).max(1) };
    (0..count).filter_map(move |part| {
        let start = from.plus(step.wrapping_mul(part));
        let end = if part + 1 == count { to } else { from.plus(step.wrapping_mul(part + 1)) };
        let outside = whole != 0 && step.saturating_mul(part) >= whole;
        (!outside).then_some((start, end, rank))
    })
}

/// What one list has and the other lacks, or has in an older version.
fn newer(these: &[(RingId, Slot, u64)], those: &[(RingId, Slot, u64)]) -> Vec<(RingId, Slot)> {
    let others: std::collections::BTreeMap<(RingId, Slot), u64> =
        those.iter().map(|(key, slot, version)| ((*key, *slot), *version)).collect();
    let lacking = these.iter().filter(|(key, slot, version)| {
        others.get(&(*key, *slot)).is_none_or(|other| other < version)
    });
    lacking.map(|(key, slot, _)| (*key, *slot)).collect()
}
