//! Joins, leaves, crashes, partitions.

use super::{Event, Params, Peer, Town, params};

#[test]
fn one_peer_alone_keeps_everything() {
    let mut town = Town::new(params(3));
    town.come(5, &[]);
    assert!(matches!(town.events[..], [(Peer(5), Event::Joined { alone: true })]));
    let found = town.look_up(5, super::place(700)).unwrap();
    assert_eq!((found.owner, found.hops), (Peer(5), 0));
}

#[test]
fn peers_that_join_one_by_one_form_a_circle() {
    for count in [2, 3, 4, 5, 9, 20] {
        let peers: Vec<u16> = (0..count).map(|number| number * 37 % 1000 + 1).collect();
        Town::of(params(3), &peers).assert_whole();
    }
}

#[test]
fn peers_that_join_at_once_form_a_circle() {
    let mut town = Town::new(params(3));
    town.come(500, &[]);
    for peer in (10..1000).step_by(50) {
        town.come(peer + 1, &[500]);
    }
    town.run(120_000);
    assert_eq!(town.nodes.len(), 21);
    town.assert_whole();
}

#[test]
fn a_ring_without_fingers_is_the_same_circle() {
    let ring = Params { successors: 3, ..Params::ring() };
    let town = Town::of(ring, &[100, 900, 500, 300, 700, 200]);
    town.assert_whole();
    assert!(town.nodes.values().all(|node| node.fingers().is_empty()));
}

#[test]
fn neighbours_close_up_after_a_leave_without_waiting() {
    let mut town = Town::of(params(3), &[100, 300, 500, 700, 900]);
    town.tell(500, super::Command::Leave);
    town.run(100);
    assert!(
        town.events
            .iter()
            .any(|(peer, event)| { *peer == Peer(500) && matches!(event, Event::Left) })
    );
    town.kill(500);
    assert_eq!(town.node(300).successors()[0], Peer(700));
    assert_eq!(town.node(700).predecessor(), Some(Peer(300)));
    town.run(30_000);
    town.assert_whole();
}

#[test]
fn two_that_part_are_alone_and_one_that_stays_is_whole() {
    let mut town = Town::of(params(3), &[100, 600]);
    town.assert_whole();
    town.tell(600, super::Command::Leave);
    town.run(1_000);
    town.kill(600);
    town.run(30_000);
    town.assert_whole();
    assert_eq!(town.node(100).successors(), []);
}

#[test]
fn as_many_neighbours_may_die_at_once_as_the_list_is_long_less_one() {
    let peers: Vec<u16> = (1..=12).map(|number| number * 80).collect();
    let mut town = Town::of(params(4), &peers);
    for dead in [240, 320, 400] {
        town.kill(dead);
    }
    town.run(60_000);
    town.assert_whole();
    assert_eq!(town.node(160).successors()[0], Peer(480));
}

#[test]
fn a_half_that_dies_at_once_leaves_a_whole_circle() {
    let peers: Vec<u16> = (1..=20).map(|number| number * 49).collect();
    let mut town = Town::of(params(8), &peers);
    for dead in peers.iter().step_by(2) {
        town.kill(*dead);
    }
    town.run(60_000);
    town.assert_whole();
}

#[test]
fn when_all_successors_die_a_peer_finds_others_that_it_knows() {
    let mut town = Town::of(params(2), &[100, 200, 300, 400, 500, 600]);
    town.kill(200);
    town.kill(300);
    town.run(120_000);
    town.assert_whole();
}

#[test]
fn two_halves_that_were_apart_become_one_circle_again() {
    let (even, odd): (Vec<u16>, Vec<u16>) =
        ((1..=6).map(|n| n * 150).collect(), { (1..=6).map(|n| n * 150 - 70).collect() });
    let all: Vec<u16> = even.iter().chain(&odd).copied().collect();
    let mut town = Town::of(params(3), &all);
    town.part(&even, &odd);
    town.run(120_000);
    // Each half is a circle of its own.
    let behind = town.node(150).successors()[0];
    assert!(even.contains(&behind.0), "{behind:?}");
    town.heal();
    town.run(600_000);
    town.assert_whole();
}

#[test]
fn all_who_start_again_at_once_find_each_other() {
    let peers = [100, 250, 400, 550, 700, 850];
    let town = Town::of(params(3), &peers);
    let known: Vec<Vec<u16>> = peers
        .iter()
        .map(|peer| town.node(*peer).known().iter().map(|known| known.0).collect())
        .collect();
    let mut again = Town::new(params(3));
    for (peer, known) in peers.iter().zip(known) {
        again.come(*peer, &known);
    }
    again.run(120_000);
    again.assert_whole();
}

#[test]
fn a_joiner_goes_on_when_the_first_contact_is_gone() {
    let mut town = Town::of(params(3), &[100, 400, 700]);
    town.come(550, &[999, 998, 400]);
    town.run(60_000);
    town.assert_whole();
}

#[test]
fn a_joiner_that_reaches_nobody_says_so_and_comes_in_later() {
    let mut town = Town::new(params(3));
    town.come(100, &[400]);
    town.run(10_000);
    assert!(town.events.iter().any(|(_, event)| matches!(event, Event::Unreached)));
    town.come(400, &[]);
    town.run(60_000);
    town.assert_whole();
}

#[test]
fn a_peer_that_comes_back_at_once_takes_its_place_again() {
    let mut town = Town::of(params(3), &[100, 300, 500, 700]);
    town.kill(300);
    town.come(300, &[700]);
    town.run(30_000);
    town.assert_whole();
}
