//! Decides when each offer is looked at: soon after it changed, never all the time, and now and
//! then even if nothing was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potluck_base::{RelPath, ShareKey, limits};
use potluck_store::{Offer, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::inbox::{Heard, Inbox, Touch};
use super::look::{Ask, Looker, Seen};
use super::watch::Watch;
use super::{Announcer, PublishConfig, Warned};

/// Of the time since a look began, looking may take one part in so many.
const LOOK_SHARE: u32 = 4;
/// A rescan that nothing asked for may take one part in so many.
const RESCAN_SHARE: u32 = 20;
/// Pause after a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Left out paths of one offer that are remembered, so that each is told once.
const LEFT_OUT_MAX: usize = 1000;

/// What the publisher is told to do.
pub(crate) enum Command {
    Add(Offer),
    Remove(ShareKey),
    Look(ShareKey, oneshot::Sender<()>),
}

/// All offers that are kept up to date.
pub(crate) struct Keeper {
    store: Store,
    config: PublishConfig,
    announcer: Arc<dyn Announcer>,
    stop: CancellationToken,
    inbox: Arc<Inbox>,
    watch: Arc<Watch>,
    cancel: Arc<AtomicBool>,
    kept: BTreeMap<ShareKey, Kept>,
    looks: JoinSet<(ShareKey, Result<Option<Seen>, StoreError>)>,
    roots_due: Instant,
}

/// One of them.
struct Kept {
    name: RelPath,
    paths: Vec<PathBuf>,
    /// Where the paths really are and what is there, as of the last look at that.
    roots: Vec<Root>,
    /// What to look at next.
    ask: Ask,
    /// When the first and the last change were heard that were not looked at yet.
    heard: Option<(Instant, Instant)>,
    /// Files that were being written, and when to look at them again.
    later: BTreeMap<PathBuf, Instant>,
    /// When everything was looked at last, nanoseconds since 1970.
    verified_ns: Option<i64>,
    /// No look begins before.
    rest_until: Instant,
    rescan_at: Instant,
    looking: bool,
    /// Whether nothing asked for that look but the time.
    routine: bool,
    /// Whether all of it is watched.
    watched: bool,
    gone: bool,
    left_out: BTreeSet<PathBuf>,
    waiting: Vec<oneshot::Sender<()>>,
    /// Those who wait for the look that goes on.
    served: Vec<oneshot::Sender<()>>,
}

/// What is at a path: where it really is, and which file or folder that is.
type Root = Option<(PathBuf, (u64, u64))>;

impl Keeper {
    pub(crate) fn new(
        store: Store,
        config: PublishConfig,
        announcer: Arc<dyn Announcer>,
        stop: CancellationToken,
    ) -> Self {
        let inbox = Arc::new(Inbox::new(store.home()));
        let watch = Arc::new(Watch::new(config.watch, config.watched_folders, &inbox));
        let (cancel, kept, looks) = (Arc::default(), BTreeMap::new(), JoinSet::new());
        let roots_due = Instant::now() + limits::ROOTS_EVERY;
        Self { store, config, announcer, stop, inbox, watch, cancel, kept, looks, roots_due }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(mut self, offers: Vec<Offer>, mut commands: mpsc::Receiver<Command>) {
        for offer in offers {
            self.add(offer);
        }
        let stop = self.stop.clone();
        loop {
            self.begin_looks();
            let wake = self.wake();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                () = self.inbox.wait() => self.hear().await,
                Some(done) = self.looks.join_next() => {
                    if let Ok((key, seen)) = done {
                        self.seen(key, seen);
                    }
                }
                () = tokio::time::sleep_until(wake) => self.roots().await,
                () = stop.cancelled() => break,
            }
        }
        self.cancel.store(true, Ordering::Relaxed);
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Add(offer) => self.add(offer),
            Command::Remove(key) => {
                self.kept.remove(&key);
                self.forget_watches().await;
            }
            Command::Look(key, done) => {
                if let Some(kept) = self.kept.get_mut(&key) {
                    kept.ask.full = true;
                    kept.waiting.push(done);
                    // Somebody waits: no rest.
                    kept.rest_until = Instant::now();
                }
            }
        }
    }

    fn add(&mut self, offer: Offer) {
        if !offer.watch {
            self.kept.remove(&offer.key);
            return;
        }
        let now = Instant::now();
        let earlier = self.kept.remove(&offer.key);
        let kept = Kept {
            ask: Ask { full: true, ..Ask::default() },
            roots: offer.paths.iter().map(|path| root_of(path)).collect(),
            paths: offer.paths,
            name: offer.name,
            heard: None,
            later: BTreeMap::new(),
            verified_ns: None,
            rest_until: now,
            rescan_at: now,
            looking: earlier.is_some_and(|earlier| earlier.looking),
            routine: false,
            watched: self.config.watch,
            gone: false,
            left_out: BTreeSet::new(),
            waiting: Vec::new(),
            served: Vec::new(),
        };
        self.kept.insert(offer.key, kept);
    }

    /// Takes what was heard and gives it to the offers that it is about.
    async fn hear(&mut self) {
        let Heard { touched, lost, full } = self.inbox.take();
        let now = Instant::now();
        let stale: Vec<PathBuf> = touched
            .iter()
            .filter(|(path, touch)| touch.stale && self.watch.has_below(path))
            .map(|(path, _)| path.clone())
            .collect();
        if !stale.is_empty() {
            // Before anything is watched at these paths again.
            let watch = Arc::clone(&self.watch);
            let ending = move || stale.iter().for_each(|path| watch.drop_below(path));
            // A thread that ends badly leaves watches that tell too much.
            let _ = tokio::task::spawn_blocking(ending).await;
        }
        if lost || full {
            for kept in self.kept.values_mut() {
                kept.ask.full = true;
            }
        }
        let mut by_root: BTreeMap<&Path, Vec<ShareKey>> = BTreeMap::new();
        for (key, kept) in &self.kept {
            for (root, _) in kept.roots.iter().flatten() {
                by_root.entry(root).or_default().push(*key);
            }
        }
        let mut meant = Vec::new();
        for (path, touch) in touched {
            for keys in path.ancestors().filter_map(|above| by_root.get(above)) {
                meant.extend(keys.iter().map(|key| (*key, path.clone(), touch)));
            }
        }
        for (key, path, touch) in meant {
            if let Some(kept) = self.kept.get_mut(&key) {
                kept.touch(path, touch, now);
            }
        }
    }

    /// Begins the looks that are due, as many as may go on at a time.
    fn begin_looks(&mut self) {
        let now = Instant::now();
        while self.looks.len() < limits::LOOKS {
            let due = self.kept.iter().filter(|(_, kept)| !kept.looking);
            let first = due.map(|(key, kept)| (kept.due(), *key)).min();
            let Some((_, key)) = first.filter(|(due, _)| *due <= now) else { return };
            let Some(kept) = self.kept.get_mut(&key) else { return };
            let ask = kept.take(now);
            let looker = Looker {
                store: self.store.clone(),
                watch: Arc::clone(&self.watch),
                cancel: Arc::clone(&self.cancel),
                watched: kept.watched || ask.full && self.config.watch,
            };
            let announcer = Arc::clone(&self.announcer);
            self.looks.spawn(async move {
                let look = move || looker.look(&key, &ask);
                let seen = match tokio::task::spawn_blocking(look).await {
                    Ok(seen) => seen,
                    Err(_) => Err(StoreError::Bug("a look at an offer ended badly")),
                };
                if let Ok(Some(seen)) = &seen {
                    tell(&*announcer, seen).await;
                }
                (key, seen)
            });
        }
    }

    /// When something is due next.
    fn wake(&self) -> Instant {
        let roots = self.roots_due;
        if self.looks.len() >= limits::LOOKS {
            return roots;
        }
        let idle = self.kept.values().filter(|kept| !kept.looking);
        idle.map(Kept::due).min().map_or(roots, |due| due.min(roots))
    }

    fn seen(&mut self, key: ShareKey, seen: Result<Option<Seen>, StoreError>) {
        let now = Instant::now();
        let Some(kept) = self.kept.get_mut(&key) else { return };
        kept.looking = false;
        for waiting in kept.served.drain(..) {
            // Whoever waited may have gone.
            let _ = waiting.send(());
        }
        let seen = match seen {
            Ok(Some(seen)) => seen,
            Ok(None) | Err(StoreError::Cancelled) => {
                self.kept.remove(&key);
                return;
            }
            Err(error) => {
                kept.failed(&key, &error, now, &*self.announcer);
                return;
            }
        };
        // A look at everything that only the time asked for has its own measure: what changed
        // meanwhile need not wait for that.
        if !std::mem::take(&mut kept.routine) {
            kept.rest_until = now + seen.took * (LOOK_SHARE - 1);
        }
        kept.verified_ns = seen.verified_ns.or(kept.verified_ns);
        for path in seen.later {
            kept.later.insert(path, now + limits::PUBLISH_LATER);
        }
        if kept.later.len() > limits::TOUCHED_PATHS {
            kept.later.clear();
            kept.ask.full = true;
        }
        for warning in seen.left_out {
            let few = kept.left_out.len() < LEFT_OUT_MAX;
            if few && kept.left_out.insert(warning.path.clone()) {
                self.announcer.warned(Warned::LeftOut { offer: key, warning });
            }
        }
        // One that comes back is noticed even if it gets the same number from the file system.
        for (path, root) in kept.paths.iter().zip(&mut kept.roots) {
            if seen.missing.contains(path) {
                *root = None;
            }
        }
        kept.presence(&key, seen.gone, &*self.announcer);
        kept.watched |= seen.full && seen.unwatched.is_none() && self.config.watch;
        if let Some(why) = seen.unwatched.filter(|_| self.config.watch && kept.watched) {
            kept.watched = false;
            let name = kept.name.clone();
            self.announcer.warned(Warned::Unwatched { offer: key, name, why });
        }
        if seen.full {
            let base = match kept.watched {
                true => self.config.rescan_every,
                false => self.config.rescan_every_unwatched,
            };
            kept.rescan_at = now + base.max(seen.took * RESCAN_SHARE);
        }
        for other in seen.others {
            if let Some(other) = self.kept.get_mut(&other) {
                (other.ask.full, other.ask.claim) = (true, true);
            }
        }
    }

    /// Looks whether the paths of all offers still are what they were.
    async fn roots(&mut self) {
        if Instant::now() < self.roots_due {
            return;
        }
        let paths: Vec<_> = self.kept.iter().map(|(key, k)| (*key, k.paths.clone())).collect();
        let look = move || {
            let roots = |paths: Vec<PathBuf>| paths.iter().map(|path| root_of(path)).collect();
            paths.into_iter().map(|(key, paths)| (key, roots(paths))).collect::<Vec<_>>()
        };
        let found: Vec<(_, Vec<Root>)> = match tokio::task::spawn_blocking(look).await {
            Ok(found) => found,
            Err(_) => return,
        };
        let mut moved = false;
        for (key, roots) in found {
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            if kept.roots != roots {
                kept.ask.full = true;
                // A watch follows the folder that it was set on, wherever that goes.
                let old = std::mem::replace(&mut kept.roots, roots);
                let watch = Arc::clone(&self.watch);
                let gone: Vec<_> = old.into_iter().flatten().map(|(path, _)| path).collect();
                let ending = move || gone.iter().for_each(|path| watch.drop_below(path));
                // As in `hear`.
                let _ = tokio::task::spawn_blocking(ending).await;
                moved = true;
            }
        }
        if moved {
            self.forget_watches().await;
        }
        self.roots_due = Instant::now() + limits::ROOTS_EVERY;
    }

    /// Ends the watches that no offer needs.
    async fn forget_watches(&self) {
        let (mut trees, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for (root, _) in self.kept.values().flat_map(|kept| &kept.roots).flatten() {
            trees.insert(root.clone());
            folders.extend(root.parent().map(Path::to_owned));
        }
        let watch = Arc::clone(&self.watch);
        // As in `hear`.
        let _ = tokio::task::spawn_blocking(move || watch.retain(&trees, &folders)).await;
    }
}

impl Kept {
    fn touch(&mut self, path: PathBuf, touch: Touch, now: Instant) {
        let first = self.heard.map_or(now, |(first, _)| first);
        self.heard = Some((first, now));
        self.later.remove(&path);
        let all = self.ask.touched.entry(path).or_default();
        *all = Touch { closed: touch.closed, stale: all.stale || touch.stale };
        if self.ask.touched.len() > limits::TOUCHED_PATHS {
            self.ask.full = true;
            self.ask.touched.clear();
        }
    }

    /// When it is to be looked at next.
    fn due(&self) -> Instant {
        if self.ask.full || !self.waiting.is_empty() {
            return self.rest_until;
        }
        let quiet = self
            .heard
            .map(|(first, last)| (last + limits::PUBLISH_QUIET).min(first + limits::PUBLISH_WAIT));
        let later = self.later.values().min().copied();
        let due = [quiet, later, Some(self.rescan_at)].into_iter().flatten().min();
        due.unwrap_or(self.rescan_at).max(self.rest_until)
    }

    /// Takes what is to be looked at now.
    fn take(&mut self, now: Instant) -> Ask {
        let mut ask = std::mem::take(&mut self.ask);
        self.routine = !ask.full && self.rescan_at <= now;
        ask.full |= self.routine;
        ask.verified_ns = self.verified_ns;
        for (path, _) in self.later.extract_if(.., |_, at| *at <= now) {
            ask.touched.entry(path).or_default();
        }
        self.heard = None;
        self.looking = true;
        self.served.append(&mut self.waiting);
        ask
    }

    fn presence(&mut self, key: &ShareKey, gone: bool, announcer: &dyn Announcer) {
        let (offer, name) = (*key, self.name.clone());
        if gone && !self.gone {
            announcer.warned(Warned::Gone { offer, name, paths: self.paths.clone() });
        } else if self.gone && !gone {
            announcer.warned(Warned::Back { offer, name });
        }
        self.gone = gone;
    }

    fn failed(
        &mut self,
        key: &ShareKey,
        error: &StoreError,
        now: Instant,
        announcer: &dyn Announcer,
    ) {
        tracing::warn!(%error, offer = %key, "an offer could not be looked at");
        let why = error.to_string();
        announcer.warned(Warned::Failed { offer: *key, name: self.name.clone(), why });
        self.ask.full = true;
        self.rest_until = now + AFTER_FAILURE;
    }
}

async fn tell(announcer: &dyn Announcer, seen: &Seen) {
    if let Some(changed) = &seen.changed {
        announcer.changed(changed.clone()).await;
    }
    if let Some(dropped) = seen.dropped {
        announcer.dropped(dropped).await;
    }
}

fn root_of(path: &Path) -> Root {
    use std::os::unix::fs::MetadataExt;
    let real = path.canonicalize().ok()?;
    let meta = real.metadata().ok()?;
    Some((real, (meta.dev(), meta.ino())))
}
