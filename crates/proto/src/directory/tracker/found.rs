//! What a search returns, and what a searcher checks: a tracker may lie.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, bounded, limits};
use potluck_identity::Signed;
use serde::{Deserialize, Serialize};

use crate::directory::record::{
    Entry, EntryKind, Presence, Proof, RecordError, ShareHead, check_expiry,
};

/// Bytes of the name of a foreign protocol or of a host that speaks it.
const SOURCE_BYTES: usize = 255;

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// One for each content, at most [`limits::SEARCH_RESULTS`].
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::SEARCH_RESULTS }>")]
    pub groups: Vec<Group>,
    /// Whether there is more behind the last: ask again with the offset larger by the number of
    /// groups.
    pub more: bool,
    /// Other words that would find something, if these found little.
    #[serde(deserialize_with = "bounded::optional_text::<_, { limits::QUERY_BYTES }>")]
    pub did_you_mean: Option<String>,
    /// Grows with each change of the index.
    pub revision: u64,
}

/// All that was found under one content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which content.
    pub content: ContentId,
    /// Its bytes.
    pub size: u64,
    /// Whether it is a folder.
    pub kind: EntryKind,
    /// How many of all of them are online.
    pub online: u32,
    /// How many peers list it whole.
    pub providers: u32,
    /// How many peers have a part of it.
    pub partial: u32,
    /// When it was changed last, in seconds since 1970.
    pub newest_s: u64,
    /// The best names that it goes by, at most [`limits::GROUP_HITS`].
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::GROUP_HITS }>")]
    pub hits: Vec<Hit>,
}

/// One entry of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Who lists it.
    pub peer: PeerId,
    /// In which share.
    pub share: ShareKey,
    /// What it says of it.
    pub entry: Entry,
    /// That it did say so.
    pub proof: HitProof,
    /// Whether the peer is there now.
    pub online: bool,
    /// When it was last there, in unix milliseconds.
    pub last_seen_ms: u64,
}

/// What a hit rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HitProof {
    /// The peer signed a page in which the entry stands.
    Page(Proof),
    /// The entry is the share itself, and the peer signed its head.
    Head(Signed<ShareHead>),
    /// Nobody signed it: the tracker has it from a client of another protocol. Peer, share and
    /// content mean nothing.
    Unverified {
        /// Which protocol, such as `p2p-ci`.
        #[serde(deserialize_with = "bounded::text::<_, SOURCE_BYTES>")]
        source: String,
        /// Where it can be had, as that client said.
        #[serde(deserialize_with = "bounded::text::<_, SOURCE_BYTES>")]
        host: String,
        /// At which port.
        port: u16,
        /// Under which number.
        number: u32,
    },
}

/// A peer that has a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// Who.
    pub peer: PeerId,
    /// Whether it is there now.
    pub online: bool,
    /// When it was last there, in unix milliseconds.
    pub last_seen_ms: u64,
    /// Where it is, as it said itself.
    pub presence: Option<Signed<Presence>>,
    /// That it has the content.
    pub hit: Hit,
}

/// Whether somebody answers for a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The peer signed it.
    Signed,
    /// Nobody did, and the tracker says so.
    Unverified,
}

impl Hit {
    /// Checks that the peer really says so, by a clock that may be wrong by
    /// [`limits::CLOCK_SKEW`].
    pub fn check(&self, network: &NetworkId, now_ms: u64) -> Result<Standing, RecordError> {
        let (share, expires_ms) = match &self.proof {
            HitProof::Page(proof) => {
                proof.check(network, &self.peer, &self.entry)?;
                (proof.head.value.share, proof.head.value.expires_ms)
            }
            HitProof::Head(signed) => {
                let head = ShareHead::check(signed, network, &self.peer)?;
                if head.entry() != self.entry {
                    return Err(RecordError::Root);
                }
                (head.share, head.expires_ms)
            }
            HitProof::Unverified { .. } => return Ok(Standing::Unverified),
        };
        if share != self.share {
            return Err(RecordError::Share);
        }
        check_expiry(expires_ms, limits::RECORD_LIFETIME, now_ms)?;
        Ok(Standing::Signed)
    }
}

impl Group {
    /// Checks each hit and that it is about this group's content.
    pub fn check(&self, network: &NetworkId, now_ms: u64) -> Result<(), RecordError> {
        for hit in &self.hits {
            let Entry { content, size, kind, .. } = hit.entry;
            let standing = hit.check(network, now_ms)?;
            let same = (content, size, kind) == (self.content, self.size, self.kind);
            if standing == Standing::Signed && !same {
                return Err(RecordError::Root);
            }
        }
        Ok(())
    }
}

impl Found {
    /// Drops every group with something in it that its peer does not say, and returns how many.
    /// A tracker that lies is found out here.
    pub fn drop_lies(&mut self, network: &NetworkId, now_ms: u64) -> usize {
        let before = self.groups.len();
        self.groups.retain(|group| group.check(network, now_ms).is_ok());
        before - self.groups.len()
    }
}

impl ProviderRecord {
    /// Checks that the peer says that it has this content, and where it is.
    pub fn check(
        &self,
        network: &NetworkId,
        content: &ContentId,
        now_ms: u64,
    ) -> Result<Standing, RecordError> {
        let standing = self.hit.check(network, now_ms)?;
        if standing == Standing::Unverified {
            return Ok(standing);
        }
        if self.hit.entry.content != *content {
            return Err(RecordError::Root);
        }
        if self.hit.peer != self.peer {
            return Err(RecordError::Peer);
        }
        if let Some(presence) = &self.presence {
            Presence::check(presence, network, &self.peer)?;
        }
        Ok(standing)
    }
}
