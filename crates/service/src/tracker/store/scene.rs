//! A network with members who publish, for tests of stores.

use std::collections::BTreeMap;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey};
use potluck_identity::{
    DirectoryKind, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey, Signed,
};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, Presence, ShareHead, Withdrawal, page_of,
};
use potluck_proto::directory::tracker::{
    Answer, Change, Conflict, Found, Group, Query, Question, Written,
};

use super::TrackerStore;

/// The time at which everything is said, in unix milliseconds.
pub(crate) const NOW_MS: u64 = 1_750_000_000_000;
/// When records expire.
pub(crate) const EXPIRES_MS: u64 = NOW_MS + 86_400_000;

/// A network of its own in a store that others may use, too.
pub(crate) struct Scene<'a> {
    pub(crate) store: &'a dyn TrackerStore,
    pub(crate) key: SecretKey,
    pub(crate) network: NetworkId,
}

impl<'a> Scene<'a> {
    /// Makes the network; the number tells it from others.
    pub(crate) fn new(store: &'a dyn TrackerStore, number: u8) -> Self {
        let scene = Self::again(store, number);
        scene.ok(Change::PutNetwork { record: scene.record(1) });
        scene
    }

    /// The same network in a store that has it already.
    pub(crate) fn again(store: &'a dyn TrackerStore, number: u8) -> Self {
        let key = SecretKey::from_seed([number; 32]);
        Self { store, network: key.network_id(), key }
    }

    pub(crate) fn record(&self, sequence: u64) -> Signed<NetworkRecord> {
        let tracker = PeerAddr { id: peer_key(200).peer_id(), direct: vec![], relay: None };
        let record = NetworkRecord {
            network: self.network,
            name: format!("record {sequence}"),
            directory: DirectoryKind::Tracker { trackers: vec![tracker] },
            policy: Policy::Invite,
            relays: Vec::new(),
            sequence,
            created_ms: NOW_MS,
        };
        record.sign(&self.key).unwrap()
    }

    /// Commits one change.
    pub(crate) fn write(&self, change: Change) -> Result<Written, Conflict> {
        let mut results = self.store.write(vec![change]);
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// Commits one change that must not be refused.
    #[track_caller]
    pub(crate) fn ok(&self, change: Change) {
        assert_eq!(self.write(change), Ok(Written::Done));
    }

    /// A member called `peer-N`.
    pub(crate) fn member(&self, number: u8) -> Member {
        let member = self.stranger(number);
        self.ok(self.put_member(&member, &format!("peer-{number}"), NOW_MS));
        member
    }

    /// Somebody who has not joined.
    pub(crate) fn stranger(&self, number: u8) -> Member {
        let key = peer_key(number);
        Member { network: self.network, peer: key.peer_id(), key }
    }

    pub(crate) fn put_member(&self, member: &Member, nick: &str, at_ms: u64) -> Change {
        Change::PutMember {
            network: self.network,
            peer: member.peer,
            nick: nick.to_owned(),
            role: Role::Owner,
            membership: Membership::owner(&self.key, member.peer, NOW_MS),
            at_ms,
        }
    }

    pub(crate) fn revocations(&self, after: &Revocations, peer: PeerId) -> Revocations {
        let owner = self.stranger(250);
        let by = Membership::owner(&self.key, owner.peer, NOW_MS);
        after.next(&owner.key, by, [peer], NOW_MS).unwrap()
    }

    /// Asks with everybody online.
    pub(crate) fn ask(&self, question: &Question) -> Answer {
        self.store.ask(question, &|_, _| true).unwrap()
    }

    pub(crate) fn search(&self, query: Query) -> Found {
        let query = Query { limit: if query.limit == 0 { 20 } else { query.limit }, ..query };
        match self.ask(&Question::Search { network: self.network, query }) {
            Answer::Found(found) => {
                for group in &found.groups {
                    group.check(&self.network, NOW_MS).expect("every hit is proved");
                }
                found
            }
            other => panic!("{other:?}"),
        }
    }

    /// The groups that fit the words.
    pub(crate) fn groups(&self, words: &str) -> Vec<Group> {
        self.search(Query { words: words.to_owned(), ..Query::default() }).groups
    }

    /// The best path of each group that fits the words.
    pub(crate) fn find(&self, words: &str) -> Vec<String> {
        paths(&self.groups(words))
    }
}

/// The best path of each group.
pub(crate) fn paths(groups: &[Group]) -> Vec<String> {
    groups.iter().map(|group| group.hits[0].entry.path.clone()).collect()
}

/// Somebody who publishes.
pub(crate) struct Member {
    pub(crate) network: NetworkId,
    pub(crate) peer: PeerId,
    pub(crate) key: SecretKey,
}

impl Member {
    pub(crate) fn presence(&self, sequence: u64) -> Change {
        let presence = Presence {
            network: self.network,
            peer: self.peer,
            nick: "nick".to_owned(),
            addresses: Vec::new(),
            relay: None,
            agent: "test".to_owned(),
            p2p_ci: None,
            sequence,
            expires_ms: EXPIRES_MS,
        };
        Change::PutPresence { presence: Signed::sign(&self.key, presence) }
    }

    pub(crate) fn withdraw(&self, share: u8, sequence: u64) -> Change {
        let share = ShareKey([share; 16]);
        let withdrawal = Withdrawal { network: self.network, peer: self.peer, share, sequence };
        Change::Withdraw { withdrawal: Signed::sign(&self.key, withdrawal), at_ms: NOW_MS }
    }

    /// A share of these entries.
    pub(crate) fn share(&self, share: u8, sequence: u64, entries: Vec<Entry>) -> Published<'_> {
        Published {
            member: self,
            share: ShareKey([share; 16]),
            sequence,
            name: format!("share-{share}"),
            tags: Vec::new(),
            kind: EntryKind::Folder,
            content: ContentId([share; 32]),
            partial: false,
            pages: 1,
            expires_ms: EXPIRES_MS,
            entries,
        }
    }
}

/// What one member publishes.
#[derive(Clone)]
pub(crate) struct Published<'a> {
    pub(crate) member: &'a Member,
    pub(crate) share: ShareKey,
    pub(crate) sequence: u64,
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) kind: EntryKind,
    pub(crate) content: ContentId,
    pub(crate) partial: bool,
    pub(crate) pages: u16,
    pub(crate) expires_ms: u64,
    pub(crate) entries: Vec<Entry>,
}

impl Published<'_> {
    pub(crate) fn head(&self) -> Signed<ShareHead> {
        let head = ShareHead {
            network: self.member.network,
            peer: self.member.peer,
            share: self.share,
            name: self.name.clone(),
            tags: self.tags.clone(),
            content: self.content,
            kind: self.kind,
            size: self.entries.iter().map(|entry| entry.size).sum(),
            files: self.entries.len() as u32,
            partial: self.partial,
            pages: self.pages,
            sequence: self.sequence,
            expires_ms: self.expires_ms,
        };
        Signed::sign(&self.member.key, head)
    }

    pub(crate) fn put_head(&self) -> Change {
        Change::PutShare { head: self.head() }
    }

    /// All pages that have entries, and the first in any case.
    pub(crate) fn put_pages(&self) -> Vec<Change> {
        let mut pages: BTreeMap<u16, Vec<Entry>> = BTreeMap::from([(0, Vec::new())]);
        for entry in &self.entries {
            pages.entry(page_of(&entry.path, self.pages)).or_default().push(entry.clone());
        }
        pages.into_iter().map(|(page, entries)| self.put_page(page, entries)).collect()
    }

    pub(crate) fn put_page(&self, page: u16, entries: Vec<Entry>) -> Change {
        let place = Place {
            network: self.member.network,
            share: self.share,
            page,
            pages: self.pages,
            sequence: self.sequence,
            expires_ms: self.expires_ms,
        };
        let page = Page::make(&self.member.key, place, entries).unwrap();
        let leaves = page.check(&self.member.network, &self.member.peer).unwrap();
        Change::PutPage { page, leaves }
    }

    /// Commits head and pages, none of which may be refused.
    #[track_caller]
    pub(crate) fn put(&self, scene: &Scene<'_>) {
        let mut changes = vec![self.put_head()];
        changes.extend(self.put_pages());
        for result in scene.store.write(changes) {
            assert_eq!(result, Ok(Written::Done));
        }
    }
}

/// A file whose content goes by its path.
pub(crate) fn file(path: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        content: potluck_content::hash(path.as_bytes()),
        size: 1000,
        kind: EntryKind::File,
        executable: false,
        modified_s: NOW_MS / 1000,
    }
}

/// Several of them.
pub(crate) fn files<const N: usize>(paths: [&str; N]) -> Vec<Entry> {
    paths.into_iter().map(file).collect()
}

fn peer_key(number: u8) -> SecretKey {
    SecretKey::from_seed([100 ^ number; 32])
}
