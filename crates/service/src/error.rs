//! What can go wrong while content is shared and fetched, sorted by whose fault it is.

use potluck_base::{ContentId, PeerId, RelPath};
use potluck_content::{ManifestError, TicketError};
use potluck_link::LinkError;
use potluck_proto::Refusal;
use potluck_store::StoreError;

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A peer sent something that contradicts the content id.
    #[error("peer {} sent something that does not match {}", .peer.short(), .content.short())]
    Lied {
        /// Who.
        peer: PeerId,
        /// What it was asked for.
        content: ContentId,
    },
    /// A peer opened a link and did not introduce itself.
    #[error("peer {} did not say hello", .0.short())]
    NoHello(PeerId),
    /// A peer does not answer in time.
    #[error("peer {} does not answer", .0.short())]
    Silent(PeerId),
    /// A peer runs a version that we cannot talk to.
    #[error("peer {}: {why}", .peer.short())]
    Version {
        /// Who.
        peer: PeerId,
        /// Which side has to be updated.
        why: potluck_proto::Unfit,
    },
    /// A peer said no.
    #[error("peer {} refused {}: {}", .peer.short(), .content.short(), refusal(*.why))]
    Refused {
        /// Who.
        peer: PeerId,
        /// What it was asked for.
        content: ContentId,
        /// Its reason.
        why: Refusal,
    },
    /// A peer gave us a manifest that breaks the rules.
    #[error("the list of files is not valid")]
    Manifest(#[from] ManifestError),
    /// The link ended while it was needed.
    #[error("the link to peer {} ended", .0.short())]
    LinkLost(PeerId),
    /// A link could not be made, or broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No provider could be reached.
    #[error("none of the ticket's {} peers could be reached", .causes.len())]
    Unreachable {
        /// What each dial ended with.
        causes: Vec<String>,
    },
    /// No provider has the content.
    #[error("nobody who was reached shares this any more")]
    NotShared,
    /// The person's patience ran out first.
    #[error("gave up after {0} seconds without progress")]
    GaveUp(u64),
    /// The ticket is none.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A pattern of the selection is none.
    #[error("the pattern {0:?} cannot be read")]
    Pattern(String),
    /// The selection leaves nothing.
    #[error("none of the {0} files matches the selection")]
    NothingSelected(usize),
    /// The ticket names nobody, and the content is not here.
    #[error("the ticket names no peer to fetch from")]
    NoProviders,
    /// There is no such share.
    #[error("there is no share {0:?}")]
    NoShare(String),
    /// The one file that was to be fetched is no longer what was shared.
    #[error("{name} cannot be fetched: {why}")]
    Gone {
        /// Its name in the ticket.
        name: RelPath,
        /// What happened to it, in words.
        why: String,
    },
    /// This content is being moved already, or too many are.
    #[error("{} is busy", .0.short())]
    Busy(ContentId),
    /// The disk, or the state on it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug of ours: a task that never fails did.
    #[error("an inner task ended badly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A peer's reason in words.
fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NotShared => "it does not share it",
        Refusal::Denied => "it is not for us",
        Refusal::Busy => "it is busy",
        Refusal::Changed => "its files changed since they were shared",
    }
}
