//! What happens in a run: one seed makes the content, the nodes, the links, the liars and the faults.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath, Time};
use potluck_content::{Entry, Kind, Manifest, PieceMap, hash};
use potluck_proto::Dice;
use potluck_proto::swarm::{Command, Setup, Swarm};
use serde::Serialize;

use crate::checkers::swarm::SwarmChecker;
use crate::net::Net;
use crate::swarm::{Character, Hand, Happening, SwarmPhysics};
use crate::world::World;

/// A world of swarms.
type SwarmWorld = World<Swarm<u32>, SwarmPhysics, SwarmChecker>;

/// Bytes per second of a link that people call fast at home.
const RATE_MIN: u64 = 2_500_000;
/// Bytes per second of a link in a machine room.
const RATE_MAX: u64 = 125_000_000;
/// After this nothing goes wrong any more.
const QUIET: Time = Time(20_000_000);

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
    character: Character,
    up_rate: u64,
    down_rate: u64,
    truth: PieceSet,
    wanted: PieceSet,
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
}

/// How a run went.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What reproduces it.
    pub seed: u64,
    /// The hash of all that happened.
    pub trace: String,
    /// Nodes that take part.
    pub nodes: usize,
    /// Pieces of the content.
    pub pieces: u32,
    /// Bytes of the content.
    pub bytes: u64,
    /// Inputs that machines took.
    pub steps: u64,
    /// Virtual seconds until each honest receiver had everything.
    pub finished: Vec<f64>,
    /// Bytes that came in vain, as a share of those that were stored.
    pub waste: f64,
    /// Bytes that the first seed sent, as a multiple of the content.
    pub seed_sent: f64,
    /// What was wrong; nothing, if all is well.
    pub faults: Vec<String>,
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

    fn is_receiver(&self, node: u32) -> bool {
        let role = &self.nodes[node as usize];
        role.character == Character::Honest && !role.wanted.is_empty()
    }

    fn everybody(&self) -> std::ops::Range<u32> {
        0..self.nodes.len() as u32
    }

    /// Time after quiet within which everybody must be done: the seed alone could serve all, one after
    /// the other, three times over; and some patience for stalls.
    fn deadline(&self) -> Time {
        let slowest = self.nodes.iter().map(|role| role.up_rate.min(role.down_rate)).min();
        let bytes = self.map.total_bytes() * self.nodes.len() as u64;
        QUIET + Duration::from_secs(120 + 3 * bytes / slowest.unwrap_or(1))
    }
}

/// Runs the plan that a seed makes.
pub fn run(seed: u64, receivers: Option<u32>, pieces: Option<u32>) -> Report {
    run_plan(&Plan::troubled(seed, receivers, pieces))
}

/// Runs a plan and judges it.
pub fn run_plan(plan: &Plan) -> Report {
    let mut world = build(plan);
    let mut steps: Vec<(Time, Fault)> = plan.faults.clone();
    steps.sort_by_key(|(at, _)| *at);
    introduce(plan, &mut world, plan.acquainted);
    for (at, fault) in steps {
        world.run_until(at);
        go_wrong(plan, &mut world, fault);
    }
    let deadline = plan.deadline();
    let quiet = if plan.faults.is_empty() { Time::ZERO } else { QUIET };
    world.run_until(quiet);
    while world.now() < deadline && !all_complete(plan, &world) {
        // Whoever lost a peer dials it again.
        if !plan.faults.is_empty() {
            introduce(plan, &mut world, true);
        }
        world.run_until(world.now() + Duration::from_secs(1));
    }
    judge(plan, world)
}

fn build(plan: &Plan) -> SwarmWorld {
    let hands = plan.nodes.iter().map(|role| {
        let mut hand =
            Hand::new(role.character, role.up_rate, role.down_rate, role.truth.clone());
        if role.wanted.is_empty() {
            hand.values = (0..plan.map.files()).collect();
        }
        hand
    });
    let physics = SwarmPhysics { map: plan.map.clone(), hands: hands.collect() };
    let net = Net::new(plan.delay.0, plan.delay.1);
    let mut world = World::new(plan.seed ^ 1, net, physics, SwarmChecker::default());
    for node in plan.everybody() {
        if plan.nodes[node as usize].character == Character::Flooder {
            world.add_puppet();
        } else {
            let machine = machine(plan, &world.physics, node);
            world.add(machine);
        }
    }
    world
}

/// A node's machine, as it starts with what is on its disk.
fn machine(plan: &Plan, physics: &SwarmPhysics, node: u32) -> Swarm<u32> {
    let (role, hand) = (&plan.nodes[node as usize], &physics.hands[node as usize]);
    let mut have = hand.truth.clone();
    have.remove_all(&hand.unreadable);
    if role.character == Character::Corrupt {
        have = PieceSet::all(plan.map.total());
    }
    Swarm::new(Setup {
        map: plan.map.clone(),
        have,
        wanted: role.wanted.clone(),
        values: hand.values.clone(),
        seed: plan.seed.wrapping_mul(31).wrapping_add(u64::from(node)),
    })
}

/// Receivers dial the seeds and the liars, and each other if they are acquainted.
fn introduce(plan: &Plan, world: &mut SwarmWorld, acquainted: bool) {
    for from in plan.everybody() {
        for to in plan.everybody() {
            let both = plan.is_receiver(from) && plan.is_receiver(to);
            if from == to || !plan.is_receiver(from) || both && (!acquainted || to > from) {
                continue;
            }
            let before = world.net.is_up(from, to);
            world.connect(from, to);
            let flooder = plan.nodes[to as usize].character == Character::Flooder;
            if flooder && !before && world.net.is_up(from, to) {
                let now = world.now();
                world.with_physics(|_, cx| {
                    cx.later(now, Happening::Chatter { from: to, to: from });
                });
            }
        }
    }
}

fn go_wrong(plan: &Plan, world: &mut SwarmWorld, fault: Fault) {
    match fault {
        Fault::Break(a, b) => {
            world.disconnect(a, b, Duration::from_secs(2));
            let at = world.now() + Duration::from_millis(1500);
            world.with_physics(|_, cx| cx.connect(at, a, b));
        }
        Fault::Part(some, others) => world.partition(&some, &others, Duration::from_secs(15)),
        Fault::Heal => {
            world.heal();
            introduce(plan, world, plan.acquainted);
        }
        Fault::Crash(node, unsynced) => {
            world.crash(node);
            let kept = Time((world.now().0).saturating_sub(unsynced.as_micros() as u64));
            world.physics.hands[node as usize].crash(kept);
        }
        Fault::Restart(node) => {
            let machine = machine(plan, &world.physics, node);
            world.restart(node, machine);
            introduce(plan, world, plan.acquainted);
        }
        Fault::Change(node, range) => {
            let hand = &mut world.physics.hands[node as usize];
            hand.unreadable.insert_range(range);
        }
        Fault::Appear(node, range) => {
            if world.machine(node).is_some() {
                world.physics.hands[node as usize].truth.insert_range(range);
                world.command(node, Command::Local(vec![range]));
            }
        }
        Fault::WantAll(node) => {
            world.command(node, Command::Want(PieceSet::all(plan.map.total())));
        }
        Fault::Leave(node) => world.command(node, Command::Leave),
    }
}

fn all_complete(plan: &Plan, world: &SwarmWorld) -> bool {
    plan.everybody().filter(|node| plan.is_receiver(*node)).all(|node| {
        let complete = world.physics.hands[node as usize].complete.is_some();
        complete && world.machine(node).is_some_and(|machine| machine.missing() == 0)
    })
}

/// Pieces that honest neighbours of a node have and offer.
fn held_by_honest(plan: &Plan, world: &SwarmWorld, node: u32) -> PieceSet {
    let mut held = PieceSet::none(plan.map.total());
    for peer in world.net.neighbours(node) {
        let honest = world.physics.hands[peer as usize].is_honest();
        if let Some(machine) = world.machine(peer).filter(|machine| honest && !machine.has_left()) {
            held.insert_all(machine.have());
        }
    }
    held
}

fn judge(plan: &Plan, mut world: SwarmWorld) -> Report {
    let (mut stored, mut wasted, mut finished) = (0, 0, Vec::new());
    let mut changed = PieceSet::none(plan.map.total());
    world.physics.hands.iter().for_each(|hand| changed.insert_all(&hand.unreadable));
    let flooded = plan.nodes.iter().any(|role| role.character == Character::Flooder);
    for node in plan.everybody().filter(|node| plan.is_receiver(*node)) {
        let hand = &world.physics.hands[node as usize];
        stored += hand.received;
        wasted += hand.wasted;
        finished.extend(hand.complete.map(|at| at.0 as f64 / 1e6));
        let mut invented = hand.told_lost.clone();
        invented.remove_all(&changed);
        // A flooder may say of anything that it is gone, and may be believed while nobody else is there.
        if !invented.is_empty() && !flooded {
            world.watcher.faults.push(format!("node {node} gave up what is not lost"));
        }
        let held = held_by_honest(plan, &world, node);
        let now = world.now();
        world.judge(node, |watcher, machine, physics| {
            watcher.finish(now, node, machine, physics, &held);
        });
    }
    Report {
        seed: plan.seed,
        trace: format!("{:016x}", world.trace_hash()),
        nodes: plan.nodes.len(),
        pieces: plan.map.total(),
        bytes: plan.map.total_bytes(),
        steps: world.steps(),
        finished,
        waste: wasted as f64 / (stored as f64).max(1.0),
        seed_sent: world.physics.hands[0].sent as f64 / plan.map.total_bytes().max(1) as f64,
        faults: world.watcher.faults,
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
        up_rate: RATE_MIN << dice.below(5),
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
        let at = Time(dice.below(QUIET.0 / 4));
        let later = at + Duration::from_millis(100 + dice.below(14_000));
        let node = dice.below(honest) as u32;
        let receiver = seeds + dice.below(u64::from(receivers)) as u32;
        let start = dice.below(u64::from(map.total())) as u32;
        let range = PieceRange::new(start, (start + 1 + dice.below(9) as u32).min(map.total()));
        match dice.below(7) {
            0 | 1 => faults.push((at, Fault::Break(receiver, node))),
            2 => {
                let (some, others) = (0..honest as u32).partition(|_| dice.chance(1, 2));
                faults.push((at, Fault::Part(some, others)));
                faults.push((later, Fault::Heal));
            }
            3 => faults.push((at, Fault::Change(dice.below(u64::from(seeds)) as u32, range))),
            4 => faults.push((at, Fault::Appear(receiver, range))),
            5 => faults.push((at, Fault::WantAll(receiver))),
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
