//! Shares in the database: put there, listed, taken away, opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::ContentId;
use rusqlite::{Connection, Row, Transaction, params};

use crate::error::StoreError;
use crate::offers::{self, Offer};
use crate::owners::{self, Files};
use crate::record;
use crate::rows;
use crate::share::{Origin, Root, ShareInfo, ShareKind, ShareRecord};
use crate::single;
use crate::source::Source;
use crate::state::Inner;

/// A root as it is stored: folder, device, names.
type RootRow = (Vec<u8>, u64, Option<(String, String)>);

const COLUMNS: &str =
    "id, kind, name, created, size, executable, count, roots, files, manifest, number";
const LIGHT_COLUMNS: &str = "id, kind, name, created, size, executable, count, roots";

/// Records a share; an earlier one of the same content is replaced.
pub(crate) fn put(store: &Inner, share: &ShareRecord) -> Result<(), StoreError> {
    store.db.transaction(|tx| write(tx, &share.id, share))?;
    store.forget_share(&share.id);
    Ok(())
}

/// Writes a share in place of that of the content `of`, and of one of its own content.
pub(crate) fn write(
    tx: &Transaction<'_>,
    of: &ContentId,
    share: &ShareRecord,
) -> Result<(), StoreError> {
    let map = share.map();
    if share.files.len() != map.files() as usize || share.roots.is_empty() {
        return Err(StoreError::Bug("a share whose files do not fit its manifest"));
    }
    if share.manifest.as_ref().is_some_and(|manifest| manifest.id() != share.id) {
        return Err(StoreError::Mismatch(share.id));
    }
    let (mut number, mut before) = (None, Files::default());
    for id in [*of, share.id] {
        let Some((found, old)) = find(tx, &id)? else { continue };
        if number.is_some_and(|number| number != found) {
            delete(tx, of)?;
        }
        (number, before) = (Some(found), indexed(&old));
    }
    let roots: Vec<RootRow> = share
        .roots
        .iter()
        .map(|root| (rows::path_bytes(&root.folder).to_vec(), root.dev, root.names.clone()))
        .collect();
    tx.prepare_cached(
        "INSERT OR REPLACE INTO shares
         (number, id, kind, name, created, size, executable, count, roots, ids, files, manifest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        number,
        share.id.0,
        share.kind.number(),
        share.name.as_str(),
        share.created as i64,
        share.size as i64,
        share.executable,
        share.files.len() as i64,
        rows::pack(&roots)?,
        rows::pack_id_starts(&map),
        rows::pack(&share.files)?,
        share.manifest.as_ref().map(|manifest| manifest.encode()),
    ])?;
    let number = number.unwrap_or_else(|| tx.last_insert_rowid());
    owners::update(tx, Origin::Shared, number, &before, &indexed(share))
}

/// Takes a share away; its files stay as they are.
pub(crate) fn delete(tx: &Transaction<'_>, id: &ContentId) -> Result<(), StoreError> {
    if let Some((number, share)) = find(tx, id)? {
        tx.execute("DELETE FROM shares WHERE number = ?1", [number])?;
        owners::update(tx, Origin::Shared, number, &indexed(&share), &Files::default())?;
    }
    Ok(())
}

/// What the index of files holds about a share: of a folder its files.
pub(crate) fn indexed(share: &ShareRecord) -> Files {
    match share.kind {
        ShareKind::Folder => Files::of(&share.map(), &share.files),
        ShareKind::File => Files::default(),
    }
}

/// All shares and all finished downloads, the oldest first.
pub(crate) fn list(store: &Inner) -> Result<Vec<ShareInfo>, StoreError> {
    let connection = store.db.read();
    let mut shares = lines(&connection, "TRUE", params![])?;
    shares.extend(record::finished(&connection, "TRUE", params![])?);
    shares.sort_by_key(|share| share.created);
    Ok(shares)
}

/// How many there are of them.
pub(crate) fn count(store: &Inner) -> Result<u64, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM shares)
                   + (SELECT count(*) FROM downloads WHERE state = 2 AND held = 0)";
    let count: i64 = store.db.read().query_row(sql, [], |row| row.get(0))?;
    Ok(count as u64)
}

/// One of them.
pub(crate) fn get(store: &Inner, id: &ContentId) -> Result<Option<ShareInfo>, StoreError> {
    let connection = store.db.read();
    if let Some(share) = lines(&connection, "id = ?1", params![id.0])?.pop() {
        return Ok(Some(share));
    }
    Ok(record::finished(&connection, "content = ?1", params![id.0])?.pop())
}

fn lines(
    connection: &Connection,
    filter: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<ShareInfo>, StoreError> {
    let sql = format!("SELECT {LIGHT_COLUMNS} FROM shares WHERE {filter}");
    let mut read = connection.prepare_cached(&sql)?;
    let mut found = read.query(params)?;
    let mut shares = Vec::new();
    while let Some(row) = found.next()? {
        shares.push(ShareInfo {
            id: rows::content_id(&row.get::<_, Vec<u8>>(0)?)?,
            kind: ShareKind::of_number(row.get(1)?)?,
            origin: Origin::Shared,
            name: rows::name(&row.get::<_, String>(2)?)?,
            created: row.get::<_, i64>(3)? as u64,
            size: row.get::<_, i64>(4)? as u64,
            executable: row.get(5)?,
            files: row.get::<_, i64>(6)? as u32,
            path: first_path(&roots(row.get(7)?)?),
        });
    }
    Ok(shares)
}

/// Takes away the share whose id starts with `prefix`, with all offers of it; files stay as they
/// are.
pub(crate) fn remove(store: &Inner, prefix: &str) -> Result<(ShareInfo, Vec<Offer>), StoreError> {
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
    let offers = store.db.transaction(|tx| {
        delete(tx, &first.id)?;
        record::forget_finished(tx, &first.id)?;
        offers::remove_of(tx, &first.id)
    })?;
    store.forget_share(&first.id);
    Ok((first, offers))
}

/// Opens a share or, if there is none, a finished download of this content, or else a file of this
/// content in one of them.
pub(crate) fn open(store: &Arc<Inner>, id: &ContentId) -> Result<Option<Source>, StoreError> {
    match open_whole(store, id)? {
        None => single::open(store, id),
        source => Ok(source),
    }
}

/// Opens a share or, if there is none, a finished download of this content.
pub(crate) fn open_whole(store: &Arc<Inner>, id: &ContentId) -> Result<Option<Source>, StoreError> {
    let share = record(store, id)?;
    Ok(share.map(|share| Source::new(store.clone(), Arc::unwrap_or_clone(share))))
}

/// All that is kept about a share or a finished download that may be served.
pub(crate) fn record(
    store: &Inner,
    id: &ContentId,
) -> Result<Option<Arc<ShareRecord>>, StoreError> {
    let (known, asked) = store.kept_share(id);
    if known.is_some() {
        return Ok(known);
    }
    let share = {
        let connection = store.db.read();
        match find(&connection, id)? {
            Some((_, share)) => share,
            // Whether it may be served changes without the table: never kept in memory.
            None => {
                return Ok(record::finished_share(&connection, store, id)?.map(Arc::new));
            }
        }
    };
    let share = Arc::new(share);
    store.keep_share(&share, asked);
    Ok(Some(share))
}

fn find(connection: &Connection, id: &ContentId) -> Result<Option<(i64, ShareRecord)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shares WHERE id = ?1");
    let mut read = connection.prepare_cached(&sql)?;
    let mut found = read.query([id.0])?;
    found.next()?.map(self::read).transpose()
}

/// All shares with their numbers.
pub(crate) fn every(connection: &Connection) -> Result<Vec<(i64, ShareRecord)>, StoreError> {
    let mut read = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM shares"))?;
    let mut found = read.query([])?;
    let mut shares = Vec::new();
    while let Some(row) = found.next()? {
        shares.push(self::read(row)?);
    }
    Ok(shares)
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

fn read(row: &Row<'_>) -> Result<(i64, ShareRecord), StoreError> {
    let id = rows::content_id(&row.get::<_, Vec<u8>>(0)?)?;
    let manifest: Option<Vec<u8>> = row.get(9)?;
    let mut share = ShareRecord {
        id,
        kind: ShareKind::of_number(row.get(1)?)?,
        name: rows::name(&row.get::<_, String>(2)?)?,
        created: row.get::<_, i64>(3)? as u64,
        size: row.get::<_, i64>(4)? as u64,
        executable: row.get(5)?,
        roots: roots(row.get(7)?)?,
        manifest: rows::manifest(manifest.as_deref(), &id)?,
        files: Vec::new(),
    };
    if share.roots.is_empty() || (share.kind == ShareKind::Folder) != share.manifest.is_some() {
        return Err(StoreError::Damaged("a share"));
    }
    share.files = rows::fingerprints(&row.get::<_, Vec<u8>>(8)?, &share.map())?;
    Ok((row.get(10)?, share))
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
