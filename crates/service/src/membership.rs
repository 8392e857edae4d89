//! Our own networks, and the judgement of what peers claim to be in them.
//!
//! Goals: who somebody is follows from signatures alone; a stranger cannot tell a network of ours
//! from one that does not exist. Non-goals: joining and leaving, which `networks` does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use potluck_base::{NetworkId, PeerId};
use potluck_identity::{
    DirectoryKind, Membership, NetworkRecord, Policy, Revocations, Role, Signed,
};
use potluck_proto::directory::tracker::Claim;

use crate::peers::Peers;

/// The networks that this node is in.
pub struct Memberships {
    own: PeerId,
    networks: Mutex<BTreeMap<NetworkId, Arc<Standing>>>,
    changes: AtomicU64,
}

/// One of them.
struct Standing {
    record: NetworkRecord,
    membership: Membership,
    revocations: Revocations,
}

impl Memberships {
    /// No networks yet.
    pub fn new(own: PeerId) -> Arc<Self> {
        Arc::new(Self { own, networks: Mutex::default(), changes: AtomicU64::new(0) })
    }

    /// Enters a network, or takes what has changed about it. The record's signature was checked.
    ///
    /// Links that stand are judged by it from the next [`Peers::judge_again`] on.
    pub fn put(
        &self,
        record: Signed<NetworkRecord>,
        membership: Membership,
        revocations: Revocations,
    ) {
        let standing = Standing { record: record.value, membership, revocations };
        let mut networks = self.lock();
        networks.insert(standing.record.network, Arc::new(standing));
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Leaves a network: nobody is a member of it any more, as far as this node is concerned.
    pub fn remove(&self, network: &NetworkId) {
        let mut networks = self.lock();
        networks.remove(network);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Grows with each change: what was judged before it may be judged otherwise after.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether this node is in a network.
    pub fn is_in(&self, network: &NetworkId) -> bool {
        self.lock().contains_key(network)
    }

    /// Who this node is in a network; none if it is not in it, or was put out.
    pub fn own_role(&self, network: &NetworkId) -> Option<Role> {
        let standing = self.standing(network)?;
        standing.membership.verify(&standing.record, &standing.revocations).ok()
    }

    /// What this node says of itself to members of a network.
    pub(crate) fn own_claim(&self, network: &NetworkId) -> Option<Claim> {
        self.own_role(network)?;
        let membership = self.standing(network)?.membership.clone();
        (membership.peer == self.own).then_some(Claim { network: *network, membership })
    }

    /// The list of revoked members that is in force in a network of ours.
    pub(crate) fn revocations(&self, network: &NetworkId) -> Option<Revocations> {
        Some(self.standing(network)?.revocations.clone())
    }

    /// Who a peer is in a network of ours by what it claims; none for a stranger, whatever the
    /// reason. Takes some milliseconds for a long chain.
    ///
    /// A claim about a network that is not ours takes the same time as a bad one about ours.
    pub fn judge(
        &self,
        peer: PeerId,
        network: &NetworkId,
        membership: &Membership,
    ) -> Option<Role> {
        let standing = self.standing(network);
        let verdict = match &standing {
            Some(ours) => membership.verify(&ours.record, &ours.revocations),
            None => membership.verify(&unknown(*network), &Revocations::none(*network)),
        };
        verdict.ok().filter(|_| standing.is_some() && membership.peer == peer)
    }

    /// Puts a newer list of revoked members into force; true if it was newer and good. Links of
    /// members who are on it have ended when this returns.
    pub async fn accept_revocations(&self, peers: &Peers, newer: &Revocations) -> bool {
        let network = newer.network();
        if !self.take_revocations(newer) {
            return false;
        }
        peers.judge_again(&network).await;
        true
    }

    fn take_revocations(&self, newer: &Revocations) -> bool {
        let mut networks = self.lock();
        let Some(standing) = networks.get_mut(&newer.network()) else { return false };
        let mut revocations = standing.revocations.clone();
        if let Err(error) = revocations.accept(newer, &standing.record) {
            tracing::info!(%error, "a list of revoked members was not taken");
            return false;
        }
        let (record, membership) = (standing.record.clone(), standing.membership.clone());
        *standing = Arc::new(Standing { record, membership, revocations });
        self.changes.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn standing(&self, network: &NetworkId) -> Option<Arc<Standing>> {
        self.lock().get(network).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Arc<Standing>>> {
        self.networks.lock().expect("no panic while held")
    }
}

/// Stands for a network that is not ours, so that a claim about it is not refused any faster.
fn unknown(network: NetworkId) -> NetworkRecord {
    NetworkRecord {
        network,
        name: String::new(),
        directory: DirectoryKind::Tracker { trackers: Vec::new() },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence: 0,
        created_ms: 0,
    }
}
