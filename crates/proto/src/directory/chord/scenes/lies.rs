//! Peers that say what cannot be.

use super::{Event, Message, Params, Peer, Town, Twist, params, place};
use crate::directory::chord::message::{Message as Said, Reply};

const PEERS: [u16; 10] = [50, 150, 250, 350, 450, 550, 650, 750, 850, 950];

fn town(ways: usize) -> Town {
    // One at a time and no cache: the liar is asked.
    let params = Params { ways, parallel: 1, cache: 0, ..params(3) };
    Town::of(params, &PEERS)
}

/// Says that it is the owner of every key that it is asked for.
fn claims_all(own: Peer, message: Message) -> Option<Message> {
    Some(match message {
        Said::Answer { id, body: Reply::Closer { .. } | Reply::Owner { .. } } => {
            let body = Reply::Owner { predecessor: Peer(own.0 - 1), successors: vec![own] };
            Said::Answer { id, body }
        }
        other => other,
    })
}

/// Sends everybody back to where they came from.
fn leads_back(_own: Peer, message: Message) -> Option<Message> {
    Some(match message {
        Said::Answer { id, body: Reply::Closer { .. } | Reply::Owner { .. } } => {
            Said::Answer { id, body: Reply::Closer { contacts: vec![Peer(50), Peer(150)] } }
        }
        other => other,
    })
}

fn lied(town: &Town) -> bool {
    town.events.iter().any(|(_, event)| matches!(event, Event::Liar { .. }))
}

#[test]
fn an_owner_that_cannot_be_is_noticed_and_gone_around() {
    for twist in [claims_all as Twist, leads_back] {
        let mut town = town(1);
        town.twists.insert(Peer(650), twist);
        for key in [700u128, 800, 900] {
            let found = town.look_up(50, place(key)).unwrap();
            assert_eq!(found.owner, town.owner(place(key)), "{key}");
        }
        assert!(lied(&town));
    }
}

#[test]
fn of_several_ways_the_owner_closest_to_the_key_wins() {
    let mut town = town(3);
    // A claim that looks right: it says that it stands right before the key, and that a friend
    // far behind keeps it.
    fn shadows(own: Peer, message: Message) -> Option<Message> {
        Some(match message {
            Said::Answer { id, body: Reply::Closer { .. } } => {
                let body = Reply::Owner { predecessor: own, successors: vec![Peer(50)] };
                Said::Answer { id, body }
            }
            other => other,
        })
    }
    town.twists.insert(Peer(550), shadows);
    for key in [600u128, 700, 800, 900] {
        let found = town.look_up(50, place(key)).unwrap();
        assert_eq!(found.owner, town.owner(place(key)), "{key}");
    }
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut town = town(1);
    let before = town.node(50).successors().to_vec();
    let body = Reply::Owner { predecessor: Peer(950), successors: vec![Peer(51)] };
    for id in 0..200 {
        town.send(Peer(999), Peer(50), Said::Answer { id, body: body.clone() });
    }
    town.run(100);
    assert_eq!(town.node(50).successors(), before);
}

#[test]
fn a_keeper_that_always_has_more_to_compare_is_not_followed_for_ever() {
    fn endless(_own: Peer, message: Message) -> Option<Message> {
        Some(match message {
            Said::Answer { id, body: Reply::Same | Reply::Names(_) | Reply::Parts(_) } => {
                let digest = crate::directory::chord::Digest { count: 1, sum: u128::from(id) + 1 };
                Said::Answer { id, body: Reply::Parts(vec![digest; 16]) }
            }
            other => other,
        })
    }
    let mut town = town(1);
    town.twists.insert(Peer(150), endless);
    town.run(60_000);
    assert!(town.sent_by(Peer(50)) < 20_000, "{}", town.sent_by(Peer(50)));
    town.assert_whole();
}
