//! The machine as it is played: commands go in, and looks at its tables, which change nothing.

use std::fmt;

use potluck_base::Time;
use potluck_proto::directory::chord::index::{Answer, Question, Record};
use potluck_proto::directory::chord::{Chord, Command, Effect, Event, Message, Outcome, Timer};
use potluck_proto::{Input, Machine, Outbox, Output};

use super::contact::Contact;

/// The machine of one member.
pub(super) type Ring = Chord<Contact, Record>;
/// What machines say to each other.
pub(super) type RingSays = Message<Contact, Record, Question, Answer>;
/// What the machine tells.
pub(super) type RingEvent = Event<Contact, Record>;

/// A machine that can be looked at while it runs.
pub(super) struct Seen {
    ring: Ring,
    out: Outbox<Ring>,
}

/// What is wanted of it.
pub(super) enum Wish {
    /// That it does something.
    Do(Command<Contact, Record>),
    /// That somebody sees how it stands, at the time of its clock.
    Look(Look),
}

/// Sees how a machine stands.
pub(super) type Look = Box<dyn FnOnce(&Ring, Time) + Send>;

impl Seen {
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, out: Outbox::new() }
    }
}

impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wish::Do(command) => write!(f, "{command:?}"),
            Wish::Look(_) => f.write_str("Look"),
        }
    }
}

impl Machine for Seen {
    type Peer = Contact;
    type Command = Wish;
    type Message = RingSays;
    type Timer = Timer;
    type Event = RingEvent;
    type Effect = Effect<Record>;
    type Outcome = Outcome<Contact>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        let input = match input {
            Input::Command(Wish::Look(look)) => return look(&self.ring, now),
            Input::Command(Wish::Do(command)) => Input::Command(command),
            Input::LinkUp(peer) => Input::LinkUp(peer),
            Input::LinkDown(peer) => Input::LinkDown(peer),
            Input::Received { from, message } => Input::Received { from, message },
            Input::TimerFired(timer) => Input::TimerFired(timer),
            Input::Done(outcome) => Input::Done(outcome),
        };
        self.ring.handle(now, input, &mut self.out);
        for output in self.out.drain() {
            match output {
                Output::Send { to, message } => out.send(to, message),
                Output::SetTimer { at, timer } => out.set_timer(at, timer),
                Output::CancelTimer(timer) => out.cancel(timer),
                Output::Hangup(peer) => out.hangup(peer),
                Output::Perform(effect) => out.perform(effect),
                Output::Emit(event) => out.emit(event),
            }
        }
    }
}
