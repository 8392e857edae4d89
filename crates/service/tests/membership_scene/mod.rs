//! The people of the membership tests: a network, nodes in it, and peers played by hand.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, RelPath, ShareKey};
use potluck_content::{Ticket, TicketKind};
use potluck_identity::{
    Admission, DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role,
    SecretKey, Signed,
};
use potluck_link::mem::MemoryNet;
use potluck_link::{Endpoint, Link};
use potluck_proto::directory::tracker::Claim;
use potluck_proto::swarm::Message;
use potluck_proto::{FEATURE_NETWORKS, Frame, Hello, VERSION};
use potluck_service::directory::Directories;
use potluck_service::fetch::{Fetch, Fetched, Fetcher};
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_service::{Announcing, Notices, ServiceError};
use potluck_store::{Audience, Offer, OnExists, Store};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;

pub const NETWORK: u8 = 1;
pub const OTHER_NETWORK: u8 = 6;
pub const TRACKER: u8 = 2;
pub const ANN: u8 = 3;
pub const BEN: u8 = 10;
pub const CID: u8 = 11;
pub const EVE: u8 = 66;

/// Runs a story and leaves its threads behind: a lane that waits for more must not hold up the
/// verdict.
pub fn story(scene: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let timed = async { tokio::time::timeout(2 * PATIENCE, scene).await };
    let told = runtime.block_on(runtime.spawn(timed));
    runtime.shutdown_background();
    told.expect("the story is as told").expect("the story ends in time");
}

pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub fn peer(number: u8) -> PeerId {
    key(number).peer_id()
}

pub fn network() -> NetworkId {
    key(NETWORK).network_id()
}

pub fn record_of(network: u8) -> Signed<NetworkRecord> {
    let record = NetworkRecord {
        network: key(network).network_id(),
        name: "Reading group".to_owned(),
        directory: DirectoryKind::Tracker { trackers: vec![PeerAddr::unknown(peer(TRACKER))] },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence: 1,
        created_ms: NOW,
    };
    record.sign(&key(network)).unwrap()
}

pub fn nobody() -> Revocations {
    Revocations::none(network())
}

/// Ann owns each network.
pub fn owner_of(network: u8) -> Membership {
    Membership::owner(&key(network), peer(ANN), NOW)
}

/// Somebody whom Ann invited and the tracker admitted.
pub fn member_of(network: u8, who: u8, role: Role) -> Membership {
    let mut seed = [who; 32];
    seed[0] = 200 + role as u8;
    let (record, owner) = (record_of(network), owner_of(network));
    let invite = Invite::make(record, &key(ANN), owner, role, 1, NOW, NOW + DAY, seed).unwrap();
    let redeemed = invite.redeem(peer(who), NOW);
    let admission = Admission {
        network: key(network).network_id(),
        invite: redeemed.capability().unwrap().key,
        peer: peer(who),
        number: 1,
        at_ms: NOW,
    };
    redeemed.with_admission(Signed::sign(&key(TRACKER), admission))
}

pub fn member(who: u8) -> Membership {
    if who == ANN { owner_of(NETWORK) } else { member_of(NETWORK, who, Role::Member) }
}

pub fn claim(membership: Membership) -> Claim {
    Claim { network: network(), membership }
}

/// The services of one node.
pub struct Someone {
    pub fetcher: Fetcher,
    pub folder: TempDir,
    _home: TempDir,
}

/// A node outside of any network.
pub fn someone(net: &MemoryNet, who: u8) -> Someone {
    let (home, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, notices) = (Store::open(home.path()).unwrap(), Notices::new());
    let peers = Peers::new(net.endpoint(peer(who)), "test/1".to_owned(), notices.clone());
    let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices.clone());
    peers.start(&swarms);
    let directories = Arc::new(Directories::default());
    let (of_store, of_directories) = (store.clone(), Arc::clone(&directories));
    let announcing = Announcing::new(of_store, of_directories, Arc::clone(&swarms), notices);
    let fetcher = Fetcher { store, peers, swarms, directories, announcing };
    Someone { fetcher, folder, _home: home }
}

/// A node in the network.
pub fn insider(net: &MemoryNet, who: u8) -> Someone {
    let someone = someone(net, who);
    someone.enter(NETWORK, member(who));
    someone
}

impl Someone {
    pub fn enter(&self, network: u8, membership: Membership) {
        let none = Revocations::none(key(network).network_id());
        self.fetcher.peers.memberships().put(record_of(network), membership, none);
    }

    /// Shares a file of this length with an audience.
    pub async fn offer(&self, name: &str, length: usize, audience: Audience) -> Shared {
        let bytes: Vec<u8> = (0..length).map(|i| (i * i / 7 + name.len()) as u8).collect();
        std::fs::write(self.folder.path().join(name), &bytes).unwrap();
        self.share(name, bytes, audience).await
    }

    /// Shares a file or folder that is there.
    pub async fn share(&self, name: &str, bytes: Vec<u8>, audience: Audience) -> Shared {
        let paths = vec![self.folder.path().join(name)];
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        let store = &self.fetcher.store;
        let content = potluck_service::share::share(store, paths, None, &steps).await.unwrap();
        let shared = Shared { content, bytes, name: RelPath::parse(name).unwrap() };
        self.put_offer(&shared, audience);
        shared
    }

    pub fn put_offer(&self, shared: &Shared, audience: Audience) {
        let offer = Offer {
            key: ShareKey(std::array::from_fn(|i| shared.content.0[i])),
            content: shared.content,
            name: shared.name.clone(),
            tags: Vec::new(),
            paths: vec![self.folder.path().join(shared.name.as_str())],
            listed: BTreeSet::new(),
            audience,
            watch: false,
            downloaded: false,
            created_ms: NOW,
            sequence: 1,
        };
        self.fetcher.store.put_offer(&offer).unwrap();
    }

    pub async fn get(
        &self,
        shared: &Shared,
        from: &[u8],
        audience: Audience,
    ) -> Result<Fetched, ServiceError> {
        let size = shared.bytes.len() as u64;
        let fetch = Fetch {
            ticket: Ticket {
                content: shared.content,
                kind: TicketKind::File { size, executable: false },
                name: shared.name.clone(),
                providers: from.iter().map(|who| PeerAddr::unknown(peer(*who))).collect(),
                personal: false,
            },
            folder: self.folder.path().to_owned(),
            name: None,
            selection: Vec::new(),
            on_exists: OnExists::Refuse,
            give_up_after: Some(Duration::from_secs(4)),
            audience,
            networks: Vec::new(),
            offer: None,
        };
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        self.fetcher.fetch(fetch, &steps).await
    }

    /// As somebody who found the content in the network.
    pub async fn get_in_network(
        &self,
        shared: &Shared,
        from: &[u8],
    ) -> Result<Fetched, ServiceError> {
        for who in from {
            self.fetcher.peers.know_in(peer(*who), network()).await;
        }
        self.get(shared, from, Audience::network(network())).await
    }

    pub async fn accept(&self, list: &Revocations) -> bool {
        let peers = &self.fetcher.peers;
        peers.memberships().accept_revocations(peers, list).await
    }
}

/// A content.
pub struct Shared {
    pub content: ContentId,
    pub bytes: Vec<u8>,
    pub name: RelPath,
}

/// A peer played by hand: what it says is up to the test.
pub struct Hand {
    pub link: Link,
}

impl Hand {
    /// Links to a node and says hello.
    pub async fn dial(endpoint: &Endpoint, to: u8) -> Self {
        let link = endpoint.dial(&PeerAddr::unknown(peer(to))).await.unwrap();
        let hand = Self { link };
        let (version, features) = (VERSION, FEATURE_NETWORKS);
        let agent = "hand/1".to_owned();
        let hello = Hello { version, features, agent, addresses: Vec::new(), relay: None };
        hand.say(Frame::Hello(hello)).await;
        assert!(matches!(hand.hear().await, Some(Frame::Hello(_))));
        hand
    }

    pub async fn say(&self, frame: Frame) {
        // The node may have hung up: that is what some tests want.
        let _ = self.link.send(frame.encode().into()).await;
    }

    /// The next frame; none if the link has ended.
    pub async fn hear(&self) -> Option<Frame> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.link.recv()).await;
            match frame.expect("the node says something").ok().flatten() {
                None => return None,
                Some(bytes) => match Frame::decode(&bytes).unwrap() {
                    Frame::Ping(number) => self.say(Frame::Pong(number)).await,
                    frame => return Some(frame),
                },
            }
        }
    }

    /// Everything that the node says until it has read what was said to it.
    pub async fn hear_all(&self) -> Vec<Frame> {
        self.say(Frame::Ping(77)).await;
        let mut heard = Vec::new();
        loop {
            match self.hear().await {
                Some(Frame::Pong(77)) | None => return heard,
                Some(frame) => heard.push(frame),
            }
        }
    }

    /// Says something and hears everything that comes of it.
    pub async fn ask(&self, frame: Frame) -> Vec<Frame> {
        self.say(frame).await;
        self.hear_all().await
    }
}

impl Hand {
    /// Wants to take part in a content; whether the node takes part with it.
    pub async fn joins(&self, content: ContentId) -> bool {
        let message = Message::Join { have: Vec::new(), wants: true };
        self.say(Frame::Swarm { content, message }).await;
        loop {
            match self.hear().await {
                Some(Frame::Swarm { content: of, message: Message::Join { .. } }) => {
                    return of == content;
                }
                Some(Frame::Refuse { .. }) | None => return false,
                Some(_) => {}
            }
        }
    }
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
