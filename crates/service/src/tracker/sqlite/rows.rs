//! How values stand in rows.
//!
//! SQLite's integers are signed: numbers of 64 bits keep their bits and are compared here, not
//! there. What was signed is kept as its postcard bytes.

use potluck_proto::directory::record::{Entry, EntryKind};
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tracker::store::StoreFault;

const FOLDER: i64 = 1;
const EXECUTABLE: i64 = 2;
/// The columns that [`entry`] reads, in its order.
pub(super) const ENTRY: &str = "f.path, f.content, f.size, f.flags, f.modified_s";

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writing to memory does not fail")
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreFault> {
    postcard::from_bytes(bytes).map_err(|_| StoreFault::Damaged("a record cannot be read"))
}

pub(super) fn kind(flags: i64) -> EntryKind {
    if flags & FOLDER != 0 { EntryKind::Folder } else { EntryKind::File }
}

pub(super) fn flags(kind: EntryKind, executable: bool) -> i64 {
    let folder = if kind == EntryKind::Folder { FOLDER } else { 0 };
    folder | if executable { EXECUTABLE } else { 0 }
}

/// Reads the columns [`ENTRY`], the first of which is column `at`.
pub(super) fn entry(row: &Row<'_>, at: usize) -> Result<Entry, rusqlite::Error> {
    let bits: i64 = row.get(at + 3)?;
    Ok(Entry {
        path: row.get(at)?,
        content: potluck_base::ContentId(row.get(at + 1)?),
        size: row.get::<_, i64>(at + 2)?.cast_unsigned(),
        kind: kind(bits),
        executable: bits & EXECUTABLE != 0,
        modified_s: row.get::<_, i64>(at + 4)?.cast_unsigned(),
    })
}

/// Ids of files as bytes, in the order of a page's entries.
pub(super) fn ids_to_bytes(ids: &[i64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// The other way.
pub(super) fn ids_from_bytes(bytes: &[u8]) -> Result<Vec<i64>, StoreFault> {
    let (ids, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(StoreFault::Damaged("ids of files are cut off"));
    }
    Ok(ids.iter().map(|id| i64::from_le_bytes(*id)).collect())
}

/// Leaves of a page.
pub(super) fn leaves_from_bytes(bytes: &[u8]) -> Result<&[[u8; 32]], StoreFault> {
    let (leaves, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() { Ok(leaves) } else { Err(StoreFault::Damaged("leaves are cut off")) }
}
