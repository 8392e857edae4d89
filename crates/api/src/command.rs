//! Everything that one may ask a node to do.

use std::path::PathBuf;

use potluck_base::ContentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a door asks of a node. Paths are absolute: a node and its door may stand in different
/// folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Hashes files and folders and offers them from now on. Answer: [`crate::Reply::Shared`].
    ///
    /// One path is shared as it is; several become one folder that holds each under its own name.
    Share {
        /// What to share.
        #[schema(value_type = Vec<String>)]
        paths: Vec<PathBuf>,
        /// Its name for receivers; that of the only path if there is none.
        #[serde(default)]
        name: Option<String>,
    },
    /// Fetches what a ticket names; continues where an earlier try stopped. Answer:
    /// [`crate::Reply::Got`].
    Get {
        /// The ticket.
        ticket: String,
        /// Where it goes: into this folder if it is one, else it is the new file or folder itself.
        /// The node's current folder if it is not given.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        output: Option<PathBuf>,
        /// Glob patterns of the paths to fetch; all of them if there is none.
        #[serde(default)]
        selection: Vec<String>,
        /// What to do when the target exists.
        #[serde(default)]
        on_exists: OnExists,
        /// Seconds without any progress after which to stop with `unreachable`; never if not given.
        #[serde(default)]
        give_up_after_s: Option<u64>,
    },
    /// Tells what a ticket holds without fetching it. Answer: [`crate::Reply::Listing`].
    List {
        /// The ticket.
        ticket: String,
    },
    /// Tells what this node shares and what it has not finished fetching. Answer:
    /// [`crate::Reply::Shares`].
    Ls,
    /// Stops offering a share; its files stay. Answer: [`crate::Reply::Unshared`].
    Unshare {
        /// The first characters of its content id, as many as make it unique; or its name.
        id: String,
    },
    /// Tells who is linked to this node, and over what. Answer: [`crate::Reply::Peers`].
    Peers,
    /// Tells how the node is. Answer: [`crate::Reply::Status`].
    Status,
    /// Tells who the node is. Answer: [`crate::Reply::Id`].
    Id,
    /// Tells where the node keeps its things. Answer: [`crate::Reply::Paths`].
    Paths,
    /// Tells every setting and where it comes from. Answer: [`crate::Reply::Config`].
    ConfigShow,
    /// Waits until [`crate::ShareInfo::receivers_done`] of a share is at least `count`, telling
    /// each by [`crate::Event::ReceiverDone`]. Answer: [`crate::Reply::Received`].
    AwaitReceivers {
        /// The share.
        #[schema(value_type = String)]
        id: ContentId,
        /// How many receivers.
        count: u64,
    },
    /// Ends the node, in order. Answer: [`crate::Reply::Stopping`].
    Stop,
}

/// What to do when the target of a download exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnExists {
    /// Touch nothing and fail with `exists`.
    #[default]
    Refuse,
    /// Replace files that are in the way, once the new ones are complete.
    Overwrite,
    /// Keep both: the new one is called `NAME (2)`.
    Rename,
}
