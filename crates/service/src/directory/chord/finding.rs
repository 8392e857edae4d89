//! Finding: asks those who keep the keys of a question, as many at once as the question can use,
//! and puts together what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use potluck_base::{ContentId, PeerId, ShareKey, limits};
use potluck_identity::Signed;
use potluck_proto::directory::chord::index::{
    Answer, Asked, Listing, Providers, Search, Shares, There,
};
use potluck_proto::directory::record::{Entry, Proof, ShareHead};
use potluck_proto::directory::tracker::{self as wire, ProviderRecord, Query};
use tokio::time::timeout;

use super::heart::Heart;
use crate::chance::now_ms;
use crate::error::ServiceError;

/// How long members are looked for, before results are shown without saying who is there.
const SIGHT_TIME: Duration = Duration::from_secs(3);

/// A question that is put together from several.
trait Quest {
    fn next(&mut self) -> Option<Asked>;
    fn hear(&mut self, id: u32, answer: Option<Answer>);
}

impl Quest for Search {
    fn next(&mut self) -> Option<Asked> {
        self.next_ask()
    }

    fn hear(&mut self, id: u32, answer: Option<Answer>) {
        self.told(id, answer, now_ms());
    }
}

impl Quest for Providers {
    fn next(&mut self) -> Option<Asked> {
        self.next_ask()
    }

    fn hear(&mut self, id: u32, answer: Option<Answer>) {
        self.told(id, answer, now_ms());
    }
}

impl Quest for Shares {
    fn next(&mut self) -> Option<Asked> {
        self.next_ask()
    }

    fn hear(&mut self, id: u32, answer: Option<Answer>) {
        self.told(id, answer, now_ms());
    }
}

impl Quest for Listing {
    fn next(&mut self) -> Option<Asked> {
        self.next_ask()
    }

    fn hear(&mut self, id: u32, answer: Option<Answer>) {
        self.told(id, answer, now_ms());
    }
}

impl Heart {
    /// Asks whatever a question wants to know until it knows it.
    async fn pursue(&self, quest: &mut impl Quest) -> Result<(), ServiceError> {
        let (mut asked, mut answered, mut failed) = (FuturesUnordered::new(), 0, None);
        loop {
            while let Some(Asked { id, key, question }) = quest.next() {
                asked.push(async move { (id, self.core.ask(key, question).await) });
            }
            let Some((id, told)) = asked.next().await else { break };
            let answer = match told {
                Ok(told) => told.map(|(_, answer)| answer),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            };
            answered += usize::from(answer.is_some());
            quest.hear(id, answer);
        }
        match failed {
            Some(error) if answered == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Finds content by words.
    pub(super) async fn search(&self, query: Query) -> Result<wire::Found, ServiceError> {
        let mut search = Search::new(self.network(), query)?;
        self.pursue(&mut search).await?;
        let sights = self.sights(search.peers()).await;
        Ok(search.finish(&|peer| sights.get(peer).copied().unwrap_or_default()))
    }

    /// Who has a content.
    pub(super) async fn providers(
        &self,
        content: ContentId,
    ) -> Result<Vec<ProviderRecord>, ServiceError> {
        let mut providers = Providers::new(self.network(), content);
        self.pursue(&mut providers).await?;
        let peers = providers.peers();
        let sights = self.sights(peers.clone()).await;
        let unknown = peers.iter().filter(|peer| self.people.presence(**peer).is_none());
        join_all(unknown.map(|peer| self.presence_of(*peer))).await;
        let there = |peer: &PeerId| sights.get(peer).copied().unwrap_or_default();
        let mut found = providers.finish(&there, &|peer| self.people.presence(*peer));
        found.sort_by_key(|one| !one.online);
        Ok(found)
    }

    /// What a member shares.
    pub(super) async fn shares(
        &self,
        peer: PeerId,
    ) -> Result<Vec<Signed<ShareHead>>, ServiceError> {
        let mut shares = Shares::new(self.network(), peer);
        self.pursue(&mut shares).await?;
        Ok(shares.finish())
    }

    /// What is in a share, in order of paths.
    pub(super) async fn files(
        &self,
        peer: PeerId,
        share: ShareKey,
    ) -> Result<Vec<(Entry, Proof)>, ServiceError> {
        let heads = self.shares(peer).await?;
        let head = heads.into_iter().find(|head| head.value.share == share);
        let head = head.ok_or(ServiceError::Denied(wire::Denial::Unknown))?;
        let mut listing = Listing::new(self.network(), &head.value);
        self.pursue(&mut listing).await?;
        Ok(listing.finish())
    }

    /// Which of these members are there, as far as that is known soon.
    pub(super) async fn sights(&self, peers: Vec<PeerId>) -> BTreeMap<PeerId, There> {
        let looks = peers.into_iter().take(limits::PROVIDERS_ASKED).map(|peer| async move {
            let sight = timeout(SIGHT_TIME, self.sight(peer)).await;
            (peer, sight.unwrap_or_default())
        });
        join_all(looks).await.into_iter().collect()
    }
}
