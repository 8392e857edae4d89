//! Files put into a network itself: copies of them live on members, whether or not whoever put them
//! there is here.

use std::path::PathBuf;

use potluck_base::{ContentId, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{NetworkName, PeerName};

/// Files to put into a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreCommand {
    /// The files.
    #[schema(value_type = Vec<String>)]
    pub paths: Vec<PathBuf>,
    /// How many members are to have a copy of each, besides this node.
    #[serde(default = "copies")]
    pub copies: u8,
    /// The network, by name, id or the first characters of its id; needed by a node in several.
    #[serde(default)]
    pub network: Option<String>,
}

/// Copies, if nobody says how many.
const fn copies() -> u8 {
    3
}

/// What to ask about files in networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StoredCommand {
    /// Tells what this node put into networks, and what it holds for others. Answer:
    /// [`crate::Reply::Stored`].
    Ls,
    /// Takes a file of this node's out again; its holders drop their copies. Answer:
    /// [`crate::Reply::StoredRemoved`].
    Rm {
        /// Its name, its content id, or the first characters of its content id.
        what: String,
    },
    /// Looks at every copy now, and makes those that are missing. Answer:
    /// [`crate::Reply::StoredFiles`].
    Repair {
        /// Only this file, as for `rm`; all of this node's if it is not given.
        #[serde(default)]
        what: Option<String>,
    },
}

/// Files of this node's in networks, after they were put there or looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredFiles {
    /// Each of them.
    pub files: Vec<StoredFile>,
    /// Copies that were made just now.
    pub made: u32,
}

/// What this node put into networks, and what it holds for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stored {
    /// Its own files, by network and name.
    pub files: Vec<StoredFile>,
    /// What it holds for others, the oldest first.
    pub held: Vec<HeldFile>,
    /// Bytes that it holds for others.
    pub held_bytes: u64,
    /// Bytes that it is willing to hold: the setting `storage.quota`.
    pub quota: u64,
}

/// One file of this node's in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredFile {
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// The network.
    pub network: NetworkName,
    /// How many copies there should be.
    pub wanted: u8,
    /// The copies, as far as is known: those that are there first.
    pub copies: Vec<StoredCopy>,
    /// Why fewer are there than should be, as half a sentence.
    #[serde(default)]
    pub why: Option<String>,
    /// Until when it is kept unless this node renews it, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// One copy of a file, at a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredCopy {
    /// The member.
    #[serde(flatten)]
    pub peer: PeerName,
    /// How it is.
    pub state: CopyState,
}

/// How a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CopyState {
    /// It is there and whole.
    There,
    /// It is on its way.
    Coming,
    /// It is not there.
    Missing {
        /// Why, as half a sentence.
        why: String,
    },
}

/// A file that this node holds for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldFile {
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its name, in its publisher's words.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// The network.
    pub network: NetworkName,
    /// Who put it there.
    pub by: PeerName,
    /// Until when it is kept, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// A file that was taken out of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredRemoved {
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its name.
    pub name: String,
    /// The network.
    pub network: NetworkName,
    /// Holders that have dropped it already; the others do when they hear of it.
    pub dropped: u32,
    /// Copies that were there.
    pub copies: u32,
}

/// How far the copying of a file into a network is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Storing {
    /// Its content id.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its name.
    pub name: String,
    /// Bytes that are at holders by now, all copies together.
    pub done: u64,
    /// Bytes of all copies that are wanted.
    pub total: u64,
    /// Copies that are there.
    pub copies: u32,
    /// Copies that are wanted.
    pub wanted: u32,
}

/// A copy that has become whole at a holder, or cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyEnded {
    /// The file.
    #[schema(value_type = String)]
    pub content: ContentId,
    /// Its name.
    pub name: String,
    /// The holder.
    pub peer: PeerName,
    /// How it ended.
    pub state: CopyState,
}

impl StoredFile {
    /// How many copies are there.
    pub fn there(&self) -> usize {
        self.copies.iter().filter(|copy| copy.state == CopyState::There).count()
    }

    /// How many copies are missing.
    pub fn missing(&self) -> usize {
        usize::from(self.wanted).saturating_sub(self.there())
    }

    /// Who has a copy.
    pub fn holders(&self) -> impl Iterator<Item = PeerId> {
        let there = self.copies.iter().filter(|copy| copy.state == CopyState::There);
        there.map(|copy| copy.peer.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storing_needs_no_more_than_files() {
        let store: StoreCommand = serde_json::from_str(r#"{"paths":["/a"]}"#).unwrap();
        assert_eq!((store.copies, store.network), (copies(), None));
        let repair: StoredCommand = serde_json::from_str(r#"{"type":"repair"}"#).unwrap();
        assert_eq!(repair, StoredCommand::Repair { what: None });
    }

    #[test]
    fn only_copies_that_are_there_count() {
        let copy = |state| StoredCopy { peer: PeerName::unnamed(PeerId([1; 32])), state };
        let missing = CopyState::Missing { why: "no room".into() };
        let file = StoredFile {
            content: ContentId([1; 32]),
            name: "a".into(),
            bytes: 1,
            network: NetworkName { id: potluck_base::NetworkId([1; 32]), name: "lab".into() },
            wanted: 3,
            copies: vec![copy(CopyState::There), copy(CopyState::Coming), copy(missing)],
            why: None,
            expires_ms: 0,
        };
        assert_eq!((file.there(), file.missing(), file.holders().count()), (1, 2, 1));
    }
}
