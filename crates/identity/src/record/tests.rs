//! Records of networks as they should not be.

use super::*;
use crate::scene::{NETWORK, by_invitation, key, peer};

type Change = fn(&mut NetworkRecord);

fn trackers_of(record: &mut NetworkRecord) -> &mut Vec<PeerAddr> {
    match &mut record.directory {
        DirectoryKind::Tracker { trackers } => trackers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_signed_by_the_key_that_it_names() {
    let signed = by_invitation().sign(&key(NETWORK)).unwrap();
    assert_eq!(signed.record(), Ok(&by_invitation()));
    let mut renamed = signed.clone();
    renamed.value.name = "Other".to_owned();
    let wrong = Err(RecordError::Signature(IdentityError::Signature));
    assert_eq!(renamed.record(), wrong);
    let by_other = Signed::sign(&key(9), by_invitation());
    assert_eq!(by_other.record(), wrong);
}

#[test]
fn what_breaks_the_rules_is_refused_though_it_is_signed() {
    let url = || "https://relay.example".to_owned();
    let long = |len: usize| "n".repeat(len);
    let bad: &[(Change, RecordError)] = &[
        (|r| r.name.clear(), RecordError::Name),
        (|r| r.name.push('\n'), RecordError::Name),
        (|r| r.name.push('\u{202e}'), RecordError::Name),
        (|r| r.name.push(' '), RecordError::Name),
        (|r| trackers_of(r).clear(), RecordError::Trackers),
        (|r| trackers_of(r).push(PeerAddr::unknown(peer(2))), RecordError::Trackers),
        (|r| r.relays.push("no url".to_owned()), RecordError::Relays),
        (|r| r.relays.push(String::new()), RecordError::Relays),
        (|r| trackers_of(r)[0].relay = Some("a b".to_owned()), RecordError::Relays),
    ];
    for (index, (change, error)) in bad.iter().enumerate() {
        let mut record = by_invitation();
        change(&mut record);
        assert_eq!(Signed::sign(&key(NETWORK), record).record(), Err(*error), "{index}");
    }
    let mut record = by_invitation();
    record.name = long(limits::NETWORK_NAME_BYTES);
    record.relays = vec![url(); limits::NETWORK_RELAYS];
    assert_eq!(record.check(), Ok(()));
    record.name = long(limits::NETWORK_NAME_BYTES + 1);
    assert_eq!(record.check(), Err(RecordError::Name));
    record.name = "Naïve 日本語".to_owned();
    record.relays.push(url());
    assert_eq!(record.check(), Err(RecordError::Relays));
}

#[test]
fn lengths_are_refused_while_they_are_read() {
    let long: &[Change] = &[
        |r| r.name = "n".repeat(limits::NETWORK_NAME_BYTES + 1),
        |r| r.relays = vec!["u".to_owned(); limits::NETWORK_RELAYS + 1],
        |r| r.relays = vec!["u".repeat(limits::RELAY_URL_BYTES + 1)],
        |r| {
            let tracker = trackers_of(r)[0].clone();
            *trackers_of(r) = vec![tracker; limits::NETWORK_TRACKERS + 1];
        },
        |r| {
            let place = trackers_of(r)[0].direct[0];
            trackers_of(r)[0].direct = vec![place; limits::PEER_ADDRS + 1];
        },
        |r| trackers_of(r)[0].relay = Some("u".repeat(limits::RELAY_URL_BYTES + 1)),
    ];
    for (index, change) in long.iter().enumerate() {
        let mut record = by_invitation();
        change(&mut record);
        let bytes = postcard::to_allocvec(&record).unwrap();
        assert!(postcard::from_bytes::<NetworkRecord>(&bytes).is_err(), "{index}");
    }
}

#[test]
fn trackers_are_known_by_their_keys() {
    let record = by_invitation();
    assert!(record.is_tracker(&peer(2)));
    assert!(!record.is_tracker(&peer(3)));
}

#[test]
fn members_who_are_the_directory_keep_one_to_eight_copies() {
    let kinds: [fn(u8) -> DirectoryKind; 2] =
        [|replicas| DirectoryKind::Chord { replicas }, |replicas| DirectoryKind::Ring { replicas }];
    for kind in kinds {
        for (replicas, fits) in [(0, false), (1, true), (3, true), (8, true), (9, false)] {
            let mut record = by_invitation();
            record.directory = kind(replicas);
            let read = Signed::sign(&key(NETWORK), record.clone());
            let expected = if fits { Ok(&record) } else { Err(RecordError::Replicas) };
            assert_eq!(read.record(), expected, "{replicas}");
            assert_eq!((record.replicas(), record.trackers()), (Some(replicas), &[][..]));
            assert!(!record.is_tracker(&peer(2)));
        }
    }
    assert_eq!(by_invitation().replicas(), None);
}

#[test]
fn kinds_of_directory_keep_their_numbers() {
    let bytes = |kind: DirectoryKind| postcard::to_allocvec(&kind).unwrap();
    assert_eq!(bytes(DirectoryKind::Tracker { trackers: Vec::new() }), [0, 0]);
    assert_eq!(bytes(DirectoryKind::Chord { replicas: 3 }), [1, 3]);
    assert_eq!(bytes(DirectoryKind::Ring { replicas: 5 }), [2, 5]);
    assert!(postcard::from_bytes::<DirectoryKind>(&[3, 3]).is_err());
}
