//! Scenes in which peers are slow, silent, wrong or gone.

use std::time::Duration;

use potluck_base::PieceRange;

use super::{
    Command, Effect, Event, Input, Message, Outcome, Stage, Timer, cost, file, range, ranges, set,
};
use crate::swarm::GoneWhy;

const ALL: &str = "########";
const NONE: &str = "........";

#[test]
fn piece_with_bad_hash_is_asked_from_another_peer() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, ALL, false);
    let asked = stage.grant(1, 8).asked(1);
    assert_eq!(asked.len(), 8);
    stage.grant(2, 8).arrive(1, range(0, 3));
    stage.put(Input::Done(Outcome::Bad { from: 1, piece: 3 }));
    assert_eq!(stage.events(), [Event::Liar { peer: 1, piece: Some(3) }]);
    assert!(stage.hung_up_on(1));
    assert_eq!(stage.asked(2), [3, 4, 5, 6, 7]);
    let forget = Effect::Forget { from: 1, ranges: vec![range(3, 8)] };
    assert!(stage.effects().contains(&forget));
    // It comes back and says the same; nobody listens.
    stage.put(Input::LinkDown(1));
    assert!(stage.put(Input::LinkUp(1)).hung_up_on(1));
    assert_eq!(stage.join(1, ALL, false).sent(1), []);
    assert_eq!(stage.arrive(2, range(3, 8)).events(), [Event::Complete]);
}

#[test]
fn pieces_of_a_peer_that_goes_are_asked_from_others() {
    for bye in [true, false] {
        let mut stage = Stage::receiver(NONE);
        stage.join(1, ALL, false).join(2, ALL, false);
        stage.grant(1, 8).grant(2, 3);
        stage.put(match bye {
            true => Input::Received { from: 1, message: Message::Bye },
            false => Input::LinkDown(1),
        });
        assert_eq!(stage.asked(2).len(), 3);
        assert_eq!(stage.grant(2, 9).asked(2).len(), 5);
    }
}

#[test]
fn silent_peer_loses_its_pieces_and_may_revive() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, ALL, false);
    let asked = stage.grant(1, 8).asked(1);
    assert_eq!(stage.wait(Duration::from_millis(4900)).events(), []);
    stage.wait(Duration::from_millis(400));
    assert_eq!(stage.events(), [Event::Stalled(1)]);
    // One piece stays, as a sign of life; even that may be asked from another.
    let cancelled = stage.cancelled(1);
    assert_eq!(cancelled.len(), 7);
    let probe = *asked.iter().find(|piece| !cancelled.contains(piece)).unwrap();
    assert_eq!(stage.grant(2, 9).asked(2).len(), 8);
    assert_eq!(stage.grant(1, 9).asked(1), [0; 0]);
    stage.arrive(1, PieceRange::one(probe));
    assert_eq!(stage.events(), [Event::Revived(1)]);
    assert_eq!(stage.cancelled(2), [probe]);
    // What had been called off may still come, and is no fault; anything else is.
    for piece in &cancelled {
        stage.put(Input::Done(Outcome::Unasked { from: 1, range: PieceRange::one(*piece) }));
    }
    assert_eq!(stage.swarm.peers[&1].strikes(), 0);
    stage.put(Input::Done(Outcome::Unasked { from: 1, range: PieceRange::one(cancelled[0]) }));
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
}

#[test]
fn stalled_peer_without_outstanding_pieces_is_probed() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, ALL, false).grant(1, 12);
    stage.wait(Duration::from_secs(6)).grant(2, 8);
    stage.arrive(2, range(0, 5));
    for piece in 5..8 {
        if stage.swarm.peers[&1].down.asked.contains(piece) {
            stage.arrive(2, PieceRange::one(piece));
        }
    }
    let left = stage.swarm.missing();
    assert!(left > 0 && stage.swarm.peers[&1].down.asked.is_empty());
    let mut probed = Vec::new();
    for _ in 0..8 {
        stage.wait(Duration::from_secs(1));
        probed.extend(stage.asked(1));
    }
    assert_eq!(probed.len(), 1);
    stage.arrive(1, PieceRange::one(probed[0]));
    assert_eq!(stage.events().first(), Some(&Event::Revived(1)));
}

#[test]
fn slow_peer_loses_its_piece_to_a_faster_one() {
    let total = 200;
    let mut stage = Stage::receiver(&".".repeat(total));
    let all = "#".repeat(total);
    stage.join(1, &all, false).join(2, &all, false);
    stage.grant(1, 100).grant(2, 100);
    let slow: Vec<u32> = stage.swarm.peers[&1].down.asked.iter().collect();
    let fast: Vec<u32> = stage.swarm.peers[&2].down.asked.iter().collect();
    assert_eq!((slow.len(), fast.len()), (100, 100));
    let mut slow = slow.into_iter();
    for (count, piece) in fast.iter().enumerate() {
        stage.now = stage.now + Duration::from_millis(10);
        if count % 50 == 0 {
            stage.arrive(1, PieceRange::one(slow.next().unwrap()));
        }
        stage.arrive(2, PieceRange::one(*piece));
    }
    // Fifty times quicker: with the next grant it is given nearly all that the other still has.
    stage.grant(2, 300);
    let (taken, given) = (stage.cancelled(1), stage.asked(2));
    assert_eq!(taken, given);
    assert!(given.len() > 85 && given.len() < 97, "{}", given.len());
    let next = slow.next().unwrap();
    assert!(!given.contains(&next), "what the slow one sends next stays with it");
}

#[test]
fn equally_quick_peers_keep_their_pieces() {
    let mut stage = Stage::receiver(&".".repeat(200));
    let all = "#".repeat(200);
    stage.join(1, &all, false).join(2, &all, false).grant(1, 100).grant(2, 4);
    for _ in 0..4 {
        stage.now = stage.now + Duration::from_millis(40);
        let first = stage.swarm.peers[&1].down.asked.first_present(0);
        stage.arrive(1, PieceRange::one(first));
        let second = stage.swarm.peers[&2].down.asked.first_present(0);
        stage.arrive(2, PieceRange::one(second));
        assert_eq!(stage.cancelled(1), [0; 0]);
    }
    // There is enough that nobody was asked for.
    assert_eq!(stage.grant(2, 4).cancelled(1), [0; 0]);
    assert_eq!(stage.asked(2).len(), 4);
}

#[test]
fn in_the_endgame_a_slow_piece_is_asked_twice_and_called_off_once() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, ALL, false).grant(1, 4);
    let slow: Vec<u32> = stage.swarm.peers[&1].down.asked.iter().collect();
    for piece in stage.grant(2, 4).asked(2) {
        stage.now = stage.now + Duration::from_millis(150);
        stage.arrive(2, PieceRange::one(piece));
    }
    stage.grant(2, 4).wait(Duration::from_millis(1200));
    let doubled = stage.swarm.peers[&2].down.asked.clone();
    assert_eq!(doubled.iter().collect::<Vec<_>>(), slow);
    assert_eq!(stage.cancelled(1), [0; 0], "both may send");
    stage.arrive(2, PieceRange::one(slow[0]));
    assert_eq!(stage.cancelled(1), [slow[0]]);
    stage.arrive(1, PieceRange::one(slow[1]));
    assert_eq!(stage.cancelled(2), [slow[1]]);
    stage.arrive(2, PieceRange::one(slow[2])).arrive(1, PieceRange::one(slow[3]));
    assert_eq!(stage.events(), [Event::Complete]);
}

#[test]
fn gone_pieces_are_asked_elsewhere_and_lost_only_if_nobody_has_them() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).join(2, "#######.", false).grant(1, 8).grant(2, 1);
    let gone = |ranges| Message::Gone { ranges, why: GoneWhy::Missing };
    stage.hear(1, gone(vec![range(0, 2)]));
    assert_eq!(stage.events(), []);
    assert_eq!(stage.asked(2).len(), 1);
    stage.hear(2, gone(vec![range(1, 2)]));
    let lost = |start, end| Event::Lost { ranges: vec![range(start, end)], why: GoneWhy::Missing };
    assert_eq!(stage.events(), [lost(1, 2)]);
    stage.hear(1, gone(vec![range(0, 2)])).hear(1, Message::Have(vec![range(0, 2)]));
    assert_eq!(stage.events(), [], "said once; and who lost it is not believed to have it again");
    stage.put(Input::LinkDown(2));
    assert_eq!(stage.events(), [lost(0, 1)], "the other had it, and said nothing of it");
    // Somebody has it after all, and loses it too.
    stage.join(3, "##......", false).hear(3, gone(vec![range(0, 1)]));
    assert_eq!(stage.events(), [lost(0, 1)]);
}

#[test]
fn nothing_is_lost_while_somebody_has_everything() {
    let mut stage = Stage::receiver("....");
    let gone = || Message::Gone { ranges: vec![range(1, 3)], why: GoneWhy::Missing };
    let lost = || Event::Lost { ranges: vec![range(1, 3)], why: GoneWhy::Missing };
    stage.join(1, "####", false).join(2, "####", false);
    assert_eq!(stage.hear(1, gone()).events(), []);
    assert_eq!(stage.hear(2, gone()).events(), [lost()]);
    // Somebody who has everything comes, and loses it as well.
    assert_eq!(stage.join(3, "####", false).events(), []);
    assert_eq!(stage.hear(3, gone()).events(), [lost()]);
}

#[test]
fn who_always_takes_long_is_given_longer() {
    let mut stage = Stage::receiver(&".".repeat(100));
    stage.hear(1, Message::Join { have: vec![range(0, 100)], wants: false });
    let asked = stage.grant(1, 50).asked(1);
    for piece in &asked[..5] {
        stage.wait(Duration::from_secs(3)).arrive(1, PieceRange::one(*piece));
    }
    assert_eq!(stage.wait(Duration::from_secs(10)).events(), []);
    assert_eq!(stage.wait(Duration::from_secs(3)).events(), [Event::Stalled(1)]);
}

#[test]
fn our_own_loss_is_told_and_made_good() {
    let mut stage = Stage::new(file(8), set(ALL), set(ALL));
    stage.put(Input::LinkUp(1)).join(1, ALL, false).grant(1, 8).join(2, NONE, true);
    stage.command(Command::Lost(vec![range(3, 5)]));
    let gone = Message::Gone { ranges: vec![range(3, 5)], why: GoneWhy::Changed };
    assert!(stage.sent(1).contains(&gone) && stage.sent(2).contains(&gone));
    assert!(stage.sent(1).contains(&Message::Join { have: ranges("###..###"), wants: true }));
    assert_eq!(stage.asked(1), [3, 4]);
    assert_eq!(stage.arrive(1, range(3, 5)).events(), [Event::Complete]);
}

#[test]
fn claims_beyond_the_content_are_ignored_and_counted() {
    let mut stage = Stage::receiver("....");
    stage.join(1, "..", false).hear(1, Message::Have(vec![range(3, 4_000_000_000)]));
    assert_eq!(stage.grant(1, 9).asked(1), [3]);
    assert_eq!(stage.swarm.peers[&1].strikes(), 1);
    for _ in 0..63 {
        assert!(!stage.hear(1, Message::Have(vec![range(9, 10)])).hung_up_on(1));
    }
    assert!(stage.hear(1, Message::Have(vec![range(9, 10)])).hung_up_on(1));
}

#[test]
fn unasked_pieces_are_counted_against_who_sent_them() {
    let mut stage = Stage::receiver("....");
    stage.join(1, "....", false);
    let unasked = || Input::Done(Outcome::Unasked { from: 1, range: range(0, 2) });
    for _ in 0..64 {
        assert!(!stage.put(unasked()).hung_up_on(1));
    }
    assert!(stage.put(unasked()).hung_up_on(1));
}

#[test]
fn one_peer_does_not_send_us_dialling_without_end() {
    let mut stage = Stage::receiver("...#");
    stage.join(0, "####", false);
    let mut dialled = 0;
    for _ in 0..9 {
        dialled += stage.hear(0, Message::Peers((1..51).collect())).effects().len();
        dialled += stage.hear(0, Message::Peers((51..101).collect())).effects().len();
        dialled += stage.hear(0, Message::Peers((101..151).collect())).effects().len();
        dialled += stage.hear(0, Message::Peers((151..201).collect())).effects().len();
        dialled += stage.hear(0, Message::Peers((201..251).collect())).effects().len();
    }
    assert_eq!(dialled, 200);
}

#[test]
fn late_timers_are_harmless() {
    let mut stage = Stage::receiver(NONE);
    for timer in [Timer::Tick, Timer::Announce] {
        assert!(stage.put(Input::TimerFired(timer)).out.is_empty());
    }
    stage.join(1, ALL, false).join(2, NONE, true).grant(1, 8).arrive(1, range(0, 1));
    // Too early: set, but for later.
    assert!(stage.put(Input::TimerFired(Timer::Announce)).out.is_empty());
    stage.wait(Duration::from_millis(50));
    assert_eq!(stage.sent(2), [Message::Have(vec![range(0, 1)])]);
    assert!(stage.put(Input::TimerFired(Timer::Announce)).out.is_empty());
    stage.command(Command::Leave);
    for timer in [Timer::Tick, Timer::Announce] {
        stage.now = stage.now + Duration::from_secs(9);
        assert!(stage.put(Input::TimerFired(timer)).out.is_empty());
    }
}

#[test]
fn a_piece_called_off_twice_may_come_twice() {
    let mut stage = Stage::receiver("####....");
    stage.join(1, ALL, false).grant(1, 8);
    for _ in 0..2 {
        stage.hear(1, Message::Gone { ranges: Vec::new(), why: GoneWhy::Changed });
        stage.command(Command::Skip(vec![range(4, 5)])).command(Command::Want(set("....#...")));
        assert_eq!(stage.asked(1), [4]);
    }
    stage.command(Command::Skip(vec![range(4, 5)]));
    for strikes in [0, 0, 0, 1] {
        stage.put(Input::Done(Outcome::Unasked { from: 1, range: range(4, 5) }));
        assert_eq!(stage.swarm.peers[&1].strikes(), strikes);
    }
}

#[test]
fn a_peer_that_has_shown_nothing_is_not_trusted_with_much() {
    let mut stage = Stage::receiver(&".".repeat(4000));
    stage.hear(1, Message::Join { have: vec![range(0, 4000)], wants: false });
    assert_eq!(stage.grant(1, 400).asked(1).len(), (8 << 20) / cost(1) as usize);
    let first: Vec<PieceRange> = stage.swarm.peers[&1].down.asked.ranges().collect();
    for part in first {
        stage.arrive(1, part);
    }
    // It may owe us twice what it has given.
    assert_eq!(stage.asked(1).len(), 2 * 127 * (1 << 16) / cost(1) as usize);
}

#[test]
fn a_helper_that_has_shown_nothing_is_tried_with_one_piece() {
    let total = 100;
    let mut stage = Stage::receiver(&".".repeat(total));
    let all = "#".repeat(total);
    stage.join(1, &all, false).grant(1, 100).join(2, &all, false);
    stage.now = stage.now + Duration::from_secs(2);
    let next = stage.swarm.peers[&1].down.asked.first_present(0);
    stage.arrive(1, PieceRange::one(next));
    assert_eq!(stage.grant(2, 100).asked(2).len(), 1);
    assert_eq!(stage.cancelled(1).len(), 1);
}

#[test]
fn a_peer_on_which_messages_crossed_hears_the_news() {
    let mut stage = Stage::receiver(NONE);
    stage.join(1, ALL, false).put(Input::LinkUp(2)).grant(1, 8);
    // Our `Join` has gone to 2; before its own comes, we get a piece.
    stage.arrive(1, range(3, 4)).wait(Duration::from_millis(60));
    assert_eq!(stage.sent(2), [Message::Have(vec![range(3, 4)])]);
    stage.command(Command::Lost(vec![range(3, 4)]));
    let gone = Message::Gone { ranges: vec![range(3, 4)], why: GoneWhy::Changed };
    assert!(stage.sent(2).contains(&gone));
    stage.arrive(1, range(0, 8));
    assert_eq!(stage.sent(2), [Message::Finished]);
}
