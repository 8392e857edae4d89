//! Small worlds in which everything goes wrong: churn, loss, reordering, doubles, partitions,
//! crashes with and without disk, a restart of everybody. Checkers judge them.

mod air;
mod plan;
mod quiet;
mod run;

pub use air::{Air, Disk};
pub use plan::{Fault, Kind, Plan};
pub use run::{Report, run};
