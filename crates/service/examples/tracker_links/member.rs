//! A member's node, put together as a node does it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::limits;
use potluck_identity::{Invite, Policy, Role, TrackerTicket};
use potluck_link::{Endpoint, EndpointConfig};
use potluck_service::directory::chord::Circles;
use potluck_service::directory::tracker::Switchboard;
use potluck_service::directory::{Directories, Directory};
use potluck_service::networks::{Networks, Parts, Place};
use potluck_service::peers::Peers;
use potluck_service::publish::{Announcer, Publisher};
use potluck_service::share::{Sharing, offer};
use potluck_service::swarm::Swarms;
use potluck_service::{Announcing, Notices};
use potluck_store::{Audience, Store};
use tokio::sync::mpsc;

use crate::{hand, tracker};

const DAY_MS: u64 = 86_400_000;

pub struct Member {
    folder: PathBuf,
    store: Store,
    directories: Arc<Directories>,
    networks: Arc<Networks>,
    announcing: Arc<Announcing>,
    publisher: Publisher,
    _swarms: Arc<Swarms>,
}

impl Member {
    /// A node that is in no network yet; its home and its folder are in `parent`.
    pub async fn new(parent: &Path, number: u64) -> Self {
        let folder = parent.join(format!("files-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let store = Store::open(&parent.join(format!("home-{number}"))).unwrap();
        let (secret, notices) = (hand::key(hand::MEMBER, number), Notices::new());
        let directories = Arc::new(Directories::default());
        let finder = Some(Arc::clone(&directories) as Arc<_>);
        let config = tracker::config(secret.clone(), 0, limits::LINKS);
        let endpoint = Endpoint::bind(EndpointConfig { finder, ..config }).await.unwrap();
        let peers = Peers::new(endpoint, "bench/1".to_owned(), notices.clone());
        let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
        let announcing = Announcing::new(
            store.clone(),
            Arc::clone(&directories),
            Arc::clone(&swarms),
            notices.clone(),
        );
        let switchboard = Arc::new(Switchboard::default());
        peers.listen_frames(Arc::clone(&switchboard) as Arc<_>);
        let of_networks = Arc::clone(&announcing);
        let networks = Networks::new(Parts {
            store: store.clone(),
            peers: Arc::clone(&peers),
            memberships: Arc::clone(peers.memberships()),
            directories: Arc::clone(&directories),
            switchboard,
            circles: Arc::new(Circles::default()),
            secret,
            agent: "bench/1".to_owned(),
            notices,
            p2p_ci: None,
            published: Arc::new(move |network| of_networks.published_in(network)),
        });
        peers.start(&swarms);
        let announcer = Arc::clone(&announcing) as Arc<dyn Announcer>;
        let publisher = Publisher::start(store.clone(), Default::default(), announcer).unwrap();
        Self { folder, store, directories, networks, announcing, publisher, _swarms: swarms }
    }

    /// Makes a network that anybody may join.
    pub async fn create(&self, ticket: TrackerTicket) -> Invite {
        let name = "bench".to_owned();
        let made =
            self.networks.create(name, Place::Tracker(ticket), Policy::Open, Vec::new(), None);
        let network = made.await.unwrap().record.network;
        let expires_ms = potluck_service::now_ms() + DAY_MS;
        self.networks.invite(&network, Role::Member, 1, expires_ms).unwrap()
    }

    pub async fn join(&self, invite: &Invite) {
        self.networks.join(invite, None).await.unwrap();
    }

    pub fn directory(&self) -> Arc<dyn Directory> {
        self.directories.get(&self.networks.ids()[0]).unwrap()
    }

    /// Shares the folder with so many files in it, and watches it.
    pub async fn share_folder(&self, files: u64) {
        for number in 0..files {
            self.add_file(&format!("before {number}.txt"), number);
        }
        let network = self.networks.ids()[0];
        let sharing = Sharing {
            paths: vec![self.folder.clone()],
            name: None,
            tags: Vec::new(),
            listed: BTreeSet::from([network]),
            audience: Audience::network(network),
            watch: true,
        };
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        let offer = offer(&self.store, sharing, &steps).await.unwrap();
        self.announcing.announce(offer.clone()).await.unwrap();
        self.publisher.add(&offer).await;
    }

    pub fn add_file(&self, name: &str, number: u64) {
        std::fs::write(self.folder.join(name), format!("{name} {number}\n").repeat(100)).unwrap();
    }
}
