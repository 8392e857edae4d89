//! A member on the circle, as its machine knows it.

use potluck_base::{NetworkId, PeerId};
use potluck_proto::directory::chord::{OnRing, RingId};

/// A member and its place, which follows from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Its place.
    pub id: RingId,
    /// Its key.
    pub peer: PeerId,
}

impl Contact {
    /// Where a peer stands in a network.
    pub fn of(network: &NetworkId, peer: PeerId) -> Self {
        Self { id: RingId::of_peer(network, &peer), peer }
    }
}

impl OnRing for Contact {
    fn ring_id(&self) -> RingId {
        self.id
    }
}
