//! Runs each machine on tokio with links and store; one module per task.
//!
//! - [`peers`]: links to peers, hello, keep-alive, dialling again.
//! - [`swarm`]: one machine per content, lanes in and out, questions for manifests and values.
//! - [`share`]: from paths to a share. [`fetch`]: from a ticket to files.

mod error;
pub mod fetch;
mod notice;
pub mod peers;
mod progress;
mod runner;
mod selection;
pub mod share;
pub mod swarm;

pub use error::ServiceError;
pub use notice::{Notice, Notices};
pub use potluck_proto::Refusal;
pub use potluck_proto::swarm::GoneWhy;
pub use runner::{Player, Runner};
