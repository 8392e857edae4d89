//! The story of one download: reach providers, get the manifest, make room, fetch, put into place.

mod account;
mod guard;
mod providers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PathKind, PeerId, PieceRange, RelPath, limits};
use potluck_content::{Manifest, Ticket, TicketKind};
use potluck_proto::Input;
use potluck_proto::What;
use potluck_proto::swarm::{Command, GoneWhy};
use potluck_store::{Audience, Download, DownloadPlan, Offer, OnExists, PlanKind, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use account::Account;
use guard::Guard;
pub use providers::Providers;

use crate::announce::Announcing;
use crate::directory::Directories;
use crate::error::ServiceError;
use crate::peers::{Change, Peers};
use crate::progress::Meter;
use crate::selection::Selection;
use crate::share::StopOnDrop;
use crate::swarm::{Holding, Outlook, Session, Start, Swarms};

/// Pause between two looks at the progress.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause between two records of what is here: what a kill costs is verified again, not fetched
/// again.
const RECORD_EVERY: Duration = Duration::from_secs(2);
/// Time that the last messages get to reach the peers.
const FAREWELL: Duration = Duration::from_secs(1);

/// What to fetch and where to.
pub struct Fetch {
    /// The ticket.
    pub ticket: Ticket,
    /// The folder that it goes into.
    pub folder: PathBuf,
    /// The name that the person chose; else the ticket's.
    pub name: Option<RelPath>,
    /// Patterns of what to fetch of a folder; everything if there is none.
    pub selection: Vec<String>,
    /// What to do when the target exists.
    pub on_exists: OnExists,
    /// Stop after this long without progress; never if it is none.
    pub give_up_after: Option<Duration>,
    /// Who else may have what is here of it meanwhile: anyone with the ticket, or the members of
    /// the networks that it was found in.
    pub audience: Audience,
    /// The networks that it was found in: their directories know more providers.
    pub networks: Vec<NetworkId>,
    /// Under what it is announced there, from its beginning; none if it is not to be shared.
    pub offer: Option<Offer>,
}

/// What a download tells while it runs.
#[derive(Clone, Debug)]
pub enum Step {
    /// Providers are being reached.
    Connecting,
    /// The list of files is being fetched.
    Manifest,
    /// What is here already is being verified.
    Checking,
    /// Pieces are being fetched.
    Fetching,
    /// Files are being put into place.
    Finishing,
    /// Nothing moves.
    Waiting {
        /// Why, as half a sentence.
        reason: String,
        /// Until the next try.
        retry_in: Option<Duration>,
    },
    /// How far it is.
    Progress {
        /// Bytes here and verified.
        done: u64,
        /// Bytes wanted.
        total: u64,
        /// Bytes a second, lately.
        rate: f64,
        /// Peers linked for it.
        peers: usize,
        /// Files complete.
        files_done: u64,
        /// Files wanted.
        files_total: u64,
    },
    /// A file cannot be had.
    FileFailed {
        /// Which.
        path: RelPath,
        /// Why.
        why: String,
    },
    /// A peer joined in.
    PeerJoined(PeerId, PathKind),
    /// A peer left.
    PeerLeft(PeerId),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The file or folder that is there now.
    pub path: PathBuf,
    /// Bytes wanted.
    pub bytes: u64,
    /// Files wanted.
    pub files: u64,
    /// Files that could not be had, and why.
    pub missing: Vec<(RelPath, String)>,
    /// Good bytes by peer.
    pub from: BTreeMap<PeerId, u64>,
    /// Bytes that were here before.
    pub resumed: u64,
    /// Bytes that came although they were here.
    pub duplicate: u64,
}

/// What fetching needs of the node.
#[derive(Clone)]
pub struct Fetcher {
    /// The disk.
    pub store: Store,
    /// The links.
    pub peers: Arc<Peers>,
    /// The sessions.
    pub swarms: Arc<Swarms>,
    /// Who else may have what is fetched.
    pub directories: Arc<Directories>,
    /// Who is told what is here.
    pub announcing: Arc<Announcing>,
}

/// Where a download's steps are told.
pub type Steps = mpsc::Sender<Step>;

impl Fetcher {
    /// Runs a download to its end. Dropping the future stops it; what is here stays for the next
    /// time.
    pub async fn fetch(&self, fetch: Fetch, steps: &Steps) -> Result<Fetched, ServiceError> {
        let content = fetch.ticket.content;
        let mut providers =
            Providers::keep(&self.peers, &fetch.ticket, &fetch.networks, fetch.give_up_after).await;
        let manifest = match fetch.ticket.kind {
            TicketKind::File { .. } => None,
            TicketKind::Folder => Some(self.manifest(&mut providers, content, steps).await?),
        };
        tell(steps, Step::Checking).await;
        let name = fetch.ticket.name.clone();
        let audience = self.swarms.audience_of_fetch(&content, fetch.audience.clone())?;
        let (networks, offer) = (fetch.networks.clone(), fetch.offer.clone());
        let (download, selected) = self.begin(fetch, manifest).await?;
        let map = Arc::clone(download.map());
        let (have, wanted) = (download.have(), download.wanted());
        let mut missing_now = wanted.clone();
        missing_now.remove_all(&have);
        let mut account = Account::new(name, &map, wanted.clone(), selected);
        account.resumed = account.total - map.bytes_of_set(&missing_now);
        let start = Start { have, wanted, values: download.known_values() };
        if missing_now.is_empty() {
            let fetched = self.finish(&download, None, account, steps).await?;
            self.announce(offer, &fetched).await;
            return Ok(fetched);
        }
        if let Some(old) = self.swarms.session(content)
            && !matches!(&*old.holding(), Holding::Download(_))
        {
            self.swarms.close(content).await;
        }
        let holding = Holding::Download(Arc::clone(&download));
        let session = self.swarms.open(content, map, holding, start, audience)?;
        let guard = Guard {
            swarms: Arc::clone(&self.swarms),
            download: Arc::clone(&download),
            content,
            armed: true,
        };
        for provider in &providers.kept {
            session.add_provider(provider.peer);
            self.peers.introduce(&session, provider.peer);
        }
        if let Some(offer) = &offer {
            let size = session.map.total_bytes();
            self.announcing.announce_partial(offer, size, download.manifest().map(|m| &**m)).await;
        }
        providers.ask_for_more(&self.directories, content, &networks);
        self.watch(&session, &download, &mut providers, &mut account, steps).await?;
        let fetched = self.finish(&download, Some(&session), account, steps).await;
        guard.disarm();
        if let Ok(fetched) = &fetched {
            self.announce(offer, fetched).await;
        }
        fetched
    }

    /// Tells the directories that the whole content is here, if it is.
    async fn announce(&self, offer: Option<Offer>, fetched: &Fetched) {
        if let Some(offer) = offer.filter(|_| fetched.missing.is_empty())
            && let Err(error) = self.announcing.announce(offer).await
        {
            tracing::warn!(%error, "a download was not announced");
        }
    }

    /// Gets the manifest: from the disk, or from the first provider that has the right one.
    pub async fn manifest(
        &self,
        providers: &mut Providers,
        content: ContentId,
        steps: &Steps,
    ) -> Result<Arc<Manifest>, ServiceError> {
        let store = self.store.clone();
        let known = tokio::task::spawn_blocking(move || store.open_source(&content)).await??;
        if let Some(manifest) = known.and_then(|source| source.manifest()) {
            return Ok(manifest);
        }
        tell(steps, Step::Connecting).await;
        let mut changes = self.peers.changes();
        let mut look = interval(LOOK_EVERY);
        let mut verdicts = BTreeMap::new();
        loop {
            for peer in providers.linked(&self.peers) {
                if verdicts.contains_key(&peer) {
                    continue;
                }
                tell(steps, Step::Manifest).await;
                match self.ask_manifest(peer, content).await {
                    Ok(manifest) => return Ok(Arc::new(manifest)),
                    Err(error @ (ServiceError::Silent(_) | ServiceError::LinkLost(_))) => {
                        tracing::info!(%error, "the manifest did not come; asking again");
                    }
                    Err(error) => {
                        verdicts.insert(peer, error);
                    }
                }
            }
            if verdicts.len() == providers.kept.len() {
                let (_, error) = verdicts.pop_first().ok_or(ServiceError::NoProviders)?;
                return Err(error);
            }
            providers.check(steps, None).await?;
            tokio::select! {
                _ = changes.recv() => {}
                _ = look.tick() => {}
            }
        }
    }

    async fn ask_manifest(&self, peer: PeerId, id: ContentId) -> Result<Manifest, ServiceError> {
        let linked = self.peers.linked(peer).ok_or(ServiceError::LinkLost(peer))?;
        let bytes = linked.ask(id, What::Manifest, limits::MANIFEST_BYTES).await?;
        if potluck_content::hash(&bytes) != id {
            return Err(ServiceError::Lied { peer, content: id });
        }
        Ok(Manifest::decode(&bytes)?)
    }

    async fn begin(
        &self,
        fetch: Fetch,
        manifest: Option<Arc<Manifest>>,
    ) -> Result<(Arc<Download>, Option<BTreeSet<u32>>), ServiceError> {
        let selected = match &manifest {
            Some(manifest) if !fetch.selection.is_empty() => {
                let chosen = Selection::parse(&fetch.selection)?.choose(manifest);
                if chosen.is_empty() {
                    return Err(ServiceError::NothingSelected(manifest.entries().len()));
                }
                Some(chosen)
            }
            _ => None,
        };
        let kind = match (fetch.ticket.kind, manifest) {
            (TicketKind::File { size, executable }, _) => PlanKind::File { size, executable },
            (TicketKind::Folder, Some(manifest)) => PlanKind::Folder(manifest),
            (TicketKind::Folder, None) => unreachable!("a folder's manifest comes first"),
        };
        let plan = DownloadPlan {
            content: fetch.ticket.content,
            kind,
            name: fetch.ticket.name,
            chosen_name: fetch.name,
            folder: fetch.folder,
            on_exists: fetch.on_exists,
            selected: selected.clone(),
        };
        let store = self.store.clone();
        let cancel = Arc::new(AtomicBool::new(false));
        let _stop = StopOnDrop::new(&cancel);
        let begin = move || {
            let download = store.begin_download(plan)?;
            download.adopt_local(&cancel)?;
            Ok::<_, ServiceError>(download)
        };
        let download = tokio::task::spawn_blocking(begin).await??;
        Ok((Arc::new(download), selected))
    }

    /// Watches a session until everything that can be had is here.
    async fn watch(
        &self,
        session: &Arc<Session>,
        download: &Arc<Download>,
        providers: &mut Providers,
        account: &mut Account,
        steps: &Steps,
    ) -> Result<(), ServiceError> {
        let mut outlook = session.outlook.subscribe();
        // Little things are complete before anybody looks.
        outlook.mark_changed();
        let mut changes = self.peers.changes();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recorded = Instant::now();
        let mut meter = Meter::new(account.resumed);
        let alone = outlook.borrow().peers.is_empty();
        tell(steps, if alone { Step::Connecting } else { Step::Fetching }).await;
        loop {
            tokio::select! {
                _ = outlook.changed() => {
                    if self.take_outlook(session, &mut outlook, providers, account, steps).await? {
                        return Ok(());
                    }
                }
                Ok(change) = changes.recv() => self.tell_change(session, change, steps).await,
                Some(peer) = providers.another(&self.peers) => {
                    session.add_provider(peer);
                    self.peers.introduce(session, peer);
                }
                _ = look.tick() => {
                    let here = download.have();
                    let done = account.done(&session.map, &here);
                    meter.note(done);
                    let now = outlook.borrow().clone();
                    tell(steps, Step::Progress {
                        done,
                        total: account.total,
                        rate: meter.rate(),
                        peers: now.peers.len(),
                        files_done: account.files_done(&session.map, &here),
                        files_total: account.files.len() as u64,
                    }).await;
                    providers.check(steps, Some((&now, &meter))).await?;
                    if !now.lost.is_empty() {
                        outlook.mark_changed();
                    }
                    if recorded.elapsed() > RECORD_EVERY {
                        recorded = Instant::now();
                        let download = Arc::clone(download);
                        tokio::task::spawn_blocking(move || download.checkpoint()).await??;
                    }
                }
            }
        }
    }

    /// Looks at what the session says; true when all is here that can be had.
    async fn take_outlook(
        &self,
        session: &Arc<Session>,
        outlook: &mut watch::Receiver<Outlook>,
        providers: &Providers,
        account: &mut Account,
        steps: &Steps,
    ) -> Result<bool, ServiceError> {
        let now = outlook.borrow_and_update().clone();
        if now.failed
            && let Some(error) = session.failure()
        {
            return Err(error.into());
        }
        if !now.lost.is_empty() && providers.are_settled() {
            session.outlook.send_modify(|outlook| outlook.lost.clear());
            for (range, why) in &now.lost {
                if session.holding().manifest().is_none() {
                    let name = account.name.clone();
                    return Err(ServiceError::Gone { name, why: in_words(*why) });
                }
                for (path, file) in files_of(session, *range) {
                    if let Entry::Vacant(place) = account.missing.entry(file) {
                        place.insert((path.clone(), in_words(*why)));
                        tell(steps, Step::FileFailed { path, why: in_words(*why) }).await;
                    }
                }
            }
            // A file that cannot be completed is given up whole.
            let whole = account.missing.keys().map(|file| session.map.file(*file).pieces);
            session.input(Input::Command(Command::Skip(whole.collect()))).await;
        }
        Ok(now.complete)
    }

    async fn tell_change(&self, session: &Session, change: Change, steps: &Steps) {
        match change {
            Change::Up(peer) if session.is_interested(peer) => {
                if let Some(linked) = self.peers.linked(peer) {
                    tell(steps, Step::PeerJoined(peer, linked.path().kind)).await;
                    tell(steps, Step::Fetching).await;
                }
            }
            Change::Down(peer) => tell(steps, Step::PeerLeft(peer)).await,
            Change::Up(_) => {}
        }
    }

    /// Puts what is here into place and lets it be served from there.
    async fn finish(
        &self,
        download: &Arc<Download>,
        session: Option<&Arc<Session>>,
        account: Account,
        steps: &Steps,
    ) -> Result<Fetched, ServiceError> {
        tell(steps, Step::Finishing).await;
        let given_up: Vec<u32> = account.missing.keys().copied().collect();
        let (of_thread, store) = (Arc::clone(download), self.store.clone());
        let finished = tokio::task::spawn_blocking(move || {
            let finished = of_thread.finish(&given_up)?;
            let source = store.open_source(&of_thread.content()).ok().flatten();
            Ok::<_, ServiceError>((finished, source))
        });
        let (finished, source) = finished.await??;
        let mut fetched = Fetched {
            path: finished.path,
            bytes: account.bytes,
            files: account.files.len() as u64,
            missing: account.missing.into_values().collect(),
            from: BTreeMap::new(),
            resumed: account.total,
            duplicate: 0,
        };
        if let Some(session) = session {
            fetched.from = session.arrived.lock().expect("no panic while held").clone();
            // What nobody gave was here: some of it turned out to be good only once its values were
            // known.
            let given: u64 = fetched.from.values().sum();
            fetched.resumed = account.total.saturating_sub(given);
            fetched.duplicate = session.duplicate.load(Ordering::Relaxed);
            if let Some(source) = source {
                session.hold(Holding::Source(source));
            }
            self.say_farewell(session).await;
        }
        Ok(fetched)
    }

    /// Waits until the peers have read our last words: that we have everything.
    async fn say_farewell(&self, session: &Session) {
        let peers = session.outlook.borrow().peers.clone();
        let all = peers.into_iter().filter_map(|peer| self.peers.linked(peer));
        let echoes = all.map(|linked| async move { linked.echo().await });
        let _ = tokio::time::timeout(FAREWELL, futures_util::future::join_all(echoes)).await;
    }
}

/// The files that a range of pieces belongs to.
fn files_of(session: &Session, range: PieceRange) -> Vec<(RelPath, u32)> {
    let manifest = session.holding().manifest();
    let mut files = Vec::new();
    let mut piece = range.start;
    while piece < range.end {
        let index = session.map.locate(piece).file;
        let file = session.map.file(index);
        if let Some(manifest) = &manifest {
            files.push((manifest.entries()[file.entry].path.clone(), index));
        }
        piece = file.pieces.end;
    }
    files
}

fn in_words(why: GoneWhy) -> String {
    match why {
        GoneWhy::Changed => "the file was changed at its source after it was shared",
        GoneWhy::Missing => "the file was moved or deleted at its source",
        GoneWhy::Unreadable => "the file cannot be read at its source",
    }
    .to_owned()
}

async fn tell(steps: &Steps, step: Step) {
    // Nobody listening is no fault.
    let _ = steps.send(step).await;
}
