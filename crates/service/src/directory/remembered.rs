//! What a directory found lately: searched while it cannot be asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use potluck_base::{ContentId, NetworkId, limits};
use potluck_proto::directory::tracker::{FileType, Query};
use potluck_proto::directory::words::file_type;

use super::{Found, Group, Provider, words};

/// Contents that are remembered of one network, the latest ones.
const GROUPS_KEPT: usize = 10_000;
/// Contents whose providers are remembered.
const PROVIDERS_KEPT: usize = 1_000;

/// The latest results of one network.
#[derive(Default)]
pub(super) struct Remembered {
    groups: BTreeMap<ContentId, Group>,
    order: VecDeque<ContentId>,
    providers: BTreeMap<ContentId, Vec<Provider>>,
    providers_order: VecDeque<ContentId>,
    told: Option<Instant>,
}

impl Remembered {
    /// Keeps what was found.
    pub(super) fn keep(&mut self, found: &Found) {
        self.told = Some(Instant::now());
        for group in &found.groups {
            if self.groups.insert(group.content, group.clone()).is_none() {
                self.order.push_back(group.content);
            }
        }
        while self.order.len() > GROUPS_KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.groups.remove(&oldest);
            }
        }
    }

    /// Keeps who has a content.
    pub(super) fn keep_providers(&mut self, content: ContentId, providers: &[Provider]) {
        if self.providers.insert(content, providers.to_vec()).is_none() {
            self.providers_order.push_back(content);
        }
        while self.providers_order.len() > PROVIDERS_KEPT {
            if let Some(oldest) = self.providers_order.pop_front() {
                self.providers.remove(&oldest);
            }
        }
    }

    /// Who had a content, if that was asked before.
    pub(super) fn providers(&self, content: &ContentId) -> Option<Vec<Provider>> {
        self.providers.get(content).cloned()
    }

    /// What fits a query among the remembered; none if nothing was ever found.
    pub(super) fn search(&self, network: NetworkId, query: &Query) -> Option<Found> {
        let age = self.told?.elapsed();
        let fits = |group: &&Group| {
            let names = group.hits.iter().map(|hit| hit.entry.path.as_str());
            query.min_size.is_none_or(|least| group.size >= least)
                && query.max_size.is_none_or(|most| group.size <= most)
                && (query.kinds.is_empty() || query.kinds.contains(&kind_of(group)))
                && words::fits(&query.words, names)
        };
        let mut groups: Vec<Group> = self.groups.values().filter(fits).cloned().collect();
        groups.sort_by_key(|group| u32::MAX - group.providers);
        let limit = match query.limit {
            0 => limits::SEARCH_RESULTS,
            limit => usize::from(limit),
        };
        let from = (query.offset as usize).min(groups.len());
        groups.drain(..from);
        let more = groups.len() > limit;
        groups.truncate(limit);
        for group in &mut groups {
            group.networks = BTreeSet::from([network]);
        }
        let stale_ms = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Some(Found { groups, more, did_you_mean: None, stale_ms })
    }
}

/// The type of what is remembered, by its name.
fn kind_of(group: &Group) -> FileType {
    group.hits.first().map_or(FileType::Other, |hit| file_type(hit.entry.kind, &hit.entry.path))
}
