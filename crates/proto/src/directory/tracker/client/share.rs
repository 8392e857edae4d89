//! One share: what is published, what the tracker has, and what comes next.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::ShareKey;
use potluck_identity::Signed;

use super::publication::Next;
use super::values::{PageRoot, Published};
use crate::directory::record::{ShareHead, root_of};

/// One share of this peer.
pub(super) struct Share {
    pub(super) head: Signed<ShareHead>,
    pub(super) pages: BTreeMap<u16, PageRoot>,
    pub(super) digest: [u8; 32],
    pub(super) there: There,
    pub(super) head_flying: bool,
    pub(super) roots_flying: bool,
    pub(super) pages_flying: BTreeSet<u16>,
    /// Pages that the tracker lacks, once that is known.
    pub(super) missing: BTreeSet<u16>,
    /// The tracker does not take it as it is.
    pub(super) stuck: bool,
    /// It must be signed again; until then it is stuck as well.
    pub(super) behind: bool,
    /// The share was found to be unknown in this session once; it is compared again once.
    pub(super) compared_again: bool,
}

/// What the tracker has of a share.
pub(super) enum There {
    /// Not known.
    Unknown,
    /// Its sequence number and digest.
    State { sequence: u64, digest: [u8; 32] },
    /// Its sequence number and all its pages.
    Pages { sequence: u64, count: u16, roots: BTreeMap<u16, PageRoot> },
}

/// The tracker has a share with a higher sequence number than ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) share: ShareKey,
    pub(super) have: u64,
}

impl There {
    /// The tracker has nothing, or nothing newer than a withdrawal with this sequence number.
    pub(super) fn nothing(sequence: u64) -> Self {
        There::Pages { sequence, count: 0, roots: BTreeMap::new() }
    }
}

impl Share {
    pub(super) fn new(published: Published, digest: [u8; 32], there: There) -> Self {
        Self {
            head: published.head,
            pages: published.pages,
            digest,
            there,
            head_flying: false,
            roots_flying: false,
            pages_flying: BTreeSet::new(),
            missing: BTreeSet::new(),
            stuck: false,
            behind: false,
            compared_again: false,
        }
    }

    /// The session has ended: nothing is known, nothing is on its way.
    pub(super) fn forget(&mut self) {
        self.there = There::Unknown;
        self.head_flying = false;
        self.roots_flying = false;
        self.pages_flying.clear();
        self.missing.clear();
        self.stuck = false;
        self.behind = false;
        self.compared_again = false;
    }

    pub(super) fn sequence(&self) -> u64 {
        self.head.value.sequence
    }

    /// What the tracker lacks, as far as that is known.
    pub(super) fn compare(&mut self) {
        let sequence = self.sequence();
        match &self.there {
            There::State { sequence: there, digest }
                if *there == sequence && *digest == self.digest =>
            {
                let (count, roots) = (self.head.value.pages, self.pages.clone());
                self.there = There::Pages { sequence, count, roots };
                self.missing.clear();
            }
            There::Pages { roots, .. } => {
                let empty = root_of(&[]);
                let lacks = |(page, ours): &(&u16, &PageRoot)| match roots.get(page) {
                    Some(theirs) => theirs.root != ours.root || theirs.sequence < ours.sequence,
                    // A page that never was is as good as one without entries.
                    None => ours.root != empty,
                };
                self.missing = self.pages.iter().filter(lacks).map(|(page, _)| *page).collect();
            }
            _ => self.missing.clear(),
        }
    }

    pub(super) fn next(&self, key: ShareKey) -> Option<Next> {
        if self.stuck || self.head_flying || self.roots_flying {
            return None;
        }
        let there = match &self.there {
            There::Unknown => return None,
            There::State { sequence, .. } | There::Pages { sequence, .. } => *sequence,
        };
        if there < self.sequence() {
            return Some(Next::Head(key));
        }
        match self.there {
            There::State { .. } => Some(Next::Roots(key)),
            _ => {
                let page = self.missing.difference(&self.pages_flying).next()?;
                Some(Next::Page(key, *page, *self.pages.get(page)?))
            }
        }
    }

    /// Whether the tracker has something with a higher sequence number; then nothing more is sent.
    pub(super) fn behind(&mut self, key: ShareKey) -> Option<Behind> {
        let have = match &self.there {
            There::Unknown => return None,
            There::State { sequence, .. } => *sequence,
            There::Pages { sequence, roots, .. } => {
                let newer = roots.iter().filter(|(page, root)| {
                    let ours = self.pages.get(page);
                    ours.is_some_and(|ours| {
                        root.sequence >= ours.sequence && root.root != ours.root
                    })
                });
                let newest = newer.map(|(_, root)| root.sequence).max().unwrap_or(0);
                // A page as new as ours with other entries can only be replaced by a newer one.
                (*sequence).max(if newest > 0 { newest.max(self.sequence()) + 1 } else { 0 })
            }
        };
        if have <= self.sequence() {
            return None;
        }
        self.stuck = true;
        self.behind = true;
        Some(Behind { share: key, have })
    }

    pub(super) fn is_there(&self) -> bool {
        let all = self.missing.is_empty() && matches!(self.there, There::Pages { .. });
        !self.behind && (self.stuck || all)
    }
}
