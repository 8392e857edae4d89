//! Who judges a run. A checker knows what must hold, not what the scenario does.

pub mod swarm;
pub mod tracker;
