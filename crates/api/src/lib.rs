//! What one may ask a node and what it answers; the only language of all doors.
//!
//! A door sends one [`Command`] and reads [`Line`]s: any number of [`Event`]s, then one
//! [`Outcome`]. All of it is JSON with a `type` in kebab-case; numbers of bytes are bytes,
//! durations name their unit.

mod command;
mod dht;
mod door;
mod error;
mod event;
mod network;
mod reply;
mod search;
mod stored;
mod tracker;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use command::{Command, GetCommand, OnExists, ShareCommand};
pub use dht::{
    DhtCommand, DhtCount, DhtFinger, DhtFingers, DhtFound, DhtHop, DhtKeys, DhtKind, DhtLeft,
    DhtPeer, DhtRecord, DhtState, DhtStatus, DhtTarget,
};
pub use door::{API_FILE, API_VERSION, ApiFile, Health};
pub use error::{ApiError, ErrorKind};
pub use event::{Event, FileFailure, LogLevel, Progress, Stage};
pub use network::{
    Circle, DirectoryKind, InviteCommand, Invited, Joined, Member, MemberChange, Members,
    MembersOf, NetworkCreate, NetworkInfo, NetworkName, NetworkState, Networks, PeerName, Pinged,
    Policy, Revoked, Role, TrackerAddress,
};
pub use reply::{
    Audience, ConfigEntry, ConfigShown, DownloadInfo, GetResult, Identity, Listing, ListingEntry,
    ListingKind, Origin, Paths, PeerInfo, PeerShare, Peers, Reached, Reply, ShareInfo, ShareKind,
    Shares, Status, Unshared,
};
pub use search::{
    BrowseCommand, Browsed, BrowsedEntry, BrowsedShare, Candidate, Candidates, FileType, Found,
    FoundGroup, FoundHit, NetworkFailure, SearchCommand, Sort,
};
pub use stored::{
    CopyEnded, CopyState, HeldFile, StoreCommand, Stored, StoredCommand, StoredCopy, StoredFile,
    StoredFiles, StoredRemoved, Storing,
};
pub use tracker::{
    P2pCiStats, RefusedCount, TrackerAct, TrackerActed, TrackerCommand, TrackerFile, TrackerFiles,
    TrackerNetwork, TrackerNetworks, TrackerPeer, TrackerPeers, TrackerStats, TrackerTicket,
};

/// How a command ended: the last line of its stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done.
    Done {
        /// What came of it.
        reply: Reply,
    },
    /// It failed.
    Failed {
        /// Why.
        error: ApiError,
    },
}

impl From<Result<Reply, ApiError>> for Outcome {
    fn from(result: Result<Reply, ApiError>) -> Self {
        match result {
            Ok(reply) => Self::Done { reply },
            Err(error) => Self::Failed { error },
        }
    }
}

impl From<Outcome> for Result<Reply, ApiError> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done { reply } => Ok(reply),
            Outcome::Failed { error } => Err(error),
        }
    }
}

/// One line of a command's stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Line {
    /// The last one.
    Outcome(Outcome),
    /// Any other.
    Event(Event),
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use potluck_base::{ContentId, PathKind, PeerId};

    use super::*;

    #[test]
    fn a_command_is_json_that_a_person_can_type() {
        let command: Command =
            serde_json::from_str(r#"{"type":"share","paths":["/tmp/a"]}"#).unwrap();
        let share = ShareCommand { paths: vec![PathBuf::from("/tmp/a")], ..Default::default() };
        assert_eq!(command, Command::Share(share));
        let command: Command = serde_json::from_str(r#"{"type":"get","ticket":"pot1x"}"#).unwrap();
        let get = GetCommand { ticket: "pot1x".into(), ..Default::default() };
        assert_eq!(command, Command::Get(get));
        let command: Command =
            serde_json::from_str(r#"{"type":"tracker-do","what":{"type":"kick","peer":"ann"}}"#)
                .unwrap();
        let kick = TrackerCommand::Kick { peer: "ann".into() };
        assert_eq!(command, Command::TrackerDo { what: kick });
        assert_eq!(serde_json::to_string(&Command::Ls).unwrap(), r#"{"type":"ls"}"#);
    }

    #[test]
    fn a_command_with_an_unknown_field_is_refused() {
        for typo in [
            r#"{"type":"get","ticket":"pot1x","overwrite":true}"#,
            r#"{"type":"search","words":"a","limits":3}"#,
            r#"{"type":"join","invite":"potin1x","nickname":"ann"}"#,
            r#"{"type":"store","paths":[],"copy":3}"#,
            r#"{"type":"dht-do","what":{"type":"status"},"net":"lab"}"#,
        ] {
            assert!(serde_json::from_str::<Command>(typo).is_err(), "{typo}");
        }
    }

    #[test]
    fn every_line_of_a_stream_comes_back_as_it_was() {
        let id = ContentId([7; 32]);
        let lines = [
            Line::Event(Event::Hashing { done: 1, total: u64::MAX, files: 3 }),
            Line::Event(Event::PeerJoined {
                peer: PeerId([1; 32]),
                content: Some(id),
                path: PathKind::DirectTcp,
            }),
            Line::Outcome(Outcome::Done { reply: Reply::Stopping }),
            Line::Outcome(Outcome::Done {
                reply: Reply::Unshared(Unshared { id, name: "films".into() }),
            }),
            Line::Outcome(Outcome::Failed {
                error: ApiError::new(ErrorKind::NoSpace, "the disk is full").hint("make room"),
            }),
        ];
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }
}
