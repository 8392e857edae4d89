//! Questions to the index, and answers cut to size.

use std::fmt::Debug;

use potluck_base::{ContentId, PeerId, ShareKey, limits};
use serde::Serialize;

use super::{Answered, Call, Out, Registry};
use crate::directory::tracker::change::{Answer, Question};
use crate::directory::tracker::found::{Found, Hit, HitProof, ProviderRecord};
use crate::directory::tracker::message::{Denial, Query, Reply};

impl<P: Copy + Ord + Debug> Registry<P> {
    pub(super) fn search(
        &mut self,
        call: &Call<P>,
        mut query: Query,
        out: &mut Out<P>,
    ) -> Answered {
        self.counts.searches += 1;
        check_offset(query.offset)?;
        let most = limits::SEARCH_RESULTS as u16;
        query.limit = if query.limit == 0 { most } else { query.limit.min(most) };
        self.ask(call, Question::Search { network: call.network, query }, out)
    }

    pub(super) fn providers(
        &mut self,
        call: &Call<P>,
        content: ContentId,
        offset: u32,
        out: &mut Out<P>,
    ) -> Answered {
        check_offset(offset)?;
        self.ask(call, Question::Providers { network: call.network, content, offset }, out)
    }

    pub(super) fn browse(
        &mut self,
        call: &Call<P>,
        peer: PeerId,
        share: Option<ShareKey>,
        after: Option<String>,
        out: &mut Out<P>,
    ) -> Answered {
        let member = self.member(call, &peer)?;
        let network = call.network;
        let question = match share {
            Some(share) => {
                member.share(&share).ok_or(Denial::Unknown)?;
                Question::Entries { network, peer, share, after }
            }
            None => {
                let after = after.map(|text| text.parse::<ShareKey>()).transpose();
                let after = after.map_err(|error| Denial::BadRecord(error.to_string()))?;
                Question::Shares { network, peer, after }
            }
        };
        self.ask(call, question, out)
    }

    /// What the index answered, as the peer gets it.
    pub(super) fn answer(&self, call: &Call<P>, answer: Answer) -> Result<Reply, Denial> {
        match answer {
            Answer::Found(found) => Ok(Reply::Found(self.found(call, found))),
            Answer::Providers { mut providers, mut more } => {
                providers.retain_mut(|provider| self.fill(call, provider));
                more |= providers.len() > limits::PROVIDERS;
                providers.truncate(limits::PROVIDERS);
                more |= cut(&mut providers);
                Ok(Reply::Providers { providers, more })
            }
            Answer::Shares { mut shares, mut more } => {
                more |= shares.len() > limits::BROWSE_ENTRIES;
                shares.truncate(limits::BROWSE_ENTRIES);
                more |= cut(&mut shares);
                Ok(Reply::Shares { shares, more })
            }
            Answer::Entries { mut entries, mut more } => {
                more |= entries.len() > limits::BROWSE_ENTRIES;
                entries.truncate(limits::BROWSE_ENTRIES);
                more |= cut(&mut entries);
                Ok(Reply::Entries { entries, more })
            }
            Answer::Unavailable => Err(Denial::Unavailable { retry_ms: super::jobs::RETRY_MS }),
        }
    }

    fn found(&self, call: &Call<P>, mut found: Found) -> Found {
        found.more |= found.groups.len() > limits::SEARCH_RESULTS;
        found.groups.truncate(limits::SEARCH_RESULTS);
        for group in &mut found.groups {
            group.hits.retain_mut(|hit| self.mark(call, hit));
            group.hits.truncate(limits::GROUP_HITS);
        }
        found.more |= cut(&mut found.groups);
        found
    }

    /// Says in a hit whether its peer is there, and whether it is a member at all.
    fn mark(&self, call: &Call<P>, hit: &mut Hit) -> bool {
        if matches!(hit.proof, HitProof::Unverified { .. }) {
            return true;
        }
        let Ok(member) = self.member(call, &hit.peer) else { return false };
        hit.last_seen_ms = member.last_seen_ms;
        hit.online = self.is_online(&call.network, &hit.peer);
        true
    }

    /// Fills in where a provider is, and says whether it is a member at all.
    fn fill(&self, call: &Call<P>, provider: &mut ProviderRecord) -> bool {
        if !self.mark(call, &mut provider.hit) {
            return false;
        }
        if !matches!(provider.hit.proof, HitProof::Unverified { .. }) {
            provider.online = provider.hit.online;
            provider.last_seen_ms = provider.hit.last_seen_ms;
            provider.presence = self.presence(call, &provider.peer);
        }
        true
    }
}

fn check_offset(offset: u32) -> Result<(), Denial> {
    if offset <= limits::SEARCH_OFFSET {
        return Ok(());
    }
    Err(Denial::TooMuch(format!("results end after {}: say more words", limits::SEARCH_OFFSET)))
}

/// Leaves so many items that they fit into one answer, at least one, and says whether some had to
/// go.
pub(super) fn cut<T: Serialize>(items: &mut Vec<T>) -> bool {
    let mut bytes = 0;
    let over = items.iter().position(|item| {
        bytes += wire_size(item);
        bytes > limits::REPLY_BYTES
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
