//! What a node answers, one variant per command.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use potluck_base::{ContentId, PathKind, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Browsed, Candidates, DhtFingers, DhtFound, DhtKeys, DhtLeft, DhtStatus, FileFailure, Found,
    Invited, Joined, Members, MembersOf, NetworkInfo, NetworkName, Networks, PeerName, Pinged,
    Revoked, Stored, StoredFiles, StoredRemoved, TrackerActed, TrackerFiles, TrackerNetworks,
    TrackerPeers, TrackerStats, TrackerTicket,
};

/// The answer to a command that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Reply {
    /// To `share`.
    Shared(ShareInfo),
    /// To `get`.
    Got(GetResult),
    /// To `list`.
    Listing(Listing),
    /// To `ls`.
    Shares(Shares),
    /// To `unshare`.
    Unshared(Unshared),
    /// To `peers`.
    Peers(Peers),
    /// To `status`.
    Status(Status),
    /// To `id`.
    Id(Identity),
    /// To `paths`.
    Paths(Paths),
    /// To `config-show`.
    Config(ConfigShown),
    /// To `await-receivers`.
    Received(Reached),
    /// To `network-create`.
    NetworkCreated(NetworkInfo),
    /// To `network-ls`.
    Networks(Networks),
    /// To `network-leave`.
    NetworkLeft(NetworkName),
    /// To `network-members`.
    Members(Members),
    /// To `network-revoke`.
    Revoked(Revoked),
    /// To `invite`.
    Invited(Invited),
    /// To `join`.
    Joined(Joined),
    /// To `search`.
    Found(Found),
    /// To `find`.
    Candidates(Candidates),
    /// To `browse`.
    Browsed(Browsed),
    /// To `ping`.
    Pinged(Pinged),
    /// To a circle's `status` and `join`.
    DhtStatus(DhtStatus),
    /// To a circle's `fingers`.
    DhtFingers(DhtFingers),
    /// To a circle's `lookup`.
    DhtFound(DhtFound),
    /// To a circle's `keys`.
    DhtKeys(DhtKeys),
    /// To a circle's `leave`.
    DhtLeft(DhtLeft),
    /// To `store`, and to `repair` of what is stored.
    StoredFiles(StoredFiles),
    /// To `ls` of what is stored.
    Stored(Stored),
    /// To `rm` of what is stored.
    StoredRemoved(StoredRemoved),
    /// To a tracker's `ticket`.
    TrackerTicket(TrackerTicket),
    /// To a tracker's `peers`.
    TrackerPeers(TrackerPeers),
    /// To a tracker's `discover`.
    TrackerFiles(TrackerFiles),
    /// To a tracker's `stats`.
    TrackerStats(TrackerStats),
    /// To a tracker's `kick`, `ban` and `unban`.
    TrackerActed(TrackerActed),
    /// To a tracker's `networks`.
    TrackerNetworks(TrackerNetworks),
    /// To `stop`: the node ends as soon as this is sent.
    Stopping,
}

/// Whether a content is one file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShareKind {
    /// One file; its id is what `b3sum` prints.
    File,
    /// A folder; its id is the hash of its manifest.
    Folder,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareInfo {
    /// Its content id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// File or folder.
    pub kind: ShareKind,
    /// Its name for receivers.
    pub name: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// The ticket to give away; it names the node's present addresses.
    pub ticket: String,
    /// When it was shared first, in milliseconds since 1970.
    pub created_ms: u64,
    /// Where its files are.
    #[schema(value_type = Vec<String>)]
    pub paths: Vec<PathBuf>,
    /// Receivers that have had everything of it so far.
    pub receivers_done: u64,
    /// Whether it was shared already when the command came.
    #[serde(default)]
    pub known_before: bool,
    /// Networks in which it is published; it is listed nowhere if there is none.
    #[serde(default)]
    pub networks: Vec<NetworkName>,
    /// Words that searches find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who may have it.
    #[serde(default)]
    pub audience: Audience,
    /// Whether its files are watched, and what changes there is published.
    #[serde(default)]
    pub watched: bool,
}

/// Who may have a share: whoever one of these rules admits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audience {
    /// Everyone with the ticket.
    pub anyone: bool,
    /// The members of these networks.
    pub networks: Vec<NetworkName>,
    /// These peers.
    pub peers: Vec<PeerName>,
}

impl Default for Audience {
    /// What has a ticket and no rule is for everyone with the ticket.
    fn default() -> Self {
        Self { anyone: true, networks: Vec::new(), peers: Vec::new() }
    }
}

/// What came of a download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GetResult {
    /// The file or folder that is there now.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Its content id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// Bytes of what was wanted.
    pub bytes: u64,
    /// Files of what was wanted.
    pub files: u64,
    /// Files that could not be had, and why; the rest is in place. A door treats this as `corrupt`.
    #[serde(default)]
    pub missing: Vec<FileFailure>,
    /// Milliseconds from command to answer.
    pub elapsed_ms: u64,
    /// Bytes of pieces that came from peers, duplicates included.
    pub fetched_bytes: u64,
    /// Who gave how much.
    pub from_peers: Vec<PeerShare>,
    /// Bytes that an earlier try had left, verified.
    pub resumed_bytes: u64,
    /// Bytes that came more than once.
    pub duplicate_bytes: u64,
}

/// What one peer gave to a download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerShare {
    /// The peer.
    #[schema(value_type = String)]
    pub peer: PeerId,
    /// Bytes of pieces that it gave.
    pub bytes: u64,
    /// Whether the ticket names it as provider.
    pub in_ticket: bool,
}

/// What a ticket holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// Its content id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// File or folder.
    pub kind: ShareKind,
    /// What is in it, in manifest order; for a single file, that file.
    pub entries: Vec<ListingEntry>,
    /// Files in it.
    pub files: u64,
    /// Bytes in it.
    pub bytes: u64,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListingEntry {
    /// Path below the share.
    pub path: String,
    /// Bytes; 0 for what is no file.
    pub bytes: u64,
    /// What it is.
    pub kind: ListingKind,
    /// Whether it may be run.
    pub executable: bool,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListingKind {
    /// A file.
    File,
    /// An empty folder; others show by what is in them.
    Folder,
    /// A symbolic link within the share.
    Link,
}

/// What a node shares and fetches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shares {
    /// What it offers, the newest last.
    pub shares: Vec<ShareInfo>,
    /// What it has not finished fetching.
    pub downloads: Vec<DownloadInfo>,
}

/// A download that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadInfo {
    /// Its content id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// Its name.
    pub name: String,
    /// Where it will be.
    #[schema(value_type = String)]
    pub target: PathBuf,
    /// Bytes verified and stored.
    pub done: u64,
    /// Bytes wanted.
    pub total: u64,
    /// Whether a command is fetching it right now.
    pub running: bool,
}

/// A share that is no longer offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unshared {
    /// Its content id.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// Its name.
    pub name: String,
}

/// Who is linked to a node, and who could be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// The peers, the longest linked first.
    pub peers: Vec<PeerInfo>,
    /// Who is in the networks of this node, linked or not.
    #[serde(default)]
    pub members: Vec<MembersOf>,
}

/// One linked peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfo {
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// What it says it is: program and version.
    pub agent: String,
    /// What carries the link.
    #[schema(value_type = String)]
    pub path: PathKind,
    /// Its address.
    pub remote: String,
    /// Round trip, in milliseconds.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Bytes a second from it, lately.
    pub rate_down_bps: f64,
    /// Bytes a second to it, lately.
    pub rate_up_bps: f64,
    /// Bytes of pieces sent to it.
    pub sent: u64,
    /// Bytes of pieces received from it.
    pub received: u64,
    /// When the link came up, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whether we called it.
    pub dialled: bool,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
    /// Version of the program.
    pub version: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Addresses where peers reach it.
    #[schema(value_type = Vec<String>)]
    pub listening: Vec<SocketAddr>,
    /// Its home.
    #[schema(value_type = String)]
    pub home: PathBuf,
    /// Shares that it offers.
    pub shares: u64,
    /// Downloads that are running.
    pub downloads: u64,
    /// Peers that are linked.
    pub peers: u64,
    /// Each of them: over what, how far away, how fast.
    #[serde(default)]
    pub linked: Vec<PeerInfo>,
    /// The networks that it is a member of.
    #[serde(default)]
    pub networks: Vec<NetworkInfo>,
    /// Where its API listens, if it does.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub api_address: Option<SocketAddr>,
    /// The node's process.
    pub pid: u32,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// Its key.
    #[schema(value_type = String)]
    pub id: PeerId,
}

/// Where a node keeps its things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Paths {
    /// The folder of all of them.
    #[schema(value_type = String)]
    pub home: PathBuf,
    /// The secret key.
    #[schema(value_type = String)]
    pub key: PathBuf,
    /// The configuration file, which need not exist.
    #[schema(value_type = String)]
    pub config: PathBuf,
    /// The database.
    #[schema(value_type = String)]
    pub database: PathBuf,
    /// Address and token of a running node's API.
    #[schema(value_type = String)]
    pub api: PathBuf,
    /// The daemon's log.
    #[schema(value_type = String)]
    pub log: PathBuf,
}

/// Every setting of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigShown {
    /// The settings, by key.
    pub entries: Vec<ConfigEntry>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigEntry {
    /// Its key, as in the file.
    pub key: String,
    /// Its value, as in the file; a secret's value is never shown.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Where a setting comes from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The program's own.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Environment,
    /// A flag of the command.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        })
    }
}

/// As many receivers as were awaited have everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reached {
    /// The share.
    #[schema(value_type = String)]
    pub id: ContentId,
    /// Receivers that have had everything of it so far.
    pub count: u64,
}
