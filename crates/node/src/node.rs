//! A running node: its parts, in the order in which they start and stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use potluck_api::{ApiError, Command, ErrorKind, Event, NetworkName, Reply};
use potluck_base::{NetworkId, PeerId, limits};
use potluck_identity::SecretKey;
use potluck_link::{Endpoint, EndpointConfig, LinkError};
use potluck_service::directory::Directories;
use potluck_service::directory::chord::Circles;
use potluck_service::directory::tracker::Switchboard;
use potluck_service::fetch::Fetcher;
use potluck_service::networks::{Networks, Parts};
use potluck_service::p2p_ci::{GetServer, Offered};
use potluck_service::peers::Peers;
use potluck_service::publish::Publisher;
use potluck_service::stored::{self, StoredService};
use potluck_service::swarm::Swarms;
use potluck_service::tracker::Event::Hosted;
use potluck_service::{Announcing, Notice, Notices};
use potluck_store::Store;
use tokio::sync::{OnceCell, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::tracker::Tracker;
use crate::view::Rates;
use crate::{failure, key, view};

/// Events that wait for a slow listener; older ones are lost to it.
const EVENTS_QUEUED: usize = 1024;
/// Pause between two looks at how much moved, for the rates that `peers` shows.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Pause between two rounds of making finished downloads safe on the disk.
const SETTLE_EVERY: Duration = Duration::from_secs(60);
/// Where the port of the last time is kept, so that tickets stay good when a node starts again.
const PORT_FILE: &str = "port";
/// What this program says it is.
const AGENT: &str = concat!("potluck/", env!("CARGO_PKG_VERSION"));

/// A node, from start to stop.
pub struct Node {
    inner: Arc<Inner>,
}

/// A hold on a running node, for doors.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: Config,
    pub store: Store,
    pub peers: Arc<Peers>,
    pub swarms: Arc<Swarms>,
    pub fetcher: Fetcher,
    pub notices: Notices,
    pub started: Instant,
    pub rates: Mutex<BTreeMap<PeerId, Rates>>,
    pub api: Mutex<Option<SocketAddr>>,
    pub directories: Arc<Directories>,
    pub networks: Arc<Networks>,
    pub stored: Arc<StoredService>,
    pub announcing: Arc<Announcing>,
    pub publisher: OnceCell<Publisher>,
    pub tracker: Option<Tracker>,
    pub stop: CancellationToken,
    leaving: CancellationToken,
    events: broadcast::Sender<Event>,
}

impl Node {
    /// Starts a node: opens its home, listens for peers, and serves what it shares.
    pub async fn start(config: Config) -> Result<Node, ApiError> {
        let home = config.home.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&home))
            .await
            .map_err(|error| ApiError::internal(error.to_string()))?
            .map_err(|error| failure::of_store(&error))?;
        let secret = key::load_or_make(&config.home)?;
        let directories = Arc::new(Directories::default());
        let of_networks = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || Networks::relays(&store)).await
        };
        let of_networks = of_networks.map_err(|error| ApiError::internal(error.to_string()))?;
        let relays = of_networks.map_err(failure::of_service)?;
        let endpoint = bind(&config, relays, secret.clone(), &directories).await?;
        let notices = Notices::new();
        let peers = Peers::new(endpoint, AGENT.to_owned(), notices.clone());
        let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
        let announcing = Announcing::new(
            store.clone(),
            Arc::clone(&directories),
            Arc::clone(&swarms),
            notices.clone(),
        );
        let parts = parts(&config, &store, &peers, &directories, &announcing, &notices, &secret);
        let networks = Networks::new(parts);
        networks.load().await.map_err(failure::of_service)?;
        let tracker = start_tracker(&config, &secret, &peers, &notices).await?;
        peers.start(&swarms);
        let fetcher = Fetcher {
            store: store.clone(),
            peers: Arc::clone(&peers),
            swarms: Arc::clone(&swarms),
            directories: Arc::clone(&directories),
            announcing: Arc::clone(&announcing),
        };
        let stored = start_stored(&config, &store, &fetcher, &networks, secret.clone()).await?;
        let inner = Arc::new(Inner {
            config,
            store,
            peers,
            swarms,
            fetcher,
            notices,
            started: Instant::now(),
            rates: Mutex::default(),
            api: Mutex::default(),
            directories,
            networks,
            stored,
            announcing,
            publisher: OnceCell::new(),
            tracker,
            stop: CancellationToken::new(),
            leaving: CancellationToken::new(),
            events: broadcast::Sender::new(EVENTS_QUEUED),
        });
        if let Some(listen) = inner.config.settings.p2p_ci {
            serve_old_peers(&inner, listen).await?;
        }
        tokio::spawn(tell_notices(Arc::clone(&inner)));
        tokio::spawn(sample_rates(Arc::clone(&inner)));
        tokio::spawn(settle(Arc::clone(&inner)));
        Ok(Node { inner })
    }

    /// Starts a node for work that lasts: it enters its networks at once.
    pub async fn start_working(config: Config) -> Result<Node, ApiError> {
        let node = Self::start(config).await?;
        match node.inner.enter_networks().await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop().await;
                Err(error)
            }
        }
    }

    /// A hold on the node.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle { inner: Arc::clone(&self.inner) }
    }

    /// Stops in order: no new work, goodbye to the peers, what is here recorded.
    pub async fn stop(self) {
        self.inner.stop.cancel();
        if let Some(tracker) = &self.inner.tracker {
            tracker.stop().await;
        }
        self.inner.stored.stop().await;
        self.inner.networks.stop().await;
        self.inner.swarms.close_all().await;
        self.inner.peers.stop().await;
        self.inner.swarms.ended().await;
    }
}

impl NodeHandle {
    /// Runs one command to its end, telling `events` what happens on the way.
    ///
    /// Dropping the future cancels the command; a download stays resumable.
    pub async fn run(
        &self,
        command: Command,
        events: mpsc::Sender<Event>,
    ) -> Result<Reply, ApiError> {
        tokio::select! {
            reply = self.dispatch(command, &events) => reply,
            () = self.inner.stop.cancelled() => Err(failure::stopping()),
        }
    }

    /// Everything that happens in the node, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Waits until a command asks the node to stop.
    pub async fn stopped(&self) {
        self.inner.leaving.cancelled().await;
    }

    /// Enters the networks of the node, for work that lasts.
    pub async fn enter_networks(&self) -> Result<(), ApiError> {
        self.inner.enter_networks().await
    }

    /// The node's home.
    pub fn home(&self) -> &Path {
        &self.inner.config.home
    }

    /// Notes where the API listens, for `status`.
    pub fn set_api_address(&self, address: SocketAddr) {
        *self.inner.api.lock().expect("no panic while held") = Some(address);
    }

    /// Tells an event to a command's caller and to whoever watches the node.
    pub(crate) async fn tell(&self, caller: &mpsc::Sender<Event>, event: Event) {
        // Nobody listening is no fault.
        let _ = self.inner.events.send(event.clone());
        let _ = caller.send(event).await;
    }
}

/// Serves what is published in networks to clients of P2P-CI/1.0, too.
async fn serve_old_peers(inner: &Arc<Inner>, listen: SocketAddr) -> Result<(), ApiError> {
    if listen.port() == 0 {
        return Err(ApiError::usage("the setting p2p_ci needs a port: others are told of it")
            .hint("for example --set p2p_ci=127.0.0.1:7735"));
    }
    let files = Arc::new(Offered::new(inner.store.clone()));
    let server = GetServer::bind(listen, files).await.map_err(|error| {
        ApiError::new(ErrorKind::Denied, format!("{listen} cannot be used for P2P-CI: {error}"))
            .hint("choose another address with --set p2p_ci=ADDRESS:PORT")
    })?;
    tokio::spawn(server.run(inner.stop.clone()));
    Ok(())
}

/// Makes the node a tracker, if it is to be one.
async fn start_tracker(
    config: &Config,
    secret: &SecretKey,
    peers: &Arc<Peers>,
    notices: &Notices,
) -> Result<Option<Tracker>, ApiError> {
    let Some(settings) = config.tracker.clone() else { return Ok(None) };
    peers.set_links_max(limits::TRACKER_LINKS);
    Tracker::start(&config.home, settings, secret.clone(), peers, notices).await.map(Some)
}

/// Starts to look after files in networks: those that this node put there, and those that it holds.
async fn start_stored(
    config: &Config,
    store: &Store,
    fetcher: &Fetcher,
    networks: &Arc<Networks>,
    secret: SecretKey,
) -> Result<Arc<StoredService>, ApiError> {
    let started = StoredService::start(stored::Parts {
        store: store.clone(),
        fetcher: fetcher.clone(),
        circles: Arc::clone(networks) as Arc<_>,
        secret,
        quota: config.settings.storage.quota.0,
        pace: stored::Pace::default(),
    });
    started.await.map_err(failure::of_service)
}

/// What the networks need of the node.
fn parts(
    config: &Config,
    store: &Store,
    peers: &Arc<Peers>,
    directories: &Arc<Directories>,
    announcing: &Arc<Announcing>,
    notices: &Notices,
    secret: &SecretKey,
) -> Parts {
    let switchboard = Arc::new(Switchboard::default());
    peers.listen_frames(Arc::clone(&switchboard) as Arc<_>);
    let circles = Arc::new(Circles::default());
    peers.listen_frames(Arc::clone(&circles) as Arc<_>);
    let announcing = Arc::clone(announcing);
    Parts {
        store: store.clone(),
        peers: Arc::clone(peers),
        memberships: Arc::clone(peers.memberships()),
        directories: Arc::clone(directories),
        switchboard,
        circles,
        secret: secret.clone(),
        agent: AGENT.to_owned(),
        notices: notices.clone(),
        p2p_ci: config.settings.p2p_ci,
        published: Arc::new(move |network| announcing.published_in(network)),
    }
}

impl Inner {
    /// Enters the networks of this node and keeps what it offers up to date; once is enough.
    ///
    /// A quick question about the node itself needs none of it, so it does not happen by itself.
    pub async fn enter_networks(self: &Arc<Self>) -> Result<(), ApiError> {
        let start = || async {
            self.networks.start().await.map_err(failure::of_service)?;
            let announcer = Arc::clone(&self.announcing) as Arc<_>;
            let started = Publisher::start(self.store.clone(), Default::default(), announcer);
            started.map_err(failure::of_service)
        };
        self.publisher.get_or_try_init(start).await.map(|_| ())
    }

    /// What a network is called.
    pub fn network_name(&self, id: &NetworkId) -> NetworkName {
        let name = match self.tracker.as_ref().and_then(|tracker| tracker.name_of(id)) {
            Some(name) => name,
            None => self.networks.name_of(id),
        };
        NetworkName { id: *id, name }
    }

    /// Asks whoever runs the node to stop it.
    pub fn leave(&self) {
        self.leaving.cancel();
    }
}

/// Binds the node's port: the one of the last time where the setting leaves it open and it is free.
async fn bind(
    config: &Config,
    mut relays: Vec<String>,
    secret: SecretKey,
    directories: &Arc<Directories>,
) -> Result<Endpoint, ApiError> {
    let settings = &config.settings;
    let links = if config.tracker.is_some() { limits::TRACKER_LINKS } else { limits::LINKS };
    relays.extend(settings.relays.iter().cloned());
    relays.sort();
    relays.dedup();
    let with = |listen: Vec<SocketAddr>| EndpointConfig {
        secret: secret.clone(),
        listen,
        relays: relays.clone(),
        quic: settings.quic,
        tcp: settings.tcp,
        links,
        finder: Some(Arc::clone(directories) as Arc<_>),
    };
    let file = config.home.join(PORT_FILE);
    let before: Option<u16> =
        std::fs::read_to_string(&file).ok().and_then(|t| t.trim().parse().ok());
    let open = settings.listen.iter().all(|address| address.port() == 0);
    if let (true, Some(port)) = (open, before) {
        let again = settings.listen.iter().map(|a| SocketAddr::new(a.ip(), port)).collect();
        match Endpoint::bind(with(again)).await {
            Ok(endpoint) => return Ok(endpoint),
            Err(error) => tracing::info!(%error, port, "the port of the last time is taken"),
        }
    }
    let endpoint = Endpoint::bind(with(settings.listen.clone()))
        .await
        .map_err(|error: LinkError| failure::of_link(&error))?;
    if let Some(port) = endpoint.addr().direct.first().map(SocketAddr::port)
        && let Err(error) = std::fs::write(&file, format!("{port}\n"))
    {
        tracing::warn!(%error, "the port could not be noted");
    }
    Ok(endpoint)
}

/// Turns what the services notice into events.
async fn tell_notices(inner: Arc<Inner>) {
    let mut notices = inner.notices.listen();
    loop {
        let notice: Notice = tokio::select! {
            notice = notices.recv() => match notice {
                Ok(notice) => notice,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            () = inner.stop.cancelled() => return,
        };
        if let (Notice::Tracker(Hosted { .. }), Some(tracker)) = (&notice, &inner.tracker) {
            tracker.learn_names().await;
        }
        let name = |id: &NetworkId| inner.network_name(id);
        if let Some(event) = view::event_of(notice, name) {
            // Nobody listening is no fault.
            let _ = inner.events.send(event);
        }
    }
}

async fn sample_rates(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SAMPLE_EVERY) => {}
            () = inner.stop.cancelled() => return,
        }
        let mut rates = inner.rates.lock().expect("no panic while held");
        let linked = inner.peers.all();
        rates.retain(|peer, _| linked.iter().any(|l| l.peer == *peer));
        for linked in linked {
            rates.entry(linked.peer).or_default().sample(&linked);
        }
    }
}

/// Now and then makes what was downloaded safe against a crash of the machine.
///
/// A node that ends before has lost nothing: the state says what is not safe yet, and the next one
/// looks.
async fn settle(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SETTLE_EVERY) => {}
            () = inner.stop.cancelled() => return,
        }
        let store = inner.store.clone();
        match tokio::task::spawn_blocking(move || store.settle()).await {
            Ok(Ok(settled)) => {
                for path in settled.damaged {
                    tracing::warn!(path = %path.display(), "damaged by a crash, no longer served");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "downloads could not be made safe"),
            Err(error) => tracing::warn!(%error, "downloads could not be made safe"),
        }
    }
}
