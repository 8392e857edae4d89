//! What this node offers: the record of a share, and where its files are.

use std::path::PathBuf;
use std::sync::Arc;

use potluck_base::{ContentId, RelPath};
use potluck_content::{Kind, Manifest, PieceMap};

use crate::fingerprint::Fingerprint;

/// Whether a share is one file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareKind {
    /// A single file, whose id is that of its bytes.
    File,
    /// A folder, whose id is that of its manifest.
    Folder,
}

/// How a share came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user shared it.
    Shared,
    /// It was downloaded and is served from where it lies.
    Downloaded,
}

/// A folder on disk below which files of a share are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The folder.
    pub folder: PathBuf,
    /// The device that it was on when the fingerprints were taken: devices may be renumbered.
    pub dev: u64,
    /// If only what is below one name of the share is here: that name, and its name in the folder.
    pub names: Option<(String, String)>,
}

/// All that is kept about a share.
#[derive(Clone, Debug)]
pub struct ShareRecord {
    /// What names it.
    pub id: ContentId,
    /// A file or a folder.
    pub kind: ShareKind,
    /// Its name in tickets and lists.
    pub name: RelPath,
    /// Where its files are.
    pub roots: Vec<Root>,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// Bytes of all files.
    pub size: u64,
    /// Whether a single file may be run.
    pub executable: bool,
    /// What a folder contains.
    pub manifest: Option<Arc<Manifest>>,
    /// Each file's fingerprint, in the order of the manifest; none for a file that is not here.
    pub files: Vec<Option<Fingerprint>>,
}

impl ShareRecord {
    /// The numbers of its pieces.
    pub fn map(&self) -> PieceMap {
        match &self.manifest {
            Some(manifest) => PieceMap::of_manifest(manifest),
            None => PieceMap::one_file(self.size, self.id),
        }
    }

    /// The files that are here, in the order of the manifest.
    pub fn entries(&self) -> Vec<ShareEntry> {
        let Some(manifest) = &self.manifest else {
            let here = self.files.first().copied().flatten();
            let one = here.map(|print| ShareEntry {
                path: self.name.clone(),
                content: self.id,
                size: self.size,
                executable: self.executable,
                modified_s: print.seconds(),
            });
            return one.into_iter().collect();
        };
        let mut prints = self.files.iter();
        let mut entries = Vec::with_capacity(self.files.len());
        for entry in manifest.entries() {
            let Kind::File { size, id, executable } = entry.kind else { continue };
            // As many as the manifest has files.
            let Some(Some(print)) = prints.next() else { continue };
            let (path, modified_s) = (entry.path.clone(), print.seconds());
            entries.push(ShareEntry { path, content: id, size, executable, modified_s });
        }
        entries
    }
}

/// A file of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareEntry {
    /// Its path below the share; of a single file the share's name.
    pub path: RelPath,
    /// The hash of its bytes.
    pub content: ContentId,
    /// Its length in bytes.
    pub size: u64,
    /// Whether its owner may run it.
    pub executable: bool,
    /// When its bytes last changed, seconds since 1970.
    pub modified_s: u64,
}

/// A line in the list of shares.
#[derive(Clone, Debug)]
pub struct ShareInfo {
    /// What names it.
    pub id: ContentId,
    /// A file or a folder.
    pub kind: ShareKind,
    /// Shared by the user, or downloaded.
    pub origin: Origin,
    /// Its name in tickets and lists.
    pub name: RelPath,
    /// Where it is: the first place, if there are several.
    pub path: PathBuf,
    /// Bytes of all files.
    pub size: u64,
    /// How many files.
    pub files: u32,
    /// Whether a single file may be run.
    pub executable: bool,
    /// When it was made, seconds since 1970.
    pub created: u64,
}
