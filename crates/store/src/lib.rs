//! Keeps pieces, manifests, shares and progress on disk, safely through crashes.
//!
//! Shared files stay where they are and are read in place by a [`Source`]; a download is written
//! once, next to where it will be, by a [`Download`]. All calls may block: they belong on threads
//! of their own.

mod begin;
mod below;
mod checkpoint;
mod db;
mod disk;
mod download;
mod error;
#[cfg(any(test, feature = "faulty"))]
mod faulty;
mod fingerprint;
mod finish;
mod forget;
mod hashes;
mod hashing;
mod home;
mod local;
mod lru;
mod moves;
mod names;
mod part;
mod plan;
mod progress;
mod record;
mod resume;
mod rows;
mod scan;
mod settle;
mod share;
mod shares;
mod source;
mod state;
mod sweep;
mod target;
#[cfg(test)]
mod tests;
mod twins;
mod walk;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use potluck_base::ContentId;

pub use download::Download;
pub use error::{ReadError, ReadFault, StoreError};
#[cfg(any(test, feature = "faulty"))]
pub use faulty::Faults;
pub use fingerprint::Fingerprint;
pub use finish::Finished;
pub use hashes::FileHash;
pub use hashing::hash_files;
pub use plan::{DownloadPlan, OnExists, PlanKind};
pub use progress::Marked;
pub use record::DownloadInfo;
pub use scan::{Scan, ScannedFile, Warning};
pub use settle::Settled;
pub use share::{Origin, Root, ShareInfo, ShareKind, ShareRecord};
pub use source::Source;

use crate::disk::Disk;
use crate::state::Inner;

/// The node's state on disk. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

impl Store {
    /// Opens the home of a node, and makes it if need be. Only one at a time can have it open.
    pub fn open(home: &Path) -> Result<Store, StoreError> {
        Inner::open(home, Disk::default()).map(Store)
    }

    /// Opens a home whose downloads go to a disk with faults.
    #[cfg(any(test, feature = "faulty"))]
    pub fn open_faulty(home: &Path, faults: Arc<Faults>) -> Result<Store, StoreError> {
        Inner::open(home, Disk::faulty(faults)).map(Store)
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.0.home.path()
    }

    /// Lists what is below the given paths: one file, one folder, or several things as one folder.
    pub fn scan(&self, paths: &[PathBuf]) -> Result<Scan, StoreError> {
        scan::scan(paths, self.home())
    }

    /// Hashes the files of a scan with so many threads, except those that are known and unchanged,
    /// and remembers the hashes. Returns the ids of `scan.files` in their order, as
    /// [`Scan::record`] takes them.
    ///
    /// Files that vanished or cannot be read leave the scan, with a warning. `progress` hears how
    /// many of [`Scan::bytes`] are done.
    pub fn hash_scan(
        &self,
        scan: &mut Scan,
        threads: usize,
        progress: &dyn Fn(u64),
        cancel: &AtomicBool,
    ) -> Result<Vec<ContentId>, StoreError> {
        hashing::hash_scan(&self.0, scan, threads, progress, cancel)
    }

    /// The ids of files that were hashed before and have not changed since.
    pub fn known_hashes(
        &self,
        files: &[Fingerprint],
    ) -> Result<Vec<Option<ContentId>>, StoreError> {
        hashes::known(&self.0.db, files)
    }

    /// Remembers hashes (but those of racy files, see [`Fingerprint::racy`]) and values.
    pub fn remember_hashes(&self, files: &[(Fingerprint, FileHash)]) -> Result<(), StoreError> {
        hashes::remember(&self.0.db, files)
    }

    /// Records a share; an earlier one of the same content is replaced.
    pub fn put_share(&self, share: &ShareRecord) -> Result<(), StoreError> {
        shares::put(&self.0, share)
    }

    /// All shares and all finished downloads, the oldest first.
    pub fn shares(&self) -> Result<Vec<ShareInfo>, StoreError> {
        shares::list(&self.0)
    }

    /// Stops offering the content whose id starts with `prefix`. The files stay as they are.
    pub fn remove_share(&self, prefix: &str) -> Result<ShareInfo, StoreError> {
        shares::remove(&self.0, prefix)
    }

    /// Opens a share or a finished download for reading; none if there is no such content.
    pub fn open_source(&self, id: &ContentId) -> Result<Option<Source>, StoreError> {
        shares::open(&self.0, id)
    }

    /// Starts a download, or goes on with an earlier one of the same content to the same place.
    /// What is there already is looked at first, and read where it cannot be trusted.
    pub fn begin_download(&self, plan: DownloadPlan) -> Result<Download, StoreError> {
        begin::begin(&self.0, &plan)
    }

    /// Downloads that were begun and neither finished nor forgotten.
    pub fn unfinished(&self) -> Result<Vec<DownloadInfo>, StoreError> {
        record::unfinished(&self.0.db.lock())
    }

    /// Gives up an unfinished download and deletes what it has so far.
    pub fn forget_download(&self, number: i64) -> Result<(), StoreError> {
        forget::forget(&self.0, number)
    }

    /// Makes finished downloads safe against a crash of the machine, reads again those that may
    /// have suffered from one, and tidies the memory of hashes. Slow: to be called in the
    /// background, after each finished download and once after the start.
    pub fn settle(&self) -> Result<Settled, StoreError> {
        settle::settle(&self.0)
    }
}
