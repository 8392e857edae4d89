//! One look at an offer: what changed is hashed and recorded. Blocks: for threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use potluck_base::{ContentId, RelPath, ShareKey};
use potluck_proto::directory::record::EntryKind;
use potluck_store::{
    Moved, Now, Offer, Refresh, Refreshed, ShareRecord, Store, StoreError, Warning,
};

use super::inbox::Touch;
use super::watch::Watch;
use super::{Changed, entries_of_record, kind_of};
use crate::chance::now_ms;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Everything, whatever was touched.
    pub(crate) full: bool,
    /// Whether the record is to be taken over from an offer of the same content.
    pub(crate) claim: bool,
    /// When everything was looked at last, nanoseconds since 1970.
    pub(crate) verified_ns: Option<i64>,
    pub(crate) touched: BTreeMap<PathBuf, Touch>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) changed: Option<Changed>,
    /// A content that nothing offers any more.
    pub(crate) dropped: Option<ContentId>,
    /// Other offers of what this one was before: their record may have been of our files.
    pub(crate) others: Vec<ShareKey>,
    /// Files that are still being written.
    pub(crate) later: Vec<PathBuf>,
    pub(crate) left_out: Vec<Warning>,
    /// Whether none of the paths is there.
    pub(crate) gone: bool,
    /// Those that are not.
    pub(crate) missing: Vec<PathBuf>,
    /// Whether everything was looked at.
    pub(crate) full: bool,
    /// Why not all is watched.
    pub(crate) unwatched: Option<String>,
    /// When the look began, if everything was looked at.
    pub(crate) verified_ns: Option<i64>,
    pub(crate) took: Duration,
}

/// What a thread needs to look.
pub(crate) struct Looker {
    pub(crate) store: Store,
    pub(crate) watch: Arc<Watch>,
    pub(crate) cancel: Arc<AtomicBool>,
    /// Whether changes are to be heard: an offer that cannot be watched is not tried each time.
    pub(crate) watched: bool,
}

impl Looker {
    /// Looks at an offer; nothing if it was taken away.
    pub(crate) fn look(&self, key: &ShareKey, ask: &Ask) -> Result<Option<Seen>, StoreError> {
        let (began, began_ns) = (Instant::now(), now_ns());
        let Some(offer) = self.store.offer(key)? else {
            return Ok(None);
        };
        let before = self.store.share_record(&offer.content)?;
        let full = ask.full || before.is_none();
        // Watched before it is looked at: what changes in between is heard.
        let unwatched = if self.watched { self.cover(&offer, ask, full) } else { None };
        let touched: BTreeSet<PathBuf> = ask.touched.keys().cloned().collect();
        let closed = |path: &Path| ask.touched.get(path).is_some_and(|touch| touch.closed);
        let refreshed = self.store.refresh(&Refresh {
            paths: &offer.paths,
            name: &offer.name,
            before: before.as_deref(),
            touched: (!full).then_some(&touched),
            verified_ns: ask.verified_ns,
            claim: ask.claim,
            closed: &closed,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            cancel: &self.cancel,
        })?;
        let mut seen = self.record(&offer.name, key, before.is_some(), refreshed)?;
        (seen.unwatched, seen.took) = (unwatched, began.elapsed());
        seen.verified_ns = seen.full.then_some(began_ns);
        Ok(Some(seen))
    }

    /// Sees to it that what is looked at is watched; says why not.
    fn cover(&self, offer: &Offer, ask: &Ask, full: bool) -> Option<String> {
        let covered = if full {
            offer.paths.iter().filter_map(|path| path.canonicalize().ok()).try_for_each(|path| {
                match path.parent() {
                    Some(folder) if !path.is_dir() => self.watch.one(folder),
                    _ => self.watch.cover(&path),
                }
            })
        } else {
            ask.touched.keys().try_for_each(|path| {
                // Never through a link: what it leads to is not shared.
                let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
                if is_folder { self.watch.cover(path) } else { Ok(()) }
            })
        };
        covered.err().map(|why| why.0)
    }

    /// Records what was found.
    fn record(
        &self,
        name: &RelPath,
        key: &ShareKey,
        was_there: bool,
        refreshed: Refreshed,
    ) -> Result<Seen, StoreError> {
        let Refreshed { now, later, warnings: left_out, full, missing } = refreshed;
        let gone = matches!(now, Now::Gone);
        let took = Duration::ZERO;
        let (changed, dropped, others, unwatched) = (None, None, Vec::new(), None);
        let mut seen = Seen {
            changed,
            dropped,
            others,
            later,
            left_out,
            gone,
            missing,
            full,
            unwatched,
            verified_ns: None,
            took,
        };
        let moved = match &now {
            Now::Same | Now::Nothing => None,
            Now::Gone if !was_there => None,
            Now::Gone => self.store.suspend_offer(key, now_ms())?,
            Now::Other(share) => self.store.advance_offer(key, share, now_ms())?,
        };
        let Some(Moved { offer, before, gone }) = moved else {
            return Ok(seen);
        };
        if let Some(before) = before {
            if gone {
                seen.dropped = Some(before);
            } else {
                let others = self.store.offers_of(&before)?.into_iter();
                seen.others = others.map(|other| other.key).filter(|other| other != key).collect();
            }
        }
        seen.changed = Some(match now {
            Now::Other(share) => changed_to(offer, name, &share),
            _ => withdrawn(offer),
        });
        Ok(seen)
    }
}

/// An offer that is something now.
pub(crate) fn changed_to(offer: Offer, name: &RelPath, share: &ShareRecord) -> Changed {
    let (kind, size) = (kind_of(share.kind), share.size);
    let mut entries = entries_of_record(share);
    if let ([only], EntryKind::File) = (entries.as_mut_slice(), kind) {
        name.as_str().clone_into(&mut only.path);
    }
    Changed { offer, there: true, kind, size, entries: Arc::new(entries) }
}

/// An offer of which nothing is there.
pub(crate) fn withdrawn(offer: Offer) -> Changed {
    Changed { offer, there: false, kind: EntryKind::Folder, size: 0, entries: Arc::default() }
}

/// The present, in nanoseconds since 1970.
fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
