//! One `match`: each command to the service that does it, each answer back into the words of the
//! API.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use potluck_api::{
    ApiError, Command, ConfigShown, DownloadInfo, Event, FileFailure, GetResult, Identity,
    OnExists, Paths, PeerShare, Peers, Reached, Reply, Shares, Stage, Status, Unshared,
};
use potluck_base::{ContentId, PeerId, RelPath};
use potluck_content::{Ticket, TicketKind};
use potluck_service::fetch::{Fetch, Fetched, Providers};
use potluck_service::share::share;
use tokio::sync::mpsc;

use crate::node::NodeHandle;
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
        match command {
            Command::Share { paths, name } => self.share(paths, name, events).await,
            Command::Get { ticket, output, selection, on_exists, give_up_after_s } => {
                let ticket = read_ticket(&ticket)?;
                let (folder, name) = place(output)?;
                let give_up_after = give_up_after_s.map(Duration::from_secs);
                let on_exists = store_on_exists(on_exists);
                let fetch = Fetch { ticket, folder, name, selection, on_exists, give_up_after };
                self.get(fetch, events).await
            }
            Command::List { ticket } => self.list(&ticket, events).await,
            Command::Ls => self.ls().await,
            Command::Unshare { id } => self.unshare(id).await,
            Command::Peers => Ok(Reply::Peers(self.peers())),
            Command::Status => self.status().await,
            Command::Id => Ok(Reply::Id(Identity { id: self.inner.peers.own_id() })),
            Command::Paths => Ok(Reply::Paths(self.paths())),
            Command::ConfigShow => {
                Ok(Reply::Config(ConfigShown { entries: self.inner.config.shown() }))
            }
            Command::AwaitReceivers { id, count } => self.await_receivers(id, count, events).await,
            Command::Stop => {
                self.inner.leave();
                Ok(Reply::Stopping)
            }
        }
    }

    async fn share(
        &self,
        paths: Vec<PathBuf>,
        name: Option<String>,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        let name =
            match name {
                Some(name) => Some(RelPath::parse_name(&name).map_err(|error| {
                    ApiError::usage(format!("{name:?} cannot be a name: {error}"))
                })?),
                None => None,
            };
        if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
            return Err(ApiError::usage(format!("{} is not an absolute path", path.display())));
        }
        let known = self.shares().await?.into_iter().map(|s| s.id).collect::<BTreeSet<_>>();
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let sharing = share(&self.inner.store, paths, name, &steps);
        let telling = async {
            while let Some(step) = heard.recv().await {
                self.tell(events, view::share_event(step)).await;
            }
        };
        let shared = tokio::select! {
            shared = sharing => shared,
            () = telling => unreachable!("the sender of the steps outlives the sharing"),
        };
        drop(steps);
        while let Ok(step) = heard.try_recv() {
            self.tell(events, view::share_event(step)).await;
        }
        let id = shared.map_err(failure::of_service)?;
        let share = self.shares().await?.into_iter().find(|share| share.id == id);
        let share = share.ok_or_else(|| ApiError::internal("a share vanished as it was made"))?;
        let done = self.inner.swarms.receivers_done(id);
        let own = self.inner.peers.own_address();
        Ok(Reply::Shared(view::share_info(&share, own, done, known.contains(&id))))
    }

    async fn get(&self, fetch: Fetch, events: &Events) -> Result<Reply, ApiError> {
        let started = Instant::now();
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

    async fn list(&self, ticket: &str, events: &Events) -> Result<Reply, ApiError> {
        let ticket = read_ticket(ticket)?;
        if matches!(ticket.kind, TicketKind::File { .. }) {
            return Ok(Reply::Listing(view::listing(&ticket, None)));
        }
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let asking = async {
            let mut providers = Providers::keep(&self.inner.peers, &ticket, None);
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

    async fn ls(&self) -> Result<Reply, ApiError> {
        let own = self.inner.peers.own_address();
        let shares = self.shares().await?;
        let done = |id| self.inner.swarms.receivers_done(id);
        let shares =
            shares.iter().map(|s| view::share_info(s, own.clone(), done(s.id), true)).collect();
        let downloads = self.on_disk(|store| store.unfinished()).await?;
        let running = |id| self.inner.swarms.is_fetching(id);
        let downloads = downloads
            .into_iter()
            .map(|d| DownloadInfo {
                id: d.content,
                name: d.name.as_str().to_owned(),
                target: d.path,
                done: d.have,
                total: d.size,
                running: running(d.content),
            })
            .collect();
        Ok(Reply::Shares(Shares { shares, downloads }))
    }

    async fn unshare(&self, id: String) -> Result<Reply, ApiError> {
        let named: Vec<_> =
            self.shares().await?.into_iter().filter(|s| s.name.as_str() == id).collect();
        let id = match named.as_slice() {
            [only] => only.id.to_string(),
            [] => id,
            _ => {
                return Err(ApiError::usage(format!("several shares are called {id:?}"))
                    .hint("name one by its id: \"potluck ls\" shows them"));
            }
        };
        let gone = self.on_disk(move |store| store.remove_share(&id)).await?;
        self.inner.swarms.close(gone.id).await;
        Ok(Reply::Unshared(Unshared { id: gone.id, name: gone.name.as_str().to_owned() }))
    }

    fn peers(&self) -> Peers {
        let mut linked = self.inner.peers.all();
        linked.sort_by_key(|linked| linked.since);
        let rates = self.inner.rates.lock().expect("no panic while held");
        let rate = |peer| rates.get(&peer).copied().unwrap_or_default();
        Peers { peers: linked.iter().map(|l| view::peer_info(l, rate(l.peer))).collect() }
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
            shares: self.shares().await?.len() as u64,
            downloads: inner.swarms.fetching() as u64,
            peers: linked.len() as u64,
            linked,
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

    async fn shares(&self) -> Result<Vec<potluck_store::ShareInfo>, ApiError> {
        self.on_disk(|store| store.shares()).await
    }

    async fn on_disk<T: Send + 'static>(
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

fn read_ticket(text: &str) -> Result<Ticket, ApiError> {
    text.parse().map_err(|error| failure::of_ticket(&error))
}

/// The folder that a download goes into, and the name that the person chose, if they did.
fn place(output: Option<PathBuf>) -> Result<(PathBuf, Option<RelPath>), ApiError> {
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

fn store_on_exists(on_exists: OnExists) -> potluck_store::OnExists {
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
