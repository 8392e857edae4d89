//! What happens in a run of trackers: one seed makes the peers, their clocks, the liars and the
//! faults.

use std::time::Duration;

use potluck_base::Time;
use potluck_proto::Dice;

use super::liar::Habit;

/// After this nothing goes wrong any more, unless a run is about something special.
const TROUBLE: u64 = 150_000_000;
/// An hour in milliseconds: so much clocks may be wrong.
const HOUR_MS: u64 = 3_600_000;

/// All that is decided before a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What decided it.
    pub seed: u64,
    /// How many trackers keep the network.
    pub trackers: u32,
    /// Who takes part honestly; the first owns the network.
    pub members: Vec<Role>,
    /// Who does not.
    pub liars: Vec<Habit>,
    /// Whether the trackers know the network from the start; else its owner creates it.
    pub known: bool,
    /// Delay of every link in one direction, and the most that comes on top.
    pub delay: (Duration, Duration),
    /// Members whose links take this long.
    pub slow: Vec<(u32, Duration)>,
    /// How wrong the trackers' clocks are, in milliseconds.
    pub tracker_skew_ms: Vec<i64>,
    /// What goes wrong, and when.
    pub faults: Vec<(Time, Fault)>,
    /// From when on nothing goes wrong.
    pub quiet: Time,
    /// Time for which trackers are away in the end.
    pub away: Duration,
    /// Whether a tracker that is away refuses dials, or swallows them.
    pub refuses: bool,
}

/// An honest member.
#[derive(Clone, Debug)]
pub struct Role {
    /// How wrong its clock is, in milliseconds.
    pub skew_ms: i64,
    /// How it gets in.
    pub entry: Way,
    /// Shares that it has from the start.
    pub shares: u32,
    /// When it starts.
    pub start: Time,
    /// The name that it would like.
    pub nick: Option<String>,
}

/// How a member gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It owns the network.
    Owner,
    /// It joined long ago.
    Admitted,
    /// It has an invite that many may use.
    Invited,
    /// It has an invite that one may use, and so has another.
    Contested,
}

/// What goes wrong, or just happens. Numbers are those of trackers and of members.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A tracker crashes.
    CrashTracker(u32),
    /// It starts again with what is stored.
    RestartTracker(u32),
    /// A tracker says that it stops, and does.
    CloseTracker(u32),
    /// A member crashes.
    CrashMember(u32),
    /// It starts again; with or without what it remembered besides its key, membership and files.
    RestartMember(u32, bool),
    /// Some members cannot reach some trackers until `Heal`; the links just fall silent.
    Part(Vec<u32>, Vec<u32>),
    /// Partitions end.
    Heal,
    /// The link of a member to a tracker breaks.
    Break(u32, u32),
    /// A member's shares change.
    Change(u32),
    /// A member asks something.
    Ask(u32),
    /// The owner puts a member out.
    Revoke(u32),
    /// The store fails for a while.
    Store(Duration),
    /// The owner changes the network's record.
    Record,
}

impl Plan {
    /// A plan full of trouble.
    pub fn troubled(seed: u64, peers: Option<u32>) -> Plan {
        let mut dice = Dice::new(seed);
        let trackers = 1 + dice.below(3) as u32;
        let count = peers.unwrap_or(3 + dice.below(10) as u32).max(3);
        let known = dice.chance(2, 3);
        let mut members: Vec<Role> =
            (0..count).map(|member| any_role(member, known, &mut dice)).collect();
        if dice.chance(1, 2) {
            // Two redeem the same invite, at the same moment more or less.
            for member in [1, 2] {
                members[member].entry = Way::Contested;
                members[member].start = Time(6_000_000 + dice.below(50_000));
            }
        }
        let liars = (0..dice.below(4)).map(|_| Habit::any(&mut dice)).collect();
        let delay = Duration::from_micros(dice.below(80_000));
        let slow = (0..dice.below(3)).map(|_| {
            let member = dice.below(u64::from(count)) as u32;
            (member, Duration::from_millis(200 + dice.below(1300)))
        });
        let slow = slow.collect();
        let skew = |dice: &mut Dice| dice.below(HOUR_MS) as i64 - HOUR_MS as i64 / 2;
        let tracker_skew_ms = (0..trackers).map(|_| skew(&mut dice)).collect();
        let faults = any_faults(trackers, count, &mut dice);
        Plan {
            seed,
            trackers,
            members,
            liars,
            known,
            delay: (delay, Duration::from_micros(dice.below(20_000))),
            slow,
            tracker_skew_ms,
            faults,
            quiet: Time(TROUBLE),
            away: Duration::from_millis(500 + dice.below(40_000)),
            refuses: dice.chance(1, 2),
        }
    }

    /// Many peers with little to share and nothing but a restart: shows leases, the wave and the
    /// traffic.
    pub fn crowd(seed: u64, peers: u32) -> Plan {
        let mut dice = Dice::new(seed);
        let role = |member: u32| Role {
            entry: if member == 0 { Way::Owner } else { Way::Admitted },
            skew_ms: 0,
            shares: u32::from(member.is_multiple_of(4)),
            start: Time(1_000 * u64::from(member % 5000)),
            nick: None,
        };
        let dead = (0..peers / 50).map(|_| {
            let member = 1 + dice.below(u64::from(peers) - 1) as u32;
            (Time(20_000_000 + dice.below(20_000_000)), Fault::CrashMember(member))
        });
        Plan {
            seed,
            trackers: 1,
            members: (0..peers).map(role).collect(),
            liars: Vec::new(),
            known: true,
            faults: dead.collect(),
            delay: (Duration::from_millis(20), Duration::from_millis(10)),
            slow: Vec::new(),
            tracker_skew_ms: vec![0],
            quiet: Time(80_000_000),
            away: Duration::from_secs(20),
            refuses: seed.is_multiple_of(2),
        }
    }
}

/// How wrong a clock is: an hour at most, in milliseconds.
pub(super) fn any_skew_ms(dice: &mut Dice) -> i64 {
    dice.below(2 * HOUR_MS) as i64 - HOUR_MS as i64
}

fn any_role(member: u32, known: bool, dice: &mut Dice) -> Role {
    let entry = match dice.below(3) {
        _ if member == 0 => Way::Owner,
        0 => Way::Invited,
        _ => Way::Admitted,
    };
    // A network that is not there yet knows nobody.
    let earliest = if known || member == 0 { 0 } else { 5_000_000 };
    let nick = match dice.below(3) {
        0 => Some(format!("nick {}", dice.below(3))),
        _ => None,
    };
    Role {
        skew_ms: any_skew_ms(dice),
        entry,
        shares: dice.below(4) as u32,
        start: Time(earliest + dice.below(3_000_000)),
        nick,
    }
}

fn any_faults(trackers: u32, members: u32, dice: &mut Dice) -> Vec<(Time, Fault)> {
    let mut faults = Vec::new();
    for _ in 0..4 + dice.below(12) {
        let at = Time(8_000_000 + dice.below(TROUBLE - 70_000_000));
        let later = at + Duration::from_millis(200 + dice.below(40_000));
        let tracker = dice.below(u64::from(trackers)) as u32;
        let member = dice.below(u64::from(members)) as u32;
        match dice.below(10) {
            0 | 1 => {
                faults.push((at, Fault::CrashTracker(tracker)));
                faults.push((later, Fault::RestartTracker(tracker)));
            }
            2 => {
                faults.push((at, Fault::CloseTracker(tracker)));
                faults.push((later, Fault::RestartTracker(tracker)));
            }
            3 | 4 => {
                faults.push((at, Fault::CrashMember(member)));
                // Some stay away.
                if !dice.chance(1, 4) || member == 0 {
                    faults.push((later, Fault::RestartMember(member, dice.chance(1, 2))));
                }
            }
            5 => {
                let some = (0..members).filter(|_| dice.chance(1, 2)).collect();
                let others = (0..trackers).filter(|_| dice.chance(2, 3)).collect();
                faults.push((at, Fault::Part(some, others)));
                faults.push((later, Fault::Heal));
            }
            6 => faults.push((at, Fault::Store(Duration::from_millis(dice.below(6000))))),
            7 => faults.push((at, Fault::Record)),
            _ => faults.push((at, Fault::Break(member, tracker))),
        }
    }
    for _ in 0..dice.below(30) {
        let member = dice.below(u64::from(members)) as u32;
        let at = Time(5_000_000 + dice.below(TROUBLE - 10_000_000));
        let what = if dice.chance(1, 2) { Fault::Change(member) } else { Fault::Ask(member) };
        faults.push((at, what));
    }
    if dice.chance(1, 2) && members > 3 {
        let at = Time(15_000_000 + dice.below(TROUBLE - 60_000_000));
        faults.push((at, Fault::Revoke(3 + dice.below(u64::from(members) - 3) as u32)));
    }
    faults
}
