//! The publisher's side: what is to be put under which keys, and what of it has changed.
//!
//! A plan remembers of each page what stands under which term as one number, so that a changed file
//! sends the records that have changed and nothing else, and what no longer fits its term is taken
//! away there. Pages are planned one at a time: their records are many times their size, and need
//! not be in memory together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use potluck_base::{ContentId, NetworkId, ShareKey, limits};
use potluck_identity::{Capability, Redemption, Signed};

use super::record::{
    Deposit, Entries, Files, Gone, Heading, Placed, Proved, Record, Redeemed, Stored, Why,
};
use super::term::{Subject, Term, around_words, path_words, shares_subjects};
use crate::directory::chord::RingId;
use crate::directory::record::{Page, Presence, ShareHead, Withdrawal, leaf, paths_of};

/// Bytes of entries in one record: with what goes around them it is within its limit.
const PART_BYTES: usize = limits::RING_RECORD_BYTES * 3 / 4;

/// What is put under which keys.
pub type Puts = Vec<(RingId, Record)>;

/// Which pages are to be planned after a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// All: each record of the share is another one now.
    All,
    /// Those with other entries than before.
    Changed,
}

/// What stands on the circle of what we publish in one network.
#[derive(Debug)]
pub struct Plan {
    network: NetworkId,
    shares: BTreeMap<ShareKey, Standing>,
}

/// What stands there of one share.
#[derive(Debug)]
struct Standing {
    head: Signed<ShareHead>,
    /// The words of its name and tags.
    around: BTreeSet<String>,
    /// Under what the share itself stands.
    own: BTreeSet<Subject>,
    /// What stands under which term, of each page in order.
    pages: BTreeMap<u16, Vec<Line>>,
    /// Whether everything is to be put again.
    renew: bool,
}

/// Under one term, one part of a page.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    of: Subject,
    part: u8,
    /// What the entries come to, with all that is told with each of them.
    print: u64,
}

impl Plan {
    /// Nothing is published yet.
    pub fn new(network: NetworkId) -> Self {
        Self { network, shares: BTreeMap::new() }
    }

    /// Takes the head of a share, new or changed: what is to be put for the share itself, and
    /// whether all its pages are to be planned after that or only those that have changed.
    pub fn head(&mut self, head: &Signed<ShareHead>) -> (Puts, Needed) {
        let network = self.network;
        let mut puts = Puts::new();
        let own = shares_subjects(&head.value);
        let around = around_words(&head.value);
        let old = self.shares.remove(&head.value.share);
        let all = old.as_ref().is_none_or(|old| old.renew || !is_alike(&old.head, head));
        let mut pages = BTreeMap::new();
        if let Some(old) = old {
            for of in old.own.difference(&own) {
                let gone = gone(of, None, 0, Why::Changed(head.clone()));
                puts.push(placed(&network, gone));
            }
            pages = old.pages;
            let outside = pages.split_off(&head.value.pages);
            for (page, lines) in &outside {
                for Line { of, part, .. } in lines {
                    let gone = gone(of, Some(*page), *part, Why::Changed(head.clone()));
                    puts.push(placed(&network, gone));
                }
            }
        }
        for of in &own {
            let heading = Heading { term: Term::new(of.clone()), head: head.clone() };
            puts.push(placed(&network, Record::Share(Box::new(heading))));
        }
        if all {
            // Their numbers say nothing of what is to be put now.
            pages.values_mut().flatten().for_each(|line| line.print = 0);
        }
        let standing = Standing { head: head.clone(), around, own, pages, renew: false };
        self.shares.insert(head.value.share, standing);
        (puts, if all { Needed::All } else { Needed::Changed })
    }

    /// Takes a page of a share whose head was taken before: what is to be put for it. Nothing, if
    /// it is no page of that share.
    pub fn page(&mut self, page: &Page) -> Puts {
        let network = self.network;
        let at = page.head.value;
        let Some(standing) = self.shares.get_mut(&at.share) else { return Puts::new() };
        if at.pages != standing.head.value.pages {
            return Puts::new();
        }
        let old = standing.pages.remove(&at.page).unwrap_or_default();
        let (mut puts, mut lines) = (Puts::new(), Vec::new());
        let sheet = Sheet::new(page, &standing.head);
        let mut known: BTreeMap<&Subject, Vec<&Line>> = BTreeMap::new();
        for line in &old {
            known.entry(&line.of).or_default().push(line);
        }
        for (of, entries) in sheet.subjects(&standing.around) {
            let parts = sheet.parts(&entries);
            let before = known.remove(&of).unwrap_or_default();
            let prints: Vec<u64> =
                parts.iter().map(|part| sheet.print(&entries[part.clone()])).collect();
            let same = prints.iter().eq(before.iter().map(|line| &line.print));
            for (part, range) in (0..limits::RING_RECORD_PARTS).zip(parts) {
                if !same {
                    let files = sheet.files(&of, part, &entries[range.clone()]);
                    puts.push(placed(&network, files));
                }
                lines.push(Line { of: of.clone(), part, print: prints[usize::from(part)] });
            }
            for line in before.iter().skip(prints.len()) {
                puts.push(placed(&network, sheet.files(&of, line.part, &[])));
            }
        }
        for (of, before) in known {
            for line in before {
                puts.push(placed(&network, sheet.files(of, line.part, &[])));
            }
        }
        standing.pages.insert(at.page, lines);
        puts
    }

    /// Takes a share back: what is to be put in place of its records.
    pub fn withdraw(&mut self, withdrawal: &Signed<Withdrawal>) -> Puts {
        let Some(standing) = self.shares.remove(&withdrawal.value.share) else {
            return Puts::new();
        };
        let why = || Why::Withdrawn(withdrawal.clone());
        let own = standing.own.iter().map(|of| gone(of, None, 0, why()));
        let pages = standing.pages.iter().flat_map(|(page, lines)| {
            lines.iter().map(|line| gone(&line.of, Some(*page), line.part, why()))
        });
        own.chain(pages).map(|record| placed(&self.network, record)).collect()
    }

    /// From now on everything of a share is new: with its next head all its pages are put again,
    /// before what stands there runs out.
    pub fn renew(&mut self, share: &ShareKey) {
        if let Some(standing) = self.shares.get_mut(share) {
            standing.renew = true;
        }
    }

    /// How many records stand on the circle.
    pub fn records(&self) -> usize {
        let of = |one: &Standing| one.own.len() + one.pages.values().map(Vec::len).sum::<usize>();
        self.shares.values().map(of).sum()
    }
}

/// Where a peer is, under its own place and under its name.
pub fn presence_puts(network: &NetworkId, presence: &Signed<Presence>) -> Puts {
    let peer = Some(Subject::Peer(presence.value.peer));
    let subjects = peer.into_iter().chain(Subject::nick(&presence.value.nick));
    let puts = subjects.map(|of| {
        let (term, presence) = (Term::new(of), presence.clone());
        placed(network, Record::Presence(Box::new(Placed { term, presence })))
    });
    puts.collect()
}

/// A file that is to be stored, or no longer.
pub fn deposit_put(network: &NetworkId, deposit: Signed<Deposit>) -> (RingId, Record) {
    let term = Term::new(Subject::Deposit(deposit.value.content));
    placed(network, Record::Deposit(Box::new(Stored { term, deposit })))
}

/// The use of an invite.
pub fn redemption_put(
    network: &NetworkId,
    capability: Signed<Capability>,
    redemption: Signed<Redemption>,
) -> (RingId, Record) {
    let term = Term::new(Subject::Invite(capability.value.key));
    placed(network, Record::Redeemed(Box::new(Redeemed { term, capability, redemption })))
}

/// Whether pages that were planned under one head say the same under the other.
fn is_alike(one: &Signed<ShareHead>, other: &Signed<ShareHead>) -> bool {
    let (one, other) = (&one.value, &other.value);
    one.name == other.name
        && one.tags == other.tags
        && one.partial == other.partial
        && one.pages == other.pages
}

fn placed(network: &NetworkId, record: Record) -> (RingId, Record) {
    (record.term().key(network), record)
}

fn gone(of: &Subject, page: Option<u16>, part: u8, why: Why) -> Record {
    Record::Gone(Box::new(Gone { term: Term::new(of.clone()), page, part, why }))
}

/// A page while its records are made.
struct Sheet<'a> {
    page: &'a Page,
    head: &'a Signed<ShareHead>,
    leaves: Vec<[u8; 32]>,
    /// The proof of each entry, or nothing if the page has one entry only.
    paths: Vec<Vec<[u8; 32]>>,
}

impl<'a> Sheet<'a> {
    fn new(page: &'a Page, head: &'a Signed<ShareHead>) -> Self {
        let leaves: Vec<_> = page.entries.iter().map(leaf).collect();
        let paths = paths_of(&leaves);
        Self { page, head, leaves, paths }
    }

    /// Under what which entries stand.
    fn subjects(&self, around: &BTreeSet<String>) -> BTreeMap<Subject, Vec<u16>> {
        let mut words: BTreeMap<String, Vec<u16>> = BTreeMap::new();
        let mut contents: BTreeMap<ContentId, Vec<u16>> = BTreeMap::new();
        for (index, entry) in (0..).zip(&self.page.entries) {
            for word in path_words(&entry.path) {
                if !around.contains(&word) {
                    words.entry(word).or_default().push(index);
                }
            }
            contents.entry(entry.content).or_default().push(index);
        }
        let at = self.page.head.value;
        let all: Vec<u16> = (0..self.page.entries.len() as u16).collect();
        let mut subjects: BTreeMap<Subject, Vec<u16>> = BTreeMap::new();
        if all.is_empty() {
            return subjects;
        }
        subjects.extend(words.into_iter().map(|(word, at)| (Subject::Word(word), at)));
        let everywhere = around.iter().map(|word| Subject::Word(word.clone()));
        subjects.extend(everywhere.map(|of| (of, all.clone())));
        subjects.extend(contents.into_iter().map(|(of, at)| (Subject::Content(of), at)));
        subjects.insert(Subject::pages(at.peer, at.share, at.page), all);
        subjects
    }

    /// Cuts entries so that each part fits into a record.
    fn parts(&self, entries: &[u16]) -> Vec<Range<usize>> {
        let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, index) in entries.iter().enumerate() {
            let index = usize::from(*index);
            let size = self.page.entries[index].path.len() + 64 + 32 * self.paths[index].len();
            if bytes + size > PART_BYTES && at > from {
                parts.push(from..at);
                (from, bytes) = (at, 0);
            }
            bytes += size;
        }
        parts.push(from..entries.len());
        parts
    }

    /// What entries come to.
    fn print(&self, entries: &[u16]) -> u64 {
        let leaves = entries.iter().map(|index| self.leaves[usize::from(*index)]);
        let bytes: Vec<u8> = leaves.flatten().collect();
        let hash = potluck_content::hash(&bytes).0;
        // Zero is kept for what is to be put again in any case.
        u64::from_be_bytes(std::array::from_fn(|index| hash[index])).max(1)
    }

    fn files(&self, of: &Subject, part: u8, entries: &[u16]) -> Record {
        let page = &self.page.entries;
        let entries = if !entries.is_empty() && entries.len() == page.len() {
            Entries::All(page.clone())
        } else {
            let proved = entries.iter().map(|index| {
                let at = usize::from(*index);
                let (siblings, entry) = (self.paths[at].clone(), page[at].clone());
                Proved { index: *index, siblings, entry }
            });
            Entries::Some(proved.collect())
        };
        let (head, page) = (self.head.clone(), self.page.head.clone());
        Record::Files(Box::new(Files { term: Term::new(of.clone()), head, page, part, entries }))
    }
}
