//! The circle of a network without a server: where this node stands, who keeps what, going and
//! coming.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use potluck_api::{
    ApiError, Circle, DhtCommand, DhtCount, DhtFinger, DhtFingers, DhtFound, DhtHop, DhtKeys,
    DhtKind, DhtLeft, DhtPeer, DhtRecord, DhtState, DhtStatus, DhtTarget, DirectoryKind, ErrorKind,
    PeerName, Reply,
};
use potluck_base::{ContentId, NetworkId, PeerId, Time};
use potluck_service::ServiceError;
use potluck_service::directory::chord::{ChordDirectory, Contact, Health, Kept, Status};
use potluck_service::directory::{Directory, FingerView, NetworkDirectory, RingId, State};
use tokio::time::timeout;

use crate::failure;
use crate::networks::unnamed;
use crate::node::NodeHandle;

/// How long a question waits for a node that has just started to find its circle.
const FIND_TIME: Duration = Duration::from_secs(5);
/// How long names of peers may take: without them a peer is shown by its key.
const NAMES_TIME: Duration = Duration::from_secs(2);
/// Records that one answer tells at most.
const RECORDS_MAX: usize = 10_000;
/// Digits of a place.
const PLACE_DIGITS: usize = 32;
/// How a network without a server is made.
const HOW: &str = "\"potluck network create NAME --directory chord\" makes one, \
                   \"potluck join INVITE\" enters one";

/// What is looked for on a circle.
struct Target {
    kind: DhtTarget,
    what: String,
    place: RingId,
}

impl NodeHandle {
    pub(crate) async fn dht_do(
        &self,
        network: Option<String>,
        what: DhtCommand,
    ) -> Result<Reply, ApiError> {
        let id = self.circle_network(network.as_deref(), "dht is")?;
        if what == DhtCommand::Join {
            self.inner.networks.enter_again(&id).await.map_err(failure::of_service)?;
        }
        let on = On { node: self, circle: self.circle(&id)?, network: id };
        on.find().await;
        let asks_others = matches!(what, DhtCommand::Lookup { .. } | DhtCommand::Leave);
        if asks_others && on.circle.status().await.health == Health::Away {
            return Err(on.left_before());
        }
        Ok(match what {
            DhtCommand::Status | DhtCommand::Join => Reply::DhtStatus(on.status().await),
            DhtCommand::Fingers => Reply::DhtFingers(on.fingers().await),
            DhtCommand::Lookup { what, word } => Reply::DhtFound(on.lookup(what, word).await?),
            DhtCommand::Keys { offset, limit } => Reply::DhtKeys(on.keys(offset, limit).await),
            DhtCommand::Leave => Reply::DhtLeft(on.leave().await?),
        })
    }

    /// The network without a server that a person named, or the only one that there is. `for_what`
    /// begins the sentence that only those networks have it.
    pub(crate) fn circle_network(
        &self,
        text: Option<&str>,
        for_what: &str,
    ) -> Result<NetworkId, ApiError> {
        let views = self.inner.networks.list();
        let with_tracker = |name: &str| {
            let message = format!("{name} has a tracker; {for_what} for chord and ring networks");
            ApiError::usage(message).hint(HOW)
        };
        if let Some(text) = text {
            let id = self.network(Some(text))?;
            let view = views.iter().find(|view| view.record.network == id);
            return match view.map(|view| (view.record.replicas(), &view.record.name)) {
                Some((None, name)) => Err(with_tracker(name)),
                _ => Ok(id),
            };
        }
        let mut circles = views.iter().filter(|view| view.record.replicas().is_some());
        match (circles.next(), circles.next(), views.first()) {
            (Some(only), None, _) => Ok(only.record.network),
            (Some(_), Some(_), _) => Err(failure::of_service(ServiceError::SeveralNetworks)),
            (None, _, Some(view)) if views.len() == 1 => Err(with_tracker(&view.record.name)),
            (None, ..) => {
                let message = "this node is in no network without a server";
                Err(ApiError::new(ErrorKind::NotFound, message).hint(HOW))
            }
        }
    }

    /// The circle of a network that has one.
    pub(crate) fn circle(&self, network: &NetworkId) -> Result<Arc<ChordDirectory>, ApiError> {
        self.inner.networks.circle(network).map_err(failure::of_service)
    }

    /// What peers are called on a circle; those whose names are not known are asked for them.
    pub(crate) async fn nicks(
        &self,
        network: &NetworkId,
        peers: BTreeSet<PeerId>,
    ) -> BTreeMap<PeerId, String> {
        let mut names = BTreeMap::new();
        let Ok(circle) = self.inner.networks.circle(network) else { return names };
        let mut unknown = Vec::new();
        for peer in peers {
            match self.nick_known(network, &circle, peer) {
                Some(nick) => drop(names.insert(peer, nick)),
                None => unknown.push(peer),
            }
        }
        let circle = &circle;
        let asked = unknown.into_iter().map(|peer| async move {
            let located = timeout(NAMES_TIME, circle.resolve(peer)).await;
            Some((peer, located.ok()?.ok()??.nick))
        });
        names.extend(join_all(asked).await.into_iter().flatten());
        names
    }

    fn nick_known(
        &self,
        network: &NetworkId,
        circle: &ChordDirectory,
        peer: PeerId,
    ) -> Option<String> {
        if peer != self.inner.peers.own_id() {
            return circle.nick_of(peer);
        }
        let views = self.inner.networks.list();
        views.into_iter().find(|view| view.record.network == *network)?.nick
    }

    /// How many stand on a circle, in short; nobody if this node does not.
    pub(crate) async fn circle_in_short(&self, network: &NetworkId, replicas: u8) -> Circle {
        let Ok(circle) = self.inner.networks.circle(network) else {
            return Circle { replicas, peers: 0, peers_counted: false };
        };
        let status = circle.status().await;
        let (peers, peers_counted) = peers(&status);
        Circle { replicas, peers, peers_counted }
    }
}

/// A circle, and the node that stands there.
struct On<'a> {
    node: &'a NodeHandle,
    circle: Arc<ChordDirectory>,
    network: NetworkId,
}

impl On<'_> {
    /// Waits a moment while the circle is still being looked for.
    async fn find(&self) {
        let mut state = self.circle.state();
        let looking = |state: &State| matches!(state, State::Connecting { .. });
        // Whoever is not there then is told so.
        let _ = timeout(FIND_TIME, state.wait_for(|state| !looking(state))).await;
    }

    /// That this node stands there no more.
    fn left_before(&self) -> ApiError {
        let name = self.node.network_name(&self.network).name;
        let message = format!("this node has left the circle of {name}");
        ApiError::new(ErrorKind::Unreachable, message)
            .hint(format!("\"potluck dht join {name}\" puts it back there"))
    }

    async fn status(&self) -> DhtStatus {
        let mut status = self.circle.status().await;
        let (mut seen, now) = self.circle.fingers().await;
        if matches!(status.health, Health::Away | Health::Connecting) {
            // Whom it knew does not matter where it does not stand.
            (status.predecessor, status.successors) = (None, Vec::new());
            seen.clear();
        }
        let near = status.predecessor.iter().chain(&status.successors);
        let near = near.chain(seen.iter().map(|finger| &finger.peer));
        let names = self.names(near.map(|contact| contact.peer).collect()).await;
        let (peers, peers_counted) = peers(&status);
        let mut fingers: Vec<DhtFinger> = Vec::new();
        for finger in &seen {
            let finger = names.finger(finger, now);
            // The widest reach to a peer tells most.
            fingers.retain(|other| other.to.place != finger.to.place);
            fingers.push(finger);
        }
        DhtStatus {
            network: self.node.network_name(&self.network),
            directory: kind(&status),
            own: names.peer(&status.own),
            state: state(&status),
            predecessor: status.predecessor.as_ref().map(|peer| names.peer(peer)),
            successors: status.successors.iter().map(|peer| names.peer(peer)).collect(),
            successors_wanted: status.successors_wanted as u32,
            part: part(&status),
            peers,
            peers_counted,
            replicas: status.replicas,
            records: count(&status),
            fingers,
            troubles: troubles(&status),
        }
    }

    async fn fingers(&self) -> DhtFingers {
        let status = self.circle.status().await;
        let (seen, now) = self.circle.fingers().await;
        let names = self.names(seen.iter().map(|finger| finger.peer.peer).collect()).await;
        let (peers, peers_counted) = peers(&status);
        DhtFingers {
            network: self.node.network_name(&self.network),
            directory: kind(&status),
            own: names.peer(&status.own),
            peers,
            peers_counted,
            fingers: seen.iter().map(|finger| names.finger(finger, now)).collect(),
        }
    }

    async fn lookup(&self, what: String, word: bool) -> Result<DhtFound, ApiError> {
        let target = self.target(what, word).await?;
        let found = self.circle.lookup(target.place).await.map_err(failure::of_service)?;
        let replicas = usize::from(self.circle.status().await.replicas);
        let copies: Vec<Contact> =
            found.successors.iter().take(replicas.saturating_sub(1)).copied().collect();
        let around = found.predecessor.iter().chain([&found.owner]).chain(&copies);
        let around = around.chain(found.path.iter().map(|hop| &hop.peer));
        let names = self.names(around.map(|contact| contact.peer).collect()).await;
        Ok(DhtFound {
            network: self.node.network_name(&self.network),
            kind: target.kind,
            what: target.what,
            place: target.place.to_string(),
            owner: names.peer(&found.owner),
            predecessor: found.predecessor.as_ref().map(|peer| names.peer(peer)),
            copies: copies.iter().map(|peer| names.peer(peer)).collect(),
            path: found
                .path
                .iter()
                .map(|hop| DhtHop {
                    peer: names.peer(&hop.peer),
                    took_ms: hop.took.map(in_ms),
                    depth: hop.depth,
                })
                .collect(),
            hops: found.hops,
            timeouts: found.timeouts + found.dead_owners,
            took_ms: in_ms(found.took),
        })
    }

    /// What a person means: a place, a content, a peer, or else a word.
    async fn target(&self, what: String, word: bool) -> Result<Target, ApiError> {
        let what = what.trim().to_owned();
        if !word {
            if let Some(place) = place_of(&what) {
                return Ok(Target { kind: DhtTarget::Place, what, place });
            }
            if let Ok(content) = what.parse::<ContentId>() {
                let place = self.circle.place_of_content(&content);
                return Ok(Target { kind: DhtTarget::Content, what, place });
            }
            match self.node.inner.networks.whom(&what, Some(&self.network)).await {
                Ok(whom) => {
                    let what = whom.nick.unwrap_or_else(|| whom.peer.to_string());
                    let place = self.circle.place_of_peer(&whom.peer);
                    return Ok(Target { kind: DhtTarget::Peer, what, place });
                }
                Err(ServiceError::NoPeer(_)) => {}
                Err(error) => return Err(failure::of_service(error)),
            }
        }
        if what.is_empty() || what.contains(char::is_whitespace) {
            return Err(ApiError::usage(format!("{what:?} is not one word"))
                .hint("each word lies at its own place: look them up one by one"));
        }
        let place = self.circle.place_of_word(&what);
        Ok(Target { kind: DhtTarget::Word, what, place })
    }

    async fn keys(&self, offset: u32, limit: u32) -> DhtKeys {
        let status = self.circle.status().await;
        let kept = self.circle.keys().await;
        let (first, limit) = (offset as usize, (limit as usize).clamp(1, RECORDS_MAX));
        let names = self.names(BTreeSet::new()).await;
        let page = kept.iter().skip(first).take(limit);
        DhtKeys {
            network: self.node.network_name(&self.network),
            own: names.peer(&status.own),
            count: count(&status),
            kinds: kinds(&kept),
            records: page.map(|kept| self.record(kept)).collect(),
            groups: kept.len() as u64,
            more: kept.len() > first.saturating_add(limit),
        }
    }

    fn record(&self, kept: &Kept) -> DhtRecord {
        let by = kept.by.map(|peer| PeerName { id: peer, nick: self.circle.nick_of(peer) });
        DhtRecord {
            place: kept.key.to_string(),
            kind: kept.kind.to_owned(),
            what: kept.what.clone(),
            by,
            own: kept.own,
            count: kept.count as u64,
            bytes: kept.bytes as u64,
            expires_ms: kept.expires_ms,
        }
    }

    async fn leave(&self) -> Result<DhtLeft, ApiError> {
        let status = self.circle.status().await;
        let names =
            self.names(status.successors.first().map(|next| next.peer).into_iter().collect()).await;
        self.circle.leave().await.map_err(failure::of_service)?;
        let to = status.successors.first().map(|peer| names.peer(peer));
        Ok(DhtLeft {
            network: self.node.network_name(&self.network),
            handed: if to.is_some() { status.records as u64 } else { 0 },
            to,
        })
    }

    /// What peers are called, this node among them.
    async fn names(&self, mut peers: BTreeSet<PeerId>) -> Names {
        let own = self.node.inner.peers.own_id();
        peers.insert(own);
        Names { own, names: self.node.nicks(&self.network, peers).await }
    }
}

/// What peers are called.
struct Names {
    own: PeerId,
    names: BTreeMap<PeerId, String>,
}

impl Names {
    fn peer(&self, contact: &Contact) -> DhtPeer {
        let nick = self.names.get(&contact.peer).cloned();
        DhtPeer {
            place: contact.id.to_string(),
            peer: PeerName { nick, ..unnamed(contact.peer) },
            own: contact.peer == self.own,
        }
    }

    fn finger(&self, finger: &FingerView<Contact>, now: Time) -> DhtFinger {
        let age = now.since(finger.refreshed);
        DhtFinger {
            index: finger.index,
            start: finger.start.to_string(),
            to: self.peer(&finger.peer),
            age_ms: age.as_millis() as u64,
            rtt_ms: finger.rtt.map(in_ms),
        }
    }
}

/// A place as it is written.
fn place_of(text: &str) -> Option<RingId> {
    let is_place = text.len() == PLACE_DIGITS && text.bytes().all(|c| c.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_place).map(RingId)
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn kind(status: &Status) -> DirectoryKind {
    if status.has_fingers { DirectoryKind::Chord } else { DirectoryKind::Ring }
}

fn state(status: &Status) -> DhtState {
    match status.health {
        Health::Connecting => DhtState::Joining { why: status.why.clone() },
        Health::Alone => DhtState::Alone,
        Health::Joined | Health::Settled => DhtState::Joined,
        Health::Away => DhtState::Left,
    }
}

/// How many stand on the circle, and whether they are counted; none if this node does not.
fn peers(status: &Status) -> (u64, bool) {
    match status.health {
        Health::Connecting | Health::Away => (0, false),
        _ => (status.peers_estimated.round() as u64, status.is_counted),
    }
}

/// The part of the circle that is this node's own.
fn part(status: &Status) -> f64 {
    match (&status.predecessor, status.health) {
        (_, Health::Connecting | Health::Away) => 0.0,
        (Some(predecessor), _) => {
            predecessor.id.distance_to(status.own.id) as f64 / 2_f64.powi(128)
        }
        (None, Health::Alone) => 1.0,
        (None, _) => 0.0,
    }
}

fn count(status: &Status) -> DhtCount {
    let (all, own) = (status.records as u64, status.owned as u64);
    DhtCount { own, copies: all.saturating_sub(own), bytes: status.bytes as u64 }
}

/// What is not as it should be on a circle that this node stands on.
fn troubles(status: &Status) -> Vec<String> {
    let mut troubles = Vec::new();
    if matches!(status.health, Health::Joined | Health::Settled) && status.predecessor.is_none() {
        troubles.push("nobody has said yet that it stands before this node".to_owned());
    }
    if status.health == Health::Joined {
        let text = "the records here have not been compared with the neighbours' yet";
        troubles.push(text.to_owned());
    }
    troubles
}

/// How many records there are of each kind, the most frequent first.
fn kinds(kept: &[Kept]) -> Vec<DhtKind> {
    let mut kinds: BTreeMap<&str, DhtCount> = BTreeMap::new();
    for one in kept {
        let count = kinds.entry(one.kind).or_default();
        let records = if one.own { &mut count.own } else { &mut count.copies };
        *records += one.count as u64;
        count.bytes += one.bytes as u64;
    }
    let named = kinds.into_iter().map(|(kind, count)| DhtKind { kind: kind.to_owned(), count });
    let mut kinds: Vec<DhtKind> = named.collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count.all()));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_32_digits_and_nothing_else() {
        assert_eq!(
            place_of(&"0f".repeat(16)).map(|place| place.to_string()),
            Some("0f".repeat(16))
        );
        for text in ["", "0f", &"0f".repeat(17), "+f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", "thermo"] {
            assert_eq!(place_of(text), None, "{text}");
        }
    }
}
