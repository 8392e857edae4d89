//! Networks without a server: what one may ask about this node's place on their circles, and what
//! it answers.
//!
//! A place on a circle is written as 32 hexadecimal digits. Every peer has one, every record lies
//! under one, and whoever stands at or next after a place, clockwise, keeps what lies there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DirectoryKind, NetworkName, PeerName};

/// What to ask about a circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DhtCommand {
    /// Tells where this node stands, between whom, and how the circle is. Answer:
    /// [`crate::Reply::DhtStatus`].
    Status,
    /// Tells the shortcuts across the circle. Answer: [`crate::Reply::DhtFingers`].
    Fingers,
    /// Looks who keeps what lies at a place. Answer: [`crate::Reply::DhtFound`].
    Lookup {
        /// A place, a content id, a peer's id, a nickname or a word.
        what: String,
        /// Whether it is a word even if it could be something else.
        #[serde(default)]
        word: bool,
    },
    /// Tells the records that this node keeps. Answer: [`crate::Reply::DhtKeys`].
    Keys {
        /// How many places to skip, for the next page.
        #[serde(default)]
        offset: u32,
        /// How many places to tell at most, 1 to 10,000.
        #[serde(default = "page")]
        limit: u32,
    },
    /// Hands over the records that this node keeps and steps off the circle. It stays a member,
    /// and is back with the node's next start. Answer: [`crate::Reply::DhtLeft`].
    Leave,
    /// Steps onto the circle again. Answer: [`crate::Reply::DhtStatus`].
    Join,
}

/// Records of one answer, if nobody says how many.
const fn page() -> u32 {
    100
}

/// Somebody on a circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtPeer {
    /// Its place.
    pub place: String,
    /// Who it is.
    #[serde(flatten)]
    pub peer: PeerName,
    /// Whether it is this node.
    #[serde(default)]
    pub own: bool,
}

/// Where a node stands on the circle of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtStatus {
    /// The network.
    pub network: NetworkName,
    /// Chord, or a plain ring.
    pub directory: DirectoryKind,
    /// This node and its place.
    pub own: DhtPeer,
    /// Whether it stands on the circle.
    pub state: DhtState,
    /// Who stands before it; none if it is alone, or does not know yet.
    #[serde(default)]
    pub predecessor: Option<DhtPeer>,
    /// Who stands behind it, the next first; none if it is alone.
    pub successors: Vec<DhtPeer>,
    /// How many it wants to know behind it: the circle holds as long as not all of them fail at
    /// once.
    pub successors_wanted: u32,
    /// The part of the circle whose records it keeps first: from 0 to 1.
    pub part: f64,
    /// How many peers stand on the circle, this node included.
    pub peers: u64,
    /// Whether [`DhtStatus::peers`] is counted; else it is reckoned from how densely the neighbours
    /// stand.
    pub peers_counted: bool,
    /// How many peers are to keep each record.
    pub replicas: u8,
    /// The records that this node keeps.
    pub records: DhtCount,
    /// Its shortcuts, each peer once; none in a plain ring.
    #[serde(default)]
    pub fingers: Vec<DhtFinger>,
    /// What is not as it should be, each as half a sentence; nothing if the circle is sound as far
    /// as this node can tell.
    pub troubles: Vec<String>,
}

/// Whether a node stands on a circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DhtState {
    /// It does, with others.
    Joined,
    /// It does, and nobody else is there.
    Alone,
    /// Not yet: it looks for somebody who does.
    Joining {
        /// Why the last try failed, as half a sentence; none during the first one.
        #[serde(default)]
        why: Option<String>,
    },
    /// It has left until somebody asks it to join, or until it starts again.
    Left,
}

/// How many records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtCount {
    /// Those in the node's own part of the circle.
    pub own: u64,
    /// Copies of those of others.
    pub copies: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// The shortcuts of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtFingers {
    /// The network.
    pub network: NetworkName,
    /// Chord, or a plain ring, which has none.
    pub directory: DirectoryKind,
    /// This node and its place.
    pub own: DhtPeer,
    /// How many peers stand on the circle, as in [`DhtStatus::peers`].
    pub peers: u64,
    /// Whether they are counted, as in [`DhtStatus::peers_counted`].
    pub peers_counted: bool,
    /// The shortcuts, the nearest first.
    pub fingers: Vec<DhtFinger>,
}

/// One shortcut: the first peer at or behind a place half the circle away, or a quarter, or an
/// eighth…
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtFinger {
    /// It starts 2^index behind the node.
    pub index: u8,
    /// The place where it starts.
    pub start: String,
    /// Who it is.
    pub to: DhtPeer,
    /// Milliseconds since it was looked up.
    pub age_ms: u64,
    /// The last round trip to it in milliseconds, if it was ever asked.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
}

/// Who keeps what lies at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtFound {
    /// The network.
    pub network: NetworkName,
    /// What kind of thing was looked for.
    pub kind: DhtTarget,
    /// What was looked for, as it was understood.
    pub what: String,
    /// Its place.
    pub place: String,
    /// Who keeps it first: the first peer at or behind the place.
    pub owner: DhtPeer,
    /// Who stands before the owner.
    #[serde(default)]
    pub predecessor: Option<DhtPeer>,
    /// Who has copies: those behind the owner.
    pub copies: Vec<DhtPeer>,
    /// Who was asked, in order.
    pub path: Vec<DhtHop>,
    /// Peers between this node and the owner on the way that led to it; 0 if this node knew it.
    pub hops: u32,
    /// Peers that did not answer.
    pub timeouts: u32,
    /// Milliseconds from question to answer.
    pub took_ms: f64,
}

/// What kind of thing a place belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DhtTarget {
    /// It is just a place.
    Place,
    /// A content.
    Content,
    /// A peer.
    Peer,
    /// A word, or its beginning.
    Word,
}

/// One step of a lookup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtHop {
    /// Who was asked.
    #[serde(flatten)]
    pub peer: DhtPeer,
    /// Milliseconds that its answer took; none if it did not answer.
    #[serde(default)]
    pub took_ms: Option<f64>,
    /// How many answers led to it.
    pub depth: u32,
}

/// The records that a node keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtKeys {
    /// The network.
    pub network: NetworkName,
    /// This node and its place.
    pub own: DhtPeer,
    /// How many there are in all.
    pub count: DhtCount,
    /// How many there are of each kind, the most frequent first.
    pub kinds: Vec<DhtKind>,
    /// The records of this page, by place and kind.
    pub records: Vec<DhtRecord>,
    /// How many places and kinds there are in all.
    pub groups: u64,
    /// Whether there are more behind these.
    pub more: bool,
}

/// How many records there are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtKind {
    /// The kind, in a word or two: `word`, `presence`, `stored file`.
    pub kind: String,
    /// How many.
    pub count: DhtCount,
}

/// The records of one kind that a node keeps under one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtRecord {
    /// The place under which they lie.
    pub place: String,
    /// Their kind, as in [`DhtKind::kind`].
    pub kind: String,
    /// What they are about, in a few words; they may hold a peer's words.
    pub what: String,
    /// Who signed them, if one peer signed all.
    #[serde(default)]
    pub by: Option<PeerName>,
    /// Whether the place lies in the node's own part; else these are copies.
    pub own: bool,
    /// How many there are.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Until when the last of them counts, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// A circle that was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtLeft {
    /// The network.
    pub network: NetworkName,
    /// Records that were handed over.
    pub handed: u64,
    /// Who stood behind and has them now; none if nobody else was there.
    #[serde(default)]
    pub to: Option<DhtPeer>,
}

impl DhtCount {
    /// Own ones and copies.
    pub const fn all(self) -> u64 {
        self.own + self.copies
    }
}

impl DhtTarget {
    /// The name in front of people.
    pub const fn name(self) -> &'static str {
        match self {
            DhtTarget::Place => "place",
            DhtTarget::Content => "content",
            DhtTarget::Peer => "peer",
            DhtTarget::Word => "word",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_needs_no_more_than_what_it_is_about() {
        let lookup: DhtCommand = serde_json::from_str(r#"{"type":"lookup","what":"a"}"#).unwrap();
        assert_eq!(lookup, DhtCommand::Lookup { what: "a".into(), word: false });
        let keys: DhtCommand = serde_json::from_str(r#"{"type":"keys"}"#).unwrap();
        assert_eq!(keys, DhtCommand::Keys { offset: 0, limit: page() });
        assert!(serde_json::from_str::<DhtCommand>(r#"{"type":"keys","limits":3}"#).is_err());
    }
}
