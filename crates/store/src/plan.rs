//! What a download shall become.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use potluck_base::{ContentId, RelPath};
use potluck_content::{Manifest, PieceMap};

/// What is fetched, and where it goes.
#[derive(Clone, Debug)]
pub struct DownloadPlan {
    /// What names it.
    pub content: ContentId,
    /// A file or a folder.
    pub kind: PlanKind,
    /// The name that the ticket suggests.
    pub name: RelPath,
    /// The name that the user chose instead, if any.
    pub chosen_name: Option<RelPath>,
    /// The folder to put it in, which must exist.
    pub folder: PathBuf,
    /// What to do if something is there already.
    pub on_exists: OnExists,
    /// The entries of the manifest that are wanted, by their place among `Manifest::entries`; all
    /// if none are named. A file's place is `FileInfo::entry`.
    pub selected: Option<BTreeSet<u32>>,
}

/// What kind of content is fetched.
#[derive(Clone, Debug)]
pub enum PlanKind {
    /// A single file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Whether it may be run.
        executable: bool,
    },
    /// A folder.
    Folder(Arc<Manifest>),
}

/// What to do about something that stands where the download should go and is not an earlier result
/// of the same download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExists {
    /// Refuse to start.
    Refuse,
    /// Replace it, file by file, once everything is here.
    Overwrite,
    /// Keep both: the new one becomes `NAME (2)`.
    Rename,
}

impl DownloadPlan {
    /// The numbers of the content's pieces.
    pub(crate) fn map(&self) -> PieceMap {
        match &self.kind {
            PlanKind::File { size, .. } => PieceMap::one_file(*size, self.content),
            PlanKind::Folder(manifest) => PieceMap::of_manifest(manifest),
        }
    }
}
