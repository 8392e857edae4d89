//! Shares in the database: put there, listed, taken away, opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::ContentId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::record;
use crate::rows;
use crate::share::{Origin, Root, ShareInfo, ShareKind, ShareRecord};
use crate::source::Source;
use crate::state::Inner;

/// A root as it is stored: folder, device, names.
type RootRow = (Vec<u8>, u64, Option<(String, String)>);

/// Records a share; an earlier one of the same content is replaced.
pub(crate) fn put(store: &Inner, share: &ShareRecord) -> Result<(), StoreError> {
    let map = share.map();
    if share.files.len() != map.files() as usize || share.roots.is_empty() {
        return Err(StoreError::Bug("a share whose files do not fit its manifest"));
    }
    if share.manifest.as_ref().is_some_and(|manifest| manifest.id() != share.id) {
        return Err(StoreError::Mismatch(share.id));
    }
    let roots: Vec<RootRow> = share
        .roots
        .iter()
        .map(|root| (rows::path_bytes(&root.folder).to_vec(), root.dev, root.names.clone()))
        .collect();
    store.db.transaction(|tx| {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO shares
             (id, kind, name, created, size, executable, roots, manifest, files, ids)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            share.id.0,
            share.kind.number(),
            share.name.as_str(),
            share.created as i64,
            share.size as i64,
            share.executable,
            rows::pack(&roots)?,
            share.manifest.as_ref().map(|manifest| manifest.encode()),
            rows::pack(&share.files)?,
            rows::pack_id_starts(&map),
        ])?;
        Ok(())
    })
}

/// All shares and all finished downloads, the oldest first.
pub(crate) fn list(store: &Inner) -> Result<Vec<ShareInfo>, StoreError> {
    let connection = store.db.lock();
    let mut read = connection.prepare_cached(
        "SELECT id, kind, name, created, size, executable, roots, length(files), files FROM shares",
    )?;
    let mut found = read.query([])?;
    let mut shares = Vec::new();
    while let Some(row) = found.next()? {
        let roots = roots(row.get(6)?)?;
        let kind = ShareKind::of_number(row.get(1)?)?;
        let files: Vec<Option<Fingerprint>> = rows::unpack(&row.get::<_, Vec<u8>>(8)?)?;
        shares.push(ShareInfo {
            id: rows::content_id(&row.get::<_, Vec<u8>>(0)?)?,
            kind,
            origin: Origin::Shared,
            name: rows::name(&row.get::<_, String>(2)?)?,
            path: first_path(&roots),
            size: row.get::<_, i64>(4)? as u64,
            files: files.len() as u32,
            executable: row.get(5)?,
            created: row.get::<_, i64>(3)? as u64,
        });
    }
    shares.extend(record::finished(&connection)?);
    shares.sort_by_key(|share| share.created);
    Ok(shares)
}

/// Takes away the share whose id starts with `prefix`; files stay as they are.
pub(crate) fn remove(store: &Inner, prefix: &str) -> Result<ShareInfo, StoreError> {
    let wanted = prefix.to_ascii_lowercase();
    let mut found: Vec<ShareInfo> = list(store)?;
    found.retain(|share| !wanted.is_empty() && share.id.to_string().starts_with(&wanted));
    let prefix = prefix.to_owned();
    let Some(first) = found.first().cloned() else {
        return Err(StoreError::NoSuchShare { prefix });
    };
    if found.iter().any(|share| share.id != first.id) {
        return Err(StoreError::AmbiguousShare { prefix });
    }
    store.db.transaction(|tx| {
        tx.execute("DELETE FROM shares WHERE id = ?1", [first.id.0])?;
        record::forget_finished(tx, &first.id)
    })?;
    Ok(first)
}

/// Opens a share or, if there is none, a finished download of this content.
pub(crate) fn open(store: &Arc<Inner>, id: &ContentId) -> Result<Option<Source>, StoreError> {
    let connection = store.db.lock();
    let share = connection
        .prepare_cached(
            "SELECT kind, name, created, size, executable, roots, manifest, files
             FROM shares WHERE id = ?1",
        )?
        .query_row([id.0], |row| Ok(read(row, id)))
        .optional()?
        .transpose()?;
    let share = match share {
        Some(share) => Some(share),
        None => record::finished_share(&connection, store, id)?,
    };
    drop(connection);
    Ok(share.map(|share| Source::new(store.clone(), share)))
}

/// The ids of shares and finished downloads that have a file whose id starts with one of `starts`.
pub(crate) fn with_files(
    connection: &Connection,
    wanted: impl Fn(u64) -> bool,
) -> Result<Vec<ContentId>, StoreError> {
    let mut read = connection.prepare_cached(
        "SELECT id, ids FROM shares UNION ALL SELECT content, ids FROM downloads WHERE state = 2",
    )?;
    let mut found = read.query([])?;
    let mut ids = Vec::new();
    while let Some(row) = found.next()? {
        let starts: Vec<u8> = row.get(1)?;
        if rows::id_starts(&starts).any(&wanted) {
            ids.push(rows::content_id(&row.get::<_, Vec<u8>>(0)?)?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn read(row: &Row<'_>, id: &ContentId) -> Result<ShareRecord, StoreError> {
    let manifest: Option<Vec<u8>> = row.get(6)?;
    let mut share = ShareRecord {
        id: *id,
        kind: ShareKind::of_number(row.get(0)?)?,
        name: rows::name(&row.get::<_, String>(1)?)?,
        created: row.get::<_, i64>(2)? as u64,
        size: row.get::<_, i64>(3)? as u64,
        executable: row.get(4)?,
        roots: roots(row.get(5)?)?,
        manifest: rows::manifest(manifest.as_deref(), id)?,
        files: Vec::new(),
    };
    if share.roots.is_empty() || (share.kind == ShareKind::Folder) != share.manifest.is_some() {
        return Err(StoreError::Damaged("a share"));
    }
    share.files = rows::fingerprints(&row.get::<_, Vec<u8>>(7)?, &share.map())?;
    Ok(share)
}

fn roots(bytes: Vec<u8>) -> Result<Vec<Root>, StoreError> {
    let roots: Vec<RootRow> = rows::unpack(&bytes)?;
    let root = |(folder, dev, names)| Root { folder: rows::path(folder), dev, names };
    Ok(roots.into_iter().map(root).collect())
}

fn first_path(roots: &[Root]) -> PathBuf {
    let Some(root) = roots.first() else {
        return PathBuf::new();
    };
    let name = root.names.as_ref().map(|(_, real)| Path::new(real.as_str()));
    name.map_or_else(|| root.folder.clone(), |name| root.folder.join(name))
}

impl ShareKind {
    pub(crate) fn number(self) -> i64 {
        match self {
            ShareKind::File => 0,
            ShareKind::Folder => 1,
        }
    }

    pub(crate) fn of_number(number: i64) -> Result<Self, StoreError> {
        match number {
            0 => Ok(ShareKind::File),
            1 => Ok(ShareKind::Folder),
            _ => Err(StoreError::Damaged("a kind of share that does not exist")),
        }
    }
}
