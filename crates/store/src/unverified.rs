//! Files that came from somewhere nobody vouches for: drafts in the home, moved to their place
//! under the same rules as any download.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use potluck_base::{ContentId, PieceRange, RelPath};

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::plan::{DownloadPlan, OnExists, PlanKind};
use crate::scan::ScannedFile;
use crate::state::Inner;
use crate::{begin, hashing};

/// Where a draft goes.
#[derive(Clone, Debug)]
pub struct Placing {
    /// The folder.
    pub folder: PathBuf,
    /// The name that its source gives it.
    pub name: RelPath,
    /// The name that the person chose.
    pub chosen: Option<RelPath>,
    /// What to do when it exists.
    pub on_exists: OnExists,
}

/// A draft that is in its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Where it is.
    pub path: PathBuf,
    /// What its bytes turned out to be.
    pub content: ContentId,
    /// How many they are.
    pub bytes: u64,
}

/// Hashes a draft and copies it to its place, as a finished download.
pub(crate) fn place(
    store: &Arc<Inner>,
    draft: &Path,
    placing: Placing,
) -> Result<Placed, StoreError> {
    let failed = |error| StoreError::io("read", draft, error);
    let mut file = File::open(draft).map_err(failed)?;
    let fingerprint = Fingerprint::of(&file).map_err(failed)?;
    let bytes = fingerprint.size;
    let scanned = ScannedFile {
        rel: placing.name.clone(),
        path: draft.to_owned(),
        fingerprint,
        executable: false,
    };
    let cancel = AtomicBool::new(false);
    let hashed = hashing::hash_files(std::slice::from_ref(&scanned), 1, &|_| (), &cancel)?;
    let hash = hashed.into_iter().next().ok_or(StoreError::Bug("a file without a hash"))?;
    let plan = DownloadPlan {
        content: hash.id,
        kind: PlanKind::File { size: bytes, executable: false },
        name: placing.name,
        chosen_name: placing.chosen,
        folder: placing.folder,
        on_exists: placing.on_exists,
        selected: None,
    };
    let download = begin::begin(store, &plan)?;
    if let Some(values) = hash.values {
        download.set_values(0, values)?;
    }
    let mut piece_bytes = Vec::new();
    for piece in 0..download.map().total() {
        piece_bytes.resize(download.map().piece_len(piece) as usize, 0);
        file.read_exact(&mut piece_bytes).map_err(failed)?;
        download.write(piece, 0, &piece_bytes)?;
        download.mark(PieceRange::one(piece))?;
    }
    let finished = download.finish(&[])?;
    Ok(Placed { path: finished.path, content: hash.id, bytes })
}
