//! Both sides of the tracker's protocol as one machine, so that one world plays them.

use potluck_base::Time;
use potluck_proto::directory::tracker::{Client, Message, Registry, client, registry};
use potluck_proto::{Input, Machine, Outbox, Output};

/// A tracker, or a member.
pub enum Side {
    /// The index server.
    Tracker(Box<Registry<u32>>),
    /// A member's side.
    Member(Box<Client<u32>>),
}

/// Something that belongs to one of the sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of<T, M> {
    /// To the tracker.
    Tracker(T),
    /// To the member.
    Member(M),
}

impl Side {
    /// The tracker that it is, if it is one.
    pub fn tracker(&self) -> Option<&Registry<u32>> {
        match self {
            Side::Tracker(registry) => Some(registry),
            Side::Member(_) => None,
        }
    }

    /// The member that it is, if it is one.
    pub fn member(&self) -> Option<&Client<u32>> {
        match self {
            Side::Member(client) => Some(client),
            Side::Tracker(_) => None,
        }
    }
}

impl Machine for Side {
    type Peer = u32;
    type Command = Of<registry::Command, client::Command>;
    type Message = Message;
    type Timer = Of<registry::Timer, client::Timer>;
    type Event = Of<registry::Event, client::Event<u32>>;
    type Effect = Of<registry::Effect, client::Effect<u32>>;
    type Outcome = Of<registry::Outcome, client::Outcome<u32>>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match self {
            Side::Tracker(registry) => {
                let mut own = Outbox::new();
                registry.handle(now, for_tracker(input), &mut own);
                for output in own.drain() {
                    pass_on(output, out, &Of::Tracker, &Of::Tracker, &Of::Tracker);
                }
            }
            Side::Member(client) => {
                let mut own = Outbox::new();
                client.handle(now, for_member(input), &mut own);
                for output in own.drain() {
                    pass_on(output, out, &Of::Member, &Of::Member, &Of::Member);
                }
            }
        }
    }
}

fn for_tracker(input: Input<Side>) -> Input<Registry<u32>> {
    match input {
        Input::Command(Of::Tracker(command)) => Input::Command(command),
        Input::LinkUp(peer) => Input::LinkUp(peer),
        Input::LinkDown(peer) => Input::LinkDown(peer),
        Input::Received { from, message } => Input::Received { from, message },
        Input::TimerFired(Of::Tracker(timer)) => Input::TimerFired(timer),
        Input::Done(Of::Tracker(outcome)) => Input::Done(outcome),
        other => unreachable!("a tracker is given {other:?}"),
    }
}

fn for_member(input: Input<Side>) -> Input<Client<u32>> {
    match input {
        Input::Command(Of::Member(command)) => Input::Command(command),
        Input::LinkUp(peer) => Input::LinkUp(peer),
        Input::LinkDown(peer) => Input::LinkDown(peer),
        Input::Received { from, message } => Input::Received { from, message },
        Input::TimerFired(Of::Member(timer)) => Input::TimerFired(timer),
        Input::Done(Of::Member(outcome)) => Input::Done(outcome),
        other => unreachable!("a member is given {other:?}"),
    }
}

type Timer = <Side as Machine>::Timer;
type Effect = <Side as Machine>::Effect;
type Event = <Side as Machine>::Event;

fn pass_on<M: Machine<Peer = u32, Message = Message>>(
    output: Output<M>,
    out: &mut Outbox<Side>,
    timer_of: &dyn Fn(M::Timer) -> Timer,
    effect_of: &dyn Fn(M::Effect) -> Effect,
    event_of: &dyn Fn(M::Event) -> Event,
) {
    match output {
        Output::Send { to, message } => out.send(to, message),
        Output::SetTimer { at, timer } => out.set_timer(at, timer_of(timer)),
        Output::CancelTimer(timer) => out.cancel(timer_of(timer)),
        Output::Hangup(peer) => out.hangup(peer),
        Output::Perform(effect) => out.perform(effect_of(effect)),
        Output::Emit(event) => out.emit(event_of(event)),
    }
}
