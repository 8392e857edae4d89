//! Offers, whom they are for, and files of shared folders by themselves.

use std::collections::BTreeSet;

use potluck_base::{NetworkId, PeerId, ShareKey};
use potluck_content::hash;

use super::*;
use crate::{Audience, Offer, ShareRecord};

const NETWORK: NetworkId = NetworkId([7; 32]);

fn record(world: &World, rels: &[&str]) -> ShareRecord {
    let paths: Vec<_> = rels.iter().map(|rel| world.path("shared").join(rel)).collect();
    let mut scan = world.sender.scan(&paths).unwrap();
    let cancel = AtomicBool::new(false);
    let ids = world.sender.hash_scan(&mut scan, 1, &|_| {}, &cancel).unwrap();
    scan.record(&ids).unwrap()
}

fn offer(key: u8, share: &ShareRecord, audience: Audience) -> Offer {
    Offer {
        key: ShareKey([key; 16]),
        content: share.id,
        name: share.name.clone(),
        tags: vec!["tag".to_owned()],
        paths: vec![PathBuf::from("/somewhere")],
        listed: BTreeSet::from([NETWORK]),
        audience,
        watch: true,
        downloaded: false,
        created_ms: 1000 + u64::from(key),
        sequence: 0,
    }
}

fn read_all(source: &Source) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.read(PieceRange::new(0, source.map().total()), &mut bytes).unwrap();
    bytes
}

#[test]
fn offers_survive_a_restart_with_all_that_they_say() {
    let world = World::new();
    world.file("a/b", b"b");
    let share = record(&world, &["a"]);
    let begun = world.sender.begin_offer(&offer(1, &share, Audience::anyone()), &share, 5).unwrap();
    world.sender.set_offer_pages(&begun.offer.key, 64).unwrap();
    let mut second = offer(2, &share, Audience::network(NETWORK));
    second.audience.peers.insert(PeerId([9; 32]));
    world.sender.put_offer(&second).unwrap();
    world.sender.put_network(&NETWORK, b"record").unwrap();
    world.sender.put_network(&NetworkId([1; 32]), b"").unwrap();
    world.sender.put_network(&NETWORK, b"newer").unwrap();
    let World { folder, sender } = world;
    drop(sender);
    let store = Store::open(&folder.path().join("sender")).unwrap();
    assert_eq!(store.offers().unwrap(), [begun.offer.clone(), second.clone()]);
    assert_eq!(store.offer(&second.key).unwrap(), Some(second));
    assert_eq!(store.offer_pages(&begun.offer.key).unwrap(), Some(64));
    let networks = store.networks().unwrap();
    assert_eq!(networks, [(NETWORK, b"newer".to_vec()), (NetworkId([1; 32]), Vec::new())]);
    assert!(store.remove_network(&NETWORK).unwrap() && !store.remove_network(&NETWORK).unwrap());
}

#[test]
fn a_state_of_the_first_version_is_taken_along() {
    let world = World::new();
    world.file("t/a", b"aaa");
    world.file("t/sub/b", b"bbb");
    let source = world.share(&["t"]);
    let receiver = world.receiver();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    fetch(&source, &download, PieceRange::new(0, source.map().total())).unwrap();
    download.finish(&[]).unwrap();
    let (id, own) = (source.content(), world.share(&["t/a"]).content());
    drop((download, receiver, source));
    let World { folder, sender } = world;
    drop(sender);
    for home in ["sender", "receiver"] {
        let path = folder.path().join(home);
        let old = rusqlite::Connection::open(path.join("state.db")).unwrap();
        old.execute_batch(
            "CREATE TABLE old_shares AS SELECT id, kind, name, created, size, executable, roots,
                 manifest, files, ids FROM shares;
             CREATE TABLE old_downloads AS SELECT number, content, kind, name, asked, folder,
                 created, size, executable, manifest, selected, state, synced, boot, durable,
                 doubtful, dev, files, ids FROM downloads;
             DROP TABLE shares; DROP TABLE downloads; DROP TABLE file_owners; DROP TABLE offers;
             DROP TABLE networks; DROP TABLE counters;
             DROP TABLE circle_records; DROP TABLE circle_contacts;
             DROP TABLE deposits; DROP TABLE held;
             ALTER TABLE old_shares RENAME TO shares;
             ALTER TABLE old_downloads RENAME TO downloads;
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        let store = Store::open(&path).unwrap();
        let info = store.share(&id).unwrap().unwrap();
        assert_eq!((info.files, info.size), (2, 6));
        assert!(store.open_file_source(&hash(b"bbb")).unwrap().is_some());
        assert_eq!(store.audience(&hash(b"bbb")).unwrap(), Some(Audience::anyone()));
        assert_eq!(store.share(&own).unwrap().is_some(), home == "sender");
        assert_eq!(store.shares().unwrap().len() as u64, store.share_count().unwrap());
    }
}

#[test]
fn sequence_numbers_only_grow_even_if_the_clock_goes_back() {
    let world = World::new();
    let next = |now| world.sender.next_sequence(now).unwrap();
    assert_eq!([next(1000), next(1000), next(5), next(2000)], [1000, 1001, 1002, 2000]);
    let World { folder, sender } = world;
    drop(sender);
    let store = Store::open(&folder.path().join("sender")).unwrap();
    assert_eq!(store.next_sequence(3).unwrap(), 2001);
}

#[test]
fn a_file_of_a_shared_folder_is_served_by_its_own_id() {
    let world = World::new();
    let large = noise(3, 300_000);
    world.file("a/b/large", &large);
    world.file("a/run", b"#!");
    fs::set_permissions(world.path("shared/a/run"), fs::Permissions::from_mode(0o700)).unwrap();
    world.file("c/deep/er/small", b"small");
    world.share(&["a", "c"]);
    let source = world.sender.open_source(&hash(&large)).unwrap().unwrap();
    assert_eq!((source.name().as_str(), source.kind()), ("large", ShareKind::File));
    assert_eq!(read_all(&source), large);
    let run = world.sender.open_file_source(&hash(b"#!")).unwrap().unwrap();
    assert!(run.executable());
    let small = world.sender.open_file_source(&hash(b"small")).unwrap().unwrap();
    assert_eq!(read_all(&small), b"small");
    assert!(world.sender.open_source(&hash(b"nothing")).unwrap().is_none());
    // Changed since: it is not served, and an equal file elsewhere is.
    fs::write(world.path("shared/a/run"), "changed").unwrap();
    assert!(world.sender.open_file_source(&hash(b"#!")).unwrap().is_none());
    world.file("again/run", b"#!");
    world.share(&["again"]);
    assert!(world.sender.open_file_source(&hash(b"#!")).unwrap().is_some());
}

#[test]
fn a_link_swapped_in_on_the_way_to_a_file_is_not_followed() {
    let world = World::new();
    world.file("a/b/secret", b"secret");
    world.share(&["a"]);
    let (b, moved) = (world.path("shared/a/b"), world.path("shared/moved"));
    fs::rename(&b, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &b).unwrap();
    assert!(world.sender.open_file_source(&hash(b"secret")).unwrap().is_none());
}

#[test]
fn files_of_a_finished_download_are_served_by_their_ids_and_those_not_selected_are_not() {
    let world = World::new();
    world.file("t/x", b"xxx");
    world.file("t/y", b"yyy");
    let source = world.share(&["t"]);
    let receiver = world.receiver();
    let plan = DownloadPlan { selected: Some(BTreeSet::from([0])), ..world.plan(&source) };
    let download = receiver.begin_download(plan).unwrap();
    assert!(receiver.open_file_source(&hash(b"xxx")).unwrap().is_none());
    give_values(&source, &download).unwrap();
    fetch(&source, &download, PieceRange::new(0, source.map().total())).unwrap();
    download.finish(&[]).unwrap();
    assert!(receiver.open_file_source(&hash(b"xxx")).unwrap().is_some());
    assert!(receiver.open_file_source(&hash(b"yyy")).unwrap().is_none());
    let info = receiver.share(&source.content()).unwrap().unwrap();
    assert_eq!((info.files, receiver.share_count().unwrap()), (1, 1));
    assert_eq!(receiver.audience(&hash(b"xxx")).unwrap(), Some(Audience::anyone()));
    assert_eq!(receiver.audience(&hash(b"yyy")).unwrap(), None);
    receiver.remove_share(&source.content().to_string()).unwrap();
    assert!(receiver.open_file_source(&hash(b"xxx")).unwrap().is_none());
    assert_eq!(receiver.audience(&hash(b"xxx")).unwrap(), None);
}

#[test]
fn whom_a_content_is_for_is_what_all_offers_of_it_and_of_its_folders_say() {
    let world = World::new();
    world.file("private/common", b"common");
    world.file("private/own", b"own");
    world.file("members/common", b"common");
    let (private, members) = (record(&world, &["private"]), record(&world, &["members"]));
    let to = Audience { peers: BTreeSet::from([PeerId([1; 32])]), ..Audience::nobody() };
    let store = &world.sender;
    store.begin_offer(&offer(1, &private, to.clone()), &private, 0).unwrap();
    store.begin_offer(&offer(2, &members, Audience::network(NETWORK)), &members, 0).unwrap();
    let audience = |id: &ContentId| store.audience(id).unwrap();
    assert_eq!(audience(&private.id), Some(to.clone()));
    assert_eq!(audience(&members.id), Some(Audience::network(NETWORK)));
    assert_eq!(audience(&hash(b"own")), Some(to.clone()));
    assert_eq!(audience(&hash(b"common")), Some(to.clone().or(Audience::network(NETWORK))));
    assert_eq!(audience(&hash(b"nothing")), None);
    // A second offer of the same content widens it; taking that away narrows it again.
    store.put_offer(&offer(3, &private, Audience::anyone())).unwrap();
    assert_eq!(audience(&hash(b"own")), Some(to.clone().or(Audience::anyone())));
    store.remove_offer(&ShareKey([3; 16])).unwrap().unwrap();
    assert_eq!(audience(&hash(b"own")), Some(to));
    store.remove_offer(&ShareKey([1; 16])).unwrap().unwrap();
    assert_eq!(audience(&private.id), None);
    assert!(store.open_source(&private.id).unwrap().is_none());
    assert_eq!(audience(&hash(b"common")), Some(Audience::network(NETWORK)));
    // Shared without any offer, as before there were networks.
    world.share(&["private"]);
    assert_eq!(audience(&hash(b"own")), Some(Audience::anyone()));
}

#[test]
fn an_offer_that_moves_takes_its_share_along_and_nothing_of_the_old_one_stays() {
    let world = World::new();
    world.file("t/a", b"aaa");
    world.file("t/b", b"bbb");
    let before = record(&world, &["t"]);
    let store = &world.sender;
    let begun =
        store.begin_offer(&offer(1, &before, Audience::network(NETWORK)), &before, 10).unwrap();
    assert_eq!((begun.before, begun.offer.sequence), (None, 10));
    assert!(store.open_file_source(&hash(b"bbb")).unwrap().is_some());
    fs::remove_file(world.path("shared/t/b")).unwrap();
    world.file("t/c", b"ccc");
    let now = record(&world, &["t"]);
    let moved = store.advance_offer(&begun.offer.key, &now, 10).unwrap().unwrap();
    assert_eq!((moved.before, moved.gone), (Some(before.id), true));
    assert_eq!((moved.offer.content, moved.offer.sequence), (now.id, 11));
    assert!(store.open_source(&before.id).unwrap().is_none());
    assert!(store.audience(&before.id).unwrap().is_none());
    assert!(store.audience(&hash(b"bbb")).unwrap().is_none());
    for bytes in [b"aaa", b"ccc"] {
        assert!(store.open_file_source(&hash(bytes)).unwrap().is_some());
        let audience = store.audience(&hash(bytes)).unwrap();
        assert_eq!(audience, Some(Audience::network(NETWORK)));
    }
    let paths: Vec<_> = store.share_entries(&now.id).unwrap();
    let paths: Vec<_> = paths.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "c"]);
    assert_eq!(store.share_count().unwrap(), 1);
    // An offer that was taken away meanwhile stays away.
    store.remove_offer(&begun.offer.key).unwrap().unwrap();
    assert!(store.advance_offer(&begun.offer.key, &before, 0).unwrap().is_none());
    assert_eq!(store.share_count().unwrap(), 0);
    let mut index = store.0.db.lock();
    let rows = index.transaction().unwrap();
    let left: i64 = rows.query_row("SELECT count(*) FROM file_owners", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn what_another_offer_has_too_stays_when_one_moves_on() {
    let world = World::new();
    world.file("t/a", b"aaa");
    let before = record(&world, &["t"]);
    let store = &world.sender;
    for key in [1, 2] {
        store.begin_offer(&offer(key, &before, Audience::anyone()), &before, 0).unwrap();
    }
    world.file("t/b", b"bbb");
    let now = record(&world, &["t"]);
    let moved = store.advance_offer(&ShareKey([1; 16]), &now, 0).unwrap().unwrap();
    assert!(!moved.gone);
    assert_eq!(store.share_count().unwrap(), 2);
    let moved = store.advance_offer(&ShareKey([2; 16]), &now, 0).unwrap().unwrap();
    assert!(moved.gone);
    assert_eq!(store.share_count().unwrap(), 1);
    assert!(store.open_source(&now.id).unwrap().is_some());
}

#[test]
fn a_suspended_offer_offers_nothing_until_it_is_advanced() {
    let world = World::new();
    world.file("t/a", b"aaa");
    let share = record(&world, &["t"]);
    let store = &world.sender;
    let begun = store.begin_offer(&offer(1, &share, Audience::anyone()), &share, 0).unwrap();
    let moved = store.suspend_offer(&begun.offer.key, 0).unwrap().unwrap();
    assert!(moved.gone && moved.offer.sequence > begun.offer.sequence);
    assert!(store.open_source(&share.id).unwrap().is_none());
    assert!(store.open_file_source(&hash(b"aaa")).unwrap().is_none());
    assert!(store.audience(&hash(b"aaa")).unwrap().is_none());
    assert_eq!(store.offers().unwrap().len(), 1);
    let moved = store.advance_offer(&begun.offer.key, &share, 0).unwrap().unwrap();
    assert_eq!(moved.before, None);
    assert!(store.open_file_source(&hash(b"aaa")).unwrap().is_some());
}

#[test]
fn unsharing_by_id_takes_all_offers_of_it_along() {
    let world = World::new();
    world.file("t/a", b"aaa");
    let share = record(&world, &["t"]);
    for key in [1, 2] {
        world.sender.begin_offer(&offer(key, &share, Audience::anyone()), &share, 0).unwrap();
    }
    let (gone, offers) = world.sender.unshare(&share.id.to_string()[..10]).unwrap();
    assert_eq!((gone.id, gone.files, offers.len()), (share.id, 1, 2));
    assert!(world.sender.offers().unwrap().is_empty());
    assert!(world.sender.share(&share.id).unwrap().is_none());
}

#[test]
fn the_offer_of_a_download_that_is_given_up_goes_with_it() {
    let world = World::new();
    world.file("t/a", b"aaa");
    let source = world.share(&["t"]);
    let receiver = world.receiver();
    let share = record(&world, &["t"]);
    let partial = Offer { downloaded: true, ..offer(1, &share, Audience::nobody()) };
    receiver.put_offer(&partial).unwrap();
    let download = receiver.begin_download(world.plan(&source)).unwrap();
    assert_eq!(receiver.audience(&share.id).unwrap(), Some(Audience::nobody()));
    let number = download.number();
    drop(download);
    receiver.forget_download(number).unwrap();
    assert!(receiver.offers().unwrap().is_empty());
    assert_eq!(receiver.audience(&share.id).unwrap(), None);
}

#[test]
fn a_hundred_folders_of_ten_thousand_files_are_found_by_a_file_at_once() {
    let world = World::new();
    let root = crate::Root { folder: world.path("shared"), dev: 1, names: None };
    let print = crate::Fingerprint { dev: 1, ino: 1, size: 1, mtime_ns: 1 };
    let (shares, files) = if cfg!(debug_assertions) { (5, 2000) } else { (100, 10_000) };
    let id = |share: u32, file: u32| hash(&[share.to_le_bytes(), file.to_le_bytes()].concat());
    let mut last = None;
    for share in 0..shares {
        let entry = |file| Entry {
            path: name(&format!("{file:05}")),
            kind: Kind::File { size: 1, id: id(share, file), executable: false },
        };
        let manifest = Manifest::new((0..files).map(entry).collect()).unwrap();
        let record = ShareRecord {
            id: manifest.id(),
            kind: ShareKind::Folder,
            name: name("n"),
            roots: vec![root.clone()],
            created: 1,
            size: manifest.total_bytes(),
            executable: false,
            files: vec![Some(print); files as usize],
            manifest: Some(Arc::new(manifest)),
        };
        world.sender.put_share(&record).unwrap();
        last = Some(record);
    }
    let began = std::time::Instant::now();
    for file in 0..1000 {
        assert!(world.sender.audience(&id(file % shares, file % files)).unwrap().is_some());
        assert!(world.sender.audience(&id(shares, file)).unwrap().is_none());
    }
    let each = began.elapsed() / 2000;
    assert!(each < Duration::from_millis(5), "{each:?}");
    // Recorded again: the index has nothing to write.
    let began = std::time::Instant::now();
    world.sender.put_share(&last.unwrap()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.sender.shares().unwrap().len(), shares as usize);
}
