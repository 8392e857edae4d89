//! Two sides shake hands in memory and exchange records, honest and otherwise.

use std::mem::take;

use potluck_base::PeerId;
use potluck_identity::SecretKey;

use super::handshake::{Handshake, Session, TlsError};
use super::keys::TlsKeys;
use super::record::{DATA_START, Opened, Opener, RECORD_DATA, RecordBuffer, Sealer};

fn keys(seed: u8, alpn: &[u8]) -> TlsKeys {
    TlsKeys::new(&SecretKey::from_seed([seed; 32]), alpn)
}

fn id(seed: u8) -> PeerId {
    SecretKey::from_seed([seed; 32]).peer_id()
}

struct Side {
    handshake: Handshake,
    state: Result<bool, TlsError>,
}

impl Side {
    fn new(handshake: Handshake) -> Self {
        Self { handshake, state: Ok(false) }
    }

    fn go(&mut self, received: &[u8], outgoing: &mut Vec<u8>) {
        if let Ok(done) = &mut self.state {
            match self.handshake.receive(received) {
                Ok(()) if *done => {}
                Ok(()) => self.state = self.handshake.advance(outgoing),
                Err(error) => self.state = Err(error),
            }
        }
    }

    fn end(self) -> Result<Session, TlsError> {
        assert!(self.state?, "nothing more comes, and it is not done");
        self.handshake.finish()
    }
}

type Ends = (Result<Session, TlsError>, Result<Session, TlsError>);

/// Carries bytes between the two, `at_a_time`, until neither has more to say.
fn shake(dialler: Handshake, acceptor: Handshake, at_a_time: usize) -> Ends {
    let (mut near, mut far) = (Side::new(dialler), Side::new(acceptor));
    let (mut to_far, mut to_near) = (Vec::new(), Vec::new());
    near.go(&[], &mut to_far);
    while !(to_far.is_empty() && to_near.is_empty()) {
        take(&mut to_far).chunks(at_a_time).for_each(|bytes| far.go(bytes, &mut to_near));
        take(&mut to_near).chunks(at_a_time).for_each(|bytes| near.go(bytes, &mut to_far));
    }
    (near.end(), far.end())
}

fn pair() -> (Session, Session) {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/1"));
    let ends = shake(Handshake::dial(&ours, id(2)), Handshake::accept(&theirs), usize::MAX);
    (ends.0.unwrap(), ends.1.unwrap())
}

fn seal(sealer: &mut Sealer, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let begun = sealer.begin(&mut out).unwrap();
    out.extend_from_slice(data);
    sealer.end(begun, &mut out);
    out
}

/// All data in these records.
fn open(opener: &mut Opener, records: &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut buffer = RecordBuffer::new(records);
    let mut data = Vec::new();
    while let Some(range) = buffer.next_record()? {
        let record = buffer.bytes(range);
        match opener.open_in_place(record)? {
            Opened::Data(count) => data.extend_from_slice(&record[DATA_START..DATA_START + count]),
            Opened::Closed => break,
        }
    }
    Ok(data)
}

#[test]
fn both_sides_learn_the_key_of_the_other_however_the_bytes_arrive() {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/1"));
    for at_a_time in [1, 7, 100, usize::MAX] {
        let ends = shake(Handshake::dial(&ours, id(2)), Handshake::accept(&theirs), at_a_time);
        assert_eq!((ends.0.unwrap().peer, ends.1.unwrap().peer), (id(2), id(1)));
    }
}

#[test]
fn another_key_than_the_dialled_one_is_refused_and_named() {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/1"));
    let (near, far) = shake(Handshake::dial(&ours, id(3)), Handshake::accept(&theirs), usize::MAX);
    assert!(matches!(near, Err(TlsError::WrongKey(Some(found))) if found == id(2)));
    assert!(matches!(far, Err(TlsError::Broken(_))));
}

#[test]
fn another_version_is_told_from_other_failures_on_both_sides() {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/2"));
    let (near, far) = shake(Handshake::dial(&ours, id(2)), Handshake::accept(&theirs), usize::MAX);
    assert!(matches!((near, far), (Err(TlsError::Version), Err(TlsError::Version))));
}

#[test]
fn a_peer_that_names_no_protocol_is_refused() {
    let (ours, theirs) = (keys(1, b""), keys(2, b"x/1"));
    let (_, far) = shake(Handshake::dial(&ours, id(2)), Handshake::accept(&theirs), usize::MAX);
    assert!(matches!(far, Err(TlsError::Version)));
}

#[test]
fn data_behind_the_handshake_is_not_lost() {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/1"));
    let (mut near, mut far) = (Handshake::dial(&ours, id(2)), Handshake::accept(&theirs));
    let (mut hello, mut answer, mut last) = (Vec::new(), Vec::new(), Vec::new());
    near.advance(&mut hello).unwrap();
    far.receive(&hello).unwrap();
    far.advance(&mut answer).unwrap();
    near.receive(&answer).unwrap();
    assert!(near.advance(&mut last).unwrap());
    let mut near = near.finish().unwrap();
    last.extend(seal(&mut near.sealer, b"preface"));
    last.extend(seal(&mut near.sealer, b"frames")[..9].iter());
    far.receive(&last).unwrap();
    assert!(far.advance(&mut Vec::new()).unwrap());
    let mut far = far.finish().unwrap();
    let range = far.incoming.next_record().unwrap().unwrap();
    let record = far.incoming.bytes(range);
    assert_eq!(far.opener.open_in_place(record).unwrap(), Opened::Data(7));
    assert_eq!(&record[DATA_START..][..7], b"preface");
    assert_eq!(far.incoming.next_record().unwrap(), None);
}

#[test]
fn a_handshake_that_never_ends_is_cut() {
    let mut far = Handshake::accept(&keys(2, b"x/1"));
    let result = (0..64).try_for_each(|_| {
        // A handshake record that says that 16 MiB follow.
        let mut record = vec![22, 3, 1, 4, 0, 1, 255, 255, 255];
        record.resize(5 + 1024, 0);
        far.receive(&record)?;
        far.advance(&mut Vec::new()).map(|_| ())
    });
    assert!(matches!(result, Err(TlsError::Broken(_))));
}

#[test]
fn a_damaged_handshake_is_an_error_or_waits_for_more_but_never_succeeds_or_panics() {
    let (ours, theirs) = (keys(1, b"x/1"), keys(2, b"x/1"));
    let mut dice = 1_u32;
    let mut roll = || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 8) as usize
    };
    for round in 0..1500 {
        let mut near = Side::new(Handshake::dial(&ours, id(2)));
        let mut far = Side::new(Handshake::accept(&theirs));
        let mut flight = Vec::new();
        near.go(&[], &mut flight);
        // The hello, the answer, or the proof is damaged.
        for _ in 0..round % 3 {
            flight = {
                let mut next = Vec::new();
                far.go(&flight, &mut next);
                std::mem::swap(&mut near, &mut far);
                next
            };
        }
        let ignored = places_that_tls_ignores(&flight);
        for _ in 0..1 + roll() % 3 {
            let at = roll() % flight.len();
            if !ignored.contains(&at) {
                flight[at] ^= 1 + (roll() % 255) as u8;
            } else {
                flight.truncate(at.max(1));
            }
        }
        far.go(&flight, &mut Vec::new());
        assert!(!matches!(far.state, Ok(true)), "round {round}");
    }
}

/// Of every record the version, which is there for old machines in between.
fn places_that_tls_ignores(mut records: &[u8]) -> Vec<usize> {
    let (mut places, mut start) = (Vec::new(), 0);
    while let &[_, _, _, high, low, ..] = records {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        places.extend([start + 1, start + 2]);
        records = &records[length..];
        start += length;
    }
    places
}

#[test]
fn records_come_out_as_they_went_in() {
    let (mut near, mut far) = pair();
    let data: Vec<u8> = (0..RECORD_DATA).map(|i| i as u8).collect();
    for length in [1, 2, 4095, RECORD_DATA] {
        let there = seal(&mut near.sealer, &data[..length]);
        assert_eq!(open(&mut far.opener, &there).unwrap(), &data[..length]);
        let back = seal(&mut far.sealer, &data[..length]);
        let mut buf = vec![0; length + 1];
        let opened = near.opener.open_into(&mut back.clone(), &mut buf).unwrap();
        assert_eq!((opened, &buf[..length]), (Opened::Data(length), &data[..length]));
    }
}

#[test]
fn a_worn_key_is_replaced_and_the_peer_follows() {
    let (mut near, mut far) = pair();
    near.sealer.wear_out_after(3);
    far.sealer.wear_out_after(5);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for number in 0..40_u8 {
        there.extend(seal(&mut near.sealer, &[number]));
        back.extend(seal(&mut far.sealer, &[number]));
    }
    let expected: Vec<u8> = (0..40).collect();
    assert_eq!(open(&mut far.opener, &there).unwrap(), expected);
    assert_eq!(open(&mut near.opener, &back).unwrap(), expected);
    // A data record of one byte takes 5 + 1 + 1 + 16, a key update 27.
    assert_eq!(there.len(), 40 * 23 + 13 * 27);
}

#[test]
fn a_peer_that_asks_for_a_new_key_gets_one() {
    let (mut near, mut far) = pair();
    let asked = near.sealer.ask_for_new_key();
    assert_eq!(open(&mut far.opener, &asked).unwrap(), b"");
    let answer = seal(&mut far.sealer, b"answer");
    assert_eq!(answer.len(), 27 + 5 + 6 + 1 + 16);
    assert_eq!(open(&mut near.opener, &answer).unwrap(), b"answer");
}

#[test]
fn a_forged_repeated_swapped_or_missing_record_is_refused() {
    let tampered = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let (mut near, mut far) = pair();
        let mut records = [b"a", b"b", b"c"].map(|data| seal(&mut near.sealer, data)).to_vec();
        change(&mut records);
        open(&mut far.opener, &records.concat())
    };
    assert_eq!(tampered(&|_| ()).unwrap(), b"abc");
    assert!(tampered(&|records| records[1][7] ^= 1).is_err());
    assert!(tampered(&|records| records[1][4] -= 1).is_err());
    assert!(tampered(&|records| records[1] = records[0].clone()).is_err());
    assert!(tampered(&|records| records.swap(0, 1)).is_err());
    assert!(tampered(&|records| drop(records.remove(0))).is_err());
}

#[test]
fn records_of_impossible_size_or_kind_are_refused_before_they_are_opened() {
    let first = |bytes: &[u8]| RecordBuffer::new(bytes).next_record();
    assert!(matches!(first(&[23, 3, 3, 0x41, 0x00]), Ok(None)), "16,640 bytes are allowed");
    assert!(first(&[23, 3, 3, 0x41, 0x01]).is_err());
    assert!(first(&[23, 3, 3, 0xff, 0xff]).is_err());
    assert!(first(&[23, 3, 3, 0, 16]).is_err(), "not even a tag and a type");
    assert!(first(&[22, 3, 3, 0, 40]).is_err());
    assert!(first(&[21, 3, 3, 0, 2]).is_err(), "an alert that nobody sealed");
    assert!(matches!(first(&[23, 3, 3, 0]), Ok(None)));
    let (mut near, mut far) = pair();
    let sealed = seal(&mut near.sealer, &vec![1; RECORD_DATA + 1]);
    assert!(open(&mut far.opener, &sealed).is_err(), "one byte too many inside");
}

#[test]
fn endless_empty_records_end_the_connection() {
    let (mut near, mut far) = pair();
    let few: Vec<u8> = (0..32).flat_map(|_| seal(&mut near.sealer, b"")).collect();
    assert_eq!(open(&mut far.opener, &few).unwrap(), b"");
    let data = seal(&mut near.sealer, b"x");
    assert_eq!(open(&mut far.opener, &data).unwrap(), b"x");
    let many: Vec<u8> = (0..33).flat_map(|_| seal(&mut near.sealer, b"")).collect();
    assert!(open(&mut far.opener, &many).is_err());
}

#[test]
fn a_farewell_ends_the_data() {
    let (mut near, mut far) = pair();
    let mut records = seal(&mut near.sealer, b"last");
    near.sealer.close_notify(&mut records);
    let mut buffer = RecordBuffer::new(&records);
    let mut opened = Vec::new();
    while let Some(range) = buffer.next_record().unwrap() {
        opened.push(far.opener.open_in_place(buffer.bytes(range)).unwrap());
    }
    assert_eq!(opened, [Opened::Data(4), Opened::Closed]);
}
