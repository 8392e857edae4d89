//! Scenes in which a tracker is found, and lets us in or not.

use std::collections::BTreeSet;

use potluck_base::limits;

use super::{
    Command, Denial, Event, Nick, Notice, Reply, Request, Revocations, Stage, Timer, Why, admitted,
    is_announce, is_join, is_register, is_states, key, network_key, owner, record, redeemed,
    registered, seconds, setup, tracker_key,
};

#[test]
fn a_member_registers_announces_itself_and_asks_what_is_known() {
    let mut stage = Stage::new(setup(1));
    assert_eq!(stage.start().dials(), [0]);
    stage.link_up(0);
    let register = stage.requests().remove(0).2;
    assert!(matches!(register, Request::Register { nick: None, revocations: 0, .. }));
    stage.let_in();
    let connected = Event::Connected { peer: 0, nick: "peer-7".into(), returning: None };
    assert_eq!(stage.events(), [connected]);
    assert!(stage.requests().iter().any(|(_, _, body)| is_states(body)));
    let announced = stage.requests().into_iter().find_map(|(_, _, body)| match body {
        Request::Announce { presence } => Some(presence),
        _ => None,
    });
    let presence = announced.unwrap();
    assert_eq!(presence.value.nick, "peer-7");
    assert!(presence.verify(&key(1).peer_id()).is_ok());
}

#[test]
fn an_invite_is_counted_first_and_the_membership_is_handed_out() {
    let mut stage = Stage::new(super::Setup { membership: redeemed(), ..setup(1) });
    stage.start().link_up(0);
    assert!(!stage.requests().iter().any(|(_, _, body)| is_register(body)));
    let membership = admitted(&tracker_key(0));
    stage.reply(is_join, Ok(Reply::Admitted { membership: membership.clone() }));
    assert_eq!(stage.events(), [Event::Admitted(membership)]);
    stage.let_in();
    assert_eq!(stage.client.tracker(), Some(0));
}

#[test]
fn an_admission_that_no_tracker_of_the_network_signed_is_not_believed() {
    let mut stage = Stage::new(super::Setup { membership: redeemed(), ..setup(1) });
    stage.start().link_up(0);
    let membership = admitted(&key(77));
    stage.reply(is_join, Ok(Reply::Admitted { membership }));
    assert!(matches!(stage.events()[0], Event::Liar { peer: 0, .. }));
    assert_eq!(stage.requests(), []);
    assert_eq!(stage.wait(seconds(200.0)).requests(), [], "not asked again for a while");
}

#[test]
fn an_invite_that_is_used_up_is_told_and_not_tried_tightly() {
    let mut stage = Stage::new(super::Setup { membership: redeemed(), ..setup(1) });
    stage.start().link_up(0).reply(is_join, Err(Denial::UsedUp));
    assert_eq!(stage.events()[0], Event::Denied(Denial::UsedUp));
    assert_eq!(stage.wait(seconds(290.0)).requests(), []);
    assert!(is_join(&stage.wait(seconds(30.0)).requests()[0].2));
}

#[test]
fn an_owner_with_the_token_creates_the_network_first() {
    let membership = owner();
    let setup = super::Setup { key: key(50), membership, token: Some([3; 16]), ..setup(1) };
    let mut stage = Stage::new(setup);
    stage.start().link_up(0);
    let is_host =
        |request: &Request| matches!(request, Request::Host { token, .. } if *token == [3; 16]);
    stage.reply(is_host, Ok(Reply::Hosted)).let_in();
    stage.link_down(0).wait(seconds(1.1));
    assert!(is_register(&stage.link_up(0).requests()[0].2), "once is enough");
}

#[test]
fn who_was_a_member_and_is_a_stranger_now_is_expelled_and_asks_every_five_minutes() {
    let mut stage = Stage::settled();
    stage.link_down(0).wait(seconds(1.1));
    stage.link_up(0).reply(is_register, Err(Denial::Stranger));
    assert_eq!(stage.events()[0], Event::Expelled);
    assert!(matches!(stage.events()[1], Event::Away { why: Why::Denied, .. }));
    assert_eq!(stage.wait(seconds(295.0)).requests(), []);
    stage.wait(seconds(6.0)).reply(is_register, Err(Denial::Stranger));
    assert!(!stage.events().contains(&Event::Expelled), "said once");
    stage.wait(seconds(302.0)).let_in();
    assert!(matches!(stage.events()[0], Event::Connected { .. }));
}

#[test]
fn a_stranger_is_denied_by_one_tracker_and_tries_the_other() {
    let mut stage = Stage::new(setup(2));
    let first = stage.start().dials()[0];
    stage.link_up(first).reply(is_register, Err(Denial::Stranger));
    assert_eq!(stage.dials(), [1 - first]);
    assert!(!stage.events().contains(&Event::Expelled));
    stage.link_up(1 - first).let_in();
    assert_eq!(stage.client.tracker(), Some(1 - first));
}

#[test]
fn all_trackers_are_dialled_when_one_does_not_answer() {
    let mut stage = Stage::new(setup(3));
    let mut dialled: BTreeSet<u8> = stage.start().dials().into_iter().collect();
    assert_eq!(dialled.len(), 1);
    dialled.extend(stage.wait(seconds(4.0)).dials());
    assert_eq!(dialled.len(), 3);
    stage.dial_failed(0).dial_failed(1);
    stage.link_up(2).let_in();
    assert_eq!(stage.client.tracker(), Some(2));
}

#[test]
fn peers_spread_over_trackers_and_over_time() {
    let (mut first, mut pauses) = ([0; 3], Vec::new());
    for seed in 0..60 {
        let mut stage = Stage::new(super::Setup { seed, ..setup(3) });
        first[usize::from(stage.start().dials()[0])] += 1;
        let mut stage = Stage::new(super::Setup { seed, ..setup(1) });
        stage.start().link_up(0).let_in().link_down(0);
        pauses.push(stage.timers[&Timer::Dial].since(stage.now).as_millis());
    }
    assert!(first.iter().all(|count| *count > 8), "{first:?}");
    assert!(pauses.iter().all(|pause| (100..=1000).contains(pause)), "{pauses:?}");
    pauses.sort_unstable();
    assert!(pauses[15] < 500 && pauses[45] > 600, "{pauses:?}");
}

#[test]
fn a_tracker_that_is_gone_is_dialled_less_and_less_often_but_often_enough() {
    let mut stage = Stage::settled();
    stage.link_down(0);
    let mut pauses = Vec::new();
    for _ in 0..40 {
        let before = stage.now;
        let at = stage.timers[&Timer::Dial];
        stage.wait(at.since(before));
        assert_eq!(stage.dials(), [0]);
        pauses.push(at.since(before));
        stage.dial_failed(0);
    }
    assert!(pauses[0] <= seconds(1.0) && pauses[1] <= seconds(2.0));
    assert!(pauses.iter().all(|pause| *pause <= limits::TRACKER_REDIAL_MAX));
    assert!(pauses[8..].iter().sum::<std::time::Duration>() > seconds(80.0));
}

#[test]
fn a_nick_that_was_only_suggested_is_numbered_and_a_chosen_one_is_told() {
    let nick = |nick: Nick| Stage::new(super::Setup { nick, ..setup(1) });
    let asked = |stage: &Stage| match &stage.requests()[0].2 {
        Request::Register { nick, .. } => nick.clone(),
        other => panic!("{other:?}"),
    };
    let taken = || Err(Denial::NickTaken { free: "ada-2".into() });

    let mut stage = nick(Nick::Suggested("ada".into()));
    stage.start().link_up(0);
    assert_eq!(asked(&stage).as_deref(), Some("ada"));
    stage.reply(is_register, taken());
    assert_eq!((asked(&stage).as_deref(), stage.events()), (Some("ada-2"), Vec::new()));
    stage.reply(is_register, taken());
    assert_eq!(asked(&stage), None, "a tracker cannot make it ask for ever");

    let mut stage = nick(Nick::Chosen("ada".into()));
    stage.start().link_up(0).reply(is_register, taken());
    let told = Event::NickTaken { wanted: "ada".into(), free: "ada-2".into() };
    assert_eq!((asked(&stage), stage.events()), (None, vec![told]));
}

#[test]
fn another_name_is_taken_without_leaving_the_session() {
    let mut stage = Stage::settled();
    stage.command(Command::Rename(Nick::Chosen("ada".into())));
    stage.reply(is_register, Ok(registered("ada", 0)));
    assert!(!stage.requests().iter().any(|(_, _, body)| is_states(body)));
    let announced = stage.requests().into_iter().find_map(|(_, _, body)| match body {
        Request::Announce { presence } => Some(presence.value.nick),
        _ => None,
    });
    assert_eq!(announced.as_deref(), Some("ada"));
    stage.command(Command::Rename(Nick::Chosen("bob".into())));
    stage.reply(is_register, Err(Denial::NickTaken { free: "bob-2".into() }));
    assert!(matches!(stage.events()[0], Event::NickTaken { .. }));
    assert_eq!(stage.client.tracker(), Some(0));
}

#[test]
fn a_busy_tracker_is_asked_again_after_the_pause_that_it_names() {
    let mut stage = Stage::new(setup(1));
    stage.start().link_up(0).reply(is_register, Err(Denial::Busy { retry_ms: 5000 }));
    assert_eq!(stage.wait(seconds(4.9)).requests(), []);
    assert!(is_register(&stage.wait(seconds(3.0)).requests()[0].2), "on the same link");
    assert_eq!(stage.dials(), []);
}

#[test]
fn newer_records_and_lists_are_taken_if_they_are_signed_and_older_ones_are_not() {
    let mut stage = Stage::settled();
    let newer = record(2, 5);
    assert_eq!(
        stage.notice(Notice::Record(newer.clone())).events(),
        [Event::Record(newer.clone())]
    );
    assert_eq!(stage.notice(Notice::Record(record(1, 4))).events(), []);
    let mut forged = record(3, 9);
    forged.value.name = "other".into();
    assert!(matches!(stage.notice(Notice::Record(forged)).events()[0], Event::Liar { .. }));
    assert_eq!(stage.client.record(), &newer);

    let none = Revocations::none(network_key().network_id());
    let first = none.next(&key(50), owner(), [key(66).peer_id()], super::EPOCH).unwrap();
    let second = first.next(&key(50), owner(), [key(67).peer_id()], super::EPOCH).unwrap();
    let told = stage.notice(Notice::Revoked(second.clone())).events();
    assert_eq!(told, [Event::Revoked(second)]);
    assert_eq!(stage.notice(Notice::Revoked(first)).events(), []);
    let forged = none.next(&key(66), admitted(&tracker_key(0)), [], super::EPOCH).unwrap();
    let forged = forged.next(&key(66), admitted(&tracker_key(0)), [], super::EPOCH).unwrap();
    let forged = forged.next(&key(66), admitted(&tracker_key(0)), [], super::EPOCH).unwrap();
    let told = stage.notice(Notice::Revoked(forged)).events();
    assert!(matches!(told[..], [Event::Liar { .. }]));
}

#[test]
fn who_reads_its_own_name_in_the_list_is_expelled_at_once() {
    let mut stage = Stage::settled();
    let none = Revocations::none(network_key().network_id());
    let list = none.next(&key(50), owner(), [super::me()], super::EPOCH).unwrap();
    let events = stage.notice(Notice::Revoked(list)).events();
    assert!(events.contains(&Event::Expelled));
    assert_eq!(stage.client.tracker(), None);
    assert_eq!(stage.wait(seconds(290.0)).dials(), []);
}

#[test]
fn a_tracker_with_an_older_list_is_given_ours() {
    let none = Revocations::none(network_key().network_id());
    let list = none.next(&key(50), owner(), [key(66).peer_id()], super::EPOCH).unwrap();
    let mut stage = Stage::new(super::Setup { revocations: list.clone(), ..setup(1) });
    stage.start().link_up(0).reply(is_register, Ok(registered("peer-7", 0)));
    let told = |request: &Request| *request == Request::Revoke { revocations: list.clone() };
    assert!(stage.requests().iter().any(|(_, _, body)| told(body)));
}

#[test]
fn a_presence_is_signed_again_when_something_changes_and_before_it_expires() {
    let mut stage = Stage::settled();
    let about = super::About { agent: "potluck/2".into(), ..Default::default() };
    stage.command(Command::About(about.clone())).reply(is_announce, Ok(Reply::Done));
    assert_eq!(stage.command(Command::About(about)).requests(), [], "nothing new");
    let mut announced = 0;
    for _ in 0..62 * 60 {
        for (_, id, body) in stage.wait(seconds(1.0)).requests() {
            announced += usize::from(is_announce(&body));
            stage.answer(id, Ok(Reply::Done));
        }
    }
    assert_eq!(announced, 2, "every half hour");
}

#[test]
fn who_leaves_says_so_and_answers_nothing_more() {
    let mut stage = Stage::settled();
    stage.command(Command::Leave { forget: true });
    assert_eq!(stage.requests()[0].2, Request::Leave { forget: true });
    assert!(stage.client.has_left());
    assert!(stage.link_down(0).out.is_empty());
    assert!(stage.wait(seconds(100.0)).out.is_empty());
}
