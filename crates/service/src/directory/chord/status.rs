//! How a member stands on the circle, for whoever shows it.

use std::collections::BTreeMap;

use potluck_base::{NetworkId, PeerId, Time};
use potluck_proto::directory::chord::index::{Record, Subject};
use potluck_proto::directory::chord::{FingerView, RingId, Value};

use super::contact::Contact;
use super::heart::{Heart, Phase};
use super::machine::Ring;
use crate::directory::State;

/// How this node stands on the circle of a network.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which network.
    pub network: NetworkId,
    /// Who and where we are.
    pub own: Contact,
    /// Who stands before us.
    pub predecessor: Option<Contact>,
    /// Who stands behind us, the next first.
    pub successors: Vec<Contact>,
    /// How many successors it wants to know.
    pub successors_wanted: usize,
    /// How many fingers it has.
    pub fingers: usize,
    /// Whether it has fingers at all: a plain ring has none.
    pub has_fingers: bool,
    /// Records that it keeps.
    pub records: usize,
    /// Those of them whose key is its own; the others are copies.
    pub owned: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// How many members are to keep each record.
    pub replicas: u8,
    /// How it goes.
    pub health: Health,
    /// Why it is not on the circle, if that is known.
    pub why: Option<String>,
    /// How many members there are on the circle, by how close its successors stand.
    pub peers_estimated: f64,
    /// Whether that number is exact.
    pub is_counted: bool,
    /// Members that it would look for after a restart.
    pub known: usize,
}

/// How it goes with a member on the circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It looks for the circle.
    Connecting,
    /// Nobody else is there.
    Alone,
    /// It is on the circle, and has not yet compared its records with its neighbours'.
    Joined,
    /// Everything is as it should be.
    Settled,
    /// It has handed over and gone.
    Away,
}

/// What is kept under one key.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The key.
    pub key: RingId,
    /// Of what kind it is, in a word or two.
    pub kind: &'static str,
    /// What it is about, for people.
    pub what: String,
    /// Who signed it, if it is one member.
    pub by: Option<PeerId>,
    /// Whether the key is our own; else this is a copy.
    pub own: bool,
    /// How many records.
    pub count: usize,
    /// Their bytes.
    pub bytes: usize,
    /// When the last of them runs out, unix milliseconds.
    pub expires_ms: u64,
}

impl Heart {
    /// How we stand.
    pub(super) async fn status(&self) -> Status {
        let (network, own) = (self.network(), self.core.own);
        let (replicas, params) = (self.parts.params.replicas, self.parts.params.clone());
        let wanted = params.successors;
        let phase = self.phase.borrow().clone();
        let why = match &*self.state.borrow() {
            State::Connecting { why, .. } => why.clone(),
            State::Denied(denial) => Some(denial.to_string()),
            State::Expelled => Some("this node is no longer a member".to_owned()),
            _ => None,
        };
        let seen = self.core.look(move |ring, _| {
            let successors = ring.successors().to_vec();
            let (peers_estimated, is_counted) = estimate(own.id, &successors, wanted);
            Status {
                network,
                own,
                predecessor: ring.predecessor(),
                successors,
                successors_wanted: wanted,
                fingers: ring.fingers().len(),
                has_fingers: params.fingers,
                records: ring.record_count(),
                owned: ring.records().filter(|(key, _)| ring.owns(*key)).count(),
                bytes: ring.record_bytes(),
                replicas: replicas as u8,
                health: health(ring, &phase),
                why,
                peers_estimated,
                is_counted,
                known: ring.known().len(),
            }
        });
        seen.await.unwrap_or_else(|| Status {
            network,
            own,
            predecessor: None,
            successors: Vec::new(),
            successors_wanted: wanted,
            fingers: 0,
            has_fingers: self.parts.params.fingers,
            records: 0,
            owned: 0,
            bytes: 0,
            replicas: replicas as u8,
            health: Health::Away,
            why: None,
            peers_estimated: 0.0,
            is_counted: false,
            known: 0,
        })
    }

    /// The fingers, and the time of the machine's clock.
    pub(super) async fn fingers(&self) -> (Vec<FingerView<Contact>>, Time) {
        self.core.look(|ring, now| (ring.fingers(), now)).await.unwrap_or((Vec::new(), Time::ZERO))
    }

    /// What is kept here, by key.
    pub(super) async fn keys(&self) -> Vec<Kept> {
        let seen = self.core.look(|ring, _| {
            let mut kept: BTreeMap<(RingId, &'static str), Kept> = BTreeMap::new();
            for (key, record) in ring.records() {
                let (kind, what, by) = describe(record);
                let one = kept.entry((key, kind)).or_insert_with(|| Kept {
                    key,
                    kind,
                    what,
                    by,
                    own: ring.owns(key),
                    count: 0,
                    bytes: 0,
                    expires_ms: 0,
                });
                one.count += 1;
                one.bytes += record.bytes();
                one.expires_ms = one.expires_ms.max(record.expires_ms());
                one.by = one.by.filter(|known| Some(*known) == by);
            }
            kept.into_values().collect()
        });
        seen.await.unwrap_or_default()
    }
}

fn health(ring: &Ring, phase: &Phase) -> Health {
    match phase {
        Phase::Gone => Health::Away,
        Phase::Looking { .. } => Health::Connecting,
        Phase::On if ring.successors().is_empty() => Health::Alone,
        Phase::On if ring.is_settled() => Health::Settled,
        Phase::On => Health::Joined,
    }
}

/// How many stand on the circle: those who are known if that is everybody, else by how much of the
/// circle the successors take up.
fn estimate(own: RingId, successors: &[Contact], wanted: usize) -> (f64, bool) {
    let Some(last) = successors.last() else { return (1.0, true) };
    if successors.len() < wanted {
        return (successors.len() as f64 + 1.0, true);
    }
    let part = own.distance_to(last.id) as f64 / 2f64.powi(128);
    ((successors.len() as f64 / part).max(successors.len() as f64), false)
}

/// What a record is, in a word or two, what it is about, and who signed it.
fn describe(record: &Record) -> (&'static str, String, Option<PeerId>) {
    let kind = match record {
        Record::Files(_) => match &record.term().of {
            Subject::Word(_) => "word",
            Subject::Content(_) => "content",
            _ => "files",
        },
        Record::Share(_) => "share",
        Record::Gone(_) => "withdrawal",
        Record::Presence(_) => match &record.term().of {
            Subject::Nick(_) => "nickname",
            _ => "presence",
        },
        Record::Deposit(_) => "stored file",
        Record::Redeemed(_) => "invite",
    };
    (kind, record.term().to_string(), Some(record.peer()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_members_follows_from_how_close_they_stand() {
        let at = |part: f64| Contact {
            id: RingId((part * 2f64.powi(128)) as u128),
            peer: PeerId([1; 32]),
        };
        assert_eq!(estimate(RingId(0), &[], 8), (1.0, true));
        assert_eq!(estimate(RingId(0), &[at(0.3), at(0.6)], 8), (3.0, true));
        let close: Vec<Contact> = (1..=8).map(|n| at(f64::from(n) / 100.0)).collect();
        let (about, exact) = estimate(RingId(0), &close, 8);
        assert!((99.0..101.0).contains(&about) && !exact, "{about}");
    }
}
