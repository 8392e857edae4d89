//! Comings and goings by chance, and what must be true when it is quiet again.

use super::{Command, Note, Params, Peer, Town, params, place};
use crate::dice::Dice;

/// Lets peers come, go and die by chance; nobody dies beside somebody who died since the last
/// repair, so that of three keepers one lives.
fn trouble(seed: u64, params: Params) -> Town {
    let mut dice = Dice::new(seed);
    let first: Vec<u16> = (1..=8).map(|number| number * 110).collect();
    let mut town = Town::of(params, &first);
    let keys: Vec<u128> = (0..60).map(|number| number * 16 + 3).collect();
    let records = keys.iter().map(|key| (place(*key), Note::new(*key as u64, 1))).collect();
    let results = town.put(110, records);
    assert!(results.iter().all(|(_, _, result)| *result == Ok(3)), "seed {seed}: {results:?}");
    for _ in 0..30 {
        let there = town.numbers();
        let any = there[dice.below(there.len() as u64) as usize];
        match dice.below(4) {
            0 | 1 if there.len() < 20 => {
                let new = dice.below(999) as u16 + 1;
                if !there.contains(&new) {
                    town.come(new, &[any, there[0]]);
                }
            }
            2 if there.len() > 5 => {
                town.tell(any, Command::Leave);
                town.run(dice.below(200));
                town.kill(any);
            }
            3 if there.len() > 5 => {
                town.run(60_000);
                town.kill(any);
            }
            _ => {}
        }
        town.run(dice.below(6_000));
    }
    town.run(300_000);
    for key in &keys {
        let from = town.numbers()[0];
        let owner = town.owner(place(*key));
        let told = town.ask(from, place(*key));
        assert_eq!(told, Some((owner, vec![(*key as u64, 1)])), "seed {seed}, key {key}");
        assert_eq!(town.holders(place(*key)).len(), 3, "seed {seed}, key {key}");
    }
    town
}

#[test]
fn after_any_trouble_the_circle_is_whole_and_every_record_at_its_keepers() {
    for seed in 0..12 {
        let town = trouble(seed, params(4));
        assert_eq!(town.faults(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_ring_without_fingers_stands_the_same_trouble() {
    for seed in 100..106 {
        let town = trouble(seed, Params { successors: 4, ..Params::ring() });
        assert_eq!(town.faults(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_third_that_leaves_at_once_takes_nothing_along() {
    let peers: Vec<u16> = (1..=24).map(|number| number * 41).collect();
    let mut town = Town::of(params(8), &peers);
    let records: Vec<_> = (0..200u64)
        .map(|number| (place(u128::from(number) * 5 + 1), Note::new(number, 1)))
        .collect();
    assert!(town.put(41, records.clone()).iter().all(|(_, _, result)| *result == Ok(3)));
    // Eight in a row: all three keepers of many a record are among them.
    let going: Vec<u16> = peers[8..16].to_vec();
    for peer in &going {
        town.tell(*peer, Command::Leave);
    }
    town.run(10_000);
    for peer in &going {
        town.kill(*peer);
    }
    town.run(200_000);
    town.assert_whole();
    for (key, note) in records {
        let told = town.ask(41, key).unwrap();
        assert_eq!(told.1, [(note.slot, 1)], "{key}");
        assert_eq!(town.holders(key).len(), 3);
    }
    assert!(town.nodes.contains_key(&Peer(41)));
}
