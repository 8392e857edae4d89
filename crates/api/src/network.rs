//! Networks: who is in them, with which rights, and how this node stands to them.

use std::net::SocketAddr;

use potluck_base::{NetworkId, PathKind, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A network to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkCreate {
    /// Its name for people; need not be unique.
    pub name: String,
    /// How its members find each other's files.
    #[serde(default)]
    pub directory: DirectoryKind,
    /// The ticket of the tracker that is to be its directory; none for any other kind.
    #[serde(default)]
    pub tracker: Option<String>,
    /// For a network without a server: how many members keep each record; 3 if it is not given.
    #[serde(default)]
    pub replicas: Option<u8>,
    /// Whether everyone who knows it may enter; else by invitation only.
    #[serde(default)]
    pub open: bool,
    /// URLs of relays for members that cannot be reached directly.
    #[serde(default)]
    pub relays: Vec<String>,
    /// This node's nickname there; one with a number if there is none.
    #[serde(default)]
    pub nick: Option<String>,
}

/// An invite to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteCommand {
    /// The network: its name, its id, or the first characters of its id; needed by a node in
    /// several.
    #[serde(default)]
    pub network: Option<String>,
    /// What the invited may do; not more than the inviter.
    pub role: Role,
    /// Seconds until it admits nobody any more.
    pub expires_s: u64,
    /// How many peers it admits.
    pub uses: u32,
}

/// What a member may do; each may also do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Search and fetch.
    Guest,
    /// Publish.
    Member,
    /// Invite and revoke.
    Admin,
    /// Change the network itself; nobody revokes it.
    Owner,
}

impl Role {
    /// The name in JSON and in front of people.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }
}

/// Who may enter a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Everyone who knows it.
    Open,
    /// Those with an invite.
    Invite,
}

/// How the members of a network find each other's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryKind {
    /// They ask an index server.
    #[default]
    Tracker,
    /// They keep the index among themselves, and reach any part of it in a few steps.
    Chord,
    /// They keep it among themselves, and hand each question on from neighbour to neighbour.
    Ring,
}

impl DirectoryKind {
    /// The name in JSON and in front of people.
    pub const fn name(self) -> &'static str {
        match self {
            DirectoryKind::Tracker => "tracker",
            DirectoryKind::Chord => "chord",
            DirectoryKind::Ring => "ring",
        }
    }

    /// Whether the members keep the index among themselves, on a circle.
    pub const fn is_circle(self) -> bool {
        matches!(self, DirectoryKind::Chord | DirectoryKind::Ring)
    }
}

/// Which network something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct NetworkName {
    /// Its id.
    #[schema(value_type = String)]
    pub id: NetworkId,
    /// Its name, which another network may bear too.
    pub name: String,
}

/// Which peer something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct PeerName {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// Its nickname in the network at hand, if it has one and it is known.
    #[serde(default)]
    pub nick: Option<String>,
}

/// One network, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkInfo {
    /// Which one.
    #[serde(flatten)]
    pub network: NetworkName,
    /// What this node may do there.
    pub role: Role,
    /// Who may enter.
    pub policy: Policy,
    /// How its members find each other's files.
    pub directory: DirectoryKind,
    /// Its trackers; none if it has no server.
    pub trackers: Vec<TrackerAddress>,
    /// How its circle is, for one without a server.
    #[serde(default)]
    pub circle: Option<Circle>,
    /// URLs of its relays.
    pub relays: Vec<String>,
    /// This node's nickname there, once it is known.
    #[serde(default)]
    pub nick: Option<String>,
    /// Whether its directory is at hand.
    pub state: NetworkState,
    /// How many are in it, as last heard; this node included.
    #[serde(default)]
    pub members: Option<u64>,
    /// How many of them are online, as last heard; this node included.
    #[serde(default)]
    pub members_online: Option<u64>,
    /// Shares of this node that are published there.
    #[serde(default)]
    pub shares: u64,
    /// Version of its signed record.
    pub sequence: u64,
    /// Number of the list of revoked members that this node knows; 0 if there is none.
    #[serde(default)]
    pub revocations: u64,
}

/// The circle of a network without a server, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Circle {
    /// How many members keep each record.
    pub replicas: u8,
    /// How many stand on it, this node included; 0 if this node does not.
    pub peers: u64,
    /// Whether they are counted; else they are reckoned.
    pub peers_counted: bool,
}

/// A tracker of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackerAddress {
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// Where it listens.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
}

/// Whether the directory of a network is at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum NetworkState {
    /// It answers.
    Online,
    /// It does not answer yet, or not any more; the node goes on trying.
    Connecting {
        /// Why the last try failed, as half a sentence; none during the first one.
        #[serde(default)]
        why: Option<String>,
        /// Milliseconds until the next try, if one is planned.
        #[serde(default)]
        retry_in_ms: Option<u64>,
    },
    /// Nobody tries to reach it: no node is running.
    Away,
    /// It does not want this node any more; nobody tries to reach it.
    Refused {
        /// Why, as half a sentence.
        why: String,
    },
}

/// The networks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Networks {
    /// Each of them, by name.
    pub networks: Vec<NetworkInfo>,
}

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invited {
    /// The text to give away. It is a secret: whoever has it may use it.
    pub invite: String,
    /// Where it admits to.
    pub network: NetworkName,
    /// What the invited may do.
    pub role: Role,
    /// When it stops to admit, in milliseconds since 1970; never for an open network.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// How many peers it admits; any number to an open network.
    #[serde(default)]
    pub uses: Option<u32>,
}

/// A network that was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// The network.
    pub network: NetworkInfo,
    /// This node's nickname there.
    pub nick: String,
    /// For one that was there before: when it was seen last, in milliseconds since 1970.
    #[serde(default)]
    pub returning: Option<u64>,
}

/// Who is in networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    /// By network.
    pub networks: Vec<MembersOf>,
}

/// Who is in one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MembersOf {
    /// The network.
    pub network: NetworkName,
    /// Its members: those online first, then by nickname.
    pub members: Vec<Member>,
    /// How old this is in milliseconds, if the directory does not answer now.
    #[serde(default)]
    pub stale_ms: Option<u64>,
}

/// One member of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// Its nickname.
    pub nick: String,
    /// What it may do.
    pub role: Role,
    /// Whether it is here now.
    pub online: bool,
    /// When it was seen last, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// What it says it is: program and version.
    pub agent: String,
    /// Shares that it publishes.
    pub shares: u64,
    /// Files in them.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Whether it is this node.
    #[serde(default)]
    pub own: bool,
}

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MemberChange {
    /// It is here for the first time.
    New,
    /// It is back.
    Online {
        /// When it was seen before, in milliseconds since 1970.
        last_seen_ms: u64,
    },
    /// It is not here any more.
    Offline,
    /// It has lost its rights.
    Revoked,
    /// It left the network for good.
    Left,
    /// It was refused something.
    Refused {
        /// Why, as half a sentence.
        why: String,
    },
}

/// A member that has lost its rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// The network.
    pub network: NetworkName,
    /// Who it was.
    pub peer: PeerName,
    /// Number of the list of revoked members that names it.
    pub number: u64,
}

/// The round trip to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pinged {
    /// The peer.
    pub peer: PeerName,
    /// What carries the link.
    #[schema(value_type = String)]
    pub path: PathKind,
    /// Its address.
    pub remote: String,
    /// Each round trip, in milliseconds.
    pub times_ms: Vec<f64>,
    /// How many were not answered in time.
    pub lost: u32,
}
