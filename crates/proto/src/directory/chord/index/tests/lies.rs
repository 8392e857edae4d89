//! What is refused: what was not signed, does not belong where it stands, or no longer counts.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Capability, Redemption, Role, SecretKey, Signed};

use super::{Circle, NETWORK, NOW_MS, Person, Puts, file, folder, query};
use crate::directory::chord::index::{
    Deposit, Entries, Files, Gone, Record, Rules, Search, Subject, Term, Told, Why, deposit_put,
    presence_puts, redemption_put,
};
use crate::directory::chord::{Reject, RingId, Value};
use crate::directory::record::{EntryKind, Presence, RecordError, Withdrawal, ms};

fn examine(record: &Record) -> Result<(), RecordError> {
    record.examine(&Rules::new(NETWORK), record.term().key(&NETWORK), NOW_MS)
}

fn published() -> (Person, Puts) {
    let mut ann = Person::new(1);
    let files: Vec<_> =
        (0..20u8).map(|n| file(&format!("word{n} bang.txt"), n, u64::from(n))).collect();
    let puts = ann.publish(1, &folder("Talks", &[], &files));
    (ann, puts)
}

/// The record of files under a word.
fn files_under(puts: &Puts, word: &str) -> Files {
    let of = Subject::Word(word.to_owned());
    let found = puts.iter().find_map(|(_, record)| match record {
        Record::Files(files) if files.term.of == of => Some((**files).clone()),
        _ => None,
    });
    found.unwrap()
}

fn changed(files: &Files, change: impl FnOnce(&mut Files)) -> Record {
    let mut changed = files.clone();
    change(&mut changed);
    Record::Files(Box::new(changed))
}

#[test]
fn everything_that_is_planned_is_accepted() {
    let (mut ann, puts) = published();
    for (key, record) in &puts {
        assert_eq!(record.examine(&Rules::new(NETWORK), *key, NOW_MS), Ok(()), "{record:?}");
        assert_eq!(record.check(&Rules::new(NETWORK), *key, NOW_MS), Ok(()));
        let here = record.check(&Rules::new(NETWORK), key.plus(1), NOW_MS);
        assert_eq!(here, Err(Reject::Bad), "under another key");
    }
    for (key, record) in ann.withdraw(1) {
        assert_eq!(record.examine(&Rules::new(NETWORK), key, NOW_MS), Ok(()));
    }
}

#[test]
fn a_forged_entry_is_refused() {
    let (_, puts) = published();
    let some = files_under(&puts, "wor");
    assert!(matches!(some.entries, Entries::All(_)), "all have the word");
    let entry =
        |files: &mut Files, change: fn(&mut crate::directory::record::Entry)| match &mut files
            .entries
        {
            Entries::All(all) => change(&mut all[3]),
            Entries::Some(some) => change(&mut some[0].entry),
        };
    let forged = changed(&some, |f| entry(f, |e| e.content = ContentId([99; 32])));
    assert_eq!(examine(&forged), Err(RecordError::Root));
    let forged = changed(&some, |f| entry(f, |e| e.size = 99));
    assert_eq!(examine(&forged), Err(RecordError::Root));
    let shorter = changed(&some, |f| {
        if let Entries::All(all) = &mut f.entries {
            all.pop();
        }
    });
    assert_eq!(examine(&shorter), Err(RecordError::Entries));

    let of = Subject::Content(ContentId([7; 32]));
    let one = puts.iter().find(|(_, record)| record.term().of == of).unwrap();
    let Record::Files(one) = &one.1 else { panic!("files") };
    let forged = changed(one, |f| entry(f, |e| e.size = 99));
    assert_eq!(examine(&forged), Err(RecordError::Root));
    let forged = changed(one, |f| {
        if let Entries::Some(some) = &mut f.entries {
            some[0].index ^= 1;
        }
    });
    assert_eq!(examine(&forged), Err(RecordError::Root));
    let twice = changed(one, |f| {
        if let Entries::Some(some) = &mut f.entries {
            some.push(some[0].clone());
        }
    });
    assert_eq!(examine(&twice), Err(RecordError::Order));
}

#[test]
fn heads_that_do_not_belong_together_are_refused() {
    let (mut ann, puts) = published();
    let good = files_under(&puts, "wor");
    let mut ben = Person::new(2);
    let theirs = ben.publish(1, &folder("Talks", &[], &[file("word bang.txt", 1, 1)]));
    let theirs = files_under(&theirs, "wor");
    let other = ann.publish(2, &folder("Others", &[], &[file("word bang.txt", 1, 1)]));
    let other = files_under(&other, "wor");
    let wrong = changed(&good, |f| f.page = theirs.page.clone());
    assert_eq!(examine(&wrong), Err(RecordError::Peer));
    let wrong = changed(&good, |f| f.head = other.head.clone());
    assert_eq!(examine(&wrong), Err(RecordError::Share));
    let wrong = changed(&good, |f| f.head.value.name = "Bangs".to_owned());
    assert_eq!(examine(&wrong), Err(RecordError::Signature));
    let wrong = changed(&good, |f| f.page.value.sequence += 1);
    assert_eq!(examine(&wrong), Err(RecordError::Signature));
    let wrong = changed(&good, |f| f.part = limits::RING_RECORD_PARTS);
    assert_eq!(examine(&wrong), Err(RecordError::Entries));
    let elsewhere = Rules::new(NetworkId([1; 32]));
    let record = Record::Files(Box::new(good));
    let key = record.term().key(&elsewhere.network);
    assert_eq!(record.examine(&elsewhere, key, NOW_MS), Err(RecordError::Network));
}

#[test]
fn an_entry_under_a_word_that_it_does_not_have_is_refused() {
    let (ann, puts) = published();
    let good = files_under(&puts, "wor");
    let terms = [
        Subject::Word("xyz".to_owned()),
        Subject::Word("word".to_owned()),
        Subject::Word("wo".to_owned()),
        Subject::Content(ContentId([3; 32])),
        Subject::Peer(ann.id()),
        Subject::Shares(ann.id()),
        Subject::pages(ann.id(), ShareKey([2; 16]), 0),
        Subject::pages(ann.id(), ShareKey([1; 16]), 16),
        Subject::Deposit(ContentId([3; 32])),
    ];
    for of in terms {
        let spam = changed(&good, |files| files.term = Term::new(of.clone()));
        assert_eq!(examine(&spam), Err(RecordError::Place), "{of:?}");
    }
    // Under words of the share all of them belong.
    let around = changed(&good, |f| f.term = Term::new(Subject::Word("tal".to_owned())));
    assert_eq!(examine(&around), Ok(()));
    // And under one only of the sixteen keys that follow.
    let children: Vec<Term> = good.term.children().collect();
    let fits = |term: &&Term| examine(&changed(&good, |f| f.term = (*term).clone())).is_ok();
    assert_eq!(children.iter().filter(fits).count(), 1);
}

#[test]
fn what_counts_no_longer_or_for_too_long_is_refused() {
    let (_, puts) = published();
    let record = Record::Files(Box::new(files_under(&puts, "wor")));
    let key = record.term().key(&NETWORK);
    let at = |now_ms| record.examine(&Rules::new(NETWORK), key, now_ms);
    let (life, skew) = (ms(limits::RING_RECORD_LIFETIME), ms(limits::CLOCK_SKEW));
    assert_eq!(at(NOW_MS + life), Ok(()));
    assert_eq!(at(NOW_MS + life + skew + 10), Err(RecordError::Expired));
    assert_eq!(at(NOW_MS - skew - 10), Err(RecordError::TooLong), "as long as with a tracker");
}

#[test]
fn nobody_can_take_away_what_others_publish() {
    let (ann, puts) = published();
    let good = files_under(&puts, "wor");
    let mut circle = Circle::new();
    circle.put(puts.clone());
    let gone = Withdrawal {
        network: NETWORK,
        peer: ann.id(),
        share: ShareKey([1; 16]),
        sequence: NOW_MS + 9,
    };
    let forged = Signed::sign(&SecretKey::from_seed([2; 32]), gone);
    let tombstone = |why| {
        let term = Term::new(Subject::Word("wor".to_owned()));
        Record::Gone(Box::new(Gone { term, page: Some(0), part: 0, why }))
    };
    assert_eq!(examine(&tombstone(Why::Withdrawn(forged))), Err(RecordError::Signature));
    // A head says only that pages are gone which it does not have.
    assert_eq!(examine(&tombstone(Why::Changed(good.head.clone()))), Err(RecordError::Place));
    // A part of the entries, or none, does not take the place of all of them.
    let none = changed(&good, |files| files.entries = Entries::Some(Vec::new()));
    assert_eq!(examine(&none), Ok(()));
    assert_eq!(circle.put_one(none.term().key(&NETWORK), none), Err(Reject::Stale));
    // A withdrawal of long ago is worth nothing against what was published since.
    let (mut ann, puts) = published();
    let old = ann.withdraw(1);
    let again = ann.publish(1, &folder("Talks", &[], &[file("word bang.txt", 1, 1)]));
    let mut circle = Circle::new();
    circle.put(puts);
    circle.put(again);
    let refused = old.into_iter().filter(|(key, r)| circle.put_one(*key, r.clone()).is_err());
    assert!(refused.count() >= 4);
    assert_eq!(circle.search(query("bang")).groups.len(), 1);
}

#[test]
fn a_withdrawal_counts_for_all_pages_under_its_key() {
    let mut ann = Person::new(1);
    let files: Vec<_> = (0..200u8).map(|n| file(&format!("bang {n}.txt"), n, 1)).collect();
    let puts = ann.publish(1, &folder("Talks", &[], &files));
    let mut circle = Circle::new();
    circle.put(puts);
    // Only one of the four pages' records is replaced.
    let of = Subject::Word("ban".to_owned());
    let gone = ann.withdraw(1).into_iter().find(|(_, record)| record.term().of == of);
    circle.put(gone.into_iter().collect());
    assert!(circle.search(query("bang")).groups.is_empty());
}

#[test]
fn a_holder_that_lies_is_found_out() {
    let (_, puts) = published();
    let mut circle = Circle::new();
    circle.put(puts);
    let mut search = Search::new(NETWORK, query("bang")).unwrap();
    let asked = search.next_ask().unwrap();
    let mut answer = circle.answer(&asked).unwrap();
    let Told::Found(found) = &mut answer.told else { panic!("found") };
    let all = found.groups.len();
    found.groups[0].group.hits[0].entry.size += 1;
    found.groups[1].group.content = ContentId([99; 32]);
    found.groups[2].group.hits.clear();
    search.told(asked.id, Some(answer), NOW_MS);
    assert_eq!(search.lies(), 3);
    assert_eq!(search.finish(&|_| super::There::default()).groups.len(), all - 3);
}

fn presence(nick: &str) -> Presence {
    Presence {
        network: NETWORK,
        peer: Person::new(1).id(),
        nick: nick.to_owned(),
        addresses: Vec::new(),
        relay: None,
        agent: "potluck".to_owned(),
        p2p_ci: None,
        sequence: 5,
        expires_ms: NOW_MS + 1000,
    }
}

#[test]
fn a_presence_stands_under_its_peer_and_its_name() {
    let key = SecretKey::from_seed([1; 32]);
    let sign = |presence: Presence| presence_puts(&NETWORK, &Signed::sign(&key, presence));
    let puts = sign(presence("Ann"));
    assert_eq!(puts[0].0, RingId::of_peer(&NETWORK, &key.peer_id()));
    let nick = Subject::nick(" ann ").unwrap();
    assert_eq!(puts[1].0, Term::new(nick.clone()).key(&NETWORK));
    assert!(puts.iter().all(|(_, record)| examine(record) == Ok(())));
    let late = Presence { expires_ms: NOW_MS + 100 * 3_600_000, ..presence("Ann") };
    assert_eq!(examine(&sign(late)[0].1), Err(RecordError::TooLong));
    let Record::Presence(placed) = &puts[0].1 else { panic!("a presence") };
    let mut wrong = placed.clone();
    wrong.term = Term::new(Subject::nick("ben").unwrap());
    assert_eq!(examine(&Record::Presence(wrong)), Err(RecordError::Place));
    let mut wrong = placed.clone();
    wrong.presence.value.nick = "ben".to_owned();
    assert_eq!(examine(&Record::Presence(wrong)), Err(RecordError::Signature));
}

fn deposit() -> Deposit {
    Deposit {
        network: NETWORK,
        peer: Person::new(1).id(),
        content: ContentId([3; 32]),
        name: "a.txt".to_owned(),
        size: 9,
        kind: EntryKind::File,
        copies: 3,
        sequence: 5,
        expires_ms: NOW_MS + 1000,
        removed: false,
    }
}

#[test]
fn a_stored_file_is_signed_and_within_the_rules() {
    let key = SecretKey::from_seed([1; 32]);
    let put = |deposit: Deposit| deposit_put(&NETWORK, Signed::sign(&key, deposit));
    let (at, record) = put(deposit());
    assert_eq!(at, RingId::of_content(&NETWORK, &ContentId([3; 32])));
    assert_eq!(
        (examine(&record), Value::copies(&record)),
        (Ok(()), Some(4 + limits::DEPOSIT_SPARES as u8))
    );
    let refused = |change: fn(&mut Deposit)| {
        let mut changed = deposit();
        change(&mut changed);
        examine(&put(changed).1).unwrap_err()
    };
    assert_eq!(refused(|d| d.copies = 0), RecordError::Entries);
    assert_eq!(refused(|d| d.copies = limits::DEPOSIT_COPIES + 1), RecordError::Entries);
    assert_eq!(refused(|d| d.name = "a/b".to_owned()), RecordError::Name);
    assert_eq!(refused(|d| d.network = NetworkId([1; 32])), RecordError::Network);
    assert_eq!(refused(|d| d.peer = PeerId([1; 32])), RecordError::Signature);
    assert_eq!(refused(|d| d.expires_ms = NOW_MS - 10 * 3_600_000), RecordError::Expired);
    let Record::Deposit(stored) = &record else { panic!("a deposit") };
    let mut forged = stored.clone();
    forged.deposit.value.removed = true;
    assert_eq!(examine(&Record::Deposit(forged)), Err(RecordError::Signature));
}

pub(super) fn redeemed(by: u8, at_ms: u64, change: fn(&mut Capability)) -> (RingId, Record) {
    let (owner, invite) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([50; 32]));
    let mut capability = Capability {
        network: NETWORK,
        key: invite.peer_id(),
        role: Role::Member,
        uses: 2,
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 1000,
        issuer: owner.peer_id(),
    };
    change(&mut capability);
    let peer = SecretKey::from_seed([by; 32]).peer_id();
    let redemption = Redemption { network: NETWORK, invite: invite.peer_id(), peer, at_ms };
    let signed = Signed::sign(&owner, capability);
    redemption_put(&NETWORK, signed, Signed::sign(&invite, redemption))
}

#[test]
fn the_use_of_an_invite_is_signed_by_its_key_and_in_time() {
    assert_eq!(examine(&redeemed(7, NOW_MS, |_| {}).1), Ok(()));
    let refused = |change| examine(&redeemed(7, NOW_MS, change).1).unwrap_err();
    assert_eq!(refused(|c| c.expires_ms = NOW_MS - 1), RecordError::Expired);
    assert_eq!(refused(|c| c.issued_ms = NOW_MS + 9_000_000), RecordError::TooLong);
    assert_eq!(refused(|c| c.issuer = PeerId([1; 32])), RecordError::Signature);
    assert_eq!(refused(|c| c.key = PeerId([1; 32])), RecordError::Share);
    let Record::Redeemed(mut forged) = redeemed(7, NOW_MS, |_| {}).1 else { panic!("a use") };
    forged.redemption.value.peer = PeerId([9; 32]);
    assert_eq!(examine(&Record::Redeemed(forged)), Err(RecordError::Signature));
}
