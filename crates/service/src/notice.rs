//! What a person may want to hear while the services run.

use std::path::PathBuf;

use potluck_base::{ContentId, NetworkId, PathKind, PeerId, ShareKey};
use potluck_proto::directory::tracker::Denial;
use potluck_proto::directory::tracker::registry::Event;
use potluck_proto::swarm::GoneWhy;
use tokio::sync::broadcast;

use crate::directory::State;

/// Notices that wait for a slow listener; older ones are lost to it.
const NOTICES_QUEUED: usize = 256;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A peer said hello.
    PeerUp {
        /// Who.
        peer: PeerId,
        /// Over what.
        path: PathKind,
    },
    /// A peer's link ended.
    PeerDown {
        /// Who.
        peer: PeerId,
    },
    /// A receiver has everything that it wanted of a content of ours.
    ReceiverDone {
        /// What it received.
        content: ContentId,
        /// Who.
        peer: PeerId,
        /// How many receivers that makes since the node started.
        count: u64,
    },
    /// A file that is shared was changed, moved away or became unreadable.
    SourceChanged {
        /// The share that it belongs to.
        content: ContentId,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: GoneWhy,
    },
    /// A peer sent something that does not match its content id and was dropped.
    Liar {
        /// What it was asked for.
        content: ContentId,
        /// Who.
        peer: PeerId,
    },
    /// A network's directory is in another state.
    Network {
        /// Which network.
        network: NetworkId,
        /// How it is now.
        state: State,
    },
    /// A network's tracker has everything that this node publishes there.
    InStep {
        /// Which network.
        network: NetworkId,
    },
    /// A network's tracker does not list a share.
    NotListed {
        /// Which network.
        network: NetworkId,
        /// The share.
        share: ShareKey,
        /// Why not.
        denial: Denial,
    },
    /// Something that the person should know of a folder that is published.
    Publishing {
        /// What.
        text: String,
        /// Where.
        path: PathBuf,
    },
    /// Something happened at the tracker that this node is.
    Tracker(Event),
}

/// Where notices are sent and heard.
#[derive(Clone)]
pub struct Notices(broadcast::Sender<Notice>);

impl Notices {
    /// A channel without listeners.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(NOTICES_QUEUED))
    }

    /// Tells whoever listens.
    pub fn send(&self, notice: Notice) {
        // Nobody listening is no fault.
        let _ = self.0.send(notice);
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}
