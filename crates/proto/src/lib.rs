//! Every protocol decision as a machine without IO, clock or dice of its own.

mod bounded;
mod circle;
mod copies;
mod dice;
pub mod directory;
mod hello;
mod machine;
pub mod p2p_ci;
pub mod swarm;
mod wire;

pub use circle::{CircleBody, CircleFrame, Known, RingMessage};
pub use copies::CopySaid;
pub use dice::Dice;
pub use hello::{
    AGENT_BYTES, Agreed, FEATURE_CIRCLES, FEATURE_NETWORKS, Hello, RELAY_BYTES, Unfit, VERSION,
    VERSION_MIN, judge,
};
pub use machine::{Input, Machine, Outbox, Output};
pub use wire::{BLOCK_HEADER_BYTES, BlockHeader, Frame, REASON_BYTES, Refusal, What, WireError};
