//! Stories of the index: peers publish, a circle of one holder keeps it, a searcher asks.

mod answers;
mod lies;
mod plans;
mod terms;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{SecretKey, Signed};

use super::{
    Answer, Asked, Listing, Needed, Plan, Providers, Puts, Question, Record, Rules, Search, Shares,
    There,
};
use crate::directory::chord::{Reject, RingId, Slot, Value};
use crate::directory::record::{
    Entry, EntryKind, Page, Place, Proof, ShareHead, Withdrawal, ms, page_of, pages_for,
};
use crate::directory::tracker::{Found, ProviderRecord, Query};

const NETWORK: NetworkId = NetworkId([0xaa; 32]);
const NOW_MS: u64 = 1_700_000_000_000;

fn file(path: &str, number: u8, size: u64) -> Entry {
    let (content, kind) = (ContentId([number; 32]), EntryKind::File);
    let modified_s = 1_700_000_000 + u64::from(number);
    Entry { path: path.to_owned(), content, size, kind, executable: false, modified_s }
}

/// Whoever keeps all keys, and obeys the rules of the machine.
#[derive(Default)]
struct Circle {
    kept: BTreeMap<RingId, BTreeMap<Slot, Record>>,
    now_ms: u64,
    /// Keys whose keepers do not answer.
    silent: BTreeSet<RingId>,
    puts: usize,
    bytes: usize,
    asks: usize,
}

impl Circle {
    fn new() -> Self {
        Self { now_ms: NOW_MS, ..Self::default() }
    }

    /// Puts records, and those that are refused for want of room under the keys that follow.
    fn put(&mut self, puts: Puts) {
        for (key, record) in puts {
            self.puts += 1;
            self.bytes += record.bytes();
            self.put_one(key, record).unwrap();
        }
    }

    fn put_one(&mut self, key: RingId, record: Record) -> Result<(), Reject> {
        match self.store(key, record.clone()) {
            Err(Reject::Full) => {
                let parts = Value::split(&record, &Rules::new(NETWORK));
                assert!(!parts.is_empty(), "it can be split");
                parts.into_iter().try_for_each(|(key, part)| self.put_one(key, part))
            }
            other => other,
        }
    }

    fn store(&mut self, key: RingId, record: Record) -> Result<(), Reject> {
        Value::check(&record, &Rules::new(NETWORK), key, self.now_ms)?;
        assert!(Value::bytes(&record) <= limits::RING_RECORD_BYTES, "{record:?}");
        let full = self.is_full(key);
        let under = self.kept.entry(key).or_default();
        match under.get(&Value::slot(&record)) {
            Some(known) if Value::version(known) > Value::version(&record) => {
                return Err(Reject::Stale);
            }
            None if full => return Err(Reject::Full),
            _ => {}
        }
        under.insert(Value::slot(&record), record);
        Ok(())
    }

    fn is_full(&self, key: RingId) -> bool {
        let bytes: usize = self.under(key).map(Value::bytes).sum();
        bytes + limits::RING_RECORD_BYTES > limits::RING_KEY_BYTES
    }

    fn under(&self, key: RingId) -> impl Iterator<Item = &Record> {
        self.kept.get(&key).into_iter().flat_map(BTreeMap::values)
    }

    fn answer(&mut self, asked: &Asked) -> Option<Answer> {
        self.asks += 1;
        if self.silent.contains(&asked.key) {
            return None;
        }
        let full = self.is_full(asked.key);
        let answer = Record::answer(self.under(asked.key), &asked.question, full, self.now_ms);
        let bytes = postcard::to_allocvec(&answer).unwrap();
        assert!(bytes.len() <= limits::REPLY_BYTES, "{} bytes", bytes.len());
        Some(postcard::from_bytes(&bytes).unwrap())
    }

    fn ask(&mut self, key: RingId, question: Question) -> Answer {
        self.answer(&Asked { id: 0, key, question }).unwrap()
    }

    fn searched(&mut self, query: Query) -> Search {
        let mut search = Search::new(NETWORK, query).unwrap();
        while let Some(asked) = search.next_ask() {
            let answer = self.answer(&asked);
            search.told(asked.id, answer, self.now_ms);
        }
        assert!(search.is_done());
        assert_eq!(search.lies(), 0);
        search
    }

    fn search(&mut self, query: Query) -> Found {
        self.searched(query).finish(&|_| There { online: true, last_seen_ms: 7 })
    }

    fn providers(&mut self, content: ContentId) -> Vec<ProviderRecord> {
        let mut providers = Providers::new(NETWORK, content);
        while let Some(asked) = providers.next_ask() {
            let answer = self.answer(&asked);
            providers.told(asked.id, answer, self.now_ms);
        }
        assert!(providers.is_done() && providers.lies() == 0);
        providers.finish(&|_| There { online: true, last_seen_ms: 7 }, &|_| None)
    }

    fn shares(&mut self, peer: PeerId) -> Vec<ShareHead> {
        let mut shares = Shares::new(NETWORK, peer);
        while let Some(asked) = shares.next_ask() {
            let answer = self.answer(&asked);
            shares.told(asked.id, answer, self.now_ms);
        }
        shares.finish().into_iter().map(|head| head.value).collect()
    }

    fn listing(&mut self, head: &ShareHead) -> Vec<(Entry, Proof)> {
        let mut listing = Listing::new(NETWORK, head);
        while let Some(asked) = listing.next_ask() {
            let answer = self.answer(&asked);
            listing.told(asked.id, answer, self.now_ms);
        }
        assert!(listing.is_done());
        listing.finish()
    }
}

/// Somebody who publishes.
struct Person {
    key: SecretKey,
    plan: Plan,
    sequence: u64,
    /// As they were signed last.
    pages: BTreeMap<(ShareKey, u16), Page>,
}

#[derive(Clone)]
struct Announced {
    name: String,
    tags: Vec<String>,
    partial: bool,
    kind: EntryKind,
    entries: Vec<Entry>,
    pages: u16,
}

fn folder(name: &str, tags: &[&str], entries: &[Entry]) -> Announced {
    Announced {
        name: name.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        partial: false,
        kind: EntryKind::Folder,
        entries: entries.to_vec(),
        pages: pages_for(entries.len()),
    }
}

impl Person {
    fn new(number: u8) -> Self {
        Self {
            key: SecretKey::from_seed([number; 32]),
            plan: Plan::new(NETWORK),
            sequence: NOW_MS,
            pages: BTreeMap::new(),
        }
    }

    fn id(&self) -> PeerId {
        self.key.peer_id()
    }

    /// Signs a share anew, those of its pages that have changed with it.
    fn publish(&mut self, number: u8, what: &Announced) -> Puts {
        let share = ShareKey([number; 16]);
        self.sequence += 1;
        let head = self.head(share, what);
        let (mut puts, needed) = self.plan.head(&head);
        let mut lists = vec![Vec::new(); usize::from(what.pages)];
        for entry in &what.entries {
            lists[usize::from(page_of(&entry.path, what.pages))].push(entry.clone());
        }
        for (page, entries) in (0..).zip(lists) {
            let (signed, changed) = self.page(share, (page, what.pages), entries);
            if changed || needed == Needed::All {
                puts.extend(self.plan.page(&signed));
            }
        }
        puts
    }

    fn head(&self, share: ShareKey, what: &Announced) -> Signed<ShareHead> {
        let head = ShareHead {
            network: NETWORK,
            peer: self.id(),
            share,
            name: what.name.clone(),
            tags: what.tags.clone(),
            content: match what.kind {
                EntryKind::File => what.entries[0].content,
                EntryKind::Folder => potluck_content::hash(&self.sequence.to_be_bytes()),
            },
            kind: what.kind,
            size: what.entries.iter().map(|entry| entry.size).sum(),
            files: what.entries.len() as u32,
            partial: what.partial,
            pages: what.pages,
            sequence: self.sequence,
            expires_ms: self.sequence + ms(limits::RING_RECORD_LIFETIME),
        };
        Signed::sign(&self.key, head)
    }

    /// A page as it is now, with its old number if it has not changed.
    fn page(
        &mut self,
        share: ShareKey,
        (page, pages): (u16, u16),
        entries: Vec<Entry>,
    ) -> (Page, bool) {
        let sequence = self.sequence;
        let expires_ms = sequence + ms(limits::RING_RECORD_LIFETIME);
        let place = Place { network: NETWORK, share, page, pages, sequence, expires_ms };
        let made = Page::make(&self.key, place, entries).unwrap();
        if let Some(known) = self.pages.get(&(share, page)) {
            let head = &known.head.value;
            if head.root == made.head.value.root && head.pages == pages {
                return (known.clone(), false);
            }
        }
        self.pages.insert((share, page), made.clone());
        (made, true)
    }

    fn withdraw(&mut self, number: u8) -> Puts {
        self.sequence += 1;
        let (share, sequence) = (ShareKey([number; 16]), self.sequence);
        self.pages.retain(|(of, _), _| *of != share);
        let gone = Withdrawal { network: NETWORK, peer: self.id(), share, sequence };
        self.plan.withdraw(&Signed::sign(&self.key, gone))
    }
}

fn query(words: &str) -> Query {
    Query { words: words.to_owned(), limit: 50, ..Query::default() }
}

fn names(found: &Found) -> Vec<&str> {
    found.groups.iter().map(|group| group.hits[0].entry.path.as_str()).collect()
}
