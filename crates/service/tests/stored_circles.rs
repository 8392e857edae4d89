//! Stored files on a circle as it is: members come and go, and the files stay.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod circle_scene;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use circle_scene::{Group, Member, key, story, until};
use potluck_base::{ContentId, NetworkId, PeerId, RelPath};
use potluck_content::{Ticket, TicketKind};
use potluck_proto::directory::tracker::Query;
use potluck_service::fetch::{Fetch, Fetcher};
use potluck_service::networks::Place;
use potluck_service::stored::{CopyState, Deposit, Pace, Parts, Put, StoredService};
use potluck_store::{Audience, OnExists};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A member that holds files for others.
struct Keeper {
    fetcher: Fetcher,
    stored: Arc<StoredService>,
}

async fn keeper(member: &Member) -> Keeper {
    let fetcher = Fetcher {
        store: member.store.clone(),
        peers: Arc::clone(&member.peers),
        swarms: Arc::clone(&member.swarms),
        directories: Arc::clone(&member.directories),
        announcing: Arc::clone(&member.announcing),
    };
    let parts = Parts {
        store: member.store.clone(),
        fetcher: fetcher.clone(),
        circles: Arc::clone(&member.networks) as Arc<_>,
        secret: key(member.number),
        quota: 10_000_000,
        pace: Pace {
            look: Duration::from_secs(1),
            linger: Duration::from_secs(3),
            ask: Duration::from_millis(50),
            patience: Duration::from_secs(20),
            retry: (Duration::from_millis(200), Duration::from_secs(2)),
            ..Pace::default()
        },
    };
    Keeper { fetcher, stored: StoredService::start(parts).await.unwrap() }
}

async fn keepers(group: &Group) -> Vec<Keeper> {
    let mut all = Vec::new();
    for member in &group.members {
        all.push(keeper(member).await);
    }
    all
}

async fn put(group: &Group, keeper: &Keeper, folder: &TempDir, bytes: &[u8]) -> Deposit {
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, bytes).unwrap();
    let (steps, mut heard) = mpsc::channel(64);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let put = Put { path, network: group.network, copies: 2 };
    keeper.stored.put(put, &steps).await.unwrap()
}

fn holders(deposit: &Deposit) -> BTreeSet<PeerId> {
    let there = deposit.copies.iter().filter(|copy| copy.state == CopyState::There);
    there.map(|copy| copy.peer).collect()
}

fn holds(member: &Member, content: &ContentId) -> bool {
    let (folder, name) = member.store.held_place(content).unwrap();
    folder.join(name.as_str()).exists()
}

/// How many of those who have what a word finds are there, and how many there are.
async fn available(who: &Member, network: &NetworkId, words: &str) -> Option<(u32, u32)> {
    let query = Query { words: words.to_owned(), limit: 5, ..Query::default() };
    let found = who.directory(network).search(query).await.ok()?;
    found.groups.first().map(|group| (group.online, group.providers))
}

/// Fetches a content from whom the directory names.
async fn get(group: &Group, who: &Keeper, content: ContentId, size: u64) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let named = who.fetcher.directories.providers(content, &[group.network]).await;
    let online = named.iter().filter(|(_, provider)| provider.online);
    let providers: Vec<_> = online.map(|(_, provider)| provider.address.clone()).collect();
    let fetch = Fetch {
        ticket: Ticket {
            content,
            kind: TicketKind::File { size, executable: false },
            name: RelPath::parse("fetched").unwrap(),
            providers,
            personal: false,
        },
        folder: folder.path().to_owned(),
        name: None,
        selection: Vec::new(),
        on_exists: OnExists::Refuse,
        give_up_after: Some(Duration::from_secs(20)),
        audience: Audience::network(group.network),
        networks: vec![group.network],
        offer: None,
    };
    let (steps, mut heard) = mpsc::channel(64);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    std::fs::read(who.fetcher.fetch(fetch, &steps).await.unwrap().path).unwrap()
}

#[test]
fn a_stored_file_outlives_its_publisher_and_a_holder() {
    story(async {
        let group = Group::new(Place::Chord { replicas: 2 }, 6).await;
        group.settled(&[0, 1, 2, 3, 4, 5]).await;
        let keepers = keepers(&group).await;
        let (folder, bytes) = (TempDir::new().unwrap(), vec![7; 400_000]);
        let deposit = put(&group, &keepers[0], &folder, &bytes).await;
        let content = deposit.content;
        assert_eq!((holders(&deposit).len(), deposit.why.clone()), (2, None));
        let at = |peer: &PeerId| group.members.iter().position(|one| one.id() == *peer).unwrap();
        let first = at(holders(&deposit).first().unwrap());
        // The publisher and one of two holders are gone at once.
        for gone in [0, first] {
            keepers[gone].stored.stop().await;
            group.members[gone].kill().await;
        }
        let left: Vec<usize> = (1..6).filter(|at| *at != first).collect();
        until("there are two copies again", || async {
            left.iter().filter(|at| holds(&group.members[**at], &content)).count() >= 2
        })
        .await;
        let other = *left.iter().find(|at| !holds(&group.members[**at], &content)).unwrap();
        // Whoever searches sees that it can be had: from two of three who have it.
        until("a search counts those who hold it", || async {
            available(&group.members[other], &group.network, "notes").await == Some((2, 3))
        })
        .await;
        let named = keepers[other].fetcher.directories.providers(content, &[group.network]).await;
        let whole = named.iter().filter(|(_, provider)| !provider.partial);
        let online = whole.clone().filter(|(_, provider)| provider.online);
        assert_eq!((online.count(), whole.count()), (2, 3), "who may stand in is not counted");
        assert!(get(&group, &keepers[other], content, 400_000).await == bytes);
    });
}

#[test]
fn a_stored_file_is_taken_out_on_a_plain_ring_as_well() {
    story(async {
        let group = Group::new(Place::Ring { replicas: 2 }, 4).await;
        group.settled(&[0, 1, 2, 3]).await;
        let keepers = keepers(&group).await;
        let (folder, bytes) = (TempDir::new().unwrap(), vec![9; 5000]);
        let deposit = put(&group, &keepers[1], &folder, &bytes).await;
        assert_eq!(holders(&deposit).len(), 2);
        let removed = keepers[1].stored.remove("notes.txt", None).await.unwrap();
        assert_eq!((removed.dropped, removed.copies), (2, 2));
        let holding = group.members.iter().any(|member| holds(member, &deposit.content));
        assert!(!holding, "nobody holds it");
        // It can be put there again.
        let again = put(&group, &keepers[1], &folder, &bytes).await;
        assert_eq!(holders(&again).len(), 2);
    });
}
