//! Peers that take part honestly, but lie when somebody looks something up.

use std::collections::BTreeMap;

use potluck_proto::directory::chord::{Message, Neighbours, OnRing, Reply, Request, RingId};

use super::ideal::Ideal;
use super::note::{Known, Note};
use super::spot::{Spot, mix};

type Said = Message<Spot, Note, (), Known>;

/// Who lies, and what each was asked.
pub struct Liars {
    /// All that lie, to name each other.
    friends: Ideal,
    /// Of a thousand.
    share: u64,
    everybody: Ideal,
    asked: BTreeMap<(Spot, Spot, u32), RingId>,
}

/// How one lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Every key is its own.
    Greedy,
    /// Whoever stands closer is one of them.
    Clannish,
    /// It says nothing.
    Mute,
}

impl Liars {
    /// So many of a thousand of these peers lie.
    pub fn new(everybody: Ideal, share: u64) -> Self {
        let lies = |spot: &Spot| lies(*spot, share);
        let friends = Ideal::new(everybody.spots().filter(lies));
        Self { friends, share, everybody, asked: BTreeMap::new() }
    }

    /// Whether a peer lies.
    pub fn has(&self, spot: Spot) -> bool {
        lies(spot, self.share)
    }

    /// What really goes out when a peer says something; nothing, if it keeps silent.
    pub fn twist(&mut self, from: Spot, to: Spot, said: &Said) -> Option<Said> {
        match said {
            Message::Call { id, body: Request::Next { key, .. } } if self.has(to) => {
                self.asked.insert((to, from, *id), *key);
                Some(said.clone())
            }
            Message::Answer { id, body } if self.has(from) => match body {
                Reply::Owner { .. } | Reply::Closer { .. } => {
                    let key = self.asked.remove(&(from, to, *id))?;
                    let body = self.lie(from, key)?;
                    Some(Message::Answer { id: *id, body })
                }
                // Asked whether it is the owner, it stands by its word.
                Reply::State(truth) if habit(from) == Habit::Greedy => {
                    let predecessor = self.everybody.before(from.ring_id().plus(1 << 127));
                    let successors = truth.successors.clone();
                    let body = Reply::State(Neighbours { predecessor, successors });
                    Some(Message::Answer { id: *id, body })
                }
                _ => Some(said.clone()),
            },
            _ => Some(said.clone()),
        }
    }

    fn lie(&self, from: Spot, key: RingId) -> Option<Reply<Spot, Note, Known>> {
        match habit(from) {
            Habit::Mute => None,
            Habit::Greedy => {
                let predecessor = self.everybody.before(key).filter(|peer| *peer != from)?;
                Some(Reply::Owner { predecessor, successors: vec![from] })
            }
            Habit::Clannish => {
                let before = self.friends.before(key)?;
                let closer = before.ring_id().is_between(from.ring_id(), key);
                if closer {
                    return Some(Reply::Closer { contacts: vec![before] });
                }
                let behind = self.friends.owner(key)?;
                Some(Reply::Owner { predecessor: from, successors: vec![behind] })
            }
        }
    }
}

fn lies(spot: Spot, share: u64) -> bool {
    mix(u64::from(spot.0) ^ 0x6c69_6172) % 1000 < share
}

fn habit(spot: Spot) -> Habit {
    match mix(u64::from(spot.0) ^ 0x6861_6269) % 3 {
        0 => Habit::Greedy,
        1 => Habit::Clannish,
        _ => Habit::Mute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_lie_as_are_to_and_each_habit_is_there() {
        let liars = Liars::new(Ideal::new((0..3000).map(Spot)), 200);
        assert!((500..700).contains(&liars.friends.len()), "{}", liars.friends.len());
        for wanted in [Habit::Greedy, Habit::Clannish, Habit::Mute] {
            assert!(liars.friends.spots().filter(|spot| habit(*spot) == wanted).count() > 150);
        }
    }

    #[test]
    fn lies_are_such_that_no_rule_of_places_gives_them_away() {
        let mut liars = Liars::new(Ideal::new((0..300).map(Spot)), 300);
        let key = RingId(1 << 100);
        for liar in liars.friends.clone().spots() {
            let asker = Spot(1000);
            let call =
                Message::Call { id: 1, body: Request::Next { key, want: 1, without: Vec::new() } };
            liars.twist(asker, liar, &call);
            let truth = Message::Answer { id: 1, body: Reply::Closer { contacts: Vec::new() } };
            match liars.twist(liar, asker, &truth) {
                Some(Message::Answer {
                    body: Reply::Owner { predecessor, successors }, ..
                }) => {
                    assert!(key.is_in(predecessor.ring_id(), successors[0].ring_id()));
                    assert!(predecessor == liar || successors[0] == liar);
                }
                Some(Message::Answer { body: Reply::Closer { contacts }, .. }) => {
                    assert!(contacts[0].ring_id().is_between(liar.ring_id(), key));
                }
                None => assert_eq!(habit(liar), Habit::Mute),
                other => panic!("{other:?}"),
            }
        }
    }
}
