//! Scenes on a small circle: machines, a network with a delay, and time that the scene moves.

mod comings;
mod handing;
mod keeping;
mod lies;
mod lookups;
mod soak;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use potluck_base::Time;

use super::{
    Chord, Command, Event, Found, OnRing, Params, Reject, RingId, Setup, Slot, Timer, Value,
};
use crate::dice::Dice;
use crate::machine::{Input, Machine, Outbox, Output};

/// A peer of a scene: its number, which is also its place in 1,000 parts of the circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer(pub(super) u16);

impl OnRing for Peer {
    fn ring_id(&self) -> RingId {
        place(self.0.into())
    }
}

/// A place in thousandths of the circle.
pub(super) fn place(thousandth: u128) -> RingId {
    RingId(u128::MAX / 1000 * thousandth)
}

/// A record of a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) slot: u64,
    pub(super) version: u64,
    pub(super) copies: Option<u8>,
    pub(super) bytes: usize,
    pub(super) expires_ms: u64,
    /// The keys of its parts, if it can be split.
    pub(super) parts: Vec<RingId>,
    pub(super) bad: bool,
    pub(super) removes: bool,
}

impl Note {
    pub(super) fn new(slot: u64, version: u64) -> Self {
        Self {
            slot,
            version,
            copies: None,
            bytes: 100,
            expires_ms: u64::MAX,
            parts: Vec::new(),
            bad: false,
            removes: false,
        }
    }
}

impl Value for Note {
    type Rules = ();
    type Question = ();
    type Answer = Vec<(u64, u64)>;

    fn slot(&self) -> Slot {
        Slot(u128::from(self.slot).to_be_bytes())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    fn copies(&self) -> Option<u8> {
        self.copies
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn removes(&self) -> bool {
        self.removes
    }

    fn check(&self, (): &(), _key: RingId, _now_ms: u64) -> Result<(), Reject> {
        if self.bad { Err(Reject::Bad) } else { Ok(()) }
    }

    fn split(&self, (): &()) -> Vec<(RingId, Self)> {
        let part = |key: &RingId| (*key, Self { parts: Vec::new(), ..self.clone() });
        self.parts.iter().map(part).collect()
    }

    fn answer<'a>(
        records: impl Iterator<Item = &'a Self>,
        (): &(),
        _full: bool,
        _now_ms: u64,
    ) -> Self::Answer {
        records.map(|note| (note.slot, note.version)).collect()
    }

    fn merge(one: Self::Answer, other: Self::Answer, (): &()) -> Self::Answer {
        let mut all: BTreeMap<u64, u64> = BTreeMap::new();
        for (slot, version) in one.into_iter().chain(other) {
            let newest = all.entry(slot).or_default();
            *newest = version.max(*newest);
        }
        all.into_iter().collect()
    }
}

pub(super) type Node = Chord<Peer, Note>;
type Message = <Node as Machine>::Message;

/// What is due at a time.
enum Due {
    Deliver { from: Peer, to: Peer, message: Message },
    Timer { node: Peer, life: u32, timer: Timer },
}

/// Machines on a circle.
pub(super) struct Town {
    pub(super) nodes: BTreeMap<Peer, Node>,
    pub(super) events: Vec<(Peer, Event<Peer, Note>)>,
    now: Time,
    serial: u64,
    due: BTreeMap<(Time, u64), Due>,
    timers: BTreeMap<(Peer, Timer), Time>,
    lives: BTreeMap<Peer, u32>,
    params: Params,
    apart: BTreeSet<(Peer, Peer)>,
    /// What a peer says in place of what its machine says.
    pub(super) twists: BTreeMap<Peer, Twist>,
    dice: Dice,
    pub(super) disk: BTreeMap<Peer, BTreeMap<(RingId, Slot), Note>>,
    next_id: u64,
    sent: BTreeMap<Peer, u32>,
}

/// Changes what a lying peer says; none to keep silent.
pub(super) type Twist = fn(Peer, Message) -> Option<Message>;

const DELAY: Duration = Duration::from_millis(10);

impl Town {
    pub(super) fn new(params: Params) -> Self {
        Self {
            nodes: BTreeMap::new(),
            events: Vec::new(),
            now: Time::ZERO,
            serial: 0,
            due: BTreeMap::new(),
            timers: BTreeMap::new(),
            lives: BTreeMap::new(),
            params,
            apart: BTreeSet::new(),
            twists: BTreeMap::new(),
            dice: Dice::new(7),
            disk: BTreeMap::new(),
            next_id: 0,
            sent: BTreeMap::new(),
        }
    }

    /// A circle of these peers, joined one after the other over the first, and at rest.
    pub(super) fn of(params: Params, peers: &[u16]) -> Self {
        let mut town = Self::new(params);
        for peer in peers {
            let known: Vec<u16> =
                peers[..1].iter().filter(|first| *first != peer).copied().collect();
            town.come(*peer, &known);
            town.run(2_000);
        }
        town.run(60_000);
        town
    }

    /// A peer starts that knows these others, with what is on its disk.
    pub(super) fn come(&mut self, peer: u16, known: &[u16]) {
        let own = Peer(peer);
        let disk = self.disk.entry(own).or_default();
        let setup = Setup {
            own,
            params: self.params.clone(),
            known: known.iter().map(|peer| Peer(*peer)).collect(),
            records: disk.iter().map(|((key, _), note)| (*key, note.clone())).collect(),
            rules: (),
            epoch_ms: 1_000_000,
            seed: self.dice.next_u64(),
        };
        *self.lives.entry(own).or_default() += 1;
        self.nodes.insert(own, Chord::new(setup));
        self.tell(peer, Command::Start);
    }

    /// A peer dies without a word.
    pub(super) fn kill(&mut self, peer: u16) {
        self.nodes.remove(&Peer(peer));
        *self.lives.entry(Peer(peer)).or_default() += 1;
        self.timers.retain(|(node, _), _| *node != Peer(peer));
    }

    /// No message passes between these groups.
    pub(super) fn part(&mut self, some: &[u16], others: &[u16]) {
        for one in some {
            for other in others {
                self.apart.insert((Peer(*one), Peer(*other)));
                self.apart.insert((Peer(*other), Peer(*one)));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.apart.clear();
    }

    pub(super) fn tell(&mut self, peer: u16, command: Command<Peer, Note>) {
        self.handle(Peer(peer), Input::Command(command));
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(entry) = self.due.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let due = entry.remove();
            self.now = at;
            match due {
                Due::Deliver { from, to, message } => {
                    self.handle(to, Input::Received { from, message });
                }
                Due::Timer { node, life, timer } => {
                    let set = self.timers.get(&(node, timer)) == Some(&at);
                    if set && self.lives.get(&node) == Some(&life) {
                        self.timers.remove(&(node, timer));
                        self.handle(node, Input::TimerFired(timer));
                    }
                }
            }
        }
        self.now = end;
    }

    fn handle(&mut self, node: Peer, input: Input<Node>) {
        let Some(machine) = self.nodes.get_mut(&node) else { return };
        let mut out = Outbox::new();
        machine.handle(self.now, input, &mut out);
        for output in out.drain() {
            match output {
                Output::Send { to, message } => self.send(node, to, message),
                Output::SetTimer { at, timer } => {
                    self.timers.insert((node, timer), at);
                    let life = self.lives.get(&node).copied().unwrap_or(0);
                    self.schedule(at, Due::Timer { node, life, timer });
                }
                Output::CancelTimer(timer) => {
                    self.timers.remove(&(node, timer));
                }
                Output::Emit(event) => self.events.push((node, event)),
                Output::Perform(super::Effect::Keep { key, record }) => {
                    let disk = self.disk.entry(node).or_default();
                    disk.insert((key, record.slot()), record);
                }
                Output::Perform(super::Effect::Drop { key, slot }) => {
                    self.disk.entry(node).or_default().remove(&(key, slot));
                }
                Output::Hangup(_) => {}
            }
        }
    }

    fn send(&mut self, from: Peer, to: Peer, message: Message) {
        *self.sent.entry(from).or_default() += 1;
        let message = match self.twists.get(&from) {
            Some(twist) => twist(from, message),
            None => Some(message),
        };
        if let Some(message) = message.filter(|_| !self.apart.contains(&(from, to))) {
            self.schedule(self.now + DELAY, Due::Deliver { from, to, message });
        }
    }

    fn schedule(&mut self, at: Time, due: Due) {
        self.serial += 1;
        self.due.insert((at, self.serial), due);
    }

    // What scenes look at.

    pub(super) fn sent_by(&self, peer: Peer) -> u32 {
        self.sent.get(&peer).copied().unwrap_or(0)
    }

    pub(super) fn node(&self, peer: u16) -> &Node {
        &self.nodes[&Peer(peer)]
    }

    pub(super) fn numbers(&self) -> Vec<u16> {
        self.nodes.keys().map(|peer| peer.0).collect()
    }

    /// Who is to keep a key, by a sorted list of all who are there.
    pub(super) fn owner(&self, key: RingId) -> Peer {
        let after = self.nodes.keys().find(|peer| peer.ring_id() >= key);
        *after.or_else(|| self.nodes.keys().next()).unwrap()
    }

    /// What is wrong with the circle; empty if each knows its neighbours.
    pub(super) fn faults(&self) -> Vec<String> {
        let all: Vec<Peer> = self.nodes.keys().copied().collect();
        let mut faults = Vec::new();
        for (index, peer) in all.iter().enumerate() {
            let node = &self.nodes[peer];
            let count = all.len() - 1;
            let length = self.params.successors.min(count);
            let behind: Vec<Peer> =
                (1..=length).map(|step| all[(index + step) % all.len()]).collect();
            let before = (count > 0).then(|| all[(index + all.len() - 1) % all.len()]);
            if node.successors() != behind {
                faults.push(format!("{peer:?} has behind it {:?}", node.successors()));
            }
            if node.predecessor() != before {
                faults.push(format!("{peer:?} has before it {:?}", node.predecessor()));
            }
            if !node.is_joined() {
                faults.push(format!("{peer:?} is not on the circle"));
            }
        }
        faults
    }

    pub(super) fn assert_whole(&self) {
        assert_eq!(self.faults(), Vec::<String>::new());
    }

    /// Looks a key up from a peer; none if it came to nothing.
    pub(super) fn look_up(&mut self, from: u16, key: RingId) -> Option<Found<Peer>> {
        self.next_id += 1;
        let id = self.next_id;
        self.tell(from, Command::Lookup { id, key });
        self.run(20_000);
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Found { id: of, found } if *of == id => Some(Some(found.clone())),
            Event::Lost { id: of, .. } if *of == id => Some(None),
            _ => None,
        })?
    }

    /// Puts notes under keys from a peer; how each ended.
    pub(super) fn put(
        &mut self,
        from: u16,
        records: Vec<(RingId, Note)>,
    ) -> Vec<(RingId, Slot, Result<u8, Reject>)> {
        self.next_id += 1;
        let id = self.next_id;
        self.tell(from, Command::Put { id, records });
        self.run(30_000);
        let found = self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Put { id: of, results } if *of == id => Some(results.clone()),
            _ => None,
        });
        found.expect("every put ends")
    }

    /// Asks for what is under a key from a peer.
    pub(super) fn ask(&mut self, from: u16, key: RingId) -> Option<(Peer, Vec<(u64, u64)>)> {
        self.next_id += 1;
        let id = self.next_id;
        self.tell(from, Command::Ask { id, key, question: () });
        self.run(20_000);
        let found = self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Told { id: of, answer } if *of == id => Some(answer.clone()),
            _ => None,
        });
        found.expect("every question ends")
    }

    /// Who keeps a record under a key.
    pub(super) fn holders(&self, key: RingId) -> Vec<u16> {
        let has = |node: &Node| node.records().any(|(under, _)| under == key);
        self.nodes.iter().filter(|(_, node)| has(node)).map(|(peer, _)| peer.0).collect()
    }
}

/// Parameters of a scene: short lists, so that a few peers are many.
pub(super) fn params(successors: usize) -> Params {
    Params { successors, ..Params::live() }
}
