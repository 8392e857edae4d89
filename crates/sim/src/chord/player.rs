//! The player of machines at scale: a million of them on one thread, without links.
//!
//! [`World`](crate::World) knows every link, which a test of hundreds of nodes needs and a million
//! cannot pay for. Here a message is sent to whoever is named: it takes its time, and the dead do
//! not answer. One seed makes one run: there is one queue, and equal times keep their order.

use std::time::Duration;

use potluck_base::Time;
use potluck_proto::{Input, Machine, Outbox, Output};

use super::spot::{Spot, mix};
use super::wheel::{Slab, Wheel};

/// What is around the machines: how long messages take, what becomes of effects and events.
pub trait Beside<M: Machine<Peer = Spot>> {
    /// When a message arrives: never, once or twice.
    fn carry(&mut self, now: Time, from: Spot, to: Spot, message: &M::Message) -> Carried;

    /// A machine wants work done.
    fn perform(&mut self, now: Time, node: Spot, effect: M::Effect);

    /// A machine tells its own side something.
    fn told(&mut self, now: Time, node: Spot, event: M::Event);

    /// What really goes out when a machine says something; nothing, if it is held back.
    fn twist(&mut self, _: Spot, _: Spot, message: M::Message) -> Option<M::Message> {
        Some(message)
    }

    /// A message has come to a node that is dead: whether, when and how its sender learns of it.
    fn bounced(&mut self, _: Time, _: Spot) -> Option<(Duration, M::Outcome)> {
        None
    }
}

/// How long the copies of a message are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The message itself; none if it is lost.
    pub first: Option<Duration>,
    /// A second copy.
    pub second: Option<Duration>,
}

/// Machines, the time, and what is around.
pub struct Player<M: Machine<Peer = Spot>, B> {
    /// What is around the machines.
    pub beside: B,
    base: u32,
    wheel: Wheel<Due<M::Timer>>,
    /// Messages and outcomes under way.
    flights: Slab<Flight<M>>,
    nodes: Vec<Node<M>>,
    out: Outbox<M>,
    events: u64,
    trace: u64,
    most: usize,
}

struct Node<M: Machine> {
    machine: Option<M>,
    /// Counts deaths: what was sent before one does not arrive after it.
    life: u32,
    /// Those that are set, each with its entry in the wheel.
    timers: Vec<(M::Timer, u32)>,
}

enum Due<T> {
    Flight(u32),
    Timer(u32, T),
}

enum Flight<M: Machine<Peer = Spot>> {
    Message { from: Spot, to: Spot, life: u32, message: M::Message },
    Outcome { node: Spot, life: u32, outcome: M::Outcome },
}

impl<M: Machine<Peer = Spot>, B: Beside<M>> Player<M, B> {
    /// Nobody is there. Peers are numbered from `base` on.
    pub fn new(base: u32, beside: B) -> Self {
        Self {
            beside,
            base,
            wheel: Wheel::new(),
            flights: Slab::new(),
            nodes: Vec::new(),
            out: Outbox::new(),
            events: 0,
            trace: 0,
            most: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        Time(self.wheel.now() * 1000)
    }

    /// How many inputs machines have taken.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How much was due at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// One number for all that has happened.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// How many nodes there were, dead ones too.
    pub fn count(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The node with a number.
    pub fn spot(&self, number: u32) -> Spot {
        Spot(self.base.wrapping_add(number))
    }

    /// The number of a node; more than [`Player::count`] if there is no such node.
    pub fn number(&self, spot: Spot) -> u32 {
        spot.0.wrapping_sub(self.base)
    }

    /// Makes room for nodes, so that memory is asked for once.
    pub fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve_exact(nodes);
    }

    /// Adds a node; without a machine it is dead.
    pub fn add(&mut self, machine: Option<M>) -> Spot {
        self.nodes.push(Node { machine, life: 0, timers: Vec::new() });
        self.spot(self.nodes.len() as u32 - 1)
    }

    /// The machine of a node that lives.
    pub fn machine(&self, spot: Spot) -> Option<&M> {
        self.nodes.get(self.number(spot) as usize).and_then(|node| node.machine.as_ref())
    }

    /// All that live.
    pub fn living(&self) -> impl Iterator<Item = (Spot, &M)> {
        let spot = |number| self.spot(number as u32);
        let living = self.nodes.iter().enumerate();
        living.filter_map(move |(number, node)| Some((spot(number), node.machine.as_ref()?)))
    }

    /// A node dies, and its memory with it.
    pub fn kill(&mut self, spot: Spot) -> Option<M> {
        let number = self.number(spot) as usize;
        let node = &mut self.nodes[number];
        let machine = node.machine.take()?;
        node.life += 1;
        node.timers = Vec::new();
        Some(machine)
    }

    /// A dead node lives again.
    pub fn revive(&mut self, spot: Spot, machine: M) {
        let number = self.number(spot) as usize;
        let node = &mut self.nodes[number];
        assert!(node.machine.is_none(), "{spot:?} lives");
        node.machine = Some(machine);
    }

    /// Hands an input to a node.
    pub fn hand(&mut self, spot: Spot, input: Input<M>) {
        let number = self.number(spot) as usize;
        let now = self.now();
        let Some(machine) = self.nodes[number].machine.as_mut() else { return };
        self.events += 1;
        machine.handle(now, input, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        for output in out.drain() {
            self.carry_out(spot, output);
        }
        self.out = out;
    }

    /// Lets the next thing happen that is due up to a time. Returns who was concerned, or none if
    /// nothing is left, and then it is that time.
    pub fn step(&mut self, end: Time) -> Option<Spot> {
        self.most = self.most.max(self.wheel.len());
        let (name, due) = self.wheel.pop(end.0.div_ceil(1000))?;
        Some(match due {
            Due::Timer(number, timer) => self.fire(number, timer, name),
            Due::Flight(flight) => match self.flights.remove(flight) {
                Flight::Message { from, to, life, message } => {
                    self.deliver(from, to, life, message);
                    to
                }
                Flight::Outcome { node, life, outcome } => {
                    if self.nodes[self.number(node) as usize].life == life {
                        self.hand(node, Input::Done(outcome));
                    }
                    node
                }
            },
        })
    }

    /// Lets everything happen that is due up to a time.
    pub fn run_until(&mut self, end: Time) {
        while self.step(end).is_some() {}
    }

    fn fire(&mut self, number: u32, timer: M::Timer, name: u32) -> Spot {
        let spot = self.spot(number);
        let node = &mut self.nodes[number as usize];
        if let Some(at) = node.timers.iter().position(|(_, entry)| *entry == name) {
            node.timers.swap_remove(at);
            self.note(spot, 1);
            self.hand(spot, Input::TimerFired(timer));
        }
        spot
    }

    fn deliver(&mut self, from: Spot, to: Spot, life: u32, message: M::Message) {
        self.note(to, 2 + u64::from(from.0));
        let Some(node) = self.nodes.get(self.number(to) as usize) else { return };
        if node.machine.is_some() {
            if node.life == life {
                self.hand(to, Input::Received { from, message });
            }
            return;
        }
        let now = self.now();
        let sender = self.number(from);
        if let Some((after, outcome)) = self.beside.bounced(now, to)
            && let Some(node) = self.nodes.get(sender as usize)
        {
            let life = node.life;
            self.fly(after, Flight::Outcome { node: from, life, outcome });
        }
    }

    fn carry_out(&mut self, spot: Spot, output: Output<M>) {
        match output {
            Output::Send { to, message } => self.send(spot, to, message),
            Output::SetTimer { at, timer } => {
                let number = self.number(spot);
                // Not before its time: rounded up.
                let entry = self.wheel.push(at.0.div_ceil(1000), Due::Timer(number, timer.clone()));
                let timers = &mut self.nodes[number as usize].timers;
                match timers.iter_mut().find(|(set, _)| *set == timer) {
                    Some((_, old)) => *old = entry,
                    None => timers.push((timer, entry)),
                }
            }
            Output::CancelTimer(timer) => {
                let number = self.number(spot) as usize;
                let timers = &mut self.nodes[number].timers;
                if let Some(at) = timers.iter().position(|(set, _)| *set == timer) {
                    timers.swap_remove(at);
                }
            }
            // There are no links.
            Output::Hangup(_) => {}
            Output::Perform(effect) => {
                let now = self.now();
                self.beside.perform(now, spot, effect);
            }
            Output::Emit(event) => {
                let now = self.now();
                self.beside.told(now, spot, event);
            }
        }
    }

    fn send(&mut self, from: Spot, to: Spot, message: M::Message) {
        let Some(message) = self.beside.twist(from, to, message) else { return };
        let now = self.now();
        let life = self.nodes.get(self.number(to) as usize).map_or(0, |node| node.life);
        let Carried { first, second } = self.beside.carry(now, from, to, &message);
        if let Some(after) = second {
            self.fly(after, Flight::Message { from, to, life, message: message.clone() });
        }
        if let Some(after) = first {
            self.fly(after, Flight::Message { from, to, life, message });
        }
    }

    fn fly(&mut self, after: Duration, flight: Flight<M>) {
        // To the nearest millisecond, but nothing arrives before it was sent.
        let at = self.wheel.now() + (after.as_micros() as u64 + 500) / 1000;
        let flight = self.flights.insert(flight);
        self.wheel.push(at, Due::Flight(flight));
    }

    fn note(&mut self, spot: Spot, what: u64) {
        let now = self.wheel.now();
        self.trace = mix(self.trace ^ (now << 32) ^ u64::from(spot.0) ^ (what << 20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers whoever greets it, and counts.
    #[derive(Default)]
    struct Greeter {
        greeted: u32,
        fired: Vec<u8>,
    }

    impl Machine for Greeter {
        type Peer = Spot;
        type Command = Spot;
        type Message = bool;
        type Timer = u8;
        type Event = ();
        type Effect = ();
        type Outcome = ();

        fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
            match input {
                Input::Command(to) => {
                    out.send(to, true);
                    out.set_timer(now + Duration::from_millis(10), 1);
                    out.set_timer(now + Duration::from_millis(20), 1);
                    out.set_timer(now + Duration::from_millis(30), 2);
                }
                Input::Received { from, message } => {
                    self.greeted += 1;
                    out.cancel(2);
                    if message {
                        out.send(from, false);
                    }
                }
                Input::TimerFired(timer) => self.fired.push(timer),
                _ => {}
            }
        }
    }

    struct Still;

    impl Beside<Greeter> for Still {
        fn carry(&mut self, _: Time, _: Spot, _: Spot, _: &bool) -> Carried {
            Carried { first: Some(Duration::from_millis(5)), second: None }
        }

        fn perform(&mut self, _: Time, _: Spot, (): ()) {}

        fn told(&mut self, _: Time, _: Spot, (): ()) {}
    }

    fn pair() -> (Player<Greeter, Still>, Spot, Spot) {
        let mut player = Player::new(u32::MAX, Still);
        let one = player.add(Some(Greeter::default()));
        let other = player.add(Some(Greeter::default()));
        (player, one, other)
    }

    #[test]
    fn messages_take_their_time_and_timers_that_were_moved_or_cancelled_do_not_fire() {
        let (mut player, one, other) = pair();
        player.hand(one, Input::Command(other));
        player.run_until(Time(9_000));
        let greeted = |player: &Player<_, _>, spot| {
            player.machine(spot).map(|machine: &Greeter| machine.greeted)
        };
        assert_eq!((greeted(&player, one), greeted(&player, other)), (Some(0), Some(1)));
        player.run_until(Time(50_000));
        assert_eq!(greeted(&player, one), Some(1));
        assert_eq!(player.machine(one).map(|machine| machine.fired.clone()), Some(vec![1]));
        assert_eq!(player.now(), Time(50_000));
    }

    #[test]
    fn the_dead_do_not_answer_and_hear_nothing_of_their_last_life() {
        let (mut player, one, other) = pair();
        player.hand(one, Input::Command(other));
        assert!(player.kill(other).is_some() && player.kill(other).is_none());
        player.revive(other, Greeter::default());
        player.kill(one);
        player.run_until(Time(100_000));
        assert_eq!(player.machine(other).map(|machine| machine.greeted), Some(0));
        assert_eq!(player.living().count(), 1);
    }
}
