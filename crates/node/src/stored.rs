//! Files in networks: put there, listed, taken out, looked after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use potluck_api::{
    self as api, ApiError, CopyEnded, Event, HeldFile, PeerName, Reply, Stage, StoreCommand,
    Stored, StoredCommand, StoredCopy, StoredFile, StoredFiles, StoredRemoved, Storing,
};
use potluck_base::{NetworkId, PeerId};
use potluck_service::stored::{Copy, CopyState, Deposit, Held, Put, Step};
use tokio::sync::mpsc;

use crate::failure;
use crate::node::NodeHandle;

/// Steps that wait for a slow door.
const STEPS_QUEUED: usize = 64;

type Events = mpsc::Sender<Event>;
/// What peers are called in which network.
type Names = BTreeMap<(NetworkId, PeerId), String>;

impl NodeHandle {
    pub(crate) async fn store(
        &self,
        what: StoreCommand,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        for path in &what.paths {
            is_file(path)?;
        }
        let network = self.circle_network(what.network.as_deref(), "store is")?;
        let mut files = Vec::new();
        for path in what.paths {
            let put = Put { path, network, copies: what.copies };
            files.push(self.put(put, events).await?);
        }
        let made = files.iter().map(|file| file.there() as u32).sum();
        Ok(Reply::StoredFiles(StoredFiles { files, made }))
    }

    async fn put(&self, put: Put, events: &Events) -> Result<StoredFile, ApiError> {
        let network = put.network;
        let (steps, heard) = mpsc::channel(STEPS_QUEUED);
        let putting = async {
            let put = self.inner.stored.put(put, &steps).await;
            drop(steps);
            put
        };
        let (put, ()) = tokio::join!(putting, self.tell_steps(network, heard, events));
        let deposit = put.map_err(failure::of_service)?;
        let names = self.names_in(holders(&deposit).collect()).await;
        Ok(self.stored_file(deposit, &names))
    }

    pub(crate) async fn stored_do(
        &self,
        network: Option<String>,
        what: StoredCommand,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        let only = match network {
            Some(network) => Some(self.network(Some(&network))?),
            None => None,
        };
        let stored = &self.inner.stored;
        match what {
            StoredCommand::Ls => {
                let listed = stored.list(only.as_ref()).await.map_err(failure::of_service)?;
                let named = listed.files.iter().flat_map(holders);
                let named = named.chain(listed.held.iter().map(|held| (held.network, held.by)));
                let names = self.names_in(named.collect()).await;
                let files = listed.files.into_iter();
                let held = listed.held.into_iter();
                Ok(Reply::Stored(Stored {
                    files: files.map(|one| self.stored_file(one, &names)).collect(),
                    held: held.map(|one| self.held_file(one, &names)).collect(),
                    held_bytes: listed.held_bytes,
                    quota: listed.quota,
                }))
            }
            StoredCommand::Rm { what } => {
                let removed = stored.remove(&what, only.as_ref()).await;
                let removed = removed.map_err(failure::of_service)?;
                Ok(Reply::StoredRemoved(StoredRemoved {
                    content: removed.content,
                    name: removed.name,
                    network: self.network_name(&removed.network),
                    dropped: removed.dropped,
                    copies: removed.copies,
                }))
            }
            StoredCommand::Repair { what } => self.repair(what, only, events).await,
        }
    }

    async fn repair(
        &self,
        what: Option<String>,
        only: Option<NetworkId>,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        let (steps, heard) = mpsc::channel(STEPS_QUEUED);
        let repairing = async {
            let repaired = self.inner.stored.repair(what.as_deref(), only.as_ref(), &steps).await;
            drop(steps);
            repaired
        };
        // Only names of peers depend on the network.
        let named_in = only.or_else(|| self.inner.networks.ids().first().copied());
        let named_in = named_in.unwrap_or(NetworkId([0; 32]));
        let (repaired, ()) = tokio::join!(repairing, self.tell_steps(named_in, heard, events));
        let (files, made) = repaired.map_err(failure::of_service)?;
        let names = self.names_in(files.iter().flat_map(holders).collect()).await;
        let files = files.into_iter().map(|one| self.stored_file(one, &names)).collect();
        Ok(Reply::StoredFiles(StoredFiles { files, made }))
    }

    async fn tell_steps(&self, network: NetworkId, mut heard: mpsc::Receiver<Step>, to: &Events) {
        while let Some(step) = heard.recv().await {
            self.tell(to, self.event_of_step(&network, step).await).await;
        }
    }

    async fn event_of_step(&self, network: &NetworkId, step: Step) -> Event {
        match step {
            Step::Hashing { done, total } => Event::Hashing { done, total, files: 1 },
            Step::Placing => Event::Stage { content: None, stage: Stage::Placing },
            Step::Copying { content, name, done, total, copies, wanted } => {
                Event::Storing(Storing { content, name, done, total, copies, wanted })
            }
            Step::Ended { content, name, peer, state } => Event::CopyEnded(CopyEnded {
                content,
                name,
                peer: name_of(&self.names_in(vec![(*network, peer)]).await, network, peer),
                state: copy_state(state),
            }),
            Step::Waiting { reason } => Event::Waiting { content: None, reason, retry_in_ms: None },
        }
    }

    fn stored_file(&self, deposit: Deposit, names: &Names) -> StoredFile {
        let Deposit { content, name, bytes, network, wanted, copies, why, expires_ms } = deposit;
        let copies = copies.into_iter().map(|Copy { peer, state }| StoredCopy {
            peer: name_of(names, &network, peer),
            state: copy_state(state),
        });
        StoredFile {
            content,
            name,
            bytes,
            wanted,
            copies: copies.collect(),
            why,
            expires_ms,
            network: self.network_name(&network),
        }
    }

    fn held_file(&self, held: Held, names: &Names) -> HeldFile {
        let Held { content, name, bytes, network, by, expires_ms } = held;
        let by = name_of(names, &network, by);
        HeldFile { content, name, bytes, network: self.network_name(&network), by, expires_ms }
    }

    /// What peers are called, each in its network.
    async fn names_in(&self, peers: Vec<(NetworkId, PeerId)>) -> Names {
        let mut by_network: BTreeMap<NetworkId, BTreeSet<PeerId>> = BTreeMap::new();
        for (network, peer) in peers {
            by_network.entry(network).or_default().insert(peer);
        }
        let mut names = Names::new();
        for (network, peers) in by_network {
            let nicks = self.nicks(&network, peers).await;
            names.extend(nicks.into_iter().map(|(peer, nick)| ((network, peer), nick)));
        }
        names
    }
}

fn name_of(names: &Names, network: &NetworkId, peer: PeerId) -> PeerName {
    PeerName { id: peer, nick: names.get(&(*network, peer)).cloned() }
}

/// Who has a copy of a file, or is to have one.
fn holders(deposit: &Deposit) -> impl Iterator<Item = (NetworkId, PeerId)> {
    deposit.copies.iter().map(|copy| (deposit.network, copy.peer))
}

fn copy_state(state: CopyState) -> api::CopyState {
    match state {
        CopyState::There => api::CopyState::There,
        CopyState::Coming => api::CopyState::Coming,
        CopyState::Missing { why } => api::CopyState::Missing { why },
    }
}

/// Refuses what is no file before anything is begun.
fn is_file(path: &Path) -> Result<(), ApiError> {
    if !path.is_dir() {
        return Ok(());
    }
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    Err(ApiError::usage(format!("{} is a folder", path.display()))
        .hint(format!("\"potluck store\" takes files: potluck store {}/*", name.display())))
}
