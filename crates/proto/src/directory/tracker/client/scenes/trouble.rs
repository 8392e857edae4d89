//! Scenes in which links break, trackers fall silent or say nonsense.

use super::{
    Command, Denial, Event, Input, Message, Notice, Reply, Request, Stage, Timer, Why, is_announce,
    is_states, registered, seconds, setup,
};

/// Lets time pass while the tracker answers everything with `Done`.
fn live(stage: &mut Stage, time: f64) -> usize {
    let mut renewals = 0;
    for _ in 0..(time * 10.0) as usize {
        for (_, id, body) in stage.wait(seconds(0.1)).requests() {
            renewals += usize::from(body == Request::Renew);
            stage.answer(id, Ok(Reply::Done));
        }
    }
    renewals
}

#[test]
fn the_lease_is_renewed_after_a_third_of_it() {
    let mut stage = Stage::settled();
    let renewals = live(&mut stage, 60.0);
    assert!((9..=11).contains(&renewals), "{renewals}");
    assert_eq!(stage.client.tracker(), Some(0));
}

#[test]
fn a_silent_tracker_is_hung_up_on_and_dialled_again() {
    let mut stage = Stage::settled();
    stage.wait(seconds(6.7));
    assert_eq!(stage.requests()[0].2, Request::Renew);
    stage.wait(seconds(4.0));
    assert!(!stage.hung_up());
    stage.wait(seconds(2.1));
    assert!(stage.hung_up());
    assert!(stage.events().iter().any(|e| matches!(e, Event::Away { why: Why::Silent, .. })));
    let mut dials = stage.dials();
    dials.extend(stage.wait(seconds(1.0)).dials());
    assert_eq!(dials, [0]);
    // The end of the old link changes nothing.
    assert!(stage.link_down(0).events().is_empty());
    stage.link_up(0).let_in();
    assert_eq!(stage.client.tracker(), Some(0));
}

#[test]
fn a_tracker_that_answers_slowly_but_answers_is_not_silent() {
    let mut stage = Stage::settled();
    let ask = |id| Command::Ask { id, request: Request::Members { after: None } };
    let mut open = Vec::new();
    for id in 0..10 {
        stage.command(ask(id));
        open.extend(stage.requests());
    }
    for (_, id, body) in open {
        stage.wait(seconds(3.0));
        assert!(!stage.hung_up());
        let reply = match body {
            Request::Renew => Reply::Done,
            _ => Reply::Members { members: Vec::new(), more: false },
        };
        stage.answer(id, Ok(reply));
    }
}

#[test]
fn a_broken_link_is_dialled_again_at_once_and_everything_is_compared_anew() {
    let mut stage = Stage::settled();
    stage.link_down(0);
    assert!(matches!(stage.events()[..], [Event::Away { why: Why::Broken, .. }]));
    assert_eq!(stage.wait(seconds(1.0)).dials(), [0]);
    stage.link_up(0).let_in();
    stage.id_of(is_states);
    stage.id_of(is_announce);
}

#[test]
fn a_tracker_that_is_about_to_stop_is_left_and_tried_again() {
    let mut stage = Stage::settled();
    stage.notice(Notice::Closing);
    assert!(matches!(stage.events()[..], [Event::Away { why: Why::Closing, .. }]));
    assert_eq!(stage.client.tracker(), None);
    stage.link_down(0);
    assert_eq!(stage.wait(seconds(1.0)).dials(), [0]);
}

#[test]
fn answers_to_an_earlier_session_are_not_heard() {
    let mut stage = Stage::inside(setup(1));
    let states = stage.id_of(is_states);
    stage.link_down(0).wait(seconds(1.0)).link_up(0);
    stage.answer(states, Ok(Reply::States { shares: Vec::new() }));
    assert!(stage.out.is_empty());
}

#[test]
fn what_other_peers_say_is_not_heard() {
    let mut stage = Stage::settled();
    stage.link_up(5);
    let network = stage.client.network();
    stage.hear(5, Message::Notice { network, notice: Notice::Closing });
    stage.hear(5, Message::Reply { id: 0, result: Err(Denial::Stranger) });
    assert!(stage.out.is_empty());
    assert_eq!(stage.client.tracker(), Some(0));
}

#[test]
fn a_tracker_that_answers_something_else_is_hung_up_on() {
    let mut stage = Stage::inside(setup(1));
    stage.reply(is_states, Ok(registered("peer-7", 0)));
    assert!(stage.hung_up());
    assert!(matches!(stage.events()[0], Event::Liar { peer: 0, .. }));
    assert_eq!(stage.link_down(0).wait(seconds(100.0)).dials(), []);
}

#[test]
fn waking_up_dials_at_once() {
    let mut stage = Stage::settled();
    stage.link_down(0);
    for _ in 0..9 {
        let at = stage.timers[&Timer::Dial];
        stage.wait(at.since(stage.now)).dial_failed(0);
    }
    assert_eq!(stage.command(Command::Hurry).dials(), [0]);
}

#[test]
fn late_timers_are_harmless() {
    let all = [Timer::Dial, Timer::Renew, Timer::Silence, Timer::Work, Timer::Asks];
    let mut stage = Stage::settled();
    for timer in all {
        assert!(stage.put(Input::TimerFired(timer)).out.is_empty(), "{timer:?}");
    }
    stage.link_down(0);
    for timer in all {
        assert!(stage.put(Input::TimerFired(timer)).out.is_empty(), "{timer:?}");
    }
}
