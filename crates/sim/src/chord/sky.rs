//! What is around the peers in a measurement: delays, and counters for all that is said.

use std::time::Duration;

use potluck_base::Time;
use potluck_proto::Dice;
use potluck_proto::directory::chord::{Chord, Effect, Event, Found, Message};

use super::gauge::bytes_of;
use super::liar::Liars;
use super::note::{Known, Note};
use super::player::{Beside, Carried};
use super::spot::Spot;
use super::weather::Delay;

/// The machine as it is simulated.
pub type Peer = Chord<Spot, Note>;

/// Of so many messages one is put into its frame and weighed.
const WEIGH_ONE_OF: u64 = 16;

/// Delays and counters.
pub struct Sky {
    /// Messages and, about, their bytes.
    pub traffic: (u64, u64),
    /// What peers told that concerns a measurement, and when.
    pub told: Vec<(Time, Spot, Told)>,
    /// Those that lie.
    pub liars: Option<Box<Liars>>,
    delay: Delay,
    dice: Dice,
}

/// What concerns a measurement.
#[derive(Clone, Debug)]
pub enum Told {
    /// A peer is on the circle.
    Joined,
    /// A peer has left.
    Left,
    /// A lookup has an answer.
    Found(u64, Box<Found<Spot>>),
    /// A lookup has none, after so many timeouts.
    Lost(u64, u32),
}

impl Sky {
    /// Nothing was said yet.
    pub fn new(delay: Delay, seed: u64) -> Self {
        Self { traffic: (0, 0), told: Vec::new(), liars: None, delay, dice: Dice::new(seed) }
    }

    /// How long a message takes from one to another.
    pub fn delay(&mut self, from: Spot, to: Spot) -> Duration {
        self.delay.of(from, to, &mut self.dice)
    }
}

impl Beside<Peer> for Sky {
    fn carry(
        &mut self,
        _: Time,
        from: Spot,
        to: Spot,
        message: &Message<Spot, Note, (), Known>,
    ) -> Carried {
        self.traffic.0 += 1;
        if self.traffic.0.is_multiple_of(WEIGH_ONE_OF) {
            self.traffic.1 += WEIGH_ONE_OF * bytes_of(message);
        }
        Carried { first: Some(self.delay(from, to)), second: None }
    }

    fn twist(
        &mut self,
        from: Spot,
        to: Spot,
        message: Message<Spot, Note, (), Known>,
    ) -> Option<Message<Spot, Note, (), Known>> {
        match &mut self.liars {
            None => Some(message),
            Some(liars) => liars.twist(from, to, &message),
        }
    }

    fn perform(&mut self, _: Time, _: Spot, _: Effect<Note>) {}

    fn told(&mut self, now: Time, node: Spot, event: Event<Spot, Note>) {
        let told = match event {
            Event::Joined { .. } => Told::Joined,
            Event::Left => Told::Left,
            Event::Found { id, found } => Told::Found(id, Box::new(found)),
            Event::Lost { id, timeouts } => Told::Lost(id, timeouts),
            _ => return,
        };
        self.told.push((now, node, told));
    }
}
