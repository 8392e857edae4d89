//! How a door finds a node: the file that a running node leaves in its home, and what it answers to
//! anyone.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The version of this language. A door and a node that differ here do not talk.
pub const API_VERSION: u32 = 1;

/// Name of the file in a node's home that tells where its API listens.
pub const API_FILE: &str = "api.json";

/// What stands in [`API_FILE`], readable by the node's user only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// Where the API listens, always on this machine.
    pub address: SocketAddr,
    /// What a request must show.
    pub token: String,
    /// The node's process.
    pub pid: u32,
    /// Whether that process goes on until it is told to stop; else it ends with the command it
    /// runs.
    #[serde(default)]
    pub daemon: bool,
}

impl fmt::Debug for ApiFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiFile({} of process {}, token hidden)", self.address, self.pid)
    }
}

/// What a node's API tells without a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// [`API_VERSION`].
    pub api: u32,
    /// Version of the program.
    pub version: String,
}
