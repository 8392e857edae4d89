//! Records on the circle: what was acknowledged is there, with as many copies as was said, until as
//! many of those who keep it have failed as it had copies.
//!
//! A record counts where it was acknowledged, or under the keys that follow from that one for want
//! of room: when two circles become one, a key may hold more than there is room for, and whoever
//! hands records over brings them there, as a publisher would. Who asks is told that the key is
//! full, and goes on there.

use std::collections::{BTreeMap, BTreeSet};

use potluck_proto::directory::chord::RingId;

use crate::chord::{Ideal, Spot, child_key};

/// Looks, one a second, that must find a record complete before failures are forgotten: a copy that
/// is just being handed over may still be counted, and go when the word that it arrived does, from
/// one who has died since. Such a word is under way for three times the patience of a call at most.
const WHOLE_LOOKS: u32 = 7;

/// How often a key may be split on the way to a record.
const STEPS: usize = 4;

/// A record's key and slot.
pub type Name = (RingId, u64);

/// Who has which version of each record, in memory or on a disk that will be read again.
pub type Holders = BTreeMap<Name, BTreeMap<Spot, u64>>;

/// Remembers what was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Records {
    acknowledged: BTreeMap<Name, Acknowledged>,
    /// Versions on their way, and how many died or left since each was sent off.
    begun: BTreeMap<(Name, u64), u32>,
}

#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    version: u64,
    /// So many had it.
    copies: u32,
    /// So many are to have it.
    wanted: u32,
    expires_ms: u64,
    /// Keepers that failed for good since it was last complete.
    failed: u32,
    /// Looks that found it complete since then.
    whole: u32,
    /// It was lost as it was allowed to.
    excused: bool,
}

impl Records {
    /// Somebody wants a record kept.
    pub fn begun(&mut self, name: Name, version: u64) {
        self.begun.entry((name, version)).or_insert(0);
    }

    /// It was told that so many keep it.
    pub fn acknowledged(
        &mut self,
        (name, version): (Name, u64),
        copies: u32,
        (wanted, expires_ms): (u32, u64),
        (holders, now_ms): (&Holders, u64),
    ) -> Result<(), String> {
        let died = self.begun.get(&(name, version)).copied().unwrap_or(0);
        let have = holders.get(&name).into_iter().flatten();
        let have = have.filter(|(_, has)| **has >= version).count() as u32;
        let known = self.acknowledged.get(&name);
        if known.is_none_or(|known| known.version < version) {
            let fresh = Acknowledged {
                version,
                copies,
                wanted,
                expires_ms,
                failed: died,
                whole: 0,
                excused: false,
            };
            self.acknowledged.insert(name, fresh);
        }
        // What is told after its end is not kept any more.
        if have + died >= copies || expires_ms <= now_ms {
            Ok(())
        } else {
            Err(format!("{name:?} version {version} has {have} copies and not the {copies} told"))
        }
    }

    /// A peer has lost what it kept. Called before it is out of `holders`.
    pub fn failed(&mut self, who: Spot, holders: &Holders) {
        for (name, record) in &mut self.acknowledged {
            let (_, has) = place_of(*name, record.version, holders);
            if has.contains_key(&who) {
                record.failed += 1;
                record.whole = 0;
            }
        }
        self.gone();
    }

    /// A peer has left, and what it kept is with others now: with as many as before, as far as
    /// there are others. `others` are the neighbours that it knew and could reach. If they are
    /// fewer than the copies of a record, one copy is gone that nobody could take, and that counts
    /// as a failure: so it is in a circle of few, and while two circles become one. Called before
    /// it is out of `holders`.
    pub fn left(&mut self, who: Spot, others: u32, holders: &Holders) {
        for (name, record) in &mut self.acknowledged {
            let (_, has) = place_of(*name, record.version, holders);
            record.failed += u32::from(has.contains_key(&who) && others < record.copies);
        }
        self.gone();
    }

    fn gone(&mut self) {
        // Who knows what it had of those on their way.
        self.begun.values_mut().for_each(|died| *died += 1);
    }

    /// What should be there and is not. `living` can be asked now, the disks of others may come
    /// back.
    pub fn look(&mut self, now_ms: u64, holders: &Holders, living: &BTreeSet<Spot>) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, record) in &mut self.acknowledged {
            if record.excused || record.expires_ms <= now_ms {
                continue;
            }
            let (_, has) = place_of(*name, record.version, holders);
            let has = has.iter().filter(|(_, version)| **version >= record.version);
            let (all, there) = has.fold((0, 0), |(all, there), (who, _)| {
                (all + 1, there + u32::from(living.contains(who)))
            });
            let complete = there > 0 && there >= record.wanted.min(living.len() as u32);
            record.whole = if complete { record.whole + 1 } else { 0 };
            if record.whole >= WHOLE_LOOKS {
                record.failed = 0;
                // Fewer members keep fewer copies.
                record.copies = there.min(record.wanted);
            }
            if all == 0 && record.failed < record.copies {
                let Acknowledged { version, copies, failed, .. } = record;
                faults.push(format!(
                    "{name:?} version {version} is lost: it had {copies} copies, {failed} failed"
                ));
            }
            record.excused |= all == 0;
        }
        faults
    }

    /// What differs from exactly the right keepers with the newest version, when all is quiet.
    pub fn ideal_faults(&self, now_ms: u64, holders: &Holders, ideal: &Ideal) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, record) in self.standing(now_ms) {
            let (name, has) = place_of(*name, record.version, holders);
            let keepers = ideal.keepers(name.0, record.wanted as usize);
            let right: BTreeSet<Spot> = keepers.iter().copied().collect();
            if has.keys().copied().collect::<BTreeSet<Spot>>() != right {
                faults.push(format!("{name:?} is kept by {has:?} and not by {keepers:?}"));
            } else if has.values().any(|version| *version < record.version) {
                faults.push(format!("{name:?} is kept in old versions: {has:?}"));
            }
        }
        faults
    }

    /// What must be found: names, where each is now, and least versions.
    pub fn expected(&self, now_ms: u64, holders: &Holders) -> Vec<(Name, Name, u64)> {
        let place = |(name, record): (&Name, &Acknowledged)| {
            (*name, place_of(*name, record.version, holders).0, record.version)
        };
        self.standing(now_ms).map(place).collect()
    }

    /// How many were lost because too many failed at once.
    pub fn excused(&self) -> usize {
        self.acknowledged.values().filter(|record| record.excused).count()
    }

    fn standing(&self, now_ms: u64) -> impl Iterator<Item = (&Name, &Acknowledged)> {
        let all = self.acknowledged.iter();
        all.filter(move |(_, record)| !record.excused && record.expires_ms > now_ms)
    }
}

/// Under which key a record is, and who has it: as long as anybody keeps it under its own, there.
fn place_of(name: Name, version: u64, holders: &Holders) -> (Name, BTreeMap<Spot, u64>) {
    let mut place = name;
    for _ in 0..=STEPS {
        if let Some(has) = holders.get(&place)
            && has.values().any(|has| *has >= version)
        {
            return (place, has.clone());
        }
        place.0 = child_key(place.0, (place.1 % 16) as u32);
    }
    (name, BTreeMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = (RingId(5), 1);

    fn holders(who: &[(u32, u64)]) -> Holders {
        let who = who.iter().map(|(spot, version)| (Spot(*spot), *version)).collect();
        BTreeMap::from([(NAME, who)])
    }

    fn kept() -> Records {
        let mut records = Records::default();
        records.begun(NAME, 3);
        let said = records.acknowledged((NAME, 3), 2, (2, 1000), (&holders(&[(1, 3), (2, 3)]), 0));
        assert_eq!(said, Ok(()));
        records
    }

    #[test]
    fn a_copy_that_was_told_of_and_is_not_there_is_found() {
        let mut records = Records::default();
        records.begun(NAME, 3);
        let said = records.acknowledged((NAME, 3), 2, (2, 1000), (&holders(&[(1, 3), (2, 2)]), 0));
        assert!(said.is_err());
        // Unless somebody died on the way.
        records.failed(Spot(3), &holders(&[]));
        let said = records.acknowledged((NAME, 3), 2, (2, 1000), (&holders(&[(1, 3)]), 0));
        assert_eq!(said, Ok(()));
    }

    #[test]
    fn a_record_may_be_lost_only_when_all_its_copies_have_failed_since_it_was_complete() {
        let living = BTreeSet::from([Spot(1), Spot(2), Spot(3)]);
        let mut records = kept();
        records.failed(Spot(1), &holders(&[(1, 3), (2, 3)]));
        assert_eq!(records.clone().look(0, &holders(&[]), &living).len(), 1);
        let mut mended = records.clone();
        for _ in 0..WHOLE_LOOKS {
            assert!(mended.look(0, &holders(&[(2, 3), (3, 3)]), &living).is_empty());
        }
        mended.failed(Spot(2), &holders(&[(2, 3), (3, 3)]));
        assert_eq!(mended.look(0, &holders(&[]), &living).len(), 1);
        records.failed(Spot(2), &holders(&[(2, 3)]));
        assert!(records.look(0, &holders(&[]), &living).is_empty() && records.excused() == 1);
    }

    #[test]
    fn a_leave_takes_a_copy_away_only_where_there_is_nobody_else_to_take_it() {
        let living = BTreeSet::from([Spot(2)]);
        for (others, faults) in [(1, 0), (2, 1)] {
            let mut records = kept();
            records.left(Spot(1), others, &holders(&[(1, 3), (2, 3)]));
            records.failed(Spot(2), &holders(&[(2, 3)]));
            assert_eq!(records.look(0, &holders(&[]), &living).len(), faults);
        }
    }

    #[test]
    fn what_went_under_a_following_key_is_there_and_nowhere_else() {
        let ideal = Ideal::new((0..5).map(Spot));
        let child = (child_key(NAME.0, 1), NAME.1);
        let keepers = ideal.keepers(child.0, 2);
        let has: BTreeMap<Spot, u64> = keepers.iter().map(|spot| (*spot, 3)).collect();
        let mut holders = Holders::from([(child, has)]);
        let mut records = kept();
        assert!(records.look(0, &holders, &BTreeSet::from([Spot(1)])).is_empty());
        assert!(records.ideal_faults(0, &holders, &ideal).is_empty());
        assert_eq!(records.expected(0, &holders), [(NAME, child, 3)]);
        // Somebody still has it where it was.
        holders.insert(NAME, BTreeMap::from([(Spot(4), 3)]));
        assert_eq!(records.ideal_faults(0, &holders, &ideal).len(), 1);
    }

    #[test]
    fn an_older_version_or_an_expired_one_is_not_what_was_acknowledged() {
        let living = BTreeSet::from([Spot(1)]);
        assert_eq!(kept().look(0, &holders(&[(1, 2)]), &living).len(), 1);
        assert!(kept().look(1000, &holders(&[(1, 2)]), &living).is_empty());
    }

    #[test]
    fn in_the_end_exactly_the_right_peers_keep_it() {
        let ideal = Ideal::new((0..5).map(Spot));
        let keepers = ideal.keepers(NAME.0, 2);
        let right = [(keepers[0].0, 3), (keepers[1].0, 4)];
        assert!(kept().ideal_faults(0, &holders(&right), &ideal).is_empty());
        let more = [right[0], right[1], (ideal.keepers(NAME.0, 3)[2].0, 3)];
        assert_eq!(kept().ideal_faults(0, &holders(&more), &ideal).len(), 1);
        assert_eq!(kept().ideal_faults(0, &holders(&right[..1]), &ideal).len(), 1);
    }
}
