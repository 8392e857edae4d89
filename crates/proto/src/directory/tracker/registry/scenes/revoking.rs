//! Scenes in which members are revoked, banned and kicked.

use potluck_identity::Revocations;

use super::{
    Command, Denial, Event, Input, LEASE, Notice, Reply, Request, Role, Stage, head, id,
    membership, network, page, revoking,
};

fn none() -> Revocations {
    Revocations::none(network())
}

fn revoke(revocations: Revocations) -> Request {
    Request::Revoke { revocations }
}

#[test]
fn a_revoked_member_is_out_at_once_and_everybody_is_told() {
    let mut stage = Stage::registered(&[2, 3, 5]);
    stage.register(13, None).unwrap();
    let put = Request::PutShare { head: head(3, 1, 1) };
    stage.ask(3, put).unwrap();
    let put = Request::PutPage { page: page(3, 1, &["film"]) };
    stage.ask(3, put).unwrap();
    let list = revoking(&[3], &none());
    assert_eq!(stage.ask(2, revoke(list.clone())), Ok(Reply::Done));
    stage.wait(LEASE / 20);
    let revoked = Notice::Revoked(list.clone());
    assert_eq!(stage.notices(2), std::slice::from_ref(&revoked));
    assert_eq!(stage.notices(5), [revoked]);
    // On both of its links.
    assert_eq!(
        (stage.notices(3), stage.notices(13)),
        (vec![Notice::Closing], vec![Notice::Closing])
    );
    let event = Event::Revoked { network: network(), number: 1 };
    assert!(stage.events().contains(&event));
    assert!(!stage.is_online(3));
    for link in [3, 13] {
        assert_eq!(stage.ask(link, Request::Renew), Err(Denial::Stranger));
        assert_eq!(stage.register_again(link, None), Err(Denial::Stranger));
    }
    assert_eq!(stage.looks_for_films(5), 0);
    assert_eq!(stage.ask(5, Request::Resolve { peer: id(3) }), Err(Denial::Unknown));
    // And after a restart.
    stage.restart();
    assert_eq!(stage.register(3, None), Err(Denial::Stranger));
    stage.register(5, None).unwrap();
    assert_eq!(stage.notices(5), [Notice::Revoked(list.clone())]);
    assert_eq!(stage.ask(5, Request::Revocations), Ok(Reply::Revocations(list)));
}

#[test]
fn lists_of_revoked_members_are_numbered_and_signed_by_who_may() {
    let mut stage = Stage::registered(&[1, 2, 3, 5]);
    let first = revoking(&[6], &none());
    assert_eq!(stage.ask(2, revoke(first.clone())), Ok(Reply::Done));
    assert_eq!(stage.ask(2, revoke(first.clone())), Ok(Reply::Done));
    assert_eq!(stage.ask(2, revoke(revoking(&[7], &none()))), Err(Denial::Stale { have: 1 }));
    // Anybody may bring a list that an admin has signed.
    assert_eq!(stage.ask(3, revoke(revoking(&[7], &first))), Ok(Reply::Done));
    // A member's own does not count.
    let before = revoking(&[7], &first);
    let own = before.next(&super::key(3), membership(3), [id(5)], super::EPOCH_MS).unwrap();
    let refused = Err(Denial::Role { needed: Role::Admin });
    assert_eq!(stage.ask(3, revoke(own)), refused);
    assert!(stage.is_online(5));
}

#[test]
fn an_owner_stays_whatever_a_list_says() {
    let mut stage = Stage::registered(&[1, 2]);
    stage.ask(2, revoke(revoking(&[1], &none()))).unwrap();
    assert!(stage.is_online(1));
    assert_eq!(stage.ask(1, Request::Renew), Ok(Reply::Done));
}

#[test]
fn who_is_revoked_while_its_registration_is_written_is_not_let_in() {
    let mut stage = Stage::registered(&[2]);
    stage.put(Input::LinkUp(3));
    stage.held = true;
    let list = stage.send(2, revoke(revoking(&[3], &none())));
    let body = Request::Register { membership: membership(3), nick: None, revocations: 0 };
    let asked = stage.send(3, body);
    stage.work();
    assert_eq!(stage.answer(2, list), Some(Ok(Reply::Done)));
    assert_eq!(stage.answer(3, asked), Some(Err(Denial::Stranger)));
    assert!(!stage.is_online(3));
    assert_eq!(stage.registry.stats().members, 1);
}

#[test]
fn an_answer_that_comes_after_the_revocation_is_not_given() {
    let mut stage = Stage::registered(&[2, 3]);
    stage.held = true;
    let asked = stage.send(3, Request::Search { query: Default::default() });
    let question = stage.waiting.remove(0);
    stage.send(2, revoke(revoking(&[3], &none())));
    stage.waiting.push(question);
    stage.work();
    assert_eq!(stage.answer(3, asked), Some(Err(Denial::Stranger)));
}

#[test]
fn a_newcomer_is_told_who_is_revoked_unless_it_knows() {
    let mut stage = Stage::registered(&[2]);
    let list = revoking(&[6], &none());
    stage.ask(2, revoke(list.clone())).unwrap();
    let register =
        |revocations| Request::Register { membership: membership(3), nick: None, revocations };
    stage.put(Input::LinkUp(3));
    assert!(matches!(stage.ask(3, register(0)), Ok(Reply::Registered { revocations: 1, .. })));
    assert_eq!(stage.notices(3), [Notice::Revoked(list)]);
    stage.ask(3, register(1)).unwrap();
    assert_eq!(stage.notices(3), []);
}

#[test]
fn a_banned_peer_is_a_stranger_until_it_is_let_in_again() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.ask(3, Request::PutShare { head: head(3, 1, 1) }).unwrap();
    stage.out.clear();
    stage.command(Command::Ban { peer: id(3) });
    assert_eq!(stage.notices(3), [Notice::Closing]);
    assert!(stage.hung_up_on(3) && !stage.is_online(3));
    assert_eq!(stage.looks_for_films(5), 0);
    assert_eq!(stage.register(3, None), Err(Denial::Stranger));
    stage.restart();
    assert_eq!(stage.register(3, None), Err(Denial::Stranger));
    stage.command(Command::Unban { peer: id(3) });
    assert!(stage.register_again(3, None).is_ok());
}

#[test]
fn a_kicked_peer_may_come_back_and_lists_what_it_did() {
    let mut stage = Stage::registered(&[3, 5]);
    stage.ask(3, Request::PutShare { head: head(3, 1, 1) }).unwrap();
    stage.command(Command::Kick { peer: id(3) });
    assert!(stage.hung_up_on(3) && !stage.is_online(3));
    assert_eq!(stage.looks_for_films(5), 1);
    assert!(stage.register(3, None).is_ok());
}

#[test]
fn whoever_comes_while_a_list_is_handed_out_has_it_too() {
    let mut stage = Stage::registered(&[2, 3]);
    let (first, second) = (revoking(&[6], &none()), revoking(&[7], &revoking(&[6], &none())));
    stage.ask(2, revoke(first)).unwrap();
    stage.ask(2, revoke(second.clone())).unwrap();
    stage.out.clear();
    stage.register(5, None).unwrap();
    assert_eq!(stage.notices(5), [Notice::Revoked(second.clone())]);
    stage.out.clear();
    stage.wait(LEASE / 20);
    // Only the newest is handed out.
    assert_eq!(stage.notices(3), [Notice::Revoked(second)]);
}
