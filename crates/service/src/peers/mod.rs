//! Links to peers: accepting and dialling, hello, keep-alive, and handing each frame to whom it
//! concerns.

mod claims;
mod keep;
mod linked;
mod listen;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use potluck_base::{NetworkId, PeerAddr, PeerId, limits};
use potluck_link::{Endpoint, Link};
use potluck_proto::{
    FEATURE_CIRCLES, FEATURE_NETWORKS, Frame, Hello, Input, VERSION, VERSION_MIN, judge,
};
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::may_join;
use crate::error::ServiceError;
use crate::membership::Memberships;
use crate::notice::{Notice, Notices};
use crate::swarm::{Session, Swarms};

pub use keep::{DialState, Keeping};
pub use linked::{Answer, Linked};
pub use listen::FrameListener;

/// Time for a peer that broke off to dial us before we dial it.
const DIAL_BACK_AFTER: Duration = Duration::from_secs(3);
/// A link that ended without a word.
const BROKEN: &str = "broken";
/// What this node can do beyond the first version.
const FEATURES: u64 = FEATURE_NETWORKS | FEATURE_CIRCLES;
/// Changes of links that wait for a slow listener.
const CHANGES_QUEUED: usize = 256;

/// A link came up or went down.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A peer said hello.
    Up(PeerId),
    /// A peer's last link ended.
    Down(PeerId),
}

/// What became of a new link.
enum Entered {
    /// It is the only one to its peer.
    First,
    /// It took the place of another.
    Replaced,
    /// Another one stays.
    Refused,
}

/// All links of this node.
pub struct Peers {
    endpoint: Endpoint,
    agent: String,
    linked: Mutex<BTreeMap<PeerId, Arc<Linked>>>,
    book: Mutex<BTreeMap<PeerId, PeerAddr>>,
    /// Networks of ours in which peers are said to be.
    known: Mutex<BTreeMap<PeerId, BTreeSet<NetworkId>>>,
    memberships: Arc<Memberships>,
    listeners: listen::Listeners,
    links_max: AtomicUsize,
    changes: broadcast::Sender<Change>,
    notices: Notices,
    swarms: OnceLock<Weak<Swarms>>,
    /// Held while links come and go, so that the machines hear of it in the order in which it
    /// happens.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Peers {
    /// The links of `endpoint`; nothing is accepted before [`start`](Peers::start).
    pub fn new(endpoint: Endpoint, agent: String, notices: Notices) -> Arc<Self> {
        let memberships = Memberships::new(endpoint.id());
        Arc::new(Self {
            endpoint,
            agent,
            linked: Mutex::new(BTreeMap::new()),
            book: Mutex::new(BTreeMap::new()),
            known: Mutex::new(BTreeMap::new()),
            memberships,
            listeners: listen::Listeners::default(),
            links_max: AtomicUsize::new(limits::LINKS),
            changes: broadcast::Sender::new(CHANGES_QUEUED),
            notices,
            swarms: OnceLock::new(),
            turn: tokio::sync::Mutex::new(()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Accepts links from now on and hands what they bring to `swarms`.
    pub fn start(self: &Arc<Self>, swarms: &Arc<Swarms>) {
        // Started once, by whoever built both.
        let _ = self.swarms.set(Arc::downgrade(swarms));
        let peers = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                let link = tokio::select! {
                    link = peers.endpoint.accept() => link,
                    () = peers.stop.cancelled() => return,
                };
                let Some(link) = link else { return };
                let peers_of_task = Arc::clone(&peers);
                peers.tasks.spawn(async move {
                    let peer = link.peer();
                    if let Err(error) = peers_of_task.settle(link).await {
                        tracing::info!(peer = %peer.short(), %error, "a peer was turned away");
                    }
                });
            }
        });
    }

    /// Takes so many links at a time instead of [`limits::LINKS`]: a tracker has many members.
    pub fn set_links_max(&self, links: usize) {
        self.links_max.store(links, Ordering::Relaxed);
    }

    /// Lets somebody hear of links from now on, and of what is said about networks.
    pub fn listen_frames(&self, listener: Arc<dyn FrameListener>) {
        self.listeners.add(listener);
    }

    /// Our own key and places, as tickets carry them.
    pub fn own_address(&self) -> PeerAddr {
        self.endpoint.addr()
    }

    /// Our own key.
    pub fn own_id(&self) -> PeerId {
        self.endpoint.id()
    }

    /// The link to a peer, if there is one.
    pub fn linked(&self, peer: PeerId) -> Option<Arc<Linked>> {
        self.linked.lock().expect("no panic while held").get(&peer).cloned()
    }

    /// All peers that there is a link to.
    pub fn all(&self) -> Vec<Arc<Linked>> {
        self.linked.lock().expect("no panic while held").values().cloned().collect()
    }

    /// Links coming up and going down, from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Keeps a hint about where a peer may be. It never changes who the peer is.
    pub fn learn(&self, address: PeerAddr) {
        if address.id == self.own_id() {
            return;
        }
        let mut book = self.book.lock().expect("no panic while held");
        let known = book.entry(address.id).or_insert_with(|| PeerAddr::unknown(address.id));
        for place in address.direct {
            if !known.direct.contains(&place) {
                known.direct.insert(0, place);
            }
        }
        known.direct.truncate(limits::PEER_ADDRS);
        known.relay = address.relay.or(known.relay.take());
    }

    /// Keeps a hint of somebody else about where a peer may be: it never takes the place of what
    /// is known already.
    pub fn hint(&self, address: PeerAddr) {
        if address.id == self.own_id() {
            return;
        }
        let mut book = self.book.lock().expect("no panic while held");
        if book.len() >= limits::KNOWN_MEMBERS && !book.contains_key(&address.id) {
            // Whoever is left out is learnt of again.
            book.pop_first();
        }
        let known = book.entry(address.id).or_insert_with(|| PeerAddr::unknown(address.id));
        for place in address.direct {
            if known.direct.len() < limits::PEER_ADDRS && !known.direct.contains(&place) {
                known.direct.push(place);
            }
        }
        known.relay = known.relay.take().or(address.relay);
    }

    /// What is known of a peer's places.
    pub fn address(&self, peer: PeerId) -> PeerAddr {
        let book = self.book.lock().expect("no panic while held");
        book.get(&peer).cloned().unwrap_or_else(|| PeerAddr::unknown(peer))
    }

    /// Tells a session's machine of a peer's link, now or when it comes up; whether it is up. A
    /// peer that the content is not for is told nothing before it shows that it is.
    pub fn introduce(&self, session: &Arc<Session>, peer: PeerId) -> bool {
        session.add_interest(peer);
        let Some(linked) = self.linked(peer) else { return false };
        if may_join(session, &linked, &self.memberships) {
            let session = Arc::clone(session);
            tokio::spawn(async move { session.input(Input::LinkUp(peer)).await });
        }
        true
    }

    /// As [`introduce`](Peers::introduce), for a peer that another peer told us of: it is told that
    /// we are in the networks that the content is for, and dialled a few times if there is no link.
    pub fn connect_for(self: &Arc<Self>, session: &Arc<Session>, peer: PeerId) {
        let (peers, session) = (Arc::clone(self), Arc::clone(session));
        let stop = session.stop.clone();
        let connect = async move {
            for network in &session.audience().networks {
                peers.know_in(peer, *network).await;
            }
            if !peers.introduce(&session, peer) {
                peers.dial_introduced(peer).await;
            }
        };
        let peers = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = connect => {}
                () = stop.cancelled() => {}
                () = peers.stop.cancelled() => {}
            }
        });
    }

    /// Dials a peer, says hello and keeps the link.
    pub async fn dial(self: &Arc<Self>, peer: PeerId) -> Result<(), ServiceError> {
        if self.linked(peer).is_none() {
            let link = self.endpoint.dial(&self.address(peer)).await?;
            self.settle(link).await?;
        }
        // The link may be one that the peer dialled meanwhile.
        if let Some(linked) = self.linked(peer) {
            self.claim(&linked).await;
        }
        Ok(())
    }

    /// Ends the link to a peer with a word, unless something is moved over it; whether it ended.
    pub async fn let_go(&self, peer: PeerId) -> bool {
        let busy = self.swarms().is_some_and(|swarms| swarms.have_in_common(peer));
        let Some(linked) = self.linked(peer).filter(|_| !busy) else { return false };
        let goodbye = Frame::Goodbye { reason: "not needed at present".to_owned() };
        let _ = timeout(limits::HELLO_TIME, linked.send(&goodbye)).await;
        linked.close("not needed at present");
        true
    }

    /// Says goodbye to everybody and stops listening.
    pub async fn stop(&self) {
        self.stop.cancel();
        for linked in self.all() {
            let goodbye = Frame::Goodbye { reason: "stopping".to_owned() };
            let _ = timeout(limits::HELLO_TIME, linked.send(&goodbye)).await;
            linked.close("stopping");
        }
        self.endpoint.close().await;
        self.tasks.close();
    }

    /// Exchanges hello, decides which of two links to one peer stays, and starts to serve it.
    async fn settle(self: &Arc<Self>, link: Link) -> Result<(), ServiceError> {
        let peer = link.peer();
        let address = self.own_address();
        let ours = Hello {
            version: VERSION,
            features: FEATURES,
            agent: self.agent.clone(),
            addresses: address.direct,
            relay: address.relay,
        };
        let exchange = async {
            link.send(Frame::Hello(ours).encode().into()).await?;
            link.recv().await
        };
        let frame = timeout(limits::HELLO_TIME, exchange)
            .await
            .map_err(|_| ServiceError::Silent(peer))??
            .ok_or(ServiceError::LinkLost(peer))?;
        let theirs = match Frame::decode(&frame) {
            Ok(Frame::Hello(theirs)) => theirs,
            _ => return Err(ServiceError::NoHello(peer)),
        };
        judge(VERSION_MIN..=VERSION, FEATURES, &theirs)
            .map_err(|why| ServiceError::Version { peer, why })?;
        self.learn(said_address(&theirs, &link));
        let linked = Arc::new(Linked::new(link, theirs));
        // Before the machines say a word that only members are heard for.
        self.claim(&linked).await;
        if !self.hand_over(&linked).await {
            linked.close("there is another link");
            return Ok(());
        }
        self.notices.send(Notice::PeerUp { peer, path: linked.path().kind });
        self.serve(linked);
        Ok(())
    }

    /// Puts a link on the list and tells the machines; false if another one stays instead.
    async fn hand_over(&self, linked: &Arc<Linked>) -> bool {
        let Some(swarms) = self.swarms() else { return false };
        let _turn = self.turn.lock().await;
        match self.enter(linked) {
            Entered::Refused => return false,
            // The machines must forget the old link before they hear a word over the new one.
            Entered::Replaced => self.tell_down(linked.peer, &swarms).await,
            Entered::First => {}
        }
        swarms.link_up(linked).await;
        self.listeners.link_up(linked.peer).await;
        true
    }

    async fn tell_down(&self, peer: PeerId, swarms: &Swarms) {
        swarms.link_down(peer).await;
        self.listeners.link_down(peer).await;
    }

    fn swarms(&self) -> Option<Arc<Swarms>> {
        self.swarms.get().and_then(Weak::upgrade)
    }

    /// Takes a link that ended off the list and tells the machines; false if a newer one has its
    /// place.
    async fn take_leave(&self, linked: &Arc<Linked>, swarms: &Swarms) -> bool {
        let _turn = self.turn.lock().await;
        let last = self.leave(linked);
        if last {
            self.tell_down(linked.peer, swarms).await;
        }
        last
    }

    /// Puts a link on the list, unless an older one to the same peer stays instead.
    ///
    /// When two peers dial each other at once, both keep the link that the smaller key dialled.
    fn enter(&self, new: &Arc<Linked>) -> Entered {
        let mut linked = self.linked.lock().expect("no panic while held");
        let full = linked.len() >= self.links_max.load(Ordering::Relaxed);
        if full && !linked.contains_key(&new.peer) {
            return Entered::Refused;
        }
        if let Some(old) = linked.get(&new.peer) {
            let same_dialler = old.link().dialled() == new.link().dialled();
            let dialled_by_smaller = new.link().dialled() == (self.own_id() < new.peer);
            if !same_dialler && !dialled_by_smaller && old.silence() < limits::LINK_IDLE_TIME {
                return Entered::Refused;
            }
            old.close("replaced by a newer link");
        }
        match linked.insert(new.peer, Arc::clone(new)) {
            Some(_) => Entered::Replaced,
            None => Entered::First,
        }
    }

    /// Starts the tasks that live as long as a link.
    fn serve(self: &Arc<Self>, linked: Arc<Linked>) {
        let Some(swarms) = self.swarms() else { return };
        self.tasks.spawn(keep_alive(Arc::clone(&linked)));
        self.tasks.spawn(Arc::clone(&swarms).take_lanes(Arc::clone(&linked)));
        let peers = Arc::clone(self);
        self.tasks.spawn(async move {
            let peer = linked.peer;
            let _ = peers.changes.send(Change::Up(peer));
            let reason = peers.read(&linked, &swarms).await;
            tracing::debug!(peer = %peer.short(), reason, "link ended");
            linked.close("ended");
            let unfinished = reason == BROKEN && swarms.have_in_common(peer);
            if !peers.take_leave(&linked, &swarms).await {
                return;
            }
            peers.notices.send(Notice::PeerDown { peer });
            let _ = peers.changes.send(Change::Down(peer));
            if unfinished && !linked.link().dialled() {
                // It dials us again, unless it is our address that changed: then we must dial.
                tokio::time::sleep(DIAL_BACK_AFTER).await;
                peers.dial_introduced(peer).await;
            }
        });
    }

    /// Takes a link off the list, unless another stands there already.
    fn leave(&self, gone: &Arc<Linked>) -> bool {
        let mut linked = self.linked.lock().expect("no panic while held");
        let ours = linked.get(&gone.peer).is_some_and(|now| Arc::ptr_eq(now, gone));
        if ours {
            linked.remove(&gone.peer);
        }
        ours
    }

    /// Reads frames until the link ends; says why it did.
    async fn read(&self, linked: &Arc<Linked>, swarms: &Arc<Swarms>) -> &'static str {
        loop {
            let frame = match linked.link().recv().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return "closed by the peer",
                Err(_) => return BROKEN,
            };
            linked.hear();
            if !self.linked(linked.peer).is_some_and(|now| Arc::ptr_eq(&now, linked)) {
                return "replaced by a newer link";
            }
            let Ok(frame) = Frame::decode(&frame) else { return "the peer sent nonsense" };
            match frame {
                Frame::Hello(_) => return "the peer said hello twice",
                Frame::Ping(number) => {
                    if linked.send(&Frame::Pong(number)).await.is_err() {
                        return BROKEN;
                    }
                }
                Frame::Pong(number) => linked.pong(number),
                Frame::Goodbye { .. } => return "the peer said goodbye",
                Frame::MetaChunk { id, total, offset, bytes } => {
                    linked.answer(id, Answer::Chunk { total, offset, bytes }).await;
                }
                Frame::MetaRefused { id, why } => linked.answer(id, Answer::Refused(why)).await,
                Frame::MetaRequest { id, content, what } => {
                    swarms.answer(linked, id, content, what).await;
                }
                Frame::Swarm { content, message } => {
                    let message = message.map_peers(|address| {
                        let id = address.id;
                        self.learn(address);
                        id
                    });
                    swarms.message(linked, content, message).await;
                }
                Frame::Refuse { content, why } => {
                    swarms.refused(linked.peer, content, why).await;
                }
                Frame::Claims(claims) => {
                    if self.take_claims(linked, claims).await.is_err() {
                        return BROKEN;
                    }
                }
                Frame::Admitted(networks) => linked.admitted(networks),
                Frame::Tracker(message) => self.listeners.tracker(linked, *message).await,
                Frame::Chord(frame) => self.listeners.circle(linked, &frame).await,
            }
        }
    }
}

/// Where a peer says that it listens, and where it was seen with the port that it names.
fn said_address(hello: &Hello, link: &Link) -> PeerAddr {
    let mut direct = hello.addresses.clone();
    let seen: Option<SocketAddr> = link.path().remote.parse().ok();
    if let (Some(seen), Some(first)) = (seen, hello.addresses.first()) {
        let place = SocketAddr::new(seen.ip(), first.port());
        if !direct.contains(&place) {
            direct.insert(0, place);
        }
    }
    PeerAddr { id: link.peer(), direct, relay: hello.relay.clone() }
}

/// Pings a link and ends it when the peer gives no sign of life.
async fn keep_alive(linked: Arc<Linked>) {
    loop {
        tokio::select! {
            () = linked.link().closed() => return,
            () = tokio::time::sleep(limits::PING_EVERY) => {}
        }
        if linked.silence() > limits::LINK_IDLE_TIME {
            linked.close("no sign of life");
            return;
        }
        if linked.send(&Frame::Ping(linked.ping_number())).await.is_err() {
            return;
        }
    }
}
