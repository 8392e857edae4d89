//! What all parts of the store share: the locked home, the database, the disk, and which downloads
//! are open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use potluck_base::ContentId;
use potluck_content::{Layout, Values};

use crate::db::Db;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::hashes;
use crate::home::Home;
use crate::lru::Lru;
use crate::share::ShareRecord;

/// Bytes of values that stay in memory, whatever is shared or fetched.
const VALUES_BYTES: u64 = 8 * 1024 * 1024;
/// The least that one file's values count, which bounds their number.
const VALUES_BYTES_MIN: u64 = 8 * 1024;
/// Files of all records of shares that stay in memory, about 300 bytes each.
const RECORD_FILES: u64 = 200_000;
/// The least that one record counts.
const RECORD_FILES_MIN: u64 = 1000;

pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) db: Db,
    pub(crate) disk: Disk,
    values: Mutex<Lru<ContentId, Arc<Values>>>,
    records: Mutex<Records>,
    /// The parts of downloads that are open.
    active: Mutex<BTreeSet<PathBuf>>,
    boot: String,
}

impl Inner {
    pub(crate) fn open(home: &Path, disk: Disk) -> Result<Arc<Self>, StoreError> {
        let home = Home::open(home)?;
        let db = Db::open(&home.state())?;
        Ok(Arc::new(Self {
            home,
            db,
            disk,
            values: Mutex::new(Lru::new(VALUES_BYTES)),
            records: Mutex::new(Records { kept: Lru::new(RECORD_FILES), age: 0 }),
            active: Mutex::default(),
            boot: boot(),
        }))
    }

    /// The values of a file: of one piece from its id, else from memory or the database.
    pub(crate) fn values(
        &self,
        layout: Layout,
        id: ContentId,
    ) -> Result<Option<Arc<Values>>, StoreError> {
        if layout.pieces() <= 1 {
            return Ok(Some(Arc::new(Values::single(layout, id))));
        }
        let known = self.values.lock().unwrap_or_else(PoisonError::into_inner).get(&id);
        if let Some(values) = known.filter(|values| *values.layout() == layout) {
            return Ok(Some(values));
        }
        let values = hashes::values(&self.db, layout, id)?.map(Arc::new);
        if let Some(values) = &values {
            self.keep_values(values.clone());
        }
        Ok(values)
    }

    /// Keeps values in memory for a while.
    pub(crate) fn keep_values(&self, values: Arc<Values>) {
        let weight = u64::from(values.layout().pieces()) * 32;
        let mut kept = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(values.root(), values, weight.max(VALUES_BYTES_MIN));
    }

    /// The record of a share, if it is kept in memory; and the age of that memory.
    pub(crate) fn kept_share(&self, id: &ContentId) -> (Option<Arc<ShareRecord>>, u64) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        (records.kept.get(id), records.age)
    }

    /// Keeps what was read from the database, unless something has changed there since `age`.
    pub(crate) fn keep_share(&self, share: &Arc<ShareRecord>, age: u64) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.age == age {
            let weight = (share.files.len() as u64).max(RECORD_FILES_MIN);
            records.kept.put(share.id, share.clone(), weight);
        }
    }

    /// A share was written or taken away.
    pub(crate) fn forget_share(&self, id: &ContentId) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.age += 1;
        records.kept.remove(id);
    }

    /// Takes the exclusive use of a part within this process.
    pub(crate) fn occupy(self: &Arc<Self>, part: PathBuf) -> Result<Occupied, StoreError> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.insert(part.clone()) {
            Ok(Occupied { store: self.clone(), part })
        } else {
            Err(StoreError::Busy { path: part })
        }
    }

    /// What names the time since the machine was switched on; nothing where that is not known.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    /// Whether the machine has run without a break since something was noted under `boot`: then all
    /// that was written then is still there, synced or not.
    pub(crate) fn same_boot(&self, boot: &str) -> bool {
        !boot.is_empty() && boot == self.boot
    }
}

/// Records of shares that were read lately.
struct Records {
    kept: Lru<ContentId, Arc<ShareRecord>>,
    /// Grows with each change of the table: what was read before one is not kept after it.
    age: u64,
}

/// The exclusive use of a part, given back when dropped.
pub(crate) struct Occupied {
    store: Arc<Inner>,
    part: PathBuf,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.store.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.part);
    }
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
