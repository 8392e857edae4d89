//! What the parts of a circle's directory have in common: the machine, the links, and who we are.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use potluck_base::{NetworkId, PeerAddr, PeerId};
use potluck_identity::{Membership, NetworkRecord, Revocations, SecretKey, Signed};
use potluck_proto::directory::chord::{Command, Params};
use potluck_proto::{CircleBody, Input, RingMessage};
use potluck_store::Store;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::core::Core;
use super::deposits::Deposits;
use super::keep::Keeper;
use super::lines::Lines;
use super::members::Walked;
use super::people::People;
use crate::directory::{Happened, State};
use crate::error::ServiceError;
use crate::peers::{Linked, Peers};

/// One circle of this node.
pub(super) struct Heart {
    pub(super) core: Core,
    pub(super) lines: Arc<Lines>,
    pub(super) peers: Arc<Peers>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) people: People,
    pub(super) deposits: Deposits,
    /// Who was met on the last walk around the circle.
    pub(super) walked: Walked,
    pub(super) parts: Parts,
    pub(super) standing: Mutex<Standing>,
    pub(super) state: watch::Sender<State>,
    /// How the machine stands.
    pub(super) phase: watch::Sender<Phase>,
    /// Rings when others stand beside us.
    pub(super) turned: Notify,
    pub(super) happened: mpsc::Sender<Happened>,
    /// Ends all work.
    pub(super) stop: CancellationToken,
}

/// What does not change.
pub(super) struct Parts {
    pub(super) params: Params,
    pub(super) secret: SecretKey,
    pub(super) membership: Membership,
    pub(super) agent: String,
    pub(super) p2p_ci: Option<SocketAddr>,
    pub(super) store: Store,
}

/// What the network is at present.
pub(super) struct Standing {
    pub(super) record: Signed<NetworkRecord>,
    pub(super) revocations: Revocations,
}

/// How the machine stands to the circle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Looking for it.
    Looking {
        /// Whether everybody who is known was tried in vain.
        tried: bool,
    },
    /// On it.
    On,
    /// It has handed over and gone.
    Gone,
}

impl Heart {
    pub(super) fn network(&self) -> NetworkId {
        self.core.network
    }

    pub(super) fn own(&self) -> PeerId {
        self.core.own.peer
    }

    /// Somebody's place here.
    pub(super) fn contact(&self, peer: PeerId) -> Contact {
        Contact::of(&self.core.network, peer)
    }

    /// Whether we are on the circle.
    pub(super) fn is_on(&self) -> bool {
        *self.phase.borrow() == Phase::On
    }

    /// A member says something.
    pub(super) async fn heard(self: &Arc<Self>, linked: &Arc<Linked>, body: CircleBody) {
        match body {
            CircleBody::Ring(message) => self.heard_ring(linked.peer, message).await,
            CircleBody::Have(known) => self.compare(linked.peer, known),
            CircleBody::Record(record) => self.take_record(record),
            CircleBody::Revoked(list) => self.take_list(list),
        }
    }

    async fn heard_ring(&self, from: PeerId, message: RingMessage) {
        let named = {
            let standing = self.standing();
            message.map_peers(|address| {
                let contact = Contact::of(&self.core.network, address.id);
                if standing.revocations.is_revoked(&address.id) {
                    return None;
                }
                self.peers.hint(address);
                Some(contact)
            })
        };
        if let Some(message) = named {
            let from = self.contact(from);
            // A machine that has ended needs no more.
            let _ = self.core.inputs.send(Input::Received { from, message }).await;
        }
    }

    /// A member has shown on a link that it is one.
    pub(super) async fn met(self: &Arc<Self>, linked: &Arc<Linked>) {
        if linked.speaks_of_circles() {
            self.lines.send(linked.peer, CircleBody::Have(self.known()));
            self.core.wish(Command::Learn(vec![self.contact(linked.peer)])).await;
        }
    }

    /// The last link to a peer has ended.
    pub(super) async fn link_down(&self, peer: PeerId) {
        let _ = self.core.inputs.send(Input::LinkDown(self.contact(peer))).await;
    }

    /// Those whom the machine counts on.
    pub(super) async fn near(&self) -> BTreeSet<PeerId> {
        let near = self.core.look(|ring, _| {
            let beside = ring.predecessor().into_iter().chain(ring.successors().iter().copied());
            let fingers = ring.fingers().into_iter().map(|finger| finger.peer);
            beside.chain(fingers).map(|contact| contact.peer).collect()
        });
        near.await.unwrap_or_default()
    }

    /// Whether nobody else stands on the circle.
    pub(super) async fn is_alone(&self) -> bool {
        self.core.look(|ring, _| ring.successors().is_empty()).await.unwrap_or(true)
    }

    /// Writes down where those are whom the machine would look for after a restart.
    pub(super) async fn save_contacts(&self) {
        let known = self.core.look(|ring, _| ring.known()).await.unwrap_or_default();
        let contacts = known.iter().map(|contact| self.lines.address(contact.peer));
        let contacts: Vec<PeerAddr> = contacts.collect();
        let keeper = Arc::clone(&self.keeper);
        let kept = tokio::task::spawn_blocking(move || keeper.put_contacts(contacts)).await;
        if let Err(error) = kept.map_err(ServiceError::from).flatten() {
            tracing::error!(%error, "where members are could not be kept");
        }
    }

    /// Passes on what is to be kept, or told.
    pub(super) fn tell(&self, happened: Happened) {
        if let Err(error) = self.happened.try_send(happened) {
            tracing::warn!(%error, network = %self.network().short(), "a change was not kept");
        }
    }

    /// Is in another state now.
    pub(super) fn enter(&self, state: State) {
        if *self.state.borrow() != state {
            self.state.send_replace(state.clone());
            self.tell(Happened::State(state));
        }
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no panic while held")
    }
}
