//! What one download comes to: which files, how many bytes, what is missing.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{PieceSet, RelPath};
use potluck_content::PieceMap;

/// What a download comes to.
pub(super) struct Account {
    /// The name in the ticket.
    pub(super) name: RelPath,
    /// Pieces to fetch: of equal files only the first.
    pub(super) wanted: PieceSet,
    /// Bytes of those.
    pub(super) total: u64,
    /// Bytes of those that were here before.
    pub(super) resumed: u64,
    /// The files that are wanted, and their bytes.
    pub(super) files: Vec<u32>,
    pub(super) bytes: u64,
    /// Files that were given up, and why.
    pub(super) missing: BTreeMap<u32, (RelPath, String)>,
}

impl Account {
    pub(super) fn new(
        name: RelPath,
        map: &PieceMap,
        wanted: PieceSet,
        selected: Option<BTreeSet<u32>>,
    ) -> Self {
        let meant = |file: &u32| {
            let entry = map.file(*file).entry as u32;
            selected.as_ref().is_none_or(|selected| selected.contains(&entry))
        };
        let files: Vec<u32> = (0..map.files()).filter(meant).collect();
        let bytes = files.iter().map(|file| map.file(*file).layout.len()).sum();
        let total = map.bytes_of_set(&wanted);
        Self { name, wanted, total, resumed: 0, files, bytes, missing: BTreeMap::new() }
    }

    /// Bytes that are here of those to fetch.
    pub(super) fn done(&self, map: &PieceMap, here: &PieceSet) -> u64 {
        let mut done = here.clone();
        done.keep_all(&self.wanted);
        map.bytes_of_set(&done)
    }

    /// Files that are here whole.
    pub(super) fn files_done(&self, map: &PieceMap, here: &PieceSet) -> u64 {
        let whole = |file: &&u32| here.contains_range(map.file(**file).pieces);
        self.files.iter().filter(whole).count() as u64
    }
}
