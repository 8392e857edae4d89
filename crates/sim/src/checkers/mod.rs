//! Who judges a run. A checker knows what must hold, not what the scenario does.

pub mod chord_members;
pub mod chord_records;
pub mod chord_ring;
pub mod swarm;
pub mod tracker;
