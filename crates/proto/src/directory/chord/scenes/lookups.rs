//! Who keeps a key, from everywhere.

use super::{OnRing, Params, Peer, Town, params, place};

fn circle(count: u16) -> Vec<u16> {
    (0..count).map(|number| (number * 613) % 997 + 1).collect()
}

fn all_right(town: &mut Town, keys: impl Iterator<Item = u128> + Clone) {
    for from in town.numbers() {
        for key in keys.clone() {
            let key = place(key);
            let found = town.look_up(from, key).expect("each lookup ends");
            assert_eq!(found.owner, town.owner(key), "{key} from {from}: {found:?}");
        }
    }
}

#[test]
fn every_peer_finds_the_same_owner_as_a_sorted_list() {
    for params in [params(3), Params { successors: 3, ..Params::ring() }] {
        let mut town = Town::of(params, &circle(24));
        all_right(&mut town, [0, 1, 333, 500, 999].into_iter());
    }
}

#[test]
fn the_paper_s_lookup_asks_one_at_a_time_and_counts_up_to_the_predecessor() {
    let mut town = Town::of(Params { successors: 1, ..Params::paper(1) }, &circle(32));
    town.run(2_000_000);
    town.assert_whole();
    for key in [20u128, 480, 960] {
        let found = town.look_up(1, place(key)).unwrap();
        assert_eq!(found.owner, town.owner(place(key)));
        assert!(found.hops <= 5, "{found:?}");
        assert_eq!(found.path.iter().filter(|hop| hop.depth <= found.hops).count(), {
            found.hops as usize
        });
    }
}

#[test]
fn without_fingers_the_way_is_as_long_as_the_circle() {
    let ring = Params { successors: 1, merge_every: 0, ..Params::ring() };
    let mut town = Town::of(ring, &circle(20));
    town.run(120_000);
    let last = *town.numbers().last().unwrap();
    let first = town.numbers()[0];
    let found = town.look_up(first, place(u128::from(last))).unwrap();
    assert_eq!((found.owner, found.hops), (Peer(last), 18));
}

#[test]
fn dead_peers_on_the_way_are_gone_around() {
    let peers = circle(30);
    let mut town = Town::of(params(6), &peers);
    for dead in peers.iter().skip(1).step_by(3) {
        town.kill(*dead);
    }
    all_right(&mut town, [100, 400, 800].into_iter());
}

#[test]
fn an_owner_that_came_just_now_is_found_although_its_predecessor_does_not_know() {
    let mut town = Town::of(params(3), &[100, 400, 700]);
    town.come(550, &[100]);
    town.run(70);
    let found = town.look_up(100, place(500)).unwrap();
    assert_eq!(found.owner, Peer(550));
}

#[test]
fn a_lookup_of_a_peer_s_own_place_leads_to_it() {
    let mut town = Town::of(params(3), &circle(12));
    for peer in town.numbers() {
        let found = town.look_up(town.numbers()[0], Peer(peer).ring_id()).unwrap();
        assert_eq!(found.owner, Peer(peer));
    }
}
