//! What a directory finds, after what it said has been checked.

use std::collections::BTreeSet;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey};
use potluck_proto::directory::record::{Entry, EntryKind};

/// Contents that fit a query, one page of them.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Contents, each once, the best first.
    pub groups: Vec<Group>,
    /// Whether there is more.
    pub more: bool,
    /// Words that would have found something.
    pub did_you_mean: Option<String>,
    /// Milliseconds since the directory last said so, if it cannot be asked now.
    pub stale_ms: Option<u64>,
}

/// One content, and who has it under which names.
#[derive(Clone, Debug)]
pub struct Group {
    /// The content.
    pub content: ContentId,
    /// Bytes in it.
    pub size: u64,
    /// File or folder.
    pub kind: EntryKind,
    /// Providers that are there now.
    pub online: u32,
    /// All of them.
    pub providers: u32,
    /// Those that have only a part.
    pub partial: u32,
    /// When its newest file was changed, seconds since 1970.
    pub newest_s: u64,
    /// Some of them, at most [`potluck_base::limits::GROUP_HITS`].
    pub hits: Vec<Hit>,
    /// Where it was found.
    pub networks: BTreeSet<NetworkId>,
}

impl Group {
    /// A content that nobody has yet.
    pub fn new(network: NetworkId, content: ContentId, size: u64, kind: EntryKind) -> Self {
        Self {
            content,
            size,
            kind,
            online: 0,
            providers: 0,
            partial: 0,
            newest_s: 0,
            hits: Vec::new(),
            networks: BTreeSet::from([network]),
        }
    }
}

/// One provider's name for a content.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Who offers it, and in which share.
    pub by: Offered,
    /// What it is called there.
    pub entry: Entry,
    /// Whether the provider is there now.
    pub online: bool,
    /// When it was seen last, unix milliseconds.
    pub last_seen_ms: u64,
}

/// Who offers something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// A member, who has signed for it.
    Member(PeerId, ShareKey),
    /// An old client that speaks P2P-CI: nobody vouches for what its file holds.
    Outside(Outside),
}

/// A file of a P2P-CI peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The peer's machine.
    pub host: String,
    /// Where it serves.
    pub port: u16,
    /// The number by which it is asked for.
    pub number: u32,
}

/// A peer that has a content, as far as a directory knows.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The peer.
    pub peer: PeerId,
    /// What it is called in the network.
    pub nick: String,
    /// Where it is said to be.
    pub address: PeerAddr,
    /// Whether it is there now.
    pub online: bool,
    /// When it was seen last, unix milliseconds.
    pub last_seen_ms: u64,
    /// Whether it has only a part so far.
    pub partial: bool,
    /// What it calls the content.
    pub entry: Entry,
}

/// Where a peer is.
#[derive(Clone, Debug)]
pub struct Located {
    /// Its places.
    pub address: PeerAddr,
    /// What it is called in the network.
    pub nick: String,
    /// Whether it is there now.
    pub online: bool,
    /// When it was seen last, unix milliseconds.
    pub last_seen_ms: u64,
}
