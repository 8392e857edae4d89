//! A machine that anything may happen to, in any order: it must not panic, and its books must
//! balance.

use std::collections::BTreeSet;

use potluck_base::{PieceRange, PieceSet};

use super::{Command, Input, Message, Outcome, Stage, Swarm, Timer, file, folder};
use crate::dice::Dice;
use crate::swarm::{GoneWhy, NotPushedWhy, ValuesError};

#[test]
fn books_balance_whatever_happens() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let map = match dice.chance(1, 2) {
            true => file(1 + dice.below(90) as u32),
            false => {
                let sizes: Vec<u64> =
                    (0..1 + dice.below(20))
                        .map(|_| {
                            if dice.chance(1, 3) { dice.below(9) << 16 } else { dice.below(9) + 1 }
                        })
                        .map(|size| size.max(1))
                        .collect();
                folder(&sizes)
            }
        };
        let total = map.total();
        let mut some = |quarters| {
            let pieces = (0..total).filter(|_| dice.chance(quarters, 4));
            PieceSet::from_ranges(total, pieces.map(PieceRange::one))
        };
        let (have, wanted) = (some(1), some(3));
        let mut stage = Stage::with_values(map, have, wanted, BTreeSet::new());
        for _ in 0..1500 {
            stage.now.0 += dice.below(60_000);
            let input = anything(&mut dice, total, &stage);
            stage.put(input);
        }
    }
}

fn anything(dice: &mut Dice, total: u32, stage: &Stage) -> Input<Swarm<u8>> {
    let peer = dice.below(6) as u8;
    let start = dice.below(u64::from(total) + 2) as u32;
    let range = PieceRange::new(start, start + 1 + dice.below(12) as u32);
    let inside = range.intersect(PieceRange::new(0, total));
    match dice.below(20) {
        0 => Input::LinkUp(peer),
        1 if dice.chance(1, 4) => Input::LinkDown(peer),
        2 => Input::TimerFired(Timer::Announce),
        3 | 4 => Input::TimerFired(Timer::Tick),
        5 => Input::Command(match dice.below(5) {
            0 => Command::Want(PieceSet::from_ranges(total, [inside])),
            1 => Command::Skip(vec![range]),
            2 => Command::Local(vec![range]),
            _ => Command::Lost(vec![range]),
        }),
        6..=11 => Input::Received { from: peer, message: any_message(dice, range, total) },
        12 => Input::Done(Outcome::Values {
            from: peer,
            files: 0..1,
            result: match dice.below(30) {
                0 => Err(ValuesError::Lie),
                1..9 => Err(ValuesError::Unavailable),
                _ => Ok(()),
            },
        }),
        13..=15 => Input::Done(Outcome::Arrived { from: peer, range: expected(dice, stage, peer) }),
        16 if dice.chance(1, 20) => Input::Done(Outcome::Bad { from: peer, piece: start }),
        17 => Input::Done(Outcome::Unasked { from: peer, range }),
        18 => Input::Done(Outcome::Pushed { to: peer, range: pushing(stage, peer) }),
        _ => Input::Done(Outcome::NotPushed {
            to: peer,
            range: pushing(stage, peer),
            why: match dice.chance(1, 8) {
                true => NotPushedWhy::Source(GoneWhy::Missing),
                false => NotPushedWhy::Link,
            },
        }),
    }
}

fn any_message(dice: &mut Dice, range: PieceRange, total: u32) -> Message<u8> {
    match dice.below(16) {
        0..=2 => Message::Join { have: vec![range], wants: dice.chance(2, 3) },
        3 => Message::Join { have: vec![PieceRange::new(0, total)], wants: false },
        4 | 5 => Message::Have(vec![range]),
        6..=8 => Message::Grant { bytes: dice.below(900_000) as u32 },
        9..=11 => Message::Request(vec![range]),
        12 => Message::Cancel(vec![range]),
        13 => Message::Gone { ranges: vec![range], why: GoneWhy::Unreadable },
        14 => Message::Peers(vec![1, 2, 77]),
        _ if dice.chance(1, 4) => Message::Bye,
        _ => Message::Finished,
    }
}

/// Something that was asked of the peer, or, if nothing was, anything.
fn expected(dice: &mut Dice, stage: &Stage, peer: u8) -> PieceRange {
    let asked = stage.swarm.peers.get(&peer).and_then(|peer| peer.down.asked.ranges().next());
    asked.unwrap_or_else(|| PieceRange::one(dice.below(20) as u32))
}

fn pushing(stage: &Stage, peer: u8) -> PieceRange {
    let pushing = stage.swarm.peers.get(&peer).map(|peer| peer.up.pushing());
    pushing.and_then(|ranges| ranges.first().copied()).unwrap_or(PieceRange::one(0))
}
