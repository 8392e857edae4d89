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

/// Bytes of values that stay in memory, whatever is shared or fetched.
const VALUES_BYTES: u64 = 8 * 1024 * 1024;
/// The least that one file's values count, which bounds their number.
const VALUES_BYTES_MIN: u64 = 8 * 1024;

pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) db: Db,
    pub(crate) disk: Disk,
    values: Mutex<Lru<ContentId, Arc<Values>>>,
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
