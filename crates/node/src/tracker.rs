//! A node that is a tracker: its parts, and what its shell asks of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use potluck_api::{
    self as api, ApiError, ErrorKind, FoundGroup, FoundHit, MemberChange, NetworkName, P2pCiStats,
    PeerName, RefusedCount, Reply, SearchCommand, TrackerAct, TrackerActed, TrackerCommand,
    TrackerFile, TrackerFiles, TrackerNetwork, TrackerNetworks, TrackerPeer, TrackerPeers,
    TrackerStats,
};
use potluck_base::{NetworkId, PeerId};
use potluck_identity::{SecretKey, TrackerTicket};
use potluck_service::directory::EntryKind;
use potluck_service::networks::Whom;
use potluck_service::peers::Peers;
use potluck_service::tracker::sqlite::SqliteStore;
use potluck_service::tracker::store::{StoreFault, TrackerStore};
use potluck_service::tracker::{
    CiGateway, Config, Event, Group, HitProof, ServerSetup, Survey, SurveyedMember, TrackerServer,
    Why,
};
use potluck_service::{Notices, ServiceError};

use crate::config::TrackerSettings;
use crate::networks::{policy_to_api, role_to_api, unnamed};
use crate::node::NodeHandle;
use crate::search::query_of;
use crate::{failure, key};

/// Where the right to make networks is kept.
const TOKEN_FILE: &str = "token";
/// The tracker's index.
const INDEX_FILE: &str = "tracker.db";

/// A tracker's parts.
pub(crate) struct Tracker {
    pub(crate) server: Arc<TrackerServer>,
    gateway: Option<CiGateway>,
    settings: TrackerSettings,
    token: [u8; 16],
    started: Instant,
    /// What its networks are called.
    names: Mutex<BTreeMap<NetworkId, String>>,
}

impl Tracker {
    /// Opens the index and starts to answer.
    pub(crate) async fn start(
        home: &Path,
        settings: TrackerSettings,
        secret: SecretKey,
        peers: &Arc<Peers>,
        notices: &Notices,
    ) -> Result<Tracker, ApiError> {
        let token = key::load_or_make_secret(&home.join(TOKEN_FILE))?;
        let file = home.join(INDEX_FILE);
        let store = tokio::task::spawn_blocking(move || {
            let store = SqliteStore::open(&file)?;
            // After a crash nobody is left who could take back what old clients had added.
            store.ci().clear()?;
            Ok::<_, StoreFault>(store)
        });
        let store = store.await;
        let store = store.map_err(|error| ApiError::internal(error.to_string()))?;
        let store = store.map_err(|error| failure::of_service(error.into()))?;
        let config = Config { lease: settings.lease, token: Some(token), ..Config::default() };
        let server = TrackerServer::start(ServerSetup {
            secret,
            config,
            store: Arc::new(store),
            peers: Arc::clone(peers),
            notices: notices.clone(),
        });
        let server = server.await.map_err(failure::of_service)?;
        let gateway = match settings.p2p_ci {
            Some(address) => {
                Some(CiGateway::start(address, Arc::clone(&server)).await.map_err(|error| {
                    ApiError::new(ErrorKind::Denied, format!("{address} cannot be used: {error}"))
                        .hint("choose another address with --p2p-ci")
                })?)
            }
            None => None,
        };
        let (started, names) = (Instant::now(), Mutex::default());
        let tracker = Tracker { server, gateway, settings, token, started, names };
        tracker.learn_names().await;
        Ok(tracker)
    }

    /// Tells everybody that it stops.
    pub(crate) async fn stop(&self) {
        if let Some(gateway) = &self.gateway {
            gateway.stop();
        }
        self.server.stop().await;
    }

    /// What a network of this tracker is called.
    pub(crate) fn name_of(&self, network: &NetworkId) -> Option<String> {
        self.names.lock().expect("no panic while held").get(network).cloned()
    }

    /// Learns what its networks are called.
    pub(crate) async fn learn_names(&self) {
        if let Ok(survey) = self.server.survey().await {
            let records = survey.networks.into_iter().map(|network| network.record);
            let names = records.map(|record| (record.network, record.name)).collect();
            *self.names.lock().expect("no panic while held") = names;
        }
    }
}

impl NodeHandle {
    pub(crate) async fn tracker_do(&self, what: TrackerCommand) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        match what {
            TrackerCommand::Ticket => Ok(Reply::TrackerTicket(self.tracker_ticket(tracker))),
            TrackerCommand::Peers => {
                let survey = tracker.server.survey().await.map_err(failure::of_service)?;
                Ok(Reply::TrackerPeers(tracker_peers(&survey)))
            }
            TrackerCommand::Discover { peer, after } => self.discover(&peer, after).await,
            TrackerCommand::Ping { peer, count } => self.tracker_ping(&peer, count).await,
            TrackerCommand::Search(what) => self.tracker_search(what).await,
            TrackerCommand::Stats => self.tracker_stats().await,
            TrackerCommand::Kick { peer } => self.act(&peer, TrackerAct::Kicked).await,
            TrackerCommand::Ban { peer } => self.act(&peer, TrackerAct::Banned).await,
            TrackerCommand::Unban { peer } => self.act(&peer, TrackerAct::Unbanned).await,
            TrackerCommand::Networks => {
                let survey = tracker.server.survey().await.map_err(failure::of_service)?;
                Ok(Reply::TrackerNetworks(tracker_networks(&survey)))
            }
        }
    }

    fn tracker(&self) -> Result<&Tracker, ApiError> {
        self.inner.tracker.as_ref().ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, "this node is no tracker")
                .hint("\"potluck tracker run\" starts one")
        })
    }

    fn tracker_ticket(&self, tracker: &Tracker) -> api::TrackerTicket {
        let addr = self.inner.peers.own_address();
        let ticket = TrackerTicket { addr: addr.clone(), token: tracker.token };
        api::TrackerTicket {
            ticket: ticket.to_string(),
            name: tracker.settings.name.clone(),
            id: addr.id,
            addresses: addr.direct,
            p2p_ci: tracker.gateway.as_ref().map(CiGateway::address),
        }
    }

    async fn discover(&self, peer: &str, after: Option<String>) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        let survey = tracker.server.survey().await.map_err(failure::of_service)?;
        let found = choose(&survey, peer)?;
        let mut files = Vec::new();
        // Pages go by share, so that a peer with a million files is not told at once.
        let mut reached = after.is_none();
        let mut next = None;
        for member in survey.members.iter().filter(|member| member.info.peer == found.info.peer) {
            let name = network_name(&survey, &member.network);
            let shares = tracker.server.shares(member.network, member.info.peer).await;
            for head in shares.map_err(failure::of_service)? {
                let here = format!("{}/{}", member.network, head.share);
                let behind = match after.as_deref().and_then(|after| after.strip_prefix(&here)) {
                    Some(path) if !reached => {
                        reached = true;
                        Some(path.trim_start_matches('/').to_owned()).filter(|p| !p.is_empty())
                    }
                    _ if !reached => continue,
                    _ => None,
                };
                if files.len() >= potluck_base::limits::BROWSE_ENTRIES {
                    next = Some(here);
                    break;
                }
                let told =
                    tracker.server.entries(member.network, member.info.peer, head.share, behind);
                let (entries, more) = told.await.map_err(failure::of_service)?;
                if let (true, Some(last)) = (more, entries.last()) {
                    next = Some(format!("{here}/{}", last.path));
                }
                let folder = head.kind == EntryKind::Folder;
                files.extend(entries.into_iter().map(|entry| TrackerFile {
                    network: name.clone(),
                    path: if folder { format!("{}/{}", head.name, entry.path) } else { entry.path },
                    content: entry.content,
                    size: entry.size,
                    modified_s: entry.modified_s,
                }));
                if next.is_some() {
                    break;
                }
            }
            if next.is_some() {
                break;
            }
        }
        Ok(Reply::TrackerFiles(TrackerFiles {
            peer: member_name(found),
            online: found.info.online,
            last_seen_ms: found.info.last_seen_ms,
            files,
            after: next,
        }))
    }

    async fn tracker_ping(&self, peer: &str, count: u32) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        let survey = tracker.server.survey().await.map_err(failure::of_service)?;
        let found = choose(&survey, peer)?;
        let mut times = Vec::new();
        for _ in 0..count.clamp(1, 1000) {
            match tracker.server.ping(found.info.peer, found.presence.as_ref()).await {
                Ok(time) => times.push(Some(time)),
                Err(error) if times.is_empty() => return Err(failure::of_service(error)),
                Err(_) => times.push(None),
            }
        }
        let nick = Some(found.info.nick.clone());
        let whom = Whom { peer: found.info.peer, nick, network: Some(found.network) };
        self.pinged(&whom, times)
    }

    async fn tracker_search(&self, what: SearchCommand) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        let survey = tracker.server.survey().await.map_err(failure::of_service)?;
        let names: Vec<NetworkName> =
            survey.networks.iter().map(|n| network_name(&survey, &n.record.network)).collect();
        let wanted = |name: &&NetworkName| {
            what.networks.is_empty()
                || what.networks.iter().any(|text| {
                    *text == name.name || (text.len() >= 4 && name.id.to_string().starts_with(text))
                })
        };
        let asked: Vec<NetworkName> = names.iter().filter(wanted).cloned().collect();
        if asked.is_empty() && !what.networks.is_empty() {
            let named = what.networks.join(", ");
            return Err(failure::of_service(ServiceError::NoNetwork(named)));
        }
        let (mut groups, mut more, mut did_you_mean) = (Vec::new(), false, None);
        for network in &asked {
            let found = tracker.server.search(network.id, query_of(&what)).await;
            let found = found.map_err(failure::of_service)?;
            more |= found.more;
            did_you_mean = did_you_mean.or(found.did_you_mean);
            groups
                .extend(found.groups.into_iter().map(|group| found_group(&survey, network, group)));
        }
        Ok(Reply::Found(api::Found {
            groups,
            more,
            did_you_mean,
            stale_ms: None,
            networks: asked,
            failures: Vec::new(),
        }))
    }

    async fn tracker_stats(&self) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        let stats = tracker.server.stats().await.map_err(failure::of_service)?;
        let store = Arc::clone(tracker.server.store());
        let index = tokio::task::spawn_blocking(move || store.stats()).await;
        let index = index.map_err(|error| ApiError::internal(error.to_string()))?;
        let index = index.map_err(|error| failure::of_service(error.into()))?;
        let survey = tracker.server.survey().await.map_err(failure::of_service)?;
        let mut refused: Vec<RefusedCount> = stats
            .refusals
            .iter()
            .map(|(why, count)| RefusedCount { why: in_words(*why).to_owned(), count: *count })
            .collect();
        refused.sort_by_key(|one| u64::MAX - one.count);
        let searched = tracker.server.search_times();
        Ok(Reply::TrackerStats(TrackerStats {
            name: tracker.settings.name.clone(),
            uptime_ms: tracker.started.elapsed().as_millis() as u64,
            lease_ms: tracker.settings.lease.as_millis() as u64,
            networks: stats.networks as u64,
            members: stats.members as u64,
            online: stats.online as u64,
            banned: survey.banned.len() as u64,
            links: stats.links as u64,
            shares: stats.shares,
            files: index.files,
            bytes: stats.bytes,
            database_bytes: index.bytes,
            requests: stats.requests,
            searches: stats.searches,
            search_p50_ms: searched.map(|times| times.p50.as_secs_f64() * 1e3),
            search_p99_ms: searched.map(|times| times.p99.as_secs_f64() * 1e3),
            published: tracker.server.published(),
            refused,
            p2p_ci: tracker.gateway.as_ref().map(|gateway| P2pCiStats {
                address: gateway.address(),
                clients: gateway.clients(),
                files: index.ci,
            }),
        }))
    }

    async fn act(&self, peer: &str, act: TrackerAct) -> Result<Reply, ApiError> {
        let tracker = self.tracker()?;
        let survey = tracker.server.survey().await.map_err(failure::of_service)?;
        // A banned peer is no member any more: it is named by its key.
        let found = match (choose(&survey, peer), act) {
            (Ok(member), _) => (member_name(member), member.info.online),
            (Err(error), TrackerAct::Unbanned) => {
                (unnamed(banned(&survey, peer).ok_or(error)?), false)
            }
            (Err(error), TrackerAct::Banned) => {
                (unnamed(peer.parse::<PeerId>().map_err(|_| error)?), false)
            }
            (Err(error), TrackerAct::Kicked) => return Err(error),
        };
        let (peer, was_online) = found;
        match act {
            TrackerAct::Kicked => tracker.server.kick(peer.id).await,
            TrackerAct::Banned => tracker.server.ban(peer.id).await,
            TrackerAct::Unbanned => tracker.server.unban(peer.id).await,
        }
        Ok(Reply::TrackerActed(TrackerActed { peer, act, was_online }))
    }
}

/// What happened at a tracker, in the words of the API.
pub(crate) fn event_of(
    event: &Event,
    name_of: impl Fn(&NetworkId) -> NetworkName,
) -> Option<api::Event> {
    let member = |network: &NetworkId, peer: PeerName, change| api::Event::Member {
        network: name_of(network),
        peer,
        change,
    };
    match event {
        Event::Online { network, peer, nick, returning } => {
            let change = match returning {
                Some(last_seen_ms) => MemberChange::Online { last_seen_ms: *last_seen_ms },
                None => MemberChange::New,
            };
            let peer = PeerName { id: *peer, nick: Some(nick.clone()) };
            Some(member(network, peer, change))
        }
        Event::Offline { network, peer, nick, .. } => {
            let peer = PeerName { id: *peer, nick: Some(nick.clone()) };
            Some(member(network, peer, MemberChange::Offline))
        }
        _ => None,
    }
}

/// The member that is meant by nickname (with `@NETWORK` behind it where several have it), key, or
/// the beginning of a key.
fn choose<'a>(survey: &'a Survey, text: &str) -> Result<&'a SurveyedMember, ApiError> {
    let (nick, network) = match text.rsplit_once('@') {
        Some((nick, network)) => (nick, Some(network)),
        None => (text, None),
    };
    let in_network = |member: &SurveyedMember| {
        network.is_none_or(|wanted| network_name(survey, &member.network).name == wanted)
    };
    let is_meant = |member: &&SurveyedMember| {
        let key = member.info.peer.to_string();
        let named = member.info.nick.to_lowercase() == nick.to_lowercase() && in_network(member);
        named || key == text || (text.len() >= 6 && key.starts_with(&text.to_lowercase()))
    };
    let mut found: Vec<&SurveyedMember> = survey.members.iter().filter(is_meant).collect();
    found.dedup_by_key(|member| member.info.peer);
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(failure::of_service(ServiceError::NoPeer(text.to_owned()))),
        _ => Err(failure::of_service(ServiceError::SeveralPeers(text.to_owned()))),
    }
}

fn banned(survey: &Survey, text: &str) -> Option<PeerId> {
    let begins = |peer: &&PeerId| text.len() >= 6 && peer.to_string().starts_with(text);
    survey.banned.iter().find(begins).copied()
}

fn member_name(member: &SurveyedMember) -> PeerName {
    PeerName { id: member.info.peer, nick: Some(member.info.nick.clone()) }
}

fn network_name(survey: &Survey, id: &NetworkId) -> NetworkName {
    let known = survey.networks.iter().find(|network| network.record.network == *id);
    let name = known.map_or_else(|| id.short(), |network| network.record.name.clone());
    NetworkName { id: *id, name }
}

fn tracker_peers(survey: &Survey) -> TrackerPeers {
    let mut peers: Vec<TrackerPeer> = survey
        .members
        .iter()
        .map(|member| TrackerPeer {
            nick: member.info.nick.clone(),
            id: member.info.peer,
            network: network_name(survey, &member.network),
            role: role_to_api(member.info.role),
            online: member.info.online,
            last_seen_ms: member.info.last_seen_ms,
            addresses: member.presence.as_ref().map_or_else(Vec::new, |p| p.addresses.clone()),
            shares: member.info.shares.into(),
            files: member.info.files,
            bytes: member.info.bytes,
            agent: member.info.agent.clone(),
            banned: survey.banned.contains(&member.info.peer),
        })
        .collect();
    peers.sort_by(|a, b| {
        (&a.network.name, !a.online, &a.nick).cmp(&(&b.network.name, !b.online, &b.nick))
    });
    TrackerPeers { peers }
}

fn tracker_networks(survey: &Survey) -> TrackerNetworks {
    let mut networks: Vec<TrackerNetwork> = survey
        .networks
        .iter()
        .map(|network| TrackerNetwork {
            network: network_name(survey, &network.record.network),
            policy: policy_to_api(network.record.policy),
            members: network.members as u64,
            online: network.online as u64,
            shares: network.shares,
            files: network.files,
            bytes: network.bytes,
            created_ms: network.record.created_ms,
            sequence: network.record.sequence,
            revoked: network.revoked as u64,
        })
        .collect();
    networks.sort_by(|a, b| a.network.name.cmp(&b.network.name));
    TrackerNetworks { networks }
}

fn found_group(survey: &Survey, network: &NetworkName, group: Group) -> FoundGroup {
    let hits = group.hits.iter().map(|hit| {
        let source = match &hit.proof {
            HitProof::Unverified { host, port, .. } => Some((host, port)),
            HitProof::Page(_) | HitProof::Head(_) => None,
        };
        let nick = survey
            .members
            .iter()
            .find(|m| m.network == network.id && m.info.peer == hit.peer)
            .map(|m| m.info.nick.clone());
        FoundHit {
            path: hit.entry.path.clone(),
            peer: source.is_none().then_some(PeerName { id: hit.peer, nick }),
            online: hit.online,
            last_seen_ms: hit.last_seen_ms,
            unverified: source.map(|(host, port)| format!("{host}:{port}")),
        }
    });
    let hits: Vec<FoundHit> = hits.collect();
    let verified = hits.iter().any(|hit| hit.unverified.is_none());
    FoundGroup {
        content: verified.then_some(group.content),
        kind: match group.kind {
            EntryKind::File => api::ShareKind::File,
            EntryKind::Folder => api::ShareKind::Folder,
        },
        size: verified.then_some(group.size),
        online: group.online,
        providers: group.providers,
        partial: group.partial,
        newest_s: (group.newest_s > 0).then_some(group.newest_s),
        networks: vec![network.clone()],
        hits,
    }
}

fn in_words(why: Why) -> &'static str {
    match why {
        Why::Stranger => "not a member of the network",
        Why::Busy => "too many requests in short time",
        Why::Nick => "nickname taken",
        Why::UsedUp => "invite used up",
        Why::Expired => "invite expired",
        Why::Stale => "an old record",
        Why::NotYours => "a record of somebody else",
        Why::BadRecord => "a record against the rules",
        Why::TooMuch => "a limit on what one peer may list",
        Why::Role => "role does not allow it",
        Why::Unknown => "asked for what is not there",
        Why::Unavailable => "the index did not answer",
        Why::Flood => "went on asking after being told to wait",
        Why::Faults => "sent bad records too often",
        Why::Idle => "never registered",
    }
}
