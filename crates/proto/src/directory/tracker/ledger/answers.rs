//! Answers of the store that only remembers: it looks at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};

use super::{Ledger, Share};
use crate::directory::record::{Entry, EntryKind};
use crate::directory::tracker::change::{Answer, Question};
use crate::directory::tracker::found::{Found, Group, Hit, HitProof, ProviderRecord};
use crate::directory::tracker::message::{FileType, Query, Sort};

impl Ledger {
    /// Answers a question; `online` says who is there.
    ///
    /// Words are found as beginnings of words in names, paths and tags. Types are not looked at but
    /// for folders, and nothing is suggested: that is the business of a real index.
    pub fn ask(&self, question: &Question, online: &dyn Fn(&NetworkId, &PeerId) -> bool) -> Answer {
        match question {
            Question::Search { network, query } => {
                let here = |peer: &PeerId| online(network, peer);
                Answer::Found(self.search(network, query, &here))
            }
            Question::Providers { network, content, offset } => {
                let here = |peer: &PeerId| online(network, peer);
                self.providers(network, content, *offset, &here)
            }
            Question::Shares { network, peer, after } => {
                let shares = self.shares_of(network).filter(|(of, _)| *of == *peer);
                let behind = |share: &Share| after.is_none_or(|key| share.head.value.share > key);
                let shares = shares.filter(|(_, share)| behind(share));
                let (shares, more) = page(shares.map(|(_, share)| share.head.clone()));
                Answer::Shares { shares, more }
            }
            Question::Entries { network, peer, share, after } => {
                let share = self.shares.get(&(*network, *peer, *share));
                let mut entries: Vec<_> = share.iter().flat_map(|share| share.entries()).collect();
                entries.retain(|(entry, _)| after.as_ref().is_none_or(|path| entry.path > *path));
                entries.sort_by(|a, b| a.0.path.cmp(&b.0.path));
                let proved = entries.into_iter().filter_map(|(entry, proof)| match proof {
                    HitProof::Page(proof) => Some((entry, proof)),
                    _ => None,
                });
                let (entries, more) = page(proved);
                Answer::Entries { entries, more }
            }
        }
    }

    fn search(
        &self,
        network: &NetworkId,
        query: &Query,
        online: &dyn Fn(&PeerId) -> bool,
    ) -> Found {
        let words = words(&query.words);
        let (mut groups, mut counted) = (BTreeMap::new(), BTreeSet::new());
        for (hit, share) in self.hits(network, online) {
            let mut names = self::words(&hit.entry.path);
            names.extend(self::words(&share.head.value.name));
            names.extend(share.head.value.tags.iter().flat_map(|tag| self::words(tag)));
            let found =
                words.iter().all(|word| names.iter().any(|name| name.starts_with(word.as_str())));
            if found && fits(query, &hit.entry) {
                let first = counted.insert((hit.entry.content, hit.peer));
                add(&mut groups, hit, first, share.head.value.partial);
            }
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        sort(&mut groups, query.sort);
        let behind = groups.into_iter().skip(query.offset as usize);
        let mut groups: Vec<Group> = behind.take(usize::from(query.limit) + 1).collect();
        let more = groups.len() > usize::from(query.limit);
        groups.truncate(usize::from(query.limit));
        Found { groups, more, did_you_mean: None, revision: self.revision }
    }

    fn providers(
        &self,
        network: &NetworkId,
        content: &ContentId,
        offset: u32,
        online: &dyn Fn(&PeerId) -> bool,
    ) -> Answer {
        let mut by_peer: BTreeMap<PeerId, ProviderRecord> = BTreeMap::new();
        for (hit, _) in self.hits(network, online) {
            if hit.entry.content == *content {
                let (peer, online, last_seen_ms) = (hit.peer, hit.online, hit.last_seen_ms);
                by_peer.entry(peer).or_insert(ProviderRecord {
                    peer,
                    online,
                    last_seen_ms,
                    presence: None,
                    hit,
                });
            }
        }
        let mut providers: Vec<ProviderRecord> = by_peer.into_values().collect();
        providers.sort_by_key(|provider| !provider.online);
        let mut providers: Vec<_> = providers.into_iter().skip(offset as usize).collect();
        let more = providers.len() > limits::PROVIDERS;
        providers.truncate(limits::PROVIDERS);
        Answer::Providers { providers, more }
    }

    fn shares_of(&self, network: &NetworkId) -> impl Iterator<Item = (PeerId, &Share)> + '_ {
        let first = (*network, PeerId([0; 32]), ShareKey([0; 16]));
        let last = (*network, PeerId([u8::MAX; 32]), ShareKey([u8::MAX; 16]));
        let range = (Bound::Included(first), Bound::Included(last));
        self.shares.range(range).map(|((_, peer, _), share)| (*peer, share))
    }

    /// Everything that is listed in a network.
    fn hits<'a>(
        &'a self,
        network: &'a NetworkId,
        online: &'a dyn Fn(&PeerId) -> bool,
    ) -> impl Iterator<Item = (Hit, &'a Share)> + 'a {
        self.shares_of(network).flat_map(move |(peer, share)| {
            let key = share.head.value.share;
            let last_seen_ms =
                self.members.get(&(*network, peer)).map_or(0, |member| member.last_seen_ms);
            let folder = (share.head.value.kind == EntryKind::Folder)
                .then(|| (share.head.value.entry(), HitProof::Head(share.head.clone())));
            folder.into_iter().chain(share.entries()).map(move |(entry, proof)| {
                let online = online(&peer);
                (Hit { peer, share: key, entry, proof, online, last_seen_ms }, share)
            })
        })
    }
}

impl Share {
    /// What is in it, with proofs.
    fn entries(&self) -> impl Iterator<Item = (Entry, HitProof)> + '_ {
        self.pages.values().flat_map(|(page, leaves)| {
            let proved = page.entries.iter().enumerate();
            proved.map(|(index, entry)| (entry.clone(), HitProof::Page(page.proof(leaves, index))))
        })
    }
}

/// Adds a hit to its group. A peer counts once, with what was found of it first.
fn add(groups: &mut BTreeMap<ContentId, Group>, hit: Hit, first: bool, partial: bool) {
    let group = groups.entry(hit.entry.content).or_insert_with(|| Group {
        content: hit.entry.content,
        size: hit.entry.size,
        kind: hit.entry.kind,
        online: 0,
        providers: 0,
        partial: 0,
        newest_s: 0,
        hits: Vec::new(),
    });
    group.online += u32::from(first && hit.online);
    group.providers += u32::from(first && !partial);
    group.partial += u32::from(first && partial);
    group.newest_s = group.newest_s.max(hit.entry.modified_s);
    if group.hits.len() < limits::GROUP_HITS {
        group.hits.push(hit);
    }
}

fn sort(groups: &mut [Group], by: Sort) {
    match by {
        Sort::Best => groups.sort_by_key(|group| (group.online == 0, group.content)),
        Sort::Name => groups.sort_by(|a, b| a.hits[0].entry.path.cmp(&b.hits[0].entry.path)),
        Sort::Size => groups.sort_by_key(|group| std::cmp::Reverse(group.size)),
        Sort::Newest => groups.sort_by_key(|group| std::cmp::Reverse(group.newest_s)),
        Sort::Providers => groups.sort_by_key(|group| std::cmp::Reverse(group.providers)),
    }
}

fn fits(query: &Query, entry: &Entry) -> bool {
    let folder = entry.kind == EntryKind::Folder;
    let kind = query.kinds.is_empty() || query.kinds.contains(&FileType::Folder) == folder;
    let least = query.min_size.is_none_or(|least| entry.size >= least);
    kind && least && query.max_size.is_none_or(|most| entry.size <= most)
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect()
}

/// One page of a list, and whether there is more.
fn page<T>(items: impl Iterator<Item = T>) -> (Vec<T>, bool) {
    let mut page: Vec<T> = items.take(limits::BROWSE_ENTRIES + 1).collect();
    let more = page.len() > limits::BROWSE_ENTRIES;
    page.truncate(limits::BROWSE_ENTRIES);
    (page, more)
}
