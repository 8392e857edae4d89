//! Scenes in which our own side asks the tracker.

use potluck_base::PeerId;

use super::{
    Command, Denial, Event, Nick, Reply, Request, Stage, admitted, is_register, key, seconds,
    setup, tracker_key,
};
use crate::directory::record::Presence;
use crate::directory::tracker::client::Unanswered;

fn members(id: u64) -> Command {
    Command::Ask { id, request: Request::Members { after: None } }
}

fn is_members(request: &Request) -> bool {
    matches!(request, Request::Members { .. })
}

fn nobody() -> Reply {
    Reply::Members { members: Vec::new(), more: false }
}

fn answered(id: u64, result: Result<Reply, Unanswered>) -> Event<u8> {
    Event::Answered { id, result }
}

#[test]
fn a_question_gets_its_answer_or_the_denial() {
    let mut stage = Stage::settled();
    stage.command(members(7)).reply(is_members, Ok(nobody()));
    assert_eq!(stage.events(), [answered(7, Ok(nobody()))]);
    stage.command(members(8)).reply(is_members, Err(Denial::Unknown));
    assert_eq!(stage.events(), [answered(8, Err(Unanswered::Denied(Denial::Unknown)))]);
}

#[test]
fn a_question_waits_a_little_for_a_session_and_no_longer() {
    let mut stage = Stage::new(setup(1));
    stage.start().command(members(1));
    assert_eq!((stage.events(), stage.requests()), (Vec::new(), Vec::new()));
    stage.wait(seconds(2.0)).link_up(0).let_in();
    stage.reply(is_members, Ok(nobody()));
    assert_eq!(stage.events(), [answered(1, Ok(nobody()))]);

    let mut stage = Stage::new(setup(1));
    stage.start().command(members(1));
    assert_eq!(stage.wait(seconds(3.1)).events(), [answered(1, Err(Unanswered::Away))]);
    stage.dial_failed(0).wait(seconds(2.0)).dial_failed(0);
    let told = stage.command(members(2)).events();
    assert_eq!(
        told,
        [answered(2, Err(Unanswered::Away))],
        "who is known to be away is not waited for"
    );
}

#[test]
fn a_question_survives_the_end_of_a_session() {
    let mut stage = Stage::settled();
    stage.command(members(1)).link_down(0);
    assert!(!stage.events().iter().any(|event| matches!(event, Event::Answered { .. })));
    stage.wait(seconds(1.0)).link_up(0).let_in().reply(is_members, Ok(nobody()));
    assert_eq!(stage.events(), [answered(1, Ok(nobody()))]);
}

#[test]
fn a_question_that_the_tracker_never_answers_is_given_up() {
    let mut stage = Stage::settled();
    stage.command(members(1));
    for _ in 0..4 {
        // Everything else is answered: the link is good.
        for (_, id, _) in stage.wait(seconds(3.0)).requests() {
            stage.answer(id, Ok(Reply::Done));
        }
        if stage.events().iter().any(|event| matches!(event, Event::Answered { .. })) {
            break;
        }
        stage.command(Command::Rename(Nick::Any)).reply(is_register, Ok(super::registered("p", 0)));
    }
    assert!(!stage.client.has_left());
    stage.wait(seconds(12.0));
    assert_eq!(stage.command(members(1)).events(), [], "the number is free again");
}

#[test]
fn every_question_is_answered_once_even_after_leaving() {
    let mut stage = Stage::settled();
    stage.command(members(1));
    let told = stage.command(Command::Leave { forget: false }).events();
    assert_eq!(told, [answered(1, Err(Unanswered::Away))]);
    assert_eq!(stage.command(members(2)).events(), [answered(2, Err(Unanswered::Away))]);
}

#[test]
fn too_many_questions_are_refused() {
    let mut stage = Stage::settled();
    for id in 0..potluck_base::limits::ASKS_OPEN as u64 {
        assert_eq!(stage.command(members(id)).events(), []);
    }
    assert_eq!(stage.command(members(9999)).events(), [answered(9999, Err(Unanswered::Busy))]);
}

#[test]
fn an_address_that_the_peer_did_not_sign_is_dropped_and_told() {
    let mut stage = Stage::settled();
    let peer: PeerId = key(3).peer_id();
    let presence = Presence {
        network: stage.client.network(),
        peer,
        nick: "carl".into(),
        addresses: Vec::new(),
        relay: None,
        agent: String::new(),
        p2p_ci: None,
        sequence: 1,
        expires_ms: super::EPOCH + 3_600_000,
    };
    let is_resolve = |request: &Request| matches!(request, Request::Resolve { .. });
    for (signer, honest) in [(3, true), (4, false)] {
        let presence = Some(super::Signed::sign(&key(signer), presence.clone()));
        let reply = Reply::Resolved { presence: presence.clone(), online: true, last_seen_ms: 5 };
        let kept = if honest { presence } else { None };
        let kept = Reply::Resolved { presence: kept, online: true, last_seen_ms: 5 };
        stage.command(Command::Ask { id: 1, request: Request::Resolve { peer } });
        let events = stage.reply(is_resolve, Ok(reply)).events();
        assert_eq!(events.last(), Some(&answered(1, Ok(kept))));
        assert_eq!(events.len() == 1, honest, "{events:?}");
    }
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut stage = Stage::settled();
    stage.command(members(1)).reply(is_members, Ok(Reply::Hosted));
    assert_eq!(stage.events(), [answered(1, Err(Unanswered::Nonsense))]);
}

#[test]
fn a_session_that_the_tracker_forgot_is_opened_again_and_the_question_asked_again() {
    let mut stage = Stage::settled();
    stage.command(members(1)).reply(is_members, Err(Denial::Stranger));
    assert_eq!(stage.events(), []);
    stage.let_in().reply(is_members, Ok(nobody()));
    assert_eq!(stage.events(), [answered(1, Ok(nobody()))]);
    assert_eq!(stage.client.membership(), &admitted(&tracker_key(0)));
}
