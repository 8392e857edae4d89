//! Runs trackers and members: builds the world, lets things go wrong, and has it judged.

mod fixture;
mod judge;
mod liar;
mod physics;
mod plan;
mod run;
mod side;
mod store;

pub use fixture::Fixture;
pub use liar::{Habit, Liar};
pub use physics::{Committed, Hand, Happening, TrackerPhysics};
pub use plan::{Fault, Plan, Role, Way};
pub use run::{Report, run};
pub use side::{Of, Side};
pub use store::Store;
