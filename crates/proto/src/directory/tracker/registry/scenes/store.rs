//! Scenes in which the store has the last word: others write, too, and it may fail.

use super::{
    Command, Denial, EPOCH_MS, Effect, Event, Input, Outcome, Reply, Request, Role, Stage, Why,
    head, id, invite, membership, network, page, presence, record, withdrawal,
};
use crate::directory::tracker::change::{Answer, Change, Conflict, Written};
use potluck_identity::Revocations;

/// Another tracker commits a change; ours has not noticed yet.
#[track_caller]
fn elsewhere(stage: &mut Stage, change: Change) -> Change {
    stage.alone = false;
    stage.ledger.write(change.clone()).unwrap();
    change
}

fn member(peer: u8, nick: &str) -> Change {
    Change::PutMember {
        network: network(),
        peer: id(peer),
        nick: nick.to_owned(),
        role: Role::Member,
        membership: membership(peer),
        at_ms: EPOCH_MS,
    }
}

/// Lets everything that waits fail.
fn fail(stage: &mut Stage) {
    for effect in std::mem::take(&mut stage.waiting) {
        let outcome = match effect {
            Effect::Write { job, .. } => {
                Outcome::Written { job, result: Err(Conflict::Unavailable) }
            }
            Effect::Ask { job, .. } => Outcome::Answered { job, answer: Answer::Unavailable },
        };
        stage.put(Input::Done(outcome));
    }
}

#[test]
fn a_name_that_another_tracker_gave_away_is_taken() {
    let mut stage = Stage::new();
    elsewhere(&mut stage, member(5, "ann"));
    let taken = Err(Denial::NickTaken { free: "ann-2".to_owned() });
    assert_eq!(stage.register(3, Some("ann")), taken);
    // A number is simply followed by the next.
    elsewhere(&mut stage, member(6, "peer-1"));
    let Ok(Reply::Registered { nick, .. }) = stage.register_again(3, None) else { panic!() };
    assert_eq!(nick, "peer-2");
}

#[test]
fn a_use_that_another_tracker_counted_is_used() {
    let mut stage = Stage::new();
    let invite = invite(Role::Member, 1, 50);
    let key = invite.grant.as_ref().unwrap().capability.value.key;
    let (network, peer) = (network(), id(5));
    let admit = Change::Admit { network, invite: key, uses: 1, peer, at_ms: EPOCH_MS };
    elsewhere(&mut stage, admit);
    stage.put(Input::LinkUp(6));
    let join = Request::Join { membership: invite.redeem(id(6), EPOCH_MS) };
    assert_eq!(stage.ask(6, join), Err(Denial::UsedUp));
}

#[test]
fn what_another_tracker_took_in_is_newer_until_it_is_noticed_and_then_known() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.ask(3, Request::PutShare { head: head(3, 1, 5) }).unwrap();
    let shared = elsewhere(&mut stage, Change::PutShare { head: head(3, 1, 9) });
    let listed = page(3, 9, &["film"]);
    let leaves = listed.check(&network(), &id(3)).unwrap();
    let paged = elsewhere(&mut stage, Change::PutPage { page: listed, leaves });
    let announced = presence(3, "p3", 9, EPOCH_MS + 3_600_000);
    let present = elsewhere(&mut stage, Change::PutPresence { presence: announced });
    let put = || Request::PutShare { head: head(3, 1, 7) };
    let stale = Err(Denial::Stale { have: 9 });
    assert_eq!(stage.ask(3, put()), stale, "the store says so");
    for change in [shared, paged, present] {
        stage.command(Command::Noticed(change));
    }
    assert_eq!(stage.registry.stats().files, 1);
    stage.held = true;
    assert_eq!(stage.ask(3, put()), stale, "we know it");
    let old = presence(3, "p3", 8, EPOCH_MS + 3_600_000);
    assert_eq!(stage.ask(3, Request::Announce { presence: old }), stale);
    stage.work();
    let gone = Change::Withdraw { withdrawal: withdrawal(3, 10), at_ms: EPOCH_MS };
    elsewhere(&mut stage, gone.clone());
    stage.command(Command::Noticed(gone));
    assert_eq!(stage.registry.stats().shares, 0);
}

#[test]
fn a_revocation_that_another_tracker_took_in_ends_sessions_here() {
    let mut stage = Stage::registered(&[2, 3]);
    let none = Revocations::none(network());
    let revocations = super::revoking(&[3], &none);
    let change = Change::PutRevocations { network: network(), expected: 0, revocations };
    elsewhere(&mut stage, change.clone());
    // Two admins at once: the later list does not take the place of the earlier unread.
    let mine = Request::Revoke { revocations: super::revoking(&[5], &none) };
    assert_eq!(stage.ask(2, mine), Err(Denial::Stale { have: 1 }));
    assert!(stage.is_online(3));
    stage.command(Command::Noticed(change.clone()));
    assert!(!stage.is_online(3));
    assert_eq!(stage.ask(3, Request::Renew), Err(Denial::Stranger));
    // Twice is once.
    stage.out.clear();
    stage.command(Command::Noticed(change));
    assert_eq!(stage.events(), []);
}

#[test]
fn members_and_networks_of_another_tracker_are_taken_over() {
    let mut stage = Stage::empty();
    for change in [Change::PutNetwork { record: record(1) }, member(5, "ann")] {
        elsewhere(&mut stage, change.clone());
        stage.command(Command::Noticed(change));
    }
    stage.register(3, None).unwrap();
    let found = stage.ask(3, Request::Find { nick: "ann".to_owned() });
    assert!(matches!(found, Ok(Reply::Members { members, .. }) if !members[0].online));
    let banned = Change::Ban { peer: id(3), at_ms: EPOCH_MS };
    elsewhere(&mut stage, banned.clone());
    stage.command(Command::Noticed(banned));
    assert!(stage.hung_up_on(3));
    let gone = Change::DropMember { network: network(), peer: id(5) };
    elsewhere(&mut stage, gone.clone());
    stage.command(Command::Noticed(gone));
    assert_eq!(stage.registry.stats().members, 0);
}

#[test]
fn nothing_counts_before_it_is_committed() {
    let mut stage = Stage::registered(&[3]);
    stage.held = true;
    let put = stage.send(3, Request::PutShare { head: head(3, 1, 5) });
    assert_eq!(stage.answer(3, put), None);
    assert_eq!(stage.registry.stats().shares, 0);
    fail(&mut stage);
    assert_eq!(stage.answer(3, put), Some(Err(Denial::Unavailable { retry_ms: 1000 })));
    assert_eq!(stage.registry.stats().shares, 0);
    // The page of a share that never came is unknown.
    let page = Request::PutPage { page: page(3, 5, &["x"]) };
    assert_eq!(stage.ask(3, page), Err(Denial::Unknown));
}

#[test]
fn a_store_that_fails_is_not_the_end() {
    let mut stage = Stage::registered(&[3]);
    stage.held = true;
    let asked = stage.send(3, Request::Search { query: Default::default() });
    stage.put(Input::LinkUp(5));
    let body = Request::Register { membership: membership(5), nick: None, revocations: 0 };
    let registering = stage.send(5, body);
    fail(&mut stage);
    let unavailable = Some(Err(Denial::Unavailable { retry_ms: 1000 }));
    assert_eq!(stage.answer(3, asked), unavailable);
    assert_eq!(stage.answer(5, registering), unavailable);
    assert_eq!(stage.refused(Why::Unavailable), 2);
    assert_eq!(stage.registry.stats().waiting, 0);
    stage.work();
    assert!(stage.register(5, None).is_ok());
}

#[test]
fn a_revoked_member_that_could_not_be_dropped_is_dropped_later() {
    let mut stage = Stage::registered(&[2, 3]);
    let revocations = super::revoking(&[3], &Revocations::none(network()));
    stage.held = true;
    let list = stage.send(2, Request::Revoke { revocations: revocations.clone() });
    let Some(Effect::Write { job, change }) = stage.waiting.pop() else { panic!() };
    let result = stage.ledger.write(change);
    stage.put(Input::Done(Outcome::Written { job, result }));
    assert_eq!(stage.answer(2, list), Some(Ok(Reply::Done)));
    fail(&mut stage);
    assert_eq!(stage.registry.stats().members, 2);
    stage.work();
    stage.wait(std::time::Duration::from_secs(2 * 3600));
    assert_eq!(stage.registry.stats().members, 1);
    assert!(stage.ledger.membership(&network(), &id(3)).is_none());
}

#[test]
fn an_outcome_that_nobody_waits_for_is_harmless() {
    let mut stage = Stage::registered(&[3]);
    stage.out.clear();
    stage.put(Input::Done(Outcome::Written { job: 999, result: Ok(Written::Done) }));
    stage.put(Input::Done(Outcome::Answered { job: 999, answer: Answer::Unavailable }));
    assert!(stage.out.is_empty());
    assert!(!stage.events().contains(&Event::Hosted { network: network() }));
}
