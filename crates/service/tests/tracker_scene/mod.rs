//! A group with a tracker: real services over links in memory.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, limits};
use potluck_identity::{Policy, Role, SecretKey, TrackerTicket};
use potluck_link::mem::MemoryNet;
use potluck_service::directory::chord::Circles;
use potluck_service::directory::tracker::Switchboard;
use potluck_service::directory::{Directories, Directory};
use potluck_service::networks::{Networks, Parts, Place};
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_service::tracker::sqlite::SqliteStore;
use potluck_service::tracker::{Config, ServerSetup, TrackerServer};
use potluck_service::{Announcing, Notices, now_ms};
use potluck_store::Store;
use tempfile::TempDir;

/// Longer than any story takes.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: [u8; 16] = [7; 16];

/// Runs a story and leaves its threads behind.
pub fn story(scene: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let timed = async { tokio::time::timeout(PATIENCE, scene).await };
    let told = runtime.block_on(runtime.spawn(timed));
    runtime.shutdown_background();
    told.expect("the story is as told").expect("the story ends in time");
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// What every node has.
struct Services {
    store: Store,
    peers: Arc<Peers>,
    swarms: Arc<Swarms>,
    notices: Notices,
    home: TempDir,
}

impl Services {
    fn new(net: &MemoryNet, number: u8) -> Self {
        let home = TempDir::new().unwrap();
        let (store, notices) = (Store::open(home.path()).unwrap(), Notices::new());
        let endpoint = net.endpoint(key(number).peer_id());
        let peers = Peers::new(endpoint, "test/1".to_owned(), notices.clone());
        let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
        Self { store, peers, swarms, notices, home }
    }
}

/// A member's node.
pub struct Member {
    services: Services,
    pub directories: Arc<Directories>,
    pub networks: Arc<Networks>,
}

impl Member {
    pub fn new(net: &MemoryNet, number: u8) -> Self {
        let services = Services::new(net, number);
        let directories = Arc::new(Directories::default());
        let switchboard = Arc::new(Switchboard::default());
        services.peers.listen_frames(Arc::clone(&switchboard) as Arc<_>);
        let announcing = Announcing::new(
            services.store.clone(),
            Arc::clone(&directories),
            Arc::clone(&services.swarms),
            services.notices.clone(),
        );
        let networks = Networks::new(Parts {
            store: services.store.clone(),
            peers: Arc::clone(&services.peers),
            memberships: Arc::clone(services.peers.memberships()),
            directories: Arc::clone(&directories),
            switchboard,
            circles: Arc::new(Circles::default()),
            secret: key(number),
            agent: "test/1".to_owned(),
            notices: services.notices.clone(),
            p2p_ci: None,
            published: Arc::new(move |network| announcing.published_in(network)),
        });
        services.peers.start(&services.swarms);
        Self { services, directories, networks }
    }

    pub fn id(&self) -> PeerId {
        self.services.peers.own_id()
    }
}

/// A tracker and some members of one network.
pub struct Group {
    pub net: MemoryNet,
    pub server: Arc<TrackerServer>,
    tracker: Services,
    pub members: Vec<Member>,
    pub network: NetworkId,
}

impl Group {
    /// So many members, the first of them the owner.
    pub async fn new(count: u8) -> Self {
        let net = MemoryNet::new();
        let tracker = Services::new(&net, 200);
        let index = SqliteStore::open(&tracker.home.path().join("tracker.db")).unwrap();
        let server = TrackerServer::start(ServerSetup {
            secret: key(200),
            config: Config { token: Some(TOKEN), ..Config::default() },
            store: Arc::new(index),
            peers: Arc::clone(&tracker.peers),
            notices: tracker.notices.clone(),
        });
        let server = server.await.unwrap();
        tracker.peers.start(&tracker.swarms);
        let members: Vec<Member> = (1..=count).map(|number| Member::new(&net, number)).collect();
        let ticket = TrackerTicket { addr: PeerAddr::unknown(key(200).peer_id()), token: TOKEN };
        let owner = &members[0].networks;
        let made = owner.create(
            "group".to_owned(),
            Place::Tracker(ticket),
            Policy::Invite,
            Vec::new(),
            None,
        );
        let network = made.await.unwrap().record.network;
        let uses = u32::from(count).max(1);
        let expires_ms = now_ms() + limits::RECORD_LIFETIME.as_millis() as u64;
        let invite = owner.invite(&network, Role::Member, uses, expires_ms).unwrap();
        for member in &members[1..] {
            member.networks.join(&invite, None).await.unwrap();
        }
        Self { net, server, tracker, members, network }
    }

    pub fn ids(&self) -> Vec<PeerId> {
        self.members.iter().map(Member::id).collect()
    }

    pub fn directories(&self) -> Vec<Arc<dyn Directory>> {
        let of = |member: &Member| member.directories.get(&self.network).unwrap();
        self.members.iter().map(of).collect()
    }

    /// The tracker says goodbye and does not answer any more.
    pub async fn stop_tracker(&self) {
        self.server.stop().await;
        self.tracker.peers.stop().await;
    }

    /// Writes into the tracker's index what no peer has signed.
    pub fn forge_content(&self, real: ContentId, forged: ContentId) {
        let file = self.tracker.home.path().join("tracker.db");
        let database = rusqlite::Connection::open(file).unwrap();
        let sql = "UPDATE files SET content = ?2 WHERE content = ?1";
        let changed = database.execute(sql, (real.0, forged.0)).unwrap();
        assert_eq!(changed, 1);
    }
}
