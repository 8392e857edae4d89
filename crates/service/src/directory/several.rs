//! A node's directories as one: all are asked at once, what they say is put together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use futures_util::future::{BoxFuture, join_all};
use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, limits};
use potluck_link::Finder;
use potluck_proto::directory::tracker::{Query, Sort};
use tokio::time::timeout;

use super::{Directory, Group, Provider};
use crate::error::ServiceError;

/// The directories of the networks that a node is in.
#[derive(Default)]
pub struct Directories {
    all: RwLock<BTreeMap<NetworkId, Arc<dyn Directory>>>,
}

/// What several directories found together.
#[derive(Debug, Default)]
pub struct Merged {
    /// Contents, each once, the best first.
    pub groups: Vec<Group>,
    /// Whether there is more.
    pub more: bool,
    /// Words that would have found something.
    pub did_you_mean: Option<String>,
    /// Milliseconds since the one that is away longest last said so.
    pub stale_ms: Option<u64>,
    /// Directories that could not be asked, and why.
    pub failures: Vec<(NetworkId, ServiceError)>,
}

impl Directories {
    /// Adds a network's directory, in place of an earlier one.
    pub fn put(&self, directory: Arc<dyn Directory>) {
        let mut all = self.all.write().expect("no panic while held");
        all.insert(directory.network(), directory);
    }

    /// Takes a network's directory away.
    pub fn remove(&self, network: &NetworkId) {
        self.all.write().expect("no panic while held").remove(network);
    }

    /// A network's directory.
    pub fn get(&self, network: &NetworkId) -> Option<Arc<dyn Directory>> {
        self.all.read().expect("no panic while held").get(network).cloned()
    }

    /// Those of some networks, or all of them if none is named.
    fn of(&self, networks: &[NetworkId]) -> Vec<Arc<dyn Directory>> {
        let all = self.all.read().expect("no panic while held");
        let wanted = |network: &NetworkId| networks.is_empty() || networks.contains(network);
        all.iter().filter(|(id, _)| wanted(id)).map(|(_, d)| Arc::clone(d)).collect()
    }

    /// Searches some networks, or all of them if none is named.
    pub async fn search(&self, query: Query, networks: &[NetworkId]) -> Merged {
        // Each network's page is not a page of them all: from each as many as the page ends with.
        let wanted = query.offset as usize + usize::from(query.limit);
        let each =
            Query { offset: 0, limit: wanted.min(limits::SEARCH_RESULTS) as u16, ..query.clone() };
        let directories = self.of(networks);
        let single = directories.len() == 1;
        let asked = if single { query.clone() } else { each };
        let answers = join_all(directories.iter().map(|directory| {
            let (network, query) = (directory.network(), asked.clone());
            async move { (network, within(directory.search(query)).await) }
        }));
        let mut merged = Merged::default();
        for (network, answer) in answers.await {
            match answer {
                Ok(found) => {
                    merged.more |= found.more;
                    merged.did_you_mean = merged.did_you_mean.or(found.did_you_mean);
                    merged.stale_ms = merged.stale_ms.max(found.stale_ms);
                    found.groups.into_iter().for_each(|group| merged.add(group));
                }
                Err(error) => merged.failures.push((network, error)),
            }
        }
        if !single {
            merged.order(query.sort);
            merged.more |= merged.groups.len() > wanted;
            merged.groups.truncate(wanted);
            merged.groups.drain(..merged.groups.len().min(query.offset as usize));
        }
        if !merged.groups.is_empty() {
            merged.did_you_mean = None;
        }
        merged
    }

    /// Who has a content, in some networks or in all if none is named; those that are online first.
    pub async fn providers(
        &self,
        content: ContentId,
        networks: &[NetworkId],
    ) -> Vec<(NetworkId, Provider)> {
        let directories = self.of(networks);
        let answers = join_all(directories.iter().map(|directory| async move {
            let network = directory.network();
            match within(directory.providers(content)).await {
                Ok(providers) => providers.into_iter().map(|p| (network, p)).collect(),
                Err(error) => {
                    tracing::info!(network = %network.short(), %error, "no providers told");
                    Vec::new()
                }
            }
        }));
        let mut all: Vec<(NetworkId, Provider)> = answers.await.into_iter().flatten().collect();
        all.sort_by_key(|(_, provider)| (!provider.online, provider.partial));
        all
    }
}

impl Merged {
    fn add(&mut self, group: Group) {
        match self.groups.iter_mut().find(|known| known.content == group.content) {
            Some(sum) => {
                sum.networks.extend(group.networks);
                sum.online += group.online;
                sum.providers += group.providers;
                sum.partial += group.partial;
                sum.newest_s = sum.newest_s.max(group.newest_s);
                sum.hits.extend(group.hits);
                sum.hits.truncate(limits::GROUP_HITS);
            }
            None => self.groups.push(group),
        }
    }

    /// Puts the groups of several networks into one order; the order of each stays where equal.
    fn order(&mut self, sort: Sort) {
        let name = |g: &Group| g.hits.first().map(|hit| hit.entry.path.to_lowercase());
        match sort {
            Sort::Best => self.groups.sort_by_key(|g| u32::MAX - g.online),
            Sort::Name => self.groups.sort_by_cached_key(name),
            Sort::Size => self.groups.sort_by_key(|g| u64::MAX - g.size),
            Sort::Newest => self.groups.sort_by_key(|g| u64::MAX - g.newest_s),
            Sort::Providers => self.groups.sort_by_key(|g| u32::MAX - g.providers),
        }
    }
}

/// The address book of a node's links: whatever the directories know.
impl Finder for Directories {
    fn find(&self, peer: PeerId) -> BoxFuture<'static, Option<PeerAddr>> {
        let directories = self.of(&[]);
        Box::pin(async move {
            let answers = join_all(directories.iter().map(|d| within(d.resolve(peer))));
            let located = answers.await.into_iter().filter_map(|answer| answer.ok().flatten());
            located.max_by_key(|located| located.last_seen_ms).map(|located| located.address)
        })
    }
}

impl fmt::Debug for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.of(&[]).iter().map(|d| d.network())).finish()
    }
}

/// One directory that is slow must not hold up the others.
async fn within<T>(
    answer: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    timeout(limits::DIRECTORY_TIME, answer).await.unwrap_or(Err(ServiceError::DirectorySilent))
}
