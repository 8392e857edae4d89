//! Where a peer may be reached, and over what.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::PeerId;

/// A peer and the places where it may be reached. Only the key identifies; the places are hints.
///
/// A node uses one port number for TCP and UDP, so each address is tried over both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddr {
    /// The peer's key.
    pub id: PeerId,
    /// Direct addresses, at most [`crate::limits::PEER_ADDRS`].
    pub direct: Vec<SocketAddr>,
    /// The URL of the relay that the peer can be reached through, if it uses one.
    pub relay: Option<String>,
}

impl PeerAddr {
    /// A peer of whom nothing but the key is known.
    pub fn unknown(id: PeerId) -> Self {
        Self { id, direct: Vec::new(), relay: None }
    }
}

/// What carries the bytes between two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// TCP with TLS 1.3, straight to the peer.
    DirectTcp,
    /// QUIC over UDP, straight to the peer.
    DirectQuic,
    /// QUIC through a relay, which sees only encrypted packets.
    Relayed,
    /// Within this process (tests).
    Memory,
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathKind::DirectTcp => "direct TCP",
            PathKind::DirectQuic => "direct QUIC",
            PathKind::Relayed => "relayed",
            PathKind::Memory => "in memory",
        })
    }
}
