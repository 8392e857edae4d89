//! The networks that this node is in: made, joined and left; kept across restarts.

mod members;
mod saved;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use potluck_base::{NetworkId, limits};
use potluck_identity::{
    DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey,
    TrackerTicket,
};
use potluck_proto::directory::tracker::{Nick, Request};
use potluck_store::Store;
use tokio::time::timeout;

use crate::chance::{now_ms, random_key};
use crate::directory::tracker::{Happened, Setup, State, Switchboard, TrackerDirectory};
use crate::directory::{Announcement, Directories};
use crate::error::ServiceError;
use crate::membership::Memberships;
use crate::notice::{Notice, Notices};
use crate::peers::Peers;

pub use members::Whom;
pub use saved::Saved;
pub use view::View;
use view::view;

/// How long `create` and `join` wait for the first session.
const ENTER_TIME: Duration = Duration::from_secs(8);

/// What the networks need of the node.
pub struct Parts {
    /// Where they are kept.
    pub store: Store,
    /// The links.
    pub peers: Arc<Peers>,
    /// Who is admitted to what.
    pub memberships: Arc<Memberships>,
    /// The directories of all networks.
    pub directories: Arc<Directories>,
    /// Where trackers answer.
    pub switchboard: Arc<Switchboard>,
    /// The node's key.
    pub secret: SecretKey,
    /// What it says it is.
    pub agent: String,
    /// Who hears of changes.
    pub notices: Notices,
    /// Where old clients reach this node, if they do.
    pub p2p_ci: Option<SocketAddr>,
    /// What is published in a network, as it is on disk.
    pub published: Published,
}

/// Tells what is published in a network.
pub type Published = Arc<dyn Fn(&NetworkId) -> Vec<Announcement> + Send + Sync>;

/// The networks that this node is in.
pub struct Networks {
    parts: Parts,
    joined: Mutex<BTreeMap<NetworkId, Arc<Joined>>>,
    /// Held while networks are entered.
    starting: tokio::sync::Mutex<()>,
}

/// One of them.
pub struct Joined {
    /// What is kept of it.
    saved: Mutex<Saved>,
    /// Its directory, once it was entered.
    directory: OnceLock<Arc<TrackerDirectory>>,
}

impl Joined {
    fn new(saved: Saved) -> Self {
        Self { saved: Mutex::new(saved), directory: OnceLock::new() }
    }

    /// Its directory.
    fn directory(&self) -> Result<&Arc<TrackerDirectory>, ServiceError> {
        let away = || ServiceError::TrackerAway { why: "the network was not entered".to_owned() };
        self.directory.get().ok_or_else(away)
    }

    fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock().expect("no panic while held")
    }
}

impl Networks {
    /// No networks yet: [`load`](Networks::load) reads those that are kept.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, joined: Mutex::default(), starting: Default::default() })
    }

    /// The relays of the networks that a node is in: its endpoint needs them before it is bound, so
    /// those of a network that is joined now are used from the next start on. Blocks.
    pub fn relays(store: &Store) -> Result<Vec<String>, ServiceError> {
        let kept = store.networks()?.into_iter();
        let records = kept.filter_map(|(_, bytes)| Saved::decode(&bytes).ok());
        Ok(records.flat_map(|saved| saved.record.value.relays).collect())
    }

    /// Reads which networks this node is in, without entering them.
    pub async fn load(self: &Arc<Self>) -> Result<(), ServiceError> {
        let store = self.parts.store.clone();
        let kept = tokio::task::spawn_blocking(move || store.networks()).await??;
        for (network, bytes) in kept {
            match Saved::decode(&bytes) {
                Ok(saved) => {
                    self.admit(&saved);
                    self.lock().insert(network, Arc::new(Joined::new(saved)));
                }
                Err(error) => tracing::error!(network = %network.short(), %error, "left out"),
            }
        }
        Ok(())
    }

    /// Enters the networks that this node is in; those that it has entered stay as they are.
    pub async fn start(self: &Arc<Self>) -> Result<(), ServiceError> {
        let _turn = self.starting.lock().await;
        for (_, joined) in self.all() {
            if joined.directory.get().is_none() {
                let nick = joined.saved().nick.clone().map_or(Nick::Any, Nick::Suggested);
                self.enter(&joined, nick, None).await?;
            }
        }
        Ok(())
    }

    /// Ends all sessions in order; the trackers show us as offline at once.
    pub async fn stop(&self) {
        let all = self.all();
        let entered = all.iter().filter_map(|(_, joined)| joined.directory.get());
        futures_util::future::join_all(entered.map(|directory| directory.stop())).await;
    }

    /// Makes a network at a tracker; we are its owner.
    pub async fn create(
        self: &Arc<Self>,
        name: String,
        ticket: &TrackerTicket,
        policy: Policy,
        relays: Vec<String>,
        nick: Option<String>,
    ) -> Result<View, ServiceError> {
        if self.all().iter().any(|(_, joined)| joined.saved().record.value.name == name) {
            return Err(ServiceError::NetworkExists(name));
        }
        let key = SecretKey::from_seed(random_key()?);
        let network = key.network_id();
        let now = now_ms();
        let record = NetworkRecord {
            network,
            name,
            directory: DirectoryKind::Tracker { trackers: vec![ticket.addr.clone()] },
            policy,
            relays,
            sequence: 1,
            created_ms: now,
        };
        let record = record.sign(&key)?;
        let membership = Membership::owner(&key, self.parts.peers.own_id(), now);
        let revocations = Revocations::none(network);
        let saved = Saved { record, membership, revocations, nick: None, key: Some(key) };
        let (view, _) = self.enter_first(saved, wish(nick), Some(ticket.token)).await?;
        Ok(view)
    }

    /// An invite that admits so many to a network, until it expires.
    pub fn invite(
        &self,
        network: &NetworkId,
        role: Role,
        uses: u32,
        expires_ms: u64,
    ) -> Result<Invite, ServiceError> {
        let joined = self.get(network)?;
        let saved = joined.saved();
        if saved.record.value.policy == Policy::Open {
            return Ok(Invite::open(saved.record.clone()));
        }
        Ok(Invite::make(
            saved.record.clone(),
            &self.parts.secret,
            saved.membership.clone(),
            role,
            uses,
            now_ms(),
            expires_ms,
            random_key()?,
        )?)
    }

    /// Joins a network by an invite, under a nickname or one that the tracker finds.
    ///
    /// A member that joins again only takes the nickname, if it gives one.
    pub async fn join(
        self: &Arc<Self>,
        invite: &Invite,
        nick: Option<String>,
    ) -> Result<(View, Option<u64>), ServiceError> {
        let record = invite.record.record()?.clone();
        let network = record.network;
        let nick = wish(nick);
        if let Ok(joined) = self.get(&network)
            && joined.saved().role().is_some()
        {
            if let Nick::Chosen(nick) = nick {
                joined.directory()?.rename(nick).await;
            }
            let returning = self.settled(&joined).await?;
            return Ok((view(&joined), returning));
        }
        let saved = Saved {
            membership: invite.redeem(self.parts.peers.own_id(), now_ms()),
            revocations: Revocations::none(network),
            record: invite.record.clone(),
            nick: None,
            key: None,
        };
        self.enter_first(saved, nick, None).await
    }

    /// Enters a network for the first time; if that does not work, nothing of it is kept.
    async fn enter_first(
        self: &Arc<Self>,
        saved: Saved,
        nick: Nick,
        token: Option<[u8; 16]>,
    ) -> Result<(View, Option<u64>), ServiceError> {
        let network = saved.id();
        if let Ok(before) = self.get(&network) {
            self.drop_network(&network, &before).await?;
        }
        let joined = Arc::new(Joined::new(saved));
        self.lock().insert(network, Arc::clone(&joined));
        self.enter(&joined, nick, token).await?;
        match self.settled(&joined).await {
            Ok(returning) => {
                let saved = joined.saved().clone();
                self.keep(&saved).await?;
                Ok((view(&joined), returning))
            }
            Err(error) => {
                self.drop_network(&network, &joined).await?;
                Err(error)
            }
        }
    }

    /// Leaves a network and forgets it. What was published there is withdrawn.
    pub async fn leave(&self, network: &NetworkId) -> Result<View, ServiceError> {
        let joined = self.get(network)?;
        let last = view(&joined);
        // A tracker that is away drops us when our lease and our records have run out.
        let left = timeout(
            limits::TRACKER_REQUEST_TIME,
            joined.directory()?.ask(Request::Leave { forget: true }),
        );
        if let Ok(Err(error)) = left.await {
            tracing::info!(%error, "left without the tracker's knowing");
        }
        self.drop_network(network, &joined).await?;
        Ok(last)
    }

    async fn drop_network(&self, network: &NetworkId, joined: &Joined) -> Result<(), ServiceError> {
        if let Some(directory) = joined.directory.get() {
            directory.stop().await;
        }
        self.parts.directories.remove(network);
        self.parts.memberships.remove(network);
        self.parts.peers.judge_again(network).await;
        self.lock().remove(network);
        let (store, network) = (self.parts.store.clone(), *network);
        tokio::task::spawn_blocking(move || store.remove_network(&network)).await??;
        Ok(())
    }

    /// All networks as they stand, by name.
    pub fn list(&self) -> Vec<View> {
        let mut all: Vec<View> = self.all().iter().map(|(_, joined)| view(joined)).collect();
        all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        all
    }

    /// The network that is meant: by name, by id, by the first characters of its id; without any of
    /// them the only one that there is.
    pub fn named(&self, text: Option<&str>) -> Result<NetworkId, ServiceError> {
        let all = self.all();
        let Some(text) = text else {
            return match all.as_slice() {
                [] => Err(ServiceError::NoNetworks),
                [(only, _)] => Ok(*only),
                _ => Err(ServiceError::SeveralNetworks),
            };
        };
        let by_name = |joined: &Joined| joined.saved().record.value.name == text;
        let by_id = |id: &NetworkId| text.len() >= 4 && id.to_string().starts_with(text);
        let fits: Vec<NetworkId> =
            all.iter().filter(|(id, j)| by_name(j) || by_id(id)).map(|(id, _)| *id).collect();
        match fits.as_slice() {
            [only] => Ok(*only),
            [] => Err(ServiceError::NoNetwork(text.to_owned())),
            _ => Err(ServiceError::SeveralNetworks),
        }
    }

    /// What a network is called.
    pub fn name_of(&self, network: &NetworkId) -> String {
        match self.get(network) {
            Ok(joined) => joined.saved().record.value.name.clone(),
            Err(_) => network.short(),
        }
    }

    /// Who we are in a network; none if we are not in it, or were revoked.
    pub fn role_in(&self, network: &NetworkId) -> Option<Role> {
        self.get(network).ok()?.saved().role()
    }

    /// All of them.
    pub fn ids(&self) -> Vec<NetworkId> {
        self.all().into_iter().map(|(id, _)| id).collect()
    }

    /// One of the networks.
    pub fn get(&self, network: &NetworkId) -> Result<Arc<Joined>, ServiceError> {
        let found = self.lock().get(network).cloned();
        found.ok_or_else(|| ServiceError::NoNetwork(network.short()))
    }

    async fn keep(&self, saved: &Saved) -> Result<(), ServiceError> {
        let (store, id, bytes) = (self.parts.store.clone(), saved.id(), saved.encode());
        Ok(tokio::task::spawn_blocking(move || store.put_network(&id, &bytes)).await??)
    }

    /// Starts to take part in a network.
    async fn enter(
        self: &Arc<Self>,
        joined: &Arc<Joined>,
        nick: Nick,
        token: Option<[u8; 16]>,
    ) -> Result<(), ServiceError> {
        let saved = joined.saved().clone();
        self.admit(&saved);
        let (network, published) = (saved.id(), Arc::clone(&self.parts.published));
        let published = tokio::task::spawn_blocking(move || published(&network)).await?;
        let started = TrackerDirectory::start(Setup {
            record: saved.record,
            membership: saved.membership,
            revocations: saved.revocations,
            nick,
            token,
            published,
            secret: self.parts.secret.clone(),
            agent: self.parts.agent.clone(),
            p2p_ci: self.parts.p2p_ci,
            peers: Arc::clone(&self.parts.peers),
            switchboard: Arc::clone(&self.parts.switchboard),
            store: self.parts.store.clone(),
        });
        let (directory, mut happenings) = started.await?;
        // Entering is done one at a time, and once.
        let _ = joined.directory.set(Arc::clone(&directory));
        self.parts.directories.put(directory as Arc<_>);
        let (networks, joined) = (Arc::downgrade(self), Arc::downgrade(joined));
        tokio::spawn(async move {
            while let Some(happened) = happenings.recv().await {
                let (Some(networks), Some(joined)) = (networks.upgrade(), joined.upgrade()) else {
                    return;
                };
                if let Err(error) = networks.follow(&joined, happened).await {
                    tracing::error!(%error, "a change of a network could not be kept");
                }
            }
        });
        Ok(())
    }

    /// Lets the links know what this network admits.
    fn admit(&self, saved: &Saved) {
        self.parts.memberships.put(
            saved.record.clone(),
            saved.membership.clone(),
            saved.revocations.clone(),
        );
    }

    /// Keeps what a network's directory told.
    async fn follow(&self, joined: &Joined, happened: Happened) -> Result<(), ServiceError> {
        let network = joined.saved().id();
        match happened {
            Happened::State(state) => {
                self.parts.notices.send(Notice::Network { network, state });
                return Ok(());
            }
            Happened::Named(nick) => joined.saved().nick = Some(nick),
            Happened::Record(record) => {
                joined.saved().record = record;
                let saved = joined.saved().clone();
                self.admit(&saved);
                self.parts.peers.judge_again(&network).await;
            }
            Happened::Admitted(membership) => joined.saved().membership = membership,
            Happened::Revoked(revocations) => {
                let parts = &self.parts;
                if !parts.memberships.accept_revocations(&parts.peers, &revocations).await {
                    return Ok(());
                }
                joined.saved().revocations = revocations;
            }
            Happened::Refused { share, denial } => {
                self.parts.notices.send(Notice::NotListed { network, share, denial });
                return Ok(());
            }
            Happened::InStep => {
                self.parts.notices.send(Notice::InStep { network });
                return Ok(());
            }
        }
        let saved = joined.saved().clone();
        self.admit(&saved);
        self.keep(&saved).await
    }

    /// Waits for the first session of a network; when we were there last, if we were.
    async fn settled(&self, joined: &Joined) -> Result<Option<u64>, ServiceError> {
        let mut state = joined.directory()?.state();
        let settled = async {
            loop {
                match &*state.borrow_and_update() {
                    State::Online { returning, .. } => return Ok(*returning),
                    State::NickTaken { nick, free } => {
                        let (nick, free) = (nick.clone(), free.clone());
                        return Err(ServiceError::NickTaken { nick, free });
                    }
                    State::Expelled => return Err(ServiceError::Expelled),
                    State::Denied(denial) => return Err(denial.clone().into()),
                    State::Connecting { .. } => {}
                }
                if state.changed().await.is_err() {
                    return Err(nonsense());
                }
            }
        };
        timeout(ENTER_TIME, settled).await.unwrap_or_else(|_| {
            let state = joined.directory.get().map(|directory| directory.state().borrow().clone());
            let why = match state {
                Some(State::Connecting { why: Some(why), .. }) => why,
                _ => "it does not answer".to_owned(),
            };
            Err(ServiceError::TrackerAway { why })
        })
    }

    fn all(&self) -> Vec<(NetworkId, Arc<Joined>)> {
        self.lock().iter().map(|(id, joined)| (*id, Arc::clone(joined))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Arc<Joined>>> {
        self.joined.lock().expect("no panic while held")
    }
}

/// A nickname that a person wants, if they do.
fn wish(nick: Option<String>) -> Nick {
    nick.map_or(Nick::Any, Nick::Chosen)
}

/// A tracker that answers something else than what was asked.
fn nonsense() -> ServiceError {
    ServiceError::TrackerNonsense
}
