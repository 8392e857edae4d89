//! Brings what this node offers into the directories of its networks, and out of them again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use potluck_base::{ContentId, NetworkId, ShareKey};
use potluck_content::{Kind, Manifest};
use potluck_store::{Offer, ShareKind, Store};

use crate::directory::{Announcement, Directories, Entry, EntryKind};
use crate::error::ServiceError;
use crate::notice::{Notice, Notices};
use crate::publish::{Announcer, Changed, Warned, entries_of_record, kind_of};
use crate::swarm::Swarms;

/// How long what a folder was before a change is served to peers that are fetching it.
const LINGER: Duration = Duration::from_secs(600);
/// Pause between two looks whether they are done.
const LINGER_LOOK: Duration = Duration::from_secs(5);

/// Announces offers.
pub struct Announcing {
    store: Store,
    directories: Arc<Directories>,
    swarms: Arc<Swarms>,
    notices: Notices,
    /// Where each offer is listed now.
    listed: Mutex<BTreeMap<ShareKey, Vec<NetworkId>>>,
}

impl Announcing {
    /// Announces what this store has in these directories.
    pub fn new(
        store: Store,
        directories: Arc<Directories>,
        swarms: Arc<Swarms>,
        notices: Notices,
    ) -> Arc<Self> {
        let listed = Mutex::default();
        Arc::new(Self { store, directories, swarms, notices, listed })
    }

    /// What is published in a network, as it is on disk. Blocks.
    pub fn published_in(&self, network: &NetworkId) -> Vec<Announcement> {
        let offers = self.store.offers().unwrap_or_else(|error| {
            tracing::error!(%error, "the offers cannot be read");
            Vec::new()
        });
        let mut all = Vec::new();
        for offer in offers.iter().filter(|offer| offer.listed.contains(network)) {
            match self.on_disk(offer) {
                Ok(Some(announcement)) => {
                    self.lock().entry(offer.key).or_default().push(*network);
                    all.push(announcement);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(offer = %offer.key, %error, "not announced"),
            }
        }
        all
    }

    /// An offer as it is on disk; none if it is not complete.
    fn on_disk(&self, offer: &Offer) -> Result<Option<Announcement>, ServiceError> {
        let Some(record) = self.store.share_record(&offer.content)? else { return Ok(None) };
        Ok(Some(Announcement {
            share: offer.key,
            name: offer.name.as_str().to_owned(),
            tags: offer.tags.clone(),
            content: offer.content,
            kind: kind_of(record.kind),
            size: record.size,
            partial: false,
            entries: Arc::new(named(offer, record.kind, entries_of_record(&record))),
        }))
    }

    /// Announces an offer as it is on disk, wherever it is listed, and withdraws it elsewhere.
    pub async fn announce(self: &Arc<Self>, offer: Offer) -> Result<(), ServiceError> {
        let this = Arc::clone(self);
        let (offer, announcement) = tokio::task::spawn_blocking(move || {
            let announcement = this.on_disk(&offer)?;
            Ok::<_, ServiceError>((offer, announcement))
        })
        .await??;
        match announcement {
            Some(announcement) => self.put(&offer, announcement).await,
            None => self.take(offer.key).await,
        }
        Ok(())
    }

    /// Announces a download that has begun.
    pub async fn announce_partial(&self, offer: &Offer, size: u64, manifest: Option<&Manifest>) {
        let (kind, entries) = match manifest {
            Some(manifest) => (EntryKind::Folder, entries_of_manifest(manifest)),
            None => (EntryKind::File, vec![single(offer, size)]),
        };
        let announcement = Announcement {
            share: offer.key,
            name: offer.name.as_str().to_owned(),
            tags: offer.tags.clone(),
            content: offer.content,
            kind,
            size,
            partial: true,
            entries: Arc::new(entries),
        };
        self.put(offer, announcement).await;
    }

    /// Takes an offer out of all directories.
    pub async fn withdraw(&self, share: ShareKey) {
        self.take(share).await;
    }

    async fn put(&self, offer: &Offer, announcement: Announcement) {
        let wanted: Vec<NetworkId> = offer.listed.iter().copied().collect();
        let before = self.lock().insert(offer.key, wanted.clone()).unwrap_or_default();
        for network in before.iter().filter(|network| !offer.listed.contains(network)) {
            self.withdraw_from(network, offer.key).await;
        }
        join_all(wanted.iter().filter_map(|network| self.directories.get(network)).map(
            |directory| {
                let announcement = announcement.clone();
                async move {
                    if let Err(error) = directory.announce(announcement).await {
                        tracing::error!(%error, "not announced");
                    }
                }
            },
        ))
        .await;
    }

    async fn take(&self, share: ShareKey) {
        let before = self.lock().remove(&share).unwrap_or_default();
        for network in before {
            self.withdraw_from(&network, share).await;
        }
    }

    async fn withdraw_from(&self, network: &NetworkId, share: ShareKey) {
        if let Some(directory) = self.directories.get(network)
            && let Err(error) = directory.withdraw(share).await
        {
            tracing::error!(%error, "not withdrawn");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShareKey, Vec<NetworkId>>> {
        self.listed.lock().expect("no panic while held")
    }
}

impl Announcer for Announcing {
    fn changed(&self, changed: Changed) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Changed { offer, there, kind, size, entries } = changed;
            if !there {
                return self.take(offer.key).await;
            }
            let announcement = Announcement {
                share: offer.key,
                name: offer.name.as_str().to_owned(),
                tags: offer.tags.clone(),
                content: offer.content,
                kind,
                size,
                partial: false,
                entries,
            };
            self.put(&offer, announcement).await;
        })
    }

    fn dropped(&self, content: ContentId) -> BoxFuture<'_, ()> {
        let swarms = Arc::clone(&self.swarms);
        // Whoever is in the middle of it may finish: the files that did not change are still there.
        tokio::spawn(async move {
            let since = Instant::now();
            while since.elapsed() < LINGER && swarms.has_peers(content) {
                tokio::time::sleep(LINGER_LOOK).await;
            }
            swarms.close(content).await;
        });
        Box::pin(async {})
    }

    fn warned(&self, warned: Warned) {
        let (text, path) = in_words(warned);
        self.notices.send(Notice::Publishing { text, path });
    }
}

/// The entries of a share as directories list them: a single file is called as its offer is.
fn named(offer: &Offer, kind: ShareKind, mut entries: Vec<Entry>) -> Vec<Entry> {
    if let (ShareKind::File, [only]) = (kind, entries.as_mut_slice()) {
        only.path = offer.name.as_str().to_owned();
    }
    entries
}

fn single(offer: &Offer, size: u64) -> Entry {
    Entry {
        path: offer.name.as_str().to_owned(),
        content: offer.content,
        size,
        kind: EntryKind::File,
        executable: false,
        modified_s: 0,
    }
}

fn entries_of_manifest(manifest: &Manifest) -> Vec<Entry> {
    let files = manifest.entries().iter().filter_map(|entry| match &entry.kind {
        Kind::File { size, id, executable } => Some(Entry {
            path: entry.path.as_str().to_owned(),
            content: *id,
            size: *size,
            kind: EntryKind::File,
            executable: *executable,
            modified_s: 0,
        }),
        _ => None,
    });
    let mut entries: Vec<Entry> = files.collect();
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn in_words(warned: Warned) -> (String, PathBuf) {
    match warned {
        Warned::Unwatched { name, why, .. } => {
            let text = format!("{name} cannot be watched ({why}): changes are seen later");
            (text, PathBuf::from(name.as_str()))
        }
        Warned::Gone { name, paths, .. } => {
            let text = format!("{name} is gone: it is withdrawn until it is back");
            (text, paths.into_iter().next().unwrap_or_default())
        }
        Warned::Back { name, .. } => (format!("{name} is back"), PathBuf::from(name.as_str())),
        Warned::LeftOut { warning, .. } => (format!("left out: {}", warning.reason), warning.path),
        Warned::Failed { name, why, .. } => {
            let text = format!("{name} could not be looked at: {why}; it will be tried again");
            (text, PathBuf::from(name.as_str()))
        }
    }
}
