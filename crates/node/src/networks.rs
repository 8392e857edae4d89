//! Networks and their members: each of their commands, in the words of the API.

use potluck_api::{
    self as api, ApiError, Event, InviteCommand, Invited, Joined, Member, Members, MembersOf,
    NetworkCreate, NetworkInfo, NetworkName, Networks, PeerName, Pinged, Reply, Revoked,
};
use potluck_base::{NetworkId, PeerId, limits};
use potluck_identity::{DirectoryKind, Invite, Policy, Role};
use potluck_service::directory::State;
use potluck_service::networks::{Place, View, Whom};
use potluck_service::{ServiceError, now_ms};
use tokio::sync::mpsc;

use crate::failure;
use crate::node::NodeHandle;

type Events = mpsc::Sender<Event>;

impl NodeHandle {
    pub(crate) async fn network_create(&self, what: NetworkCreate) -> Result<Reply, ApiError> {
        let place = place_of(&what)?;
        let policy = if what.open { Policy::Open } else { Policy::Invite };
        let networks = &self.inner.networks;
        let made = networks.create(what.name, place, policy, what.relays, what.nick).await;
        Ok(Reply::NetworkCreated(self.network_info(made.map_err(failure::of_service)?).await?))
    }

    pub(crate) async fn network_ls(&self) -> Result<Reply, ApiError> {
        Ok(Reply::Networks(Networks { networks: self.network_infos().await? }))
    }

    pub(crate) async fn network_leave(&self, network: String) -> Result<Reply, ApiError> {
        let id = self.network(Some(&network))?;
        let name = self.network_name(&id);
        self.withdraw_all(&id).await?;
        self.inner.networks.leave(&id).await.map_err(failure::of_service)?;
        Ok(Reply::NetworkLeft(name))
    }

    pub(crate) async fn network_members(&self, network: Option<String>) -> Result<Reply, ApiError> {
        let ids = match network {
            Some(network) => vec![self.network(Some(&network))?],
            None => self.inner.networks.ids(),
        };
        if ids.is_empty() {
            return Err(failure::of_service(ServiceError::NoNetworks));
        }
        let mut networks = Vec::new();
        for id in ids {
            networks.push(self.members_of(&id).await?);
        }
        Ok(Reply::Members(Members { networks }))
    }

    pub(crate) async fn network_revoke(
        &self,
        network: Option<String>,
        peer: String,
    ) -> Result<Reply, ApiError> {
        let id = self.network(network.as_deref())?;
        let whom = self.whom(&peer, Some(&id)).await?;
        if whom.peer == self.inner.peers.own_id() {
            return Err(ApiError::usage("that is this node itself")
                .hint(format!("to leave: potluck network leave {}", self.network_name(&id).name)));
        }
        let number =
            self.inner.networks.revoke(&id, whom.peer).await.map_err(failure::of_service)?;
        let (network, peer) = (self.network_name(&id), peer_name(&whom));
        Ok(Reply::Revoked(Revoked { network, peer, number }))
    }

    pub(crate) async fn invite(&self, what: InviteCommand) -> Result<Reply, ApiError> {
        let id = self.network(what.network.as_deref())?;
        let expires_ms = now_ms().saturating_add(what.expires_s.saturating_mul(1000));
        let role = role_of_api(what.role);
        let invite = self.inner.networks.invite(&id, role, what.uses, expires_ms);
        let invite = invite.map_err(failure::of_service)?;
        let bounded = invite.grant.is_some();
        Ok(Reply::Invited(Invited {
            invite: invite.to_string(),
            network: self.network_name(&id),
            role: if bounded { what.role } else { api::Role::Member },
            expires_ms: bounded.then_some(expires_ms),
            uses: bounded.then_some(what.uses),
        }))
    }

    pub(crate) async fn join(
        &self,
        invite: String,
        nick: Option<String>,
        _events: &Events,
    ) -> Result<Reply, ApiError> {
        let invite: Invite = invite.parse().map_err(|error| {
            ApiError::usage(format!("this is no invite: {error}"))
                .hint("an invite starts with \"potin1\"; copy the whole line")
        })?;
        let joined = self.inner.networks.join(&invite, nick).await;
        let (view, returning) = joined.map_err(failure::of_service)?;
        let nick = view.nick.clone().unwrap_or_default();
        let network = self.network_info(view).await?;
        Ok(Reply::Joined(Joined { network, nick, returning }))
    }

    pub(crate) async fn ping(
        &self,
        peer: String,
        network: Option<String>,
        count: u32,
    ) -> Result<Reply, ApiError> {
        let network = match network {
            Some(network) => Some(self.network(Some(&network))?),
            None => None,
        };
        let whom = self.whom(&peer, network.as_ref()).await?;
        let times = self.inner.networks.ping(&whom, count.clamp(1, 1000)).await;
        self.pinged(&whom, times.map_err(failure::of_service)?)
    }

    /// The answer to a ping over the link that there is now.
    pub(crate) fn pinged(
        &self,
        whom: &Whom,
        times: Vec<Option<std::time::Duration>>,
    ) -> Result<Reply, ApiError> {
        let linked = self.inner.peers.linked(whom.peer);
        let linked =
            linked.ok_or_else(|| failure::of_service(ServiceError::LinkLost(whom.peer)))?;
        let path = linked.path();
        Ok(Reply::Pinged(Pinged {
            peer: peer_name(whom),
            path: path.kind,
            remote: path.remote,
            lost: times.iter().filter(|time| time.is_none()).count() as u32,
            times_ms: times.iter().flatten().map(|time| time.as_secs_f64() * 1e3).collect(),
        }))
    }

    /// The network that a person named.
    pub(crate) fn network(&self, text: Option<&str>) -> Result<NetworkId, ApiError> {
        self.inner.networks.named(text).map_err(failure::of_service)
    }

    /// The networks that a person named; none if none was.
    pub(crate) fn networks(&self, texts: &[String]) -> Result<Vec<NetworkId>, ApiError> {
        texts.iter().map(|text| self.network(Some(text))).collect()
    }

    /// The peer that a person named.
    pub(crate) async fn whom(
        &self,
        text: &str,
        network: Option<&NetworkId>,
    ) -> Result<Whom, ApiError> {
        self.inner.networks.whom(text, network).await.map_err(failure::of_service)
    }

    /// A network in the words of the API.
    pub(crate) fn network_name(&self, id: &NetworkId) -> NetworkName {
        self.inner.network_name(id)
    }

    /// Who is in a network.
    pub(crate) async fn members_of(&self, id: &NetworkId) -> Result<MembersOf, ApiError> {
        let told = self.inner.networks.members(id).await.map_err(failure::of_service)?;
        let own = self.inner.peers.own_id();
        let mut members: Vec<Member> = told
            .into_iter()
            .map(|member| Member {
                id: member.peer,
                nick: member.nick,
                role: role_to_api(member.role),
                online: member.online,
                last_seen_ms: member.last_seen_ms,
                agent: member.agent,
                shares: member.shares.into(),
                files: member.files,
                bytes: member.bytes,
                own: member.peer == own,
            })
            .collect();
        members.sort_by(|a, b| (!a.online, &a.nick).cmp(&(!b.online, &b.nick)));
        Ok(MembersOf { network: self.network_name(id), members, stale_ms: None })
    }

    /// Who is in the networks whose directories answer.
    pub(crate) async fn known_members(&self) -> Vec<MembersOf> {
        let mut all = Vec::new();
        for id in self.inner.networks.ids() {
            match self.members_of(&id).await {
                Ok(members) => all.push(members),
                Err(error) => tracing::info!(network = %id.short(), %error, "members not told"),
            }
        }
        all
    }

    /// The networks of this node as they stand.
    pub(crate) async fn network_infos(&self) -> Result<Vec<NetworkInfo>, ApiError> {
        let mut infos = Vec::new();
        for view in self.inner.networks.list() {
            infos.push(self.network_info(view).await?);
        }
        Ok(infos)
    }

    async fn network_info(&self, view: View) -> Result<NetworkInfo, ApiError> {
        let id = view.record.network;
        let online = matches!(view.state, Some(State::Online { .. }));
        let members = if online { self.members_of(&id).await.ok() } else { None };
        let offers = self.on_disk(|store| store.offers()).await?;
        let trackers = view.record.trackers().iter();
        let circle = match view.record.replicas() {
            Some(replicas) => Some(self.circle_in_short(&id, replicas).await),
            None => None,
        };
        Ok(NetworkInfo {
            role: role_to_api(view.role.unwrap_or(Role::Guest)),
            policy: policy_to_api(view.record.policy),
            directory: match view.record.directory {
                DirectoryKind::Tracker { .. } => api::DirectoryKind::Tracker,
                DirectoryKind::Chord { .. } => api::DirectoryKind::Chord,
                DirectoryKind::Ring { .. } => api::DirectoryKind::Ring,
            },
            circle,
            trackers: trackers
                .map(|at| api::TrackerAddress { id: at.id, addresses: at.direct.clone() })
                .collect(),
            relays: view.record.relays.clone(),
            nick: view.nick.clone(),
            state: state_to_api(&view),
            members: members.as_ref().map(|all| all.members.len() as u64),
            members_online: members
                .as_ref()
                .map(|all| all.members.iter().filter(|member| member.online).count() as u64),
            shares: offers.iter().filter(|offer| offer.listed.contains(&id)).count() as u64,
            sequence: view.record.sequence,
            revocations: view.revocations,
            network: NetworkName { id, name: view.record.name },
        })
    }
}

/// Where the directory of a new network is to be.
fn place_of(what: &NetworkCreate) -> Result<Place, ApiError> {
    let replicas = what.replicas.unwrap_or(limits::REPLICAS);
    match (what.directory, &what.tracker) {
        (api::DirectoryKind::Tracker, ticket) => {
            let ticket = ticket.as_deref().unwrap_or_default().parse().map_err(|error| {
                ApiError::usage(format!("this is no tracker's ticket: {error}")).hint(
                    "a tracker prints its ticket when it starts, and by \"potluck tracker \
                     ticket\"; it starts with \"pottr1\"",
                )
            });
            ticket.map(Place::Tracker)
        }
        (api::DirectoryKind::Chord, None) => Ok(Place::Chord { replicas }),
        (api::DirectoryKind::Ring, None) => Ok(Place::Ring { replicas }),
        (kind, Some(_)) => {
            Err(ApiError::usage(format!("a network of kind {} has no tracker", kind.name()))
                .hint("name the tracker, or the kind, but not both"))
        }
    }
}

/// A peer in the words of the API.
pub(crate) fn peer_name(whom: &Whom) -> PeerName {
    PeerName { id: whom.peer, nick: whom.nick.clone() }
}

/// A peer without a known nickname.
pub(crate) fn unnamed(peer: PeerId) -> PeerName {
    PeerName { id: peer, nick: None }
}

/// How a network's directory is, in the words of the API.
pub(crate) fn state_to_api(view: &View) -> api::NetworkState {
    if view.role.is_none() {
        return api::NetworkState::Refused { why: "this node was revoked".to_owned() };
    }
    view.state.as_ref().map_or(api::NetworkState::Away, directory_state)
}

/// The same without what only we know.
pub(crate) fn directory_state(state: &State) -> api::NetworkState {
    match state {
        State::Online { .. } => api::NetworkState::Online,
        State::Connecting { why, retry_at_ms } => api::NetworkState::Connecting {
            why: why.clone(),
            retry_in_ms: retry_at_ms.map(|at| at.saturating_sub(now_ms())),
        },
        State::NickTaken { nick, .. } => api::NetworkState::Connecting {
            why: Some(format!("the nickname {nick:?} is taken")),
            retry_in_ms: None,
        },
        State::Denied(denial) => api::NetworkState::Refused { why: denial.to_string() },
        State::Away => api::NetworkState::Away,
        State::Expelled => {
            api::NetworkState::Refused { why: "this node is no longer a member".to_owned() }
        }
    }
}

/// A policy in the words of the API.
pub(crate) fn policy_to_api(policy: Policy) -> api::Policy {
    match policy {
        Policy::Open => api::Policy::Open,
        Policy::Invite => api::Policy::Invite,
    }
}

/// A role in the words of the API.
pub(crate) fn role_to_api(role: Role) -> api::Role {
    match role {
        Role::Guest => api::Role::Guest,
        Role::Member => api::Role::Member,
        Role::Admin => api::Role::Admin,
        Role::Owner => api::Role::Owner,
    }
}

fn role_of_api(role: api::Role) -> Role {
    match role {
        api::Role::Guest => Role::Guest,
        api::Role::Member => Role::Member,
        api::Role::Admin => Role::Admin,
        api::Role::Owner => Role::Owner,
    }
}
