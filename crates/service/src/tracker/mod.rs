//! The tracker: the index server of networks.

mod gateway;
pub mod p2p_ci;
mod server;
pub mod sqlite;
pub mod store;

pub use gateway::CiGateway;
pub use potluck_proto::directory::tracker::registry::{
    Config, Event, Survey, SurveyedMember, SurveyedNetwork, Why,
};
pub use potluck_proto::directory::tracker::{Found, Group, Hit, HitProof, Stats};
pub use server::{Online, SearchTimes, ServerSetup, TrackerServer};
