//! Runs each machine on tokio with links and store; one module per task.
//!
//! - [`peers`]: links to peers, hello, keep-alive, dialling again.
//! - [`swarm`]: one machine per content, lanes in and out, questions for manifests and values.
//! - [`share`]: from paths to a share. [`fetch`]: from a ticket to files.

mod access;
mod announce;
mod chance;
pub mod directory;
mod error;
pub mod fetch;
pub mod membership;
pub mod networks;
mod notice;
pub mod p2p_ci;
pub mod peers;
mod progress;
pub mod publish;
mod runner;
mod selection;
pub mod share;
pub mod stored;
pub mod swarm;
pub mod tracker;

pub use announce::Announcing;
pub use chance::{now_ms, random_key};
pub use error::ServiceError;
pub use notice::{Notice, Notices};
pub use potluck_proto::Refusal;
pub use potluck_proto::swarm::GoneWhy;
pub use runner::{Player, Runner};
