//! All contents that this node moves: one machine each, and the lanes and messages that belong to
//! them.

mod audiences;
mod inbound;
mod player;
pub mod push;
pub mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerId, PieceSet, limits};
use potluck_content::PieceMap;
use potluck_proto::Input;
use potluck_proto::swarm::{Command, Message, Setup, Swarm};
use potluck_proto::{Frame, Refusal, What};
use potluck_store::{Audience, Store};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::access;
use crate::chance::random_seed;
use crate::error::ServiceError;
use crate::notice::Notices;
use crate::peers::{Linked, Peers};
use crate::runner::{INPUTS_QUEUED, Runner};
use player::{SwarmPlayer, values_bytes};

pub use session::{Holding, Outlook, Session};

/// Contents that this node moves at a time; more are refused as busy.
const SESSIONS: usize = 4096;

/// Parts of an answer that are sent before the peer must have read them: two MiB.
const META_PARTS_AHEAD: u32 = 8;
/// Time that tasks get to come to an end.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Knows of copies that this node is to have of files that are stored in networks.
pub trait Copies: Send + Sync {
    /// What a member is told about our copy. May block.
    fn said(
        &self,
        linked: &Linked,
        content: ContentId,
        network: &NetworkId,
    ) -> Result<Vec<u8>, Refusal>;
}

/// The sessions of this node.
pub struct Swarms {
    store: Store,
    peers: Arc<Peers>,
    sessions: Mutex<BTreeMap<ContentId, Arc<Session>>>,
    notices: Notices,
    copies: OnceLock<Weak<dyn Copies>>,
    tasks: TaskTracker,
}

impl Swarms {
    /// No sessions yet.
    pub fn new(store: Store, peers: Arc<Peers>, notices: Notices) -> Arc<Self> {
        let (sessions, tasks) = (Mutex::new(BTreeMap::new()), TaskTracker::new());
        Arc::new(Self { store, peers, sessions, notices, copies: OnceLock::new(), tasks })
    }

    /// Lets somebody answer questions about copies from now on; only the first is heard.
    pub fn answer_for_copies(&self, copies: Weak<dyn Copies>) {
        let _ = self.copies.set(copies);
    }

    /// The session of a content, if it is being moved.
    pub fn session(&self, content: ContentId) -> Option<Arc<Session>> {
        self.sessions.lock().expect("no panic while held").get(&content).cloned()
    }

    /// Starts a machine for a content: pieces that are wanted are fetched, what `holding` has is
    /// served to peers in the audience.
    pub fn open(
        &self,
        content: ContentId,
        map: Arc<PieceMap>,
        holding: Holding,
        start: Start,
        audience: Audience,
    ) -> Result<Arc<Session>, ServiceError> {
        let mut sessions = self.sessions.lock().expect("no panic while held");
        if sessions.len() >= SESSIONS || sessions.contains_key(&content) {
            return Err(ServiceError::Busy(content));
        }
        let (inputs, queue) = mpsc::channel(INPUTS_QUEUED);
        let (map_of_session, notices) = (Arc::clone(&map), self.notices.clone());
        let session = Session::new(content, map_of_session, holding, audience, inputs, notices);
        let session = Arc::new(session);
        let machine = Swarm::new(Setup {
            map,
            have: start.have,
            wanted: start.wanted,
            values: start.values,
            seed: random_seed(),
        });
        let player = SwarmPlayer::new(Arc::clone(&session), &self.peers);
        let runner = Runner::new(machine, player, queue);
        let stop = session.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = runner.run() => {}
                () = stop.cancelled() => {}
            }
        });
        sessions.insert(content, Arc::clone(&session));
        Ok(session)
    }

    /// Says goodbye to the peers of a content and ends its machine.
    pub async fn close(&self, content: ContentId) {
        let session = self.sessions.lock().expect("no panic while held").remove(&content);
        if let Some(session) = session {
            session.input(Input::Command(Command::Leave)).await;
            session.flush().await;
            session.stop.cancel();
        }
    }

    /// The session that serves a content to a peer: the one that moves it, or a new one for a share
    /// of ours. For a peer that it is not for, there is none.
    fn serving(&self, linked: &Linked, content: ContentId) -> Result<Arc<Session>, Refusal> {
        let memberships = self.peers.memberships();
        if let Some(session) = self.session(content) {
            let may = access::may_join(&session, linked, memberships);
            return if may { Ok(session) } else { Err(Refusal::NotShared) };
        }
        let damaged = |error| {
            tracing::warn!(content = %content.short(), %error, "a share cannot be opened");
            Refusal::Changed
        };
        let audience = match self.store.audience(&content) {
            Ok(Some(audience)) if access::is_for(&audience, linked, memberships) => audience,
            Ok(_) => return Err(Refusal::NotShared),
            Err(error) => {
                // Nobody may learn from a fault that there is something.
                damaged(error);
                return Err(Refusal::NotShared);
            }
        };
        let source = self.store.open_source(&content).map_err(damaged)?;
        let source = source.ok_or(Refusal::NotShared)?;
        let map = Arc::clone(source.map());
        let start = Start::seed(&map, source.have());
        match self.open(content, map, Holding::Source(source), start, audience) {
            Ok(session) => Ok(session),
            // Two peers asked at once: the other's session serves both.
            Err(_) => self.session(content).ok_or(Refusal::Busy),
        }
    }

    /// Takes a message about a content.
    pub(crate) async fn message(
        &self,
        from: &Arc<Linked>,
        content: ContentId,
        message: Message<PeerId>,
    ) {
        let serving = self.serving(from, content).and_then(|session| match from.admits(content) {
            true => Ok(session),
            false => Err(Refusal::Busy),
        });
        match serving {
            Ok(session) => {
                session.outlook.send_if_modified(|outlook| outlook.peers.insert(from.peer));
                session.input(Input::Received { from: from.peer, message }).await;
                // Its audience may have changed while the machine's queue was full.
                self.review(&session, from).await;
            }
            Err(why) => {
                // A peer that is told off and goes away has its answer too.
                let _ = from.send(&Frame::Refuse { content, why }).await;
            }
        }
    }

    /// A peer does not share what it was asked for. If it takes part later it is told anew what is
    /// here: it has not heard what was said before.
    pub(crate) async fn refused(&self, peer: PeerId, content: ContentId, why: Refusal) {
        tracing::info!(peer = %peer.short(), content = %content.short(), ?why, "refused");
        if let Some(session) = self.session(content) {
            session.outlook.send_modify(|outlook| {
                outlook.peers.remove(&peer);
                outlook.refused.insert(peer);
            });
            session.forget_peer(peer);
            session.input(Input::LinkDown(peer)).await;
        }
    }

    /// Answers a question for a manifest or for values, beside the link's reader.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        linked: &Arc<Linked>,
        id: u32,
        content: ContentId,
        what: What,
    ) {
        let Ok(permit) = Arc::clone(&linked.answering).try_acquire_owned() else {
            let _ = linked.send(&Frame::MetaRefused { id, why: Refusal::Busy }).await;
            return;
        };
        let (swarms, linked) = (Arc::clone(self), Arc::clone(linked));
        self.tasks.spawn(async move {
            let of_thread = (Arc::clone(&swarms), Arc::clone(&linked));
            let answer = tokio::task::spawn_blocking(move || {
                let (swarms, linked) = of_thread;
                swarms.meta(&linked, content, &what)
            });
            // A peer that goes away while it is answered needs no answer.
            let _ = match answer.await {
                Ok(Ok(bytes)) => send_meta(&linked, id, &bytes).await,
                Ok(Err(why)) => linked.send(&Frame::MetaRefused { id, why }).await,
                Err(_) => linked.send(&Frame::MetaRefused { id, why: Refusal::Busy }).await,
            };
            drop(permit);
        });
    }

    fn meta(&self, linked: &Linked, content: ContentId, what: &What) -> Result<Vec<u8>, Refusal> {
        if let What::Stored { network } = what {
            let copies = self.copies.get().and_then(Weak::upgrade).ok_or(Refusal::NotShared)?;
            return copies.said(linked, content, network);
        }
        let session = self.serving(linked, content)?;
        let holding = session.holding();
        let files = match what {
            What::Manifest => {
                return holding.manifest().map(|m| m.encode()).ok_or(Refusal::NotShared);
            }
            What::Values { files } => files.clone(),
            What::Stored { .. } => return Err(Refusal::NotShared),
        };
        if files.end > session.map.files() || files.start > files.end {
            return Err(Refusal::NotShared);
        }
        let bytes: u64 = files.clone().map(|file| values_bytes(&session, file) as u64).sum();
        if files.len() > 1 && bytes > limits::VALUES_BYTES {
            return Err(Refusal::Busy);
        }
        let mut list = Vec::with_capacity(bytes as usize);
        for file in files.filter(|file| values_bytes(&session, *file) > 0) {
            let values = holding.values(file).map_err(|_| Refusal::Changed)?;
            list.extend_from_slice(&values.ok_or(Refusal::NotShared)?.as_bytes());
        }
        Ok(list)
    }

    /// Whether there is a content that this peer and we move between us.
    pub(crate) fn have_in_common(&self, peer: PeerId) -> bool {
        self.all().iter().any(|session| session.outlook.borrow().peers.contains(&peer))
    }

    /// Tells the machines that wait for a peer that its link is up, or that it has shown more of
    /// who it is: those whose content is for it. The others say nothing to it.
    pub(crate) async fn link_up(&self, linked: &Linked) {
        for session in self.all() {
            let may = || access::may_join(&session, linked, self.peers.memberships());
            if session.is_interested(linked.peer) && may() {
                session.input(Input::LinkUp(linked.peer)).await;
            }
        }
    }

    /// Tells all machines that a link is gone.
    pub(crate) async fn link_down(&self, peer: PeerId) {
        for session in self.all() {
            session.forget_peer(peer);
            session.outlook.send_if_modified(|outlook| outlook.peers.remove(&peer));
            session.input(Input::LinkDown(peer)).await;
        }
    }

    /// Receives on each lane that the peer pushes over, a thread each, until the link ends.
    pub(crate) async fn take_lanes(self: Arc<Self>, linked: Arc<Linked>) {
        while let Some(lane) = linked.link().incoming_lane().await {
            let (swarms, linked) = (Arc::clone(&self), Arc::clone(&linked));
            self.tasks.spawn_blocking(move || inbound::receive(&swarms, &linked, lane));
        }
    }

    /// Receivers that have had everything that they wanted of a content, since the session began.
    pub fn receivers_done(&self, content: ContentId) -> u64 {
        self.session(content).map_or(0, |session| session.outlook.borrow().finished)
    }

    /// Whether peers are fetching a content from us, or helping.
    pub fn has_peers(&self, content: ContentId) -> bool {
        self.session(content).is_some_and(|session| !session.outlook.borrow().peers.is_empty())
    }

    /// Whether a content is being fetched right now.
    pub fn is_fetching(&self, content: ContentId) -> bool {
        self.session(content).is_some_and(|session| session.is_fetching())
    }

    /// How many contents are being fetched right now.
    pub fn fetching(&self) -> usize {
        self.all().iter().filter(|session| session.is_fetching()).count()
    }

    /// Runs a task that [`stop`](Swarms::stop) waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Says goodbye to the peers of all contents and ends their machines.
    pub async fn close_all(&self) {
        for session in self.all() {
            self.close(session.id).await;
        }
    }

    /// Waits until what was being written is written; the links are closed before.
    pub async fn ended(&self) {
        self.tasks.close();
        let _ = tokio::time::timeout(STOP_TIME, self.tasks.wait()).await;
    }

    /// The sessions now.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().expect("no panic while held").values().cloned().collect()
    }
}

/// What a session starts from.
pub struct Start {
    /// Pieces that are here.
    pub have: PieceSet,
    /// Pieces that are to be fetched.
    pub wanted: PieceSet,
    /// Files whose piece values are known.
    pub values: std::collections::BTreeSet<u32>,
}

impl Start {
    /// Nothing is wanted: pieces are only served.
    pub fn seed(map: &PieceMap, have: PieceSet) -> Self {
        Self { have, wanted: PieceSet::none(map.total()), values: Default::default() }
    }
}

/// Sends an answer in parts, never many ahead of the peer: a queue of them would fill the memory.
async fn send_meta(linked: &Linked, id: u32, bytes: &[u8]) -> Result<(), ServiceError> {
    let total = bytes.len() as u64;
    let mut offset = 0;
    for count in 1.. {
        let end = bytes.len().min(offset + limits::META_CHUNK_BYTES);
        let part = bytes[offset..end].to_vec();
        linked.send(&Frame::MetaChunk { id, total, offset: offset as u64, bytes: part }).await?;
        offset = end;
        if offset == bytes.len() {
            break;
        }
        if count % META_PARTS_AHEAD == 0 {
            let echo = tokio::time::timeout(limits::META_TIME, linked.echo());
            echo.await.map_err(|_| ServiceError::Silent(linked.peer))??;
        }
    }
    Ok(())
}
