//! What members of a network without trackers say to each other on a link: the messages of their
//! machines, and what keeps the network itself the same for all of them.

use potluck_base::{NetworkId, PeerAddr};
use potluck_identity::{NetworkRecord, Revocations, Signed};
use serde::{Deserialize, Serialize};

use crate::bounded::ring_message;
use crate::directory::chord::Message;
use crate::directory::chord::index::{Answer, Question, Record};

/// A message between two members' machines, with peers as they are named on the wire.
pub type RingMessage = Message<PeerAddr, Record, Question, Answer>;

/// What stands in a frame between members of a network without trackers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircleFrame {
    /// Which network. Only what a member of it says is heard.
    pub network: NetworkId,
    /// What.
    pub body: CircleBody,
}

/// What one member says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CircleBody {
    /// Something between their machines.
    Ring(#[serde(deserialize_with = "ring_message")] RingMessage),
    /// What the sender knows of the network itself: whoever has something newer sends it.
    Have(Known),
    /// A newer record.
    Record(Signed<NetworkRecord>),
    /// A newer list of revoked members, or another one with the same number.
    Revoked(Revocations),
}

/// Which record and which list of revoked members somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The sequence number of the record.
    pub record: u64,
    /// The number of the list.
    pub list: u64,
    /// The first bytes of the BLAKE3 hash of the revoked peers in order: two admins at once may
    /// make two lists with one number.
    pub revoked: [u8; 8],
}

impl Known {
    /// What is known of this record and this list.
    pub fn of(record: &NetworkRecord, list: &Revocations) -> Self {
        let mut peers: Vec<[u8; 32]> = list.revoked().iter().map(|one| one.peer.0).collect();
        peers.sort_unstable();
        let hash = potluck_content::hash(&peers.concat()).0;
        Self {
            record: record.sequence,
            list: list.number(),
            revoked: std::array::from_fn(|index| hash[index]),
        }
    }
}
