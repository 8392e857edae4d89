//! Sharing: walk the paths, hash what is new, keep the result; the files stay where they are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use potluck_base::{ContentId, NetworkId, RelPath, ShareKey};
use potluck_store::{Audience, Offer, ShareRecord, Store, Warning};
use tokio::sync::mpsc;

use crate::chance::{now_ms, random_key};
use crate::error::ServiceError;

/// Pause between two notes of how far the hashing is.
const NOTE_EVERY: Duration = Duration::from_millis(100);

/// What sharing tells while it runs.
#[derive(Clone, Debug)]
pub enum ShareStep {
    /// Folders are being walked.
    Scanning,
    /// Files are being hashed.
    Hashing {
        /// Bytes hashed.
        done: u64,
        /// Bytes to hash; what was hashed before and did not change is done at once.
        total: u64,
        /// Files to hash.
        files: u64,
    },
    /// Something is left out.
    LeftOut(Warning),
}

/// What is to be offered, and to whom.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// What to share, as absolute paths.
    pub paths: Vec<PathBuf>,
    /// The name to share it under; that of the only path otherwise.
    pub name: Option<RelPath>,
    /// Words that it can be found by besides.
    pub tags: Vec<String>,
    /// The networks that it is published in.
    pub listed: BTreeSet<NetworkId>,
    /// Who may have it.
    pub audience: Audience,
    /// Whether the offer follows what happens at its paths.
    pub watch: bool,
}

/// A download that is offered to others, from its beginning.
#[derive(Clone, Debug)]
pub struct Downloading {
    /// What is downloaded.
    pub content: ContentId,
    /// Its name.
    pub name: RelPath,
    /// Where it is or will be.
    pub path: PathBuf,
    /// Words that it can be found by besides.
    pub tags: Vec<String>,
    /// The networks that it is published in.
    pub listed: BTreeSet<NetworkId>,
    /// Who may have it: nobody, if it is not to be shared.
    pub audience: Audience,
}

/// Shares paths and offers them: a new offer, or that of the same paths as it is to be now.
///
/// Dropping the future stops the hashing.
pub async fn offer(
    store: &Store,
    sharing: Sharing,
    steps: &mpsc::Sender<ShareStep>,
) -> Result<Offer, ServiceError> {
    let (store, steps) = (store.clone(), steps.clone());
    let cancel = Arc::new(AtomicBool::new(false));
    let _stop = StopOnDrop::new(&cancel);
    let work = move || {
        let record = hash_now(&store, &sharing.paths, sharing.name.clone(), &steps, &cancel)?;
        let earlier = store.offers()?.into_iter();
        let mut earlier = earlier.filter(|offer| !offer.downloaded && offer.paths == sharing.paths);
        let now = now_ms();
        let earlier = earlier.next_back();
        let offer = Offer {
            key: earlier.as_ref().map_or_else(new_key, |offer| Ok(offer.key))?,
            content: record.id,
            name: record.name.clone(),
            tags: sharing.tags,
            paths: sharing.paths,
            listed: sharing.listed,
            audience: sharing.audience,
            watch: sharing.watch,
            downloaded: false,
            created_ms: earlier.map_or(now, |offer| offer.created_ms),
            sequence: 0,
        };
        Ok(store.begin_offer(&offer, &record, now)?.offer)
    };
    tokio::task::spawn_blocking(work).await?
}

/// Offers a download, finished or not. To be called before it begins: a download that is no offer
/// is for anyone. One that is offered already is offered as it is to be now.
pub async fn offer_download(
    store: &Store,
    downloading: Downloading,
) -> Result<Offer, ServiceError> {
    let store = store.clone();
    let work = move || {
        let now = now_ms();
        let earlier = store.offers_of(&downloading.content)?;
        let earlier = earlier.into_iter().find(|offer| offer.downloaded);
        let offer = Offer {
            key: earlier.as_ref().map_or_else(new_key, |offer| Ok(offer.key))?,
            content: downloading.content,
            name: downloading.name,
            tags: downloading.tags,
            paths: vec![downloading.path],
            listed: downloading.listed,
            audience: downloading.audience,
            watch: false,
            downloaded: true,
            created_ms: earlier.map_or(now, |offer| offer.created_ms),
            sequence: store.next_sequence(now)?,
        };
        store.put_offer(&offer)?;
        Ok(offer)
    };
    tokio::task::spawn_blocking(work).await?
}

/// Shares paths under a name, or under the name of the only path, without an offer: for anyone.
///
/// Dropping the future stops the hashing.
pub async fn share(
    store: &Store,
    paths: Vec<PathBuf>,
    name: Option<RelPath>,
    steps: &mpsc::Sender<ShareStep>,
) -> Result<ContentId, ServiceError> {
    let (store, steps) = (store.clone(), steps.clone());
    let cancel = Arc::new(AtomicBool::new(false));
    let _stop = StopOnDrop::new(&cancel);
    let work = move || {
        let record = hash_now(&store, &paths, name, &steps, &cancel)?;
        store.put_share(&record)?;
        Ok(record.id)
    };
    tokio::task::spawn_blocking(work).await?
}

/// Tells a thread to stop when the task that waits for it is dropped.
pub(crate) struct StopOnDrop(Arc<AtomicBool>);

impl StopOnDrop {
    pub(crate) fn new(cancel: &Arc<AtomicBool>) -> Self {
        Self(Arc::clone(cancel))
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn hash_now(
    store: &Store,
    paths: &[PathBuf],
    name: Option<RelPath>,
    steps: &mpsc::Sender<ShareStep>,
    cancel: &AtomicBool,
) -> Result<ShareRecord, ServiceError> {
    // Whoever asked may have stopped listening; the sharing goes on until it is cancelled.
    let _ = steps.blocking_send(ShareStep::Scanning);
    let mut scan = store.scan(paths)?;
    let (total, files) = (scan.bytes(), scan.files.len() as u64);
    let noted = Mutex::new(None::<Instant>);
    let progress = |done: u64| {
        let mut last = noted.lock().expect("no panic while held");
        if last.is_none_or(|last| last.elapsed() >= NOTE_EVERY) || done == total {
            *last = Some(Instant::now());
            let _ = steps.try_send(ShareStep::Hashing { done, total, files });
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ids = store.hash_scan(&mut scan, threads, &progress, cancel)?;
    for warning in &scan.warnings {
        let _ = steps.blocking_send(ShareStep::LeftOut(warning.clone()));
    }
    let mut record = scan.record(&ids)?;
    if let Some(name) = name {
        record.name = name;
    }
    Ok(record)
}

fn new_key() -> Result<ShareKey, ServiceError> {
    Ok(ShareKey(random_key()?))
}
