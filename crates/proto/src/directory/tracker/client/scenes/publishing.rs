//! Scenes in which shares are published, compared, changed and withdrawn.

use super::{
    Command, Denial, Event, Published, Reply, Request, ShareKey, Stage, is_head, is_roots,
    is_states, is_withdraw, seconds, setup, share, state,
};
use crate::directory::record::root_of;
use crate::directory::tracker::client::Outcome;
use crate::directory::tracker::message::PageState;
use crate::machine::Input;

/// A client with these shares that has just been let in.
fn with(shares: &[Published]) -> Stage {
    Stage::inside(super::Setup { shares: shares.to_vec(), ..setup(1) })
}

fn states(stage: &mut Stage, of: &[Published]) {
    let shares = of.iter().map(state).collect();
    stage.reply(is_states, Ok(Reply::States { shares }));
}

fn roots(of: &Published, pages: &[u16]) -> Result<Reply, Denial> {
    let state = |page: &u16| {
        let root = of.pages[page];
        PageState { page: *page, sequence: root.sequence, root: root.root }
    };
    Ok(Reply::PageRoots { roots: pages.iter().map(state).collect(), more: false })
}

/// Takes pages until no more come; returns which came.
fn take_pages(stage: &mut Stage) -> Vec<(u8, u16)> {
    let (mut taken, mut open) = (Vec::new(), stage.pages());
    while let Some((id, share, page)) = open.pop() {
        taken.push((share, page));
        stage.answer(id, Ok(Reply::Done));
        open.extend(stage.pages());
    }
    taken.sort_unstable();
    taken
}

#[test]
fn a_share_that_agrees_costs_nothing() {
    let shares = [share(1, &[(5, 1), (5, 2)]), share(2, &[(7, 3)])];
    let mut stage = with(&shares);
    states(&mut stage, &shares);
    assert_eq!(stage.events(), [Event::InStep]);
    assert!(!stage.requests().iter().any(|(_, _, body)| is_head(body) || is_roots(body)));
    assert_eq!(stage.pages(), []);
}

#[test]
fn a_new_share_is_sent_head_first_then_all_its_pages() {
    let mut stage = with(&[share(1, &[(5, 1), (5, 2), (5, 3), (5, 4)])]);
    states(&mut stage, &[]);
    assert_eq!(stage.pages(), []);
    stage.reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    assert_eq!(stage.events(), [Event::InStep]);
}

#[test]
fn only_pages_that_differ_are_sent() {
    let old = share(1, &[(5, 1), (5, 2), (5, 3), (5, 4)]);
    let new = share(1, &[(5, 1), (9, 7), (5, 3), (5, 4)]);
    let mut stage = with(std::slice::from_ref(&new));
    states(&mut stage, std::slice::from_ref(&old));
    stage.reply(is_head, Ok(Reply::Done)).reply(is_roots, roots(&old, &[0, 1, 2, 3]));
    assert_eq!(take_pages(&mut stage), [(1, 1)]);
    // While the session lasts nothing is compared any more.
    stage.command(Command::Publish(share(1, &[(5, 1), (9, 7), (11, 8), (5, 4)])));
    stage.reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 2)]);
    assert_eq!(stage.events(), [Event::InStep]);
}

#[test]
fn pages_that_got_lost_on_the_way_are_sent_again() {
    let published = share(1, &[(5, 1), (5, 2), (5, 3), (5, 4)]);
    let mut partly = state(&published);
    partly.digest = [0; 32];
    let mut stage = with(std::slice::from_ref(&published));
    stage.reply(is_states, Ok(Reply::States { shares: vec![partly] }));
    assert!(!stage.requests().iter().any(|(_, _, body)| is_head(body)), "the head is there");
    stage.reply(is_roots, roots(&published, &[0, 3]));
    assert_eq!(take_pages(&mut stage), [(1, 1), (1, 2)]);
}

#[test]
fn a_long_list_of_roots_comes_in_parts() {
    let published = share(1, &[(5, 1), (5, 2), (5, 3), (5, 4)]);
    let mut partly = state(&published);
    partly.digest = [0; 32];
    let mut stage = with(std::slice::from_ref(&published));
    stage.reply(is_states, Ok(Reply::States { shares: vec![partly] }));
    let Ok(Reply::PageRoots { roots: first, .. }) = roots(&published, &[0, 1]) else { panic!() };
    stage.reply(is_roots, Ok(Reply::PageRoots { roots: first, more: true }));
    let rest = |request: &Request| matches!(request, Request::PageRoots { from: 2, .. });
    stage.reply(rest, roots(&published, &[2]));
    assert_eq!(take_pages(&mut stage), [(1, 3)]);
}

#[test]
fn a_share_with_another_number_of_pages_is_sent_whole() {
    let mut stage = with(&[share(1, &[(5, 1), (5, 2)])]);
    states(&mut stage, &[share(1, &[(5, 1), (5, 2)])]);
    stage.command(Command::Publish(share(1, &[(6, 1), (6, 2), (6, 3), (6, 4)])));
    stage.reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0), (1, 1), (1, 2), (1, 3)]);
}

#[test]
fn a_page_without_entries_that_never_was_is_not_sent() {
    let mut published = share(1, &[(5, 1), (5, 2)]);
    published.pages.get_mut(&1).unwrap().root = root_of(&[]);
    let mut stage = with(&[published]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0)]);
    assert_eq!(stage.events(), [Event::InStep]);
}

#[test]
fn so_many_pages_are_on_their_way_and_no_more() {
    let pages: Vec<(u64, u8)> = (0..128).map(|page| (5, page)).collect();
    let mut stage = with(&[share(1, &pages)]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let (mut open, mut most) = (stage.pages(), 0);
    while let Some((id, ..)) = open.pop() {
        most = most.max(open.len() + 1);
        stage.now = stage.now + seconds(0.01);
        stage.answer(id, Ok(Reply::Done));
        open.extend(stage.pages());
    }
    assert_eq!(most, potluck_base::limits::PAGES_IN_FLIGHT);
    assert_eq!(stage.events(), [Event::InStep]);
}

#[test]
fn a_slow_tracker_has_few_pages_to_take_at_a_time() {
    let pages: Vec<(u64, u8)> = (0..64).map(|page| (5, page)).collect();
    let mut stage = with(&[share(1, &pages)]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let (mut open, mut most) = (stage.pages(), 0);
    for _ in 0..20 {
        let (id, ..) = open.remove(0);
        stage.now = stage.now + seconds(1.0);
        stage.answer(id, Ok(Reply::Done));
        open.extend(stage.pages());
        most = most.max(open.len());
    }
    assert_eq!(most, 1);
}

#[test]
fn shares_take_turns() {
    let long: Vec<(u64, u8)> = (0..64).map(|page| (5, page)).collect();
    let mut stage = with(&[share(1, &long)]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let mut open = stage.pages();
    stage.command(Command::Publish(share(2, &[(6, 9)])));
    open.extend(stage.pages());
    stage.reply(is_head, Ok(Reply::Done));
    open.extend(stage.pages());
    let mut order = Vec::new();
    while !open.is_empty() {
        let (id, share, _) = open.remove(0);
        order.push(share);
        stage.answer(id, Ok(Reply::Done));
        open.extend(stage.pages());
    }
    assert!(order.iter().position(|share| *share == 2).unwrap() < 8, "{order:?}");
}

#[test]
fn what_is_withdrawn_is_said_until_it_is_acknowledged() {
    let published = share(1, &[(5, 1)]);
    let mut stage = with(std::slice::from_ref(&published));
    states(&mut stage, std::slice::from_ref(&published));
    stage.command(Command::Withdraw { share: ShareKey([1; 16]), sequence: 8 });
    stage.id_of(is_withdraw);
    stage.link_down(0).wait(seconds(1.0)).link_up(0).let_in();
    stage.id_of(is_withdraw);
    stage.reply(is_withdraw, Ok(Reply::Done));
    assert!(stage.events().contains(&Event::Withdrawn(ShareKey([1; 16]))));
    states(&mut stage, &[]);
    assert_eq!(stage.events(), [Event::InStep]);
}

#[test]
fn what_the_tracker_has_besides_is_withdrawn() {
    let (ours, old) = (share(1, &[(5, 1)]), share(2, &[(6, 2)]));
    let mut stage = with(std::slice::from_ref(&ours));
    states(&mut stage, &[ours, old]);
    let sequence = stage.requests().into_iter().find_map(|(_, _, body)| match body {
        Request::Withdraw { withdrawal } => Some(withdrawal.value.sequence),
        _ => None,
    });
    assert_eq!(sequence, Some(7));
}

#[test]
fn what_is_published_again_under_the_same_key_waits_for_the_withdrawal() {
    let published = share(1, &[(5, 1)]);
    let mut stage = with(std::slice::from_ref(&published));
    states(&mut stage, std::slice::from_ref(&published));
    stage.command(Command::Withdraw { share: ShareKey([1; 16]), sequence: 8 });
    let withdraw = stage.id_of(is_withdraw);
    stage.command(Command::Publish(share(1, &[(9, 1)])));
    assert!(!stage.requests().iter().any(|(_, _, body)| is_head(body)));
    stage.answer(withdraw, Ok(Reply::Done)).reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0)]);
}

#[test]
fn a_share_that_the_tracker_has_newer_must_be_signed_again() {
    let mut stage = with(&[share(1, &[(5, 1)])]);
    states(&mut stage, &[share(1, &[(9, 2)])]);
    let behind = |have| Event::Behind { share: ShareKey([1; 16]), have };
    assert_eq!(stage.events()[0], behind(9));
    assert!(!stage.requests().iter().any(|(_, _, body)| is_head(body)));
    stage.command(Command::Publish(share(1, &[(10, 1)])));
    stage.reply(is_head, Err(Denial::Stale { have: 12 }));
    assert_eq!(stage.events(), [behind(12)]);
    stage.command(Command::Publish(share(1, &[(13, 1)])));
    stage.reply(is_head, Ok(Reply::Done)).reply(is_roots, roots(&share(1, &[(9, 2)]), &[0]));
    assert_eq!(take_pages(&mut stage), [(1, 0)]);
}

#[test]
fn a_share_that_is_refused_is_told_once_and_others_go_on() {
    let mut stage = with(&[share(1, &[(5, 1)]), share(2, &[(5, 2)])]);
    states(&mut stage, &[]);
    let too_much = || Denial::TooMuch("shares".into());
    let is_first = |request: &Request| match request {
        Request::PutShare { head } => head.value.share.0[0] == 1,
        _ => false,
    };
    stage.reply(is_first, Err(too_much()));
    let refused = Event::Refused { share: ShareKey([1; 16]), denial: too_much() };
    assert_eq!(stage.events(), [refused]);
    stage.reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(2, 0)]);
    assert_eq!(stage.events(), [Event::InStep]);
    assert_eq!(stage.wait(seconds(5.0)).pages(), []);
}

#[test]
fn a_busy_tracker_gets_its_pause_and_then_the_rest() {
    let mut stage = with(&[share(1, &[(5, 1), (5, 2)])]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let pages = stage.pages();
    stage.answer(pages[0].0, Err(Denial::Busy { retry_ms: 2000 }));
    stage.answer(pages[1].0, Ok(Reply::Done));
    assert_eq!(stage.pages(), []);
    assert_eq!(stage.wait(seconds(1.9)).pages(), []);
    assert_eq!(stage.wait(seconds(0.2)).pages().len(), 1);
}

#[test]
fn a_page_that_is_refused_because_the_share_went_on_is_no_fault_of_the_share() {
    let mut stage = with(&[share(1, &[(5, 1), (5, 2)])]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let pages = stage.pages();
    stage.command(Command::Publish(share(1, &[(6, 3), (6, 4)])));
    let head = stage.id_of(is_head);
    stage.answer(pages[0].0, Err(Denial::Stale { have: 6 }));
    assert_eq!(stage.events(), []);
    stage.answer(pages[1].0, Ok(Reply::Done)).answer(head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0), (1, 1)]);
}

#[test]
fn a_share_that_the_tracker_lost_is_sent_again_once() {
    let published = share(1, &[(5, 1)]);
    let mut stage = with(std::slice::from_ref(&published));
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let page = stage.pages()[0].0;
    stage.answer(page, Err(Denial::Unknown)).reply(is_head, Ok(Reply::Done));
    let page = stage.pages()[0].0;
    stage.answer(page, Err(Denial::Unknown));
    assert!(matches!(stage.events()[0], Event::Refused { .. }));
}

#[test]
fn a_page_that_cannot_be_made_any_more_waits_for_what_is_published_next() {
    let mut stage = with(&[share(1, &[(5, 1)])]);
    states(&mut stage, &[]);
    stage.reply(is_head, Ok(Reply::Done));
    let page = stage.pages()[0].0;
    assert_eq!(stage.put(Input::Done(Outcome::NoPage { id: page })).pages(), []);
    stage.command(Command::Publish(share(1, &[(6, 2)]))).reply(is_head, Ok(Reply::Done));
    assert_eq!(take_pages(&mut stage), [(1, 0)]);
}

#[test]
fn a_sequence_number_that_nobody_reaches_is_a_lie() {
    let published = share(1, &[(5, 1)]);
    let mut stage = with(std::slice::from_ref(&published));
    let mut lie = state(&published);
    lie.sequence = u64::MAX;
    stage.reply(is_states, Ok(Reply::States { shares: vec![lie] }));
    assert!(matches!(stage.events()[0], Event::Liar { .. }));
}
