//! Whose turn it is to hold a stored file, when some of those who are to have it cannot.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod membership_scene;
mod stored_scene;

use std::time::Duration;

use membership_scene::{peer, story, until};
use potluck_content::hash;
use potluck_link::mem::MemoryNet;
use potluck_service::ServiceError;
use stored_scene::{Kind, Ring, holders, keeper, keeper_of, keepers, sorted};
use tempfile::TempDir;

const ANN: u8 = 3;
const BEN: u8 = 10;
const CID: u8 = 11;
const DAN: u8 = 12;
const EMA: u8 = 13;

fn quota(quota: u64) -> Kind {
    Kind { quota, ..Kind::default() }
}

fn home() -> TempDir {
    TempDir::new().unwrap()
}

#[test]
fn whoever_is_full_says_so_and_the_others_have_it() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let ann = keeper(&net, &ring, ANN).await;
        let ben = keeper_of(&net, &ring, BEN, quota(0), home()).await;
        let cid = keeper_of(&net, &ring, CID, quota(15_000), home()).await;
        let dan = keeper(&net, &ring, DAN).await;
        ring.stand(&[BEN, CID, DAN, ANN]);
        let put = ann.store("large", 10_000, 3).await.0;
        assert_eq!(holders(&put), sorted(&[DAN]));
        let why = put.why.unwrap();
        assert!(why.contains("holds nothing for others"), "{why}");
        assert!(why.contains("larger than what one member may fill"), "{why}");
        assert!(!ben.holds(&put.content) && !cid.holds(&put.content) && dan.holds(&put.content));
        ring.stand(&[BEN, CID]);
        let (path, bytes) = ann.write("other", 9000);
        let failed = ann.put(&path, 2).await.0.unwrap_err();
        assert!(matches!(failed, ServiceError::NoCopies { .. }), "{failed}");
        let listed = ann.stored.list(None).await.unwrap();
        assert_eq!(listed.files.len(), 1, "what has no copy is as if it had not been tried");
        assert!(ann.fetcher.store.audience(&hash(&bytes)).unwrap().is_none());
        assert!(ring.records().iter().any(|one| one.value.removed));
    });
}

#[test]
fn the_next_one_holds_what_one_before_it_cannot_and_gives_it_back() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let ann = keeper(&net, &ring, ANN).await;
        let ben = keeper_of(&net, &ring, BEN, quota(0), home()).await;
        let [cid, dan, ema] = keepers(&net, &ring, [CID, DAN, EMA]).await;
        ring.stand(&[BEN, CID, ANN, DAN, EMA]);
        let (put, bytes) = ann.store("film", 40_000, 2).await;
        // The one that cannot says why, and it is no matter.
        assert_eq!((holders(&put), put.why.clone()), (sorted(&[CID, DAN]), None));
        assert!(put.copies.iter().any(|copy| copy.peer == peer(BEN)));
        assert!(!ema.holds(&put.content), "one stands in for one");
        // It gets room: then it is the first again, and nobody stands in for it.
        let home = ben.die().await;
        let ben = keeper_of(&net, &ring, BEN, quota(1_000_000), home).await;
        until("the first has it", || ben.holds(&put.content)).await;
        until("nobody stands in", || !dan.holds(&put.content)).await;
        assert!(cid.holds(&put.content) && ben.held_bytes(&put.content) == bytes);
    });
}

#[test]
fn whoever_has_a_full_disk_says_so_and_takes_it_when_there_is_room() {
    for before_the_first_byte in [true, false] {
        story(async move {
            let (net, ring) = (MemoryNet::new(), Ring::new());
            let ann = keeper(&net, &ring, ANN).await;
            let kind = Kind::default();
            let disk = kind.faults.clone();
            match before_the_first_byte {
                true => disk.free_space(1000),
                false => disk.full_after(100_000),
            }
            let ben = keeper_of(&net, &ring, BEN, kind, home()).await;
            let (cid, dan) = (keeper(&net, &ring, CID).await, keeper(&net, &ring, DAN).await);
            ring.stand(&[BEN, CID, ANN, DAN]);
            let (put, bytes) = ann.store("film", 700_000, 2).await;
            assert_eq!(holders(&put), sorted(&[CID, DAN]), "{before_the_first_byte}");
            let states = put.copies.iter().map(|copy| (copy.peer, &copy.state));
            let of_ben: Vec<_> = states.filter(|(who, _)| *who == peer(BEN)).collect();
            assert!(format!("{of_ben:?}").contains("its disk is full"), "{of_ben:?}");
            // Somebody clears up.
            disk.free_space(1_000_000_000);
            disk.full_after(u64::MAX);
            until("the first has it", || ben.holds(&put.content)).await;
            until("nobody stands in", || !dan.holds(&put.content)).await;
            assert!(cid.holds(&put.content) && ben.held_bytes(&put.content) == bytes);
        });
    }
}

#[test]
fn one_that_cannot_hold_a_file_passes_it_on_without_its_publisher() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, cid] = keepers(&net, &ring, [ANN, BEN, CID]).await;
        let dan = keeper_of(&net, &ring, DAN, quota(0), home()).await;
        let ema = keeper(&net, &ring, EMA).await;
        ring.stand(&[BEN, CID, ANN]);
        let (put, bytes) = ann.store("film", 40_000, 2).await;
        assert_eq!(holders(&put), sorted(&[BEN, CID]));
        ann.die().await;
        ben.die().await;
        // Dan stands where the second copy would be, and has no room.
        ring.stand(&[CID, DAN, EMA]);
        until("the one behind has it", || ema.holds(&put.content)).await;
        assert!(ema.held_bytes(&put.content) == bytes);
        assert!(cid.holds(&put.content) && !dan.holds(&put.content));
    });
}

#[test]
fn a_node_that_nothing_happens_to_looks_up_nobody() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let ann = keeper(&net, &ring, ANN).await;
        let slow = || {
            let mut kind = Kind::default();
            kind.pace.look = Duration::from_secs(3600);
            kind
        };
        let ben = keeper_of(&net, &ring, BEN, slow(), home()).await;
        ring.stand(&[BEN]);
        let put = ann.store("film", 1000, 1).await.0;
        until("it is there", || ben.holds(&put.content)).await;
        ann.die().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = ring.lookups();
        // Two of the looks whether a network was entered or left.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(ring.lookups(), before);
    });
}
