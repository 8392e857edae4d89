//! Finding: searches, names turned into tickets, and what members share.

use std::collections::BTreeMap;

use potluck_api::{
    self as api, ApiError, BrowseCommand, Browsed, BrowsedEntry, BrowsedShare, Candidate,
    Candidates, ErrorKind, Found, FoundGroup, FoundHit, NetworkFailure, Reply, SearchCommand,
    ShareKind,
};
use potluck_base::{ContentId, NetworkId, RelPath, ShareKey, limits};
use potluck_content::{Ticket, TicketKind};
use potluck_service::directory::{
    Entry, EntryKind, FileType, Group, Hit, Merged, Offered, Outside, Provider, Query, ShareHead,
    Sort,
};
use potluck_service::networks::Whom;
use potluck_service::{ServiceError, now_ms};

use crate::failure;
use crate::networks::{peer_name, unnamed};
use crate::node::NodeHandle;

/// Contents that a name may mean before the person has to be more exact.
const CANDIDATES: usize = 20;
/// What stands before the place of a file that nobody vouches for.
pub(crate) const OUTSIDE: &str = "p2p-ci:";

impl NodeHandle {
    pub(crate) async fn search(&self, what: SearchCommand) -> Result<Reply, ApiError> {
        let networks = self.networks(&what.networks)?;
        let asked = if networks.is_empty() { self.inner.networks.ids() } else { networks };
        if asked.is_empty() {
            return Err(failure::of_service(ServiceError::NoNetworks));
        }
        let merged = self.inner.directories.search(query_of(&what), &asked).await;
        self.all_failed(&merged, &asked)?;
        Ok(Reply::Found(self.found(merged, &asked)))
    }

    /// If no directory answers, its reason is the answer.
    fn all_failed(&self, merged: &Merged, asked: &[NetworkId]) -> Result<(), ApiError> {
        match merged.failures.first() {
            Some((_, error)) if merged.failures.len() == asked.len() => Err(failure::of(error)),
            _ => Ok(()),
        }
    }

    fn found(&self, merged: Merged, asked: &[NetworkId]) -> Found {
        Found {
            groups: merged.groups.iter().map(|group| self.found_group(group)).collect(),
            more: merged.more,
            did_you_mean: merged.did_you_mean,
            stale_ms: merged.stale_ms,
            networks: asked.iter().map(|id| self.network_name(id)).collect(),
            failures: self.failures(&merged.failures),
        }
    }

    fn failures(&self, failures: &[(NetworkId, ServiceError)]) -> Vec<NetworkFailure> {
        let failed = failures.iter();
        failed
            .map(|(id, why)| NetworkFailure {
                network: self.network_name(id),
                why: why.to_string(),
            })
            .collect()
    }

    fn found_group(&self, group: &Group) -> FoundGroup {
        let verified = outside_of(group).is_none();
        FoundGroup {
            content: verified.then_some(group.content),
            kind: kind_to_api(group.kind),
            size: verified.then_some(group.size),
            online: group.online,
            providers: group.providers,
            partial: group.partial,
            newest_s: (group.newest_s > 0).then_some(group.newest_s),
            networks: group.networks.iter().map(|id| self.network_name(id)).collect(),
            hits: group.hits.iter().map(found_hit).collect(),
        }
    }

    pub(crate) async fn find(
        &self,
        what: String,
        networks: Vec<String>,
    ) -> Result<Reply, ApiError> {
        let networks = self.networks(&networks)?;
        let asked = if networks.is_empty() { self.inner.networks.ids() } else { networks };
        if asked.is_empty() {
            return Err(failure::of_service(ServiceError::NoNetworks));
        }
        if let Ok(content) = what.parse::<ContentId>() {
            let candidates = self.by_id(content, &asked).await?;
            let (did_you_mean, failures) = (None, Vec::new());
            return Ok(Reply::Candidates(Candidates { candidates, did_you_mean, failures }));
        }
        let query = Query { words: what.clone(), limit: 100, ..Query::default() };
        let merged = self.inner.directories.search(query, &asked).await;
        self.all_failed(&merged, &asked)?;
        let exact = |group: &&Group| group.hits.iter().any(|hit| is_called(&hit.entry, &what));
        let mut chosen: Vec<&Group> = merged.groups.iter().filter(exact).collect();
        if chosen.is_empty() {
            chosen = merged.groups.iter().collect();
        }
        chosen.truncate(CANDIDATES);
        let mut candidates = Vec::new();
        for group in chosen {
            candidates.extend(self.candidate(group, &asked).await);
        }
        Ok(Reply::Candidates(Candidates {
            candidates,
            did_you_mean: merged.did_you_mean,
            failures: self.failures(&merged.failures),
        }))
    }

    async fn by_id(
        &self,
        content: ContentId,
        asked: &[NetworkId],
    ) -> Result<Vec<Candidate>, ApiError> {
        let mut by_network: BTreeMap<NetworkId, Vec<Provider>> = BTreeMap::new();
        for (network, provider) in self.inner.directories.providers(content, asked).await {
            by_network.entry(network).or_default().push(provider);
        }
        let made = by_network.into_iter();
        let made = made.filter_map(|(id, all)| self.candidate_of(id, content, &all, Vec::new()));
        // One content is one choice, whichever network has it.
        Ok(made.max_by_key(|candidate| candidate.online).into_iter().collect())
    }

    async fn candidate(&self, group: &Group, asked: &[NetworkId]) -> Option<Candidate> {
        let paths: Vec<String> = group.hits.iter().map(|hit| hit.entry.path.clone()).collect();
        let network = *group.networks.iter().next()?;
        if let Some(outside) = outside_of(group) {
            return Some(self.outside_candidate(group, &network, outside, paths));
        }
        let told = self.inner.directories.providers(group.content, asked).await;
        let providers: Vec<Provider> =
            told.into_iter().filter(|(of, _)| *of == network).map(|(_, p)| p).collect();
        self.candidate_of(network, group.content, &providers, paths)
    }

    fn candidate_of(
        &self,
        network: NetworkId,
        content: ContentId,
        providers: &[Provider],
        mut paths: Vec<String>,
    ) -> Option<Candidate> {
        let entry = &providers.first()?.entry;
        let name = name_of(entry)?;
        let kind = match entry.kind {
            EntryKind::File => TicketKind::File { size: entry.size, executable: entry.executable },
            EntryKind::Folder => TicketKind::Folder,
        };
        let reachable = providers.iter().map(|provider| provider.address.clone());
        let ticket = Ticket {
            content,
            kind,
            name: name.clone(),
            providers: reachable.take(limits::TICKET_PROVIDERS).collect(),
            personal: false,
        };
        if paths.is_empty() {
            paths.push(entry.path.clone());
        }
        // Those who have a part of it count where nobody has all.
        let has_all = |provider: &&Provider| !provider.partial;
        let some_have_all = providers.iter().any(|provider| has_all(&provider));
        let counted = || providers.iter().filter(|one| !some_have_all || has_all(one));
        Some(Candidate {
            name: name.as_str().to_owned(),
            content: Some(content),
            kind: kind_to_api(entry.kind),
            size: Some(entry.size),
            files: 1,
            providers: counted().count() as u32,
            online: counted().filter(|provider| provider.online).count() as u32,
            network: self.network_name(&network),
            ticket: ticket.to_string(),
            unverified: None,
            paths,
        })
    }

    fn outside_candidate(
        &self,
        group: &Group,
        network: &NetworkId,
        outside: &Outside,
        paths: Vec<String>,
    ) -> Candidate {
        let title = paths.first().cloned().unwrap_or_default();
        let Outside { host, port, number } = outside;
        Candidate {
            ticket: format!("{OUTSIDE}{host}:{port}/{number}/{title}"),
            name: title,
            content: None,
            kind: ShareKind::File,
            size: None,
            files: 1,
            providers: group.providers,
            online: group.online,
            network: self.network_name(network),
            unverified: Some(format!("{host}:{port}")),
            paths,
        }
    }

    pub(crate) async fn browse(&self, what: BrowseCommand) -> Result<Reply, ApiError> {
        let named = match &what.network {
            Some(network) => Some(self.network(Some(network))?),
            None => None,
        };
        let whom = self.whom(&what.peer, named.as_ref()).await?;
        let network = match named.or(whom.network) {
            Some(network) => network,
            None => self.network(None)?,
        };
        let networks = &self.inner.networks;
        let shares = networks.shares_of(&network, whom.peer).await;
        let mut shares: Vec<BrowsedShare> =
            shares.map_err(failure::of_service)?.iter().map(browsed_share).collect();
        shares.sort_by(|a, b| a.name.cmp(&b.name));
        let located = self.inner.directories.get(&network);
        let located = match located {
            Some(directory) => directory.resolve(whom.peer).await.ok().flatten(),
            None => None,
        };
        let mut browsed = Browsed {
            peer: peer_name(&Whom {
                nick: whom.nick.clone().or(located.as_ref().map(|l| l.nick.clone())),
                ..whom.clone()
            }),
            network: self.network_name(&network),
            online: located.as_ref().is_some_and(|l| l.online),
            last_seen_ms: located.as_ref().map_or(0, |l| l.last_seen_ms),
            shares,
            entries: Vec::new(),
            after: None,
        };
        if let Some(share) = &what.share {
            let key = choose_share(&browsed.shares, share)?;
            browsed.shares.retain(|one| one.key == key.to_string());
            let told = networks.entries_of(&network, whom.peer, key, what.after).await;
            let (entries, more) = told.map_err(failure::of_service)?;
            browsed.after = entries.last().filter(|_| more).map(|entry| entry.path.clone());
            browsed.entries = entries.into_iter().map(browsed_entry).collect();
        }
        Ok(Reply::Browsed(browsed))
    }
}

/// The share that is meant by its name or key.
fn choose_share(shares: &[BrowsedShare], text: &str) -> Result<ShareKey, ApiError> {
    let fits: Vec<&BrowsedShare> =
        shares.iter().filter(|share| share.name == text || share.key == text).collect();
    match fits.as_slice() {
        [only] => only.key.parse().map_err(|_| ApiError::internal("a share has an odd key")),
        [] => Err(ApiError::new(ErrorKind::NotFound, format!("there is no share {text:?}"))),
        _ => Err(ApiError::usage(format!("several shares are called {text:?}"))
            .hint("name one by its key: \"potluck browse PEER --json\" shows them")),
    }
}

fn browsed_share(head: &ShareHead) -> BrowsedShare {
    BrowsedShare {
        key: head.share.to_string(),
        name: head.name.clone(),
        content: head.content,
        kind: kind_to_api(head.kind),
        size: head.size,
        files: head.files.into(),
        tags: head.tags.clone(),
        partial: head.partial,
    }
}

fn browsed_entry(entry: Entry) -> BrowsedEntry {
    BrowsedEntry {
        path: entry.path,
        content: entry.content,
        size: entry.size,
        executable: entry.executable,
        modified_s: entry.modified_s,
    }
}

fn found_hit(hit: &Hit) -> FoundHit {
    let (peer, unverified) = match &hit.by {
        Offered::Member(peer, _) => (Some(unnamed(*peer)), None),
        Offered::Outside(at) => (None, Some(format!("{}:{}", at.host, at.port))),
    };
    FoundHit {
        path: hit.entry.path.clone(),
        peer,
        online: hit.online,
        last_seen_ms: hit.last_seen_ms.min(now_ms()),
        unverified,
    }
}

/// The source of a group that only P2P-CI peers have.
fn outside_of(group: &Group) -> Option<&Outside> {
    let first = group.hits.first()?;
    let all_outside = group.hits.iter().all(|hit| matches!(hit.by, Offered::Outside(_)));
    match &first.by {
        Offered::Outside(outside) if all_outside => Some(outside),
        _ => None,
    }
}

/// Whether a person who types this means this entry.
fn is_called(entry: &Entry, text: &str) -> bool {
    let last = entry.path.rsplit('/').next().unwrap_or_default();
    let (text, last) = (text.to_lowercase(), last.to_lowercase());
    last == text || entry.path.to_lowercase() == text
}

/// What a downloaded entry is called.
fn name_of(entry: &Entry) -> Option<RelPath> {
    RelPath::parse_name(entry.path.rsplit('/').next()?).ok()
}

fn kind_to_api(kind: EntryKind) -> ShareKind {
    match kind {
        EntryKind::File => ShareKind::File,
        EntryKind::Folder => ShareKind::Folder,
    }
}

/// A search in the words of the directories.
pub(crate) fn query_of(what: &SearchCommand) -> Query {
    Query {
        words: what.words.clone(),
        kinds: what.kinds.iter().map(|kind| file_type(*kind)).collect(),
        min_size: what.min_size,
        max_size: what.max_size,
        sort: match what.sort {
            api::Sort::Best => Sort::Best,
            api::Sort::Name => Sort::Name,
            api::Sort::Size => Sort::Size,
            api::Sort::Newest => Sort::Newest,
            api::Sort::Providers => Sort::Providers,
        },
        offset: what.offset,
        limit: what.limit.clamp(1, limits::SEARCH_RESULTS as u16),
    }
}

fn file_type(kind: api::FileType) -> FileType {
    match kind {
        api::FileType::Video => FileType::Video,
        api::FileType::Audio => FileType::Audio,
        api::FileType::Image => FileType::Image,
        api::FileType::Document => FileType::Document,
        api::FileType::Archive => FileType::Archive,
        api::FileType::Program => FileType::Program,
        api::FileType::Other => FileType::Other,
        api::FileType::Folder => FileType::Folder,
    }
}
