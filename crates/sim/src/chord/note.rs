//! What the simulated peers keep for each other: a record that knows its key and is otherwise
//! empty.

use std::collections::BTreeMap;

use potluck_proto::directory::chord::{Reject, RingId, Slot, Value};
use serde::{Deserialize, Serialize};

use super::spot::child_key;

/// A record. It may claim to be large without being so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where it belongs; as if that were signed.
    pub key: RingId,
    /// What it is about.
    pub slot: u64,
    /// Counts its changes.
    pub version: u64,
    /// Until when it counts.
    pub expires_ms: u64,
    /// How large it claims to be.
    pub bytes: u32,
    /// How many are to have it; the network's number if that is zero.
    pub copies: u8,
    /// Whether its signature holds.
    pub signed: bool,
}

/// What is known of the notes under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Slots and versions, in order.
    pub notes: Vec<(u64, u64)>,
    /// Whether some stand elsewhere.
    pub full: bool,
}

/// Keys that a note goes to if there is no room under its own.
const CHILDREN: u64 = 16;

impl Note {
    /// The name of its slot as the machine has it.
    pub fn slot_of(slot: u64) -> Slot {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&slot.to_be_bytes());
        Slot(bytes)
    }
}

impl Value for Note {
    type Rules = ();
    type Question = ();
    type Answer = Known;

    fn slot(&self) -> Slot {
        Self::slot_of(self.slot)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    fn copies(&self) -> Option<u8> {
        (self.copies > 0).then_some(self.copies)
    }

    fn bytes(&self) -> usize {
        self.bytes as usize
    }

    fn check(&self, (): &(), key: RingId, now_ms: u64) -> Result<(), Reject> {
        let holds = self.signed && self.key == key && now_ms < self.expires_ms;
        if holds { Ok(()) } else { Err(Reject::Bad) }
    }

    fn split(&self, (): &()) -> Vec<(RingId, Self)> {
        let key = child_key(self.key, (self.slot % CHILDREN) as u32);
        vec![(key, Self { key, ..self.clone() })]
    }

    fn answer<'a>(
        records: impl Iterator<Item = &'a Self>,
        (): &(),
        full: bool,
        now_ms: u64,
    ) -> Known {
        let living = records.filter(|note| now_ms < note.expires_ms);
        let mut notes: Vec<(u64, u64)> = living.map(|note| (note.slot, note.version)).collect();
        notes.sort_unstable();
        Known { notes, full }
    }

    fn merge(one: Known, other: Known, (): &()) -> Known {
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for (slot, version) in one.notes.into_iter().chain(other.notes) {
            let known = newest.entry(slot).or_default();
            *known = version.max(*known);
        }
        Known { notes: newest.into_iter().collect(), full: one.full || other.full }
    }
}
