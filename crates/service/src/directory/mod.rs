//! Who has what: one trait over every kind of directory, and a node's directories as one.
//!
//! - [`memory`]: within one process, for tests and as the reference of what a directory does.
//! - [`unassigned`]: of a node without a network: it keeps nothing and finds nothing.
//! - [`tracker`]: of a network with a tracker.
//! - [`chord`]: of a network whose members are the directory themselves.

mod checked;
pub mod chord;
mod found;
pub mod memory;
mod network;
mod remembered;
mod several;
mod shares;
pub mod tracker;
pub mod unassigned;
mod words;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};
pub use potluck_proto::directory::chord::{FingerView, RingId};
pub use potluck_proto::directory::record::{Entry, EntryKind, ShareHead};
pub use potluck_proto::directory::tracker::{Denial, FileType, MemberInfo, Query, Sort};

use crate::error::ServiceError;

pub use found::{Found, Group, Hit, Located, Offered, Outside, Provider};
pub use network::{Happened, NetworkDirectory, State};
pub use several::{Directories, Merged};

/// What an answer of a directory is waited for with.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ServiceError>>;

/// Knows who has what in one network.
pub trait Directory: Send + Sync {
    /// Which network.
    fn network(&self) -> NetworkId;

    /// Publishes a share, or what became of it: the directory works out the difference.
    ///
    /// Done as soon as the directory has taken note; it goes on by itself if its server is away.
    fn announce(&self, share: Announcement) -> Answer<'_, ()>;

    /// Takes a share back. One that was never announced is no error.
    fn withdraw(&self, share: ShareKey) -> Answer<'_, ()>;

    /// Finds content by words.
    fn search(&self, query: Query) -> Answer<'_, Found>;

    /// Who has a content, those that are online first.
    fn providers(&self, content: ContentId) -> Answer<'_, Vec<Provider>>;

    /// Where a peer is; none if the directory does not know it.
    fn resolve(&self, peer: PeerId) -> Answer<'_, Option<Located>>;
}

/// A share as it is published.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Names the share for as long as it is published.
    pub share: ShareKey,
    /// Its name.
    pub name: String,
    /// Words that it can be found by besides.
    pub tags: Vec<String>,
    /// The content as a whole: a file, or a folder's manifest.
    pub content: ContentId,
    /// File or folder.
    pub kind: EntryKind,
    /// Bytes in it.
    pub size: u64,
    /// Whether it is still being fetched here.
    pub partial: bool,
    /// Its files, sorted by path; a share of one file has one.
    pub entries: Arc<Vec<Entry>>,
}
