//! A network without a server: its members stand on a circle, and each keeps what falls between the
//! peer before it and itself. Chord (Stoica et al., SIGCOMM 2001 and ToN 2003) with the corrected
//! ring maintenance of Zave ("A correct version of the Chord ring-maintenance protocol", 2017).
//!
//! Goals: lookups in O(log N) steps with fingers, O(N) without (`ring`); one ordered circle through
//! joins, leaves and crashes; no acknowledged record lost while fewer than `replicas` of its keepers
//! fail between two repairs; the same code in the simulator and on the network.
//!
//! Non-goals: withstanding a majority of lying members. Membership keeps strangers out; what a
//! member says is checked where it can be (signatures, ranges, several ways to one key).

mod id;
pub mod index;
mod message;
mod values;

pub use id::{RING_BITS, RingId};
pub use message::{Digest, Message, Neighbours, Notice, Reply, Request};
pub use values::{
    Command, Effect, Event, FingerView, Found, Hop, OnRing, Outcome, Params, Reject, Setup, Slot,
    State, Timer, Value,
};
