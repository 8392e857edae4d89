//! Plays a [`Machine`] on tokio: inputs from a queue, timers from a real clock, outputs to a
//! [`Player`].
//!
//! One task owns the machine. Whoever has something to tell it sends an [`Input`] through its
//! queue.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::{Input, Machine, Outbox, Output};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Inputs that may wait for one machine; whoever brings more waits too, so that pressure reaches
/// the peer.
pub const INPUTS_QUEUED: usize = 1024;
/// Inputs that are handled before the outputs are played and the timers looked at.
const INPUTS_PER_TURN: usize = 64;
/// How long a runner without timers sleeps; any input wakes it before.
const LONG_SLEEP: Duration = Duration::from_secs(3600);

/// Does what a machine says.
pub trait Player<M: Machine>: Send {
    /// Sends a message to a peer; a peer that cannot take it is hung up on.
    fn send(&mut self, to: M::Peer, message: M::Message) -> impl Future<Output = ()> + Send;
    /// Ends the link to a peer.
    fn hang_up(&mut self, peer: M::Peer);
    /// Starts work beside the machine, which reports back through the queue.
    fn perform(&mut self, effect: M::Effect);
    /// Passes on what happened.
    fn emit(&mut self, event: M::Event);
}

/// A machine, who plays it, and what it waits for.
pub struct Runner<M: Machine, P> {
    machine: M,
    player: P,
    inputs: mpsc::Receiver<Input<M>>,
    timers: Timers<M::Timer>,
    started: Instant,
}

impl<M: Machine, P: Player<M>> Runner<M, P> {
    /// A runner that ends when the last sender of `inputs` is gone.
    pub fn new(machine: M, player: P, inputs: mpsc::Receiver<Input<M>>) -> Self {
        Self { machine, player, inputs, timers: Timers::new(), started: Instant::now() }
    }

    /// Runs until nobody can send inputs any more.
    pub async fn run(mut self) {
        let mut out = Outbox::new();
        loop {
            let wake = self.timers.next().map_or_else(
                || Instant::now() + LONG_SLEEP,
                |at| self.started + Duration::from_micros(at.0),
            );
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input, &mut out),
                    None => return,
                },
                () = tokio::time::sleep_until(wake) => self.ring(&mut out),
            }
            for output in out.drain() {
                self.play(output).await;
            }
        }
    }

    fn take(&mut self, first: Input<M>, out: &mut Outbox<M>) {
        let now = self.now();
        self.machine.handle(now, first, out);
        for _ in 1..INPUTS_PER_TURN {
            match self.inputs.try_recv() {
                Ok(input) => self.machine.handle(now, input, out),
                Err(_) => return,
            }
        }
    }

    fn ring(&mut self, out: &mut Outbox<M>) {
        let now = self.now();
        while let Some(timer) = self.timers.pop_due(now) {
            self.machine.handle(now, Input::TimerFired(timer), out);
        }
    }

    async fn play(&mut self, output: Output<M>) {
        match output {
            Output::Send { to, message } => self.player.send(to, message).await,
            Output::SetTimer { at, timer } => self.timers.set(at, timer),
            Output::CancelTimer(timer) => self.timers.cancel(&timer),
            Output::Hangup(peer) => self.player.hang_up(peer),
            Output::Perform(effect) => self.player.perform(effect),
            Output::Emit(event) => self.player.emit(event),
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }
}

/// Timers by name: setting one again moves it.
struct Timers<T> {
    by_name: BTreeMap<T, Time>,
    by_time: BTreeSet<(Time, T)>,
}

impl<T: Ord + Clone> Timers<T> {
    fn new() -> Self {
        Self { by_name: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    fn set(&mut self, at: Time, timer: T) {
        self.cancel(&timer);
        self.by_name.insert(timer.clone(), at);
        self.by_time.insert((at, timer));
    }

    fn cancel(&mut self, timer: &T) {
        if let Some(at) = self.by_name.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    fn pop_due(&mut self, now: Time) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_name.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_moves() {
        let mut timers = Timers::new();
        timers.set(Time(10), "a");
        timers.set(Time(20), "b");
        timers.set(Time(30), "a");
        assert_eq!(timers.pop_due(Time(25)), Some("b"));
        assert_eq!(timers.pop_due(Time(25)), None);
        timers.cancel(&"a");
        assert_eq!(timers.next(), None);
    }
}
