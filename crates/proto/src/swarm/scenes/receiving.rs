//! Scenes in which the machine wants pieces.

use std::collections::BTreeSet;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet};

use super::{
    Command, Effect, Event, Input, Message, Outcome, Stage, cost, file, folder, pieces, range,
    ranges, set,
};
use crate::swarm::ValuesError;

const ALL: &str = "########";
const NONE: &str = "........";

#[test]
fn a_stranger_that_joins_is_answered_once() {
    let mut stage = Stage::receiver("##......");
    stage.join(1, ALL, false);
    let ours = Message::Join { have: ranges("##......"), wants: true };
    assert_eq!(stage.sent(1).first(), Some(&ours));
    assert_eq!(stage.sent(1).len(), 1);
    assert_eq!(stage.put(Input::LinkUp(1)).sent(1), []);
    // Whom we greeted first is not greeted again when it answers.
    assert_eq!(stage.put(Input::LinkUp(2)).sent(2), [ours]);
    assert_eq!(stage.join(2, ALL, false).sent(2), []);
}

#[test]
fn a_peer_is_asked_for_what_it_has_within_what_it_granted() {
    let mut stage = Stage::receiver("##......");
    stage.join(1, "####....", false);
    assert_eq!(stage.asked(1), [0; 0]);
    assert_eq!(stage.grant(1, 1).asked(1).len(), 1);
    stage.grant(1, 5);
    let asked = stage.asked(1);
    assert_eq!(asked.len(), 1, "2 and 3 are all it can be asked for");
    let expected = Effect::Expect { from: 1, ranges: vec![PieceRange::one(asked[0])] };
    assert_eq!(stage.effects(), [expected]);
    // What was granted and not used is used when there is news.
    assert_eq!(stage.hear(1, Message::Have(ranges("......##"))).asked(1), [6, 7]);
}

#[test]
fn grants_do_not_add_up_without_end() {
    let mut stage = Stage::receiver(&".".repeat(4000));
    stage.join(1, NONE, false);
    for _ in 0..3 {
        stage.hear(1, Message::Grant { bytes: u32::MAX });
    }
    let all = Message::Have(vec![range(0, 4000)]);
    let asked = stage.hear(1, all).asked(1).len() as u32;
    assert_eq!(stage.swarm.peers[&1].down.allowance, (64 << 20) - u64::from(cost(asked)));
}

#[test]
fn two_peers_are_not_asked_for_the_same_piece() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, ALL, false);
    let first = stage.grant(1, 5).asked(1);
    let second = stage.grant(2, 5).asked(2);
    let both: BTreeSet<u32> = first.iter().chain(&second).copied().collect();
    assert_eq!((first.len(), second.len(), both.len()), (5, 3, 8));
}

#[test]
fn rarest_pieces_are_asked_first() {
    let mut stage = Stage::receiver(NONE);
    stage.join(9, ALL, false).join(1, "####....", true).join(2, "##..##..", true);
    stage.hear(3, Message::Join { have: ranges("......#."), wants: true });
    assert_eq!(stage.grant(9, 1).asked(9), [7]);
    let mut once = stage.grant(9, 5).asked(9);
    once.sort_unstable();
    assert_eq!(once, [2, 3, 4, 5, 6]);
    assert_eq!(stage.grant(9, 9).asked(9), [0, 1]);
}

#[test]
fn pieces_without_values_are_never_asked_and_values_are_fetched() {
    // Two files of one piece, between them files of three and two.
    let map = folder(&[9, 3 << 16, 2 << 16, 7]);
    let mut stage = Stage::with_values(map, set("......."), set("#######"), BTreeSet::new());
    stage.join(1, "#####.#", false);
    let fetch = |from, files| Effect::FetchValues { from, files };
    // The last file but one is on the peer only in part, which is enough.
    let all: Vec<_> = stage.effects();
    assert!(all == [fetch(1, 1..3)] || all == [fetch(1, 2..3), fetch(1, 1..2)], "{all:?}");
    let mut asked = stage.grant(1, 9).asked(1);
    asked.sort_unstable();
    assert_eq!(asked, [0, 6]);
    for effect in all {
        let Effect::FetchValues { files, .. } = effect else { panic!("{effect:?}") };
        stage.put(Input::Done(Outcome::Values { from: 1, files, result: Ok(()) }));
        asked.extend(stage.asked(1));
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2, 3, 4, 6]);
}

#[test]
fn values_are_asked_elsewhere_after_a_lie_and_again_after_a_refusal() {
    let one_file = || Stage::with_values(file(8), set(NONE), set(ALL), BTreeSet::new());
    let end = |result| Input::Done(Outcome::Values { from: 1, files: 0..1, result });
    let fetch = |from| Effect::FetchValues { from, files: 0..1 };
    let mut stage = one_file();
    assert_eq!(stage.join(1, ALL, false).effects(), [fetch(1)]);
    stage.join(2, ALL, false).put(end(Err(ValuesError::Lie)));
    assert_eq!(stage.events(), [Event::Liar { peer: 1, piece: None }]);
    assert!(stage.hung_up_on(1));
    assert!(stage.effects().contains(&fetch(2)));

    let mut stage = one_file();
    stage.join(1, ALL, false);
    assert_eq!(stage.put(end(Err(ValuesError::Unavailable))).effects(), []);
    assert_eq!(stage.wait(Duration::from_millis(2300)).effects(), [fetch(1)]);
    // A peer that goes takes its answer with it.
    stage.join(2, ALL, false).put(Input::LinkDown(1));
    assert_eq!(stage.effects(), [fetch(2)]);
    assert_eq!(stage.put(end(Ok(()))).asked(2), [0; 0]);
}

#[test]
fn values_of_many_files_come_in_few_requests_of_bounded_size() {
    // 300 files of 1000 pieces: 32,000 bytes of values each, 131 files in a request.
    let map = folder(&vec![1000 << 16; 300]);
    let total = map.total();
    let nothing = PieceSet::none(total);
    let mut stage = Stage::with_values(map, nothing, PieceSet::all(total), BTreeSet::new());
    stage.hear(1, Message::Join { have: vec![range(0, total)], wants: false });
    let mut files = Vec::new();
    while let Some(Effect::FetchValues { files: of, .. }) = stage.effects().first().cloned() {
        assert!(stage.effects().len() <= 2 && of.len() <= 131);
        files.extend(of.clone());
        if files.len() > 300 {
            break;
        }
        stage.put(Input::Done(Outcome::Values { from: 1, files: of, result: Ok(()) }));
    }
    // The second of the first two flights has not landed; all others are there once.
    let once: BTreeSet<u32> = files.iter().copied().collect();
    assert_eq!(once.len(), files.len());
    assert!(files.len() >= 300 - 131);
}

#[test]
fn values_are_found_wherever_a_peer_has_a_file() {
    for far in [100, 700, 1100] {
        let map = folder(&[2 << 16; 1200]);
        let (total, pieces) = (map.total(), map.file(far).pieces);
        let nothing = PieceSet::none(total);
        let mut stage = Stage::with_values(map, nothing, PieceSet::all(total), BTreeSet::new());
        stage.hear(1, Message::Join { have: vec![PieceRange::one(pieces.start)], wants: false });
        let mut effects = stage.effects();
        stage.wait(Duration::from_secs(1));
        effects.extend(stage.effects());
        assert_eq!(effects, [Effect::FetchValues { from: 1, files: far..far + 1 }]);
    }
}

#[test]
fn values_of_skipped_files_are_not_fetched() {
    let map = folder(&[2 << 16; 3]);
    let mut stage = Stage::with_values(map, set("......"), set("######"), BTreeSet::new());
    stage.command(Command::Skip(vec![range(0, 2), range(4, 5)]));
    stage.join(1, "######", false);
    let mut files = BTreeSet::new();
    for effect in stage.effects() {
        let Effect::FetchValues { files: of, .. } = effect else { panic!("{effect:?}") };
        files.extend(of);
    }
    assert_eq!(files, BTreeSet::from([1, 2]), "of the last file one piece is still wanted");
}

#[test]
fn news_is_told_in_one_message_and_not_to_those_who_need_none() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, NONE, true).join(3, "####....", true).grant(1, 8);
    stage.hear(3, Message::Finished);
    assert_eq!(stage.events(), [Event::PeerFinished(3)]);
    stage.arrive(1, range(0, 2)).arrive(1, range(4, 5));
    stage.wait(Duration::from_millis(50));
    assert_eq!(stage.sent(1), []);
    assert_eq!(stage.sent(3), []);
    assert_eq!(stage.sent(2), [Message::Have(ranges("##..#..."))]);
    // Who wants pieces after all is told everything.
    stage.hear(3, Message::Join { have: ranges("####...."), wants: true });
    assert_eq!(stage.sent(3).first(), Some(&Message::Have(ranges("##..#..."))));
}

#[test]
fn the_end_is_told_to_everybody_once_and_serving_goes_on() {
    let mut stage = Stage::receiver(".###");
    stage.join(1, "####", false).join(2, "....", true).grant(1, 4);
    stage.arrive(1, range(0, 1));
    assert_eq!(stage.events(), [Event::Complete]);
    assert_eq!(stage.sent(1), [Message::Finished]);
    assert_eq!(stage.sent(2), [Message::Finished]);
    stage.hear(2, Message::Request(vec![range(0, 1)]));
    assert_eq!(stage.pushes(2), [range(0, 1)]);
    assert_eq!(stage.arrive(1, range(0, 1)).events(), []);
}

#[test]
fn what_is_complete_from_the_start_is_said_with_the_first_input() {
    let mut stage = Stage::new(file(4), set("####"), set("####"));
    assert_eq!(stage.put(Input::LinkUp(1)).events(), [Event::Complete]);
    assert_eq!(stage.put(Input::LinkUp(2)).events(), []);
    let mut seed = Stage::seed(4);
    assert_eq!(seed.put(Input::LinkUp(1)).events(), []);
}

#[test]
fn a_seed_that_wants_something_says_so() {
    let mut stage = Stage::new(file(4), set("##.."), set("...."));
    stage.join(1, "####", false).grant(1, 9);
    stage.command(Command::Want(set("..#.")));
    assert_eq!(stage.sent(1)[0], Message::Join { have: ranges("##.."), wants: true });
    assert_eq!(stage.asked(1), [2]);
    assert_eq!(stage.arrive(1, range(2, 3)).events(), [Event::Complete]);
    assert_eq!(stage.command(Command::Want(set("..##"))).asked(1), [3]);
}

#[test]
fn skipped_pieces_are_called_off_and_no_longer_missed() {
    let mut stage = Stage::receiver("..##");
    stage.join(1, "####", false).grant(1, 4);
    stage.arrive(1, range(0, 1));
    stage.command(Command::Skip(vec![range(1, 4)]));
    assert_eq!(stage.cancelled(1), [1]);
    assert_eq!(stage.events(), [Event::Complete]);
    // It comes all the same, and is kept.
    stage.arrive(1, range(1, 2));
    assert!(stage.swarm.have().contains(1));
}

#[test]
fn pieces_that_appear_here_are_called_off_and_announced() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, NONE, true).grant(1, 8);
    stage.command(Command::Local(vec![range(2, 6)]));
    assert_eq!(stage.cancelled(1), [2, 3, 4, 5]);
    assert!(stage.granted(2) > 0, "there is something to give now");
    stage.wait(Duration::from_millis(50));
    assert_eq!(stage.sent(2), [Message::Have(vec![range(2, 6)])]);
}

#[test]
fn introduced_peers_are_connected_to_once_while_something_is_missing() {
    let mut stage = Stage::receiver("...#");
    stage.join(1, "####", false).join(2, "####", false);
    let others = || Message::Peers(vec![1, 2, 7, 7]);
    assert_eq!(stage.hear(1, others()).effects(), [Effect::Connect { peer: 7 }]);
    assert_eq!(stage.hear(2, others()).effects(), []);
    stage.wait(Duration::from_secs(31));
    assert_eq!(stage.hear(2, others()).effects(), [Effect::Connect { peer: 7 }]);
    stage.grant(1, 3).arrive(1, range(0, 3));
    assert_eq!(stage.hear(1, Message::Peers(vec![8])).effects(), []);
}

#[test]
fn who_has_partners_enough_connects_to_no_more() {
    let mut stage = Stage::receiver("...#");
    for peer in 0..39 {
        stage.join(peer, "...#", true);
    }
    let others = |first| Message::Peers(vec![first, first + 1]);
    assert_eq!(stage.hear(0, others(100)).effects().len(), 2);
    stage.join(39, "...#", true);
    assert_eq!(stage.hear(0, others(110)).effects(), []);
}

#[test]
fn leaving_says_goodbye_and_ends_all_work() {
    let mut stage = Stage::receiver("####....");
    stage.join(1, ALL, false).join(2, NONE, true).grant(1, 2);
    stage.hear(2, Message::Request(vec![range(0, 1)]));
    let asked: Vec<PieceRange> = stage.swarm.peers[&1].down.asked.ranges().collect();
    stage.command(Command::Leave);
    assert_eq!((stage.sent(1), stage.sent(2)), (vec![Message::Bye], vec![Message::Bye]));
    let forget = Effect::Forget { from: 1, ranges: asked };
    let cancel = Effect::CancelPush { to: 2, ranges: vec![range(0, 1)] };
    assert_eq!(stage.effects(), [forget, cancel]);
    assert!(stage.join(3, ALL, true).out.is_empty());
}

#[test]
fn receiver_jumps_when_another_takes_the_same_pieces() {
    let total = 4000;
    let mut stage = Stage::receiver(&".".repeat(total as usize));
    stage.hear(1, Message::Join { have: vec![range(0, total)], wants: false });
    stage.join(2, NONE, true);
    let first = stage.grant(1, 4).asked(1);
    let second = stage.grant(1, 4).asked(1);
    assert_eq!(second[0], (first[3] + 1) % total, "in order, as long as nobody is in the way");
    stage.hear(2, Message::Have(vec![PieceRange::one(second[0])]));
    let third = stage.grant(1, 4).asked(1);
    assert_ne!(third[0], (second[3] + 1) % total);
    assert_eq!(pieces(&[range(third[0], third[0] + 4)]), third);
}
