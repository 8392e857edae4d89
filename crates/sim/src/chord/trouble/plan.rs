//! What happens in a troubled world: one seed makes the peers, their parameters and the faults.

use std::time::Duration;

use potluck_base::Time;
use potluck_proto::Dice;
use potluck_proto::directory::chord::Params;

/// When the last peer of the beginning has started.
const GROWN: u64 = 40_000_000;
/// After this nothing goes wrong any more.
const QUIET: u64 = 200_000_000;

/// All that is decided before a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What decided it.
    pub seed: u64,
    /// What is expected of it.
    pub kind: Kind,
    /// How everybody takes part.
    pub params: Params,
    /// When each peer starts, and whom it knows then. The first knows nobody.
    pub peers: Vec<(Time, Vec<u32>)>,
    /// Delay in one direction, and the most that comes on top.
    pub delay: (Duration, Duration),
    /// Messages of a thousand that are lost.
    pub loss: u64,
    /// Messages of a thousand that come twice.
    pub doubles: u64,
    /// Whether a peer learns at once that another is dead, at times.
    pub refuses: bool,
    /// What goes wrong, and when.
    pub faults: Vec<(Time, Fault)>,
    /// From when on nothing goes wrong.
    pub quiet: Time,
}

/// What is expected of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who is silent is dead and stays so, and nobody dies whom the others cannot do without: the
    /// circle's invariant holds at every moment.
    Orderly,
    /// Anything: the circle is whole again some time after it.
    Wild,
}

/// What goes wrong, or just happens.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A peer crashes; with its disk, if it is to forget.
    Crash(u32, bool),
    /// Several crash in the same moment, with their disks or without.
    CrashMany(Vec<u32>, bool),
    /// A peer that is down starts again, with what is on its disk, or with this contact.
    Restart(u32, u32),
    /// A peer hands over and leaves.
    Leave(u32),
    /// These and the others do not reach each other until `Heal`.
    Part(Vec<u32>),
    /// Partitions end.
    Heal,
    /// Everybody crashes, and starts again from disk after so long.
    Blackout(Duration),
    /// A peer wants records kept, of these numbers.
    Put(u32, Vec<Entry>),
    /// A peer looks something up.
    Look(u32, u32),
}

/// A record to be put.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The number of its key.
    pub key: u32,
    /// Its slot.
    pub slot: u64,
    /// How large it claims to be.
    pub bytes: u32,
    /// How many are to have it, or zero.
    pub copies: u8,
    /// How long it counts.
    pub life: Duration,
}

impl Plan {
    /// A plan full of trouble.
    pub fn troubled(seed: u64, peers: Option<u32>) -> Plan {
        let mut dice = Dice::new(seed);
        let kind = if dice.chance(1, 2) { Kind::Orderly } else { Kind::Wild };
        let count = peers.unwrap_or(2 + dice.below(24) as u32).max(2);
        let params = any_params(&mut dice);
        let wild = kind == Kind::Wild;
        // In an orderly world every answer is in time; in a wild one some are not.
        let most = params.call_time.as_micros() as u64 * if wild { 3 } else { 1 } / 5;
        let delay = Duration::from_micros(1000 + dice.below(most / 2));
        let more = Duration::from_micros(dice.below(most / 2));
        let peers = (0..count).map(|peer| any_start(peer, wild, &mut dice)).collect();
        Plan {
            seed,
            kind,
            params,
            peers,
            delay: (delay, more),
            loss: if wild && dice.chance(1, 2) { dice.below(60) } else { 0 },
            doubles: if dice.chance(1, 2) { dice.below(100) } else { 0 },
            refuses: dice.chance(1, 2),
            faults: any_faults(count, wild, &mut dice),
            quiet: Time(QUIET),
        }
    }
}

fn any_params(dice: &mut Dice) -> Params {
    let live = Params::live();
    let fingers = !dice.chance(1, 4);
    let parallel = 1 + dice.below(3) as usize;
    Params {
        successors: 3 + dice.below(6) as usize,
        replicas: 1 + dice.below(4) as usize,
        fingers,
        parallel,
        cache: if dice.chance(1, 2) { live.cache } else { 0 },
        choices: if dice.chance(1, 2) { live.choices } else { 1 },
        call_time: Duration::from_millis(500 + dice.below(1500)),
        merge_every: 1 + dice.below(4) as u32,
        ..live
    }
}

fn any_start(peer: u32, wild: bool, dice: &mut Dice) -> (Time, Vec<u32>) {
    if peer == 0 {
        return (Time(1000), Vec::new());
    }
    // In an orderly world nobody comes back, so some come late.
    let late = !wild && dice.chance(1, 3);
    let at = Time(100_000 + dice.below(if late { QUIET - 20_000_000 } else { GROWN }));
    let mut known = vec![0];
    known.extend((0..dice.below(3)).map(|_| dice.below(u64::from(peer)) as u32));
    (at, known)
}

fn any_faults(count: u32, wild: bool, dice: &mut Dice) -> Vec<(Time, Fault)> {
    let mut faults = Vec::new();
    for _ in 0..2 + dice.below(14) {
        let at = Time(5_000_000 + dice.below(QUIET - 60_000_000));
        let later = at + Duration::from_millis(200 + dice.below(50_000));
        let peer = any(count, dice);
        match dice.below(if wild { 10 } else { 5 }) {
            0..=2 => {
                faults.push((at, Fault::Crash(peer, dice.chance(1, 2))));
                if wild && !dice.chance(1, 4) {
                    faults.push((later, Fault::Restart(peer, any(count, dice))));
                }
            }
            3 | 4 => {
                faults.push((at, Fault::Leave(peer)));
                if wild && dice.chance(1, 2) {
                    faults.push((later, Fault::Restart(peer, any(count, dice))));
                }
            }
            5 | 6 => {
                faults.push((at, Fault::Part(some(count, 2, dice))));
                faults.push((later, Fault::Heal));
            }
            7 | 8 => {
                let many = some(count, 2 + dice.below(3), dice);
                faults.push((at, Fault::CrashMany(many.clone(), dice.chance(1, 2))));
                let back = many.into_iter().filter(|_| dice.chance(3, 4)).collect::<Vec<u32>>();
                for peer in back {
                    faults.push((later, Fault::Restart(peer, any(count, dice))));
                }
            }
            _ => {
                let away = Duration::from_millis(100 + dice.below(10_000));
                faults.push((at, Fault::Blackout(away)));
            }
        }
    }
    faults.extend((0..3 + dice.below(20)).map(|_| any_put(count, dice)));
    for _ in 0..dice.below(20) {
        let at = Time(5_000_000 + dice.below(QUIET - 5_000_000));
        faults.push((at, Fault::Look(any(count, dice), dice.below(1000) as u32)));
    }
    faults
}

fn any_put(count: u32, dice: &mut Dice) -> (Time, Fault) {
    let at = Time(3_000_000 + dice.below(QUIET - 10_000_000));
    let large = dice.chance(1, 8);
    let entry = |dice: &mut Dice| {
        let key = dice.below(if large { 2 } else { 24 }) as u32;
        let slot = dice.below(if large { 40 } else { 3 });
        // All versions of a record are to be kept as often and as long.
        let kind = u64::from(key) * 3 + slot;
        Entry {
            key,
            slot,
            bytes: if large { 60_000 } else { 50 + dice.below(500) as u32 },
            copies: if kind.is_multiple_of(8) { 1 + (kind / 8 % 4) as u8 } else { 0 },
            life: Duration::from_secs(if kind % 8 == 1 { 60 } else { 86_400 }),
        }
    };
    let entries = (0..1 + dice.below(12)).map(|_| entry(dice)).collect();
    (at, Fault::Put(any(count, dice), entries))
}

fn any(count: u32, dice: &mut Dice) -> u32 {
    dice.below(u64::from(count)) as u32
}

/// About one of so many.
fn some(count: u32, of: u64, dice: &mut Dice) -> Vec<u32> {
    (0..count).filter(|_| dice.chance(1, of)).collect()
}
