//! What a tracker needs of whatever keeps its index.
//!
//! Goals: a change is committed with its guards before anybody hears of it, and several trackers
//! may share one store; so nothing here assumes that one process sees every write. Not a goal:
//! async. Every call blocks and runs on a thread of the driver's.

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod scene;

use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId};
use potluck_proto::directory::tracker::{Answer, Change, Conflict, Loaded, Question, Written};

/// Says who is online.
pub type Online<'a> = &'a dyn Fn(&NetworkId, &PeerId) -> bool;

/// Keeps what trackers know.
pub trait TrackerStore: Debug + Send + Sync + 'static {
    /// What a registry has to know when it starts. Reads no files.
    fn load(&self) -> Result<Loaded, StoreFault>;

    /// Commits all changes together, each with its own result: one that is refused does not undo
    /// the others. [`Conflict::Unavailable`] means that nobody knows whether it is there; the
    /// reason is in the log.
    fn write(&self, changes: Vec<Change>) -> Vec<Result<Written, Conflict>>;

    /// Answers a question. Several threads may ask at once, and while another writes.
    fn ask(&self, question: &Question, online: Online<'_>) -> Result<Answer, StoreFault>;

    /// How large the index is.
    fn stats(&self) -> Result<IndexStats, StoreFault>;

    /// Tidies up; once in an hour is enough. Takes a fraction of a second.
    fn upkeep(&self) -> Result<(), StoreFault>;

    /// What clients of P2P-CI have added.
    fn ci(&self) -> &dyn CiCatalogue;
}

/// What clients of P2P-CI have added: numbered titles at hosts. Nobody signs any of it.
pub trait CiCatalogue: Send + Sync {
    /// Adds a row. The same number, host and port again changes the title.
    fn add(&self, network: &NetworkId, row: &CiRow) -> Result<(), StoreFault>;

    /// Drops all rows of a host, and returns how many there were.
    fn drop_host(&self, network: &NetworkId, host: &str, port: u16) -> Result<usize, StoreFault>;

    /// Drops all rows of all hosts: after a restart no connection of theirs is left.
    fn clear(&self) -> Result<(), StoreFault>;

    /// Rows with this number, of any title, in order of their hosts.
    fn lookup(&self, network: &NetworkId, number: u32) -> Result<Vec<CiRow>, StoreFault>;

    /// All rows in order of their numbers and hosts, at most [`CI_LISTED`].
    fn list(&self, network: &NetworkId) -> Result<Vec<CiRow>, StoreFault>;
}

/// Rows of one list of a network's P2P-CI entries: a client reads the answer as a whole.
pub const CI_LISTED: u32 = 10_000;

/// One title at one host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CiRow {
    /// Its number.
    pub number: u32,
    /// What it is called.
    pub title: String,
    /// Where it can be had, as that host said itself.
    pub host: String,
    /// At which port.
    pub port: u16,
}

/// How large an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Files and folders that are listed.
    pub files: u64,
    /// Their pages.
    pub pages: u64,
    /// Shares.
    pub shares: u64,
    /// Words that can be suggested.
    pub words: u64,
    /// Rows of P2P-CI.
    pub ci: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Grows with each change.
    pub revision: u64,
}

/// Why a store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// It was written by a newer program.
    #[error("the index has version {found}, this program reads up to {known}: update it")]
    Newer {
        /// The version that was found.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// It does not say what it must.
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read or written.
    #[error("the index cannot be read or written: {0}")]
    Database(#[from] rusqlite::Error),
    /// Its file cannot be reached.
    #[error("the index cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// There is no such network here.
    #[error("there is no such network here")]
    NoNetwork,
}

impl From<rusqlite::types::FromSqlError> for StoreFault {
    fn from(_: rusqlite::types::FromSqlError) -> Self {
        StoreFault::Damaged("a column holds something else")
    }
}
