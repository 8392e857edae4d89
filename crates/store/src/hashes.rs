//! Remembers hashes by fingerprint, so that an unchanged tree is not read again, and values by
//! content.
//!
//! A hash of a racy file (see [`Fingerprint::racy`]) is not remembered. The memory is bounded:
//! beyond [`HASHES_MAX`] rows those that were not used for longest go.

use std::collections::HashSet;
use std::sync::Arc;

use potluck_base::ContentId;
use potluck_content::{Layout, PIECE_LOG2_MIN, Values};
use rusqlite::{Connection, OptionalExtension, params};

use crate::db::Db;
use crate::error::StoreError;
use crate::fingerprint::{Fingerprint, now_ns};
use crate::rows;

/// Hashes that are remembered: about 100 bytes each.
const HASHES_MAX: u64 = 1_000_000;
/// Files that are looked up before others get their turn.
const KNOWN_AT_ONCE: usize = 4096;
const DAY_NS: i64 = 86_400_000_000_000;

/// What a file hashed to.
#[derive(Clone, Debug)]
pub struct FileHash {
    /// Its content id.
    pub id: ContentId,
    /// The values of its pieces, if it has more than one.
    pub values: Option<Arc<Values>>,
    /// When hashing began, nanoseconds since 1970.
    pub begun_ns: i64,
}

/// The ids of files that were hashed before and have not changed since.
pub(crate) fn known(db: &Db, files: &[Fingerprint]) -> Result<Vec<Option<ContentId>>, StoreError> {
    let today = now_ns() / DAY_NS;
    let (mut found, mut touched) = (Vec::with_capacity(files.len()), Vec::new());
    for some in files.chunks(KNOWN_AT_ONCE) {
        let connection = db.read();
        let mut find = connection.prepare_cached(
            "SELECT id, used FROM hashes
             WHERE dev = ?1 AND ino = ?2 AND size = ?3 AND mtime_ns = ?4",
        )?;
        for file in some {
            let key = (file.dev as i64, file.ino as i64, file.size as i64, file.mtime_ns);
            let row: Option<(Vec<u8>, i64)> =
                find.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let id = row.as_ref().map(|(id, _)| rows::content_id(id)).transpose()?;
            if row.is_some_and(|(_, used)| used != today) {
                touched.push((key.0, key.1));
            }
            // Without its values a file cannot be shared: it is read again.
            let several = Layout::new(file.size).pieces() > 1;
            found.push(match id {
                Some(id) if several && !has_values(&connection, &id)? => None,
                id => id,
            });
        }
    }
    if !touched.is_empty() {
        db.transaction(|tx| {
            let sql = "UPDATE hashes SET used = ?3 WHERE dev = ?1 AND ino = ?2";
            let mut touch = tx.prepare_cached(sql)?;
            for (dev, ino) in touched {
                touch.execute((dev, ino, today))?;
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Remembers hashes, except racy ones, and all values.
pub(crate) fn remember(db: &Db, files: &[(Fingerprint, FileHash)]) -> Result<(), StoreError> {
    let today = now_ns() / DAY_NS;
    db.transaction(|tx| {
        let mut put = tx.prepare_cached(
            "INSERT OR REPLACE INTO hashes (dev, ino, size, mtime_ns, id, used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (file, hash) in files {
            if let Some(values) = &hash.values {
                put_values(tx, values)?;
            }
            if !file.racy(hash.begun_ns) {
                let (dev, ino, size) = (file.dev as i64, file.ino as i64, file.size as i64);
                put.execute(params![dev, ino, size, file.mtime_ns, hash.id.0, today])?;
            }
        }
        Ok(())
    })
}

/// Keeps the values of a file; those of one content are always the same.
pub(crate) fn put_values(connection: &Connection, values: &Values) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO file_values (id, added, bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET added = excluded.added",
        )?
        .execute(params![values.root().0, now_ns() / DAY_NS, values.as_bytes()])?;
    Ok(())
}

/// Whether the values of a file are kept.
pub(crate) fn has_values(connection: &Connection, id: &ContentId) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM file_values WHERE id = ?1")?.exists([id.0])?)
}

/// The values of a file, if they are kept. Nothing is trusted: they are checked against the id.
pub(crate) fn values(db: &Db, layout: Layout, id: ContentId) -> Result<Option<Values>, StoreError> {
    let bytes: Option<Vec<u8>> = db
        .read()
        .prepare_cached("SELECT bytes FROM file_values WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else { return Ok(None) };
    let values = Values::from_bytes(layout, id, &bytes).ok();
    if values.is_none() {
        db.lock().execute("DELETE FROM file_values WHERE id = ?1", [id.0])?;
    }
    Ok(values)
}

/// Forgets the hashes that were not used for longest, and values that nothing refers to.
pub(crate) fn prune(db: &Db) -> Result<(), StoreError> {
    prune_to(db, HASHES_MAX)
}

fn prune_to(db: &Db, hashes_max: u64) -> Result<(), StoreError> {
    db.transaction(|tx| {
        let rows: i64 = tx.query_row("SELECT count(*) FROM hashes", [], |row| row.get(0))?;
        let excess = rows.saturating_sub(i64::try_from(hashes_max).unwrap_or(i64::MAX));
        if excess > 0 {
            tx.execute(
                "DELETE FROM hashes WHERE (dev, ino) IN
                 (SELECT dev, ino FROM hashes ORDER BY used LIMIT ?1)",
                [excess],
            )?;
        }
        let unused = unused_values(tx)?;
        let mut delete = tx.prepare("DELETE FROM file_values WHERE id = ?1")?;
        for id in unused {
            delete.execute([id])?;
        }
        Ok(())
    })
}

/// The ids of files whose values belong to no remembered hash, no share and no download. Those
/// added yesterday or today may be of a share that is just being made.
fn unused_values(tx: &Connection) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut used = HashSet::new();
    for table in ["shares", "downloads"] {
        let mut read = tx.prepare(&format!("SELECT ids FROM {table}"))?;
        let mut found = read.query([])?;
        while let Some(row) = found.next()? {
            let ids: Vec<u8> = row.get(0)?;
            used.extend(rows::id_starts(&ids));
        }
    }
    let mut read = tx.prepare("SELECT id FROM hashes WHERE size > ?1")?;
    let mut found = read.query([1i64 << PIECE_LOG2_MIN])?;
    while let Some(row) = found.next()? {
        used.insert(rows::id_start(&rows::content_id(&row.get::<_, Vec<u8>>(0)?)?));
    }
    let mut unused = Vec::new();
    let mut read = tx.prepare("SELECT id FROM file_values WHERE added < ?1")?;
    let mut found = read.query([now_ns() / DAY_NS - 1])?;
    while let Some(row) = found.next()? {
        let id: Vec<u8> = row.get(0)?;
        if !used.contains(&rows::id_start(&rows::content_id(&id)?)) {
            unused.push(id);
        }
    }
    Ok(unused)
}

#[cfg(test)]
mod tests {
    use potluck_content::{hash, piece_value, root};

    use super::*;

    fn hashed(bytes: &[u8], begun_ns: i64) -> FileHash {
        let layout = Layout::new(bytes.len() as u64);
        if layout.pieces() < 2 {
            return FileHash { id: hash(bytes), values: None, begun_ns };
        }
        let values: Vec<_> = (0..layout.pieces())
            .map(|index| {
                let (offset, len) = layout.span(index);
                piece_value(&layout, index, &bytes[offset as usize..][..len as usize])
            })
            .collect();
        let id = root(&layout, &values);
        let values = Values::verify(layout, id, values).unwrap();
        FileHash { id, values: Some(Arc::new(values)), begun_ns }
    }

    fn file(ino: u64, size: usize, mtime_ns: i64) -> Fingerprint {
        Fingerprint { dev: 3, ino, size: size as u64, mtime_ns }
    }

    fn open() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&folder.path().join("state.db")).unwrap();
        (folder, db)
    }

    const NOW: i64 = 1_000_000_000_000_000;

    #[test]
    fn a_hash_is_known_as_long_as_nothing_of_the_fingerprint_changes() {
        let (_folder, db) = open();
        let old = file(1, 5, NOW - 9_000_000_000);
        remember(&db, &[(old, hashed(b"hello", NOW))]).unwrap();
        let others = [
            Fingerprint { dev: 4, ..old },
            Fingerprint { ino: 2, ..old },
            Fingerprint { size: 6, ..old },
            Fingerprint { mtime_ns: old.mtime_ns + 1, ..old },
        ];
        assert_eq!(known(&db, &[old]).unwrap(), [Some(hash(b"hello"))]);
        assert_eq!(known(&db, &others).unwrap(), [None; 4]);
        // The inode has got another content since: the older fingerprint is forgotten.
        remember(&db, &[(others[3], hashed(b"world", NOW))]).unwrap();
        assert_eq!(known(&db, &[old, others[3]]).unwrap(), [None, Some(hash(b"world"))]);
    }

    #[test]
    fn a_hash_of_a_racy_file_is_not_remembered_but_its_values_are() {
        let (_folder, db) = open();
        let bytes = vec![7; 100_000];
        let racy = file(1, bytes.len(), NOW - 1_000_000_000);
        let hash = hashed(&bytes, NOW);
        remember(&db, &[(racy, hash.clone())]).unwrap();
        assert_eq!(known(&db, &[racy]).unwrap(), [None]);
        assert!(has_values(&db.lock(), &hash.id).unwrap());
    }

    #[test]
    fn a_file_whose_values_are_lost_or_wrong_is_hashed_again() {
        let (_folder, db) = open();
        let bytes = vec![7; 100_000];
        let file = file(1, bytes.len(), 0);
        let hash = hashed(&bytes, NOW);
        remember(&db, &[(file, hash.clone())]).unwrap();
        assert_eq!(known(&db, &[file]).unwrap(), [Some(hash.id)]);
        db.lock().execute("UPDATE file_values SET bytes = zeroblob(64)", []).unwrap();
        assert!(values(&db, Layout::new(100_000), hash.id).unwrap().is_none());
        assert_eq!(known(&db, &[file]).unwrap(), [None]);
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten_with_its_values() {
        let (_folder, db) = open();
        let bytes = vec![7; 100_000];
        let hash = hashed(&bytes, NOW);
        let (a, b) = (file(1, bytes.len(), 0), file(2, 5, 0));
        remember(&db, &[(a, hash.clone()), (b, hashed(b"hello", NOW))]).unwrap();
        db.lock().execute("UPDATE hashes SET used = 7", []).unwrap();
        known(&db, &[b]).unwrap();
        prune_to(&db, 2).unwrap();
        assert!(has_values(&db.lock(), &hash.id).unwrap());
        prune_to(&db, 1).unwrap();
        assert!(has_values(&db.lock(), &hash.id).unwrap());
        db.lock().execute("UPDATE file_values SET added = added - 2", []).unwrap();
        prune_to(&db, 1).unwrap();
        assert_eq!(known(&db, &[a, b]).unwrap(), [None, Some(potluck_content::hash(b"hello"))]);
        assert!(!has_values(&db.lock(), &hash.id).unwrap());
    }
}
