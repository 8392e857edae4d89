//! One contract for all directories: the same stories with a directory in memory, with a tracker
//! that real nodes reach over links in memory, and with real nodes that are the directory
//! themselves. And a tracker that lies.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod circle_scene;
mod tracker_scene;

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey};
use potluck_service::directory::memory::MemoryNetwork;
use potluck_service::directory::unassigned::Unassigned;
use potluck_service::directory::{Announcement, Directory, Entry, EntryKind, Found, Query, Sort};
use potluck_service::networks::Place;
use tracker_scene::{Group, story};

/// Longer than any directory takes to take note.
const PATIENCE: Duration = Duration::from_secs(20);

fn content(number: u8) -> ContentId {
    ContentId([number; 32])
}

fn file(path: &str, number: u8, size: u64) -> Entry {
    Entry {
        path: path.to_owned(),
        content: content(number),
        size,
        kind: EntryKind::File,
        executable: false,
        modified_s: 1_700_000_000 + u64::from(number),
    }
}

fn folder(key: u8, name: &str, tags: &[&str], entries: &[Entry]) -> Announcement {
    let mut entries = entries.to_vec();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Announcement {
        share: ShareKey([key; 16]),
        name: name.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        content: content(200 + key),
        kind: EntryKind::Folder,
        size: entries.iter().map(|entry| entry.size).sum(),
        partial: false,
        entries: Arc::new(entries),
    }
}

fn query(words: &str) -> Query {
    Query { words: words.to_owned(), limit: 50, ..Query::default() }
}

fn names(found: &Found) -> Vec<String> {
    found.groups.iter().map(|group| group.hits[0].entry.path.clone()).collect()
}

/// Searches until the result is as it should be: directories may take a moment to take note.
async fn find(
    directory: &dyn Directory,
    asked: Query,
    what: &str,
    fits: impl Fn(&Found) -> bool,
) -> Found {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = directory.search(asked.clone()).await.unwrap();
        if fits(&found) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {found:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The stories that every directory tells in the same way. Three members, by number.
async fn contract(members: &[Arc<dyn Directory>], ids: &[PeerId]) {
    let [ann, ben, cid] = members else { panic!("three members") };
    assert!(names(&ben.search(query("anything")).await.unwrap()).is_empty());
    assert!(ben.providers(content(1)).await.unwrap().is_empty());

    let talks = [file("2024/Big-Bang.mp4", 1, 5_000), file("notes.txt", 2, 100)];
    ann.announce(folder(1, "Talks", &["physics"], &talks)).await.unwrap();
    let one = |found: &Found| found.groups.len() == 1;
    let found = find(&**ben, query("bang"), "a word of the name", one).await;
    assert_eq!(names(&found), ["2024/Big-Bang.mp4"]);
    let group = &found.groups[0];
    assert_eq!((group.content, group.size), (content(1), 5_000));
    assert_eq!((group.online, group.providers, group.partial), (1, 1, 0));
    for words in ["BANG big", "ban", "physics bang", "talks 2024 bang"] {
        find(&**ben, query(words), words, one).await;
    }
    assert!(names(&ben.search(query("bang crunch")).await.unwrap()).is_empty());
    find(&**ben, query("physics"), "a tag finds the folder and its files", |found| {
        found.groups.len() == 3
    })
    .await;
    let large = Query { min_size: Some(1_000), max_size: Some(5_000), ..query("2024") };
    assert_eq!(names(&ben.search(large).await.unwrap()), ["2024/Big-Bang.mp4"]);
    let larger = Query { min_size: Some(5_001), ..query("bang") };
    assert!(names(&ben.search(larger).await.unwrap()).is_empty());

    let providers = ben.providers(content(1)).await.unwrap();
    assert_eq!(providers.len(), 1);
    assert_eq!((providers[0].peer, providers[0].online), (ids[0], true));
    assert_eq!(providers[0].entry, talks[0]);
    let folder_itself = cid.providers(content(201)).await.unwrap();
    assert_eq!(folder_itself[0].entry.kind, EntryKind::Folder);

    // The same content at another member, under another name, and only in part.
    let mut mirror = folder(2, "Mirror", &[], &[file("copy of bang.mp4", 1, 5_000)]);
    mirror.partial = true;
    ben.announce(mirror).await.unwrap();
    find(&**cid, query("bang"), "equal contents are one group", |found| {
        found.groups.len() == 1 && found.groups[0].online == 2
    })
    .await;

    // What a share becomes takes the place of what it was.
    let talks = [file("2024/Big-Bang.mp4", 1, 5_000), file("2024/Big-Rip.mp4", 3, 7)];
    ann.announce(folder(1, "Talks", &["physics"], &talks)).await.unwrap();
    find(&**cid, query("rip"), "what was added", one).await;
    find(&**cid, query("notes"), "what was deleted", |found| found.groups.is_empty()).await;
    let sizes = Query { sort: Sort::Size, ..query("2024") };
    let sorted = find(&**cid, sizes, "sorted by size", |found| found.groups.len() == 2).await;
    assert_eq!(names(&sorted)[1], "2024/Big-Rip.mp4");
    let page = Query { offset: 1, limit: 1, sort: Sort::Name, ..query("2024") };
    let page = cid.search(page).await.unwrap();
    assert_eq!((names(&page), page.more), (vec!["2024/Big-Rip.mp4".to_owned()], false));

    ann.withdraw(ShareKey([1; 16])).await.unwrap();
    ann.withdraw(ShareKey([9; 16])).await.unwrap();
    find(&**cid, query("bang"), "one provider is left", |found| {
        found.groups.len() == 1 && found.groups[0].online == 1
    })
    .await;
    assert!(names(&cid.search(query("rip")).await.unwrap()).is_empty());

    let located = cid.resolve(ids[0]).await.unwrap().unwrap();
    assert_eq!((located.address.id, located.online), (ids[0], true));
    assert!(cid.resolve(PeerId([77; 32])).await.unwrap().is_none());
}

#[test]
fn a_directory_in_memory_keeps_the_contract() {
    story(async {
        let network = MemoryNetwork::new(NetworkId([1; 32]));
        let ids: Vec<PeerId> = (1..=3).map(|number| PeerId([number; 32])).collect();
        let member = |id: &PeerId| network.member(PeerAddr::unknown(*id), &id.short());
        let members: Vec<Arc<dyn Directory>> =
            ids.iter().map(|id| Arc::new(member(id)) as Arc<dyn Directory>).collect();
        contract(&members, &ids).await;
    });
}

#[test]
fn a_tracker_keeps_the_contract() {
    story(async {
        let group = Group::new(3).await;
        let members: Vec<Arc<dyn Directory>> = group.directories();
        contract(&members, &group.ids()).await;
    });
}

/// The contract for a circle of this kind, once all members have found their places.
fn a_circle_keeps_the_contract(place: Place) {
    story(async {
        let group = circle_scene::Group::new(place, 3).await;
        group.settled(&[0, 1, 2]).await;
        contract(&group.directories(), &group.ids()).await;
    });
}

#[test]
fn a_chord_circle_keeps_the_contract() {
    a_circle_keeps_the_contract(Place::Chord { replicas: 3 });
}

#[test]
fn a_ring_keeps_the_contract() {
    a_circle_keeps_the_contract(Place::Ring { replicas: 2 });
}

#[test]
fn a_node_without_a_network_keeps_and_finds_nothing() {
    story(async {
        let none = Unassigned;
        none.announce(folder(1, "Talks", &[], &[file("bang", 1, 1)])).await.unwrap();
        assert!(none.search(query("bang")).await.unwrap().groups.is_empty());
        assert!(none.providers(content(1)).await.unwrap().is_empty());
        assert!(none.resolve(PeerId([1; 32])).await.unwrap().is_none());
        none.withdraw(ShareKey([1; 16])).await.unwrap();
    });
}

#[test]
fn what_was_found_is_known_while_the_tracker_is_away() {
    story(async {
        let group = Group::new(2).await;
        let members = group.directories();
        let talk = folder(1, "Talks", &[], &[file("bang.mp4", 1, 5)]);
        members[0].announce(talk).await.unwrap();
        let there = |found: &Found| !found.groups.is_empty() && found.stale_ms.is_none();
        find(&*members[1], query("bang"), "the talk", there).await;
        members[1].providers(content(1)).await.unwrap();
        group.stop_tracker().await;
        let stale = |found: &Found| found.groups.len() == 1 && found.stale_ms.is_some();
        find(&*members[1], query("BANG"), "remembered", stale).await;
        assert_eq!(members[1].providers(content(1)).await.unwrap().len(), 1);
        // Nothing that was never found is made up.
        assert!(members[1].search(query("crunch")).await.unwrap().groups.is_empty());
    });
}

#[test]
fn a_tracker_that_lies_is_not_believed() {
    story(async {
        let group = Group::new(2).await;
        let members = group.directories();
        let talk = folder(1, "Talks", &[], &[file("bang.mp4", 1, 5), file("bangs.mp4", 2, 6)]);
        members[0].announce(talk).await.unwrap();
        find(&*members[1], query("bang"), "both", |found| found.groups.len() == 2).await;
        // The index says that the name stands for other bytes, and that the peer is elsewhere.
        group.forge_content(content(1), content(66));
        let found = members[1].search(query("bang")).await.unwrap();
        assert_eq!(names(&found), ["bangs.mp4"], "the forged result is dropped, the rest stays");
        assert!(members[1].providers(content(66)).await.unwrap().is_empty());
    });
}
