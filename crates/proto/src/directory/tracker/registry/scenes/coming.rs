//! Scenes in which peers come, go, and are called something.

use std::time::Duration;

use super::{
    Command, DAY_MS, Denial, EPOCH_MS, Event, Input, LEASE, Message, Notice, Reply, Request, Stage,
    Why, id, membership, network, presence, record,
};

/// The name and the time last seen in the answer to a registration.
#[track_caller]
fn welcome(answer: Result<Reply, Denial>) -> (String, Option<u64>) {
    match answer {
        Ok(Reply::Registered { nick, returning, .. }) => (nick, returning),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_registers_and_is_told_what_the_network_is() {
    let mut stage = Stage::new();
    let answer = stage.register(3, Some("ann"));
    let expected = Reply::Registered {
        nick: "ann".to_owned(),
        returning: None,
        lease_ms: 20_000,
        record: record(1),
        revocations: 0,
    };
    assert_eq!(answer, Ok(expected));
    let online =
        Event::Online { network: network(), peer: id(3), nick: "ann".to_owned(), returning: None };
    assert_eq!(stage.events(), [online]);
    assert_eq!(stage.ledger.membership(&network(), &id(3)), Some(&membership(3)));
}

#[test]
fn who_wants_no_name_gets_a_number_and_keeps_it() {
    let mut stage = Stage::new();
    assert_eq!(welcome(stage.register(3, None)), ("peer-1".to_owned(), None));
    assert_eq!(welcome(stage.register(5, None)), ("peer-2".to_owned(), None));
    stage.wait(LEASE);
    let seen = Some(EPOCH_MS + 1000);
    assert_eq!(welcome(stage.register(3, None)), ("peer-1".to_owned(), seen));
    // A number that somebody has chosen is left out.
    stage.register_again(5, Some("Peer-3")).unwrap();
    assert_eq!(welcome(stage.register(6, None)).0, "peer-4");
}

#[test]
fn a_returning_peer_is_welcomed_back_after_a_restart_and_under_another_address() {
    let mut stage = Stage::new();
    stage.register(3, Some("ann")).unwrap();
    let announced = presence(3, "ann", 1, EPOCH_MS + 1000);
    stage.ask(3, Request::Announce { presence: announced }).unwrap();
    stage.wait(Duration::from_secs(60));
    stage.restart();
    assert!(!stage.is_online(3));
    // Another link, another address: it is the key that counts.
    assert_eq!(welcome(stage.register(13, None)), ("ann".to_owned(), Some(EPOCH_MS + 1000)));
    let back = Event::Online {
        network: network(),
        peer: id(3),
        nick: "ann".to_owned(),
        returning: Some(EPOCH_MS + 1000),
    };
    assert_eq!(stage.events(), [back]);
    let resolved = stage.ask(13, Request::Resolve { peer: id(3) }).unwrap();
    assert!(matches!(resolved, Reply::Resolved { presence: Some(_), online: true, .. }));
}

#[test]
fn a_name_that_is_taken_is_refused_with_one_that_is_free() {
    let mut stage = Stage::new();
    stage.register(3, Some("Ann")).unwrap();
    let taken = |free: &str| Err(Denial::NickTaken { free: free.to_owned() });
    assert_eq!(stage.register(5, Some(" aNN ")), taken("aNN-2"));
    assert_eq!(welcome(stage.register_again(5, Some("aNN-2"))).0, "aNN-2");
    assert_eq!(stage.register(6, Some("ann")), taken("ann-3"));
    // The peer itself may write it in another way.
    assert_eq!(welcome(stage.register_again(3, Some("ANN"))).0, "ANN");
    assert_eq!(stage.refused(Why::Nick), 2);
}

#[test]
fn a_renamed_peer_frees_its_name_and_a_forgotten_one_too() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.register_again(3, Some("other")).unwrap();
    assert_eq!(stage.ask(5, Request::Find { nick: "p3".to_owned() }), Err(Denial::Unknown));
    stage.register_again(5, Some("p3")).unwrap();
    stage.ask(5, Request::Leave { forget: true }).unwrap();
    assert_eq!(stage.ask(3, Request::Find { nick: "p3".to_owned() }), Err(Denial::Unknown));
    stage.register_again(3, Some("p3")).unwrap();
    let found = stage.ask(3, Request::Find { nick: " P3 ".to_owned() }).unwrap();
    assert!(matches!(found, Reply::Members { members, .. } if members[0].peer == id(3)));
}

#[test]
fn names_that_act_on_a_screen_or_are_too_long_are_refused() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(3));
    let long = "x".repeat(33);
    for nick in ["", "  ", "a\u{1b}[2J", "gnp\u{202e}exe", "a\nb", &long] {
        let refused = stage.register_again(3, Some(nick));
        assert!(matches!(refused, Err(Denial::BadRecord(_))), "{nick:?}: {refused:?}");
    }
    let wide = "日".repeat(32);
    assert_eq!(welcome(stage.register_again(3, Some(&wide))).0, wide);
}

#[test]
fn a_dead_peer_is_offline_after_a_lease_and_comes_back_with_its_next_word() {
    let mut stage = Stage::registered(&[3]);
    stage.wait(LEASE / 2);
    stage.ask(3, Request::Renew).unwrap();
    stage.out.clear();
    stage.wait(LEASE - Duration::from_millis(1));
    assert!(stage.is_online(3) && stage.events().is_empty());
    stage.wait(Duration::from_millis(1));
    let last_seen_ms = EPOCH_MS + 11_000;
    let [Event::Offline { network: of, peer, nick, last_seen_ms: seen }] = &stage.events()[..]
    else {
        panic!("{:?}", stage.events());
    };
    assert_eq!((*of, *peer, *seen), (network(), id(3), last_seen_ms));
    assert!(stage.registry.named(&network(), nick) == Some(id(3)), "{nick}");
    assert!(!stage.is_online(3));
    // It was only slow: the link is still there.
    assert_eq!(stage.ask(3, Request::Renew), Ok(Reply::Done));
    assert!(stage.is_online(3));
    assert!(matches!(stage.events()[..], [Event::Online { returning: Some(_), .. }]));
}

#[test]
fn every_word_renews_the_lease() {
    let mut stage = Stage::registered(&[3]);
    for _ in 0..5 {
        stage.wait(LEASE - Duration::from_secs(1));
        stage.ask(3, Request::States).unwrap();
    }
    assert!(stage.is_online(3));
}

#[test]
fn a_cut_link_does_not_make_a_peer_offline_before_its_lease_ends() {
    let mut stage = Stage::registered(&[3]);
    stage.put(Input::LinkDown(3)).wait(LEASE / 2);
    assert!(stage.is_online(3));
    stage.register(3, None).unwrap();
    // It never was away.
    assert!(stage.events().is_empty());
    stage.put(Input::LinkDown(3)).wait(LEASE);
    assert!(!stage.is_online(3));
}

#[test]
fn who_leaves_is_offline_at_once_and_must_register_again() {
    let mut stage = Stage::registered(&[3]);
    assert_eq!(stage.ask(3, Request::Leave { forget: false }), Ok(Reply::Done));
    assert!(!stage.is_online(3));
    assert_eq!(stage.ask(3, Request::Renew), Err(Denial::Stranger));
    assert_eq!(welcome(stage.register_again(3, None)).0, "p3");
}

#[test]
fn two_links_of_one_peer_are_one_presence() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.register(13, None).unwrap();
    assert!(stage.events().is_empty());
    // One goes down, one leaves: only the last makes it offline.
    stage.ask(13, Request::Leave { forget: false }).unwrap();
    assert!(stage.is_online(3));
    stage.register_again(13, None).unwrap();
    stage.put(Input::LinkDown(3)).wait(LEASE / 2).ask(13, Request::Renew).unwrap();
    stage.wait(LEASE / 2);
    assert!(stage.is_online(3));
    assert_eq!(stage.registry.stats().online, 1);
    stage.command(Command::Kick { peer: id(3) });
    assert!(!stage.is_online(3) && stage.hung_up_on(13));
}

#[test]
fn an_answer_to_an_earlier_link_does_not_go_to_a_later_one() {
    let mut stage = Stage::registered(&[3]);
    stage.held = true;
    let announced = presence(3, "p3", 1, EPOCH_MS + 1000);
    let id = stage.send(3, Request::Announce { presence: announced });
    stage.put(Input::LinkDown(3)).put(Input::LinkUp(3)).work();
    assert_eq!(stage.answer(3, id), None);
    assert_eq!(stage.registry.stats().waiting, 0);
}

#[test]
fn a_presence_counts_while_it_is_new_true_and_of_its_peer() {
    let mut stage = Stage::registered(&[3, 5]);
    let hour = EPOCH_MS + 3_600_000;
    let announce = |signed| Request::Announce { presence: signed };
    let first = presence(3, "p3", 7, hour);
    assert_eq!(stage.ask(3, announce(first.clone())), Ok(Reply::Done));
    assert_eq!(stage.ask(3, announce(first.clone())), Ok(Reply::Done));
    let stale = Err(Denial::Stale { have: 7 });
    assert_eq!(stage.ask(3, announce(presence(3, "p3", 6, hour))), stale);
    assert_eq!(stage.ask(3, announce(presence(3, "p3", 7, hour + 1))), stale);
    assert_eq!(stage.ask(3, announce(presence(5, "p5", 8, hour))), Err(Denial::NotYours));
    let mut forged = presence(3, "p3", 8, hour);
    forged.value.addresses.clear();
    assert!(matches!(stage.ask(3, announce(forged)), Err(Denial::BadRecord(_))));
    let other_name = announce(presence(3, "p5", 8, hour));
    assert!(matches!(stage.ask(3, other_name), Err(Denial::BadRecord(_))));
    // An hour of skew either way is borne, a day is not.
    let behind = presence(3, "p3", 9, EPOCH_MS - 3_600_000);
    assert_eq!(stage.ask(3, announce(behind)), Ok(Reply::Done));
    assert_eq!(stage.ask(3, announce(presence(3, "p3", 10, hour + 3_600_000))), Ok(Reply::Done));
    let ahead = announce(presence(3, "p3", 11, hour + DAY_MS));
    assert!(matches!(stage.ask(3, ahead), Err(Denial::BadRecord(_))));
    let old = announce(presence(3, "p3", 12, EPOCH_MS - DAY_MS));
    assert!(matches!(stage.ask(3, old), Err(Denial::BadRecord(_))));
}

#[test]
fn addresses_that_were_not_renewed_are_no_longer_told() {
    let mut stage = Stage::registered(&[3, 5]);
    let announced = presence(3, "p3", 1, EPOCH_MS + 3_600_000);
    stage.ask(3, Request::Announce { presence: announced.clone() }).unwrap();
    let resolve = || Request::Resolve { peer: id(3) };
    let known =
        Reply::Resolved { presence: Some(announced), online: true, last_seen_ms: EPOCH_MS + 1000 };
    assert_eq!(stage.ask(5, resolve()), Ok(known));
    stage.wait(Duration::from_secs(4 * 3600));
    stage.register(5, None).unwrap();
    let unknown = Reply::Resolved { presence: None, online: false, last_seen_ms: EPOCH_MS + 1000 };
    assert_eq!(stage.ask(5, resolve()), Ok(unknown));
    assert_eq!(stage.ask(5, Request::Resolve { peer: id(9) }), Err(Denial::Unknown));
}

#[test]
fn the_time_last_seen_survives_a_crash_within_ten_minutes() {
    let mut stage = Stage::registered(&[3]);
    for _ in 0..70 {
        stage.wait(Duration::from_secs(10));
        stage.ask(3, Request::Renew).unwrap();
    }
    stage.restart();
    let (_, seen) = welcome(stage.register(3, None));
    assert!(seen.unwrap() >= EPOCH_MS + 600_000);
}

#[test]
fn a_link_without_a_registered_peer_is_ended_after_a_minute() {
    let mut stage = Stage::registered(&[3]);
    stage.put(Input::LinkUp(5)).put(Input::LinkUp(6));
    stage.wait(Duration::from_secs(30));
    stage.ask(3, Request::Renew).unwrap();
    // A stranger cannot keep its link by asking.
    assert_eq!(stage.ask(5, Request::Renew), Err(Denial::Stranger));
    stage.put(Input::LinkDown(6));
    stage.wait(Duration::from_secs(15)).ask(3, Request::Renew).unwrap();
    stage.wait(Duration::from_secs(14)).ask(3, Request::Renew).unwrap();
    stage.out.clear();
    stage.wait(Duration::from_secs(1));
    assert!(stage.hung_up_on(5) && !stage.hung_up_on(3) && !stage.hung_up_on(6));
    // One that has fallen silent is ended, too, after its lease and a minute.
    stage.wait(Duration::from_secs(79));
    assert!(stage.hung_up_on(3));
    assert_eq!(stage.registry.stats().links, 0);
}

#[test]
fn a_tracker_that_stops_tells_everybody() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.wait(Duration::from_secs(5)).ask(3, Request::Renew).unwrap();
    stage.out.clear();
    stage.command(Command::Close);
    assert_eq!(stage.notices(3), [Notice::Closing]);
    assert_eq!(stage.notices(5), [Notice::Closing]);
    stage.restart();
    assert_eq!(welcome(stage.register(3, None)).1, Some(EPOCH_MS + 6000));
}

#[test]
fn a_peer_that_answers_instead_of_asking_is_not_heard_for_long() {
    let mut stage = Stage::registered(&[3]);
    for _ in 0..16 {
        assert!(!stage.hung_up_on(3));
        let message = Message::Reply { id: 1, result: Ok(Reply::Done) };
        stage.put(Input::Received { from: 3, message });
    }
    assert!(stage.hung_up_on(3));
    assert_eq!(stage.refused(Why::Faults), 1);
}
