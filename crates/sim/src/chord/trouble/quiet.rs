//! When nothing goes wrong any more: how soon everything is as it should be, and whether it then
//! is.

use std::collections::BTreeSet;
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::directory::chord::{Command, RingId};
use potluck_proto::{Dice, Input};

use super::super::ideal::Ideal;
use super::super::note::Known;
use super::super::spot::{Spot, key};
use super::plan::Entry;
use super::run::{EPOCH_MS, Run, SKEW_MS};

/// Time for everybody to find each other and to mend everything.
const SETTLE: Duration = Duration::from_secs(300);
/// Time that questions have.
const ANSWERS: Duration = Duration::from_secs(30);
/// Keys that everybody looks up in the end.
const KEYS: usize = 8;
/// How long after their time records are still kept at most.
const EXPIRED_WITHIN_MS: u64 = 150_000;

/// What must be in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// This slot, in this version or a newer one.
    Note(u64, u64),
    /// That there is more under the keys that follow.
    More,
}

impl Run<'_> {
    /// Nothing goes wrong any more.
    pub(super) fn quiet(&mut self) {
        self.is_quiet = true;
        self.calm_down();
        let begun = self.player.now();
        loop {
            self.play_for(Duration::from_secs(1));
            let faults = self.differences();
            if faults.is_empty() {
                break;
            }
            if self.player.now() > begun + SETTLE {
                self.wrong(faults);
                return;
            }
        }
        self.report.whole_after_s = self.player.now().since(begun).as_secs_f64();
        // It stays so, and is of use.
        self.put_more();
        self.play_for(ANSWERS);
        self.ask_all();
        self.play_for(ANSWERS);
        let open = (self.puts.len(), self.lookups.len(), self.asks.len());
        if open != (0, 0, 0) {
            self.wrong([format!("of puts, lookups and questions {open:?} came to no end")]);
        }
        let faults = self.differences();
        self.wrong(faults);
    }

    /// Everybody reaches everybody, and all that are to come back do.
    fn calm_down(&mut self) {
        let air = &mut self.player.beside;
        air.groups.clear();
        (air.loss, air.doubles) = (0, 0);
        let most = self.plan.params.call_time / 10;
        air.delay = (air.delay.0.min(most), air.delay.1.min(most));
        // What was asked in trouble is not judged.
        self.puts.clear();
        let down: Vec<(Spot, Vec<Spot>)> = self
            .player
            .beside
            .disks
            .iter()
            .filter(|(spot, _)| self.player.machine(**spot).is_none())
            .map(|(spot, disk)| (*spot, disk.known.clone()))
            .collect();
        for (spot, known) in down {
            self.revive(spot, known);
        }
        self.bridge();
    }

    /// Circles that know nothing of each other cannot find each other: they are told.
    fn bridge(&mut self) {
        let all: BTreeSet<Spot> = self.player.living().map(|(spot, _)| spot).collect();
        let Some(first) = all.first().copied() else { return };
        loop {
            let mut reached = BTreeSet::from([first]);
            loop {
                let knows = |spot: &Spot| {
                    let known = self.player.machine(*spot).map_or_else(Vec::new, |it| it.known());
                    known.into_iter().filter(|peer| all.contains(peer)).collect::<Vec<Spot>>()
                };
                let more: Vec<Spot> = all
                    .iter()
                    .copied()
                    .filter(|spot| {
                        let known = knows(spot);
                        !reached.contains(spot) && known.iter().any(|peer| reached.contains(peer))
                            || reached.iter().any(|peer| knows(peer).contains(spot))
                    })
                    .filter(|spot| !reached.contains(spot))
                    .collect();
                if more.is_empty() {
                    break;
                }
                reached.extend(more);
            }
            let Some(outside) = all.difference(&reached).next().copied() else { return };
            self.report.bridged += 1;
            self.player.hand(outside, Input::Command(Command::Learn(vec![first])));
            if !self.player.machine(outside).is_some_and(|it| it.known().contains(&first)) {
                return self.wrong([format!("{outside:?} was told of {first:?} and forgot it")]);
            }
        }
    }

    /// How everything differs from what it should be.
    fn differences(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (spot, machine) in self.player.living() {
            if !machine.is_joined() {
                faults.push(format!("{spot:?} is not on the circle"));
            }
        }
        faults.extend(self.views.ideal_faults(self.plan.params.successors));
        let ideal = Ideal::new(self.views.0.keys().copied());
        if ideal.is_empty() {
            return faults;
        }
        let (now_ms, holders) = (self.now_ms(), &self.player.beside.holders);
        faults.extend(self.records.ideal_faults(now_ms + 2 * SKEW_MS, holders, &ideal));
        for (spot, disk) in &self.player.beside.disks {
            let old = disk.records.values();
            let old = old.filter(|note| note.expires_ms + EXPIRED_WITHIN_MS < now_ms);
            faults.extend(old.map(|note| format!("{spot:?} still keeps {note:?}")));
        }
        faults.extend(self.finger_faults(&ideal));
        faults
    }

    fn finger_faults(&self, ideal: &Ideal) -> Vec<String> {
        let mut faults = Vec::new();
        let choices = self.plan.params.choices.max(1);
        for (spot, machine) in self.player.living() {
            for finger in machine.fingers() {
                let right = ideal.keepers(finger.start, choices);
                if !right.contains(&finger.peer) {
                    let (index, peer) = (finger.index, finger.peer);
                    faults.push(format!("{spot:?}'s finger {index} is {peer:?}, not of {right:?}"));
                }
            }
        }
        faults
    }

    fn put_more(&mut self) {
        let life = Duration::from_secs(86_400);
        for peer in 0..self.player.count().min(6) {
            let mut entries = Vec::new();
            for slot in 0..5 {
                // Others than those of the trouble.
                let key = 24 + self.dice.below(24) as u32;
                entries.push(Entry { key, slot, bytes: 100, copies: 0, life });
            }
            self.put(peer, &entries);
            // One after the other: each knows of what was there.
            self.play_for(Duration::from_secs(5));
        }
    }

    fn ask_all(&mut self) {
        let all: Vec<Spot> = self.views.0.keys().copied().collect();
        for spot in &all {
            for _ in 0..KEYS {
                let key = any_key(&mut self.dice);
                self.report.lookups += 1;
                self.look_up(*spot, key, true);
            }
        }
        let holders = &self.player.beside.holders;
        let expected = self.records.expected(self.now_ms() + 2 * SKEW_MS, holders);
        self.report.records = expected.len();
        for (name, place, version) in expected {
            let pick = self.dice.below(all.len() as u64) as usize;
            self.ask(all[pick], place.0, Expected::Note(name.1, version));
            if place != name {
                self.ask(all[pick], name.0, Expected::More);
            }
        }
    }

    fn ask(&mut self, spot: Spot, key: RingId, expected: Expected) {
        self.serial += 1;
        self.asks.insert(self.serial, (key, expected));
        let command = Command::Ask { id: self.serial, key, question: () };
        self.player.hand(spot, Input::Command(command));
    }

    /// A lookup in quiet is right.
    pub(super) fn judge_lookup(&mut self, spot: Spot, key: RingId, owner: Option<Spot>) {
        let right = Ideal::new(self.views.0.keys().copied()).owner(key);
        if owner != right {
            self.wrong([format!("{spot:?} finds {owner:?} for {key:?} and not {right:?}")]);
        }
    }

    /// So is an answer about a record.
    pub(super) fn judge_answer(
        &mut self,
        spot: Spot,
        (key, expected): &(RingId, Expected),
        answer: Option<(Spot, Known)>,
    ) {
        let known = answer.as_ref().map(|(_, known)| known);
        let right = match expected {
            Expected::Note(slot, version) => known.is_some_and(|known| {
                known.notes.iter().any(|(has, newer)| has == slot && newer >= version)
            }),
            Expected::More => known.is_some_and(|known| known.full),
        };
        if !right {
            self.wrong([format!("{spot:?} is told {answer:?} of {key:?} and not {expected:?}")]);
        }
    }

    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.player.now().since(Time::ZERO).as_millis() as u64
    }
}

fn any_key(dice: &mut Dice) -> RingId {
    if dice.chance(1, 2) {
        return key(dice.below(48) as u32);
    }
    RingId((u128::from(dice.next_u64()) << 64) | u128::from(dice.next_u64()))
}
