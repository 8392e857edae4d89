//! A page of entries, and the proof that one entry stands in it.

use potluck_base::{NetworkId, PeerId, RelPath, ShareKey, bounded, limits};
use potluck_identity::{SecretKey, Signed, Statement};
use serde::{Deserialize, Serialize};

use super::tree::climb;
use super::{Entry, RecordError, check_pages, check_signed, leaf, page_of, path_of, root_of};

/// What a peer signs of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHead {
    /// In which network.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// Of which share.
    pub share: ShareKey,
    /// Which page, counted from 0.
    pub page: u16,
    /// Of how many.
    pub pages: u16,
    /// How many entries it has, at most [`limits::PAGE_ENTRIES`].
    pub entries: u16,
    /// What they hash to.
    pub root: [u8; 32],
    /// Counts what this peer has signed.
    pub sequence: u64,
    /// Until when this counts, in unix milliseconds.
    pub expires_ms: u64,
}

impl Statement for PageHead {
    const DOMAIN: &'static str = "page";
}

/// A part of the files of a share: those whose paths hash to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What the peer signed.
    pub head: Signed<PageHead>,
    /// The entries, sorted by path (bytes), none twice.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::PAGE_ENTRIES }>")]
    pub entries: Vec<Entry>,
}

/// That an entry stands in a page of a peer, without the rest of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What the peer signed.
    pub head: Signed<PageHead>,
    /// Which entry of the page it is, counted from 0.
    pub index: u16,
    /// The hashes on its way to the root, lowest first.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::PROOF_HASHES }>")]
    pub siblings: Vec<[u8; 32]>,
}

/// Which page is made, and for how long it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which network.
    pub network: NetworkId,
    /// Of which share.
    pub share: ShareKey,
    /// Which page, counted from 0.
    pub page: u16,
    /// Of how many.
    pub pages: u16,
    /// Counts what this peer has signed.
    pub sequence: u64,
    /// Until when it counts, in unix milliseconds.
    pub expires_ms: u64,
}

impl Page {
    /// Signs a page of entries, in any order; what no reader would accept is refused.
    pub fn make(
        key: &SecretKey,
        place: Place,
        mut entries: Vec<Entry>,
    ) -> Result<Page, RecordError> {
        let Place { network, share, page, pages, sequence, expires_ms } = place;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let leaves = check_entries(page, pages, &entries)?;
        let head = PageHead {
            network,
            peer: key.peer_id(),
            share,
            page,
            pages,
            entries: entries.len() as u16,
            root: root_of(&leaves),
            sequence,
            expires_ms,
        };
        Ok(Page { head: Signed::sign(key, head), entries })
    }

    /// Whether it is a page of this peer in this network, whole and in order; says nothing about
    /// time. Returns the leaves of its tree.
    pub fn check(&self, network: &NetworkId, peer: &PeerId) -> Result<Vec<[u8; 32]>, RecordError> {
        PageHead::check(&self.head, network, peer)?.check_all(&self.entries)
    }

    /// The proof for one of its entries.
    ///
    /// # Panics
    /// If the leaves are not those of this page, or there is no such entry.
    pub fn proof(&self, leaves: &[[u8; 32]], index: usize) -> Proof {
        assert_eq!(leaves.len(), self.entries.len(), "leaves of another page");
        Proof { head: self.head.clone(), index: index as u16, siblings: path_of(leaves, index) }
    }
}

impl Proof {
    /// Whether this peer has published this entry in this network; says nothing about time.
    pub fn check(
        &self,
        network: &NetworkId,
        peer: &PeerId,
        entry: &Entry,
    ) -> Result<(), RecordError> {
        let head = PageHead::check(&self.head, network, peer)?;
        head.check_one(self.index, &self.siblings, entry)
    }
}

impl PageHead {
    /// Whether it is of this peer in this network, and within the rules; says nothing about time.
    pub fn check<'a>(
        signed: &'a Signed<Self>,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<&'a Self, RecordError> {
        let Self { network: of, peer: by, .. } = &signed.value;
        let head = check_signed(signed, (of, network), (by, peer))?;
        check_pages(head.pages)?;
        if head.page >= head.pages { Err(RecordError::Pages) } else { Ok(head) }
    }

    /// Whether these are all its entries, in order. Returns the leaves of its tree.
    pub fn check_all(&self, entries: &[Entry]) -> Result<Vec<[u8; 32]>, RecordError> {
        if usize::from(self.entries) != entries.len() {
            return Err(RecordError::Entries);
        }
        let leaves = check_entries(self.page, self.pages, entries)?;
        if root_of(&leaves) == self.root { Ok(leaves) } else { Err(RecordError::Root) }
    }

    /// Whether this is its entry with this number, by the hashes on its way to the root.
    pub fn check_one(
        &self,
        index: u16,
        siblings: &[[u8; 32]],
        entry: &Entry,
    ) -> Result<(), RecordError> {
        check_entry(self.page, self.pages, entry)?;
        match climb(leaf(entry), index, self.entries, siblings) {
            Some(root) if root == self.root => Ok(()),
            _ => Err(RecordError::Root),
        }
    }
}

/// Whether these may be the entries of this page; returns their leaves.
fn check_entries(page: u16, pages: u16, entries: &[Entry]) -> Result<Vec<[u8; 32]>, RecordError> {
    check_pages(pages)?;
    if page >= pages {
        return Err(RecordError::Pages);
    }
    if entries.len() > limits::PAGE_ENTRIES {
        return Err(RecordError::Entries);
    }
    if entries.windows(2).any(|pair| pair[0].path >= pair[1].path) {
        return Err(RecordError::Order);
    }
    // Every field but the path takes at most 64 bytes.
    if entries.iter().map(|entry| entry.path.len() + 64).sum::<usize>() > limits::PAGE_BYTES {
        return Err(RecordError::Entries);
    }
    entries.iter().try_for_each(|entry| check_entry(page, pages, entry))?;
    Ok(entries.iter().map(leaf).collect())
}

fn check_entry(page: u16, pages: u16, entry: &Entry) -> Result<(), RecordError> {
    RelPath::parse(&entry.path).map_err(|_| RecordError::Name)?;
    if page_of(&entry.path, pages) == page { Ok(()) } else { Err(RecordError::Place) }
}
