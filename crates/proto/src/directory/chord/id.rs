//! Places on the circle: 128-bit identifiers, and the arithmetic of Chord on them.
//!
//! The papers take 160 bits of SHA-1. What matters is that ids do not collide and cannot be chosen:
//! ours are the first 128 bits of BLAKE3, so that a million peers collide with probability 10^-27.

use std::fmt;

use potluck_base::{ContentId, NetworkId, PeerId};
use serde::{Deserialize, Serialize};

/// A place on the circle of a network: of a peer, or of a key. 16 bytes, the highest first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "[u8; 16]", into = "[u8; 16]")]
pub struct RingId(pub u128);

impl From<[u8; 16]> for RingId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl From<RingId> for [u8; 16] {
    fn from(id: RingId) -> Self {
        id.0.to_be_bytes()
    }
}

/// Bits of a [`RingId`], and so the number of fingers that a peer could have.
pub const RING_BITS: u32 = u128::BITS;

impl RingId {
    /// The place of a peer in a network: nobody can choose it, everybody can check it.
    pub fn of_peer(network: &NetworkId, peer: &PeerId) -> Self {
        Self::of_parts(b"potluck ring peer", network, &peer.0)
    }

    /// The place of a content in a network.
    pub fn of_content(network: &NetworkId, content: &ContentId) -> Self {
        Self::of_parts(b"potluck ring content", network, &content.0)
    }

    /// The place of anything else that has bytes; `kind` keeps kinds apart.
    pub fn of_parts(kind: &[u8], network: &NetworkId, bytes: &[u8]) -> Self {
        let mut all = Vec::with_capacity(kind.len() + 33 + bytes.len());
        all.extend_from_slice(kind);
        all.push(0);
        all.extend_from_slice(&network.0);
        all.extend_from_slice(bytes);
        let hash = potluck_content::hash(&all).0;
        Self(u128::from_be_bytes(std::array::from_fn(|index| hash[index])))
    }

    /// How far it is from here to there, clockwise.
    pub fn distance_to(self, there: RingId) -> u128 {
        there.0.wrapping_sub(self.0)
    }

    /// The place so far clockwise from here.
    pub fn plus(self, distance: u128) -> RingId {
        RingId(self.0.wrapping_add(distance))
    }

    /// Whether it lies in the open interval `(from, to)`, clockwise. `(x, x)` is everything but x.
    pub fn is_between(self, from: RingId, to: RingId) -> bool {
        let (here, whole) = (from.distance_to(self), from.distance_to(to));
        here != 0 && (whole == 0 || here < whole)
    }

    /// Whether it lies in `(from, to]`, clockwise. `(x, x]` is the whole circle.
    pub fn is_in(self, from: RingId, to: RingId) -> bool {
        let (here, whole) = (from.distance_to(self), from.distance_to(to));
        whole == 0 || (here != 0 && here <= whole)
    }

    /// The first eight hexadecimal digits, for people.
    pub fn short(self) -> String {
        format!("{:08x}", self.0 >> 96)
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_go_clockwise_and_around() {
        let id = RingId;
        assert!(id(5).is_between(id(1), id(9)) && !id(9).is_between(id(1), id(9)));
        assert!(!id(1).is_between(id(1), id(9)) && id(9).is_in(id(1), id(9)));
        assert!(id(u128::MAX).is_between(id(9), id(1)) && id(0).is_between(id(9), id(1)));
        assert!(!id(5).is_between(id(9), id(1)) && id(1).is_in(id(9), id(1)));
        assert!(!id(9).is_in(id(9), id(1)));
    }

    #[test]
    fn an_interval_from_a_place_to_itself_is_the_whole_circle() {
        let id = RingId;
        assert!(id(3).is_between(id(7), id(7)) && !id(7).is_between(id(7), id(7)));
        assert!(id(3).is_in(id(7), id(7)) && id(7).is_in(id(7), id(7)));
    }

    #[test]
    fn a_place_depends_on_network_kind_and_name() {
        let (one, other) = (NetworkId([1; 32]), NetworkId([2; 32]));
        let place = RingId::of_peer(&one, &PeerId([3; 32]));
        assert_ne!(place, RingId::of_peer(&other, &PeerId([3; 32])));
        assert_ne!(place, RingId::of_content(&one, &ContentId([3; 32])));
        assert_ne!(place, RingId::of_peer(&one, &PeerId([4; 32])));
    }
}
