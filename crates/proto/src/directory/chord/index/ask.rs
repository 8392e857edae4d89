//! What those who keep a key can be asked about its records, and what they answer.

use potluck_base::{ContentId, PeerId, ShareKey, bounded, limits};
use potluck_identity::Signed;
use serde::{Deserialize, Serialize};

use super::record::{Deposit, Files, Redeemed};
use crate::directory::record::{Presence, ShareHead};
use crate::directory::tracker::{Group, ProviderRecord, Query};

/// A question about the records under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How many entries are there? [`Told::Count`].
    Count,
    /// Which of the entries fit this? [`Told::Found`].
    Search(Query),
    /// Who has this content? [`Told::Providers`].
    Providers {
        /// Which content.
        content: ContentId,
        /// How many to leave out.
        offset: u32,
    },
    /// Where are the peers whose presence is there? [`Told::Presences`].
    Presence,
    /// What does the peer share? [`Told::Shares`].
    Shares {
        /// Go on behind this one.
        after: Option<ShareKey>,
    },
    /// What is in these pages? [`Told::Files`].
    Files {
        /// Go on behind this page, and this part of it.
        after: Option<(u16, u8)>,
    },
    /// Who has put this file into the network? [`Told::Deposits`].
    Deposits,
    /// Who has used this invite? [`Told::Redemptions`].
    Redemptions {
        /// Who made it: anybody who has it could sign for another one with the same key.
        issuer: PeerId,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What there is under the key.
    pub told: Told,
    /// Whether there may be more under the keys that follow from it
    /// ([`Term::children`](super::Term::children)).
    pub full: bool,
}

/// What there is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// So many entries.
    Count(u64),
    /// What fits a query.
    Found(FoundHere),
    /// Who has a content.
    Providers {
        /// Those that have all of it first; nobody says who is online.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::PROVIDERS }>")]
        providers: Vec<ProviderRecord>,
        /// Whether there are more behind the last.
        more: bool,
        /// The numbers of the records that were looked at, if others may stand elsewhere.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::RING_SEEN }>")]
        seen: Vec<Seen>,
    },
    /// Where peers are, in order of their keys.
    Presences(
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::RING_PRESENCES }>")]
        Vec<Signed<Presence>>,
    ),
    /// What a peer shares.
    Shares {
        /// In order of their keys.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::BROWSE_ENTRIES }>")]
        shares: Vec<Signed<ShareHead>>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// What is in some pages.
    Files {
        /// In order of pages and parts.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::BROWSE_ENTRIES }>")]
        files: Vec<Files>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// Who has put a file into the network, and who of them has taken it back.
    Deposits(
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::PROVIDERS }>")]
        Vec<Signed<Deposit>>,
    ),
    /// Who has used an invite, the first first, as many as may.
    Redemptions(
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::RING_REDEMPTIONS }>")]
        Vec<Redeemed>,
    ),
}

/// What fits a query under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundHere {
    /// One for each content, the best first.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::SEARCH_RESULTS }>")]
    pub groups: Vec<GroupHere>,
    /// Whether there is more behind the last.
    pub more: bool,
    /// The numbers of the records that were looked at, if others may stand elsewhere.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::RING_SEEN }>")]
    pub seen: Vec<Seen>,
}

/// What was found under one content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHere {
    /// The content with its best names. Who keeps a key does not know who is online: nobody is.
    pub group: Group,
    /// Some of those who have it, and whether they have only a part.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::RING_GROUP_PEERS }>")]
    pub peers: Vec<(PeerId, bool)>,
}

/// The newest that is known of one page of a share. An older record of it may stand under another
/// key to which it was sent on for want of room; by this it is known to count no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// Which page, as a number that follows from its names.
    pub page: u64,
    /// Its sequence number.
    pub sequence: u64,
}
