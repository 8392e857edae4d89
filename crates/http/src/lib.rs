//! The HTTP API over a NodeHandle, on this machine only, for those who can read the node's home.
//!
//! - It listens on loopback. A request needs the token of `HOME/api.json` (mode 0600).
//! - A web page that the person visits reaches loopback too. So the `Host` must be ours (against
//!   DNS
//!   rebinding), an `Origin` must be ours (against cross-site requests), and the token is a header
//!   that no form or image can send.
//! - All of that is checked before any handler runs: see `guard.rs`.

mod guard;
mod node;
mod routes;
mod server;
mod stream;
mod token;

pub use server::{ApiServer, HttpError, serve, serve_daemon};
