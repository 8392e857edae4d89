//! The people of a network: who they are, what they share, how far away they are.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId, ShareKey, limits};
use potluck_identity::Role;
use potluck_proto::directory::record::{Entry, ShareHead};
use potluck_proto::directory::tracker::{Denial, MemberInfo, Reply, Request, same_nick};
use tokio::time::{Instant, timeout};

use super::{Joined, Networks, nonsense};
use crate::chance::now_ms;
use crate::error::ServiceError;

/// Characters of a key's beginning that are enough to mean a peer.
const PREFIX_CHARS: usize = 6;
/// How often a directory whose index is away, or that has a newer list, is told of a revoked
/// member.
const TRIES: u32 = 4;

/// A peer that somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The peer.
    pub peer: PeerId,
    /// What it is called, if it was found in a network.
    pub nick: Option<String>,
    /// Where it was found.
    pub network: Option<NetworkId>,
}

impl Networks {
    /// All members of a network.
    pub async fn members(&self, network: &NetworkId) -> Result<Vec<MemberInfo>, ServiceError> {
        let joined = self.get(network)?;
        let mut all: Vec<MemberInfo> = Vec::new();
        loop {
            let after = all.last().map(|member| member.peer);
            match joined.directory()?.ask(Request::Members { after }).await? {
                Reply::Members { members, more } => {
                    let empty = members.is_empty();
                    all.extend(members);
                    if !more || empty || all.len() >= limits::NETWORK_MEMBERS {
                        return Ok(all);
                    }
                }
                _ => return Err(nonsense()),
            }
        }
    }

    /// The peer that is meant: by its key, by a nickname in one of the networks, or by the
    /// beginning of its key.
    pub async fn whom(
        &self,
        text: &str,
        network: Option<&NetworkId>,
    ) -> Result<Whom, ServiceError> {
        if let Ok(peer) = text.parse::<PeerId>() {
            return Ok(Whom { peer, nick: None, network: network.copied() });
        }
        let networks = network.map_or_else(|| self.ids(), |only| vec![*only]);
        let mut found: Vec<Whom> = Vec::new();
        let mut away = None;
        for network in networks {
            match self.called(&network, text).await {
                Ok(members) => found.extend(members),
                Err(error) => away = Some(error),
            }
        }
        let linked = self.parts.peers.all();
        let begins = |peer: &PeerId| {
            text.len() >= PREFIX_CHARS && peer.to_string().starts_with(&text.to_lowercase())
        };
        for linked in linked.iter().filter(|linked| begins(&linked.peer)) {
            if found.iter().all(|whom| whom.peer != linked.peer) {
                found.push(Whom { peer: linked.peer, nick: None, network: None });
            }
        }
        found.dedup_by_key(|whom| whom.peer);
        match (found.as_slice(), away) {
            ([only], _) => Ok(only.clone()),
            ([], Some(error)) => Err(error),
            ([], None) => Err(ServiceError::NoPeer(text.to_owned())),
            _ => Err(ServiceError::SeveralPeers(text.to_owned())),
        }
    }

    /// The members of a network with this nickname, or whose keys begin like this.
    async fn called(&self, network: &NetworkId, text: &str) -> Result<Vec<Whom>, ServiceError> {
        let joined = self.get(network)?;
        let whom = |member: &MemberInfo| Whom {
            peer: member.peer,
            nick: Some(member.nick.clone()),
            network: Some(*network),
        };
        let nick = text.to_owned();
        if text.len() <= limits::NICK_BYTES {
            match joined.directory()?.ask(Request::Find { nick }).await {
                Ok(Reply::Members { members, .. }) => {
                    let named = members.iter().filter(|member| same_nick(&member.nick, text));
                    let named: Vec<Whom> = named.map(whom).collect();
                    if !named.is_empty() {
                        return Ok(named);
                    }
                }
                Ok(_) => return Err(nonsense()),
                Err(ServiceError::Denied(Denial::Unknown | Denial::BadRecord(_))) => {}
                Err(error) => return Err(error),
            }
        }
        if text.len() < PREFIX_CHARS {
            return Ok(Vec::new());
        }
        let text = text.to_lowercase();
        let members = self.members(network).await?;
        let begins = members.iter().filter(|member| member.peer.to_string().starts_with(&text));
        Ok(begins.map(whom).collect())
    }

    /// Revokes a member; everybody hears of it. Returns the number of the list.
    pub async fn revoke(&self, network: &NetworkId, peer: PeerId) -> Result<u64, ServiceError> {
        let joined = self.get(network)?;
        let role = joined.saved().role().ok_or(ServiceError::Expelled)?;
        if !role.may_revoke() {
            return Err(ServiceError::Denied(Denial::Role { needed: Role::Admin }));
        }
        let mut ended = self.revoke_by_next(&joined, peer).await;
        for _ in 1..TRIES {
            // Another admin was faster: its list comes first.
            if !matches!(ended, Err(ServiceError::Denied(Denial::Stale { .. }))) {
                break;
            }
            ended = self.revoke_by_next(&joined, peer).await;
        }
        ended
    }

    /// Makes the list after the one in force, with this member on it.
    async fn revoke_by_next(
        &self,
        joined: &Arc<Joined>,
        peer: PeerId,
    ) -> Result<u64, ServiceError> {
        // The directory's list may be newer than ours: another admin may have been faster.
        if let Reply::Revocations(newer) = joined.directory()?.ask(Request::Revocations).await? {
            self.take_revocations(joined, newer).await?;
        }
        let next = {
            let saved = joined.saved();
            // One that came into force just now may not be kept yet.
            let in_force = self.parts.memberships.revocations(&saved.id());
            let last = in_force.unwrap_or_else(|| saved.revocations.clone());
            if last.is_revoked(&peer) {
                return Ok(last.number());
            }
            let (key, by) = (&self.parts.secret, saved.membership.clone());
            last.next(key, by, [peer], now_ms())?
        };
        let number = next.number();
        for attempt in 1.. {
            // The same list again does no harm, and brings a tracker into step whose index was
            // away.
            match joined.directory()?.ask(Request::Revoke { revocations: next.clone() }).await {
                Ok(_) => break,
                Err(ServiceError::Denied(Denial::Unavailable { retry_ms })) if attempt < TRIES => {
                    tokio::time::sleep(Duration::from_millis(retry_ms.into())).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.take_revocations(joined, next).await?;
        Ok(number)
    }

    async fn take_revocations(
        &self,
        joined: &Arc<Joined>,
        newer: potluck_identity::Revocations,
    ) -> Result<(), ServiceError> {
        if newer.number() > joined.saved().revocations.number() {
            self.follow(joined, crate::directory::Happened::Revoked(newer)).await?;
        }
        Ok(())
    }

    /// What a member shares, as it signed it.
    pub async fn shares_of(
        &self,
        network: &NetworkId,
        peer: PeerId,
    ) -> Result<Vec<ShareHead>, ServiceError> {
        let joined = self.get(network)?;
        let mut all: Vec<ShareHead> = Vec::new();
        loop {
            let after = all.last().map(|head| head.share.to_string());
            match joined.directory()?.ask(Request::Browse { peer, share: None, after }).await? {
                Reply::Shares { shares, more } => {
                    let empty = shares.is_empty();
                    let signed = shares.iter();
                    all.extend(
                        signed.filter_map(|s| ShareHead::check(s, network, &peer).ok()).cloned(),
                    );
                    if !more || empty || all.len() >= limits::SHARES_PER_PEER {
                        return Ok(all);
                    }
                }
                _ => return Err(nonsense()),
            }
        }
    }

    /// Some files of a member's share, as it signed them, and whether there are more behind.
    pub async fn entries_of(
        &self,
        network: &NetworkId,
        peer: PeerId,
        share: ShareKey,
        after: Option<String>,
    ) -> Result<(Vec<Entry>, bool), ServiceError> {
        let joined = self.get(network)?;
        let browse = Request::Browse { peer, share: Some(share), after };
        match joined.directory()?.ask(browse).await? {
            Reply::Entries { entries, more } => {
                let signed = entries.into_iter();
                let signed =
                    signed.filter(|(entry, proof)| proof.check(network, &peer, entry).is_ok());
                Ok((signed.map(|(entry, _)| entry).collect(), more))
            }
            _ => Err(nonsense()),
        }
    }

    /// Reaches a peer, wherever it is, and measures round trips; none for one that was lost.
    pub async fn ping(
        &self,
        whom: &Whom,
        count: u32,
    ) -> Result<Vec<Option<Duration>>, ServiceError> {
        let peers = &self.parts.peers;
        if let Some(network) = whom.network {
            peers.know_in(whom.peer, network).await;
        }
        peers.dial(whom.peer).await?;
        let linked = peers.linked(whom.peer).ok_or(ServiceError::LinkLost(whom.peer))?;
        let mut times = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            match timeout(limits::HELLO_TIME, linked.echo()).await {
                Ok(Ok(())) => times.push(Some(began.elapsed())),
                Ok(Err(error)) if times.is_empty() => return Err(error),
                Ok(Err(_)) | Err(_) => times.push(None),
            }
        }
        Ok(times)
    }
}
