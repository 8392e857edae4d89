//! What is around the peers of a troubled world: messages that are lost, doubled or late, groups
//! that do not reach each other, and a disk for each.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::Dice;
use potluck_proto::directory::chord::{Effect, Event, Message, Outcome, RingId, Slot};

use super::super::note::{Known, Note};
use super::super::player::{Beside, Carried};
use super::super::sky::Peer;
use super::super::spot::Spot;
use crate::checkers::chord_records::Holders;

/// What a peer finds again after a crash, unless its disk is gone too.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Records, as the machine had them kept and dropped.
    pub records: BTreeMap<(RingId, Slot), Note>,
    /// Peers to find the circle again by.
    pub known: Vec<Spot>,
}

/// What is around the peers.
pub struct Air {
    /// Everybody's disk.
    pub disks: BTreeMap<Spot, Disk>,
    /// Who has which record, in memory or on disk: the disks' contents by record.
    pub holders: Holders,
    /// What peers told, and when.
    pub told: Vec<(Time, Spot, Event<Spot, Note>)>,
    /// Delay in one direction, and the most that comes on top.
    pub delay: (Duration, Duration),
    /// Messages of a thousand that are lost.
    pub loss: u64,
    /// Messages of a thousand that come twice.
    pub doubles: u64,
    /// Whether a peer learns at once that another is dead, at times.
    pub refuses: bool,
    /// The group of each peer while groups do not reach each other.
    pub groups: BTreeMap<Spot, u8>,
    dice: Dice,
}

impl Air {
    /// Nothing was said yet.
    pub fn new(seed: u64, delay: (Duration, Duration)) -> Self {
        Self {
            disks: BTreeMap::new(),
            holders: Holders::new(),
            told: Vec::new(),
            delay,
            loss: 0,
            doubles: 0,
            refuses: false,
            groups: BTreeMap::new(),
            dice: Dice::new(seed),
        }
    }

    /// A disk is gone.
    pub fn wipe(&mut self, spot: Spot) {
        self.disks.remove(&spot);
        for holders in self.holders.values_mut() {
            holders.remove(&spot);
        }
    }

    /// Whether messages pass between these.
    pub fn reach(&self, from: Spot, to: Spot) -> bool {
        self.groups.get(&from) == self.groups.get(&to)
    }

    fn way(&mut self) -> Duration {
        let (least, more) = self.delay;
        least + Duration::from_micros(self.dice.below(more.as_micros() as u64 + 1))
    }
}

impl Beside<Peer> for Air {
    fn carry(
        &mut self,
        _: Time,
        from: Spot,
        to: Spot,
        _: &Message<Spot, Note, (), Known>,
    ) -> Carried {
        if !self.reach(from, to) {
            return Carried::default();
        }
        let first = (!self.dice.chance(self.loss, 1000)).then(|| self.way());
        let second = self.dice.chance(self.doubles, 1000).then(|| self.way());
        Carried { first, second }
    }

    fn perform(&mut self, _: Time, node: Spot, effect: Effect<Note>) {
        let disk = self.disks.entry(node).or_default();
        match effect {
            Effect::Keep { key, record } => {
                let holders = self.holders.entry((key, record.slot)).or_default();
                holders.insert(node, record.version);
                disk.records.insert((key, Note::slot_of(record.slot)), record);
            }
            Effect::Drop { key, slot } => {
                if let Some(gone) = disk.records.remove(&(key, slot))
                    && let Some(holders) = self.holders.get_mut(&(key, gone.slot))
                {
                    holders.remove(&node);
                }
            }
        }
    }

    fn told(&mut self, now: Time, node: Spot, event: Event<Spot, Note>) {
        self.told.push((now, node, event));
    }

    fn bounced(&mut self, _: Time, node: Spot) -> Option<(Duration, Outcome<Spot>)> {
        let refused = self.refuses && self.dice.chance(1, 2);
        refused.then(|| (self.way(), Outcome::Unreachable(node)))
    }
}
