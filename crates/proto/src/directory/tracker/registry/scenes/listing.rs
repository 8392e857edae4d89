//! Scenes in which members list what they share, and others look for it.

use std::time::Duration;

use potluck_base::ContentId;
use potluck_identity::{Role, Signed};

use super::{
    DAY_MS, Denial, EPOCH_MS, Input, Page, Reply, Request, SHARE, Stage, entry, head, head_value,
    id, key, network, page, page_at, withdrawal,
};
use crate::directory::record::{root_of, share_digest};
use crate::directory::tracker::found::Standing;
use crate::directory::tracker::message::{PageState, Query, ShareState};

fn put_share(stage: &mut Stage, peer: u8, pages: u16, sequence: u64) -> Result<Reply, Denial> {
    stage.ask(peer, Request::PutShare { head: head(peer, pages, sequence) })
}

fn put_page(stage: &mut Stage, link: u8, page: Page) -> Result<Reply, Denial> {
    stage.ask(link, Request::PutPage { page })
}

/// Peer 3 lists two films.
fn listed() -> Stage {
    let mut stage = Stage::registered(&[3, 5]);
    put_share(&mut stage, 3, 1, 10).unwrap();
    put_page(&mut stage, 3, page(3, 10, &["film one.mkv", "film two.mkv"])).unwrap();
    stage
}

#[test]
fn what_a_member_lists_is_found_browsed_and_proved() {
    let mut stage = listed();
    let query = Query { words: "film".to_owned(), ..Query::default() };
    let Ok(Reply::Found(found)) = stage.ask(5, Request::Search { query }) else { panic!() };
    // The folder and both files.
    assert_eq!((found.groups.len(), found.more), (3, false));
    let mut kept = found.clone();
    assert_eq!(kept.drop_lies(&network(), stage.now_ms()), 0);
    assert!(found.groups.iter().all(|group| group.online == 1 && group.hits[0].peer == id(3)));

    let browse = |share, after: Option<&str>| Request::Browse {
        peer: id(3),
        share,
        after: after.map(str::to_owned),
    };
    let shares = Reply::Shares { shares: vec![head(3, 1, 10)], more: false };
    assert_eq!(stage.ask(5, browse(None, None)), Ok(shares));
    let none = Reply::Shares { shares: Vec::new(), more: false };
    assert_eq!(stage.ask(5, browse(None, Some(&SHARE.to_string()))), Ok(none));
    assert!(matches!(stage.ask(5, browse(None, Some("no key"))), Err(Denial::BadRecord(_))));
    let Ok(Reply::Entries { entries, more: false }) =
        stage.ask(5, browse(Some(SHARE), Some("film one.mkv")))
    else {
        panic!()
    };
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].0.path, "film two.mkv");
    assert_eq!(entries[0].1.check(&network(), &id(3), &entries[0].0), Ok(()));
}

#[test]
fn providers_come_with_what_they_say_of_themselves() {
    let mut stage = listed();
    let announced = super::presence(3, "p3", 1, EPOCH_MS + 3_600_000);
    stage.ask(3, Request::Announce { presence: announced.clone() }).unwrap();
    let content = entry("film one.mkv").content;
    let ask = || Request::Providers { content, offset: 0 };
    let Ok(Reply::Providers { providers, more: false }) = stage.ask(5, ask()) else { panic!() };
    let [provider] = &providers[..] else { panic!("{providers:?}") };
    assert_eq!(provider.presence.as_ref(), Some(&announced));
    assert!(provider.online);
    let checked = provider.check(&network(), &content, stage.now_ms());
    assert_eq!(checked, Ok(Standing::Signed));
    // Its files stay when it goes, marked so.
    stage.wait(Duration::from_secs(30));
    stage.register(5, None).unwrap();
    let Ok(Reply::Providers { providers, .. }) = stage.ask(5, ask()) else { panic!() };
    assert!(!providers[0].online);
    assert_eq!(providers[0].last_seen_ms, EPOCH_MS + 1000);
    let nobody = Request::Providers { content: ContentId([1; 32]), offset: 0 };
    let none = Reply::Providers { providers: Vec::new(), more: false };
    assert_eq!(stage.ask(5, nobody), Ok(none));
}

#[test]
fn both_sides_can_compare_what_is_listed() {
    let mut stage = listed();
    let leaves = page(3, 10, &["film one.mkv", "film two.mkv"]).check(&network(), &id(3)).unwrap();
    let root = root_of(&leaves);
    let state = ShareState { share: SHARE, sequence: 10, digest: share_digest([(0, root)]) };
    assert_eq!(stage.ask(3, Request::States), Ok(Reply::States { shares: vec![state] }));
    let roots = vec![PageState { page: 0, sequence: 10, root }];
    let expected = Reply::PageRoots { roots, more: false };
    assert_eq!(stage.ask(3, Request::PageRoots { share: SHARE, from: 0 }), Ok(expected.clone()));
    stage.restart();
    stage.register(3, None).unwrap();
    assert_eq!(stage.ask(3, Request::PageRoots { share: SHARE, from: 0 }), Ok(expected));
    let none = Reply::PageRoots { roots: Vec::new(), more: false };
    assert_eq!(stage.ask(3, Request::PageRoots { share: SHARE, from: 1 }), Ok(none));
    // An emptied page is the same as none.
    put_page(&mut stage, 3, page(3, 11, &[])).unwrap();
    let empty = ShareState { share: SHARE, sequence: 10, digest: share_digest([]) };
    assert_eq!(stage.ask(3, Request::States), Ok(Reply::States { shares: vec![empty] }));
}

#[test]
fn old_and_repeated_records_change_nothing() {
    let mut stage = listed();
    let stale = |have| Err(Denial::Stale { have });
    assert_eq!(put_share(&mut stage, 3, 1, 10), Ok(Reply::Done));
    assert_eq!(put_share(&mut stage, 3, 1, 9), stale(10));
    let mut other = head_value(3, 1, 10);
    other.name = "other".to_owned();
    let other = Signed::sign(&key(3), other);
    assert_eq!(stage.ask(3, Request::PutShare { head: other }), stale(10));
    let films = ["film one.mkv", "film two.mkv"];
    assert_eq!(put_page(&mut stage, 3, page(3, 10, &films)), Ok(Reply::Done));
    assert_eq!(put_page(&mut stage, 3, page(3, 9, &films)), stale(10));
    assert_eq!(put_page(&mut stage, 3, page(3, 10, &["film x"])), stale(10));
    assert_eq!(put_page(&mut stage, 3, page(3, 11, &["film x"])), Ok(Reply::Done));
    assert_eq!(stage.registry.stats().files, 1);
}

#[test]
fn a_withdrawn_share_is_gone_and_stays_gone() {
    let mut stage = listed();
    let withdraw = |sequence| Request::Withdraw { withdrawal: withdrawal(3, sequence) };
    assert_eq!(stage.ask(3, withdraw(10)), Err(Denial::Stale { have: 10 }));
    assert_eq!(stage.ask(3, withdraw(20)), Ok(Reply::Done));
    assert_eq!(stage.looks_for_films(5), 0);
    assert_eq!(stage.ask(3, withdraw(20)), Ok(Reply::Done));
    assert_eq!(stage.ask(3, withdraw(19)), Err(Denial::Stale { have: 20 }));
    let stats = stage.registry.stats();
    assert_eq!((stats.shares, stats.files, stats.bytes), (0, 0, 0));
    // What was signed before does not come back, not even after a restart.
    stage.restart();
    stage.register(3, None).unwrap();
    assert_eq!(put_share(&mut stage, 3, 1, 15), Err(Denial::Stale { have: 20 }));
    assert_eq!(put_share(&mut stage, 3, 1, 21), Ok(Reply::Done));
    let old = put_page(&mut stage, 3, page(3, 10, &["film one.mkv"]));
    assert_eq!(old, Err(Denial::Stale { have: 20 }));
    assert_eq!(put_page(&mut stage, 3, page(3, 21, &["film one.mkv"])), Ok(Reply::Done));
}

#[test]
fn nobody_lists_withdraws_or_announces_for_another() {
    let mut stage = listed();
    let theirs = [
        Request::PutShare { head: head(3, 1, 30) },
        Request::PutPage { page: page(3, 30, &["x"]) },
        Request::Withdraw { withdrawal: withdrawal(3, 30) },
    ];
    for request in theirs {
        // A page of a share that the sender does not list is unknown before it is read.
        let refused = stage.ask(5, request);
        assert!(matches!(refused, Err(Denial::NotYours | Denial::Unknown)), "{refused:?}");
    }
    put_share(&mut stage, 5, 1, 30).unwrap();
    assert_eq!(put_page(&mut stage, 5, page(3, 30, &["x"])), Err(Denial::NotYours));
    // Signed by one, in the name of another.
    let forged = Signed::sign(&key(5), head_value(3, 1, 30));
    assert_eq!(stage.ask(5, Request::PutShare { head: forged }), Err(Denial::NotYours));
    let forged = Signed::sign(&key(5), head_value(3, 1, 30));
    let bad = stage.ask(3, Request::PutShare { head: forged });
    assert!(matches!(bad, Err(Denial::BadRecord(_))));
    let mut elsewhere = head_value(3, 1, 30);
    elsewhere.network = potluck_base::NetworkId([1; 32]);
    let elsewhere = Signed::sign(&key(3), elsewhere);
    assert_eq!(stage.ask(3, Request::PutShare { head: elsewhere }), Err(Denial::NotYours));
    // The folder of peer 5 has the same content.
    assert_eq!(stage.looks_for_films(5), 3);
}

#[test]
fn a_guest_looks_but_does_not_list() {
    let mut stage = listed();
    stage.register(4, None).unwrap();
    assert_eq!(stage.looks_for_films(4), 3);
    let refused = Err(Denial::Role { needed: Role::Member });
    assert_eq!(put_share(&mut stage, 4, 1, 10), refused);
    assert_eq!(put_page(&mut stage, 4, page(4, 10, &["x"])), refused);
}

#[test]
fn records_live_a_month_and_an_hour_of_skew_is_borne() {
    let mut stage = Stage::registered(&[3]);
    let mut expiring = |expires_ms: u64, sequence: u64| {
        let mut value = head_value(3, 1, sequence);
        value.expires_ms = expires_ms;
        let head = Signed::sign(&key(3), value);
        stage.ask(3, Request::PutShare { head })
    };
    assert_eq!(expiring(EPOCH_MS - 3_600_000, 1), Ok(Reply::Done));
    assert_eq!(expiring(EPOCH_MS + 30 * DAY_MS + 3_600_000, 2), Ok(Reply::Done));
    assert!(matches!(expiring(EPOCH_MS - 3 * 3_600_000, 3), Err(Denial::BadRecord(_))));
    assert!(matches!(expiring(EPOCH_MS + 31 * DAY_MS, 4), Err(Denial::BadRecord(_))));
}

#[test]
fn what_is_not_renewed_expires() {
    let mut stage = listed();
    stage.wait(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(stage.registry.stats().files, 2);
    stage.wait(Duration::from_secs(4 * 3600));
    let stats = stage.registry.stats();
    assert_eq!((stats.shares, stats.files, stats.bytes), (0, 0, 0));
    stage.register(5, None).unwrap();
    assert_eq!(stage.looks_for_films(5), 0);
}

#[test]
fn a_renewed_share_loses_only_the_pages_that_were_not() {
    let mut stage = listed();
    let mut value = head_value(3, 1, 40);
    value.expires_ms = EPOCH_MS + 31 * DAY_MS;
    let head = Signed::sign(&key(3), value);
    stage.wait(Duration::from_secs(20 * 24 * 3600));
    stage.register(3, None).unwrap();
    stage.ask(3, Request::PutShare { head }).unwrap();
    stage.wait(Duration::from_secs(10 * 24 * 3600 + 4 * 3600));
    let stats = stage.registry.stats();
    assert_eq!((stats.shares, stats.files), (1, 0));
}

#[test]
fn another_number_of_pages_drops_those_that_are_there() {
    let paths = ["a", "b", "c", "d"];
    let mut stage = Stage::registered(&[3]);
    put_share(&mut stage, 3, 1, 10).unwrap();
    put_page(&mut stage, 3, page(3, 10, &paths)).unwrap();
    assert_eq!(stage.registry.stats().files, 4);
    put_share(&mut stage, 3, 2, 11).unwrap();
    assert_eq!(stage.registry.stats().files, 0);
    assert_eq!(put_page(&mut stage, 3, page(3, 12, &paths)), Err(Denial::Unknown));
    for number in [0, 1] {
        put_page(&mut stage, 3, page_at(3, number, 2, 12, &paths)).unwrap();
    }
    assert_eq!(stage.registry.stats().files, 4);
}

#[test]
fn pages_may_follow_their_head_before_it_is_committed() {
    let mut stage = Stage::registered(&[3]);
    let early = put_page(&mut stage, 3, page(3, 10, &["x"]));
    assert_eq!(early, Err(Denial::Unknown));
    stage.held = true;
    let first = stage.send(3, Request::PutShare { head: head(3, 1, 10) });
    let second = stage.send(3, Request::PutPage { page: page(3, 10, &["film"]) });
    assert_eq!((stage.answer(3, first), stage.answer(3, second)), (None, None));
    stage.work();
    assert_eq!(stage.answer(3, first), Some(Ok(Reply::Done)));
    assert_eq!(stage.answer(3, second), Some(Ok(Reply::Done)));
    assert_eq!(stage.registry.stats().files, 1);
}

#[test]
fn members_are_listed_in_order_with_what_they_have() {
    let mut stage = listed();
    let Ok(Reply::Members { members, more: false }) =
        stage.ask(5, Request::Members { after: None })
    else {
        panic!()
    };
    assert!(members.windows(2).all(|pair| pair[0].peer < pair[1].peer));
    let lister = members.iter().find(|member| member.peer == id(3)).unwrap();
    assert_eq!((lister.shares, lister.files, lister.bytes), (1, 2, 1000));
    let last = members[1].peer;
    let after = stage.ask(5, Request::Members { after: Some(members[0].peer) });
    assert!(matches!(after, Ok(Reply::Members { members, .. }) if members[0].peer == last));
}

#[test]
fn who_is_offline_is_found_as_offline_after_a_crash_of_the_tracker() {
    let mut stage = listed();
    stage.restart();
    stage.put(Input::LinkUp(5));
    stage.register_again(5, None).unwrap();
    let query = Query { words: "cinema".to_owned(), ..Query::default() };
    let Ok(Reply::Found(found)) = stage.ask(5, Request::Search { query }) else { panic!() };
    assert_eq!(found.groups.len(), 3);
    assert!(found.groups.iter().all(|group| group.online == 0 && !group.hits[0].online));
}
