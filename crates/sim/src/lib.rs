//! Runs thousands of machines in virtual time from one seed and judges them.
//!
//! A [`World`] plays machines of any protocol: it owns the clock, the links and the dice. What the
//! machines have done beside them is the business of a [`Physics`]. A [`Watcher`] sees all that
//! goes in and out, and judges; it never changes anything.

pub mod checkers;
pub mod chord;
mod hand;
mod net;
mod plan;
mod scenario;
mod swarm;
mod trace;
pub mod tracker;
mod world;

pub use hand::{Character, Hand};
pub use net::Net;
pub use plan::{Fault, Plan, Role};
pub use scenario::{Report, run, run_plan};
pub use swarm::{Happening, SwarmPhysics};
pub use trace::Trace;
pub use world::{Context, Physics, Watcher, World};
