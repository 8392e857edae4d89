//! Scenes in which networks are hosted and invites redeemed.

use potluck_identity::Basis;

use super::{
    Command, DAY_MS, Denial, EPOCH_MS, Event, Input, Membership, Message, Notice, Policy, Reply,
    Request, Role, Signed, Stage, TOKEN, id, invite, key, membership, network, network_key, owner,
    record,
};

fn host(sequence: u64, token: [u8; 16]) -> Request {
    Request::Host { token, record: record(sequence), owner: owner() }
}

fn join(membership: Membership) -> Request {
    Request::Join { membership }
}

/// The number of the invite's use in an admission.
#[track_caller]
fn use_number(answer: Result<Reply, Denial>) -> u32 {
    match answer {
        Ok(Reply::Admitted { membership }) => match membership.basis {
            Basis::Invited { admission: Some(admission), .. } => admission.value.number,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_owner_with_the_token_creates_a_network_and_everybody_hears_of_its_new_record() {
    let mut stage = Stage::empty();
    stage.put(Input::LinkUp(1));
    assert_eq!(stage.ask(1, host(1, [8; 16])), Err(Denial::Stranger));
    assert_eq!(stage.ask(1, host(1, TOKEN)), Ok(Reply::Hosted));
    assert_eq!(stage.events(), [Event::Hosted { network: network() }]);
    assert_eq!(stage.ask(1, host(1, TOKEN)), Ok(Reply::Hosted));
    stage.register(3, None).unwrap();
    // The owner of a network that is here needs no token.
    assert_eq!(stage.ask(1, host(2, [8; 16])), Ok(Reply::Hosted));
    assert_eq!(stage.notices(3), [Notice::Record(record(2))]);
    assert_eq!(stage.ask(1, host(1, TOKEN)), Err(Denial::Stale { have: 2 }));
    assert_eq!(stage.ask(3, Request::Record), Ok(Reply::Record(record(2))));
    stage.restart();
    stage.register(3, None).unwrap();
    assert_eq!(stage.ask(3, Request::Record), Ok(Reply::Record(record(2))));
}

#[test]
fn a_network_is_taken_only_from_its_owner_and_only_if_it_names_this_tracker() {
    let mut stage = Stage::empty();
    stage.put(Input::LinkUp(1)).put(Input::LinkUp(2));
    let other = |owner| Request::Host { token: TOKEN, record: record(1), owner };
    assert_eq!(stage.ask(2, other(owner())), Err(Denial::Stranger));
    assert_eq!(stage.ask(2, other(membership(2))), Err(Denial::Stranger));
    let forged = Signed::sign(&key(1), record(1).value);
    let forged = Request::Host { token: TOKEN, record: forged, owner: owner() };
    assert!(matches!(stage.ask(1, forged), Err(Denial::BadRecord(_))));
    let mut elsewhere = record(1).value;
    elsewhere.directory = potluck_identity::DirectoryKind::Tracker {
        trackers: vec![potluck_base::PeerAddr::unknown(id(9))],
    };
    let record = elsewhere.sign(&network_key()).unwrap();
    let elsewhere = Request::Host { token: TOKEN, record, owner: owner() };
    assert!(matches!(stage.ask(1, elsewhere), Err(Denial::BadRecord(_))));
    assert_eq!(stage.registry.stats().networks, 0);
}

#[test]
fn who_redeems_an_invite_is_admitted_and_can_register() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(5));
    let redeemed = invite(Role::Guest, 1, 50).redeem(id(5), EPOCH_MS);
    let register = |membership| Request::Register { membership, nick: None, revocations: 0 };
    assert_eq!(stage.ask(5, register(redeemed.clone())), Err(Denial::Stranger));
    let Ok(Reply::Admitted { membership }) = stage.ask(5, join(redeemed)) else { panic!() };
    assert!(stage.ask(5, register(membership)).is_ok());
    // The inviter was never there.
    assert_eq!(stage.registry.stats().members, 1);
}

#[test]
fn an_invite_for_two_admits_two_and_each_of_them_again() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(5)).put(Input::LinkUp(6)).put(Input::LinkUp(7));
    let redeemed = |peer| join(invite(Role::Member, 2, 50).redeem(id(peer), EPOCH_MS));
    let first = stage.ask(5, redeemed(5));
    assert_eq!(use_number(first.clone()), 1);
    assert_eq!(use_number(stage.ask(6, redeemed(6))), 2);
    assert_eq!(stage.ask(7, redeemed(7)), Err(Denial::UsedUp));
    // A lost answer is given again, word for word, also later.
    stage.wait(std::time::Duration::from_secs(30));
    assert_eq!(stage.ask(5, redeemed(5)), first);
    stage.restart();
    stage.put(Input::LinkUp(7)).put(Input::LinkUp(5));
    assert_eq!(stage.ask(7, redeemed(7)), Err(Denial::UsedUp));
    assert_eq!(stage.ask(5, redeemed(5)), first);
}

#[test]
fn of_two_redemptions_at_once_the_store_lets_one_through() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(5)).put(Input::LinkUp(6));
    stage.held = true;
    let redeemed = |peer| join(invite(Role::Member, 1, 50).redeem(id(peer), EPOCH_MS));
    let (one, other) = (stage.send(5, redeemed(5)), stage.send(6, redeemed(6)));
    assert_eq!(stage.answer(5, one), None);
    assert_eq!(stage.waiting.len(), 2);
    stage.work();
    assert_eq!(use_number(stage.answer(5, one).unwrap()), 1);
    assert_eq!(stage.answer(6, other), Some(Err(Denial::UsedUp)));
}

#[test]
fn an_invite_expires_by_the_trackers_clock() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(5));
    let redeemed = join(invite(Role::Member, 1, 50).redeem(id(5), EPOCH_MS));
    stage.now = potluck_base::Time(7 * DAY_MS * 1000 + 1000);
    assert_eq!(stage.ask(5, redeemed), Err(Denial::Expired));
}

#[test]
fn what_is_false_about_an_invite_makes_a_stranger() {
    let mut stage = Stage::new();
    stage.put(Input::LinkUp(5)).put(Input::LinkUp(6));
    let redeemed = invite(Role::Member, 1, 50).redeem(id(5), EPOCH_MS);
    // Of another peer.
    assert_eq!(stage.ask(6, join(redeemed.clone())), Err(Denial::Stranger));
    // For more than was given.
    let mut more = redeemed.clone();
    if let Basis::Invited { capability, .. } = &mut more.basis {
        capability.value.role = Role::Admin;
    }
    assert_eq!(stage.ask(5, join(more)), Err(Denial::Stranger));
    // Without any invite.
    assert_eq!(stage.ask(5, join(Membership::open(id(5)))), Err(Denial::Stranger));
    // For another network.
    let body = join(redeemed);
    let elsewhere = potluck_base::NetworkId([3; 32]);
    let message = Message::Request { id: 99, network: elsewhere, body };
    stage.put(Input::Received { from: 5, message });
    assert_eq!(stage.answer(5, 99), Some(Err(Denial::Stranger)));
}

#[test]
fn an_open_network_takes_whoever_comes() {
    let mut stage = Stage::empty();
    stage.put(Input::LinkUp(1)).put(Input::LinkUp(5));
    let mut open = record(1).value;
    open.policy = Policy::Open;
    let record = open.sign(&network_key()).unwrap();
    stage.ask(1, Request::Host { token: TOKEN, record, owner: owner() }).unwrap();
    let membership = Membership::open(id(5));
    let kept = Reply::Admitted { membership: membership.clone() };
    assert_eq!(stage.ask(5, join(membership.clone())), Ok(kept));
    let body = Request::Register { membership, nick: None, revocations: 0 };
    assert!(stage.ask(5, body).is_ok());
}

#[test]
fn strangers_get_one_and_the_same_answer_whatever_they_ask() {
    let mut stage = Stage::registered(&[3, 1]);
    stage.command(Command::Ban { peer: id(6) });
    let revoked = super::revoking(&[7], &potluck_identity::Revocations::none(network()));
    stage.ask(1, Request::Revoke { revocations: revoked }).unwrap();
    let register =
        |membership: Membership| Request::Register { membership, nick: None, revocations: 0 };
    let unsigned = invite(Role::Member, 1, 50).redeem(id(5), EPOCH_MS);
    let asked: Vec<(u8, Request)> = vec![
        (5, Request::Renew),
        (5, Request::Record),
        (5, Request::Members { after: None }),
        (5, Request::Resolve { peer: id(3) }),
        (5, Request::Search { query: Default::default() }),
        (5, register(unsigned)),
        (5, register(membership(3))),
        (5, register(Membership::open(id(5)))),
        (5, Request::Revocations),
        (5, Request::Leave { forget: true }),
        (6, register(membership(6))),
        (7, register(membership(7))),
    ];
    for link in [5, 6, 7] {
        stage.put(Input::LinkUp(link));
    }
    let elsewhere = potluck_base::NetworkId([3; 32]);
    for (link, body) in asked {
        let answer = stage.ask(link, body.clone());
        assert_eq!(answer, Err(Denial::Stranger), "{body:?}");
        let message = Message::Request { id: 0, network: elsewhere, body };
        stage.put(Input::Received { from: link, message });
        assert_eq!(stage.answer(link, 0), Some(Err(Denial::Stranger)));
    }
    assert!(stage.is_online(3));
}
