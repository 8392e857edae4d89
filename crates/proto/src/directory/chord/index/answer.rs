//! What the records under one key come to, as an answer.
//!
//! Whoever keeps them has checked them when they came. Here is decided which still count: the share
//! was not withdrawn since, and has not been put into another number of pages.

use std::collections::BTreeMap;

use potluck_base::{ContentId, PeerId, ShareKey, limits};
use potluck_identity::Signed;
use serde::Serialize;

use super::ask::{Answer, Question, Seen, Told};
use super::found;
use super::record::{Files, Gone, Record, Redeemed, Why, page_name};
use crate::directory::record::{Entry, EntryKind, Presence, ShareHead};
use crate::directory::tracker::{Hit, HitProof, ProviderRecord};

/// Bytes that a record which takes another away stands for: about those of a page. Where many were
/// taken away there may have been no room for others, which then stand elsewhere.
const GONE_BYTES: usize = 8 * 1024;
/// Bytes of records under one key from which on there may be others elsewhere. It is half of what
/// there is room for: what has gone since has made room, but called nobody back.
const FULL_BYTES: usize = limits::RING_KEY_BYTES / 2;
/// Bytes of the numbers of records in an answer, and of what stands around.
const AROUND_BYTES: usize = 64 * 1024;

/// One entry that counts.
#[derive(Clone, Copy)]
pub(super) struct Listed<'a> {
    /// Whose share it is in.
    pub(super) head: &'a Signed<ShareHead>,
    /// What proves it.
    pub(super) proof: Source<'a>,
    /// What it is; none for the share itself.
    pub(super) entry: Option<&'a Entry>,
}

/// Where the proof of an entry is.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// At this place of a record.
    Files(&'a Files, usize),
    /// In the head.
    Head,
}

/// The records under one key, as far as they count.
struct Shelf<'a> {
    records: Vec<&'a Record>,
    /// The latest withdrawal of each share.
    withdrawn: BTreeMap<(PeerId, ShareKey), u64>,
    /// The latest head of each share: its number, and into how many pages it is put.
    heads: BTreeMap<(PeerId, ShareKey), (u64, u16)>,
    full: bool,
}

/// Answers a question.
pub(super) fn answer<'a>(
    records: impl Iterator<Item = &'a Record>,
    question: &Question,
    full: bool,
    now_ms: u64,
) -> Answer {
    let shelf = Shelf::new(records, full, now_ms);
    let told = match question {
        Question::Count => Told::Count(shelf.listed().count() as u64),
        Question::Search(query) => {
            let mut found = found::search(shelf.listed(), query);
            found.more |= cut(&mut found.groups);
            found.seen = shelf.seen();
            Told::Found(found)
        }
        Question::Providers { content, offset } => {
            let (mut providers, mut more) = providers(shelf.listed(), content, *offset as usize);
            more |= cut(&mut providers);
            Told::Providers { providers, more, seen: shelf.seen() }
        }
        Question::Presence => Told::Presences(presences(&shelf)),
        Question::Shares { after } => {
            let mut shares = shares(&shelf, after.as_ref());
            let more = page(&mut shares, limits::BROWSE_ENTRIES);
            Told::Shares { shares, more }
        }
        Question::Files { after } => {
            let mut files = files(&shelf, *after);
            let more = page(&mut files, limits::BROWSE_ENTRIES);
            Told::Files { files, more }
        }
        Question::Deposits => {
            let mut deposits: Vec<_> = shelf.deposits().cloned().collect();
            page(&mut deposits, limits::PROVIDERS);
            Told::Deposits(deposits)
        }
        Question::Redemptions { issuer } => Told::Redemptions(redemptions(&shelf, issuer)),
    };
    Answer { told, full: shelf.full }
}

impl<'a> Shelf<'a> {
    fn new(records: impl Iterator<Item = &'a Record>, full: bool, now_ms: u64) -> Self {
        let mut shelf = Self {
            records: records.filter(|record| record.expires_ms() >= now_ms).collect(),
            withdrawn: BTreeMap::new(),
            heads: BTreeMap::new(),
            full,
        };
        let mut bytes = 0;
        for record in &shelf.records {
            let gone = matches!(record, Record::Gone(_));
            bytes += if gone { GONE_BYTES } else { record.bytes() };
            let head = match record {
                Record::Files(files) => &files.head.value,
                Record::Share(heading) => &heading.head.value,
                Record::Gone(gone) => match &gone.why {
                    Why::Changed(head) => &head.value,
                    Why::Withdrawn(gone) => {
                        let (share, sequence) = ((gone.value.peer, gone.value.share), gone.value);
                        let last = shelf.withdrawn.entry(share).or_default();
                        *last = sequence.sequence.max(*last);
                        continue;
                    }
                },
                _ => continue,
            };
            let last = shelf.heads.entry((head.peer, head.share)).or_default();
            *last = (head.sequence, head.pages).max(*last);
        }
        shelf.full |= bytes > FULL_BYTES;
        shelf
    }

    /// Whether a share still counts as this head says.
    fn counts(&self, head: &ShareHead) -> bool {
        let gone = self.withdrawn.get(&(head.peer, head.share));
        gone.is_none_or(|gone| *gone < head.sequence)
    }

    /// The records of files that count.
    fn files(&self) -> impl Iterator<Item = &'a Files> {
        self.records
            .iter()
            .filter_map(|record| match record {
                Record::Files(files) => Some(&**files),
                _ => None,
            })
            .filter(|files| {
                let head = &files.head.value;
                let pages = self.heads.get(&(head.peer, head.share));
                let same = pages.is_none_or(|(_, pages)| *pages == head.pages);
                same && self.counts(head)
            })
    }

    /// The heads of shares that count.
    fn heads(&self) -> impl Iterator<Item = &'a Signed<ShareHead>> {
        self.records.iter().filter_map(|record| match record {
            Record::Share(heading) if self.counts(&heading.head.value) => Some(&heading.head),
            _ => None,
        })
    }

    /// Everything that can be found.
    fn listed(&self) -> impl Iterator<Item = Listed<'a>> {
        let files = self.files().flat_map(|files| {
            files.entries.iter().enumerate().map(|(at, entry)| Listed {
                head: &files.head,
                proof: Source::Files(files, at),
                entry: Some(entry),
            })
        });
        let folders = self.heads().filter(|head| head.value.kind == EntryKind::Folder);
        let heads = folders.map(|head| Listed { head, proof: Source::Head, entry: None });
        files.chain(heads)
    }

    fn deposits(&self) -> impl Iterator<Item = &'a Signed<super::record::Deposit>> {
        self.records.iter().filter_map(|record| match record {
            Record::Deposit(stored) => Some(&stored.deposit),
            _ => None,
        })
    }

    /// The numbers of all records of shares; nothing if no others stand elsewhere.
    fn seen(&self) -> Vec<Seen> {
        let elsewhere = self.full || self.records.iter().any(|r| r.term().path.steps() > 0);
        if !elsewhere {
            return Vec::new();
        }
        let all = self.records.iter().filter_map(|record| seen(record));
        all.take(limits::RING_SEEN).collect()
    }
}

fn seen(record: &Record) -> Option<Seen> {
    let (head, page, sequence) = match record {
        Record::Files(files) => {
            let page = &files.page.value;
            ((page.peer, page.share), Some(page.page), page.sequence)
        }
        Record::Share(heading) => {
            let head = &heading.head.value;
            ((head.peer, head.share), None, head.sequence)
        }
        Record::Gone(gone) => {
            let Gone { page, why, .. } = &**gone;
            let sequence = match why {
                Why::Withdrawn(gone) => gone.value.sequence,
                Why::Changed(head) => head.value.sequence,
            };
            (why.share(), *page, sequence)
        }
        _ => return None,
    };
    Some(Seen { page: page_name(&head.0, &head.1, page), sequence })
}

impl Listed<'_> {
    /// The entry itself.
    pub(super) fn entry(&self) -> Entry {
        self.entry.cloned().unwrap_or_else(|| self.head.value.entry())
    }

    /// What a searcher is told of it. Who keeps a key does not know who is online.
    pub(super) fn hit(&self) -> Option<Hit> {
        let head = &self.head.value;
        let proof = match self.proof {
            Source::Files(files, at) => HitProof::Page(files.proof(at)?),
            Source::Head => HitProof::Head(self.head.clone()),
        };
        let (peer, share) = (head.peer, head.share);
        Some(Hit { peer, share, entry: self.entry(), proof, online: false, last_seen_ms: 0 })
    }
}

fn providers<'a>(
    listed: impl Iterator<Item = Listed<'a>>,
    content: &ContentId,
    offset: usize,
) -> (Vec<ProviderRecord>, bool) {
    let mut known: BTreeMap<PeerId, (bool, Listed<'a>)> = BTreeMap::new();
    for one in listed {
        let here = one.entry.map_or(one.head.value.content, |entry| entry.content);
        if here != *content {
            continue;
        }
        let ShareHead { partial, peer, .. } = one.head.value;
        let best = known.entry(peer).or_insert((partial, one));
        if best.0 && !partial {
            *best = (partial, one);
        }
    }
    let mut sorted: Vec<_> = known.into_values().collect();
    // Stably: those of one kind stay in the order of their keys.
    sorted.sort_by_key(|(partial, _)| *partial);
    let more = sorted.len() > offset.saturating_add(limits::PROVIDERS);
    let wanted = sorted.into_iter().skip(offset).take(limits::PROVIDERS);
    let providers = wanted.filter_map(|(_, one)| {
        let hit = one.hit()?;
        Some(ProviderRecord { peer: hit.peer, online: false, last_seen_ms: 0, presence: None, hit })
    });
    (providers.collect(), more)
}

fn presences(shelf: &Shelf<'_>) -> Vec<Signed<Presence>> {
    let mut newest: BTreeMap<PeerId, &Signed<Presence>> = BTreeMap::new();
    for record in &shelf.records {
        let Record::Presence(placed) = record else { continue };
        let presence = &placed.presence;
        let known = newest.entry(presence.value.peer).or_insert(presence);
        if known.value.sequence < presence.value.sequence {
            *known = presence;
        }
    }
    let mut list: Vec<_> = newest.into_values().cloned().collect();
    page(&mut list, limits::RING_PRESENCES);
    list
}

fn shares(shelf: &Shelf<'_>, after: Option<&ShareKey>) -> Vec<Signed<ShareHead>> {
    let mut heads: Vec<&Signed<ShareHead>> = shelf.heads().collect();
    heads.retain(|head| after.is_none_or(|after| head.value.share > *after));
    heads.sort_by_key(|head| head.value.share);
    heads.into_iter().take(limits::BROWSE_ENTRIES + 1).cloned().collect()
}

fn files(shelf: &Shelf<'_>, after: Option<(u16, u8)>) -> Vec<Files> {
    let place = |files: &Files| (files.page.value.page, files.part);
    let mut all: Vec<&Files> = shelf.files().collect();
    all.retain(|files| !files.entries.is_empty() && after.is_none_or(|after| place(files) > after));
    all.sort_by_key(|files| place(files));
    // As many as can be in an answer at all; each has its weight.
    let mut bytes = 0;
    let fit = all.iter().take_while(|files| {
        let before = bytes;
        bytes += files.bytes();
        before <= limits::REPLY_BYTES
    });
    fit.map(|files| (*files).clone()).collect()
}

/// The first uses of an invite of this peer, as many as it has. Uses of one moment are told apart
/// by who did it.
fn redemptions(shelf: &Shelf<'_>, issuer: &PeerId) -> Vec<Redeemed> {
    let mut all: Vec<&Redeemed> = Vec::new();
    for record in &shelf.records {
        match record {
            Record::Redeemed(used) if used.capability.value.issuer == *issuer => all.push(used),
            _ => {}
        }
    }
    all.sort_by_key(|used| (used.redemption.value.at_ms, used.redemption.value.peer));
    let uses = all.iter().map(|used| used.capability.value.uses).max().unwrap_or(0) as usize;
    let mut list: Vec<Redeemed> = all.into_iter().take(uses).cloned().collect();
    page(&mut list, limits::RING_REDEMPTIONS);
    list
}

/// Leaves what fits into one answer, and says whether some had to go.
fn page<T: Serialize>(items: &mut Vec<T>, most: usize) -> bool {
    let more = items.len() > most;
    items.truncate(most);
    cut(items) || more
}

/// Leaves so many items that they fit into one answer, at least one, and says whether some had to
/// go.
fn cut<T: Serialize>(items: &mut Vec<T>) -> bool {
    let mut bytes = 0;
    let over = items.iter().position(|item| {
        bytes += wire_size(item);
        bytes > limits::REPLY_BYTES - AROUND_BYTES
    });
    let Some(fit) = over else { return false };
    let before = items.len();
    items.truncate(fit.max(1));
    items.len() < before
}

fn wire_size<T: Serialize>(item: &T) -> usize {
    let size = postcard::ser_flavors::Size::default();
    postcard::serialize_with_flavor(item, size).expect("counting does not fail")
}
