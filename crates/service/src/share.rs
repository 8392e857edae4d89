//! Sharing: walk the paths, hash what is new, keep the result; the files stay where they are.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use potluck_base::{ContentId, RelPath};
use potluck_store::{Store, Warning};
use tokio::sync::mpsc;

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

/// Shares paths under a name, or under the name of the only path.
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
    let work = move || share_now(&store, &paths, name, &steps, &cancel);
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

fn share_now(
    store: &Store,
    paths: &[PathBuf],
    name: Option<RelPath>,
    steps: &mpsc::Sender<ShareStep>,
    cancel: &AtomicBool,
) -> Result<ContentId, ServiceError> {
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
    store.put_share(&record)?;
    Ok(record.id)
}
