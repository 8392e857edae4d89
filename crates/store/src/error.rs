//! What can go wrong with files and state, sorted by whose fault it is.

use std::io;
use std::path::{Path, PathBuf};

use potluck_base::{Bytes, ContentId, PieceRange, RelPath};
use potluck_content::ManifestError;
use rustix::io::Errno;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    // The user asked for the impossible.
    /// Another node runs on this home.
    #[error("another node uses this home{}", process(.pid))]
    HomeInUse {
        /// Its process, if the lock file says so.
        pid: Option<u32>,
    },
    /// The home was written by a newer program.
    #[error(
        "the state in this home has version {found}, this program reads up to {known}: update it"
    )]
    NewerState {
        /// The version that was found.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Nothing was given to share.
    #[error("nothing to share was given")]
    NothingToShare,
    /// Two of the given paths have the same name.
    #[error(
        "two things named {name} cannot be shared together: {} and {}",
        show(.first),
        show(.second)
    )]
    DuplicateName {
        /// The name.
        name: RelPath,
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A given path cannot be shared.
    #[error("cannot share {}: {why}", show(.path))]
    NotShareable {
        /// The path.
        path: PathBuf,
        /// Why, in words.
        why: String,
    },
    /// The folder has more, or other, than a manifest can hold.
    #[error("cannot share this folder: {0}")]
    Manifest(#[from] ManifestError),
    /// Something is where the download should go.
    #[error("{} exists", show(.path))]
    TargetExists {
        /// What is there.
        path: PathBuf,
    },
    /// A folder would replace a file, or a file a folder.
    #[error("{} is of another kind and is not replaced", show(.path))]
    TargetKind {
        /// What is there.
        path: PathBuf,
    },
    /// The name that the ticket suggests starts with a dot: only the user may choose such a name.
    #[error("the ticket suggests the hidden name {name}: choose a name with -o")]
    HiddenName {
        /// The name.
        name: RelPath,
    },
    /// Two paths of the folder are one to the target's file system.
    #[error(
        "{first} and {second} would be the same file here: \
         the target's file system ignores the difference"
    )]
    Collision {
        /// The one.
        first: RelPath,
        /// The other.
        second: RelPath,
    },
    /// The same content is being fetched to the same place already.
    #[error("{} is being downloaded already", show(.path))]
    Busy {
        /// Where it goes.
        path: PathBuf,
    },
    /// No share has this id.
    #[error("no share has an id that starts with {prefix:?}")]
    NoSuchShare {
        /// What was asked for.
        prefix: String,
    },
    /// Several shares have ids that start so.
    #[error("several shares have an id that starts with {prefix:?}: give more characters")]
    AmbiguousShare {
        /// What was asked for.
        prefix: String,
    },
    /// No unfinished download has this number.
    #[error("there is no download number {0}")]
    NoSuchDownload(i64),
    /// The user changed their mind.
    #[error("cancelled")]
    Cancelled,

    // A peer, or the driver on its behalf, lied.
    /// A manifest or values do not belong to the content.
    #[error("what describes {0} does not belong to it")]
    Mismatch(ContentId),

    // The world failed.
    /// Not enough room.
    #[error("not enough space: {} needed, {} free", Bytes(*.needed), Bytes(*.free))]
    NoSpace {
        /// Bytes that are still to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system cannot be written to.
    #[error("{} is read-only", show(.path))]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// The system does not allow it.
    #[error("permission denied: {}", show(.path))]
    Denied {
        /// What could not be touched.
        path: PathBuf,
    },
    /// A file or folder is not there.
    #[error("{} does not exist", show(.path))]
    NotFound {
        /// What is missing.
        path: PathBuf,
    },
    /// A file changed while it was read.
    #[error("{} changes while it is read", show(.path))]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Something stands where only our own files and folders may: a link, a device, a file with two
    /// names.
    #[error("{} was replaced by something else", show(.path))]
    Foreign {
        /// What stands there.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot {doing} {}: {source}", show(.path))]
    Io {
        /// What was tried: `read`, `write`...
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database said no.
    #[error("the node's state cannot be read or written: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row of the database makes no sense.
    #[error("the node's state is damaged: {0}")]
    Damaged(&'static str),

    // We have a bug.
    /// The caller broke a rule of the interface.
    #[error("bug: {0}")]
    Bug(&'static str),
}

impl StoreError {
    /// Sorts what the system said while something was done to `path`.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => StoreError::NoSpace { needed: 0, free: 0 },
            Some(Errno::ROFS) => StoreError::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => StoreError::Denied { path },
            Some(Errno::NOENT) => StoreError::NotFound { path },
            // A link where none may be, or a folder's place taken by something that is none.
            Some(Errno::LOOP | Errno::NOTDIR | Errno::MLINK) => StoreError::Foreign { path },
            _ => StoreError::Io { doing, path, source },
        }
    }
}

/// Why pieces that we offered cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", show(.path))]
pub struct ReadError {
    /// All pieces of the file in question, numbered within the whole content.
    pub pieces: PieceRange,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: ReadFault,
}

/// What is wrong with a file that we offered.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// It is not the file any more that was shared.
    #[error("the file has changed since it was shared")]
    Changed,
    /// It is gone, or was never there.
    #[error("the file is gone")]
    Missing,
    /// It is there, but cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => ReadFault::Missing,
            // Something else stands there now, or on the way there.
            Some(Errno::LOOP | Errno::NOTDIR | Errno::MLINK | Errno::NXIO | Errno::ISDIR) => {
                ReadFault::Changed
            }
            _ if error.kind() == io::ErrorKind::UnexpectedEof => ReadFault::Changed,
            _ => ReadFault::Unreadable(error),
        }
    }
}

/// A path as people may see it.
fn show(path: &Path) -> String {
    potluck_base::escape(&path.to_string_lossy(), potluck_base::limits::PATH_BYTES)
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
