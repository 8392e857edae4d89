//! Builds the services from a config, turns commands into service calls, owns start and stop.
//!
//! A door (the program, the HTTP API) holds a [`NodeHandle`]: it runs commands and listens to
//! events.

mod config;
mod dht;
mod dispatch;
mod failure;
mod key;
mod networks;
mod node;
mod offers;
mod outside;
mod search;
mod stored;
mod tracker;
mod view;

pub use config::{Config, Overrides, TrackerSettings};
pub use node::{Node, NodeHandle};
