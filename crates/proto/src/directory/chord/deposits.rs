//! Keeping records for others: an owner takes them, gives copies to those behind it, and only then
//! says that they are kept.

use potluck_base::{Time, limits};

use super::calls::Purpose;
use super::serve::answer;
use super::{Chord, Effect, OnRing, Out, Reject, Reply, Request, RingId, Slot, Value};

/// Records that an owner has taken and whose copies are on their way.
pub(super) struct Deposit<P> {
    origin: Origin<P>,
    names: Vec<(RingId, Slot)>,
    /// How each record ended, or how many copies of it there are up to now.
    results: Vec<Result<u8, Reject>>,
    /// Batches of copies that are not acknowledged yet.
    waiting: usize,
}

/// Records of a deposit for one message, and their numbers in it.
type Batch<V> = (Vec<usize>, Vec<(RingId, V)>);

/// Who brought them.
enum Origin<P> {
    /// A peer, in its call of this number.
    Call(P, u32),
    /// Ourselves, in a put.
    Put(u64),
}

impl<P: OnRing, V: Value> Chord<P, V> {
    /// A peer brings records that are ours to keep.
    pub(super) fn take_store(
        &mut self,
        now: Time,
        from: P,
        id: u32,
        records: Vec<(RingId, V)>,
        out: &mut Out<P, V>,
    ) {
        self.take(now, Origin::Call(from, id), records, out);
    }

    /// Records of our own that are ours to keep.
    pub(super) fn take_own(
        &mut self,
        now: Time,
        put: u64,
        records: Vec<(RingId, V)>,
        out: &mut Out<P, V>,
    ) {
        self.take(now, Origin::Put(put), records, out);
    }

    fn take(
        &mut self,
        now: Time,
        origin: Origin<P>,
        records: Vec<(RingId, V)>,
        out: &mut Out<P, V>,
    ) {
        let names: Vec<(RingId, Slot)> =
            records.iter().map(|(key, record)| (*key, record.slot())).collect();
        let mut results = Vec::with_capacity(records.len());
        let mut taken = Vec::new();
        for (index, (key, record)) in records.into_iter().enumerate() {
            let kept = if self.owns(key) {
                self.stays(key, record.slot());
                self.keep(now, key, record.clone(), false, out)
            } else {
                Err(Reject::NotMine)
            };
            let below = record.removes() && self.shelf.is_full(key);
            results.push(if below { kept.and(Err(Reject::Full)) } else { kept.map(|()| 1) });
            if kept.is_ok() {
                taken.push((index, key, record));
            } else if kept == Err(Reject::Full) {
                self.shelf.note_split(key);
            }
        }
        let id = self.serial();
        self.deposits.insert(id, Deposit { origin, names, results, waiting: 1 });
        self.send_copies(now, id, &taken, out);
        // The one that stood for ourselves.
        self.copied(now, id, &[], out);
    }

    /// Sends copies to those behind us, as many as each record is to have.
    fn send_copies(
        &mut self,
        now: Time,
        deposit: u64,
        taken: &[(usize, RingId, V)],
        out: &mut Out<P, V>,
    ) {
        let holders = self.tables.successors().to_vec();
        for (rank, holder) in (1..).zip(holders) {
            let wanted = taken.iter().filter(|(_, _, record)| self.copies_of(record) > rank);
            let mut batches: Vec<Batch<V>> = Vec::new();
            let mut bytes = usize::MAX;
            for (index, key, record) in wanted {
                bytes = bytes.saturating_add(record.bytes());
                let full = batches.last().is_none_or(|(all, _)| all.len() >= limits::RING_RECORDS);
                if full || bytes > limits::RING_BATCH_BYTES {
                    batches.push((Vec::new(), Vec::new()));
                    bytes = record.bytes();
                }
                if let Some((indices, records)) = batches.last_mut() {
                    indices.push(*index);
                    records.push((*key, record.clone()));
                }
            }
            if batches.is_empty() {
                break;
            }
            for (indices, records) in batches {
                if let Some(deposit) = self.deposits.get_mut(&deposit) {
                    deposit.waiting += 1;
                }
                let purpose = Purpose::Copy { deposit, indices };
                self.call(now, holder, purpose, Request::Copy { records }, out);
            }
        }
    }

    /// How many peers are to have a record.
    pub(super) fn copies_of(&self, record: &V) -> usize {
        let copies = record.copies().map_or(self.params.replicas, usize::from);
        copies.clamp(1, self.params.successors + 1)
    }

    /// A batch of copies is settled: these of the deposit's records have one more.
    pub(super) fn copied(&mut self, now: Time, id: u64, kept: &[usize], out: &mut Out<P, V>) {
        let Some(deposit) = self.deposits.get_mut(&id) else { return };
        for index in kept {
            if let Some(Ok(copies)) = deposit.results.get_mut(*index) {
                *copies += 1;
            }
        }
        deposit.waiting -= 1;
        if deposit.waiting > 0 {
            return;
        }
        let Some(done) = self.deposits.remove(&id) else { return };
        match done.origin {
            Origin::Call(peer, call) => answer(peer, call, Reply::Stored(done.results), out),
            Origin::Put(put) => self.stored(now, put, done.names, done.results, out),
        }
    }

    /// Keeps a record, or a copy that its owner has taken, if it may stand under this key and is
    /// not older than what is there.
    pub(super) fn keep(
        &mut self,
        now: Time,
        key: RingId,
        record: V,
        copy: bool,
        out: &mut Out<P, V>,
    ) -> Result<(), Reject> {
        let now_ms = self.now_ms(now);
        if record.expires_ms() < now_ms {
            return Err(Reject::Bad);
        }
        // The cheap question first: most of what comes again is there already.
        if !self.shelf.judge(key, &record, copy)? {
            self.shelf.want(now, key, record.slot());
            return Ok(());
        }
        record.check(&self.rules, key, now_ms)?;
        self.shelf.insert(now, key, record.clone());
        out.perform(Effect::Keep { key, record });
        Ok(())
    }

    /// Forgets a record.
    pub(super) fn drop_record(&mut self, key: RingId, slot: Slot, out: &mut Out<P, V>) {
        self.shelf.remove(key, slot);
        out.perform(Effect::Drop { key, slot });
    }
}
