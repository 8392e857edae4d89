//! What stands on the circle: the signed records of peers, each under a term that it belongs to.
//!
//! A record names its publisher, so whoever keeps it can check it without asking anybody, and
//! whoever is told of it can check it again. Its slot follows from who published it and what part
//! of it this is; what is newer takes the place of what is older there.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, bounded, limits};
use potluck_identity::{Capability, Redemption, Signed, Statement};
use serde::{Deserialize, Serialize};

use super::term::Term;
use crate::directory::chord::Slot;
use crate::directory::record::{
    Entry, EntryKind, PageHead, Presence, Proof, ShareHead, Withdrawal, leaf, ms, path_of, paths_of,
};
use crate::directory::tracker::HitProof;

/// Bits of a version that tell how much of a page there is: more than it can have entries.
const COUNT_BITS: u32 = 10;
/// The last sequence number that a record on the circle may have: versions are made of two.
pub(super) const SEQUENCE_MAX: u64 = (1 << (u64::BITS - COUNT_BITS - 2)) - 1;

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Entries of one page of a share.
    Files(Box<Files>),
    /// A share itself.
    Share(Box<Heading>),
    /// Nothing any more.
    Gone(Box<Gone>),
    /// Where a peer is.
    Presence(Box<Placed>),
    /// A file that is to be stored.
    Deposit(Box<Stored>),
    /// The use of an invite.
    Redeemed(Box<Redeemed>),
}

/// Those entries of one page of a share that belong under a term; nothing, if none do any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Under what.
    pub term: Term,
    /// Of which share.
    pub head: Signed<ShareHead>,
    /// Of which page.
    pub page: Signed<PageHead>,
    /// Counts the records that hold the entries of one page together, from 0, where they are too
    /// long for one.
    pub part: u8,
    /// The entries.
    pub entries: Entries,
}

/// Entries with what proves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entries {
    /// All of the page, which need no proof each.
    All(#[serde(deserialize_with = "bounded::list::<_, _, { limits::PAGE_ENTRIES }>")] Vec<Entry>),
    /// Some of them, in order.
    Some(
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::PAGE_ENTRIES }>")] Vec<Proved>,
    ),
}

/// An entry of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// Which of the page it is, counted from 0.
    pub index: u16,
    /// The hashes on its way to the root, lowest first.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::PROOF_HASHES }>")]
    pub siblings: Vec<[u8; 32]>,
    /// What stands there.
    pub entry: Entry,
}

/// A share itself: in the list of its peer's shares, and as a folder that is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Under what.
    pub term: Term,
    /// Which.
    pub head: Signed<ShareHead>,
}

/// That something stands here no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Under what it stood.
    pub term: Term,
    /// Which page it was; none for the share itself.
    pub page: Option<u16>,
    /// Which part of it.
    pub part: u8,
    /// What the peer says about it.
    pub why: Why,
}

/// Why something stands somewhere no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The share is no longer published. Whatever stands under the same key of this share and is
    /// older counts no more, too.
    Withdrawn(Signed<Withdrawal>),
    /// The share has no such page any more, or has another name or content.
    Changed(Signed<ShareHead>),
}

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Under what: the peer, or its name.
    pub term: Term,
    /// Where.
    pub presence: Signed<Presence>,
}

/// A file that is to be stored in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Under what.
    pub term: Term,
    /// Which file.
    pub deposit: Signed<Deposit>,
}

/// The use of an invite. Nobody can keep two peers from using one invite at the same moment; that
/// more peers than may have used it is seen by all who ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// Under what.
    pub term: Term,
    /// What the invite is worth.
    pub capability: Signed<Capability>,
    /// Who used it.
    pub redemption: Signed<Redemption>,
}

/// A peer puts a file into the network: copies of its bytes are kept by those who keep this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// In which network.
    pub network: NetworkId,
    /// Who.
    pub peer: PeerId,
    /// What: a file, or the manifest of a folder.
    pub content: ContentId,
    /// What it is called: one name, as in a path.
    #[serde(deserialize_with = "bounded::text::<_, { limits::NAME_BYTES }>")]
    pub name: String,
    /// Its bytes; of a folder, those of all its files.
    pub size: u64,
    /// Whether it is a folder.
    pub kind: EntryKind,
    /// How many others are to keep it, at most [`limits::DEPOSIT_COPIES`].
    pub copies: u8,
    /// Counts what this peer has signed.
    pub sequence: u64,
    /// Until when this counts, in unix milliseconds.
    pub expires_ms: u64,
    /// Whether the peer has taken it back: nobody needs to keep it on its behalf.
    pub removed: bool,
}

impl Statement for Deposit {
    const DOMAIN: &'static str = "deposit";
}

impl Record {
    /// Under what it stands.
    pub fn term(&self) -> &Term {
        match self {
            Self::Files(files) => &files.term,
            Self::Share(heading) => &heading.term,
            Self::Gone(gone) => &gone.term,
            Self::Presence(placed) => &placed.term,
            Self::Deposit(stored) => &stored.term,
            Self::Redeemed(redeemed) => &redeemed.term,
        }
    }

    /// Who published it.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Files(files) => files.head.value.peer,
            Self::Share(heading) => heading.head.value.peer,
            Self::Gone(gone) => gone.why.share().0,
            Self::Presence(placed) => placed.presence.value.peer,
            Self::Deposit(stored) => stored.deposit.value.peer,
            Self::Redeemed(redeemed) => redeemed.redemption.value.peer,
        }
    }

    /// The same under another term.
    pub(super) fn under(&self, term: Term) -> Self {
        let mut moved = self.clone();
        match &mut moved {
            Self::Files(files) => files.term = term,
            Self::Share(heading) => heading.term = term,
            Self::Gone(gone) => gone.term = term,
            Self::Presence(placed) => placed.term = term,
            Self::Deposit(stored) => stored.term = term,
            Self::Redeemed(redeemed) => redeemed.term = term,
        }
        moved
    }

    /// What it takes the place of.
    pub(super) fn slot(&self) -> Slot {
        match self {
            Self::Files(files) => {
                let head = &files.head.value;
                share_slot(&head.peer, &head.share, Some(files.page.value.page), files.part)
            }
            Self::Share(heading) => {
                let head = &heading.head.value;
                share_slot(&head.peer, &head.share, None, 0)
            }
            Self::Gone(gone) => {
                let (peer, share) = gone.why.share();
                share_slot(&peer, &share, gone.page, gone.part)
            }
            Self::Presence(placed) => slot_of(&[b"presence", &placed.presence.value.peer.0]),
            Self::Deposit(stored) => slot_of(&[b"deposit", &stored.deposit.value.peer.0]),
            Self::Redeemed(used) => slot_of(&[b"redeemed", &used.redemption.value.peer.0]),
        }
    }

    /// Grows with each change.
    ///
    /// Of a page, the number of its share and its own count, as either can change without the
    /// other; and of two records about the same page the one with more entries is newer: a part of
    /// them, which any member could put in their place, is not.
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Files(files) => {
                version(files.head.value.sequence, files.page.value.sequence, files.entries.len())
            }
            Self::Share(heading) => {
                let sequence = heading.head.value.sequence;
                version(sequence, sequence, 1)
            }
            Self::Gone(gone) => match &gone.why {
                Why::Withdrawn(gone) => {
                    version(gone.value.sequence, gone.value.sequence, (1 << COUNT_BITS) - 1)
                }
                Why::Changed(head) => version(head.value.sequence, head.value.sequence, 0),
            },
            Self::Presence(placed) => placed.presence.value.sequence,
            Self::Deposit(stored) => stored.deposit.value.sequence,
            // The first use counts, wherever it is told of first.
            Self::Redeemed(redeemed) => u64::MAX - redeemed.redemption.value.at_ms,
        }
    }

    /// Until when it counts.
    pub(super) fn expires_ms(&self) -> u64 {
        match self {
            Self::Files(files) => files.head.value.expires_ms.min(files.page.value.expires_ms),
            Self::Share(heading) => heading.head.value.expires_ms,
            Self::Gone(gone) => match &gone.why {
                Why::Withdrawn(gone) => withdrawal_expires_ms(&gone.value),
                Why::Changed(head) => head.value.expires_ms,
            },
            Self::Presence(placed) => placed.presence.value.expires_ms,
            Self::Deposit(stored) => stored.deposit.value.expires_ms,
            Self::Redeemed(redeemed) => redeemed.capability.value.expires_ms,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Files(files) => files.bytes(),
            Self::Share(heading) => 64 + head_bytes(&heading.head),
            Self::Gone(gone) => match &gone.why {
                Why::Withdrawn(_) => 220,
                Why::Changed(head) => 64 + head_bytes(head),
            },
            Self::Presence(placed) => {
                let Presence { nick, agent, relay, addresses, .. } = &placed.presence.value;
                let texts = nick.len() + agent.len() + relay.as_ref().map_or(0, String::len);
                256 + texts + 20 * addresses.len()
            }
            Self::Deposit(stored) => 224 + stored.deposit.value.name.len(),
            Self::Redeemed(_) => 400,
        }
    }
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::All(entries) => entries.len(),
            Self::Some(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        let (all, some) = match self {
            Self::All(entries) => (&entries[..], &[][..]),
            Self::Some(entries) => (&[][..], &entries[..]),
        };
        all.iter().chain(some.iter().map(|proved| &proved.entry))
    }

    fn bytes(&self) -> usize {
        let entries: usize = self.iter().map(|entry| entry.path.len() + 52).sum();
        match self {
            Self::All(_) => entries,
            Self::Some(some) => {
                entries + some.iter().map(|one| 3 + 32 * one.siblings.len()).sum::<usize>()
            }
        }
    }
}

impl Files {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        224 + head_bytes(&self.head) + self.entries.bytes()
    }

    /// The proof of its entry that stands at this place in it.
    pub fn proof(&self, at: usize) -> Option<Proof> {
        let (index, siblings) = match &self.entries {
            Entries::All(entries) => {
                let leaves: Vec<_> = entries.iter().map(leaf).collect();
                (u16::try_from(at).ok().filter(|_| at < leaves.len())?, path_of(&leaves, at))
            }
            Entries::Some(entries) => {
                let one = entries.get(at)?;
                (one.index, one.siblings.clone())
            }
        };
        Some(Proof { head: self.page.clone(), index, siblings })
    }

    /// All its entries with their proofs.
    pub fn proved(&self) -> Vec<(Entry, Proof)> {
        let proof = |index, siblings| Proof { head: self.page.clone(), index, siblings };
        match &self.entries {
            Entries::All(entries) => {
                let leaves: Vec<_> = entries.iter().map(leaf).collect();
                let each = (0..).zip(entries).zip(paths_of(&leaves));
                each.map(|((at, entry), path)| (entry.clone(), proof(at, path))).collect()
            }
            Entries::Some(entries) => {
                let each = entries.iter();
                each.map(|one| (one.entry.clone(), proof(one.index, one.siblings.clone())))
                    .collect()
            }
        }
    }
}

impl Why {
    /// About which share of whom it speaks.
    pub fn share(&self) -> (PeerId, ShareKey) {
        match self {
            Self::Withdrawn(gone) => (gone.value.peer, gone.value.share),
            Self::Changed(head) => (head.value.peer, head.value.share),
        }
    }
}

/// Until when a withdrawal needs to be kept: what it takes away may last so long. Its number is the
/// time at which it was signed, by the clock of its peer.
pub(super) fn withdrawal_expires_ms(gone: &Withdrawal) -> u64 {
    gone.sequence.saturating_add(ms(limits::RING_RECORD_LIFETIME))
}

/// In one number, what tells newer records about one page of a share from older ones elsewhere.
pub(super) fn page_name(peer: &PeerId, share: &ShareKey, page: Option<u16>) -> u64 {
    let Slot(bytes) = share_slot(peer, share, page, 0);
    u64::from_be_bytes(std::array::from_fn(|index| bytes[index]))
}

/// The page and the number of a hit's record: none of it stands for the share itself.
pub(super) fn page_of_proof(proof: &HitProof) -> (Option<u16>, u64) {
    match proof {
        HitProof::Page(proof) => (Some(proof.head.value.page), proof.head.value.sequence),
        HitProof::Head(head) => (None, head.value.sequence),
        HitProof::Unverified { .. } => (None, 0),
    }
}

fn share_slot(peer: &PeerId, share: &ShareKey, page: Option<u16>, part: u8) -> Slot {
    let [high, low] = page.unwrap_or(u16::MAX).to_be_bytes();
    slot_of(&[b"share", &peer.0, &share.0, &[high, low, part]])
}

fn slot_of(parts: &[&[u8]]) -> Slot {
    let hash = potluck_content::hash(&parts.concat()).0;
    Slot(std::array::from_fn(|index| hash[index]))
}

fn version(one: u64, other: u64, count: usize) -> u64 {
    let count = (count as u64).min((1 << COUNT_BITS) - 1);
    let numbers = one.min(SEQUENCE_MAX) + other.min(SEQUENCE_MAX);
    (numbers << COUNT_BITS) | count
}

fn head_bytes(head: &Signed<ShareHead>) -> usize {
    let tags: usize = head.value.tags.iter().map(|tag| tag.len() + 1).sum();
    216 + head.value.name.len() + tags
}
