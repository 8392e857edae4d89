//! Bringing records to those who are to keep them.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{Time, limits};

use super::calls::Purpose;
use super::lookups::For;
use super::{Chord, Event, Found, OnRing, Out, Reject, Request, RingId, Slot, Timer, Value};

/// Owners that one put looks for at a time.
const OWNERS_AT_ONCE: usize = 4;
/// How often a record is tried before it counts as not kept.
const TRIES: u8 = 6;
/// First pause before a record is tried again that nobody would keep: the circle may be closing a
/// gap. It doubles with each attempt.
const AGAIN: Duration = Duration::from_millis(500);

/// A put under way.
pub(super) struct PutJob<V> {
    purpose: PutFor,
    /// What has no owner yet, by key.
    waiting: BTreeMap<(RingId, Slot), Parcel<V>>,
    /// What nobody would keep for now, until the next attempt.
    later: BTreeMap<(RingId, Slot), Parcel<V>>,
    /// What is on its way to an owner.
    sent: BTreeMap<(RingId, Slot), Parcel<V>>,
    /// Lookups and calls under way.
    active: usize,
    /// Whether more of them are being begun: what ends at once need not begin others.
    beginning: bool,
    results: Vec<(RingId, Slot, Result<u8, Reject>)>,
    /// Records that were split, and how many parts are not kept yet.
    split: BTreeMap<(RingId, Slot), u32>,
}

/// Whose put it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PutFor {
    /// Our own side's, under its number.
    Asker(u64),
    /// The handing over of records that are not ours to keep any more.
    HandOver,
}

struct Parcel<V> {
    record: V,
    tries: u8,
    /// The record that it is a part of.
    part_of: Option<(RingId, Slot)>,
}

impl<V> PutJob<V> {
    /// A record of which all parts are kept need not be kept whole by who hands it over.
    fn part_settled(&mut self, whole: (RingId, Slot), result: Result<u8, Reject>) {
        let kept = matches!(result, Ok(_) | Err(Reject::Stale));
        if let Some(left) = self.split.get_mut(&whole)
            && kept
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.results.push((whole.0, whole.1, Ok(u8::MAX)));
            }
        }
    }
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// Our own side wants records to be kept.
    pub(super) fn put(
        &mut self,
        now: Time,
        asker: u64,
        records: Vec<(RingId, V)>,
        out: &mut Out<P, V>,
    ) {
        self.put_for(now, PutFor::Asker(asker), records, out);
    }

    pub(super) fn put_for(
        &mut self,
        now: Time,
        purpose: PutFor,
        records: Vec<(RingId, V)>,
        out: &mut Out<P, V>,
    ) {
        let parcel = |(key, record): (RingId, V)| {
            ((key, record.slot()), Parcel { record, tries: 0, part_of: None })
        };
        let job = PutJob {
            purpose,
            waiting: records.into_iter().map(parcel).collect(),
            later: BTreeMap::new(),
            sent: BTreeMap::new(),
            active: 0,
            beginning: false,
            results: Vec::new(),
            split: BTreeMap::new(),
        };
        let id = self.serial();
        self.puts.insert(id, job);
        self.go_on(now, id, out);
    }

    /// Whether records are being handed over.
    pub(super) fn is_handing_over(&self) -> bool {
        self.puts.values().any(|job| job.purpose == PutFor::HandOver)
    }

    /// Who goes, or comes, counts on what we have of a range: what of it we are handing over stays
    /// here too.
    pub(super) fn range_stays(&mut self, from: RingId, to: RingId) {
        for job in self.puts.values_mut().filter(|job| job.purpose == PutFor::HandOver) {
            for parcels in [&mut job.waiting, &mut job.later, &mut job.sent] {
                parcels.retain(|(key, _), parcel| parcel.part_of.is_some() || !key.is_in(from, to));
            }
        }
    }

    /// Others want us to keep a record: if we are handing it over, it stays here too.
    pub(super) fn stays(&mut self, key: RingId, slot: Slot) {
        for job in self.puts.values_mut().filter(|job| job.purpose == PutFor::HandOver) {
            for parcels in [&mut job.waiting, &mut job.later, &mut job.sent] {
                // A part is kept wherever it belongs; it is the whole that goes away then.
                if parcels.get(&(key, slot)).is_some_and(|parcel| parcel.part_of.is_none()) {
                    parcels.remove(&(key, slot));
                }
            }
        }
    }

    /// Looks for more owners, or ends a put with which nothing is left to do.
    fn go_on(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        match self.puts.get_mut(&id) {
            Some(job) if !job.beginning => job.beginning = true,
            _ => return,
        }
        while let Some(job) = self.puts.get_mut(&id) {
            if job.waiting.is_empty() || job.active >= OWNERS_AT_ONCE.min(job.waiting.len()) {
                break;
            }
            // Anywhere on the circle, so that those at a time are for different owners.
            let chance =
                (u128::from(self.dice.next_u64()) << 64) | u128::from(self.dice.next_u64());
            let from = (RingId(chance), Slot([0; 16]));
            let next = job.waiting.range(from..).next().or_else(|| job.waiting.iter().next());
            let Some(key) = next.map(|((key, _), _)| *key) else { break };
            job.active += 1;
            self.look_up(now, For::Put(id), key, out);
        }
        if let Some(job) = self.puts.get_mut(&id) {
            job.beginning = false;
        }
        let over = |job: &PutJob<V>| {
            job.waiting.is_empty() && job.later.is_empty() && job.sent.is_empty() && job.active == 0
        };
        if self.puts.get(&id).is_some_and(over)
            && let Some(job) = self.puts.remove(&id)
        {
            match job.purpose {
                PutFor::Asker(id) => out.emit(Event::Put { id, results: job.results }),
                PutFor::HandOver => self.handed_over(&job.results, out),
            }
        }
    }

    /// An owner was found: it gets all that is in its range, as much as fits.
    pub(super) fn put_to(&mut self, now: Time, id: u64, found: &Found<P>, out: &mut Out<P, V>) {
        let Some(job) = self.puts.get_mut(&id) else { return };
        let to = found.owner.ring_id();
        let from = found.predecessor.map_or(found.key.plus(u128::MAX), |peer| peer.ring_id());
        let mine = |name: &&(RingId, Slot)| name.0 == found.key || name.0.is_in(from, to);
        let mut bytes = 0;
        let mut names = Vec::new();
        // From the key that was looked up, clockwise.
        let start = (found.key, Slot([0; 16]));
        let around = job.waiting.range(start..).chain(job.waiting.range(..start));
        for (name, parcel) in around.filter(|(name, _)| mine(name)) {
            bytes += parcel.record.bytes();
            if !names.is_empty() && bytes > limits::RING_BATCH_BYTES {
                break;
            }
            names.push(*name);
            if names.len() >= limits::RING_RECORDS {
                break;
            }
        }
        if names.is_empty() {
            job.active -= 1;
            return self.go_on(now, id, out);
        }
        let mut records = Vec::with_capacity(names.len());
        for name in &names {
            if let Some(parcel) = job.waiting.remove(name) {
                records.push((name.0, parcel.record.clone()));
                job.sent.insert(*name, parcel);
            }
        }
        if found.owner == self.own {
            self.take_own(now, id, records, out);
        } else {
            let purpose = Purpose::Store { put: id, names };
            self.call(now, found.owner, purpose, Request::Store { records }, out);
        }
    }

    /// No owner was found for now.
    pub(super) fn put_lost(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        let Some(job) = self.puts.get_mut(&id) else { return };
        job.active -= 1;
        // One record pays for it, so that it ends some time.
        if let Some((name, mut parcel)) = job.waiting.pop_first() {
            parcel.tries += 1;
            if parcel.tries >= TRIES {
                job.results.push((name.0, name.1, Err(Reject::Busy)));
            } else {
                out.set_timer(now + AGAIN * (1 << parcel.tries), Timer::Put(id));
                job.later.insert(name, parcel);
            }
        }
        self.go_on(now, id, out);
    }

    /// Time to try again what nobody would keep.
    pub(super) fn put_again(&mut self, now: Time, id: u64, out: &mut Out<P, V>) {
        if let Some(job) = self.puts.get_mut(&id) {
            job.waiting.append(&mut job.later);
            self.go_on(now, id, out);
        }
    }

    /// An owner has said how records ended.
    pub(super) fn stored(
        &mut self,
        now: Time,
        id: u64,
        names: Vec<(RingId, Slot)>,
        results: Vec<Result<u8, Reject>>,
        out: &mut Out<P, V>,
    ) {
        let Some(job) = self.puts.get_mut(&id) else { return };
        job.active -= 1;
        let missing = names.len().saturating_sub(results.len());
        let results = results.into_iter().chain(std::iter::repeat_n(Err(Reject::Busy), missing));
        for (name, result) in names.into_iter().zip(results) {
            let Some(mut parcel) = job.sent.remove(&name) else { continue };
            parcel.tries += 1;
            match result {
                Err(Reject::NotMine | Reject::Busy) if parcel.tries < TRIES => {
                    let pause = AGAIN * (1 << (parcel.tries - 1));
                    out.set_timer(now + pause, Timer::Put(id));
                    job.later.insert(name, parcel);
                }
                Err(Reject::Full) => {
                    let parts = parcel.record.split(&self.rules);
                    if parts.is_empty() {
                        job.results.push((name.0, name.1, result));
                        continue;
                    }
                    let whole = parcel.part_of.unwrap_or(name);
                    let left = job.split.entry(whole).or_insert(1);
                    *left = left.saturating_sub(1) + parts.len() as u32;
                    for (key, record) in parts {
                        let name = (key, record.slot());
                        let part = Parcel { record, tries: 0, part_of: Some(whole) };
                        job.waiting.insert(name, part);
                    }
                }
                result => match (parcel.part_of, job.purpose) {
                    (Some(whole), PutFor::HandOver) => job.part_settled(whole, result),
                    _ => job.results.push((name.0, name.1, result)),
                },
            }
        }
        if job.purpose == PutFor::HandOver {
            // At once: later it may be us alone who have them.
            let results = std::mem::take(&mut job.results);
            self.handed_over(&results, out);
        }
        self.go_on(now, id, out);
    }

    /// An owner did not answer: others will be found.
    pub(super) fn store_failed(
        &mut self,
        now: Time,
        id: u64,
        names: Vec<(RingId, Slot)>,
        out: &mut Out<P, V>,
    ) {
        self.stored(now, id, names, Vec::new(), out);
    }
}
