//! What is asked of one key.

use potluck_base::ContentId;
use potluck_identity::{SecretKey, Signed};

use super::lies::redeemed;
use super::{Circle, NETWORK, NOW_MS, Person, Question, file, folder};
use crate::directory::chord::Reject;
use crate::directory::chord::index::{Deposit, Subject, Term, Told, deposit_put, presence_puts};
use crate::directory::record::{EntryKind, Presence};

fn presence(number: u8, nick: &str, sequence: u64) -> Signed<Presence> {
    let key = SecretKey::from_seed([number; 32]);
    let presence = Presence {
        network: NETWORK,
        peer: key.peer_id(),
        nick: nick.to_owned(),
        addresses: Vec::new(),
        relay: None,
        agent: "potluck".to_owned(),
        p2p_ci: None,
        sequence,
        expires_ms: NOW_MS + 1000,
    };
    Signed::sign(&key, presence)
}

#[test]
fn a_peer_and_a_name_are_found() {
    let mut circle = Circle::new();
    for (number, nick) in [(1, "Ann"), (2, "ann"), (3, "Ben")] {
        circle.put(presence_puts(&NETWORK, &presence(number, nick, 5)));
    }
    circle.put(presence_puts(&NETWORK, &presence(1, "Ann", 6)));
    let ask = |circle: &mut Circle, of| {
        let Told::Presences(list) =
            circle.ask(Term::new(of).key(&NETWORK), Question::Presence).told
        else {
            panic!("presences");
        };
        list.iter().map(|one| (one.value.nick.clone(), one.value.sequence)).collect::<Vec<_>>()
    };
    let ann = SecretKey::from_seed([1; 32]).peer_id();
    assert_eq!(ask(&mut circle, Subject::Peer(ann)), [("Ann".to_owned(), 6)]);
    assert_eq!(ask(&mut circle, Subject::nick("ANN").unwrap()).len(), 2);
    assert!(ask(&mut circle, Subject::nick("cid").unwrap()).is_empty());
    // A peer that has not signed again is not told of.
    circle.now_ms += 2000;
    assert!(ask(&mut circle, Subject::Peer(ann)).is_empty());
}

#[test]
fn stored_files_are_listed_and_that_they_were_taken_back_too() {
    let mut circle = Circle::new();
    let key = SecretKey::from_seed([1; 32]);
    let deposit = Deposit {
        network: NETWORK,
        peer: key.peer_id(),
        content: ContentId([3; 32]),
        name: "a.txt".to_owned(),
        size: 9,
        kind: EntryKind::File,
        copies: 3,
        sequence: 5,
        expires_ms: NOW_MS + 1000,
        removed: false,
    };
    let put = |deposit: &Deposit| deposit_put(&NETWORK, Signed::sign(&key, deposit.clone()));
    let at = put(&deposit).0;
    let ask = |circle: &mut Circle| match circle.ask(at, Question::Deposits).told {
        Told::Deposits(list) => {
            list.iter().map(|one| (one.value.sequence, one.value.removed)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    circle.put(vec![put(&deposit)]);
    assert_eq!(ask(&mut circle), [(5, false)]);
    let removed = Deposit { sequence: 6, removed: true, ..deposit.clone() };
    circle.put(vec![put(&removed)]);
    assert_eq!(ask(&mut circle), [(6, true)]);
    let (at, old) = put(&deposit);
    assert_eq!(circle.put_one(at, old), Err(Reject::Stale));
}

#[test]
fn an_invite_is_used_as_often_as_it_may_be() {
    let mut circle = Circle::new();
    let (late, early, last) =
        (redeemed(9, 30, |_| {}), redeemed(8, 20, |_| {}), redeemed(7, 40, |_| {}));
    let at = late.0;
    let mut another = redeemed(6, 1, |capability| capability.uses = 0);
    circle.put(vec![late, early, last]);
    let issuer = SecretKey::from_seed([1; 32]).peer_id();
    let ask = |circle: &mut Circle| match circle.ask(at, Question::Redemptions { issuer }).told {
        Told::Redemptions(list) => {
            list.iter().map(|used| used.redemption.value.at_ms).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(&mut circle), [20, 30]);
    // The same peer again counts once, from its first use on.
    let again = redeemed(8, 35, |_| {});
    assert_eq!(circle.put_one(again.0, again.1), Err(Reject::Stale));
    circle.put(vec![redeemed(7, 10, |_| {})]);
    assert_eq!(ask(&mut circle), [10, 20]);
    // Whoever has the invite may sign another one with its key: nobody asks for that.
    let mallory = SecretKey::from_seed([66; 32]);
    if let crate::directory::chord::index::Record::Redeemed(used) = &mut another.1 {
        let mut forged = used.capability.value.clone();
        forged.issuer = mallory.peer_id();
        used.capability = Signed::sign(&mallory, forged);
    }
    circle.put(vec![another]);
    assert_eq!(ask(&mut circle), [10, 20]);
}

#[test]
fn entries_are_counted_and_pages_listed() {
    let (mut circle, mut ann) = (Circle::new(), Person::new(1));
    let files: Vec<_> =
        (0..3000u32).map(|n| file(&format!("bang {n}.txt"), (n % 250) as u8, 1)).collect();
    circle.put(ann.publish(1, &folder("Bangs", &[], &files)));
    let term = Term::new(Subject::Word("ban".to_owned()));
    let answer = circle.ask(term.key(&NETWORK), Question::Count);
    assert_eq!(answer.told, Told::Count(3001), "the folder is one, too");
    circle.asks = 0;
    let heads = circle.shares(ann.id());
    let listed = circle.listing(&heads[0]);
    assert!(listed.windows(2).all(|pair| pair[0].0.path < pair[1].0.path));
    assert_eq!((listed.len(), circle.asks), (3000, 5), "four groups of pages, after the heads");
    // Many shares of one peer are told in pieces.
    for number in 2..=250 {
        circle.put(ann.publish(number, &folder("x", &["tag"; 16], &[])));
    }
    assert_eq!(circle.shares(ann.id()).len(), 250);
}
