//! Keeps what is offered up to date: watches the paths of each offer, finds out what changed, and
//! tells whoever announces it.
//!
//! A change is heard, waited for to end ([`limits::PUBLISH_QUIET`]), looked at, hashed, recorded,
//! and only then announced. What is heard is never trusted to be all: everything is looked at now
//! and then, see [`limits::RESCAN_EVERY`]. A file that is being written is announced when it is
//! complete: when its writer has closed it, or has been quiet for about a second.

mod inbox;
mod keeper;
mod look;
mod pages;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use potluck_base::{ContentId, RelPath, ShareKey, limits};
use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_store::{Offer, ShareKind, ShareRecord, Store, Warning};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::ServiceError;
use keeper::{Command, Keeper};

pub use pages::{HeadFields, PagedShare};

/// Commands that wait for the publisher.
const COMMANDS_QUEUED: usize = 64;

/// How offers are kept up to date.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// Whether folders are watched; otherwise they are only looked at now and then.
    pub watch: bool,
    /// How many folders may be watched at once.
    pub watched_folders: usize,
    /// Pause between two looks at everything of an offer that is watched. It grows where a look
    /// takes long.
    pub rescan_every: Duration,
    /// The same of an offer that cannot be watched, and of all if `watch` is false.
    pub rescan_every_unwatched: Duration,
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self {
            watch: true,
            watched_folders: limits::WATCHED_FOLDERS,
            rescan_every: limits::RESCAN_EVERY,
            rescan_every_unwatched: limits::RESCAN_EVERY_UNWATCHED,
        }
    }
}

/// Who is told what became of offers.
pub trait Announcer: Send + Sync + 'static {
    /// An offer has become something else, and is recorded so. The next change of the same offer is
    /// told only when the future is done.
    fn changed(&self, changed: Changed) -> BoxFuture<'_, ()>;

    /// Nothing offers this content as a whole any more: whoever serves it may stop.
    fn dropped(&self, content: ContentId) -> BoxFuture<'_, ()>;

    /// Something that a person may want to know.
    fn warned(&self, warned: Warned);
}

/// What became of an offer.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The offer as it is now, with the number of this publication.
    pub offer: Offer,
    /// Whether there is anything: without, it is to be withdrawn, until it comes back.
    pub there: bool,
    /// A file or a folder.
    pub kind: EntryKind,
    /// Bytes of all files.
    pub size: u64,
    /// Its files, sorted by path (bytes); a single file is called as the offer.
    pub entries: Arc<Vec<Entry>>,
}

/// What a person may want to know.
#[derive(Clone, Debug)]
pub enum Warned {
    /// The paths of an offer cannot be watched: changes are seen later.
    Unwatched {
        /// Which.
        offer: ShareKey,
        /// Its name.
        name: RelPath,
        /// Why, in words.
        why: String,
    },
    /// All paths of an offer are gone: it is withdrawn until they are back.
    Gone {
        /// Which.
        offer: ShareKey,
        /// Its name.
        name: RelPath,
        /// Where it was.
        paths: Vec<PathBuf>,
    },
    /// They are back.
    Back {
        /// Which.
        offer: ShareKey,
        /// Its name.
        name: RelPath,
    },
    /// Something below its paths is left out.
    LeftOut {
        /// Of which.
        offer: ShareKey,
        /// What, and why.
        warning: Warning,
    },
    /// It could not be looked at; it will be tried again.
    Failed {
        /// Which.
        offer: ShareKey,
        /// Its name.
        name: RelPath,
        /// Why, in words.
        why: String,
    },
}

/// Keeps the offers of a node up to date until it is dropped.
pub struct Publisher {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

impl Publisher {
    /// Watches all offers of the store that want to be watched, and looks at each of them once.
    pub fn start(
        store: Store,
        config: PublishConfig,
        announcer: Arc<dyn Announcer>,
    ) -> Result<Self, ServiceError> {
        let offers = store.offers()?;
        let (commands, queue) = mpsc::channel(COMMANDS_QUEUED);
        let stop = CancellationToken::new();
        let keeper = Keeper::new(store, config, announcer, stop.clone());
        tokio::spawn(keeper.run(offers, queue));
        Ok(Self { commands, stop })
    }

    /// Watches an offer from now on; one that was changed is watched as it is now.
    pub async fn add(&self, offer: &Offer) {
        // The keeper is gone only when it was stopped.
        let _ = self.commands.send(Command::Add(offer.clone())).await;
    }

    /// Ends watching an offer. What is being looked at may still be told.
    pub async fn remove(&self, offer: ShareKey) {
        // As above.
        let _ = self.commands.send(Command::Remove(offer)).await;
    }

    /// Looks at everything of an offer now; returns when what changed has been told.
    pub async fn look(&self, offer: ShareKey) {
        let (done, wait) = oneshot::channel();
        // As above.
        let _ = self.commands.send(Command::Look(offer, done)).await;
        let _ = wait.await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The files of a share or finished download, as directories list them: sorted by path (bytes).
/// Nothing if there is no such content.
pub fn entries_of(store: &Store, content: &ContentId) -> Result<Vec<Entry>, ServiceError> {
    Ok(store.share_record(content)?.map(|share| entries_of_record(&share)).unwrap_or_default())
}

/// The files of a share, as directories list them: sorted by path (bytes).
pub fn entries_of_record(share: &ShareRecord) -> Vec<Entry> {
    let files = share.entries().into_iter();
    let mut entries: Vec<Entry> = files
        .map(|file| Entry {
            path: file.path.as_str().to_owned(),
            content: file.content,
            size: file.size,
            kind: EntryKind::File,
            executable: file.executable,
            modified_s: file.modified_s,
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// A kind of share in the words of directories.
pub fn kind_of(kind: ShareKind) -> EntryKind {
    match kind {
        ShareKind::File => EntryKind::File,
        ShareKind::Folder => EntryKind::Folder,
    }
}
