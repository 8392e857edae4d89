//! Scenes in which the machine has pieces that others want.

use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, limits};

use super::{
    Command, Effect, Event, Input, Message, Outcome, Stage, cost, file, folder, range, ranges,
};
use crate::swarm::{GoneWhy, NotPushedWhy};

/// What a new peer may ask for: two pieces of 64 KiB.
const FIRST_WINDOW: u32 = 2;

#[test]
fn who_wants_pieces_is_granted_some_and_who_does_not_is_not() {
    let mut stage = Stage::seed(8);
    assert_eq!(stage.join(1, "........", true).granted(1), cost(FIRST_WINDOW));
    assert_eq!(stage.join(2, "........", false).granted(2), 0);
    let mut empty = Stage::receiver("........");
    assert_eq!(empty.join(1, "........", true).granted(1), 0);
}

#[test]
fn a_request_beyond_the_allowance_is_ignored() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true).hear(1, Message::Request(vec![range(3, 8)]));
    assert_eq!(stage.pushes(1), [range(3, 4), range(4, 5)]);
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
    // And it stays ignored.
    stage.pushed(1, range(3, 4));
    assert_eq!(stage.pushes(1), []);
    assert_eq!(stage.granted(1), cost(1));
}

#[test]
fn a_request_without_end_ends_soon_and_too_many_end_the_link() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true);
    for _ in 0..64 {
        stage.hear(1, Message::Request(vec![range(0, u32::MAX)]));
        assert!(!stage.hung_up_on(1));
    }
    assert!(stage.hear(1, Message::Request(vec![range(7, 9)])).hung_up_on(1));
    assert!(stage.put(Input::LinkUp(1)).hung_up_on(1));
}

#[test]
fn pieces_that_we_never_had_cost_allowance_and_trust() {
    let mut stage = Stage::receiver("##......");
    stage.join(1, "........", true).hear(1, Message::Request(vec![range(1, 3)]));
    assert_eq!(stage.pushes(1), [range(1, 2)]);
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
    // A piece again, while it waits, is one fault more.
    let mut stage = Stage::seed(16);
    stage.join(1, "", true);
    stage.swarm.peers.get_mut(&1).unwrap().up.set_window(1 << 20);
    stage.wait(Duration::from_millis(300)).hear(1, Message::Request(vec![range(0, 8)]));
    assert_eq!(stage.swarm.peers[&1].strikes(), 0);
    stage.hear(1, Message::Request(vec![range(6, 7)]));
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
}

#[test]
fn what_is_asked_is_pushed_upwards_and_round() {
    let mut stage = Stage::seed(64);
    stage.join(1, "", true);
    stage.swarm.peers.get_mut(&1).unwrap().up.set_window(2 << 20);
    stage.wait(Duration::from_millis(300)).hear(1, Message::Request(vec![range(20, 26)]));
    let mut pushes = stage.pushes(1);
    assert_eq!(pushes, [range(20, 21), range(21, 22), range(22, 23), range(23, 24)]);
    stage.hear(1, Message::Request(vec![range(3, 5)]));
    let mut order = Vec::new();
    while !pushes.is_empty() {
        stage.pushed(1, pushes.remove(0));
        pushes.extend(stage.pushes(1));
        order.extend(stage.pushes(1));
    }
    assert_eq!(order, [range(24, 26), range(3, 5)]);
}

#[test]
fn faults_are_forgiven_with_time() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true).hear(1, Message::Have(vec![range(9, 10)]));
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
    stage.wait(Duration::from_secs(21));
    assert_eq!(stage.swarm.peers[&1].strikes(), 0);
}

#[test]
fn receiver_serves_pieces_while_it_fetches() {
    let mut stage = Stage::receiver("........");
    stage.join(1, "########", false).join(2, "........", true).grant(1, 8);
    stage.arrive(1, range(4, 6));
    assert_eq!(stage.granted(2), cost(FIRST_WINDOW));
    stage.hear(2, Message::Request(vec![range(4, 6)]));
    assert_eq!(stage.pushes(2), [range(4, 5), range(5, 6)]);
    assert_eq!(stage.swarm.missing(), 6);
}

#[test]
fn a_quick_peer_gets_a_larger_window_and_larger_blocks() {
    let total = 16_384;
    let mut stage = Stage::seed(total);
    stage.hear(1, Message::Join { have: Vec::new(), wants: true });
    let (mut allowance, mut next) = (stage.granted(1), 0);
    let (mut largest, mut window) = (0, 0);
    while next < total {
        // The peer asks for all it may at once; all that is pushed leaves at once.
        let count = (allowance / cost(1)).min(total - next);
        allowance -= count * cost(1);
        stage.now = stage.now + Duration::from_micros(50);
        stage.hear(1, Message::Request(vec![range(next, next + count)]));
        next += count;
        let mut pushes = stage.pushes(1);
        window = window.max(u64::from(count));
        while let Some(push) = pushes.pop() {
            assert!(pushes.len() < limits::LANES_PER_LINK);
            largest = largest.max(push.len());
            stage.now = stage.now + Duration::from_micros(u64::from(push.len()) * 40);
            stage.pushed(1, push);
            allowance += stage.granted(1);
            pushes.extend(stage.pushes(1));
        }
    }
    assert_eq!(largest, 4, "blocks of 256 KiB");
    assert!(window > 300, "nearly 32 MiB at a time, not {window} pieces");
}

#[test]
fn a_window_in_which_pieces_wait_becomes_smaller_again() {
    let mut stage = Stage::seed(4000);
    stage.hear(1, Message::Join { have: Vec::new(), wants: true });
    stage.swarm.peers.get_mut(&1).unwrap().up.set_window(8 << 20);
    stage.wait(Duration::from_millis(300));
    stage.hear(1, Message::Request(vec![range(0, 100)]));
    let mut pushes = stage.pushes(1);
    // 640 KB/s: a tenth of a second is one piece.
    for _ in 0..60 {
        stage.now = stage.now + Duration::from_millis(100);
        let push = pushes.remove(0);
        stage.pushed(1, push);
        pushes.extend(stage.pushes(1));
        stage.wait(Duration::ZERO);
    }
    let window = stage.swarm.peers[&1].up.window();
    assert!(window <= 3 << 20, "{window}");
    assert!(pushes.len() <= 2 && pushes.iter().all(|push| push.len() == 1), "{pushes:?}");
}

#[test]
fn the_peer_that_was_served_least_comes_first() {
    let mut stage = Stage::seed(64);
    for peer in 0..70 {
        stage.join(peer, "", true);
    }
    // Thirty-two peers fill all places; of those who wait, the one that got least is next.
    let mut out = Vec::new();
    for peer in 0..34 {
        stage.hear(peer, Message::Request(vec![range(0, 2)]));
        out.extend(stage.pushes(peer).into_iter().map(|push| (peer, push)));
    }
    assert_eq!(out.len(), 64);
    stage.hear(0, Message::Cancel(vec![range(0, 2)]));
    stage.pushed(0, range(0, 1));
    assert_eq!(stage.pushes(32), [range(0, 1)]);
    stage.pushed(1, range(0, 1));
    assert_eq!(stage.pushes(33), [range(0, 1)], "the other has had one already");
}

#[test]
fn who_does_not_read_takes_nobodys_place_for_long() {
    let mut stage = Stage::seed(64);
    for peer in 0..33 {
        stage.join(peer, "", true).hear(peer, Message::Request(vec![range(0, 2)]));
    }
    assert_eq!(stage.pushes(32), []);
    stage.wait(Duration::from_millis(2300));
    assert_eq!(stage.pushes(32), [range(0, 1), range(1, 2)]);
    stage.put(Input::LinkDown(3)).pushed(3, range(0, 1));
}

#[test]
fn cancelled_pieces_are_not_pushed() {
    let mut stage = Stage::seed(64);
    stage.hear(1, Message::Join { have: Vec::new(), wants: true });
    stage.swarm.peers.get_mut(&1).unwrap().up.set_window(1 << 20);
    stage.wait(Duration::from_millis(300)).hear(1, Message::Request(vec![range(0, 9)]));
    let out = stage.pushes(1);
    assert_eq!(out, [range(0, 1), range(1, 2), range(2, 3), range(3, 4)]);
    stage.hear(1, Message::Cancel(vec![range(0, 1), range(5, 64)]));
    let cancel = Effect::CancelPush { to: 1, ranges: vec![range(0, 1)] };
    assert_eq!(stage.effects(), [cancel]);
    let link = NotPushedWhy::Link;
    stage.put(Input::Done(Outcome::NotPushed { to: 1, range: range(0, 1), why: link }));
    assert_eq!(stage.pushes(1), [range(4, 5)], "not the cancelled one");
    stage.pushed(1, range(1, 2)).pushed(1, range(2, 3)).pushed(1, range(3, 4));
    assert_eq!(stage.pushed(1, range(4, 5)).pushes(1), []);
}

#[test]
fn a_push_that_a_lane_could_not_carry_is_tried_again() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true).hear(1, Message::Request(vec![range(2, 3)]));
    let why = NotPushedWhy::Link;
    stage.put(Input::Done(Outcome::NotPushed { to: 1, range: range(2, 3), why }));
    assert_eq!(stage.pushes(1), []);
    assert_eq!(stage.wait(Duration::from_millis(600)).pushes(1), [range(2, 3)]);
}

#[test]
fn a_source_that_changed_is_told_to_all_and_the_rest_is_pushed() {
    let mut stage = Stage::new(folder(&[9; 6]), PieceSet::all(6), PieceSet::none(6));
    stage.join(1, "......", true).join(2, "......", true);
    stage.hear(1, Message::Request(vec![range(0, 6)]));
    assert_eq!(stage.pushes(1), [range(0, 6)], "small files share a block");
    let why = NotPushedWhy::Source(GoneWhy::Changed);
    stage.put(Input::Done(Outcome::NotPushed { to: 1, range: range(2, 3), why }));
    let gone = Message::Gone { ranges: vec![range(2, 3)], why: GoneWhy::Changed };
    assert!(stage.sent(1).contains(&gone) && stage.sent(2).contains(&gone));
    assert_eq!(stage.pushes(1), [range(0, 2), range(3, 6)]);
    // Who asks for it has not heard yet: no fault, no push.
    stage.hear(2, Message::Request(vec![range(2, 3)]));
    assert_eq!((stage.pushes(2), stage.swarm.peers[&2].strikes()), (vec![], 0));
    assert_eq!(
        stage.join(3, "......", true).sent(3)[0],
        Message::Join { have: ranges("##.###"), wants: false }
    );
}

#[test]
fn a_piece_larger_than_a_block_is_pushed_alone() {
    // 8 GiB: pieces of 128 KiB; 300 GiB: pieces of 4 MiB.
    let map = folder(&[8 << 30, 300 << 30]);
    let (small, total) = (map.file(0).pieces, map.total());
    let mut stage = Stage::new(map, PieceSet::all(total), PieceSet::none(total));
    stage.hear(1, Message::Join { have: Vec::new(), wants: true });
    assert!(stage.granted(1) >= 2 * (4 << 20), "two of the largest pieces");
    stage.hear(1, Message::Request(vec![range(small.end - 3, small.end + 1)]));
    assert!(stage.pushes(1).iter().all(|push| push.len() == 1));
    assert!(stage.pushes(1).contains(&PieceRange::one(small.end)));
}

#[test]
fn a_block_has_no_more_pieces_than_it_may() {
    let count = 3000;
    let map = folder(&vec![1; count as usize]);
    let mut stage = Stage::new(map, PieceSet::all(count), PieceSet::none(count));
    stage.hear(1, Message::Join { have: Vec::new(), wants: true });
    stage.swarm.peers.get_mut(&1).unwrap().up.set_window(8 << 20);
    stage.wait(Duration::from_millis(300)).hear(1, Message::Request(vec![range(0, count)]));
    assert_eq!(stage.pushes(1), [range(0, 1024), range(1024, 2048), range(2048, 3000)]);
}

#[test]
fn a_newcomer_and_the_others_are_introduced() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true).join(2, "#.......", false);
    assert_eq!(stage.sent(1), [Message::Peers(vec![2])]);
    stage.join(3, "........", true);
    assert!(stage.sent(3).contains(&Message::Peers(vec![1, 2])));
    assert!(stage.sent(1).contains(&Message::Peers(vec![3])));
    assert_eq!(stage.sent(2), [], "it wants nothing");
    // Nobody has use for one that neither has nor wants anything.
    stage.join(4, "........", false);
    assert!(stage.sent(1).is_empty());
}

#[test]
fn a_crowd_is_introduced_in_part() {
    let mut stage = Stage::seed(8);
    for peer in 0..80 {
        stage.join(peer, "........", true);
    }
    stage.join(99, "........", true);
    let told = stage.sent(99).into_iter().find_map(|message| match message {
        Message::Peers(peers) => Some(peers),
        _ => None,
    });
    assert_eq!(told.map(|peers| peers.len()), Some(limits::EXCHANGE_PEERS));
}

#[test]
fn a_peer_that_finishes_is_reported_and_its_queue_dropped() {
    let mut stage = Stage::seed(8);
    stage.join(1, "........", true).hear(1, Message::Request(vec![range(0, 2)]));
    stage.hear(1, Message::Finished);
    assert_eq!(stage.events(), [Event::PeerFinished(1)]);
    let cancel = Effect::CancelPush { to: 1, ranges: vec![range(0, 1), range(1, 2)] };
    assert_eq!(stage.effects(), [cancel]);
    assert_eq!(stage.pushed(1, range(0, 1)).granted(1), 0);
    assert_eq!(stage.hear(1, Message::Finished).events(), []);
}

#[test]
fn coming_and_going_without_end_ends_the_link() {
    let mut stage = Stage::seed(8);
    for _ in 0..16 {
        stage.join(1, "........", true).hear(1, Message::Bye);
        assert!(!stage.hung_up_on(1));
    }
    stage.put(Input::LinkDown(1)).join(1, "........", true);
    assert!(!stage.hear(1, Message::Bye).hung_up_on(1), "a new link starts anew");
    for _ in 0..16 {
        stage.join(1, "........", true).hear(1, Message::Bye);
    }
    assert!(stage.hung_up_on(1));
}

#[test]
fn a_haves_list_longer_than_a_message_is_sent_in_parts() {
    let total = 2 * (limits::RANGES as u32 + 9);
    let mut have = PieceSet::none(total);
    (0..total).step_by(2).for_each(|piece| _ = have.insert(piece));
    let mut stage = Stage::new(file(total), have.clone(), PieceSet::none(total));
    stage.put(Input::LinkUp(1));
    let mut told = PieceSet::none(total);
    for message in stage.sent(1) {
        let (Message::Join { have, .. } | Message::Have(have)) = message else {
            continue;
        };
        assert!(have.len() <= limits::RANGES);
        have.iter().for_each(|range| _ = told.insert_range(*range));
    }
    assert_eq!(told, have);
    assert_eq!(stage.sent(1).len(), 2);
    // Lost pieces, too.
    stage.join(1, "", true).command(Command::Lost(vec![range(0, total)]));
    assert_eq!(stage.sent(1).len(), 2);
}
