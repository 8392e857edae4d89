//! Brings what the machine keeps onto the disk: many changes in one transaction, the last of
//! several to the same record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{NetworkId, PeerAddr, limits};
use potluck_proto::directory::chord::index::Record;
use potluck_proto::directory::chord::{Effect, RingId, Slot, Value};
use potluck_store::{KeptRecord, RecordChange, Store};
use tokio::sync::Notify;

use crate::chance::now_ms;
use crate::error::ServiceError;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(300);

/// What of a circle is on disk.
pub(super) struct Keeper {
    network: NetworkId,
    store: Store,
    /// What is to be written; nothing for a record that goes. No larger than what the machine
    /// itself keeps.
    pending: Mutex<BTreeMap<(RingId, Slot), Option<Record>>>,
    changed: Notify,
    /// Where members were when it was written down last.
    contacts: Mutex<Vec<PeerAddr>>,
    /// Whether records that go stay on disk.
    hoarding: AtomicBool,
}

impl Keeper {
    pub(super) fn new(network: NetworkId, store: Store) -> Self {
        Self {
            network,
            store,
            pending: Mutex::default(),
            changed: Notify::new(),
            contacts: Mutex::default(),
            hoarding: AtomicBool::new(false),
        }
    }

    /// Reads the records that were kept. Blocks.
    pub(super) fn records(&self) -> Result<Vec<(RingId, Record)>, ServiceError> {
        let kept = self.store.circle_records(&self.network, now_ms())?;
        let read = kept.into_iter().filter_map(|kept| {
            let key = RingId(u128::from_be_bytes(kept.key));
            let record = postcard::from_bytes(&kept.bytes);
            record
                .inspect_err(|error| tracing::warn!(%error, %key, "left out"))
                .ok()
                .map(|r| (key, r))
        });
        Ok(read.collect())
    }

    /// Reads where members were seen. Blocks.
    pub(super) fn contacts(&self) -> Result<Vec<PeerAddr>, ServiceError> {
        let kept = self.store.circle_contacts(&self.network)?.unwrap_or_default();
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        Ok(postcard::from_bytes(&kept).unwrap_or_else(|error| {
            tracing::warn!(%error, "where members were seen cannot be read");
            Vec::new()
        }))
    }

    /// Keeps where members were seen; with nobody what was kept before stays. Blocks.
    pub(super) fn put_contacts(&self, mut contacts: Vec<PeerAddr>) -> Result<(), ServiceError> {
        contacts.truncate(limits::RING_KNOWN);
        let mut kept = self.contacts.lock().expect("no panic while held");
        if contacts.is_empty() || *kept == contacts {
            return Ok(());
        }
        let bytes = postcard::to_allocvec(&contacts).expect("writing to memory does not fail");
        self.store.put_circle_contacts(&self.network, &bytes)?;
        *kept = contacts;
        Ok(())
    }

    /// Takes note of what the machine wants kept or dropped.
    pub(super) fn note(&self, effect: Effect<Record>) {
        let (name, what) = match effect {
            Effect::Keep { key, record } => ((key, record.slot()), Some(record)),
            Effect::Drop { .. } if self.hoarding.load(Ordering::Relaxed) => return,
            Effect::Drop { key, slot } => ((key, slot), None),
        };
        self.lock().insert(name, what);
        self.changed.notify_one();
    }

    /// From now on nothing is dropped from the disk: what is handed over while this node stops may
    /// be all that is left of it when the whole network has been stopped.
    pub(super) fn hoard(&self) {
        self.hoarding.store(true, Ordering::Relaxed);
    }

    /// Writes whatever comes, as long as it is polled.
    pub(super) async fn run(self: std::sync::Arc<Self>) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(GATHER).await;
            let keeper = std::sync::Arc::clone(&self);
            let written = tokio::task::spawn_blocking(move || keeper.flush()).await;
            if let Err(error) = written.map_err(ServiceError::from).flatten() {
                tracing::error!(%error, "records of a circle could not be kept");
            }
        }
    }

    /// Writes what is noted. Blocks.
    pub(super) fn flush(&self) -> Result<(), ServiceError> {
        let pending = std::mem::take(&mut *self.lock());
        if pending.is_empty() {
            return Ok(());
        }
        let changes = pending.into_iter().map(|((key, slot), record)| match record {
            Some(record) => RecordChange::Keep(KeptRecord {
                key: key.0.to_be_bytes(),
                slot: slot.0,
                expires_ms: record.expires_ms(),
                bytes: postcard::to_allocvec(&record).expect("writing to memory does not fail"),
            }),
            None => RecordChange::Drop { key: key.0.to_be_bytes(), slot: slot.0 },
        });
        Ok(self.store.change_circle(&self.network, &changes.collect::<Vec<_>>())?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RingId, Slot), Option<Record>>> {
        self.pending.lock().expect("no panic while held")
    }
}
