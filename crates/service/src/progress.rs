//! A rate that a person can read: bytes a second over the last moments.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far back the rate looks.
const WINDOW: Duration = Duration::from_secs(3);

/// Notes how a count grows.
pub struct Meter {
    notes: VecDeque<(Instant, u64)>,
    moved: Instant,
}

impl Meter {
    /// A count that stands at `done` now.
    pub fn new(done: u64) -> Self {
        let now = Instant::now();
        Self { notes: VecDeque::from([(now, done)]), moved: now }
    }

    /// Notes where the count stands now.
    pub fn note(&mut self, done: u64) {
        let now = Instant::now();
        if self.notes.back().is_some_and(|(_, before)| *before != done) {
            self.moved = now;
        }
        self.notes.push_back((now, done));
        while self.notes.len() > 2 && now - self.notes[1].0 > WINDOW {
            self.notes.pop_front();
        }
    }

    /// Bytes a second over the last moments.
    pub fn rate(&self) -> f64 {
        match (self.notes.front(), self.notes.back()) {
            (Some((from, before)), Some((to, after))) if to > from => {
                after.saturating_sub(*before) as f64 / (*to - *from).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    /// For how long the count has not grown.
    pub fn still_for(&self) -> Duration {
        self.moved.elapsed()
    }
}
