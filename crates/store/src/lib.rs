//! Keeps pieces, manifests, shares and progress on disk, safely through crashes.
//!
//! Shared files stay where they are and are read in place by a [`Source`]; a download is written
//! once, next to where it will be, by a [`Download`]. All calls may block: they belong on threads
//! of their own.

mod audience;
mod before;
mod begin;
mod below;
mod checkpoint;
mod circles;
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
mod networks;
mod offers;
mod owners;
mod part;
mod plan;
mod progress;
mod record;
mod refresh;
mod resume;
mod rows;
mod scan;
mod settle;
mod share;
mod shares;
mod single;
mod source;
mod state;
mod stored;
mod sweep;
mod target;
#[cfg(test)]
mod tests;
mod touched;
mod twins;
mod unverified;
mod upgrade;
mod walk;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};

pub use audience::Audience;
pub use circles::{KeptRecord, RecordChange};
pub use download::Download;
pub use error::{ReadError, ReadFault, StoreError};
#[cfg(any(test, feature = "faulty"))]
pub use faulty::Faults;
pub use fingerprint::Fingerprint;
pub use finish::Finished;
pub use hashes::FileHash;
pub use hashing::hash_files;
pub use names::is_part;
pub use offers::{Moved, Offer};
pub use plan::{DownloadPlan, OnExists, PlanKind};
pub use progress::Marked;
pub use record::DownloadInfo;
pub use refresh::{Now, Refresh, Refreshed};
pub use scan::{Scan, ScannedFile, Warning};
pub use settle::Settled;
pub use share::{Origin, Root, ShareEntry, ShareInfo, ShareKind, ShareRecord};
pub use source::Source;
pub use stored::{HeldClaim, OwnDeposit};
pub use unverified::{Placed, Placing};

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

    /// Looks again at what is shared, at all of it or at what was touched, and hashes what is new.
    /// Nothing is recorded but hashes: see [`Store::advance_offer`].
    pub fn refresh(&self, refresh: &Refresh<'_>) -> Result<Refreshed, StoreError> {
        refresh::refresh(&self.0, refresh)
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

    /// How many shares and finished downloads there are.
    pub fn share_count(&self) -> Result<u64, StoreError> {
        shares::count(&self.0)
    }

    /// The share, or the finished download, of a content.
    pub fn share(&self, id: &ContentId) -> Result<Option<ShareInfo>, StoreError> {
        shares::get(&self.0, id)
    }

    /// All that is kept about a share, or about a finished download that may be served.
    pub fn share_record(&self, id: &ContentId) -> Result<Option<Arc<ShareRecord>>, StoreError> {
        shares::record(&self.0, id)
    }

    /// The files of a share or finished download that are here, in the order of the manifest;
    /// nothing if there is no such content.
    pub fn share_entries(&self, id: &ContentId) -> Result<Vec<ShareEntry>, StoreError> {
        Ok(self.share_record(id)?.map(|share| share.entries()).unwrap_or_default())
    }

    /// Stops offering the content whose id starts with `prefix`: the share, a finished download of
    /// it, and all offers of it go. The files stay as they are.
    pub fn remove_share(&self, prefix: &str) -> Result<ShareInfo, StoreError> {
        self.unshare(prefix).map(|(share, _)| share)
    }

    /// As [`Store::remove_share`]; returns the offers, too, for them to be withdrawn.
    pub fn unshare(&self, prefix: &str) -> Result<(ShareInfo, Vec<Offer>), StoreError> {
        shares::remove(&self.0, prefix)
    }

    /// Opens a share, a finished download, or a file in one of them for reading; none if there is
    /// no such content. Who may read it is [`Store::audience`]'s to say.
    pub fn open_source(&self, id: &ContentId) -> Result<Option<Source>, StoreError> {
        shares::open(&self.0, id)
    }

    /// Opens a file in a shared or downloaded folder, as if it were shared by itself; none if no
    /// folder has it, or it is no longer what it was.
    pub fn open_file_source(&self, id: &ContentId) -> Result<Option<Source>, StoreError> {
        single::open(&self.0, id)
    }

    /// Records an offer; an earlier one of the same key is replaced.
    pub fn put_offer(&self, offer: &Offer) -> Result<(), StoreError> {
        offers::put(&self.0.db.lock(), offer)
    }

    /// All offers, the oldest first.
    pub fn offers(&self) -> Result<Vec<Offer>, StoreError> {
        offers::all(&self.0.db.read())
    }

    /// One offer.
    pub fn offer(&self, key: &ShareKey) -> Result<Option<Offer>, StoreError> {
        offers::get(&self.0.db.read(), key)
    }

    /// The offers of a content as a whole, the oldest first.
    pub fn offers_of(&self, content: &ContentId) -> Result<Vec<Offer>, StoreError> {
        offers::of_content(&self.0.db.read(), content)
    }

    /// Stops an offer. If nothing else offers its content, its share (or finished download) goes,
    /// too; files stay as they are.
    pub fn remove_offer(&self, key: &ShareKey) -> Result<Option<Offer>, StoreError> {
        let offer = self.0.db.transaction(|tx| offers::remove(tx, key))?;
        if let Some(offer) = &offer {
            self.0.forget_share(&offer.content);
        }
        Ok(offer)
    }

    /// Records an offer and its share at once, so that the share never stands without one; both
    /// get a new sequence number. An earlier share of the same offer goes unless something else
    /// offers it.
    pub fn begin_offer(
        &self,
        offer: &Offer,
        share: &ShareRecord,
        now_ms: u64,
    ) -> Result<Moved, StoreError> {
        let begun = self.0.db.transaction(|tx| offers::begin(tx, offer, share, now_ms))?;
        self.moved(&begun);
        begun.ok_or(StoreError::Bug("an offer vanished as it was recorded"))
    }

    /// Gives an offer the share that its paths are now, and a new sequence number, in one
    /// transaction; the share of what it was before goes unless something else offers that. None if
    /// there is no such offer (any more): then nothing changes.
    pub fn advance_offer(
        &self,
        key: &ShareKey,
        share: &ShareRecord,
        now_ms: u64,
    ) -> Result<Option<Moved>, StoreError> {
        let moved = self.0.db.transaction(|tx| offers::advance(tx, key, share, now_ms))?;
        self.moved(&moved);
        Ok(moved)
    }

    /// Takes away the share of an offer whose paths are gone, unless something else offers it. The
    /// offer stays, with a new sequence number, and may be given a share again.
    pub fn suspend_offer(&self, key: &ShareKey, now_ms: u64) -> Result<Option<Moved>, StoreError> {
        let moved = self.0.db.transaction(|tx| offers::suspend(tx, key, now_ms))?;
        self.moved(&moved);
        Ok(moved)
    }

    /// Into how many pages the files of an offer are put when they are published; none if that was
    /// never noted.
    pub fn offer_pages(&self, key: &ShareKey) -> Result<Option<u16>, StoreError> {
        offers::pages(&self.0.db.read(), key)
    }

    /// Notes into how many pages the files of an offer are put.
    pub fn set_offer_pages(&self, key: &ShareKey, pages: u16) -> Result<(), StoreError> {
        offers::set_pages(&self.0.db.lock(), key, pages)
    }

    /// A number for the next publication of anything of this node: larger than all before, and not
    /// below `now_ms`, milliseconds since 1970.
    pub fn next_sequence(&self, now_ms: u64) -> Result<u64, StoreError> {
        offers::draw_sequence(&self.0.db, now_ms)
    }

    /// For whom a content is: what all offers say of it, or of folders that have it as a file. None
    /// if it is neither. A share or download that is no offer is for anyone.
    pub fn audience(&self, id: &ContentId) -> Result<Option<Audience>, StoreError> {
        audience::of(&self.0.db.read(), id)
    }

    /// Keeps what is to be known about a network, in place of what was kept before.
    pub fn put_network(&self, network: &NetworkId, record: &[u8]) -> Result<(), StoreError> {
        networks::put(&self.0.db.lock(), network, record)
    }

    /// All networks and what is kept about each, in the order in which they were joined.
    pub fn networks(&self) -> Result<Vec<(NetworkId, Vec<u8>)>, StoreError> {
        networks::all(&self.0.db.read())
    }

    /// Forgets a network and what was kept for it; whether it was known.
    pub fn remove_network(&self, network: &NetworkId) -> Result<bool, StoreError> {
        self.0.db.transaction(|tx| {
            circles::forget(tx, network)?;
            stored::forget(tx, network)?;
            networks::remove(tx, network)
        })
    }

    /// The records that this node keeps for the circle of a network, those whose time is over at
    /// `now_ms`, milliseconds since 1970, left out and forgotten.
    pub fn circle_records(
        &self,
        network: &NetworkId,
        now_ms: u64,
    ) -> Result<Vec<KeptRecord>, StoreError> {
        self.0.db.transaction(|tx| circles::records(tx, network, now_ms))
    }

    /// Changes what this node keeps for the circle of a network: all of it, in order, or nothing.
    pub fn change_circle(
        &self,
        network: &NetworkId,
        changes: &[RecordChange],
    ) -> Result<(), StoreError> {
        self.0.db.transaction(|tx| circles::change(tx, network, changes))
    }

    /// Where members of a network were seen, as it was kept.
    pub fn circle_contacts(&self, network: &NetworkId) -> Result<Option<Vec<u8>>, StoreError> {
        circles::contacts(&self.0.db.read(), network)
    }

    /// Keeps where members of a network were seen, in place of what was kept before.
    pub fn put_circle_contacts(
        &self,
        network: &NetworkId,
        contacts: &[u8],
    ) -> Result<(), StoreError> {
        circles::put_contacts(&self.0.db.lock(), network, contacts)
    }

    /// Notes a file that this node has put into a network, in place of what was noted of it before.
    pub fn put_deposit(&self, deposit: &OwnDeposit) -> Result<(), StoreError> {
        stored::put_own(&self.0.db.lock(), deposit)
    }

    /// All files that this node has put into networks, by network and name.
    pub fn deposits(&self) -> Result<Vec<OwnDeposit>, StoreError> {
        stored::own(&self.0.db.read())
    }

    /// Forgets a file that this node has put into a network.
    pub fn remove_deposit(
        &self,
        network: &NetworkId,
        content: &ContentId,
    ) -> Result<(), StoreError> {
        stored::remove_own(&self.0.db.lock(), network, content)
    }

    /// The folder of files that are held for others, made if need be, and the name of one there:
    /// where [`Store::begin_download`] is to put it.
    pub fn held_place(
        &self,
        content: &ContentId,
    ) -> Result<(PathBuf, potluck_base::RelPath), StoreError> {
        Ok((stored::folder(&self.0)?, stored::name_of(content)))
    }

    /// Notes what is to be held for others: from now on it is for the members of that network.
    pub fn put_claim(&self, claim: &HeldClaim) -> Result<(), StoreError> {
        stored::put_claim(&self.0.db.lock(), claim)
    }

    /// All that is held or to be held for others, the oldest first.
    pub fn claims(&self) -> Result<Vec<HeldClaim>, StoreError> {
        stored::claims(&self.0.db.read())
    }

    /// Takes back that a content is to be held. When nobody wants it held any more, which is
    /// returned, what is here of it is deleted; it must not be moved at the time.
    pub fn drop_claims(
        &self,
        content: &ContentId,
        gone: &[(NetworkId, PeerId)],
    ) -> Result<bool, StoreError> {
        stored::drop_claims(&self.0, content, gone)
    }

    /// Deletes what is here of a file that is to be held; it is to be held all the same.
    pub fn discard_held(&self, content: &ContentId) -> Result<(), StoreError> {
        stored::discard(&self.0, content)
    }

    /// Deletes whatever lies among the files that are held for others and is not to be held.
    pub fn tidy_held(&self) -> Result<(), StoreError> {
        stored::tidy(&self.0)
    }

    /// Whether a whole content is here and can be served: held, shared or downloaded.
    pub fn is_here(&self, content: &ContentId) -> Result<bool, StoreError> {
        stored::is_here(&self.0, content)
    }

    /// Starts a download, or goes on with an earlier one of the same content to the same place.
    /// What is there already is looked at first, and read where it cannot be trusted.
    pub fn begin_download(&self, plan: DownloadPlan) -> Result<Download, StoreError> {
        begin::begin(&self.0, &plan)
    }

    fn moved(&self, moved: &Option<Moved>) {
        if let Some(moved) = moved {
            self.0.forget_share(&moved.offer.content);
            moved.before.iter().for_each(|before| self.0.forget_share(before));
        }
    }

    /// Downloads that were begun and neither finished nor forgotten.
    pub fn unfinished(&self) -> Result<Vec<DownloadInfo>, StoreError> {
        record::unfinished(&self.0.db.lock())
    }

    /// Hashes a file that was fetched into the home from somewhere nobody vouches for, and copies
    /// it to its place as a finished download.
    pub fn place_draft(&self, draft: &Path, placing: Placing) -> Result<Placed, StoreError> {
        unverified::place(&self.0, draft, placing)
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
