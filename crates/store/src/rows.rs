//! How values stand in columns of the database.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath};
use potluck_content::{Manifest, PieceMap};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;

/// A content id from 32 bytes.
pub(crate) fn content_id(bytes: &[u8]) -> Result<ContentId, StoreError> {
    Ok(ContentId(bytes.try_into().map_err(|_| StoreError::Damaged("an id of a wrong length"))?))
}

/// A name, checked as if it came from elsewhere.
pub(crate) fn name(text: &str) -> Result<RelPath, StoreError> {
    RelPath::parse_name(text).map_err(|_| StoreError::Damaged("a name that is none"))
}

/// A manifest, checked against the id that it should have.
pub(crate) fn manifest(
    bytes: Option<&[u8]>,
    id: &ContentId,
) -> Result<Option<Arc<Manifest>>, StoreError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let manifest = Manifest::decode(bytes).map_err(|_| StoreError::Damaged("a manifest"))?;
    if manifest.id() == *id {
        Ok(Some(Arc::new(manifest)))
    } else {
        Err(StoreError::Damaged("a manifest of something else"))
    }
}

/// Something small, in postcard's format.
pub(crate) fn pack(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_allocvec(value).map_err(|_| StoreError::Bug("a value that cannot be stored"))
}

/// What [`pack`] made.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| StoreError::Damaged("a column"))
}

/// Fingerprints of files, which must be as many as the content has.
pub(crate) fn fingerprints(
    bytes: &[u8],
    map: &PieceMap,
) -> Result<Vec<Option<Fingerprint>>, StoreError> {
    let files: Vec<Option<Fingerprint>> = unpack(bytes)?;
    if files.len() == map.files() as usize {
        Ok(files)
    } else {
        Err(StoreError::Damaged("fingerprints of something else"))
    }
}

/// A set of pieces: the gap before each range and its length, one after another.
pub(crate) fn pack_pieces(set: &PieceSet) -> Result<Vec<u8>, StoreError> {
    let mut numbers = Vec::new();
    let mut at = 0;
    for range in set.ranges() {
        numbers.extend([range.start - at, range.len()]);
        at = range.end;
    }
    pack(&numbers)
}

/// What [`pack_pieces`] made.
pub(crate) fn unpack_pieces(bytes: &[u8], capacity: u32) -> Result<PieceSet, StoreError> {
    let numbers: Vec<u32> = unpack(bytes)?;
    let mut set = PieceSet::none(capacity);
    let mut at = 0u32;
    for pair in numbers.chunks_exact(2) {
        let start = at.saturating_add(pair[0]);
        at = start.saturating_add(pair[1]);
        set.insert_range(PieceRange::new(start, at));
    }
    Ok(set)
}

/// A path of any bytes.
pub(crate) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// What [`path_bytes`] made.
pub(crate) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// The first eight bytes of an id: enough to find it, not enough to trust it.
pub(crate) fn id_start(id: &ContentId) -> u64 {
    let mut start = [0; 8];
    start.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(start)
}

/// The starts of the ids of all files of a content, sorted: to see quickly what it has.
pub(crate) fn pack_id_starts(map: &PieceMap) -> Vec<u8> {
    let mut starts: Vec<u64> = (0..map.files())
        .map(|file| map.file(file))
        .filter(|file| !file.layout.is_empty())
        .map(|file| id_start(&file.id))
        .collect();
    starts.sort_unstable();
    starts.dedup();
    starts.iter().flat_map(|start| start.to_be_bytes()).collect()
}

/// What [`pack_id_starts`] made.
pub(crate) fn id_starts(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|start| u64::from_be_bytes(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_pieces_are_stored_and_read_back() {
        let ranges = [PieceRange::new(0, 3), PieceRange::one(64), PieceRange::new(1000, 4096)];
        for set in [PieceSet::none(0), PieceSet::all(70), PieceSet::from_ranges(5000, ranges)] {
            let bytes = pack_pieces(&set).unwrap();
            assert_eq!(unpack_pieces(&bytes, set.capacity()).unwrap(), set);
        }
        assert!(unpack_pieces(&[0xff], 9).is_err());
        let beyond = pack(&vec![u32::MAX, u32::MAX, 3, 4]).unwrap();
        assert!(unpack_pieces(&beyond, 9).unwrap().is_empty());
    }
}
