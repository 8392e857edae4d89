//! Who belongs to the network: a walk around the circle, several members at a time.
//!
//! Whoever is met is there; what the members keep says who else there is, and under which names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use potluck_base::{PeerId, limits};
use potluck_identity::Role;
use potluck_proto::directory::chord::index::Question;
use potluck_proto::directory::record::Presence;
use potluck_proto::directory::tracker::MemberInfo;
use tokio::time::{Instant, timeout};

use super::contact::Contact;
use super::heart::Heart;
use crate::chance::now_ms;
use crate::error::ServiceError;

/// Members that are visited at a time.
const VISITS: usize = 16;
/// How long one walk may take: who was not met until then is left out.
const WALK_TIME: Duration = Duration::from_secs(6);
/// How long a walk is good for: one table asks several times.
const WALK_GOOD: Duration = Duration::from_secs(3);
/// Members whose shares are counted: each is asked for.
const COUNTED: usize = 128;
/// How long that may take.
const COUNT_TIME: Duration = Duration::from_secs(2);

/// The last walk.
pub(super) type Walked = tokio::sync::Mutex<Option<(Instant, Vec<MemberInfo>)>>;

impl Heart {
    /// All members that are met or known, in order of their keys.
    pub(super) async fn members(&self) -> Result<Vec<MemberInfo>, ServiceError> {
        if !self.is_on() {
            return Err(super::core::away());
        }
        let mut walked = self.walked.lock().await;
        if let Some((since, members)) = walked.as_ref().filter(|(at, _)| at.elapsed() < WALK_GOOD) {
            tracing::trace!(age = ?since.elapsed(), "members as they were met");
            return Ok(members.clone());
        }
        let mut met = BTreeMap::new();
        let walk = timeout(WALK_TIME, self.walk(&mut met)).await;
        if walk.is_err() {
            tracing::info!(network = %self.network().short(), "not all members were visited");
        }
        let mut members: Vec<MemberInfo> = met.into_values().collect();
        self.count(&mut members).await;
        *walked = Some((Instant::now(), members.clone()));
        Ok(members)
    }

    async fn walk(&self, met: &mut BTreeMap<PeerId, MemberInfo>) {
        let (mut seen, mut next) = (BTreeSet::new(), Vec::new());
        let start = self.core.look(|ring, _| {
            let beside = ring.successors().iter().copied().chain(ring.predecessor());
            let fingers = ring.fingers().into_iter().map(|finger| finger.peer);
            beside.chain(fingers).collect::<Vec<Contact>>()
        });
        next.push(self.core.own);
        next.extend(start.await.unwrap_or_default());
        let mut visits = FuturesUnordered::new();
        loop {
            while visits.len() < VISITS && seen.len() < limits::NETWORK_MEMBERS {
                let Some(contact) = next.pop() else { break };
                if seen.insert(contact) {
                    visits.push(async move {
                        (contact, self.core.visit(contact, Question::Presence).await)
                    });
                }
            }
            let Some((contact, visited)) = visits.next().await else { return };
            let Ok(Some((state, answer))) = visited else { continue };
            self.people.note_online(contact.peer, true);
            self.meet(met, contact.peer, true, None);
            for presence in self.good_presences(answer.told) {
                self.meet(met, presence.value.peer, false, Some(&presence.value));
            }
            next.extend(state.successors.into_iter().chain(state.predecessor));
            next.retain(|contact| !seen.contains(contact));
        }
    }

    fn meet(
        &self,
        met: &mut BTreeMap<PeerId, MemberInfo>,
        peer: PeerId,
        is_there: bool,
        presence: Option<&Presence>,
    ) {
        let member = met.entry(peer).or_insert_with(|| self.member(peer, false, None));
        member.online |= is_there;
        if is_there {
            member.last_seen_ms = now_ms();
        }
        if let Some(presence) =
            presence.filter(|p| p.sequence >= member.last_seen_ms || member.nick.is_empty())
        {
            member.nick = presence.nick.clone();
            member.agent = presence.agent.clone();
            member.last_seen_ms = member.last_seen_ms.max(presence.sequence);
        }
    }

    /// A member as far as it is known here.
    pub(super) fn member(
        &self,
        peer: PeerId,
        online: bool,
        presence: Option<&Presence>,
    ) -> MemberInfo {
        MemberInfo {
            peer,
            nick: presence.map_or(String::new(), |presence| presence.nick.clone()),
            role: self.role_of(peer),
            online,
            last_seen_ms: presence.map_or(0, |presence| presence.sequence),
            agent: presence.map_or(String::new(), |presence| presence.agent.clone()),
            shares: 0,
            files: 0,
            bytes: 0,
        }
    }

    /// What a member may do: known of those that were linked, as they showed it.
    fn role_of(&self, peer: PeerId) -> Role {
        if peer == self.own() {
            let standing = self.standing();
            let (record, list) = (&standing.record.value, &standing.revocations);
            return self.parts.membership.verify(record, list).unwrap_or(Role::Guest);
        }
        let linked = self.peers.linked(peer);
        let role = linked.and_then(|linked| linked.role_in(&self.network()));
        role.unwrap_or(Role::Member)
    }

    /// Fills in what members share.
    async fn count(&self, members: &mut [MemberInfo]) {
        let counting = members.iter_mut().take(COUNTED).map(|member| async move {
            let Ok(shares) = self.shares(member.peer).await else { return };
            member.shares = u32::try_from(shares.len()).unwrap_or(u32::MAX);
            member.files = shares.iter().map(|head| u64::from(head.value.files)).sum();
            member.bytes = shares.iter().map(|head| head.value.size).sum();
        });
        let _ = timeout(COUNT_TIME, futures_util::future::join_all(counting)).await;
    }
}
