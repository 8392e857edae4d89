//! Everything that one may ask a node to do.

use std::path::PathBuf;

use potluck_base::ContentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    BrowseCommand, DhtCommand, InviteCommand, NetworkCreate, SearchCommand, StoreCommand,
    StoredCommand, TrackerCommand,
};

/// What a door asks of a node. Paths are absolute: a node and its door may stand in different
/// folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Hashes files and folders and offers them from now on. Answer: [`crate::Reply::Shared`].
    Share(ShareCommand),
    /// Fetches what a ticket names; continues where an earlier try stopped. Answer:
    /// [`crate::Reply::Got`].
    Get(GetCommand),
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
    /// Makes a network that this node owns. Answer: [`crate::Reply::NetworkCreated`].
    NetworkCreate(NetworkCreate),
    /// Tells the networks that this node is a member of. Answer: [`crate::Reply::Networks`].
    NetworkLs,
    /// Leaves a network: nothing is published there any more, and its directory forgets this node.
    /// Answer: [`crate::Reply::NetworkLeft`].
    NetworkLeave {
        /// The network: its name, its id, or the first characters of its id.
        network: String,
    },
    /// Tells who is in a network. Answer: [`crate::Reply::Members`].
    NetworkMembers {
        /// The network, as for `network-leave`; all of them if it is not given.
        #[serde(default)]
        network: Option<String>,
    },
    /// Takes a member's rights away for good. Answer: [`crate::Reply::Revoked`].
    NetworkRevoke {
        /// The network, as for `network-leave`; needed by a node in several.
        #[serde(default)]
        network: Option<String>,
        /// The member: its id, the first characters of its id, or its nickname.
        peer: String,
    },
    /// Makes an invite. Answer: [`crate::Reply::Invited`].
    Invite(InviteCommand),
    /// Enters a network, or returns to it. Answer: [`crate::Reply::Joined`].
    Join {
        /// The invite.
        invite: String,
        /// The nickname that is wanted there, unique in the network; one with a number if there is
        /// none.
        #[serde(default)]
        nick: Option<String>,
    },
    /// Looks for files by words in the networks of this node. Answer: [`crate::Reply::Found`].
    Search(SearchCommand),
    /// Resolves a name or a content id through the networks of this node. Answer:
    /// [`crate::Reply::Candidates`].
    Find {
        /// A content id in hexadecimal digits, or the name or words of one.
        what: String,
        /// Networks to ask, as for `network-leave`; all of them if there is none.
        #[serde(default)]
        networks: Vec<String>,
    },
    /// Tells what a member shares. Answer: [`crate::Reply::Browsed`].
    Browse(BrowseCommand),
    /// Measures the round trip to a peer; one that is not linked is dialled. Answer:
    /// [`crate::Reply::Pinged`].
    Ping {
        /// The peer: its id, the first characters of its id, or its nickname.
        peer: String,
        /// The network in which to look for it, as for `network-leave`; all if it is not given.
        #[serde(default)]
        network: Option<String>,
        /// Round trips to measure, one a second; 1 to 1,000.
        count: u32,
    },
    /// Asks about a network without a server. The answer stands with [`DhtCommand`].
    DhtDo {
        /// The network, as for `network-leave`; needed by a node in several without a server.
        #[serde(default)]
        network: Option<String>,
        /// What.
        what: DhtCommand,
    },
    /// Puts files into a network: copies of them live on its members. Answer:
    /// [`crate::Reply::StoredFiles`].
    Store(StoreCommand),
    /// Asks about files in networks. The answer stands with [`StoredCommand`].
    StoredDo {
        /// Only in this network, as for `network-leave`; all of them if it is not given.
        #[serde(default)]
        network: Option<String>,
        /// What.
        what: StoredCommand,
    },
    /// Asks a tracker something about itself; only a tracker's own node does it. The answer stands
    /// with [`TrackerCommand`].
    TrackerDo {
        /// What.
        what: TrackerCommand,
    },
    /// Ends the node, in order. Answer: [`crate::Reply::Stopping`].
    Stop,
}

/// What to share, and with whom.
///
/// One path is shared as it is; several become one folder that holds each under its own name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareCommand {
    /// What to share.
    #[schema(value_type = Vec<String>)]
    pub paths: Vec<PathBuf>,
    /// Its name for receivers; that of the only path if there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// Networks to publish it in, by name, id or the first characters of an id. Without any, a
    /// member of exactly one network publishes it there.
    #[serde(default)]
    pub networks: Vec<String>,
    /// The only peers that may have it, by id, by the first characters of an id, or by nickname in
    /// a network; without any, everyone whom it is published to, or everyone with the ticket.
    #[serde(default)]
    pub to: Vec<String>,
    /// Words that searches find it by, besides its name and paths.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it is listed nowhere: whoever has the ticket may have it.
    #[serde(default)]
    pub unlisted: bool,
}

/// What to fetch, and to where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GetCommand {
    /// The ticket, or [`crate::Candidate::ticket`] as it was found.
    pub ticket: String,
    /// Where it goes: into this folder if it is one, else it is the new file or folder itself. The
    /// node's current folder if it is not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub output: Option<PathBuf>,
    /// Glob patterns of the paths to fetch; all of them if there is none.
    #[serde(default)]
    pub selection: Vec<String>,
    /// What to do when the target exists.
    #[serde(default)]
    pub on_exists: OnExists,
    /// Seconds without any progress after which to stop with `unreachable`; never if not given.
    #[serde(default)]
    pub give_up_after_s: Option<u64>,
    /// The network to ask for more providers, and to share it in afterwards: its name, its id, or
    /// the first characters of its id.
    #[serde(default)]
    pub network: Option<String>,
    /// Whether not to share it afterwards, whatever the settings say.
    #[serde(default)]
    pub no_share: bool,
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
