//! Files that are held for others are no shares of the person's, and what is not wanted goes.

use potluck_base::{NetworkId, PeerId, ShareKey};
use potluck_content::hash;

use super::*;
use crate::{Audience, HeldClaim, OwnDeposit};

const ONE: NetworkId = NetworkId([1; 32]);
const OTHER: NetworkId = NetworkId([2; 32]);
const ANN: PeerId = PeerId([3; 32]);
const BEN: PeerId = PeerId([4; 32]);

fn claim(bytes: &[u8], network: NetworkId, peer: PeerId) -> HeldClaim {
    HeldClaim {
        content: hash(bytes),
        network,
        peer,
        name: "a file".to_owned(),
        bytes: bytes.len() as u64,
        expires_ms: 99,
        since_ms: 7,
        record: b"signed".to_vec(),
    }
}

fn plan(store: &Store, bytes: &[u8]) -> DownloadPlan {
    let content = hash(bytes);
    let (folder, name) = store.held_place(&content).unwrap();
    DownloadPlan {
        content,
        kind: PlanKind::File { size: bytes.len() as u64, executable: false },
        name: RelPath::parse("anything").unwrap(),
        chosen_name: Some(name),
        folder,
        on_exists: OnExists::Overwrite,
        selected: None,
    }
}

fn hold(store: &Store, bytes: &[u8]) {
    let download = store.begin_download(plan(store, bytes)).unwrap();
    put_all(&download, &[bytes]).unwrap();
}

#[test]
fn what_is_held_is_for_members_and_in_no_list() {
    let world = World::new();
    let (store, id) = (world.receiver(), hash(b"bytes"));
    store.put_claim(&claim(b"bytes", ONE, ANN)).unwrap();
    assert!(!store.is_here(&id).unwrap());
    let begun = store.begin_download(plan(&store, b"bytes")).unwrap();
    assert!(store.unfinished().unwrap().is_empty(), "it is not the person's");
    put_all(&begun, &[b"bytes"]).unwrap();
    assert!(store.is_here(&id).unwrap());
    assert_eq!(store.audience(&id).unwrap(), Some(Audience::network(ONE)));
    assert!(store.shares().unwrap().is_empty() && store.share_count().unwrap() == 0);
    assert!(store.unshare(&id.to_string()).is_err(), "it is no share");
    store.put_claim(&claim(b"bytes", OTHER, ANN)).unwrap();
    let both = Audience::network(ONE).or(Audience::network(OTHER));
    assert_eq!(store.audience(&id).unwrap(), Some(both));
}

#[test]
fn the_persons_own_download_of_the_same_content_stays_what_it_is() {
    let world = World::new();
    let (store, id) = (world.receiver(), hash(b"bytes"));
    store.put_claim(&claim(b"bytes", ONE, ANN)).unwrap();
    hold(&store, b"bytes");
    let own = store.begin_download(plan_of_file(&world, b"bytes", "mine")).unwrap();
    put_all(&own, &[b"bytes"]).unwrap();
    drop(own);
    assert!(store.audience(&id).unwrap().unwrap().anyone, "it is no offer");
    store.unshare(&id.to_string()).unwrap();
    assert!(store.is_here(&id).unwrap(), "what is held is not the person's to unshare");
    assert_eq!(store.audience(&id).unwrap(), Some(Audience::network(ONE)));
    let again = store.begin_download(plan_of_file(&world, b"bytes", "again")).unwrap();
    put_all(&again, &[b"bytes"]).unwrap();
    drop(again);
    assert!(store.drop_claims(&id, &[(ONE, ANN)]).unwrap());
    assert!(store.is_here(&id).unwrap() && store.shares().unwrap().len() == 1);
}

#[test]
fn a_file_goes_with_its_last_claim() {
    let world = World::new();
    let (store, id) = (world.receiver(), hash(b"bytes"));
    store.put_claim(&claim(b"bytes", ONE, ANN)).unwrap();
    store.put_claim(&claim(b"bytes", ONE, BEN)).unwrap();
    hold(&store, b"bytes");
    assert!(!store.drop_claims(&id, &[(ONE, ANN)]).unwrap());
    assert!(store.is_here(&id).unwrap());
    assert!(store.drop_claims(&id, &[(ONE, BEN)]).unwrap());
    assert!(!store.is_here(&id).unwrap() && store.audience(&id).unwrap().is_none());
    let (folder, _) = store.held_place(&id).unwrap();
    assert!(names_in(&folder).is_empty() && store.claims().unwrap().is_empty());
}

#[test]
fn a_part_that_is_being_fetched_is_not_taken_away_below_it() {
    let world = World::new();
    let (store, id) = (world.receiver(), hash(b"bytes"));
    store.put_claim(&claim(b"bytes", ONE, ANN)).unwrap();
    let begun = store.begin_download(plan(&store, b"bytes")).unwrap();
    let refused = store.drop_claims(&id, &[(ONE, ANN)]).unwrap_err();
    assert!(matches!(refused, StoreError::Busy { .. }), "{refused}");
    drop(begun);
    assert!(store.drop_claims(&id, &[(ONE, ANN)]).unwrap());
    assert!(names_in(&store.held_place(&id).unwrap().0).is_empty());
}

#[test]
fn a_file_that_was_changed_or_taken_away_is_not_here() {
    let world = World::new();
    let (store, id) = (world.receiver(), hash(b"bytes"));
    store.put_claim(&claim(b"bytes", ONE, ANN)).unwrap();
    hold(&store, b"bytes");
    let (folder, name) = store.held_place(&id).unwrap();
    let path = folder.join(name.as_str());
    fs::write(&path, "other").unwrap();
    age(&path, 60);
    assert!(!store.is_here(&id).unwrap());
    hold(&store, b"bytes");
    assert!(store.is_here(&id).unwrap(), "it is fetched again in its place");
    fs::remove_file(&path).unwrap();
    assert!(!store.is_here(&id).unwrap());
}

#[test]
fn whatever_nobody_wants_held_goes_and_nothing_else() {
    let world = World::new();
    let store = world.receiver();
    for bytes in [b"kept", b"gone"] {
        store.put_claim(&claim(bytes, ONE, ANN)).unwrap();
        hold(&store, bytes);
    }
    let (folder, _) = store.held_place(&hash(b"kept")).unwrap();
    store.put_claim(&claim(b"part", ONE, ANN)).unwrap();
    drop(store.begin_download(plan(&store, b"part")).unwrap());
    fs::write(folder.join("a letter"), "dear").unwrap();
    fs::write(folder.join(hash(b"stray").to_string()), "stray").unwrap();
    store.put_network(&OTHER, b"").unwrap();
    store.put_claim(&claim(b"elsewhere", OTHER, ANN)).unwrap();
    hold(&store, b"elsewhere");
    store.remove_network(&OTHER).unwrap();
    assert!(store.drop_claims(&hash(b"gone"), &[(ONE, ANN)]).unwrap());
    store.tidy_held().unwrap();
    let part = format!(".{}.{}.part", hash(b"part"), hash(b"part").short());
    let mut left = vec![part, hash(b"kept").to_string(), "a letter".to_owned()];
    left.sort();
    assert_eq!(names_in(&folder), left);
    assert!(store.is_here(&hash(b"kept")).unwrap());
    assert!(!store.is_here(&hash(b"elsewhere")).unwrap());
}

#[test]
fn own_deposits_and_claims_survive_a_restart() {
    let world = World::new();
    let mut own = OwnDeposit {
        network: ONE,
        content: hash(b"mine"),
        name: RelPath::parse("mine.txt").unwrap(),
        bytes: 4,
        copies: 3,
        sequence: u64::MAX,
        expires_ms: 100,
        removed: false,
        offer: Some(ShareKey([5; 16])),
        heard: b"heard".to_vec(),
    };
    let of_others = claim(b"bytes", ONE, ANN);
    {
        let store = world.receiver();
        store.put_deposit(&own).unwrap();
        (own.removed, own.offer) = (true, None);
        store.put_deposit(&own).unwrap();
        store.put_claim(&of_others).unwrap();
        store.put_claim(&HeldClaim { since_ms: 1000, ..of_others.clone() }).unwrap();
    }
    let store = world.receiver();
    assert_eq!(store.deposits().unwrap(), [own.clone()]);
    assert_eq!(store.claims().unwrap(), [of_others], "since when is kept");
    store.remove_deposit(&ONE, &own.content).unwrap();
    assert!(store.deposits().unwrap().is_empty());
}
