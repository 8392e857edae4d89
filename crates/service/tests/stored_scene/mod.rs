//! The people of the tests of stored files: members of a network whose circle is played by hand, so
//! that a test says who stands where on it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_identity::Signed;
use potluck_link::mem::MemoryNet;
use potluck_proto::directory::chord::index::Deposit;
use potluck_proto::directory::record::EntryKind;
use potluck_service::directory::{Answer, Directories};
use potluck_service::fetch::Fetcher;
use potluck_service::peers::Peers;
use potluck_service::stored::{
    Circle, CirclePut, Circles, CopyState, Deposit as Stored, Pace, Parts, Put, Step, StoredService,
};
use potluck_service::swarm::Swarms;
use potluck_service::{Announcing, Notices, ServiceError, now_ms};
use potluck_store::{Faults, Store};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::membership_scene::{NETWORK, key, member, network, nobody, peer, record_of};

/// A circle on which everybody stands where the test says: the first named keep every key.
#[derive(Default)]
pub struct Ring(Mutex<State>);

#[derive(Default)]
struct State {
    order: Vec<PeerId>,
    records: BTreeMap<(ContentId, PeerId), Signed<Deposit>>,
    changes: watch::Sender<u64>,
    silent: bool,
    /// How often somebody asked who keeps a key.
    lookups: usize,
}

impl State {
    /// Tells everybody that something is different.
    fn tell(&mut self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// What a member keeps: as one of those who are to, and the publisher may be one of them.
    fn kept(&self, who: &PeerId) -> Vec<Signed<Deposit>> {
        let Some(at) = self.order.iter().position(|one| one == who) else { return Vec::new() };
        let kept =
            |one: &&Signed<Deposit>| at <= usize::from(one.value.copies) + limits::DEPOSIT_SPARES;
        self.records.values().filter(kept).cloned().collect()
    }
}

impl Ring {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on these stand there, in this order.
    pub fn stand(&self, order: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.order = order.iter().map(|who| peer(*who)).collect();
        state.tell();
    }

    /// Whether nobody on it can be asked.
    pub fn set_silent(&self, silent: bool) {
        self.0.lock().unwrap().silent = silent;
    }

    /// How often anybody asked who keeps a key.
    pub fn lookups(&self) -> usize {
        self.0.lock().unwrap().lookups
    }

    /// All that is kept on it.
    pub fn records(&self) -> Vec<Signed<Deposit>> {
        self.0.lock().unwrap().records.values().cloned().collect()
    }

    /// Everybody who kept a deposit has lost it.
    pub fn lose(&self, content: ContentId) {
        let mut state = self.0.lock().unwrap();
        state.records.retain(|(of, _), _| *of != content);
        state.tell();
    }

    /// Has somebody's deposit kept, whatever it says.
    pub fn keep(&self, deposit: Signed<Deposit>) -> CirclePut {
        let mut state = self.0.lock().unwrap();
        let of = (deposit.value.content, deposit.value.peer);
        let known = state.records.get(&of).map(|known| known.value.sequence);
        match known {
            Some(known) if known > deposit.value.sequence => CirclePut::Stale,
            _ => {
                state.records.insert(of, deposit);
                state.tell();
                CirclePut::Kept(1)
            }
        }
    }
}

/// The circle as one member sees it.
pub struct Standing {
    ring: Arc<Ring>,
    who: PeerId,
}

impl Standing {
    fn ask<T>(&self, ask: impl FnOnce(&mut State) -> T) -> Result<T, ServiceError> {
        let mut state = self.ring.0.lock().unwrap();
        if state.silent {
            return Err(ServiceError::CircleAway { why: "the test says so".to_owned() });
        }
        Ok(ask(&mut state))
    }
}

impl Circle for Standing {
    fn network(&self) -> NetworkId {
        network()
    }

    fn put(&self, deposit: Signed<Deposit>) -> Answer<'_, CirclePut> {
        deposit.verify(&deposit.value.peer).unwrap();
        let put = self.ask(|_| ()).map(|()| self.ring.keep(deposit));
        Box::pin(async move { put })
    }

    fn kept(&self) -> Vec<Signed<Deposit>> {
        self.ring.0.lock().unwrap().kept(&self.who)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ring.0.lock().unwrap().changes.subscribe()
    }

    fn keepers(&self, _: ContentId) -> Answer<'_, Vec<PeerId>> {
        let order = self.ask(|state| {
            state.lookups += 1;
            state.order.clone()
        });
        Box::pin(async move { order })
    }

    fn deposits_of(&self, content: ContentId) -> Answer<'_, Vec<Signed<Deposit>>> {
        let found = self.ask(|state| {
            let of = state.records.iter().filter(|((of, _), _)| *of == content);
            of.map(|(_, deposit)| deposit.clone()).collect()
        });
        Box::pin(async move { found })
    }
}

impl Circles for Standing {
    fn get(&self, of: &NetworkId) -> Option<Arc<dyn Circle>> {
        (*of == network()).then(|| self.all().remove(0))
    }

    fn all(&self) -> Vec<Arc<dyn Circle>> {
        vec![Arc::new(Self { ring: Arc::clone(&self.ring), who: self.who })]
    }
}

/// A member with its stored files.
pub struct Keeper {
    pub who: u8,
    pub fetcher: Fetcher,
    pub stored: Arc<StoredService>,
    pub home: TempDir,
    pub folder: TempDir,
}

/// How a member is.
pub struct Kind {
    pub quota: u64,
    pub pace: Pace,
    /// How its disk fails.
    pub faults: Arc<Faults>,
}

impl Default for Kind {
    fn default() -> Self {
        let pace = Pace {
            look: Duration::from_millis(300),
            linger: Duration::from_millis(600),
            ask: Duration::from_millis(20),
            patience: Duration::from_secs(4),
            retry: (Duration::from_millis(50), Duration::from_millis(400)),
            ..Pace::default()
        };
        Self { quota: 1_000_000_000, pace, faults: Faults::new() }
    }
}

/// Starts a member.
pub async fn keeper(net: &MemoryNet, ring: &Arc<Ring>, who: u8) -> Keeper {
    keeper_of(net, ring, who, Kind::default(), TempDir::new().unwrap()).await
}

/// Starts several members.
pub async fn keepers<const N: usize>(
    net: &MemoryNet,
    ring: &Arc<Ring>,
    who: [u8; N],
) -> [Keeper; N] {
    futures_util::future::join_all(who.map(|who| keeper(net, ring, who)))
        .await
        .try_into()
        .unwrap_or_else(|_| unreachable!("as many as were asked for"))
}

/// Starts a member in a home.
pub async fn keeper_of(
    net: &MemoryNet,
    ring: &Arc<Ring>,
    who: u8,
    kind: Kind,
    home: TempDir,
) -> Keeper {
    let store = open(home.path(), &kind.faults).await;
    store.put_network(&network(), b"kept").unwrap();
    let notices = Notices::new();
    let peers = Peers::new(net.endpoint(peer(who)), "test/1".to_owned(), notices.clone());
    let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
    let directories = Arc::new(Directories::default());
    let (of_store, of_directories) = (store.clone(), Arc::clone(&directories));
    let announcing = Announcing::new(of_store, of_directories, Arc::clone(&swarms), notices);
    let fetcher = Fetcher { store: store.clone(), peers, swarms, directories, announcing };
    let parts = Parts {
        store,
        fetcher: fetcher.clone(),
        circles: Arc::new(Standing { ring: Arc::clone(ring), who: peer(who) }),
        secret: key(who),
        quota: kind.quota,
        pace: kind.pace,
    };
    let stored = StoredService::start(parts).await.unwrap();
    fetcher.peers.start(&fetcher.swarms);
    let keeper = Keeper { who, fetcher, stored, home, folder: TempDir::new().unwrap() };
    keeper.enter();
    keeper
}

/// Opens a home as soon as whoever had it open before is gone.
pub async fn open(home: &Path, faults: &Arc<Faults>) -> Store {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open_faulty(home, Arc::clone(faults)) {
            Ok(store) => return store,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Keeper {
    fn enter(&self) {
        let none = nobody();
        self.fetcher.peers.memberships().put(record_of(NETWORK), member(self.who), none);
    }

    /// Writes a file.
    pub fn write(&self, name: &str, length: usize) -> (PathBuf, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * i / 7 + name.len()) as u8).collect();
        let path = self.folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    /// Writes a file and puts it into the network.
    pub async fn store(&self, name: &str, length: usize, copies: u8) -> (Stored, Vec<u8>) {
        let (path, bytes) = self.write(name, length);
        (self.put(&path, copies).await.0.unwrap(), bytes)
    }

    /// Puts a file into the network.
    pub async fn put(&self, path: &Path, copies: u8) -> (Result<Stored, ServiceError>, Vec<Step>) {
        let (steps, mut heard) = mpsc::channel(64);
        let told = tokio::spawn(async move {
            let mut told = Vec::new();
            while let Some(step) = heard.recv().await {
                told.push(step);
            }
            told
        });
        let put = Put { path: path.to_owned(), network: network(), copies };
        let outcome = self.stored.put(put, &steps).await;
        drop(steps);
        (outcome, told.await.unwrap())
    }

    pub async fn repair(&self) -> (Vec<Stored>, u32) {
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        self.stored.repair(None, None, &steps).await.unwrap()
    }

    /// Whether it has a copy of this content on behalf of others.
    pub fn holds(&self, content: &ContentId) -> bool {
        let (folder, name) = self.fetcher.store.held_place(content).unwrap();
        folder.join(name.as_str()).exists() && self.fetcher.store.is_here(content).unwrap()
    }

    /// The bytes that it holds.
    pub fn held_bytes(&self, content: &ContentId) -> Vec<u8> {
        let (folder, name) = self.fetcher.store.held_place(content).unwrap();
        std::fs::read(folder.join(name.as_str())).unwrap()
    }

    /// Whatever lies among what it holds.
    pub fn held_names(&self) -> Vec<String> {
        let (folder, _) = self.fetcher.store.held_place(&ContentId([0; 32])).unwrap();
        let names = std::fs::read_dir(folder).unwrap();
        names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Goes without a word, and leaves its home.
    pub async fn die(self) -> TempDir {
        self.stored.stop().await;
        self.fetcher.swarms.close_all().await;
        self.fetcher.peers.stop().await;
        self.fetcher.swarms.ended().await;
        self.home
    }
}

/// A deposit as somebody signs it, true or not.
pub fn deposit(who: u8, content: ContentId, size: u64, copies: u8) -> Signed<Deposit> {
    let deposit = Deposit {
        network: network(),
        peer: peer(who),
        content,
        name: "said".to_owned(),
        size,
        kind: EntryKind::File,
        copies,
        sequence: now_ms(),
        expires_ms: now_ms() + 100_000,
        removed: false,
    };
    Signed::sign(&key(who), deposit)
}

/// Who has a copy.
pub fn holders(stored: &Stored) -> Vec<PeerId> {
    let there = stored.copies.iter().filter(|copy| copy.state == CopyState::There);
    let mut there: Vec<PeerId> = there.map(|copy| copy.peer).collect();
    there.sort_unstable();
    there
}

/// These peers, in the order in which holders are told.
pub fn sorted(who: &[u8]) -> Vec<PeerId> {
    let mut peers: Vec<PeerId> = who.iter().map(|who| peer(*who)).collect();
    peers.sort_unstable();
    peers
}
