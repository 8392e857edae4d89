//! What a tracker can be asked, answered by the circle.

use std::time::Duration;

use potluck_base::{PeerId, ShareKey, limits};
use potluck_proto::directory::chord::Command;
use potluck_proto::directory::tracker::{Denial, MemberInfo, Reply, Request};

use super::ChordDirectory;
use super::heart::Phase;
use crate::error::ServiceError;

/// How long leaving for good may take.
const FORGET_TIME: Duration = Duration::from_secs(4);
/// How long handing over may take.
const HAND_OVER_TIME: Duration = Duration::from_secs(10);

impl ChordDirectory {
    /// Answers as a tracker would.
    pub(super) async fn answered(&self, request: Request) -> Result<Reply, ServiceError> {
        let heart = &self.heart;
        Ok(match request {
            Request::Search { query } => Reply::Found(heart.search(query).await?),
            Request::Providers { content, offset } => {
                let mut providers = heart.providers(content).await?;
                let from = (offset as usize).min(providers.len());
                providers.drain(..from);
                let more = providers.len() > limits::PROVIDERS;
                providers.truncate(limits::PROVIDERS);
                Reply::Providers { providers, more }
            }
            Request::Resolve { peer } => self.resolved(peer).await?,
            Request::Browse { peer, share: None, after } => self.shares_of(peer, after).await?,
            Request::Browse { peer, share: Some(share), after } => {
                self.entries_of(peer, share, after).await?
            }
            Request::Members { after } => {
                let members = heart.members().await?.into_iter();
                let mut members: Vec<MemberInfo> =
                    members.filter(|m| after.is_none_or(|after| m.peer > after)).collect();
                let more = members.len() > limits::MEMBERS_LISTED;
                members.truncate(limits::MEMBERS_LISTED);
                Reply::Members { members, more }
            }
            Request::Find { nick } => self.named(&nick).await?,
            Request::Revoke { revocations } => {
                heart.revoke(revocations)?;
                Reply::Done
            }
            Request::Revocations => Reply::Revocations(heart.standing().revocations.clone()),
            Request::Record => Reply::Record(heart.standing().record.clone()),
            Request::Leave { forget } => {
                if forget {
                    self.publisher.withdraw_all(FORGET_TIME).await;
                    heart.forget_us().await;
                }
                self.hand_over().await?;
                Reply::Done
            }
            Request::Renew => Reply::Done,
            // What a member says to a tracker of itself is published on a circle.
            Request::Host { .. }
            | Request::Join { .. }
            | Request::Register { .. }
            | Request::Announce { .. }
            | Request::States
            | Request::PageRoots { .. }
            | Request::PutShare { .. }
            | Request::PutPage { .. }
            | Request::Withdraw { .. } => return Err(Denial::Unknown.into()),
        })
    }

    /// Hands over what is kept here, and goes; until this node is started again it takes no part.
    pub(super) async fn hand_over(&self) -> Result<(), ServiceError> {
        let mut phase = self.heart.phase.subscribe();
        if *phase.borrow() == Phase::Gone {
            return Ok(());
        }
        self.heart.save_contacts().await;
        if self.heart.is_alone().await {
            // There is nobody to hand over to.
            self.heart.keeper.hoard();
        }
        self.heart.core.wish(Command::Leave).await;
        let gone = phase.wait_for(|phase| *phase == Phase::Gone);
        match tokio::time::timeout(HAND_OVER_TIME, gone).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let why = "not everything could be handed over in time".to_owned();
                Err(ServiceError::CircleAway { why })
            }
        }
    }

    async fn resolved(&self, peer: PeerId) -> Result<Reply, ServiceError> {
        let presence = self.heart.presence_of(peer).await?;
        let sight = self.heart.sight(peer).await;
        if presence.is_none() && !sight.online {
            return Err(Denial::Unknown.into());
        }
        let last_seen_ms = sight.last_seen_ms;
        Ok(Reply::Resolved { presence, online: sight.online, last_seen_ms })
    }

    async fn shares_of(&self, peer: PeerId, after: Option<String>) -> Result<Reply, ServiceError> {
        let mut shares = self.heart.shares(peer).await?;
        shares.sort_by_key(|head| head.value.share.to_string());
        shares.retain(|head| after.as_ref().is_none_or(|a| head.value.share.to_string() > *a));
        let more = shares.len() > limits::BROWSE_ENTRIES;
        shares.truncate(limits::BROWSE_ENTRIES);
        Ok(Reply::Shares { shares, more })
    }

    async fn entries_of(
        &self,
        peer: PeerId,
        share: ShareKey,
        after: Option<String>,
    ) -> Result<Reply, ServiceError> {
        let mut entries = self.heart.files(peer, share).await?;
        entries.retain(|(entry, _)| after.as_ref().is_none_or(|after| entry.path > *after));
        let more = entries.len() > limits::BROWSE_ENTRIES;
        entries.truncate(limits::BROWSE_ENTRIES);
        Ok(Reply::Entries { entries, more })
    }

    async fn named(&self, nick: &str) -> Result<Reply, ServiceError> {
        let heart = &self.heart;
        let mut members = Vec::new();
        for presence in heart.called(nick, None).await? {
            let peer = presence.value.peer;
            let online = heart.is_online(peer).await;
            members.push(heart.member(peer, online, Some(&presence.value)));
        }
        match members.is_empty() {
            true => Err(Denial::Unknown.into()),
            false => Ok(Reply::Members { members, more: false }),
        }
    }
}
