//! Makes progress survive crashes: first the data, then from time to time a sync, then the marks.
//!
//! Marks say which pieces are durable (synced before the mark was written) and which are doubtful.
//! After the death of the program all of them are there, after a crash of the machine the durable
//! ones.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use potluck_base::RelPath;

use crate::download::Download;
use crate::error::StoreError;
use crate::finish::Finished;
use crate::hashes;
use crate::record::{self, Record};

/// Bytes, or time, after which a checkpoint waits for the disk.
const SYNC_BYTES: u64 = 256 * 1024 * 1024;
const SYNC_TIME: Duration = Duration::from_secs(30);

/// Held by whoever writes the download's row.
pub(crate) struct Turn {
    pub(crate) record: Record,
    pub(crate) synced_at: Instant,
    /// Everything is at the target, but the row may not say so yet.
    pub(crate) moved: bool,
    pub(crate) missing: Vec<RelPath>,
    pub(crate) finished: Option<Finished>,
}

impl Turn {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            record,
            synced_at: Instant::now(),
            moved: false,
            missing: Vec::new(),
            finished: None,
        }
    }
}

impl Download {
    /// Makes what was marked survive: always the death of the program, and a crash of the machine
    /// as of 30 seconds or 256 MiB ago. To be called every two seconds or so, on a thread that may
    /// wait.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let mut turn = self.turn();
        if turn.finished.is_some() || turn.moved {
            return Ok(());
        }
        let unsynced = self.progress().unsynced;
        let overdue = unsynced > 0 && turn.synced_at.elapsed() >= SYNC_TIME;
        if unsynced >= SYNC_BYTES || overdue {
            self.sync()?;
            turn.synced_at = Instant::now();
        }
        self.save_in(&mut turn)
    }

    /// Waits until everything that was marked is on the disk, and notes it.
    pub fn checkpoint_synced(&self) -> Result<(), StoreError> {
        let mut turn = self.turn();
        if turn.finished.is_some() || turn.moved {
            return Ok(());
        }
        self.sync()?;
        turn.synced_at = Instant::now();
        self.save_in(&mut turn)
    }

    pub(crate) fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes marks and values to the database, without waiting for the disk.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let mut turn = self.turn();
        if turn.finished.is_some() || turn.moved { Ok(()) } else { self.save_in(&mut turn) }
    }

    pub(crate) fn save_in(&self, turn: &mut Turn) -> Result<(), StoreError> {
        let (values, durable, mut doubtful, unsaved) = {
            let progress = self.progress();
            let values = progress.fresh_values.clone();
            (values, progress.durable.clone(), progress.stored.clone(), progress.unsaved)
        };
        doubtful.remove_all(&durable);
        let record = &mut turn.record;
        if values.is_empty() && record.durable == durable && record.doubtful == doubtful {
            return Ok(());
        }
        let home = self.store.home.path();
        self.store.disk.step().map_err(|e| StoreError::io("write", home, e))?;
        self.store.db.transaction(|tx| {
            for values in values.values() {
                hashes::put_values(tx, values)?;
            }
            record::update_marks(tx, record.number, &durable, &doubtful)
        })?;
        (record.durable, record.doubtful) = (durable, doubtful);
        let mut progress = self.progress();
        for (id, values) in values {
            progress.fresh_values.remove(&id);
            progress.fresh_bytes -= u64::from(values.layout().pieces()) * 32;
        }
        progress.unsaved = progress.unsaved.saturating_sub(unsaved);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let (stored, unsynced) = {
            let progress = self.progress();
            (progress.stored.clone(), progress.unsynced)
        };
        let part = self.places.read().unwrap_or_else(PoisonError::into_inner).part.clone();
        if let Some(part) = part {
            part.sync(&self.store.disk).map_err(|e| StoreError::io("sync", &part.path, e))?;
        }
        let mut progress = self.progress();
        progress.durable = stored;
        progress.unsynced = progress.unsynced.saturating_sub(unsynced);
        Ok(())
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // What is not noted is found again by looking at the files; noting it makes that faster.
        if let Err(error) = self.save() {
            tracing::debug!(%error, "marks were not written");
        }
    }
}
