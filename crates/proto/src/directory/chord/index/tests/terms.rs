//! Places on the circle, and the ways to those that follow.

use std::collections::BTreeSet;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};

use super::NETWORK;
use crate::directory::chord::index::{Path, Subject, Term};
use crate::directory::chord::{RingId, Slot};

#[test]
fn terms_are_far_apart_and_read_well() {
    let peer = PeerId([1; 32]);
    let subjects = [
        Subject::Word("ban".to_owned()),
        Subject::Content(ContentId([1; 32])),
        Subject::Peer(peer),
        Subject::Nick("ban".to_owned()),
        Subject::Shares(peer),
        Subject::pages(peer, ShareKey([1; 16]), 17),
        Subject::Deposit(ContentId([1; 32])),
        Subject::Invite(peer),
    ];
    let terms = subjects.map(Term::new);
    let keys: BTreeSet<RingId> = terms.iter().map(|term| term.key(&NETWORK)).collect();
    assert_eq!(keys.len(), terms.len());
    assert!(!keys.contains(&terms[0].key(&NetworkId([1; 32]))));
    let texts = terms.map(|term| term.to_string());
    assert_eq!(texts[..3], ["word ban", "content 01010101", "peer aeaqcaib"]);
    let rest = ["nickname ban", "shares of aeaqcaib", "files of aeaqcaib, part 2"];
    assert_eq!(texts[3..6], rest);
    assert_eq!(texts[6..], ["stored 01010101", "invite aeaqcaib"]);
    let child = Term::new(Subject::Word("ban".to_owned())).child(0).unwrap().child(10).unwrap();
    assert_eq!(child.to_string(), "word ban /0a");
}

#[test]
fn a_way_has_as_many_steps_as_it_may_and_leads_one_slot_one_way() {
    let slot = Slot(std::array::from_fn(|index| (index as u8) << 4 | 0x0c));
    let mut term = Term::new(Subject::Word("ban".to_owned()));
    let mut keys = BTreeSet::from([term.key(&NETWORK)]);
    for steps in 1..=limits::RING_SPLITS {
        assert_eq!(term.children().count(), 16);
        let fits = term.children().filter(|child| child.path.leads_to(slot));
        assert_eq!(fits.collect::<Vec<_>>(), [term.child_for(slot).unwrap()]);
        term = term.child_for(slot).unwrap();
        assert_eq!(term.path.steps(), steps);
        assert!(keys.insert(term.key(&NETWORK)));
    }
    assert_eq!((term.child(0), term.child_for(slot)), (None, None));
    assert_eq!(term.to_string(), "word ban /0c1c");
    // Ways that are longer, or that have more bits than steps, are not read.
    for (steps, bits, good) in
        [(4u8, 0xffff_u16, true), (5, 0, false), (1, 16, false), (0, 0, true)]
    {
        let bytes = postcard::to_allocvec(&(steps, bits)).unwrap();
        assert_eq!(postcard::from_bytes::<Path>(&bytes).is_ok(), good, "{steps} {bits}");
    }
}
