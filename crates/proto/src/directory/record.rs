//! What peers publish: where they are, what they share, and its files in pages.
//!
//! Goals: a directory can keep and hand on these records but not forge them, and one entry can be
//! proved to a searcher without the list that it stands in. So the peer signs the root of a hash
//! tree over each page of entries, and a hit carries the path from its entry to that root.
//!
//! Non-goals: hiding what is shared from the directory; proving that a list is complete.
//!
//! Each record has a sequence number and a lifetime. A newer record takes the place of an older
//! one; nothing is ever signed for good.

mod page;
mod tree;

use std::net::SocketAddr;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerId, RelPath, ShareKey, bounded, limits};
use potluck_identity::{Signed, Statement};
use serde::{Deserialize, Serialize};

pub use page::{Page, PageHead, Place, Proof};
pub use tree::{leaf, path_of, paths_of, root_of, share_digest};

use crate::bounded::{addresses, relay};
use crate::hello::AGENT_BYTES;

/// Where a peer is. It says so itself, every [`limits::PRESENCE_LIFETIME`] at the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// In which network.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// The name under which it is registered.
    #[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")]
    pub nick: String,
    /// Where it listens, at most [`limits::PEER_ADDRS`].
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<SocketAddr>,
    /// The URL of the relay that it uses.
    #[serde(deserialize_with = "relay")]
    pub relay: Option<String>,
    /// Its program, for people.
    #[serde(deserialize_with = "bounded::text::<_, AGENT_BYTES>")]
    pub agent: String,
    /// Where it answers requests of P2P-CI/1.0, if it does.
    pub p2p_ci: Option<SocketAddr>,
    /// Counts what this peer has signed.
    pub sequence: u64,
    /// Until when this counts, in unix milliseconds.
    pub expires_ms: u64,
}

impl Statement for Presence {
    const DOMAIN: &'static str = "presence";
}

/// One thing that a peer shares: a file, or a folder whose files stand in pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareHead {
    /// In which network.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// Names it for as long as it is published.
    pub share: ShareKey,
    /// What it is called: one name, as in a path.
    #[serde(deserialize_with = "bounded::text::<_, { limits::NAME_BYTES }>")]
    pub name: String,
    /// Words that are not in the name, at most [`limits::TAGS`] of [`limits::TAG_BYTES`].
    #[serde(deserialize_with = "bounded::texts::<_, { limits::TAGS }, { limits::TAG_BYTES }>")]
    pub tags: Vec<String>,
    /// Its content at the moment.
    pub content: ContentId,
    /// Whether it is a folder.
    pub kind: EntryKind,
    /// Bytes of all its files.
    pub size: u64,
    /// How many files it has.
    pub files: u32,
    /// Whether this peer has only a part of it yet.
    pub partial: bool,
    /// Into how many pages its files are put: a power of two, at most [`limits::PAGES`].
    pub pages: u16,
    /// Counts what this peer has signed.
    pub sequence: u64,
    /// Until when this counts, in unix milliseconds.
    pub expires_ms: u64,
}

impl Statement for ShareHead {
    const DOMAIN: &'static str = "share";
}

/// A share is no longer published; nothing that was signed before counts any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// In which network.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// Which.
    pub share: ShareKey,
    /// Counts what this peer has signed.
    pub sequence: u64,
}

impl Statement for Withdrawal {
    const DOMAIN: &'static str = "withdrawal";
}

/// What stands in a list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// One file, or empty folder, of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is below the share, at most [`limits::PATH_BYTES`]; the name of a share that is
    /// one file.
    #[serde(deserialize_with = "bounded::text::<_, { limits::PATH_BYTES }>")]
    pub path: String,
    /// What it is.
    pub content: ContentId,
    /// Its bytes.
    pub size: u64,
    /// Whether it is a folder.
    pub kind: EntryKind,
    /// Whether it may be executed.
    pub executable: bool,
    /// When it was changed, in seconds since 1970.
    pub modified_s: u64,
}

/// Why a record is refused. Whoever sent it is to blame, or its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not signed by the peer that it names.
    #[error("the signature is wrong")]
    Signature,
    /// For another network.
    #[error("it belongs to another network")]
    Network,
    /// Of another peer.
    #[error("it belongs to another peer")]
    Peer,
    /// Of another share.
    #[error("it belongs to another share")]
    Share,
    /// A name that no file can have.
    #[error("a name cannot be that of a file")]
    Name,
    /// A nickname against the rules.
    #[error("the nickname is not allowed")]
    Nick,
    /// The number of pages is not a power of two, or too large.
    #[error("the number of pages is not allowed")]
    Pages,
    /// More entries or bytes than a page may have, or not as many as it says.
    #[error("the number of entries is wrong")]
    Entries,
    /// An entry stands behind one that sorts after it, or twice.
    #[error("the entries are not in order")]
    Order,
    /// An entry stands in a page that it does not belong to.
    #[error("an entry stands in the wrong page")]
    Place,
    /// The entries do not hash to the root.
    #[error("the entries do not hash to what was signed")]
    Root,
    /// It no longer counts.
    #[error("it has expired")]
    Expired,
    /// It would count for too long.
    #[error("it expires too late")]
    TooLong,
}

impl Presence {
    /// Whether it is of this peer in this network, and within the rules; says nothing about time.
    pub fn check<'a>(
        signed: &'a Signed<Self>,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<&'a Self, RecordError> {
        let Self { network: of, peer: by, .. } = &signed.value;
        let presence = check_signed(signed, (of, network), (by, peer))?;
        if nick_folded(&presence.nick).is_none() { Err(RecordError::Nick) } else { Ok(presence) }
    }
}

impl ShareHead {
    /// Whether it is of this peer in this network, and within the rules; says nothing about time.
    pub fn check<'a>(
        signed: &'a Signed<Self>,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<&'a Self, RecordError> {
        let Self { network: of, peer: by, .. } = &signed.value;
        let head = check_signed(signed, (of, network), (by, peer))?;
        check_pages(head.pages)?;
        RelPath::parse_name(&head.name).map_err(|_| RecordError::Name)?;
        Ok(head)
    }

    /// The share itself as an entry: what a search finds when it finds a folder.
    pub fn entry(&self) -> Entry {
        Entry {
            path: self.name.clone(),
            content: self.content,
            size: self.size,
            kind: self.kind,
            executable: false,
            modified_s: self.sequence / 1000,
        }
    }
}

impl Withdrawal {
    /// Whether it is of this peer in this network.
    pub fn check<'a>(
        signed: &'a Signed<Self>,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<&'a Self, RecordError> {
        let Self { network: of, peer: by, .. } = &signed.value;
        check_signed(signed, (of, network), (by, peer))
    }
}

/// Whether a record counts now, by a clock that may be wrong by [`limits::CLOCK_SKEW`].
///
/// `lifetime` is how long such a record may count at most.
pub fn check_expiry(expires_ms: u64, lifetime: Duration, now_ms: u64) -> Result<(), RecordError> {
    let skew = ms(limits::CLOCK_SKEW);
    if expires_ms.saturating_add(skew) < now_ms {
        Err(RecordError::Expired)
    } else if expires_ms > now_ms.saturating_add(ms(lifetime)).saturating_add(skew) {
        Err(RecordError::TooLong)
    } else {
        Ok(())
    }
}

/// The form of a nickname by which it is compared: no case, no spaces around it. None if it is
/// against the rules: 1 to [`limits::NICK_CHARS`] characters, none of which acts instead of being
/// shown.
pub fn nick_folded(nick: &str) -> Option<String> {
    let trimmed = nick.trim();
    let length = trimmed.chars().count();
    let plain = potluck_base::escape(trimmed, limits::NICK_CHARS) == trimmed;
    let fits = (1..=limits::NICK_CHARS).contains(&length) && trimmed.len() <= limits::NICK_BYTES;
    (fits && plain).then(|| trimmed.chars().flat_map(char::to_lowercase).collect())
}

/// The page that an entry belongs to: the first bits of the hash of its path.
///
/// # Panics
/// If `pages` is not a power of two up to [`limits::PAGES`].
pub fn page_of(path: &str, pages: u16) -> u16 {
    check_pages(pages).expect("the number of pages is a power of two within its limit");
    let hash = potluck_content::hash(path.as_bytes()).0;
    let bits = u32::from(u16::from_be_bytes([hash[0], hash[1]]));
    (bits >> (16 - pages.trailing_zeros())) as u16
}

/// How many pages a share of so many files has: about 64 files in each, so that a change of one
/// file sends little, and a thousand files are no more than sixteen records.
///
/// If paths are so long that a page exceeds [`limits::PAGE_BYTES`], take twice as many.
pub fn pages_for(files: usize) -> u16 {
    let wanted = files.div_ceil(64).clamp(1, usize::from(limits::PAGES));
    wanted.next_power_of_two() as u16
}

fn check_pages(pages: u16) -> Result<(), RecordError> {
    let fits = pages.is_power_of_two() && pages <= limits::PAGES;
    if fits { Ok(()) } else { Err(RecordError::Pages) }
}

/// Whether a record is of the network and the peer that it should be of. Each pair is what it says
/// and what is expected.
fn check_signed<'a, T: Statement>(
    signed: &'a Signed<T>,
    (of, network): (&NetworkId, &NetworkId),
    (by, peer): (&PeerId, &PeerId),
) -> Result<&'a T, RecordError> {
    if of != network {
        return Err(RecordError::Network);
    }
    if by != peer {
        return Err(RecordError::Peer);
    }
    signed.verify(peer).map_err(|_| RecordError::Signature)
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
