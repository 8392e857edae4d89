//! Real processes in temporary homes for end-to-end stories: people, what they run, and trees of
//! files.
//!
//! A story plays on loopback with ports of the system's choice, and waits for what programs say,
//! never for time to pass. For tests only: it panics when a story cannot go on.

mod circle;
mod member;
mod person;
mod tree;

pub use circle::{Circle, Looked, Published};
pub use member::Member;
pub use person::{Person, Running};
pub use tree::{Dice, Thing, fill, random_bytes, random_tree, snapshot};

/// The longest that a story waits for one thing to happen.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);
