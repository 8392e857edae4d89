//! One `match`: each command to the service that does it, each answer back into the words of the
//! API.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use potluck_api::{
    ApiError, Command, ConfigShown, Event, FileFailure, GetCommand, GetResult, Identity, OnExists,
    Paths, PeerShare, Peers, Reached, Reply, Stage, Status,
};
use potluck_base::{ContentId, NetworkId, PeerId, RelPath};
use potluck_content::{Ticket, TicketKind};
use potluck_identity::Role;
use potluck_service::fetch::{Fetch, Fetched, Providers};
use potluck_service::share::{Downloading, offer_download};
use potluck_store::Audience;
use tokio::sync::mpsc;

use crate::node::NodeHandle;
use crate::search::OUTSIDE;
use crate::{failure, key, view};

/// Steps that wait for a slow door.
const STEPS_QUEUED: usize = 64;

type Events = mpsc::Sender<Event>;

impl NodeHandle {
    pub(crate) async fn dispatch(
        &self,
        command: Command,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        if needs_networks(&command) {
            self.inner.enter_networks().await?;
        }
        match command {
            Command::Share(what) => self.share(what, events).await,
            Command::Get(what) => self.get(what, events).await,
            Command::List { ticket } => self.list(&ticket, events).await,
            Command::Ls => self.ls().await,
            Command::Unshare { id } => self.unshare(id).await,
            Command::Peers => {
                let mut peers = self.peers();
                if !self.inner.networks.ids().is_empty() {
                    self.inner.enter_networks().await?;
                    peers.members = self.known_members().await;
                }
                Ok(Reply::Peers(peers))
            }
            Command::Status => self.status().await,
            Command::Id => Ok(Reply::Id(Identity { id: self.inner.peers.own_id() })),
            Command::Paths => Ok(Reply::Paths(self.paths())),
            Command::ConfigShow => {
                Ok(Reply::Config(ConfigShown { entries: self.inner.config.shown() }))
            }
            Command::AwaitReceivers { id, count } => self.await_receivers(id, count, events).await,
            Command::NetworkCreate(what) => self.network_create(what).await,
            Command::NetworkLs => self.network_ls().await,
            Command::NetworkLeave { network } => self.network_leave(network).await,
            Command::NetworkMembers { network } => self.network_members(network).await,
            Command::NetworkRevoke { network, peer } => self.network_revoke(network, peer).await,
            Command::Invite(what) => self.invite(what).await,
            Command::Join { invite, nick } => self.join(invite, nick, events).await,
            Command::Search(what) => self.search(what).await,
            Command::Find { what, networks } => self.find(what, networks).await,
            Command::Browse(what) => self.browse(what).await,
            Command::Ping { peer, network, count } => self.ping(peer, network, count).await,
            Command::DhtDo { network, what } => self.dht_do(network, what).await,
            Command::Store(what) => self.store(what, events).await,
            Command::StoredDo { network, what } => self.stored_do(network, what, events).await,
            Command::TrackerDo { what } => self.tracker_do(what).await,
            Command::Stop => {
                self.inner.leave();
                Ok(Reply::Stopping)
            }
        }
    }

    async fn get(&self, what: GetCommand, events: &Events) -> Result<Reply, ApiError> {
        let started = Instant::now();
        if what.ticket.starts_with(OUTSIDE) {
            return self.get_outside(what, events).await;
        }
        let fetch = self.read_get(what).await?;
        let content = fetch.ticket.content;
        let named: BTreeSet<PeerId> = fetch.ticket.providers.iter().map(|p| p.id).collect();
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let fetching = async {
            let fetched = self.inner.fetcher.fetch(fetch, &steps).await;
            drop(steps);
            fetched
        };
        let telling = async {
            while let Some(step) = heard.recv().await {
                self.tell(events, view::fetch_event(content, step)).await;
            }
        };
        let (fetched, ()) = tokio::join!(fetching, telling);
        let fetched = fetched.map_err(failure::of_service)?;
        Ok(Reply::Got(got(content, fetched, &named, started)))
    }

    /// What a command wants fetched, and under which offer it is shared meanwhile and afterwards.
    async fn read_get(&self, what: GetCommand) -> Result<Fetch, ApiError> {
        let ticket = read_ticket(&what.ticket)?;
        let (folder, name) = place(what.output)?;
        let networks = match &what.network {
            Some(network) => vec![self.network(Some(network))?],
            None => self.networks_that_know(&ticket).await?,
        };
        let kept = ticket.personal || what.no_share;
        let shared = !kept && self.inner.config.settings.share_downloads;
        let audience = match networks.as_slice() {
            _ if ticket.personal => Audience::nobody(),
            [] => Audience::anyone(),
            networks => {
                Audience { networks: networks.iter().copied().collect(), ..Audience::nobody() }
            }
        };
        let offer = match (networks.is_empty(), kept) {
            (true, false) => None,
            _ => {
                let publishes = |id: &&NetworkId| {
                    self.inner.networks.role_in(id).is_some_and(Role::may_publish)
                };
                let listed = networks.iter().filter(publishes).filter(|_| shared);
                let downloading = Downloading {
                    content: ticket.content,
                    name: name.clone().unwrap_or_else(|| ticket.name.clone()),
                    path: folder.join(name.as_ref().unwrap_or(&ticket.name).as_str()),
                    tags: Vec::new(),
                    listed: listed.copied().collect(),
                    audience: if shared { audience.clone() } else { Audience::nobody() },
                };
                let offer = offer_download(&self.inner.store, downloading).await;
                Some(offer.map_err(failure::of_service)?)
            }
        };
        Ok(Fetch {
            ticket,
            folder,
            name,
            selection: what.selection,
            on_exists: store_on_exists(what.on_exists),
            give_up_after: what.give_up_after_s.map(Duration::from_secs),
            audience,
            networks,
            offer,
        })
    }

    /// The networks whose directories know a content: a ticket for members names none.
    async fn networks_that_know(&self, ticket: &Ticket) -> Result<Vec<NetworkId>, ApiError> {
        let inner = &self.inner;
        if inner.networks.ids().is_empty() {
            return Ok(Vec::new());
        }
        inner.enter_networks().await?;
        let known = inner.directories.providers(ticket.content, &[]).await;
        let named = |peer| ticket.providers.iter().any(|provider| provider.id == peer);
        let known: BTreeSet<NetworkId> = known
            .into_iter()
            .filter(|(_, provider)| ticket.providers.is_empty() || named(provider.peer))
            .map(|(network, _)| network)
            .collect();
        Ok(known.into_iter().collect())
    }

    async fn list(&self, ticket: &str, events: &Events) -> Result<Reply, ApiError> {
        let ticket = read_ticket(ticket)?;
        if matches!(ticket.kind, TicketKind::File { .. }) {
            return Ok(Reply::Listing(view::listing(&ticket, None)));
        }
        let networks = self.networks_that_know(&ticket).await?;
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let asking = async {
            let mut providers = Providers::keep(&self.inner.peers, &ticket, &networks, None).await;
            let asked = self.inner.fetcher.manifest(&mut providers, ticket.content, &steps).await;
            drop(steps);
            asked
        };
        let telling = async {
            while let Some(step) = heard.recv().await {
                self.tell(events, view::fetch_event(ticket.content, step)).await;
            }
        };
        let (manifest, ()) = tokio::join!(asking, telling);
        let manifest = manifest.map_err(failure::of_service)?;
        Ok(Reply::Listing(view::listing(&ticket, Some(&manifest))))
    }

    fn peers(&self) -> Peers {
        let mut linked = self.inner.peers.all();
        linked.sort_by_key(|linked| linked.since);
        let rates = self.inner.rates.lock().expect("no panic while held");
        let rate = |peer| rates.get(&peer).copied().unwrap_or_default();
        let peers = linked.iter().map(|l| view::peer_info(l, rate(l.peer))).collect();
        Peers { peers, members: Vec::new() }
    }

    async fn status(&self) -> Result<Reply, ApiError> {
        let inner = &self.inner;
        let own = inner.peers.own_address();
        let linked = self.peers().peers;
        Ok(Reply::Status(Status {
            id: own.id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: inner.started.elapsed().as_millis() as u64,
            listening: own.direct,
            home: inner.config.home.clone(),
            shares: self.on_disk(|store| store.share_count()).await?,
            downloads: inner.swarms.fetching() as u64,
            peers: linked.len() as u64,
            linked,
            networks: self.network_infos().await?,
            api_address: *inner.api.lock().expect("no panic while held"),
            pid: std::process::id(),
        }))
    }

    fn paths(&self) -> Paths {
        let home = self.inner.config.home.clone();
        Paths {
            key: key::path(&home),
            config: self.inner.config.file(),
            database: home.join("state.db"),
            api: home.join("api.json"),
            log: home.join("daemon.log"),
            home,
        }
    }

    async fn await_receivers(
        &self,
        id: ContentId,
        count: u64,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        let mut all = self.subscribe();
        loop {
            let done = self.inner.swarms.receivers_done(id);
            if done >= count {
                return Ok(Reply::Received(Reached { id, count: done }));
            }
            // A lagging listener looks at the count again.
            if let Ok(event) = all.recv().await
                && concerns(&event, id)
            {
                let _ = events.send(event).await;
            }
        }
    }

    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&potluck_store::Store) -> Result<T, potluck_store::StoreError>
        + Send
        + 'static,
    ) -> Result<T, ApiError> {
        let store = self.inner.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| ApiError::internal(error.to_string()))?
            .map_err(|error| failure::of_store(&error))
    }
}

pub(crate) fn read_ticket(text: &str) -> Result<Ticket, ApiError> {
    text.parse().map_err(|error| failure::of_ticket(&error))
}

/// The folder that a download goes into, and the name that the person chose, if they did.
pub(crate) fn place(output: Option<PathBuf>) -> Result<(PathBuf, Option<RelPath>), ApiError> {
    let Some(output) = output else {
        let here = std::env::current_dir();
        let here = here.map_err(|e| ApiError::usage(format!("the current folder is gone: {e}")))?;
        return Ok((here, None));
    };
    if output.is_dir() {
        return Ok((output, None));
    }
    let name = output.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| RelPath::parse_name(name).ok());
    match (output.parent(), name) {
        (Some(folder), Some(name)) if folder.is_dir() => Ok((folder.to_owned(), Some(name))),
        (Some(folder), Some(_)) => Err(ApiError::new(
            potluck_api::ErrorKind::NotFound,
            format!("the folder {} does not exist", folder.display()),
        )
        .hint(format!("make it: mkdir -p \"{}\"", folder.display()))),
        _ => Err(ApiError::usage(format!("{} cannot be a name", output.display()))),
    }
}

pub(crate) fn store_on_exists(on_exists: OnExists) -> potluck_store::OnExists {
    match on_exists {
        OnExists::Refuse => potluck_store::OnExists::Refuse,
        OnExists::Overwrite => potluck_store::OnExists::Overwrite,
        OnExists::Rename => potluck_store::OnExists::Rename,
    }
}

fn got(
    content: ContentId,
    fetched: Fetched,
    named: &BTreeSet<PeerId>,
    started: Instant,
) -> GetResult {
    let shares = fetched.from.iter();
    let from_peers: Vec<_> = shares
        .map(|(peer, bytes)| PeerShare {
            peer: *peer,
            bytes: *bytes,
            in_ticket: named.contains(peer),
        })
        .collect();
    let missing = fetched.missing.into_iter();
    GetResult {
        path: fetched.path,
        id: content,
        bytes: fetched.bytes,
        files: fetched.files,
        missing: missing
            .map(|(path, why)| FileFailure { content, path: path.as_str().to_owned(), why })
            .collect(),
        elapsed_ms: started.elapsed().as_millis() as u64,
        fetched_bytes: from_peers.iter().map(|p| p.bytes).sum::<u64>() + fetched.duplicate,
        from_peers,
        resumed_bytes: fetched.resumed,
        duplicate_bytes: fetched.duplicate,
    }
}

/// Whether a command asks the directories of the networks.
fn needs_networks(command: &Command) -> bool {
    matches!(
        command,
        Command::NetworkCreate(_)
            | Command::NetworkLeave { .. }
            | Command::NetworkMembers { .. }
            | Command::NetworkRevoke { .. }
            | Command::Join { .. }
            | Command::Search(_)
            | Command::Find { .. }
            | Command::Browse(_)
            | Command::Ping { .. }
            | Command::DhtDo { .. }
            | Command::Store(_)
            | Command::StoredDo { .. }
    )
}

/// Whether an event is about a content that somebody waits for, or about peers.
fn concerns(event: &Event, id: ContentId) -> bool {
    match event {
        Event::ReceiverDone { content, .. } | Event::SourceChanged { content, .. } => {
            *content == id
        }
        Event::PeerJoined { .. } | Event::PeerLeft { .. } => true,
        Event::Stage { stage, .. } => *stage == Stage::Waiting,
        _ => false,
    }
}
