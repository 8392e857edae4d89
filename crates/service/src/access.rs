//! Who may have which content: whether a peer is in the audience of what it asks for.
//!
//! A peer outside of it is told the same as for a content that is not here.

use potluck_store::Audience;

use crate::membership::Memberships;
use crate::peers::Linked;
use crate::swarm::Session;

/// Whether a content for this audience is for this peer.
pub(crate) fn is_for(audience: &Audience, linked: &Linked, memberships: &Memberships) -> bool {
    audience.allows(&linked.peer, |network| {
        linked.role_in(network).is_some() && memberships.is_in(network)
    })
}

/// Whether a peer may take part in a session: it is in its audience, or this node itself turned to
/// it as a provider.
pub(crate) fn may_join(session: &Session, linked: &Linked, memberships: &Memberships) -> bool {
    session.is_provider(linked.peer) || is_for(&session.audience(), linked, memberships)
}
