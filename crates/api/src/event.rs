//! What a node tells while it works.

use potluck_base::{ContentId, PathKind, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{CopyEnded, MemberChange, NetworkName, NetworkState, PeerName, Storing};

/// Something that happened. Texts may hold words of peers: escape them where they are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// Files are being hashed, before they are shared or when a target is compared.
    Hashing {
        /// Bytes hashed.
        done: u64,
        /// Bytes to hash.
        total: u64,
        /// Files to hash.
        files: u64,
    },
    /// A command entered a stage.
    Stage {
        /// The content it works on, once that is known.
        #[schema(value_type = Option<String>)]
        #[serde(default)]
        content: Option<ContentId>,
        /// Which stage.
        stage: Stage,
    },
    /// How far a download is; at most ten a second.
    Progress(Progress),
    /// Nothing moves, and why; repeated when the reason changes or a new try is planned.
    Waiting {
        /// The content that waits.
        #[schema(value_type = Option<String>)]
        #[serde(default)]
        content: Option<ContentId>,
        /// What it waits for, as half a sentence: `no provider can be reached`.
        reason: String,
        /// Milliseconds until the next try, if one is planned.
        #[serde(default)]
        retry_in_ms: Option<u64>,
    },
    /// Something that the person should know and that stops nothing.
    Warning {
        /// What.
        text: String,
        /// The path it is about.
        #[serde(default)]
        path: Option<String>,
    },
    /// A peer's link is up.
    PeerJoined {
        /// The peer.
        #[schema(value_type = String)]
        peer: PeerId,
        /// The content it joined, if it is about one.
        #[schema(value_type = Option<String>)]
        #[serde(default)]
        content: Option<ContentId>,
        /// What carries the link.
        #[schema(value_type = String)]
        path: PathKind,
    },
    /// A peer's link is gone.
    PeerLeft {
        /// The peer.
        #[schema(value_type = String)]
        peer: PeerId,
        /// The content it left, if it is about one.
        #[schema(value_type = Option<String>)]
        #[serde(default)]
        content: Option<ContentId>,
    },
    /// A file of a download cannot be had; the others go on.
    FileFailed(FileFailure),
    /// A receiver has everything of a share.
    ReceiverDone {
        /// The share.
        #[schema(value_type = String)]
        content: ContentId,
        /// The receiver.
        #[schema(value_type = String)]
        peer: PeerId,
        /// Receivers that have everything by now.
        count: u64,
    },
    /// A shared file is not what it was when it was hashed; its pieces are no longer offered.
    SourceChanged {
        /// The share.
        #[schema(value_type = String)]
        content: ContentId,
        /// The file.
        path: String,
        /// What happened to it.
        why: String,
    },
    /// A network is in another state for this node.
    Network {
        /// The network.
        network: NetworkName,
        /// The state.
        state: NetworkState,
        /// This node's nickname there, once it is known.
        #[serde(default)]
        nick: Option<String>,
    },
    /// A member of a network came, went or was removed; told by the directory of the network.
    Member {
        /// The network.
        network: NetworkName,
        /// The member.
        peer: PeerName,
        /// What happened.
        change: MemberChange,
    },
    /// How far the copying of a file into a network is; at most ten a second.
    Storing(Storing),
    /// A copy of a file in a network has become whole, or cannot.
    CopyEnded(CopyEnded),
    /// A line of the log, for whoever watches a node.
    Log {
        /// How important.
        level: LogLevel,
        /// What.
        text: String,
    },
}

/// What a command is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Walking folders to be shared.
    Scanning,
    /// Hashing files to be shared.
    Hashing,
    /// Reaching providers.
    Connecting,
    /// Fetching the list of files.
    Manifest,
    /// Verifying what an earlier try left.
    Checking,
    /// Fetching pieces.
    Fetching,
    /// Moving finished files to their place.
    Finishing,
    /// Waiting for a provider.
    Waiting,
    /// Looking for the members that are to have copies.
    Placing,
    /// Sending copies to members.
    Copying,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// The content.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Bytes verified and stored, of those that are wanted.
    pub done: u64,
    /// Bytes wanted.
    pub total: u64,
    /// Bytes a second, lately.
    pub rate_bps: f64,
    /// Seconds to go at this rate, if it moves.
    #[serde(default)]
    pub eta_s: Option<u64>,
    /// Peers linked for this content.
    pub peers: u32,
    /// Files complete.
    pub files_done: u64,
    /// Files wanted.
    pub files_total: u64,
}

/// A file that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileFailure {
    /// The content it belongs to.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// The file.
    pub path: String,
    /// Why.
    pub why: String,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Needs a person.
    Error,
    /// May need a person.
    Warn,
    /// Good to know.
    Info,
    /// For those who look for a fault.
    Debug,
}
