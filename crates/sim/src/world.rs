//! The player of machines in virtual time: one clock, one seed, links that break, nodes that crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::{Dice, Input, Machine, Outbox, Output};

use crate::net::Net;
use crate::trace::Trace;

/// What is done beside the machines, in virtual time.
pub trait Physics<M: Machine<Peer = u32>> {
    /// Something that happens later.
    type Happening;

    /// A node's machine wants work done.
    fn perform(&mut self, node: u32, effect: M::Effect, cx: &mut Context<'_, M, Self::Happening>);

    /// What was put off comes to pass.
    fn happen(&mut self, what: Self::Happening, cx: &mut Context<'_, M, Self::Happening>);

    /// A link has broken: what was under way on it is lost.
    fn link_lost(&mut self, a: u32, b: u32, cx: &mut Context<'_, M, Self::Happening>);

    /// A machine has told its own side something.
    fn told(&mut self, node: u32, event: &M::Event, cx: &mut Context<'_, M, Self::Happening>);
}

/// What a [`Physics`] may see and cause.
pub struct Context<'a, M: Machine<Peer = u32>, H> {
    /// The time.
    pub now: Time,
    /// The links.
    pub net: &'a mut Net,
    /// Dice of the physics.
    pub dice: &'a mut Dice,
    inputs: Vec<(Time, u32, Input<M>)>,
    whispers: Vec<(Time, u32, u32, M::Message)>,
    happenings: Vec<(Time, H)>,
    connects: Vec<(Time, u32, u32)>,
}

impl<M: Machine<Peer = u32>, H> Context<'_, M, H> {
    /// An effect ends.
    pub fn outcome(&mut self, at: Time, node: u32, outcome: M::Outcome) {
        self.inputs.push((at, node, Input::Done(outcome)));
    }

    /// The node's own side wants something.
    pub fn command(&mut self, at: Time, node: u32, command: M::Command) {
        self.inputs.push((at, node, Input::Command(command)));
    }

    /// A node is told something by a peer that no machine plays; not said if there is no link.
    pub fn whisper(&mut self, from: u32, to: u32, message: M::Message) {
        if self.net.is_up(from, to) {
            let at = self.net.arrival(self.now, from, to, self.dice);
            self.whispers.push((at, from, to, message));
        }
    }

    /// Something happens later.
    pub fn later(&mut self, at: Time, what: H) {
        self.happenings.push((at, what));
    }

    /// A node dials another.
    pub fn connect(&mut self, at: Time, from: u32, to: u32) {
        self.connects.push((at, from, to));
    }
}

/// Who sees all that goes into and comes out of the machines.
pub trait Watcher<M: Machine<Peer = u32>, X> {
    /// Before a machine takes an input.
    fn before(&mut self, now: Time, node: u32, input: &Input<M>, physics: &X);

    /// For every output, in order.
    fn output(&mut self, now: Time, node: u32, output: &Output<M>, machine: &M, physics: &X);

    /// A node has crashed and knows nothing any more.
    fn crashed(&mut self, node: u32);
}

/// Machines, the links between them, and the time.
pub struct World<M: Machine<Peer = u32>, X: Physics<M>, W: Watcher<M, X>> {
    /// What is done beside the machines.
    pub physics: X,
    /// Who judges.
    pub watcher: W,
    /// The links.
    pub net: Net,
    now: Time,
    serial: u64,
    steps: u64,
    due: BTreeMap<(Time, u64), Due<M, X::Happening>>,
    nodes: Vec<Node<M>>,
    /// Broken links that the first of the pair has not noticed yet.
    unnoticed: BTreeSet<(u32, u32)>,
    dice: Dice,
    trace: Trace,
    /// Who is dialled always hears of the link; else it may learn of it by the first message.
    both_hear: bool,
}

struct Node<M: Machine> {
    machine: Option<M>,
    /// Counts crashes: what was begun before one does not end after it.
    life: u32,
    timers: BTreeMap<M::Timer, Time>,
}

enum Due<M: Machine, H> {
    Input { node: u32, life: u32, input: Input<M> },
    Deliver { from: u32, to: u32, epoch: u32, message: M::Message },
    Timer { node: u32, life: u32, timer: M::Timer },
    Connect { from: u32, to: u32 },
    Notice { node: u32, peer: u32 },
    Happen(H),
}

/// Of so many timers that were cancelled or moved one fires all the same: players may be late.
const LATE_TIMERS: u64 = 4;

impl<M: Machine<Peer = u32>, X: Physics<M>, W: Watcher<M, X>> World<M, X, W> {
    /// A world without nodes.
    pub fn new(seed: u64, net: Net, physics: X, watcher: W) -> Self {
        Self {
            physics,
            watcher,
            net,
            now: Time::ZERO,
            serial: 0,
            steps: 0,
            due: BTreeMap::new(),
            nodes: Vec::new(),
            unnoticed: BTreeSet::new(),
            dice: Dice::new(seed),
            trace: Trace::new(),
            both_hear: false,
        }
    }

    /// Who is dialled always hears of the link before the first message, as a machine may demand.
    pub fn hear_of_all_links(&mut self) {
        self.both_hear = true;
    }

    /// Adds a node; they are numbered from 0.
    pub fn add(&mut self, machine: M) -> u32 {
        self.nodes.push(Node { machine: Some(machine), life: 0, timers: BTreeMap::new() });
        self.nodes.len() as u32 - 1
    }

    /// Adds a node that no machine plays: what is sent to it is lost, what it says is `whisper`ed.
    pub fn add_puppet(&mut self) -> u32 {
        self.nodes.push(Node { machine: None, life: 0, timers: BTreeMap::new() });
        self.nodes.len() as u32 - 1
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many inputs the machines have taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The hash of all that has happened.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// The machine of a node, unless it has crashed or is a puppet.
    pub fn machine(&self, node: u32) -> Option<&M> {
        self.nodes.get(node as usize).and_then(|node| node.machine.as_ref())
    }

    /// Lets the watcher look at a machine that runs.
    pub fn judge(&mut self, node: u32, look: impl FnOnce(&mut W, &M, &X)) {
        if let Some(machine) = &self.nodes[node as usize].machine {
            look(&mut self.watcher, machine, &self.physics);
        }
    }

    /// Hands a command to a node.
    pub fn command(&mut self, node: u32, command: M::Command) {
        self.handle(node, Input::Command(command));
    }

    /// One node dials another. It always hears of the link; the other hears of it too, or learns of
    /// it by the first message.
    pub fn connect(&mut self, from: u32, to: u32) {
        let alive = |node: u32| self.nodes[node as usize].life.is_multiple_of(2);
        if !alive(from) || !alive(to) || !self.net.connect(from, to) {
            return;
        }
        // Who dials again knows that the old link is gone.
        self.notice(from, to);
        self.notice(to, from);
        self.handle(from, Input::LinkUp(to));
        if self.both_hear || self.dice.chance(1, 2) {
            self.handle(to, Input::LinkUp(from));
        }
    }

    /// The link between two nodes breaks, and both notice, sooner or later.
    pub fn disconnect(&mut self, a: u32, b: u32, notice: Duration) {
        if !self.net.drop_link(a, b) {
            return;
        }
        self.with_physics(|physics, cx| physics.link_lost(a, b, cx));
        for (node, peer) in [(a, b), (b, a)] {
            let wait = self.dice.below(notice.as_micros() as u64 + 1);
            let at = self.now + Duration::from_micros(wait);
            self.unnoticed.insert((node, peer));
            self.schedule(at, Due::Notice { node, peer });
        }
    }

    /// No node of one group reaches one of the other until the world is healed.
    pub fn partition(&mut self, some: &[u32], others: &[u32], notice: Duration) {
        for a in some {
            for b in others {
                self.net.sever(*a, *b);
                self.disconnect(*a, *b, notice);
            }
        }
    }

    /// Links may be put up again everywhere. Those that broke stay down until somebody dials.
    pub fn heal(&mut self) {
        self.net.heal();
    }

    /// A node forgets everything that is not on its disk; its links break.
    pub fn crash(&mut self, node: u32) {
        let it = &mut self.nodes[node as usize];
        it.machine = None;
        it.life += 1;
        it.timers.clear();
        self.unnoticed.retain(|(who, _)| *who != node);
        self.watcher.crashed(node);
        for peer in self.net.neighbours(node) {
            self.disconnect(node, peer, Duration::from_millis(100));
        }
    }

    /// A crashed node starts again, with what is on its disk.
    pub fn restart(&mut self, node: u32, machine: M) {
        let it = &mut self.nodes[node as usize];
        assert!(it.machine.is_none(), "node {node} runs");
        it.machine = Some(machine);
        it.life += 1;
    }

    /// Lets everything happen that is due up to a time.
    pub fn run_until(&mut self, end: Time) {
        while let Some(entry) = self.due.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let due = entry.remove();
            self.now = at;
            self.come_to_pass(due);
        }
        self.now = self.now.max(end);
    }

    /// Gives the physics a turn.
    pub fn with_physics(&mut self, act: impl FnOnce(&mut X, &mut Context<'_, M, X::Happening>)) {
        let mut cx = Context {
            now: self.now,
            net: &mut self.net,
            dice: &mut self.dice,
            inputs: Vec::new(),
            whispers: Vec::new(),
            happenings: Vec::new(),
            connects: Vec::new(),
        };
        act(&mut self.physics, &mut cx);
        let Context { inputs, whispers, happenings, connects, .. } = cx;
        for (at, node, input) in inputs {
            let life = self.nodes[node as usize].life;
            self.schedule(at, Due::Input { node, life, input });
        }
        for (at, from, to, message) in whispers {
            let epoch = self.net.epoch(from, to);
            self.schedule(at, Due::Deliver { from, to, epoch, message });
        }
        for (at, what) in happenings {
            self.schedule(at, Due::Happen(what));
        }
        for (at, from, to) in connects {
            self.schedule(at, Due::Connect { from, to });
        }
    }

    fn come_to_pass(&mut self, due: Due<M, X::Happening>) {
        match due {
            Due::Input { node, life, input } => {
                if self.nodes[node as usize].life == life {
                    self.handle(node, input);
                }
            }
            Due::Deliver { from, to, epoch, message } => {
                if self.net.is_same(from, to, epoch) {
                    self.handle(to, Input::Received { from, message });
                }
            }
            Due::Timer { node, life, timer } => {
                let it = &mut self.nodes[node as usize];
                if it.life != life {
                    return;
                }
                let set = it.timers.get(&timer) == Some(&self.now);
                if set {
                    it.timers.remove(&timer);
                }
                if set || self.dice.chance(1, LATE_TIMERS) {
                    self.handle(node, Input::TimerFired(timer));
                }
            }
            Due::Connect { from, to } => self.connect(from, to),
            Due::Notice { node, peer } => self.notice(node, peer),
            Due::Happen(what) => self.with_physics(|physics, cx| physics.happen(what, cx)),
        }
    }

    fn notice(&mut self, node: u32, peer: u32) {
        if self.unnoticed.remove(&(node, peer)) {
            self.handle(node, Input::LinkDown(peer));
        }
    }

    fn handle(&mut self, node: u32, input: Input<M>) {
        let Some(mut machine) = self.nodes[node as usize].machine.take() else {
            return;
        };
        self.steps += 1;
        self.trace.note(self.now, node, &input);
        self.watcher.before(self.now, node, &input, &self.physics);
        let mut out = Outbox::new();
        machine.handle(self.now, input, &mut out);
        for output in out.as_slice() {
            self.watcher.output(self.now, node, output, &machine, &self.physics);
        }
        self.nodes[node as usize].machine = Some(machine);
        for output in out.drain() {
            self.carry_out(node, output);
        }
    }

    fn carry_out(&mut self, node: u32, output: Output<M>) {
        match output {
            Output::Send { to, message } => {
                if self.net.is_up(node, to) {
                    let at = self.net.arrival(self.now, node, to, &mut self.dice);
                    let epoch = self.net.epoch(node, to);
                    self.schedule(at, Due::Deliver { from: node, to, epoch, message });
                }
            }
            Output::SetTimer { at, timer } => {
                let it = &mut self.nodes[node as usize];
                it.timers.insert(timer.clone(), at);
                let life = it.life;
                self.schedule(at, Due::Timer { node, life, timer });
            }
            Output::CancelTimer(timer) => {
                self.nodes[node as usize].timers.remove(&timer);
            }
            Output::Hangup(peer) => self.disconnect(node, peer, Duration::from_millis(10)),
            Output::Perform(effect) => {
                self.with_physics(|physics, cx| physics.perform(node, effect, cx));
            }
            Output::Emit(event) => self.with_physics(|physics, cx| physics.told(node, &event, cx)),
        }
    }

    fn schedule(&mut self, at: Time, due: Due<M, X::Happening>) {
        self.serial += 1;
        self.due.insert((at.max(self.now), self.serial), due);
    }
}
