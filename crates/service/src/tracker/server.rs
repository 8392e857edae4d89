//! A tracker at work: plays the registry with links, a writer thread and readers of the index.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use potluck_base::{NetworkId, PeerId, ShareKey, limits};
use potluck_identity::SecretKey;
use potluck_proto::directory::record::{Entry, Presence, ShareHead};
use potluck_proto::directory::tracker::registry::{
    Command, Config, Effect, Event, Outcome, Setup, Survey,
};
use potluck_proto::directory::tracker::{
    Answer, Change, Found, Message, Query, Question, Registry, Stats,
};
use potluck_proto::{Frame, Input};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::store::TrackerStore;
use crate::chance::now_ms;
use crate::error::ServiceError;
use crate::notice::{Notice, Notices};
use crate::peers::{FrameListener, Linked, Peers};
use crate::runner::{INPUTS_QUEUED, Player, Runner};

/// Changes that are committed together.
const BATCH: usize = 1024;
/// Questions that the index answers at a time.
const READERS: usize = 4;
/// Searches whose times are remembered.
const TIMES_KEPT: usize = 1000;
/// Time for the last frames to leave when the tracker stops.
const FAREWELL: Duration = Duration::from_millis(300);
/// Pause between two rounds of keeping the index in shape.
const UPKEEP_EVERY: Duration = Duration::from_secs(300);

type Inputs = mpsc::Sender<Input<Registry<PeerId>>>;

/// What a tracker starts with.
pub struct ServerSetup {
    /// Its key.
    pub secret: SecretKey,
    /// What can be chosen.
    pub config: Config,
    /// What it keeps.
    pub store: Arc<dyn TrackerStore>,
    /// Its links.
    pub peers: Arc<Peers>,
    /// Who hears of what happens.
    pub notices: Notices,
}

/// How long the latest searches took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchTimes {
    /// Half of them took no longer.
    pub p50: Duration,
    /// All but one in a hundred took no longer.
    pub p99: Duration,
}

/// A tracker that runs.
pub struct TrackerServer {
    inputs: Inputs,
    store: Arc<dyn TrackerStore>,
    peers: Arc<Peers>,
    online: Arc<Online>,
    surveys: Arc<Surveys>,
    times: Arc<Times>,
    published: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// How long each of the latest searches took.
#[derive(Default)]
struct Times(Mutex<VecDeque<Duration>>);

impl Times {
    fn note(&self, question: &Question, time: Duration) {
        if matches!(question, Question::Search { .. }) {
            let mut times = self.0.lock().expect("no panic while held");
            times.push_back(time);
            if times.len() > TIMES_KEPT {
                times.pop_front();
            }
        }
    }

    fn sum_up(&self) -> Option<SearchTimes> {
        let mut sorted: Vec<Duration> =
            self.0.lock().expect("no panic while held").iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        Some(SearchTimes { p50: sorted[last / 2], p99: sorted[last * 99 / 100] })
    }
}

/// Who is there now, for the index to rank by.
#[derive(Default)]
pub struct Online(RwLock<BTreeSet<(NetworkId, PeerId)>>);

/// Those who wait to hear how things stand.
#[derive(Default)]
struct Surveys {
    stats: Mutex<Vec<oneshot::Sender<Stats>>>,
    all: Mutex<Vec<oneshot::Sender<Survey>>>,
}

impl Online {
    /// Whether a peer is there.
    pub fn has(&self, network: &NetworkId, peer: &PeerId) -> bool {
        self.0.read().expect("no panic while held").contains(&(*network, *peer))
    }

    fn put(&self, network: NetworkId, peer: PeerId) {
        self.0.write().expect("no panic while held").insert((network, peer));
    }

    fn take(&self, network: NetworkId, peer: PeerId) {
        self.0.write().expect("no panic while held").remove(&(network, peer));
    }
}

impl TrackerServer {
    /// Loads what is kept and starts to answer.
    pub async fn start(setup: ServerSetup) -> Result<Arc<Self>, ServiceError> {
        let store = Arc::clone(&setup.store);
        let loaded = tokio::task::spawn_blocking(move || store.load()).await??;
        let mut registry = Registry::new(Setup {
            key: setup.secret,
            epoch_ms: now_ms(),
            config: setup.config,
            identify: Box::new(|peer| peer),
        });
        registry.load(loaded);
        let (inputs, queue) = mpsc::channel(INPUTS_QUEUED);
        let (online, surveys) = (Arc::new(Online::default()), Arc::new(Surveys::default()));
        let (times, published) = (Arc::new(Times::default()), Arc::new(AtomicU64::new(0)));
        let player = RegistryPlayer {
            peers: Arc::clone(&setup.peers),
            store: Arc::clone(&setup.store),
            writer: start_writer(Arc::clone(&setup.store), inputs.clone(), Arc::clone(&published)),
            inputs: inputs.clone(),
            readers: Arc::new(Semaphore::new(READERS)),
            online: Arc::clone(&online),
            surveys: Arc::clone(&surveys),
            times: Arc::clone(&times),
            notices: setup.notices,
        };
        let stop = CancellationToken::new();
        let (runner, stopped) = (Runner::new(registry, player, queue), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = runner.run() => {}
                () = stopped.cancelled() => {}
            }
        });
        let server = Arc::new(Self {
            inputs,
            store: setup.store,
            peers: setup.peers,
            online,
            surveys,
            times,
            published,
            stop,
        });
        server.peers.listen_frames(Arc::clone(&server) as Arc<_>);
        tokio::spawn(upkeep(Arc::clone(&server.store), server.stop.clone()));
        Ok(server)
    }

    /// What the tracker keeps.
    pub fn store(&self) -> &Arc<dyn TrackerStore> {
        &self.store
    }

    /// Tells everybody that it stops, and stops.
    pub async fn stop(&self) {
        self.command(Command::Close).await;
        tokio::time::sleep(FAREWELL).await;
        self.stop.cancel();
    }

    /// Ends the links to a peer; it may come back.
    pub async fn kick(&self, peer: PeerId) {
        self.command(Command::Kick { peer }).await;
    }

    /// Does not let a peer in any more, and drops what it lists.
    pub async fn ban(&self, peer: PeerId) {
        self.command(Command::Ban { peer }).await;
    }

    /// Lets a peer in again.
    pub async fn unban(&self, peer: PeerId) {
        self.command(Command::Unban { peer }).await;
    }

    /// How things stand.
    pub async fn stats(&self) -> Result<Stats, ServiceError> {
        let (put, answer) = oneshot::channel();
        self.surveys.stats.lock().expect("no panic while held").push(put);
        self.command(Command::Stats).await;
        self.answered(answer).await
    }

    /// Files that were written into the index since the start, those of replaced pages again.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// How long the latest searches took; none if there was none.
    pub fn search_times(&self) -> Option<SearchTimes> {
        self.times.sum_up()
    }

    /// All networks and their members.
    pub async fn survey(&self) -> Result<Survey, ServiceError> {
        let (put, answer) = oneshot::channel();
        self.surveys.all.lock().expect("no panic while held").push(put);
        self.command(Command::Survey).await;
        self.answered(answer).await
    }

    /// What a search in a network finds.
    pub async fn search(&self, network: NetworkId, query: Query) -> Result<Found, ServiceError> {
        match self.ask(Question::Search { network, query }).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(ServiceError::Index),
        }
    }

    /// What a peer shares in a network.
    pub async fn shares(
        &self,
        network: NetworkId,
        peer: PeerId,
    ) -> Result<Vec<ShareHead>, ServiceError> {
        let mut all: Vec<ShareHead> = Vec::new();
        loop {
            let after = all.last().map(|head| head.share);
            match self.ask(Question::Shares { network, peer, after }).await? {
                Answer::Shares { shares, more } => {
                    let empty = shares.is_empty();
                    all.extend(shares.into_iter().map(|signed| signed.value));
                    if !more || empty {
                        return Ok(all);
                    }
                }
                _ => return Err(ServiceError::Index),
            }
        }
    }

    /// Some files of a share, behind a path, and whether there are more.
    pub async fn entries(
        &self,
        network: NetworkId,
        peer: PeerId,
        share: ShareKey,
        after: Option<String>,
    ) -> Result<(Vec<Entry>, bool), ServiceError> {
        match self.ask(Question::Entries { network, peer, share, after }).await? {
            Answer::Entries { entries, more } => {
                Ok((entries.into_iter().map(|(entry, _)| entry).collect(), more))
            }
            _ => Err(ServiceError::Index),
        }
    }

    /// The round trip to a peer, measured now; over its link, or a new one to where it said it is.
    pub async fn ping(
        &self,
        peer: PeerId,
        at: Option<&Presence>,
    ) -> Result<Duration, ServiceError> {
        if let Some(presence) = at {
            self.peers.learn(potluck_base::PeerAddr {
                id: peer,
                direct: presence.addresses.clone(),
                relay: presence.relay.clone(),
            });
        }
        self.peers.dial(peer).await?;
        let linked = self.peers.linked(peer).ok_or(ServiceError::LinkLost(peer))?;
        let began = Instant::now();
        let echo = timeout(limits::HELLO_TIME, linked.echo()).await;
        echo.map_err(|_| ServiceError::Silent(peer))??;
        Ok(began.elapsed())
    }

    async fn ask(&self, question: Question) -> Result<Answer, ServiceError> {
        let (store, online) = (Arc::clone(&self.store), Arc::clone(&self.online));
        let times = Arc::clone(&self.times);
        let asking = move || {
            let began = Instant::now();
            let answer = store.ask(&question, &|network, peer| online.has(network, peer));
            times.note(&question, began.elapsed());
            answer
        };
        Ok(tokio::task::spawn_blocking(asking).await??)
    }

    async fn answered<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, ServiceError> {
        let answer = timeout(limits::TRACKER_REQUEST_TIME, answer).await;
        answer.ok().and_then(Result::ok).ok_or(ServiceError::Index)
    }

    async fn command(&self, command: Command) {
        // A registry that has ended needs no more.
        let _ = self.inputs.send(Input::Command(command)).await;
    }
}

impl FrameListener for TrackerServer {
    fn link_up(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        Box::pin(async move { _ = self.inputs.send(Input::LinkUp(peer)).await })
    }

    fn link_down(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        Box::pin(async move { _ = self.inputs.send(Input::LinkDown(peer)).await })
    }

    fn tracker<'a>(&'a self, linked: &'a Arc<Linked>, message: Message) -> BoxFuture<'a, ()> {
        let from = linked.peer;
        Box::pin(async move { _ = self.inputs.send(Input::Received { from, message }).await })
    }
}

/// Does what the registry says.
struct RegistryPlayer {
    peers: Arc<Peers>,
    store: Arc<dyn TrackerStore>,
    /// Without a bound of its own: the registry bounds what it has asked for.
    writer: std::sync::mpsc::Sender<(u64, Change)>,
    inputs: Inputs,
    readers: Arc<Semaphore>,
    online: Arc<Online>,
    surveys: Arc<Surveys>,
    times: Arc<Times>,
    notices: Notices,
}

impl Player<Registry<PeerId>> for RegistryPlayer {
    async fn send(&mut self, to: PeerId, message: Message) {
        let Some(linked) = self.peers.linked(to) else { return };
        let frame = Bytes::from(Frame::Tracker(Box::new(message)).encode());
        // One peer that does not read must not hold up the others.
        if linked.link().try_send(frame).is_err() {
            linked.close("the peer does not read");
        }
    }

    fn hang_up(&mut self, peer: PeerId) {
        if let Some(linked) = self.peers.linked(peer) {
            linked.close("the tracker ended the session");
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write { job, change } => {
                // The writer lives as long as this does.
                let _ = self.writer.send((job, change));
            }
            Effect::Ask { job, question } => {
                let (store, online) = (Arc::clone(&self.store), Arc::clone(&self.online));
                let (inputs, readers) = (self.inputs.clone(), Arc::clone(&self.readers));
                let times = Arc::clone(&self.times);
                tokio::spawn(async move {
                    let _permit = readers.acquire_owned().await;
                    let asking = move || {
                        let began = Instant::now();
                        let answer =
                            store.ask(&question, &|network, peer| online.has(network, peer));
                        times.note(&question, began.elapsed());
                        answer
                    };
                    let answer = match tokio::task::spawn_blocking(asking).await {
                        Ok(Ok(answer)) => answer,
                        Ok(Err(error)) => {
                            tracing::error!(%error, "the index does not answer");
                            Answer::Unavailable
                        }
                        Err(_) => Answer::Unavailable,
                    };
                    let outcome = Outcome::Answered { job, answer };
                    let _ = inputs.send(Input::Done(outcome)).await;
                });
            }
        }
    }

    fn emit(&mut self, event: Event) {
        match event {
            Event::Online { network, peer, .. } => self.online.put(network, peer),
            Event::Offline { network, peer, .. } => self.online.take(network, peer),
            Event::Stats(stats) => {
                let waiting =
                    std::mem::take(&mut *self.surveys.stats.lock().expect("not poisoned"));
                waiting.into_iter().for_each(|asker| _ = asker.send((*stats).clone()));
                return;
            }
            Event::Surveyed(survey) => {
                let waiting = std::mem::take(&mut *self.surveys.all.lock().expect("not poisoned"));
                waiting.into_iter().for_each(|asker| _ = asker.send((*survey).clone()));
                return;
            }
            Event::Refused { peer, why } => {
                tracing::debug!(peer = %peer.short(), ?why, "refused");
            }
            Event::Hosted { .. } | Event::Revoked { .. } => {}
        }
        self.notices.send(Notice::Tracker(event));
    }
}

/// Commits changes in their order, as many at a time as wait.
fn start_writer(
    store: Arc<dyn TrackerStore>,
    inputs: Inputs,
    published: Arc<AtomicU64>,
) -> std::sync::mpsc::Sender<(u64, Change)> {
    let (put, changes) = std::sync::mpsc::channel::<(u64, Change)>();
    std::thread::spawn(move || {
        while let Ok(first) = changes.recv() {
            let (mut jobs, mut batch) = (vec![first.0], vec![first.1]);
            while let Some((job, change)) =
                (batch.len() < BATCH).then(|| changes.try_recv().ok()).flatten()
            {
                jobs.push(job);
                batch.push(change);
            }
            let files: u64 = batch.iter().map(files_in).sum();
            let results = store.write(batch);
            published.fetch_add(files, Ordering::Relaxed);
            for (job, result) in jobs.into_iter().zip(results) {
                let done = Input::Done(Outcome::Written { job, result });
                if inputs.blocking_send(done).is_err() {
                    return;
                }
            }
        }
    });
    put
}

/// Files that a change puts into the index.
fn files_in(change: &Change) -> u64 {
    match change {
        Change::PutPage { page, .. } => page.entries.len() as u64,
        _ => 0,
    }
}

/// Keeps the index in shape.
async fn upkeep(store: Arc<dyn TrackerStore>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let store = Arc::clone(&store);
        let done = tokio::task::spawn_blocking(move || store.upkeep()).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "the index could not be kept in shape");
        }
    }
}
