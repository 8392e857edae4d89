//! Links to other members: what the machine says goes over the link that there is; where there is
//! none, one is made, and one that was made for a lookup goes when it has had no use for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{NetworkId, PeerAddr, PeerId, limits};
use potluck_proto::directory::chord::Outcome;
use potluck_proto::{CircleBody, CircleFrame, Frame, Input};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::contact::Contact;
use super::machine::{RingSays, Seen};
use crate::peers::{Linked, Peers};

/// Addresses of a member that go into a message.
const ADDRS_SENT: usize = 4;
/// Messages that wait for one link.
const WAITING: usize = 64;
/// How long a message waits for a link before nobody wants its answer any more.
const WAIT_TIME: Duration = Duration::from_secs(4);
/// How long a member that could not be reached is not dialled again.
const FAILED_TIME: Duration = Duration::from_secs(2);
/// A link that was made for a lookup goes after so long without use.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// The same when this node has nearly as many links as it may.
const IDLE_TIME_FULL: Duration = Duration::from_secs(5);
/// Links that are left for others to come by.
const LINKS_SPARE: usize = limits::LINKS / 8;

/// The links of one circle.
pub(super) struct Lines {
    network: NetworkId,
    peers: Arc<Peers>,
    lines: Mutex<BTreeMap<PeerId, Line>>,
    /// Those whom the machine counts on, as it was seen last.
    near: Mutex<BTreeSet<PeerId>>,
    /// Weak: the machine ends when its directory is gone.
    inputs: mpsc::WeakSender<Input<Seen>>,
    /// To whom nothing goes out any more.
    barred: Mutex<BTreeSet<PeerId>>,
    /// Whether nothing goes out any more.
    shut: AtomicBool,
}

/// The link to one member, or the want of one.
struct Line {
    waiting: Vec<(Instant, Bytes)>,
    dialling: bool,
    /// Whether the link was made for this circle.
    made: bool,
    used: Instant,
    failed: Option<Instant>,
}

impl Lines {
    pub(super) fn new(
        network: NetworkId,
        peers: Arc<Peers>,
        inputs: mpsc::WeakSender<Input<Seen>>,
    ) -> Self {
        let (lines, near, barred) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { network, peers, lines, near, inputs, barred, shut: AtomicBool::new(false) }
    }

    /// Sends a machine's message.
    pub(super) fn say(self: &Arc<Self>, to: Contact, message: RingSays) {
        let named = message.map_peers(|contact| Some(self.address(contact.peer)));
        let Some(named) = named else { return };
        self.send(to.peer, CircleBody::Ring(named));
    }

    /// Sends anything to a member, over a link that may have to be made.
    pub(super) fn send(self: &Arc<Self>, to: PeerId, body: CircleBody) {
        if self.shut.load(Ordering::Relaxed) {
            return;
        }
        let frame = Frame::Chord(Box::new(CircleFrame { network: self.network, body }));
        let bytes = Bytes::from(frame.encode());
        if self.barred.lock().expect("no panic while held").contains(&to) {
            return self.fail(to);
        }
        let linked = self.peers.linked(to).filter(|linked| linked.speaks_of_circles());
        let mut lines = self.lock();
        let line = lines.entry(to).or_insert_with(Line::new);
        line.used = Instant::now();
        // A link on which we are known to be a member; else the claim goes first.
        if let Some(linked) = linked.filter(|linked| linked.admits_us(&self.network)) {
            line.failed = None;
            // A peer that does not read counts as silent soon.
            let _ = linked.link().try_send(bytes);
            return;
        }
        if line.failed.is_some_and(|at| at.elapsed() < FAILED_TIME) {
            drop(lines);
            return self.fail(to);
        }
        if line.waiting.len() < WAITING {
            line.waiting.push((Instant::now(), bytes));
        }
        if !line.dialling {
            line.dialling = true;
            let lines = Arc::clone(self);
            tokio::spawn(async move { lines.reach(to).await });
        }
    }

    fn fail(self: &Arc<Self>, peer: PeerId) {
        let lines = Arc::clone(self);
        tokio::spawn(async move { lines.unreachable(peer).await });
    }

    /// Makes a link and says what waits for it.
    async fn reach(self: Arc<Self>, to: PeerId) {
        let stood = self.peers.linked(to).is_some();
        self.peers.know_in(to, self.network).await;
        let dialled = self.peers.dial(to).await;
        let linked = self.peers.linked(to).filter(|linked| linked.speaks_of_circles());
        if let Err(error) = &dialled {
            tracing::debug!(peer = %to.short(), %error, "a member is not reached");
        }
        let waiting = {
            let mut lines = self.lock();
            let line = lines.entry(to).or_insert_with(Line::new);
            line.dialling = false;
            line.failed = linked.is_none().then(Instant::now);
            line.made |= !stood && linked.is_some();
            std::mem::take(&mut line.waiting)
        };
        match linked {
            Some(linked) => {
                let fresh = waiting.into_iter().filter(|(since, _)| since.elapsed() < WAIT_TIME);
                for (_, bytes) in fresh {
                    let _ = linked.link().send(bytes).await;
                }
            }
            None => self.unreachable(to).await,
        }
    }

    async fn unreachable(&self, peer: PeerId) {
        if let Some(inputs) = self.inputs.upgrade() {
            let outcome = Outcome::Unreachable(Contact::of(&self.network, peer));
            // A machine that has ended needs no more.
            let _ = inputs.send(Input::Done(outcome)).await;
        }
    }

    /// A member and where it is, as messages say it.
    pub(super) fn address(&self, peer: PeerId) -> PeerAddr {
        let mut address = match peer == self.peers.own_id() {
            true => self.peers.own_address(),
            false => self.peers.address(peer),
        };
        address.direct.truncate(ADDRS_SENT);
        address
    }

    /// Sends nothing any more to these.
    pub(super) fn bar(&self, peers: impl Iterator<Item = PeerId>) {
        self.barred.lock().expect("no panic while held").extend(peers);
    }

    /// Sends nothing any more.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
        self.lock().clear();
    }

    /// Whether the circle counts on a member, or spoke with it just now.
    pub(super) fn needs(&self, peer: PeerId) -> bool {
        let near = self.near.lock().expect("no panic while held");
        near.contains(&peer) || self.lock().get(&peer).is_some_and(|l| l.used.elapsed() < IDLE_TIME)
    }

    /// The members linked now that have shown that they are.
    pub(super) fn linked(&self) -> Vec<Arc<Linked>> {
        let all = self.peers.all().into_iter();
        all.filter(|linked| linked.speaks_of_circles() && linked.role_in(&self.network).is_some())
            .collect()
    }

    /// Lets links go that were made for lookups and have had no use for a while. `near` are those
    /// whom the machine counts on; `needed` says whether somebody else does.
    pub(super) async fn tidy(&self, near: BTreeSet<PeerId>, needed: impl Fn(PeerId) -> bool) {
        let full = self.peers.all().len() + LINKS_SPARE >= limits::LINKS;
        let idle = if full { IDLE_TIME_FULL } else { IDLE_TIME };
        let old: Vec<PeerId> = {
            let mut lines = self.lock();
            let old = lines.iter().filter(|(peer, line)| {
                line.made && !line.dialling && line.used.elapsed() > idle && !near.contains(*peer)
            });
            let old: Vec<PeerId> = old.map(|(peer, _)| *peer).collect();
            lines.retain(|_, line| line.dialling || line.used.elapsed() < IDLE_TIME || line.made);
            old
        };
        *self.near.lock().expect("no panic while held") = near;
        for peer in old {
            let gone = self.peers.linked(peer).is_none();
            if gone || (!needed(peer) && self.peers.let_go(peer).await) {
                self.lock().remove(&peer);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Line>> {
        self.lines.lock().expect("no panic while held")
    }
}

impl Line {
    fn new() -> Self {
        let used = Instant::now();
        Self { waiting: Vec::new(), dialling: false, made: false, used, failed: None }
    }
}
