//! The one contract between a protocol machine and whatever plays it: the tokio runner or the
//! simulator.
//!
//! A machine is a value. It never sleeps, opens, reads a clock or rolls dice of its own: it is
//! handed an [`Input`] with the time, changes itself, and says in an [`Outbox`] what is to be done.
//! Facts are in the past tense (`LinkDown`), wishes are verbs (`Send`, `Perform`).
//!
//! What the player promises, and no more:
//! - messages on a link arrive in order, once, or the link goes down;
//! - a timer fires at or after its time; it may still fire after it was cancelled, so a late
//!   timer must be harmless. Setting a timer that is set moves it;
//! - every effect ends in as many outcomes as its documentation says, even if the link is gone.

use std::fmt;

use potluck_base::Time;

/// A protocol, as decisions only.
pub trait Machine: Sized {
    /// Who the other side of a link is.
    type Peer: Copy + Ord + fmt::Debug;
    /// What our own side wants.
    type Command: fmt::Debug;
    /// What peers say to each other.
    type Message: Clone + fmt::Debug;
    /// What a timer is about.
    type Timer: Ord + Clone + fmt::Debug;
    /// What the machine tells its own side.
    type Event: fmt::Debug;
    /// Work done beside the machine: bulk bytes, disk, dialling.
    type Effect: fmt::Debug;
    /// How such work ended.
    type Outcome: Clone + fmt::Debug;

    /// Takes one input, at a time that never goes backwards, and says what is to be done.
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>);
}

/// What happens to a machine.
pub enum Input<M: Machine> {
    /// Our own side wants something.
    Command(M::Command),
    /// There is a link to a peer, to be used by this machine.
    LinkUp(M::Peer),
    /// There no longer is.
    LinkDown(M::Peer),
    /// A peer said something.
    Received {
        /// Who.
        from: M::Peer,
        /// What.
        message: M::Message,
    },
    /// A timer's time has come.
    TimerFired(M::Timer),
    /// An effect has ended, or come a step further.
    Done(M::Outcome),
}

impl<M: Machine> Clone for Input<M>
where
    M::Command: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Input::Command(command) => Input::Command(command.clone()),
            Input::LinkUp(peer) => Input::LinkUp(*peer),
            Input::LinkDown(peer) => Input::LinkDown(*peer),
            Input::Received { from, message } => {
                Input::Received { from: *from, message: message.clone() }
            }
            Input::TimerFired(timer) => Input::TimerFired(timer.clone()),
            Input::Done(outcome) => Input::Done(outcome.clone()),
        }
    }
}

impl<M: Machine> fmt::Debug for Input<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Command(command) => write!(f, "Command({command:?})"),
            Input::LinkUp(peer) => write!(f, "LinkUp({peer:?})"),
            Input::LinkDown(peer) => write!(f, "LinkDown({peer:?})"),
            Input::Received { from, message } => write!(f, "Received({from:?}, {message:?})"),
            Input::TimerFired(timer) => write!(f, "TimerFired({timer:?})"),
            Input::Done(outcome) => write!(f, "Done({outcome:?})"),
        }
    }
}

/// What a machine wants done.
pub enum Output<M: Machine> {
    /// Tell a peer something. Dropped if the link is gone.
    Send {
        /// Whom.
        to: M::Peer,
        /// What.
        message: M::Message,
    },
    /// Fire this timer at that time.
    SetTimer {
        /// When.
        at: Time,
        /// Which.
        timer: M::Timer,
    },
    /// Do not fire this timer, if that is still possible.
    CancelTimer(M::Timer),
    /// End the link to a peer that misbehaves. `LinkDown` follows.
    Hangup(M::Peer),
    /// Do work beside the machine.
    Perform(M::Effect),
    /// Tell our own side something.
    Emit(M::Event),
}

impl<M: Machine> fmt::Debug for Output<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Send { to, message } => write!(f, "Send({to:?}, {message:?})"),
            Output::SetTimer { at, timer } => write!(f, "SetTimer({}, {timer:?})", at.0),
            Output::CancelTimer(timer) => write!(f, "CancelTimer({timer:?})"),
            Output::Hangup(peer) => write!(f, "Hangup({peer:?})"),
            Output::Perform(effect) => write!(f, "Perform({effect:?})"),
            Output::Emit(event) => write!(f, "Emit({event:?})"),
        }
    }
}

/// What a machine wants done, in order. One is reused from input to input.
pub struct Outbox<M: Machine>(Vec<Output<M>>);

impl<M: Machine> Outbox<M> {
    /// An empty one.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Tell a peer something.
    pub fn send(&mut self, to: M::Peer, message: M::Message) {
        self.0.push(Output::Send { to, message });
    }

    /// Fire a timer at a time.
    pub fn set_timer(&mut self, at: Time, timer: M::Timer) {
        self.0.push(Output::SetTimer { at, timer });
    }

    /// Do not fire a timer.
    pub fn cancel(&mut self, timer: M::Timer) {
        self.0.push(Output::CancelTimer(timer));
    }

    /// End the link to a peer.
    pub fn hangup(&mut self, peer: M::Peer) {
        self.0.push(Output::Hangup(peer));
    }

    /// Do work beside the machine.
    pub fn perform(&mut self, effect: M::Effect) {
        self.0.push(Output::Perform(effect));
    }

    /// Tell our own side something.
    pub fn emit(&mut self, event: M::Event) {
        self.0.push(Output::Emit(event));
    }

    /// Takes everything out, in order; the memory stays for the next input.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Output<M>> {
        self.0.drain(..)
    }

    /// What is in it.
    pub fn as_slice(&self) -> &[Output<M>] {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<M: Machine> Default for Outbox<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Machine> fmt::Debug for Outbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
