//! How long messages take: as in the papers, or by how far apart two peers are.

use std::time::Duration;

use potluck_proto::Dice;

use super::spot::{Spot, mix};

/// How long a message is under way.
#[derive(Clone, Debug)]
pub enum Delay {
    /// Exponential with this mean, whoever speaks: ToN 2003, with 50 ms.
    Exponential(Quantiles),
    /// Peers stand in a cube: a microsecond for each of a million steps of its edge is `edge`
    /// altogether, and every message takes the same from one to the other. The paper's "3-d space".
    Cube {
        /// From one end of an edge to the other.
        edge: Duration,
    },
}

impl Delay {
    /// The papers' delay.
    pub fn paper() -> Self {
        Delay::Exponential(Quantiles::exponential(Duration::from_millis(50)))
    }

    /// Peers in a cube: about 66 ms from one to another on average.
    pub fn cube() -> Self {
        Delay::Cube { edge: Duration::from_millis(100) }
    }

    /// The delay of one message.
    pub fn of(&self, from: Spot, to: Spot, dice: &mut Dice) -> Duration {
        match self {
            Delay::Exponential(quantiles) => quantiles.draw(dice),
            Delay::Cube { edge } => apart(from, to, *edge),
        }
    }
}

/// How long a message takes from one place of a cube to another.
pub fn apart(from: Spot, to: Spot, edge: Duration) -> Duration {
    let square = |axis: u64| {
        let step = coordinate(from, axis) - coordinate(to, axis);
        step * step
    };
    edge.mul_f64((square(0) + square(1) + square(2)).sqrt())
}

fn coordinate(spot: Spot, axis: u64) -> f64 {
    (mix((u64::from(spot.0) << 3) + axis + 5) >> 11) as f64 / (1u64 << 53) as f64
}

/// A distribution as a table, so that a draw is a look-up and is the same number everywhere.
#[derive(Clone, Debug)]
pub struct Quantiles {
    micros: Vec<u32>,
}

/// Steps of a table.
const STEPS: usize = 4096;

impl Quantiles {
    /// The exponential distribution.
    pub fn exponential(mean: Duration) -> Self {
        let mean = mean.as_micros() as f64;
        let middle = |step: usize| (step as f64 + 0.5) / STEPS as f64;
        let micros = (0..STEPS).map(|step| (-mean * (1.0 - middle(step)).ln()).round() as u32);
        let mut micros: Vec<u32> = micros.collect();
        // Beyond the last step it goes on from there as if from the start: it has no memory.
        micros[STEPS - 1] = (mean * (STEPS as f64).ln()).round() as u32;
        Self { micros }
    }

    /// One draw.
    pub fn draw(&self, dice: &mut Dice) -> Duration {
        let mut sum = 0;
        loop {
            let step = dice.below(STEPS as u64) as usize;
            sum += u64::from(self.micros[step]);
            if step + 1 < STEPS {
                return Duration::from_micros(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_delays_have_their_mean_and_their_tail() {
        let (delay, mut dice) = (Quantiles::exponential(Duration::from_millis(50)), Dice::new(3));
        let draws: Vec<f64> = (0..200_000).map(|_| delay.draw(&mut dice).as_secs_f64()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((0.049..0.051).contains(&mean), "{mean}");
        let late = draws.iter().filter(|draw| **draw > 0.25).count();
        assert!((1200..1500).contains(&late), "{late} and not e^-5 of them");
        assert!(draws.iter().any(|draw| *draw > 0.45));
    }

    #[test]
    fn in_a_cube_the_way_there_is_as_long_as_the_way_back() {
        let (mut dice, cube) = (Dice::new(1), Delay::cube());
        let mut sum = Duration::ZERO;
        for number in 0..1000 {
            let (one, other) = (Spot(number), Spot(number + 5000));
            let there = cube.of(one, other, &mut dice);
            assert_eq!(there, cube.of(other, one, &mut dice));
            sum += there;
        }
        assert!((63.0..69.0).contains(&(sum.as_secs_f64())), "{sum:?}");
        assert_eq!(cube.of(Spot(3), Spot(3), &mut dice), Duration::ZERO);
    }
}
