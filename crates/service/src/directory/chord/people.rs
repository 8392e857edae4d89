//! Members: where each says that it is, and whether it is there now.
//!
//! A member that is there stands on the circle at its own place, so a lookup of that place finds
//! it; what it last said of itself is kept there too, by whoever stands next when it is gone.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{PeerId, limits};
use potluck_identity::Signed;
use potluck_proto::directory::chord::RingId;
use potluck_proto::directory::chord::index::{Question, Subject, Term, There, Told};
use potluck_proto::directory::record::{Presence, check_expiry};
use tokio::time::Instant;

use super::heart::Heart;
use crate::chance::now_ms;
use crate::error::ServiceError;

/// How long it is believed that a member is there, or is not.
const BELIEVED: Duration = Duration::from_secs(10);

/// What was heard of members lately.
#[derive(Default)]
pub(super) struct People(Mutex<BTreeMap<PeerId, Person>>);

#[derive(Clone, Default)]
struct Person {
    presence: Option<Signed<Presence>>,
    online: Option<(Instant, bool)>,
}

impl People {
    /// Takes note of what a member says of itself; the latest counts.
    pub(super) fn note(&self, presence: &Signed<Presence>) {
        let mut people = self.lock();
        let peer = presence.value.peer;
        if people.len() >= limits::KNOWN_MEMBERS && !people.contains_key(&peer) {
            people.pop_first();
        }
        let person = people.entry(peer).or_default();
        let known = person.presence.as_ref().map_or(0, |known| known.value.sequence);
        if presence.value.sequence > known {
            person.presence = Some(presence.clone());
        }
    }

    /// What a member last said of itself, as far as it was heard.
    pub(super) fn presence(&self, peer: PeerId) -> Option<Signed<Presence>> {
        self.lock().get(&peer).and_then(|person| person.presence.clone())
    }

    fn is_online(&self, peer: PeerId) -> Option<bool> {
        let believed = self.lock().get(&peer).and_then(|person| person.online);
        believed.filter(|(since, _)| since.elapsed() < BELIEVED).map(|(_, online)| online)
    }

    pub(super) fn note_online(&self, peer: PeerId, online: bool) {
        let mut people = self.lock();
        if people.len() < limits::KNOWN_MEMBERS || people.contains_key(&peer) {
            people.entry(peer).or_default().online = Some((Instant::now(), online));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Person>> {
        self.0.lock().expect("no panic while held")
    }
}

impl Heart {
    /// What a member says of itself, as those say who keep it.
    pub(super) async fn presence_of(
        &self,
        peer: PeerId,
    ) -> Result<Option<Signed<Presence>>, ServiceError> {
        let told = self.presences(Term::new(Subject::Peer(peer)).key(&self.network())).await?;
        let its = told.into_iter().filter(|signed| signed.value.peer == peer);
        Ok(its.max_by_key(|signed| signed.value.sequence))
    }

    /// What members say of themselves under a key, as far as it is signed by them and still counts.
    pub(super) async fn presences(
        &self,
        key: RingId,
    ) -> Result<Vec<Signed<Presence>>, ServiceError> {
        match self.core.ask(key, Question::Presence).await? {
            Some((_, answer)) => Ok(self.good_presences(answer.told)),
            None => Err(super::core::away()),
        }
    }

    /// The presences of an answer that are signed by who they are of, and still count.
    pub(super) fn good_presences(&self, told: Told) -> Vec<Signed<Presence>> {
        let Told::Presences(presences) = told else { return Vec::new() };
        let standing = self.standing();
        let good = presences.into_iter().filter(|signed| {
            let Presence { peer, expires_ms, .. } = &signed.value;
            Presence::check(signed, &self.core.network, peer).is_ok()
                && check_expiry(*expires_ms, limits::PRESENCE_LIFETIME, now_ms()).is_ok()
                && !standing.revocations.is_revoked(peer)
        });
        let good: Vec<_> = good.collect();
        good.iter().for_each(|presence| self.people.note(presence));
        good
    }

    /// Whether a member is there now.
    pub(super) async fn is_online(&self, peer: PeerId) -> bool {
        if peer == self.own() {
            return self.is_on();
        }
        let linked = self.peers.linked(peer);
        if linked.is_some_and(|linked| linked.role_in(&self.network()).is_some()) {
            return true;
        }
        if let Some(online) = self.people.is_online(peer) {
            return online;
        }
        let found = self.core.lookup(self.contact(peer).id).await;
        let online = found.is_ok_and(|found| found.owner.peer == peer);
        self.people.note_online(peer, online);
        online
    }

    /// Whether a member is there, and when it last said so.
    pub(super) async fn sight(&self, peer: PeerId) -> There {
        if self.is_online(peer).await {
            return There { online: true, last_seen_ms: now_ms() };
        }
        if self.people.presence(peer).is_none() {
            // Its neighbours may have what it said; if they do not answer, nothing is known.
            let _ = self.presence_of(peer).await;
        }
        let known = self.people.presence(peer);
        There { online: false, last_seen_ms: known.map_or(0, |known| known.value.sequence) }
    }
}
