//! The tracker's P2P-CI/1.0 side: what old clients add is found by members, and what members
//! publish is found by old clients.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use potluck_base::{NetworkId, limits};
use potluck_proto::directory::record::EntryKind;
use potluck_proto::directory::tracker::{Answer, Question};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::TrackerServer;
use super::p2p_ci::{CiBackend, CiPeer, CiRefusal, CiRow, Gateway};
use super::store::{CiRow as StoredRow, StoreFault};
use crate::p2p_ci::number_of;

/// How long a list of what members publish is good for.
const PUBLISHED_FOR: Duration = Duration::from_secs(2);

/// A gateway that runs.
pub struct CiGateway {
    address: SocketAddr,
    clients: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl CiGateway {
    /// Starts to speak P2P-CI for the oldest network of a tracker: the protocol knows of one.
    pub async fn start(listen: SocketAddr, server: Arc<TrackerServer>) -> io::Result<Self> {
        let clients = Arc::new(AtomicU64::new(0));
        let backend = Backend {
            server,
            runtime: Handle::current(),
            clients: Arc::clone(&clients),
            published: Mutex::default(),
        };
        let gateway = Gateway::bind(listen, Arc::new(backend)).await?;
        let (address, stop) = (gateway.local_addr()?, CancellationToken::new());
        tokio::spawn(gateway.run(stop.clone()));
        Ok(Self { address, clients, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Clients that have files here.
    pub fn clients(&self) -> u64 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Takes no more clients.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// The tracker's index as the gateway sees it.
struct Backend {
    server: Arc<TrackerServer>,
    runtime: Handle,
    clients: Arc<AtomicU64>,
    /// What members publish, as rows, and when that was looked up.
    published: Mutex<Option<(Instant, Vec<CiRow>)>>,
}

impl Backend {
    /// The network that old clients are taken to mean.
    fn network(&self) -> Option<NetworkId> {
        let survey = self.runtime.block_on(self.server.survey()).ok()?;
        let oldest = survey.networks.iter().min_by_key(|network| network.record.created_ms)?;
        Some(oldest.record.network)
    }

    /// What members with a P2P-CI side publish.
    fn published(&self, network: &NetworkId) -> Vec<CiRow> {
        let mut known = self.published.lock().expect("no panic while held");
        match &*known {
            Some((at, rows)) if at.elapsed() < PUBLISHED_FOR => rows.clone(),
            _ => {
                let rows = self.read_published(network);
                *known = Some((Instant::now(), rows.clone()));
                rows
            }
        }
    }

    fn read_published(&self, network: &NetworkId) -> Vec<CiRow> {
        let Ok(survey) = self.runtime.block_on(self.server.survey()) else { return Vec::new() };
        let mut rows = Vec::new();
        for member in survey.members.iter().filter(|member| member.network == *network) {
            let serves = member.presence.as_ref().and_then(|presence| presence.p2p_ci);
            let Some(at) = serves.filter(|_| member.info.online) else { continue };
            let Ok(shares) = self.runtime.block_on(self.server.shares(*network, member.info.peer))
            else {
                continue;
            };
            for head in shares {
                let question = |after| Question::Entries {
                    network: *network,
                    peer: member.info.peer,
                    share: head.share,
                    after,
                };
                let mut after = None;
                while let Ok(Answer::Entries { entries, more }) =
                    self.server.store().ask(&question(after), &|_, _| true)
                {
                    after = entries.last().map(|(entry, _)| entry.path.clone());
                    let files =
                        entries.into_iter().filter(|(entry, _)| entry.kind == EntryKind::File);
                    rows.extend(files.map(|(entry, _)| CiRow {
                        number: number_of(&entry.path, &entry.content),
                        title: entry.path.rsplit('/').next().unwrap_or_default().to_owned(),
                        host: at.ip().to_string(),
                        port: at.port(),
                    }));
                    if !more || after.is_none() || rows.len() >= limits::CI_ROWS {
                        break;
                    }
                }
            }
        }
        rows.truncate(limits::CI_ROWS);
        rows
    }

    fn stored(&self, read: impl FnOnce() -> Result<Vec<StoredRow>, StoreFault>) -> Vec<CiRow> {
        let rows = read().unwrap_or_else(|error| {
            tracing::error!(%error, "P2P-CI: the index does not answer");
            Vec::new()
        });
        let shown = rows.into_iter().map(|StoredRow { number, title, host, port }| CiRow {
            number,
            title,
            host,
            port,
        });
        shown.collect()
    }
}

impl CiBackend for Backend {
    fn add(&self, peer: &CiPeer, number: u32, title: &str) -> Result<(), CiRefusal> {
        let network = self
            .network()
            .ok_or_else(|| CiRefusal("this tracker has no network yet".to_owned()))?;
        let (host, port) = (peer.address.ip().to_string(), peer.address.port());
        let row = StoredRow { number, title: title.to_owned(), host, port };
        let added = self.server.store().ci().add(&network, &row);
        self.count_clients(&network);
        added.map_err(|error| CiRefusal(error.to_string()))
    }

    fn gone(&self, peer: &CiPeer) {
        let Some(network) = self.network() else { return };
        let (host, port) = (peer.address.ip().to_string(), peer.address.port());
        if let Err(error) = self.server.store().ci().drop_host(&network, &host, port) {
            tracing::error!(%error, "P2P-CI: files of a client that left stay listed");
        }
        self.count_clients(&network);
    }

    fn reset(&self) {
        if let Err(error) = self.server.store().ci().clear() {
            tracing::error!(%error, "P2P-CI: files of earlier clients stay listed");
        }
        self.clients.store(0, Ordering::Relaxed);
    }

    fn lookup(&self, number: Option<u32>, title: Option<&str>) -> Vec<CiRow> {
        let Some(network) = self.network() else { return Vec::new() };
        let ci = self.server.store().ci();
        let mut rows = match number {
            Some(number) => self.stored(|| ci.lookup(&network, number)),
            None => self.stored(|| ci.list(&network)),
        };
        rows.extend(self.published(&network));
        let wanted = title.map(str::to_lowercase);
        rows.retain(|row| match (number, &wanted) {
            (Some(number), _) => row.number == number,
            (None, Some(title)) => row.title.to_lowercase() == *title,
            (None, None) => true,
        });
        rows
    }

    fn list(&self) -> Vec<CiRow> {
        let Some(network) = self.network() else { return Vec::new() };
        let mut rows = self.stored(|| self.server.store().ci().list(&network));
        rows.extend(self.published(&network));
        rows.truncate(limits::CI_ROWS);
        rows
    }
}

impl Backend {
    fn count_clients(&self, network: &NetworkId) {
        let rows = self.stored(|| self.server.store().ci().list(network));
        let mut hosts: Vec<(String, u16)> = rows.into_iter().map(|r| (r.host, r.port)).collect();
        hosts.sort();
        hosts.dedup();
        self.clients.store(hosts.len() as u64, Ordering::Relaxed);
    }
}
