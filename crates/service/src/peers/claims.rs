//! Claims of membership: what this node says of itself to members of its networks, and what it
//! makes of what they say.
//!
//! Each side claims, right after hello and whenever it learns more, the networks in which it knows
//! the other. Whoever is taken for a member is told so, and gets a claim in return. A stranger gets
//! the same empty answer for a network of ours, a bad claim, and a network that does not exist.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId, limits};
use potluck_identity::{Membership, Role};
use potluck_proto::Frame;
use potluck_proto::directory::tracker::Claim;
use tokio::time::timeout;

use super::{Linked, Peers};
use crate::error::ServiceError;
use crate::membership::Memberships;

/// Time that a peer gets to read why its link ends.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// What a peer is told who is no longer a member.
const PUT_OUT: &str = "no longer a member";

impl Peers {
    /// The networks of this node.
    pub fn memberships(&self) -> &Arc<Memberships> {
        &self.memberships
    }

    /// Notes that a peer is said to be in a network of ours. When this returns, the peer has been
    /// told on its link, if there is one, that this node is in it too.
    ///
    /// For peers that a directory of the network named: a claim tells whoever gets it that the
    /// network exists.
    pub async fn know_in(&self, peer: PeerId, network: NetworkId) {
        self.note_in(peer, network);
        if let Some(linked) = self.linked(peer) {
            self.claim(&linked).await;
        }
    }

    /// The networks in which a peer is known.
    pub fn known_in(&self, peer: PeerId) -> BTreeSet<NetworkId> {
        let known = self.known.lock().expect("no panic while held");
        known.get(&peer).cloned().unwrap_or_default()
    }

    fn note_in(&self, peer: PeerId, network: NetworkId) {
        let mut known = self.known.lock().expect("no panic while held");
        if known.len() >= limits::KNOWN_MEMBERS && !known.contains_key(&peer) {
            // Whoever is left out is learnt of again from its directory.
            known.pop_first();
        }
        known.entry(peer).or_default().insert(network);
    }

    fn unnote_in(&self, peer: PeerId, network: &NetworkId) {
        let mut known = self.known.lock().expect("no panic while held");
        if let Some(networks) = known.get_mut(&peer) {
            networks.remove(network);
        }
    }

    /// Claims what this node is in the networks in which it knows the peer, unless it just has.
    pub(super) async fn claim(&self, linked: &Linked) {
        let known = self.known_in(linked.peer);
        self.claim_in(linked, known).await;
    }

    async fn claim_in(&self, linked: &Linked, networks: BTreeSet<NetworkId>) {
        if !linked.speaks_of_networks() {
            return;
        }
        let ours = networks.iter().filter(|network| self.memberships.is_in(network));
        let new: Vec<&NetworkId> = ours.filter(|network| linked.is_claim_due(network)).collect();
        let claims: Vec<Claim> =
            new.iter().filter_map(|network| self.memberships.own_claim(network)).collect();
        for part in claims.chunks(limits::CLAIMS) {
            // A link that ends has no use for it.
            let _ = linked.send(&Frame::Claims(part.to_vec())).await;
        }
    }

    /// Judges what a peer claims, answers, and claims in return.
    pub(super) async fn take_claims(
        &self,
        linked: &Arc<Linked>,
        claims: Vec<Claim>,
    ) -> Result<(), ServiceError> {
        let claims = if linked.may_claim(claims.len()) { claims } else { Vec::new() };
        let (memberships, peer) = (Arc::clone(&self.memberships), linked.peer);
        let before = memberships.changes();
        let judged: Vec<(NetworkId, Role, Membership)> = tokio::task::spawn_blocking(move || {
            let judge = |claim: Claim| {
                let role = memberships.judge(peer, &claim.network, &claim.membership)?;
                Some((claim.network, role, claim.membership))
            };
            claims.into_iter().filter_map(judge).collect()
        })
        .await?;
        for (network, role, membership) in judged.iter().cloned() {
            linked.admit(network, role, membership);
            self.note_in(peer, network);
        }
        if self.memberships.changes() != before {
            // A list that came into force meanwhile may have missed them.
            for (network, ..) in &judged {
                self.judge_links(vec![Arc::clone(linked)], *network).await?;
            }
        }
        let admitted: BTreeSet<NetworkId> = judged.iter().map(|(network, ..)| *network).collect();
        let admitted: BTreeSet<NetworkId> =
            admitted.into_iter().filter(|network| linked.role_in(network).is_some()).collect();
        linked.send(&Frame::Admitted(admitted.iter().copied().collect())).await?;
        if let Some(swarms) = self.swarms().filter(|_| !admitted.is_empty()) {
            self.claim_in(linked, admitted.clone()).await;
            swarms.link_up(linked).await;
            let admitted: Vec<NetworkId> = admitted.into_iter().collect();
            self.listeners.admitted(linked, &admitted).await;
        }
        Ok(())
    }

    /// Judges again what was claimed on links about a network, after its record or its list of
    /// revoked members changed. Whoever is no longer a member is out when this returns, and has
    /// heard a goodbye, unless this node itself has left the network.
    pub async fn judge_again(&self, network: &NetworkId) {
        let out = self.judge_links(self.all(), *network).await.unwrap_or_else(|error| {
            tracing::error!(%error, "memberships could not be judged");
            Vec::new()
        });
        for linked in &out {
            tracing::info!(peer = %linked.peer.short(), network = %network.short(), "put out");
            self.unnote_in(linked.peer, network);
            if let Some(swarms) = self.swarms() {
                swarms.review_peer(linked).await;
            }
        }
        if self.memberships.is_in(network) {
            let ends = out.iter().map(|linked| end(linked, PUT_OUT));
            futures_util::future::join_all(ends).await;
        }
    }

    /// Judges the members of a network among these links again; those whose membership no longer
    /// holds have lost it and are returned.
    async fn judge_links(
        &self,
        links: Vec<Arc<Linked>>,
        network: NetworkId,
    ) -> Result<Vec<Arc<Linked>>, ServiceError> {
        let memberships = Arc::clone(&self.memberships);
        let judge = move |linked: &Arc<Linked>| {
            let Some(membership) = linked.membership_in(&network) else { return false };
            let was_in = linked.role_in(&network).is_some();
            match memberships.judge(linked.peer, &network, &membership) {
                Some(role) => linked.admit(network, role, membership),
                None => linked.dismiss(&network),
            }
            was_in && linked.role_in(&network).is_none()
        };
        let judging = move || links.into_iter().filter(judge).collect();
        Ok(tokio::task::spawn_blocking(judging).await?)
    }
}

/// Ends a link with a word, if the peer still listens.
async fn end(linked: &Linked, reason: &str) {
    let goodbye = Frame::Goodbye { reason: reason.to_owned() };
    let _ = timeout(GOODBYE_TIME, linked.send(&goodbye)).await;
    linked.close(reason);
}
