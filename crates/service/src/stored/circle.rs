//! What stored files need of the circle that a network's members stand on.

use std::sync::Arc;

use potluck_base::{ContentId, NetworkId, PeerId};
use potluck_identity::Signed;
use potluck_proto::directory::chord::Reject;
use potluck_proto::directory::chord::index::Deposit;
use tokio::sync::watch;

use crate::directory::Answer;

/// The circle of one network.
pub trait Circle: Send + Sync {
    /// Which network.
    fn network(&self) -> NetworkId;

    /// Has a deposit kept by those whose key its content is.
    fn put(&self, deposit: Signed<Deposit>) -> Answer<'_, Put>;

    /// All deposits that are kept here at the moment, those that were taken back too; verified.
    fn kept(&self) -> Vec<Signed<Deposit>>;

    /// Changes whenever those are others.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Who keeps the key of a content, in order: its owner, and those behind it.
    fn keepers(&self, content: ContentId) -> Answer<'_, Vec<PeerId>>;

    /// The deposits of a content, by the word of those who keep its key; verified.
    fn deposits_of(&self, content: ContentId) -> Answer<'_, Vec<Signed<Deposit>>>;
}

/// What came of putting a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// So many keep it now.
    Kept(u8),
    /// They have a newer one.
    Stale,
    /// They do not take it.
    Refused(Reject),
}

/// The circles of all networks that this node is in and that have one.
pub trait Circles: Send + Sync {
    /// One of them.
    fn get(&self, network: &NetworkId) -> Option<Arc<dyn Circle>>;

    /// All of them.
    fn all(&self) -> Vec<Arc<dyn Circle>>;
}
