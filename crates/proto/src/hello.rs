//! The first frame of either side of a link, and the judgement whether the two can talk.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use potluck_base::escape;
use serde::{Deserialize, Serialize};

use crate::bounded;

/// The version of the protocol that we speak.
pub const VERSION: u16 = 1;
/// The oldest version that we still understand.
pub const VERSION_MIN: u16 = 1;
/// The feature bit of those who understand claims of membership and tracker messages.
pub const FEATURE_NETWORKS: u64 = 1;
/// The feature bit of those who understand what members of networks without trackers say.
pub const FEATURE_CIRCLES: u64 = 2;
/// Bytes of the name of a program, such as `potluck/0.1.0`.
pub const AGENT_BYTES: usize = 64;
/// Bytes of a relay's URL: a host name of 253 characters, a scheme and a port.
pub const RELAY_BYTES: usize = 300;

/// The first frame of either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that the sender speaks.
    pub version: u16,
    /// What it can do besides, one bit each; unknown bits are ignored.
    pub features: u64,
    /// The sender's program, for people; at most [`AGENT_BYTES`].
    #[serde(deserialize_with = "bounded::text::<_, AGENT_BYTES>")]
    pub agent: String,
    /// Where it listens, as far as it knows; at most [`potluck_base::limits::PEER_ADDRS`].
    #[serde(deserialize_with = "bounded::addresses")]
    pub addresses: Vec<SocketAddr>,
    /// The URL of the relay that it uses, at most [`RELAY_BYTES`].
    #[serde(deserialize_with = "bounded::relay")]
    pub relay: Option<String>,
}

/// What two sides that can talk have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version that both speak.
    pub version: u16,
    /// What both can do.
    pub features: u64,
}

/// Why two sides cannot talk, and which of them is to be updated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The peer speaks a version that we no longer understand.
    #[error(
        "the other side runs {agent}, which is too old (it speaks version {version}, \
         this side needs {needed} or later): update Potluck on the other side"
    )]
    TooOld {
        /// The peer's program, safe to show.
        agent: String,
        /// What it speaks.
        version: u16,
        /// The oldest that we understand.
        needed: u16,
    },
    /// The peer speaks a version that we do not know yet.
    #[error(
        "the other side runs {agent}, which is newer (it speaks version {version}, \
         this side up to {known}): update Potluck on this side"
    )]
    TooNew {
        /// The peer's program, safe to show.
        agent: String,
        /// What it speaks.
        version: u16,
        /// The newest that we know.
        known: u16,
    },
}

/// Judges a peer's hello against the versions and features of this side.
pub fn judge(versions: RangeInclusive<u16>, features: u64, peer: &Hello) -> Result<Agreed, Unfit> {
    let agent = || escape(&peer.agent, AGENT_BYTES);
    let version = peer.version;
    if version < *versions.start() {
        return Err(Unfit::TooOld { agent: agent(), version, needed: *versions.start() });
    }
    if version > *versions.end() {
        return Err(Unfit::TooNew { agent: agent(), version, known: *versions.end() });
    }
    Ok(Agreed { version, features: features & peer.features })
}
