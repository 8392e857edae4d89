//! A directory within one process: the reference of what a directory does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey, limits};
use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_proto::directory::tracker::{Query, Sort};

use super::{
    Announcement, Answer, Directory, Found, Group, Hit, Located, Offered, Provider, words,
};

/// What the members of one network publish. Clones are the same.
#[derive(Clone)]
pub struct MemoryNetwork {
    network: NetworkId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    members: BTreeMap<PeerId, Member>,
    shares: BTreeMap<(PeerId, ShareKey), Announcement>,
}

struct Member {
    address: PeerAddr,
    nick: String,
    online: bool,
}

/// One member's view of a [`MemoryNetwork`].
pub struct MemoryDirectory {
    peer: PeerId,
    shared: MemoryNetwork,
}

impl MemoryNetwork {
    /// A network without members.
    pub fn new(network: NetworkId) -> Self {
        Self { network, state: Arc::default() }
    }

    /// A member comes in, or comes back under another address.
    pub fn member(&self, address: PeerAddr, nick: &str) -> MemoryDirectory {
        let peer = address.id;
        let member = Member { address, nick: nick.to_owned(), online: true };
        self.lock().members.insert(peer, member);
        MemoryDirectory { peer, shared: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

impl State {
    /// Everything that is published, the shares as a whole and each of their files.
    fn entries(&self) -> impl Iterator<Item = (PeerId, &Announcement, Entry)> {
        self.shares.iter().flat_map(|((peer, _), share)| {
            let whole = (share.kind == EntryKind::Folder).then(|| Entry {
                path: share.name.clone(),
                content: share.content,
                size: share.size,
                kind: EntryKind::Folder,
                executable: false,
                modified_s: 0,
            });
            let files = share.entries.iter().cloned();
            whole.into_iter().chain(files).map(move |entry| (*peer, share, entry))
        })
    }

    fn hit(&self, peer: PeerId, share: &Announcement, entry: Entry) -> Hit {
        let online = self.members.get(&peer).is_some_and(|member| member.online);
        Hit { by: Offered::Member(peer, share.share), entry, online, last_seen_ms: 0 }
    }

    fn search(&self, network: NetworkId, query: &Query) -> Found {
        let mut groups: BTreeMap<ContentId, (Group, BTreeSet<PeerId>)> = BTreeMap::new();
        for (peer, share, entry) in self.entries() {
            let tags = share.tags.iter().map(String::as_str);
            let texts = [share.name.as_str(), entry.path.as_str()].into_iter().chain(tags);
            let too_small = query.min_size.is_some_and(|least| entry.size < least);
            let too_large = query.max_size.is_some_and(|most| entry.size > most);
            if too_small || too_large || !words::fits(&query.words, texts) {
                continue;
            }
            let (group, peers) = groups.entry(entry.content).or_insert_with(|| {
                let (content, size, kind) = (entry.content, entry.size, entry.kind);
                (Group::new(network, content, size, kind), BTreeSet::new())
            });
            let hit = self.hit(peer, share, entry);
            if peers.insert(peer) {
                group.providers += 1;
                group.online += u32::from(hit.online);
                group.partial += u32::from(share.partial);
            }
            group.newest_s = group.newest_s.max(hit.entry.modified_s);
            if group.hits.len() < limits::GROUP_HITS {
                group.hits.push(hit);
            }
        }
        let mut groups: Vec<Group> = groups.into_values().map(|(group, _)| group).collect();
        let name = |group: &Group| group.hits.first().map(|hit| hit.entry.path.clone());
        groups.sort_by_key(name);
        match query.sort {
            Sort::Name => {}
            Sort::Best | Sort::Providers => groups.sort_by_key(|g| (u32::MAX - g.online, name(g))),
            Sort::Size => groups.sort_by_key(|g| u64::MAX - g.size),
            Sort::Newest => groups.sort_by_key(|g| u64::MAX - g.newest_s),
        }
        let (from, length) = (query.offset as usize, usize::from(query.limit));
        let more = groups.len() > from + length;
        let page = groups.into_iter().skip(from).take(length).collect();
        Found { groups: page, more, ..Found::default() }
    }

    fn providers(&self, content: ContentId) -> Vec<Provider> {
        let mut providers = BTreeMap::new();
        for (peer, share, entry) in self.entries().filter(|(_, _, e)| e.content == content) {
            if let Some(member) = self.members.get(&peer) {
                providers.entry(peer).or_insert_with(|| Provider {
                    peer,
                    nick: member.nick.clone(),
                    address: member.address.clone(),
                    online: member.online,
                    last_seen_ms: 0,
                    partial: share.partial,
                    entry,
                });
            }
        }
        let mut providers: Vec<Provider> = providers.into_values().collect();
        providers.sort_by_key(|provider| !provider.online);
        providers
    }
}

impl MemoryDirectory {
    /// The member goes away; what it published stays listed.
    pub fn go_offline(&self) {
        if let Some(member) = self.shared.lock().members.get_mut(&self.peer) {
            member.online = false;
        }
    }
}

impl Directory for MemoryDirectory {
    fn network(&self) -> NetworkId {
        self.shared.network
    }

    fn announce(&self, share: Announcement) -> Answer<'_, ()> {
        self.shared.lock().shares.insert((self.peer, share.share), share);
        Box::pin(async { Ok(()) })
    }

    fn withdraw(&self, share: ShareKey) -> Answer<'_, ()> {
        self.shared.lock().shares.remove(&(self.peer, share));
        Box::pin(async { Ok(()) })
    }

    fn search(&self, query: Query) -> Answer<'_, Found> {
        let found = self.shared.lock().search(self.shared.network, &query);
        Box::pin(async move { Ok(found) })
    }

    fn providers(&self, content: ContentId) -> Answer<'_, Vec<Provider>> {
        let providers = self.shared.lock().providers(content);
        Box::pin(async move { Ok(providers) })
    }

    fn resolve(&self, peer: PeerId) -> Answer<'_, Option<Located>> {
        let state = self.shared.lock();
        let located = state.members.get(&peer).map(|member| Located {
            address: member.address.clone(),
            nick: member.nick.clone(),
            online: member.online,
            last_seen_ms: 0,
        });
        drop(state);
        Box::pin(async move { Ok(located) })
    }
}
