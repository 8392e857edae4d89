//! A group without a tracker: real services over links in memory, each with a home on disk.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId};
use potluck_identity::{Invite, Policy, Role, SecretKey};
use potluck_link::mem::MemoryNet;
use potluck_service::directory::chord::{ChordDirectory, Circles, Health};
use potluck_service::directory::tracker::Switchboard;
use potluck_service::directory::{Directories, Directory};
use potluck_service::networks::{Networks, Parts, Place};
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_service::{Announcing, Notices, ServiceError, now_ms};
use potluck_store::Store;
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than any story takes.
const STORY_TIME: Duration = Duration::from_secs(120);
/// Longer than anything takes that a circle does by itself.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// A day, in milliseconds.
pub const DAY_MS: u64 = 24 * 3600 * 1000;

/// Runs a story and leaves its threads behind.
pub fn story(scene: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let timed = async { tokio::time::timeout(STORY_TIME, scene).await };
    let told = runtime.block_on(runtime.spawn(timed));
    runtime.shutdown_background();
    told.expect("the story is as told").expect("the story ends in time");
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// A member's node.
pub struct Member {
    pub number: u8,
    pub home: Arc<TempDir>,
    pub store: Store,
    pub peers: Arc<Peers>,
    pub directories: Arc<Directories>,
    pub networks: Arc<Networks>,
    pub swarms: Arc<Swarms>,
    pub announcing: Arc<Announcing>,
}

impl Member {
    pub fn new(net: &MemoryNet, number: u8) -> Self {
        Self::at(net, number, Arc::new(TempDir::new().unwrap()))
    }

    /// A node with a home that may have been used before.
    pub fn at(net: &MemoryNet, number: u8, home: Arc<TempDir>) -> Self {
        let (store, notices) = (Store::open(home.path()).unwrap(), Notices::new());
        let endpoint = net.endpoint(key(number).peer_id());
        let peers = Peers::new(endpoint, "test/1".to_owned(), notices.clone());
        let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
        let directories = Arc::new(Directories::default());
        let (switchboard, circles) =
            (Arc::new(Switchboard::default()), Arc::new(Circles::default()));
        peers.listen_frames(Arc::clone(&switchboard) as Arc<_>);
        peers.listen_frames(Arc::clone(&circles) as Arc<_>);
        let announcing = Announcing::new(
            store.clone(),
            Arc::clone(&directories),
            Arc::clone(&swarms),
            notices.clone(),
        );
        let published = Arc::clone(&announcing);
        let networks = Networks::new(Parts {
            store: store.clone(),
            peers: Arc::clone(&peers),
            memberships: Arc::clone(peers.memberships()),
            directories: Arc::clone(&directories),
            switchboard,
            circles,
            secret: key(number),
            agent: "test/1".to_owned(),
            notices,
            p2p_ci: None,
            published: Arc::new(move |network| published.published_in(network)),
        });
        peers.start(&swarms);
        Self { number, home, store, peers, directories, networks, swarms, announcing }
    }

    /// A node with the home of one that has stopped, once that has let go of it.
    pub async fn again(net: &MemoryNet, number: u8, home: Arc<TempDir>) -> Self {
        until("the home is free", || async { Store::open(home.path()).is_ok() }).await;
        Self::at(net, number, home)
    }

    pub fn id(&self) -> PeerId {
        self.peers.own_id()
    }

    pub fn directory(&self, network: &NetworkId) -> Arc<dyn Directory> {
        self.directories.get(network).unwrap()
    }

    pub fn circle(&self, network: &NetworkId) -> Arc<ChordDirectory> {
        self.networks.circle(network).unwrap()
    }

    /// Ends without a word to the circle: its links break, and nobody reaches it any more.
    pub async fn kill(&self) {
        self.peers.stop().await;
    }

    /// Ends in order.
    pub async fn stop(&self) {
        self.networks.stop().await;
        self.peers.stop().await;
    }
}

/// Members of one network.
pub struct Group {
    pub net: MemoryNet,
    pub members: Vec<Member>,
    pub network: NetworkId,
}

impl Group {
    /// So many members, the first of them the owner.
    pub async fn new(place: Place, count: u8) -> Self {
        let net = MemoryNet::new();
        let owner = Member::new(&net, 1);
        let made =
            owner.networks.create("group".to_owned(), place, Policy::Invite, Vec::new(), None);
        let network = made.await.unwrap().record.network;
        let mut group = Self { net, members: vec![owner], network };
        for number in 2..=count {
            group.come(number).await.unwrap();
        }
        group
    }

    /// An invite of the owner.
    pub fn invite(&self, uses: u32) -> Invite {
        let owner = &self.members[0].networks;
        owner.invite(&self.network, Role::Member, uses, now_ms() + DAY_MS).unwrap()
    }

    /// Another member joins.
    pub async fn come(&mut self, number: u8) -> Result<(), ServiceError> {
        let invite = self.invite(1);
        let member = Member::new(&self.net, number);
        member.networks.join(&invite, Some(format!("member {number}"))).await?;
        self.members.push(member);
        Ok(())
    }

    pub fn ids(&self) -> Vec<PeerId> {
        self.members.iter().map(Member::id).collect()
    }

    pub fn directories(&self) -> Vec<Arc<dyn Directory>> {
        self.members.iter().map(|member| member.directory(&self.network)).collect()
    }

    /// Waits until so many stand on the circle, and each of these members sees the right ones
    /// beside it.
    pub async fn settled(&self, members: &[usize]) {
        let mut order: Vec<_> = members.iter().map(|at| &self.members[*at]).collect();
        order.sort_by_key(|member| member.circle(&self.network).place_of_peer(&member.id()));
        until("the circle is closed", || async {
            for (at, member) in order.iter().enumerate() {
                let status = member.circle(&self.network).status().await;
                let next = order[(at + 1) % order.len()].id();
                let is_next = status.successors.first().is_some_and(|s| s.peer == next);
                let alone = order.len() == 1 && status.successors.is_empty();
                let settled = matches!(status.health, Health::Settled | Health::Alone);
                if !(is_next || alone) || !settled {
                    return false;
                }
            }
            true
        })
        .await;
    }
}
