//! The networks that this node is in: made, joined and left; kept across restarts.

mod entering;
mod members;
mod place;
mod saved;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{NetworkId, limits};
use potluck_identity::{Invite, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey};
use potluck_proto::directory::tracker::{Nick, Request};
use potluck_store::Store;
use tokio::time::timeout;

use crate::chance::{now_ms, random_key};
use crate::directory::chord::{ChordDirectory, Circles};
use crate::directory::tracker::Switchboard;
use crate::directory::{Announcement, Directories, NetworkDirectory};
use crate::error::ServiceError;
use crate::membership::Memberships;
use crate::notice::Notices;
use crate::peers::Peers;

pub use members::Whom;
use place::First;
pub use place::Place;
pub use saved::Saved;
pub use view::View;
use view::view;

/// How long leaving a circle may take: everything is withdrawn, what was kept is handed over.
const CIRCLE_LEAVE_TIME: Duration = Duration::from_secs(15);

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
    /// Where members of circles answer.
    pub circles: Arc<Circles>,
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
    directory: Mutex<Option<Entered>>,
}

/// The directory of a network that was entered.
#[derive(Clone)]
struct Entered {
    directory: Arc<dyn NetworkDirectory>,
    /// The same, if the members themselves are the directory.
    circle: Option<Arc<ChordDirectory>>,
}

impl Joined {
    fn new(saved: Saved) -> Self {
        Self { saved: Mutex::new(saved), directory: Mutex::default() }
    }

    /// Its directory.
    fn directory(&self) -> Result<Arc<dyn NetworkDirectory>, ServiceError> {
        self.entered().ok_or_else(|| self.away("the network was not entered"))
    }

    fn entered(&self) -> Option<Arc<dyn NetworkDirectory>> {
        let entered = self.directory.lock().expect("no panic while held");
        entered.as_ref().map(|entered| Arc::clone(&entered.directory))
    }

    fn circle(&self) -> Option<Arc<ChordDirectory>> {
        let entered = self.directory.lock().expect("no panic while held");
        entered.as_ref().and_then(|entered| entered.circle.clone())
    }

    fn enter(&self, entered: Entered) {
        *self.directory.lock().expect("no panic while held") = Some(entered);
    }

    /// That nobody of the network's directory answers, in the words for its kind.
    fn away(&self, why: &str) -> ServiceError {
        let why = why.to_owned();
        match self.saved().record.value.replicas() {
            Some(_) => ServiceError::CircleAway { why },
            None => ServiceError::TrackerAway { why },
        }
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
            if joined.entered().is_none() {
                let nick = joined.saved().nick.clone().map_or(Nick::Any, Nick::Suggested);
                self.enter(&joined, nick, First::default()).await?;
            }
        }
        Ok(())
    }

    /// Ends all sessions in order; the trackers show us as offline at once.
    pub async fn stop(&self) {
        let all = self.all();
        let entered: Vec<_> = all.iter().filter_map(|(_, joined)| joined.entered()).collect();
        futures_util::future::join_all(entered.iter().map(|directory| directory.stop())).await;
    }

    /// Makes a network; we are its owner.
    pub async fn create(
        self: &Arc<Self>,
        name: String,
        place: Place,
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
            directory: place.kind(),
            policy,
            relays,
            sequence: 1,
            created_ms: now,
        };
        let record = record.sign(&key)?;
        let membership = Membership::owner(&key, self.parts.peers.own_id(), now);
        let revocations = Revocations::none(network);
        let saved = Saved { record, membership, revocations, nick: None, key: Some(key) };
        let token = place.token();
        let first = First { token, known: Vec::new() };
        let (view, _) = self.enter_first(saved, wish(nick), first).await?;
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
        let contacts = joined.circle().map_or_else(Vec::new, |circle| circle.contacts());
        let saved = joined.saved();
        if saved.record.value.policy == Policy::Open {
            return Ok(Invite::open(saved.record.clone()).with_contacts(contacts));
        }
        let invite = Invite::make(
            saved.record.clone(),
            &self.parts.secret,
            saved.membership.clone(),
            role,
            uses,
            now_ms(),
            expires_ms,
            random_key()?,
        )?;
        Ok(invite.with_contacts(contacts))
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
        if record.replicas().is_some() && invite.contacts.is_empty() {
            let why = "the invite names no member to enter by".to_owned();
            return Err(ServiceError::CircleAway { why });
        }
        let saved = Saved {
            membership: invite.redeem(self.parts.peers.own_id(), now_ms()),
            revocations: Revocations::none(network),
            record: invite.record.clone(),
            nick: None,
            key: None,
        };
        let first = First { token: None, known: invite.contacts.clone() };
        self.enter_first(saved, nick, first).await
    }

    /// Enters a network for the first time; if that does not work, nothing of it is kept.
    async fn enter_first(
        self: &Arc<Self>,
        saved: Saved,
        nick: Nick,
        first: First,
    ) -> Result<(View, Option<u64>), ServiceError> {
        let network = saved.id();
        if let Ok(before) = self.get(&network) {
            self.drop_network(&network, &before).await?;
        }
        let joined = Arc::new(Joined::new(saved));
        self.lock().insert(network, Arc::clone(&joined));
        self.enter(&joined, nick, first).await?;
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
        let patience = match joined.circle() {
            Some(_) => CIRCLE_LEAVE_TIME,
            None => limits::TRACKER_REQUEST_TIME,
        };
        // A directory that is away drops us when our lease and our records have run out.
        let directory = joined.directory()?;
        let left = timeout(patience, directory.ask(Request::Leave { forget: true }));
        if let Ok(Err(error)) = left.await {
            tracing::info!(%error, "left without the directory's knowing");
        }
        self.drop_network(network, &joined).await?;
        Ok(last)
    }

    async fn drop_network(&self, network: &NetworkId, joined: &Joined) -> Result<(), ServiceError> {
        if let Some(directory) = joined.entered() {
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

    /// The circle of a network whose members are its directory.
    pub fn circle(&self, network: &NetworkId) -> Result<Arc<ChordDirectory>, ServiceError> {
        let joined = self.get(network)?;
        if joined.saved().record.value.replicas().is_none() {
            return Err(ServiceError::NoCircle(self.name_of(network)));
        }
        joined.circle().ok_or_else(|| joined.away("the network was not entered"))
    }

    async fn keep(&self, saved: &Saved) -> Result<(), ServiceError> {
        let (store, id, bytes) = (self.parts.store.clone(), saved.id(), saved.encode());
        Ok(tokio::task::spawn_blocking(move || store.put_network(&id, &bytes)).await??)
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
