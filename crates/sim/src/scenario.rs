//! Runs a plan: builds the world, lets things go wrong, and has the end judged.

use std::collections::BTreeSet;
use std::time::Duration;

use potluck_base::{PieceSet, Time};
use potluck_proto::swarm::{Command, Setup, Swarm};
use serde::Serialize;

use crate::checkers::swarm::SwarmChecker;
use crate::hand::{Character, Hand};
use crate::net::Net;
use crate::plan::{Fault, Plan, QUIET};
use crate::swarm::{Happening, SwarmPhysics};
use crate::world::World;

/// A world of swarms.
type SwarmWorld = World<Swarm<u32>, SwarmPhysics, SwarmChecker>;

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
    /// Honest receivers.
    pub receivers: usize,
    /// The kinds of events that machines reported.
    pub events: Vec<String>,
    /// Virtual seconds until each honest receiver had everything.
    pub finished: Vec<f64>,
    /// Bytes that came in vain, as a share of those that were stored.
    pub waste: f64,
    /// Bytes that the first seed sent, as a multiple of the content.
    pub seed_sent: f64,
    /// What was wrong; nothing, if all is well.
    pub faults: Vec<String>,
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
        let mut hand = Hand::new(role.character, role.up_rate, role.down_rate, role.truth.clone());
        if role.wanted.is_empty() {
            hand.values = (0..plan.map.files()).collect();
        }
        hand
    });
    let hands = hands.collect();
    let physics = SwarmPhysics { map: plan.map.clone(), hands, events: BTreeSet::new() };
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
                    cx.later(now, Happening::chatter(to, from));
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
        Fault::Freeze(node, time) => {
            let until = world.now() + time;
            world.physics.hands[node as usize].freeze(until);
        }
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
        // A flooder may say of anything that it is gone, and may be believed while nobody else is
        // there.
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
        receivers: plan.everybody().filter(|node| plan.is_receiver(*node)).count(),
        events: world.physics.events.iter().map(|event| (*event).to_owned()).collect(),
        finished,
        waste: wasted as f64 / (stored as f64).max(1.0),
        seed_sent: world.physics.hands[0].sent as f64 / plan.map.total_bytes().max(1) as f64,
        faults: world.watcher.faults,
    }
}
