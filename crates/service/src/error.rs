//! What can go wrong while content is shared and fetched, sorted by whose fault it is.

use potluck_base::{ContentId, PeerId, RelPath};
use potluck_content::{ManifestError, TicketError};
use potluck_identity::{MembershipError, RecordError, RevocationError};
use potluck_link::LinkError;
use potluck_proto::Refusal;
use potluck_proto::directory::tracker::Denial;
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
    /// A network is needed, and this node is in none.
    #[error("this node is in no network")]
    NoNetworks,
    /// This node is in several networks, and it is not said which.
    #[error("this node is in several networks, or several are called so")]
    SeveralNetworks,
    /// There is no such network here.
    #[error("this node is in no network {0:?}")]
    NoNetwork(String),
    /// This node is in a network of that name.
    #[error("this node is in a network {0:?} already")]
    NetworkExists(String),
    /// There is no such peer in the networks.
    #[error("nobody here is called {0:?}")]
    NoPeer(String),
    /// Several peers may be meant.
    #[error("several peers could be meant by {0:?}")]
    SeveralPeers(String),
    /// Nothing in the networks is called so.
    #[error("nothing in your networks is called {0:?}")]
    NothingFound(String),
    /// No tracker of the network answers.
    #[error("the network's tracker cannot be asked: {why}")]
    TrackerAway {
        /// Why.
        why: String,
    },
    /// No member of a network without a tracker answers.
    #[error("no member of the network can be asked: {why}")]
    CircleAway {
        /// Why.
        why: String,
    },
    /// This node stands on the circle of the network no more.
    #[error("this node has left the circle")]
    OffCircle,
    /// A circle cannot answer this.
    #[error(transparent)]
    Unanswerable(#[from] potluck_proto::directory::chord::index::Unanswerable),
    /// The network has a tracker.
    #[error("the members of {0} are on no circle: it has a tracker")]
    NoCircle(String),
    /// Not one copy of a file could be made in a network.
    #[error("no copy could be made: {why}")]
    NoCopies {
        /// Why.
        why: String,
    },
    /// This node has put nothing of that name into a network.
    #[error("this node has stored nothing called {0:?}")]
    NotStored(String),
    /// Several stored files may be meant.
    #[error("several stored files could be meant by {0:?}")]
    SeveralStored(String),
    /// Something that cannot be put into a network.
    #[error("{} cannot be stored: {why}", path.display())]
    NotStorable {
        /// What.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// A directory takes too long.
    #[error("the directory does not answer")]
    DirectorySilent,
    /// The tracker says no.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The tracker's answer is not one to what it was asked.
    #[error("the tracker's answer makes no sense")]
    TrackerNonsense,
    /// Somebody else has the nickname.
    #[error("the nickname {nick:?} is taken")]
    NickTaken {
        /// The wish.
        nick: String,
        /// One like it that is free.
        free: String,
    },
    /// We were a member and no longer are.
    #[error("this node is no longer a member of the network")]
    Expelled,
    /// Our role does not allow it.
    #[error("a {role} of the network may not do this")]
    Role {
        /// Our role, in a word.
        role: &'static str,
    },
    /// An invite, or what it was turned into, does not hold.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// A network's record does not hold.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A list of revoked members does not hold.
    #[error(transparent)]
    Revocations(#[from] RevocationError),
    /// What is kept of a network cannot be read.
    #[error("what is kept of a network is damaged, or of a newer version")]
    SavedNetwork,
    /// A share is too large to be published.
    #[error("the share cannot be published: {0}")]
    NotPublishable(String),
    /// The tracker's index does not answer.
    #[error("the tracker's index does not answer")]
    Index,
    /// The tracker's index cannot be opened or read.
    #[error(transparent)]
    TrackerStore(#[from] crate::tracker::store::StoreFault),
    /// A file of an old peer cannot be had.
    #[error("the P2P-CI peer cannot give the file: {0}")]
    Outside(#[from] crate::p2p_ci::CiFault),
    /// The system has no randomness for a key.
    #[error("the system gives no randomness: {0}")]
    NoRandomness(String),
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
