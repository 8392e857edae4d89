//! What happens in a run: one seed makes the content, the nodes, the links, the liars and the
//! faults.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath, Time};
use potluck_content::{Entry, Kind, Manifest, PieceMap, hash};
use potluck_proto::Dice;

use crate::hand::Character;

/// Bytes per second of a link that people call slow at home.
const RATE_MIN: u64 = 600_000;
/// Bytes per second of a link in a machine room.
const RATE_MAX: u64 = 125_000_000;
/// After this nothing goes wrong any more.
pub(crate) const QUIET: Time = Time(20_000_000);

/// All that is decided before a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What decided it.
    pub seed: u64,
    /// The content.
    pub map: Arc<PieceMap>,
    /// The nodes: first the seeds, then the receivers, then the liars.
    pub nodes: Vec<Role>,
    /// Delay of every link in one direction, and the most that comes on top.
    pub delay: (Duration, Duration),
    /// What goes wrong, and when.
    pub faults: Vec<(Time, Fault)>,
    /// Whether receivers know each other from the start; else seeds introduce them.
    pub acquainted: bool,
}

/// What a node is in a plan.
#[derive(Clone, Debug)]
pub struct Role {
    pub(crate) character: Character,
    pub(crate) up_rate: u64,
    pub(crate) down_rate: u64,
    pub(crate) truth: PieceSet,
    pub(crate) wanted: PieceSet,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A link breaks and is dialled again after a while.
    Break(u32, u32),
    /// Two groups cannot reach each other until `Heal`.
    Part(Vec<u32>, Vec<u32>),
    /// Partitions end.
    Heal,
    /// A node crashes, losing what it stored in the last while, and starts again later.
    Crash(u32, Duration),
    /// A node that crashed starts again.
    Restart(u32),
    /// Pieces of a seed change on its disk.
    Change(u32, PieceRange),
    /// Pieces appear at a receiver by themselves.
    Appear(u32, PieceRange),
    /// A receiver wants everything.
    WantAll(u32),
    /// A seed leaves.
    Leave(u32),
    /// A node sends nothing for a while.
    Freeze(u32, Duration),
}

impl Plan {
    /// A plan full of trouble.
    pub fn troubled(seed: u64, receivers: Option<u32>, pieces: Option<u32>) -> Plan {
        let mut dice = Dice::new(seed);
        let pieces = pieces.unwrap_or(20 + dice.below(200) as u32);
        let map = Arc::new(any_content(pieces, &mut dice));
        let seeds = 1 + dice.below(3) as u32;
        let receivers = receivers.unwrap_or(1 + dice.below(6) as u32);
        let mut nodes = Vec::new();
        for node in 0..seeds + receivers {
            nodes.push(any_role(&map, node < seeds, &mut dice));
        }
        nodes[0].truth = PieceSet::all(map.total());
        for _ in 0..dice.below(4) {
            nodes.push(any_liar(&map, &mut dice));
        }
        let delay = Duration::from_micros(dice.below(80_000));
        let delay = (delay, Duration::from_micros(dice.below(20_000)));
        let faults = any_faults(&map, seeds, receivers, &mut dice);
        Plan { seed, map, nodes, delay, faults, acquainted: dice.chance(1, 2) }
    }

    /// One seed and receivers with equal links, and nothing goes wrong.
    pub fn fair(seed: u64, receivers: u32, pieces: u32, rate: u64, delay: Duration) -> Plan {
        let map = Arc::new(PieceMap::one_file(u64::from(pieces) << 16, ContentId([7; 32])));
        let role = |is_seed| Role {
            character: Character::Honest,
            up_rate: rate,
            down_rate: rate * 4,
            truth: if is_seed { PieceSet::all(pieces) } else { PieceSet::none(pieces) },
            wanted: if is_seed { PieceSet::none(pieces) } else { PieceSet::all(pieces) },
        };
        let nodes = (0..=receivers).map(|node| role(node == 0)).collect();
        let delay = (delay, delay / 10);
        Plan { seed, map, nodes, delay, faults: Vec::new(), acquainted: true }
    }

    pub(crate) fn is_receiver(&self, node: u32) -> bool {
        let role = &self.nodes[node as usize];
        role.character == Character::Honest && !role.wanted.is_empty()
    }

    pub(crate) fn everybody(&self) -> std::ops::Range<u32> {
        0..self.nodes.len() as u32
    }

    /// Time after quiet within which everybody must be done: the seed alone could serve all, one
    /// after the other, three times over; and some patience for stalls.
    pub(crate) fn deadline(&self) -> Time {
        let slowest = self.nodes.iter().map(|role| role.up_rate.min(role.down_rate)).min();
        let bytes = self.map.total_bytes() * self.nodes.len() as u64;
        QUIET + Duration::from_secs(120 + 3 * bytes / slowest.unwrap_or(1))
    }
}

/// A file, or a folder of many small and a few larger files.
fn any_content(pieces: u32, dice: &mut Dice) -> PieceMap {
    if dice.chance(1, 2) {
        let last = 1 + dice.below(1 << 16);
        return PieceMap::one_file((u64::from(pieces - 1) << 16) + last, ContentId([7; 32]));
    }
    let (mut entries, mut left) = (Vec::new(), u64::from(pieces));
    while left > 0 {
        let size = match dice.below(4) {
            0 => 1 + dice.below(left << 16),
            1 => 0,
            _ => 1 + dice.below(1 << 16),
        };
        left -= size.div_ceil(1 << 16).clamp(1, left);
        let path = RelPath::parse(&format!("{:05}", entries.len())).expect("digits are a name");
        let id = if size == 0 { hash(b"") } else { ContentId([entries.len() as u8; 32]) };
        entries.push(Entry { path, kind: Kind::File { size, id, executable: false } });
    }
    let last = RelPath::parse("99999").expect("digits are a name");
    let kind = Kind::File { size: 1 << 16, id: ContentId([9; 32]), executable: false };
    entries.push(Entry { path: last, kind });
    let manifest = Manifest::new(entries).expect("names differ and are in order");
    PieceMap::of_manifest(&manifest)
}

fn any_role(map: &PieceMap, is_seed: bool, dice: &mut Dice) -> Role {
    let total = map.total();
    let rate = |dice: &mut Dice| RATE_MIN << dice.below((RATE_MAX / RATE_MIN).ilog2().into());
    let (truth, wanted) = match is_seed {
        true => (some_pieces(total, 3, dice), PieceSet::none(total)),
        false if dice.chance(1, 3) => (some_pieces(total, 1, dice), PieceSet::all(total)),
        false => (PieceSet::none(total), PieceSet::all(total)),
    };
    Role {
        character: Character::Honest,
        up_rate: rate(dice),
        down_rate: rate(dice) * 2,
        truth,
        wanted,
    }
}

fn any_liar(map: &PieceMap, dice: &mut Dice) -> Role {
    let characters = [
        Character::Corrupt,
        Character::Silent,
        Character::Pushy,
        Character::LyingValues,
        Character::Flooder,
    ];
    let total = map.total();
    Role {
        character: characters[dice.below(5) as usize],
        up_rate: RATE_MIN << dice.below(7),
        down_rate: RATE_MAX,
        truth: PieceSet::all(total),
        wanted: PieceSet::none(total),
    }
}

/// About so many quarters of all pieces, in runs.
fn some_pieces(total: u32, quarters: u64, dice: &mut Dice) -> PieceSet {
    let (mut set, mut at) = (PieceSet::none(total), 0);
    while at < total {
        let run = 1 + dice.below(12) as u32;
        if dice.chance(quarters, 4) {
            set.insert_range(PieceRange::new(at, at + run));
        }
        at += run;
    }
    set
}

fn any_faults(map: &PieceMap, seeds: u32, receivers: u32, dice: &mut Dice) -> Vec<(Time, Fault)> {
    let honest = u64::from(seeds + receivers);
    let mut faults = vec![(Time(1), Fault::Heal)];
    for _ in 0..dice.below(8) {
        // Most of it early, while pieces still move.
        let latest = 1 + dice.below(QUIET.0 / 4);
        let at = Time(dice.below(latest));
        let later = at + Duration::from_millis(100 + dice.below(14_000));
        let node = dice.below(honest) as u32;
        let receiver = seeds + dice.below(u64::from(receivers)) as u32;
        let start = dice.below(u64::from(map.total())) as u32;
        let range = PieceRange::new(start, (start + 1 + dice.below(9) as u32).min(map.total()));
        match dice.below(8) {
            0 | 1 => faults.push((at, Fault::Break(receiver, node))),
            2 => {
                let (some, others) = (0..honest as u32).partition(|_| dice.chance(1, 2));
                faults.push((at, Fault::Part(some, others)));
                faults.push((later, Fault::Heal));
            }
            3 => faults.push((at, Fault::Change(dice.below(u64::from(seeds)) as u32, range))),
            4 => faults.push((at, Fault::Appear(receiver, range))),
            5 => faults.push((at, Fault::WantAll(receiver))),
            6 => {
                let time = Duration::from_millis(4000 + dice.below(9000));
                faults.push((at, Fault::Freeze(node, time)));
            }
            _ if seeds > 1 => faults.push((at, Fault::Leave(seeds - 1))),
            _ => {}
        }
    }
    if dice.chance(1, 2) {
        let node = dice.below(honest) as u32;
        let at = Time(dice.below(QUIET.0 / 4));
        faults.push((at, Fault::Crash(node, Duration::from_millis(dice.below(3000)))));
        let later = at + Duration::from_millis(200 + dice.below(5000));
        faults.push((later, Fault::Restart(node)));
    }
    faults
}
