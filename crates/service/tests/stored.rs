//! Files that live in a network: put there, held, repaired, fetched without whoever put them there,
//! and taken out again.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod membership_scene;
mod stored_scene;

use std::sync::Arc;
use std::time::Duration;

use membership_scene::{Hand, network, peer, someone, story, until};
use potluck_base::{ContentId, PeerAddr, RelPath};
use potluck_content::{Ticket, TicketKind, hash};
use potluck_link::mem::MemoryNet;
use potluck_proto::{CopySaid, Frame, Refusal, What};
use potluck_service::ServiceError;
use potluck_service::fetch::Fetch;
use potluck_service::stored::{CopyState, Step};
use potluck_store::{Audience, DownloadPlan, Faults, HeldClaim, OnExists, PlanKind};
use stored_scene::{
    Keeper, Kind, Ring, deposit, holders, keeper, keeper_of, keepers, open, sorted,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const ANN: u8 = 3;
const BEN: u8 = 10;
const CID: u8 = 11;
const DAN: u8 = 12;
const EMA: u8 = 13;
const FAY: u8 = 14;
const EVE: u8 = 66;

/// Fetches a content as any member does who was told who may have it.
async fn get(who: &Keeper, content: ContentId, size: u64, from: &[u8]) -> Vec<u8> {
    let fetch = Fetch {
        ticket: Ticket {
            content,
            kind: TicketKind::File { size, executable: false },
            name: RelPath::parse("fetched").unwrap(),
            providers: from.iter().map(|who| PeerAddr::unknown(peer(*who))).collect(),
            personal: false,
        },
        folder: who.folder.path().to_owned(),
        name: None,
        selection: Vec::new(),
        on_exists: OnExists::Refuse,
        give_up_after: Some(Duration::from_secs(10)),
        audience: Audience::network(network()),
        networks: vec![network()],
        offer: None,
    };
    let (steps, mut heard) = mpsc::channel(64);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let fetched = who.fetcher.fetch(fetch, &steps).await.unwrap();
    std::fs::read(fetched.path).unwrap()
}

#[test]
fn a_file_gets_as_many_copies_as_were_asked_for_and_is_fetched_without_its_publisher() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, cid, dan, ema] = keepers(&net, &ring, [ANN, BEN, CID, DAN, EMA]).await;
        // The publisher itself is one of those who keep the key: that is no copy.
        ring.stand(&[BEN, ANN, CID, DAN, EMA]);
        let (path, bytes) = ann.write("film.mkv", 700_000);
        let (put, steps) = ann.put(&path, 3).await;
        let put = put.unwrap();
        assert_eq!((put.content, put.bytes, put.wanted), (hash(&bytes), 700_000, 3));
        assert_eq!((holders(&put), put.why.clone()), (sorted(&[BEN, CID, DAN]), None));
        let ended = |step: &&Step| matches!(step, Step::Ended { state: CopyState::There, .. });
        assert_eq!(steps.iter().filter(ended).count(), 3, "{steps:?}");
        assert!(steps.contains(&Step::Placing));
        let listed = ann.stored.list(None).await.unwrap();
        assert_eq!((listed.files, listed.held), (vec![put.clone()], vec![]));
        for holder in [&ben, &cid, &dan] {
            let listed = holder.stored.list(Some(&network())).await.unwrap();
            assert_eq!((listed.held.len(), listed.held_bytes), (1, 700_000));
            assert_eq!((listed.held[0].by, &*listed.held[0].name), (peer(ANN), "film.mkv"));
            assert!(holder.held_bytes(&put.content) == bytes);
            assert!(holder.fetcher.store.shares().unwrap().is_empty(), "it is not its own");
        }
        assert!(!ema.holds(&put.content), "three are enough");
        ann.die().await;
        assert!(get(&ema, put.content, 700_000, &[BEN, CID, DAN]).await == bytes);
    });
}

#[test]
fn another_copy_is_made_when_a_holder_is_gone_even_without_the_publisher() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, cid, dan] = keepers(&net, &ring, [ANN, BEN, CID, DAN]).await;
        ring.stand(&[BEN, CID, DAN, ANN]);
        let (put, bytes) = ann.store("notes", 50_000, 2).await;
        assert_eq!(holders(&put), sorted(&[BEN, CID]));
        ann.die().await;
        ben.die().await;
        ring.stand(&[CID, DAN]);
        until("the next one has it", || dan.holds(&put.content)).await;
        assert!(cid.holds(&put.content));
        assert!(dan.held_bytes(&put.content) == bytes);
    });
}

#[test]
fn a_repair_makes_what_is_missing_and_says_how_many() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, cid] = keepers(&net, &ring, [ANN, BEN, CID]).await;
        ring.stand(&[BEN, ANN]);
        let (path, _) = ann.write("notes", 5000);
        let put = ann.put(&path, 2).await.0.unwrap();
        assert_eq!(put.why.as_deref(), Some("there is only 1 other member on the circle"));
        ring.stand(&[BEN, CID, ANN]);
        // Whoever kept the record is gone with it.
        ring.lose(put.content);
        std::fs::remove_file(ben.folder.path().join("x")).unwrap_err();
        let (folder, name) = ben.fetcher.store.held_place(&put.content).unwrap();
        std::fs::remove_file(folder.join(name.as_str())).unwrap();
        let (files, made) = ann.repair().await;
        assert_eq!((files.len(), files[0].why.clone()), (1, None));
        assert_eq!(holders(&files[0]), sorted(&[BEN, CID]));
        assert!(made >= 1 && cid.holds(&put.content) && ben.holds(&put.content));
    });
}

#[test]
fn what_is_taken_out_is_dropped_by_all_who_hold_it() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, cid] = keepers(&net, &ring, [ANN, BEN, CID]).await;
        ring.stand(&[BEN, CID, ANN]);
        let (path, _) = ann.write("notes", 5000);
        let put = ann.put(&path, 2).await.0.unwrap();
        assert!(ann.fetcher.store.audience(&put.content).unwrap().is_some());
        let nothing = ann.stored.remove("nothing", None).await.unwrap_err();
        assert!(matches!(nothing, ServiceError::NotStored(_)));
        let (other, _) = ann.write("notes 2", 10);
        let other = ann.put(&other, 2).await.0.unwrap();
        let start = &put.content.to_string()[..8];
        let removed = ann.stored.remove(start, Some(&network())).await.unwrap();
        assert_eq!((removed.dropped, removed.copies, &*removed.name), (2, 2, "notes"));
        assert!(!ben.holds(&put.content) && !cid.holds(&put.content));
        assert_eq!(ben.held_names(), [other.content.to_string()]);
        assert!(ann.fetcher.store.audience(&put.content).unwrap().is_none(), "nor is it shared");
        assert!(path.exists(), "the person's file stays");
        assert_eq!(ann.stored.list(None).await.unwrap().files, [other]);
    });
}

#[test]
fn what_is_taken_out_while_nobody_can_be_told_is_told_later() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let put = ann.store("notes", 5000, 1).await.0;
        ring.set_silent(true);
        let removed = ann.stored.remove("notes", None).await.unwrap();
        assert_eq!((removed.dropped, removed.copies), (0, 1));
        assert!(ann.stored.list(None).await.unwrap().files.is_empty());
        assert!(ben.holds(&put.content));
        ring.set_silent(false);
        until("it is told and dropped", || !ben.holds(&put.content)).await;
        until("and forgotten", || ann.fetcher.store.deposits().unwrap().is_empty()).await;
    });
}

#[test]
fn whoever_is_relieved_lets_go_only_when_the_others_have_it() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let (put, bytes) = ann.store("notes", 5000, 1).await;
        let full = Kind { quota: 0, ..Kind::default() };
        let cid = keeper_of(&net, &ring, CID, full, TempDir::new().unwrap()).await;
        ring.stand(&[CID, BEN, ANN]);
        // Longer than it would go on holding what others have.
        let linger = Kind::default().pace.linger;
        let since = tokio::time::Instant::now();
        until("time passes", || since.elapsed() > linger * 3).await;
        assert!(ben.holds(&put.content) && !cid.holds(&put.content));
        let dan = keeper(&net, &ring, DAN).await;
        ring.stand(&[DAN, BEN, ANN]);
        until("the new one has it", || dan.holds(&put.content)).await;
        until("the old one lets go", || !ben.holds(&put.content)).await;
        assert!(dan.held_bytes(&put.content) == bytes);
    });
}

#[test]
fn whoever_is_relieved_and_knows_better_tells_the_others() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let put = ann.store("notes", 5000, 1).await.0;
        ann.die().await;
        let cid = keeper(&net, &ring, CID).await;
        ring.lose(put.content);
        ring.stand(&[CID]);
        until("the new one has it", || cid.holds(&put.content)).await;
        until("the old one lets go", || !ben.holds(&put.content)).await;
    });
}

#[test]
fn a_fetch_that_was_killed_goes_on_and_its_room_is_counted() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let ann = keeper(&net, &ring, ANN).await;
        ring.stand(&[ANN]);
        let (path, bytes) = ann.write("film", 600_000);
        let content = hash(&bytes);
        let home = TempDir::new().unwrap();
        {
            // What a node leaves that is killed in the middle.
            let store = open(home.path(), &Faults::new()).await;
            let signed = deposit(ANN, content, 600_000, 1);
            let claim = HeldClaim {
                content,
                network: network(),
                peer: peer(ANN),
                name: "film".to_owned(),
                bytes: 600_000,
                expires_ms: signed.value.expires_ms,
                since_ms: 1,
                record: Vec::new(),
            };
            store.put_network(&network(), b"kept").unwrap();
            store.put_claim(&claim).unwrap();
            let (folder, name) = store.held_place(&content).unwrap();
            let plan = DownloadPlan {
                content,
                kind: PlanKind::File { size: 600_000, executable: false },
                name: name.clone(),
                chosen_name: Some(name),
                folder,
                on_exists: OnExists::Overwrite,
                selected: None,
            };
            let begun = store.begin_download(plan).unwrap();
            let first = begun.map().piece_len(0) as usize;
            begun.write(0, 0, &bytes[..first]).unwrap();
        }
        let kind = Kind { quota: 1_300_000, ..Kind::default() };
        let ben = keeper_of(&net, &ring, BEN, kind, home).await;
        ring.stand(&[BEN, ANN]);
        // Another's file would fit beside it only if the room were not taken already.
        ring.keep(deposit(EVE, ContentId([9; 32]), 650_000, 1));
        ring.keep(deposit(CID, ContentId([8; 32]), 640_000, 1));
        let put = ann.put(&path, 1).await.0.unwrap();
        assert_eq!(holders(&put), sorted(&[BEN]));
        assert!(ben.held_bytes(&content) == bytes);
        let part = |name: &String| name.starts_with('.') && name.contains(&content.to_string());
        assert!(!ben.held_names().iter().any(part), "what was begun was gone on with");
        assert_eq!(ben.stored.list(None).await.unwrap().held_bytes, 600_000);
    });
}

#[test]
fn what_is_held_is_held_after_a_restart() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let (put, bytes) = ann.store("notes", 5000, 1).await;
        let (home, ann_home) = (ben.die().await, ann.die().await);
        let ben = keeper_of(&net, &ring, BEN, Kind::default(), home).await;
        assert_eq!(ben.stored.list(None).await.unwrap().held_bytes, 5000);
        let ema = keeper(&net, &ring, EMA).await;
        assert!(get(&ema, put.content, 5000, &[BEN]).await == bytes);
        let ann = keeper_of(&net, &ring, ANN, Kind::default(), ann_home).await;
        assert_eq!(ann.stored.list(None).await.unwrap().files, [put]);
        let removed = ann.stored.remove("notes", None).await.unwrap();
        assert_eq!((removed.dropped, removed.copies), (1, 1));
        assert!(ben.held_names().is_empty());
    });
}

#[test]
fn a_deposit_that_lies_about_the_size_keeps_nobody_else_from_storing_the_file() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let mut kind = Kind::default();
        kind.pace.patience = Duration::from_millis(700);
        let ben = keeper_of(&net, &ring, BEN, kind, TempDir::new().unwrap()).await;
        let ann = keeper(&net, &ring, ANN).await;
        ring.stand(&[BEN, ANN]);
        let (path, bytes) = ann.write("film", 300_000);
        for size in [0, 1, 90_000_000] {
            ring.keep(deposit(60 + (size % 7) as u8, hash(&bytes), size, 1));
        }
        let put = ann.put(&path, 1).await.0.unwrap();
        until("it is there all the same", || ben.holds(&put.content)).await;
        assert!(ben.held_bytes(&put.content) == bytes);
    });
}

#[test]
fn what_is_not_renewed_runs_out_and_what_is_renewed_does_not() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let short = || {
            let mut kind = Kind::default();
            kind.pace.lifetime = Duration::from_millis(2500);
            kind
        };
        let ann = keeper_of(&net, &ring, ANN, short(), TempDir::new().unwrap()).await;
        let dan = keeper_of(&net, &ring, DAN, short(), TempDir::new().unwrap()).await;
        let ben = keeper(&net, &ring, BEN).await;
        ring.stand(&[BEN, ANN, DAN]);
        let renewed = ann.store("renewed", 5000, 1).await.0;
        let forgotten = dan.store("forgotten", 6000, 1).await.0;
        assert!(ben.holds(&forgotten.content));
        dan.die().await;
        until("it has run out", || !ben.holds(&forgotten.content)).await;
        assert!(ben.holds(&renewed.content));
        let now = ann.stored.list(None).await.unwrap().files.remove(0);
        assert!(now.expires_ms > renewed.expires_ms);
    });
}

#[test]
fn what_was_shared_before_stays_shared_as_it_was() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, _ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let (path, _) = ann.write("notes", 5000);
        let sharing = potluck_service::share::Sharing {
            paths: vec![path.clone()],
            name: None,
            tags: vec!["tag".to_owned()],
            listed: Default::default(),
            audience: Audience::anyone(),
            watch: false,
        };
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        potluck_service::share::offer(&ann.fetcher.store, sharing, &steps).await.unwrap();
        let put = ann.put(&path, 1).await.0.unwrap();
        let offer = ann.fetcher.store.offers().unwrap().remove(0);
        assert!(offer.audience.anyone && offer.listed.contains(&network()));
        assert_eq!(offer.tags, ["tag"]);
        ann.stored.remove("notes", None).await.unwrap();
        assert!(ann.fetcher.store.audience(&put.content).unwrap().unwrap().anyone);
    });
}

#[test]
fn folders_and_what_is_not_there_cannot_be_stored() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let ann = keeper(&net, &ring, ANN).await;
        ring.stand(&[ANN]);
        let absent = ann.folder.path().join("absent");
        for path in [ann.folder.path(), &absent] {
            let refused = ann.put(path, 1).await.0.unwrap_err();
            assert!(matches!(refused, ServiceError::NotStorable { .. }), "{refused}");
        }
        let (path, _) = ann.write("notes", 10);
        assert!(matches!(ann.put(&path, 0).await.0, Err(ServiceError::NotStorable { .. })));
        let alone = ann.put(&path, 3).await.0.unwrap_err();
        let ServiceError::NoCopies { why } = alone else { panic!("{alone}") };
        assert_eq!(why, "nobody else is on the circle");
    });
}

#[test]
fn strangers_are_told_nothing_about_copies() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let put = ann.store("notes", 5000, 1).await.0;
        assert!(ben.holds(&put.content));
        let (eve, end) = (someone(&net, 67), net.endpoint(peer(EVE)));
        let hand = Hand::dial(&end, BEN).await;
        let what = What::Stored { network: network() };
        let ask = |id, content| Frame::MetaRequest { id, content, what: what.clone() };
        hand.say(ask(1, put.content)).await;
        let refused = |id| Some(Frame::MetaRefused { id, why: Refusal::NotShared });
        assert_eq!(hand.hear().await, refused(1));
        hand.say(ask(2, ContentId([7; 32]))).await;
        assert_eq!(hand.hear().await, refused(2));
        assert!(!hand.joins(put.content).await, "nor is it served to them");
        drop(eve);
    });
}

#[test]
fn a_flood_of_deposits_fills_no_more_than_its_share() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let kind = Kind { quota: 100_000, ..Kind::default() };
        let ben = keeper_of(&net, &ring, BEN, kind, TempDir::new().unwrap()).await;
        let ann = keeper(&net, &ring, ANN).await;
        ring.stand(&[BEN, ANN]);
        for number in 0..40 {
            ring.keep(deposit(EVE, ContentId([number; 32]), 10_000, 1));
        }
        until("its share is taken", || ben.fetcher.store.claims().unwrap().len() == 5).await;
        let put = ann.store("notes", 50_000, 1).await.0;
        assert_eq!(holders(&put), sorted(&[BEN]));
        assert_eq!(ben.fetcher.store.claims().unwrap().len(), 6);
    });
}

#[test]
fn a_copy_that_vanished_from_the_disk_is_fetched_again() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben, fay] = keepers(&net, &ring, [ANN, BEN, FAY]).await;
        ring.stand(&[BEN, FAY, ANN]);
        let (put, bytes) = ann.store("notes", 5000, 2).await;
        ann.die().await;
        let (folder, name) = ben.fetcher.store.held_place(&put.content).unwrap();
        std::fs::remove_file(folder.join(name.as_str())).unwrap();
        until("it is there again", || ben.holds(&put.content)).await;
        assert!(ben.held_bytes(&put.content) == bytes);
        drop(fay);
    });
}

#[test]
fn a_member_is_told_how_a_copy_is() {
    story(async {
        let (net, ring) = (MemoryNet::new(), Ring::new());
        let [ann, ben] = keepers(&net, &ring, [ANN, BEN]).await;
        ring.stand(&[BEN, ANN]);
        let put = ann.store("notes", 5000, 1).await.0;
        let linked = ann.fetcher.peers.linked(peer(BEN)).unwrap();
        let ask = |content| {
            let (linked, what) = (Arc::clone(&linked), What::Stored { network: network() });
            async move { CopySaid::decode(&linked.ask(content, what, 1000).await.unwrap()) }
        };
        assert_eq!(ask(put.content).await, Some(CopySaid::There));
        assert_eq!(ask(ContentId([7; 32])).await, Some(CopySaid::Unasked));
        ring.keep(deposit(ANN, ContentId([7; 32]), u64::MAX, 1));
        until("it is refused", || ben.fetcher.store.claims().is_ok_and(|claims| claims.len() == 1))
            .await;
        let said = loop {
            match ask(ContentId([7; 32])).await {
                Some(CopySaid::Unasked) => tokio::task::yield_now().await,
                said => break said,
            }
        };
        let Some(CopySaid::Missing { why, again: false }) = said else { panic!("{said:?}") };
        assert!(why.contains("larger"), "{why}");
    });
}
