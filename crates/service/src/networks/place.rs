//! Where the directory of a network is, and what entering it for the first time needs.

use potluck_base::PeerAddr;
use potluck_identity::{DirectoryKind, TrackerTicket};

/// Where the directory of a new network is to be.
#[derive(Clone, Debug)]
pub enum Place {
    /// At a tracker, by its ticket.
    Tracker(TrackerTicket),
    /// On a Chord circle of the members, so many of whom keep each record.
    Chord {
        /// How many.
        replicas: u8,
    },
    /// On a plain ring of them.
    Ring {
        /// How many.
        replicas: u8,
    },
}

impl Place {
    /// As the network's record says it.
    pub(super) fn kind(&self) -> DirectoryKind {
        match self {
            Place::Tracker(ticket) => {
                DirectoryKind::Tracker { trackers: vec![ticket.addr.clone()] }
            }
            Place::Chord { replicas } => DirectoryKind::Chord { replicas: *replicas },
            Place::Ring { replicas } => DirectoryKind::Ring { replicas: *replicas },
        }
    }

    /// The right to make a network there, where one is needed.
    pub(super) fn token(&self) -> Option<[u8; 16]> {
        match self {
            Place::Tracker(ticket) => Some(ticket.token),
            Place::Chord { .. } | Place::Ring { .. } => None,
        }
    }
}

/// What is known once only, when a network is entered for the first time.
#[derive(Default)]
pub(super) struct First {
    /// The right to make it at its tracker.
    pub(super) token: Option<[u8; 16]>,
    /// Members to enter by.
    pub(super) known: Vec<PeerAddr>,
}
