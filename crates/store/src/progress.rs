//! What a download knows about itself while it runs: where its files are, and which pieces are
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath};
use potluck_content::Values;

use crate::below::Below;
use crate::fingerprint::Fingerprint;
use crate::part::Part;

/// Where the files are. Changes only while the download is finished.
pub(crate) struct Places {
    pub(crate) part: Option<Arc<Part>>,
    /// The target folder, or for a single file the folder that it is in.
    pub(crate) target: Option<Arc<Below>>,
    pub(crate) name: RelPath,
    /// The files at the target.
    pub(crate) placed: Vec<Option<Fingerprint>>,
}

/// How far it is.
pub(crate) struct Progress {
    /// Verified pieces on the disk.
    pub(crate) stored: PieceSet,
    /// And those of files whose twin is complete.
    pub(crate) have: PieceSet,
    /// Of the stored ones: those that would survive a crash of the machine.
    pub(crate) durable: PieceSet,
    /// Pieces from an earlier attempt that wait for values.
    pub(crate) unchecked: PieceSet,
    /// Values that are not in the database yet.
    pub(crate) fresh_values: BTreeMap<ContentId, Arc<Values>>,
    pub(crate) fresh_bytes: u64,
    pub(crate) known_values: BTreeSet<u32>,
    pub(crate) unsaved: u64,
    pub(crate) unsynced: u64,
    /// Pieces that are being written bit by bit.
    pub(crate) partial: BTreeMap<u32, Partial>,
}

/// A piece that is being written bit by bit.
#[derive(Default)]
pub(crate) struct Partial {
    /// Where the next bytes must start for it to be the work of one writer.
    pub(crate) next: u32,
    /// Several writers had their hands on it: only the disk knows what came out.
    pub(crate) mixed: bool,
    pub(crate) writing: u32,
    /// It is being judged: later bytes are dropped.
    pub(crate) closed: bool,
}

/// What [`crate::Download::mark`] found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// Pieces that are here now too: of files that are equal to one that is complete.
    pub also: Vec<PieceRange>,
    /// Pieces that are not here after all: several writers had their hands on them, and what came
    /// out is wrong. They must be fetched again.
    pub bad: Vec<PieceRange>,
}

impl Progress {
    pub(crate) fn new(stored: PieceSet, durable: PieceSet, unchecked: PieceSet) -> Self {
        Self {
            have: stored.clone(),
            stored,
            durable,
            unchecked,
            fresh_values: BTreeMap::new(),
            fresh_bytes: 0,
            known_values: BTreeSet::new(),
            unsaved: 0,
            unsynced: 0,
            partial: BTreeMap::new(),
        }
    }
}
