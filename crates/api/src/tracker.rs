//! What one may ask a tracker's own node, and what it answers.

use std::net::SocketAddr;

use potluck_base::{ContentId, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{NetworkName, PeerName, Policy, Role, SearchCommand};

/// What to ask a tracker. A peer is named by its id, the first characters of its id, or its
/// nickname, with `@NETWORK` behind it if several networks know that nickname.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TrackerCommand {
    /// Tells the ticket for those who make networks here. Answer:
    /// [`crate::Reply::TrackerTicket`].
    Ticket,
    /// Tells the members of all networks. Answer: [`crate::Reply::TrackerPeers`].
    Peers,
    /// Tells the files of a peer. Answer: [`crate::Reply::TrackerFiles`].
    Discover {
        /// The peer.
        peer: String,
        /// [`TrackerFiles::after`] of the last answer, for the next page.
        #[serde(default)]
        after: Option<String>,
    },
    /// Measures the round trip to a peer now. Answer: [`crate::Reply::Pinged`].
    Ping {
        /// The peer.
        peer: String,
        /// Round trips to measure, one a second; 1 to 1,000.
        count: u32,
    },
    /// Looks for files in the index, in all networks or those named. Answer:
    /// [`crate::Reply::Found`].
    Search(SearchCommand),
    /// Tells how much there is and how much was done and refused. Answer:
    /// [`crate::Reply::TrackerStats`].
    Stats,
    /// Ends a peer's session; it may come back. Answer: [`crate::Reply::TrackerActed`].
    Kick {
        /// The peer.
        peer: String,
    },
    /// Ends a peer's session and lets it in no more. Answer: [`crate::Reply::TrackerActed`].
    Ban {
        /// The peer.
        peer: String,
    },
    /// Lets a banned peer in again. Answer: [`crate::Reply::TrackerActed`].
    Unban {
        /// The peer.
        peer: String,
    },
    /// Tells the networks that it is the directory of. Answer:
    /// [`crate::Reply::TrackerNetworks`].
    Networks,
}

/// How to reach a tracker, with the right to make networks there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerTicket {
    /// The text to give to those who may make networks here; a secret.
    pub ticket: String,
    /// The tracker's name.
    pub name: String,
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// Where it listens.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
    /// Where it speaks P2P-CI/1.0, if it does.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub p2p_ci: Option<SocketAddr>,
}

/// The members of a tracker's networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerPeers {
    /// Each of them, by network; those online first, then by nickname.
    pub peers: Vec<TrackerPeer>,
}

/// One member of a tracker's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerPeer {
    /// Its nickname in the network.
    pub nick: String,
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// The network.
    pub network: NetworkName,
    /// What it may do there.
    pub role: Role,
    /// Whether it is here now.
    pub online: bool,
    /// When it was seen last, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Where it can be dialled, as it says.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
    /// Shares that it publishes.
    pub shares: u64,
    /// Files in them.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What it says it is: program and version.
    pub agent: String,
    /// Whether it is banned.
    #[serde(default)]
    pub banned: bool,
}

/// The files of a peer in a tracker's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerFiles {
    /// The peer.
    pub peer: PeerName,
    /// Whether it is here now.
    pub online: bool,
    /// When it was seen last, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Its files, by network, share and path.
    pub files: Vec<TrackerFile>,
    /// What to hand to the next question, if there are more.
    #[serde(default)]
    pub after: Option<String>,
}

/// One file in a tracker's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerFile {
    /// The network.
    pub network: NetworkName,
    /// Its path, the share's name first.
    pub path: String,
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its bytes.
    pub size: u64,
    /// When it was changed last, in seconds since 1970.
    pub modified_s: u64,
}

/// How much a tracker has, does and refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackerStats {
    /// The tracker's name.
    pub name: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Milliseconds after which a silent peer counts as offline.
    pub lease_ms: u64,
    /// Networks that it is the directory of.
    pub networks: u64,
    /// Members of all of them; a peer in two networks counts twice.
    pub members: u64,
    /// Those of them that are here now.
    pub online: u64,
    /// Banned peers.
    pub banned: u64,
    /// Links that are up.
    pub links: u64,
    /// Shares in the index.
    pub shares: u64,
    /// Files in the index.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the database on disk.
    pub database_bytes: u64,
    /// Questions answered since the start.
    pub requests: u64,
    /// Searches among them.
    pub searches: u64,
    /// Half of the latest searches took at most so many milliseconds.
    #[serde(default)]
    pub search_p50_ms: Option<f64>,
    /// All but one in a hundred took at most so many.
    #[serde(default)]
    pub search_p99_ms: Option<f64>,
    /// Files written into the index since the start.
    pub published: u64,
    /// What was refused since the start, the most frequent first.
    pub refused: Vec<RefusedCount>,
    /// How P2P-CI/1.0 does, if it is on.
    #[serde(default)]
    pub p2p_ci: Option<P2pCiStats>,
}

/// How often something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedCount {
    /// Why, as half a sentence.
    pub why: String,
    /// How often.
    pub count: u64,
}

/// How the P2P-CI/1.0 side of a tracker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct P2pCiStats {
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Clients that are connected.
    pub clients: u64,
    /// Files that they offer.
    pub files: u64,
}

/// What was done to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerActed {
    /// The peer.
    pub peer: PeerName,
    /// What.
    pub act: TrackerAct,
    /// Whether it had a session, which is over now.
    pub was_online: bool,
}

/// What a tracker can do to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerAct {
    /// Its session was ended.
    Kicked,
    /// It is let in no more.
    Banned,
    /// It is let in again.
    Unbanned,
}

/// The networks of a tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerNetworks {
    /// Each of them, by name.
    pub networks: Vec<TrackerNetwork>,
}

/// One network of a tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerNetwork {
    /// Which one.
    pub network: NetworkName,
    /// Who may enter.
    pub policy: Policy,
    /// How many are in it.
    pub members: u64,
    /// How many of them are here now.
    pub online: u64,
    /// Shares in it.
    pub shares: u64,
    /// Files in them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Version of its signed record.
    pub sequence: u64,
    /// Members that were revoked.
    pub revoked: u64,
}
