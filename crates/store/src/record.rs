//! Downloads in the database: what each shall become, how far it is, and where it ended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::{ContentId, PieceSet, RelPath};
use potluck_content::{Manifest, PieceMap};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::hashes;
use crate::owners::{self, Files};
use crate::rows;
use crate::share::{Origin, Root, ShareInfo, ShareKind, ShareRecord};
use crate::state::Inner;

/// A line in the list of unfinished downloads.
#[derive(Clone, Debug)]
pub struct DownloadInfo {
    /// What [`crate::Store::forget_download`] takes.
    pub number: i64,
    /// What is fetched.
    pub content: ContentId,
    /// A file or a folder.
    pub kind: ShareKind,
    /// Its name at the target.
    pub name: RelPath,
    /// Where it will be.
    pub path: PathBuf,
    /// Bytes of all files, selected or not.
    pub size: u64,
    /// Bytes that are here, as of the last checkpoint.
    pub have: u64,
    /// When it was begun, seconds since 1970.
    pub created: u64,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Pieces are being fetched into the part.
    Fetching = 0,
    /// Everything is in the part and is being moved to the target, or has just been.
    Finishing = 1,
    /// Everything is at the target.
    Finished = 2,
}

/// A row of the table `downloads`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) number: i64,
    pub(crate) content: ContentId,
    pub(crate) kind: ShareKind,
    /// Its name at the target, and the name that was asked for: they differ with
    /// `OnExists::Rename`.
    pub(crate) name: RelPath,
    pub(crate) asked: RelPath,
    pub(crate) folder: PathBuf,
    pub(crate) created: u64,
    pub(crate) size: u64,
    pub(crate) executable: bool,
    pub(crate) manifest: Option<Arc<Manifest>>,
    pub(crate) selected: Option<BTreeSet<u32>>,
    pub(crate) stage: Stage,
    /// Whether a finished download is known to be on the disk, and when it was finished if not.
    pub(crate) synced: bool,
    pub(crate) boot: String,
    /// Verified pieces in the part: known to be on the disk, and perhaps only in the system's
    /// memory.
    pub(crate) durable: PieceSet,
    pub(crate) doubtful: PieceSet,
    /// The device of the target, and the files at the target (or about to be moved there).
    pub(crate) dev: u64,
    pub(crate) files: Vec<Option<Fingerprint>>,
}

impl Record {
    pub(crate) fn map(&self) -> PieceMap {
        match &self.manifest {
            Some(manifest) => PieceMap::of_manifest(manifest),
            None => PieceMap::one_file(self.size, self.content),
        }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join(self.name.as_str())
    }

    /// Files that are at the target.
    pub(crate) fn count(&self) -> usize {
        self.files.iter().flatten().count()
    }

    /// What the index of files holds about it: of a finished folder the files that are there.
    pub(crate) fn indexed(&self) -> Files {
        match (self.stage, self.kind) {
            (Stage::Finished, ShareKind::Folder) => Files::of(&self.map(), &self.files),
            _ => Files::default(),
        }
    }

    /// A finished download as a share.
    pub(crate) fn share(self) -> ShareRecord {
        let name = self.name.as_str().to_owned();
        let root = match self.kind {
            ShareKind::Folder => Root { folder: self.target(), dev: self.dev, names: None },
            ShareKind::File => {
                let names = Some((name.clone(), name));
                Root { folder: self.folder.clone(), dev: self.dev, names }
            }
        };
        ShareRecord {
            id: self.content,
            kind: self.kind,
            name: self.name,
            roots: vec![root],
            created: self.created,
            size: self.size,
            executable: self.executable,
            manifest: self.manifest,
            files: self.files,
        }
    }
}

const COLUMNS: &str = "number, content, kind, name, asked, folder, created, size, executable,
    manifest, selected, state, synced, boot, durable, doubtful, dev, files";

/// The downloads of a content to a folder, the newest first.
pub(crate) fn find(
    connection: &Connection,
    folder: &Path,
    content: &ContentId,
) -> Result<Vec<Record>, StoreError> {
    let filter = "folder = ?1 AND content = ?2 ORDER BY number DESC";
    select(connection, filter, params![rows::path_bytes(folder), content.0])
}

/// Finished downloads that are not known to be on the disk.
pub(crate) fn unsynced(connection: &Connection) -> Result<Vec<Record>, StoreError> {
    select(connection, "state = 2 AND synced = 0 ORDER BY number", params![])
}

/// One download, if there is such a number.
pub(crate) fn get(connection: &Connection, number: i64) -> Result<Option<Record>, StoreError> {
    Ok(select(connection, "number = ?1", params![number])?.pop())
}

/// Puts a new download into the table, the person's or one that is `held` for others; returns its
/// number.
pub(crate) fn insert(connection: &Connection, new: &Record, held: bool) -> Result<i64, StoreError> {
    connection.execute(
        "INSERT INTO downloads (content, kind, name, asked, folder, created, size, executable,
             manifest, selected, state, synced, boot, durable, doubtful, dev, files, ids, count,
             held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20)",
        params![
            new.content.0,
            new.kind.number(),
            new.name.as_str(),
            new.asked.as_str(),
            rows::path_bytes(&new.folder),
            new.created as i64,
            new.size as i64,
            new.executable,
            new.manifest.as_ref().map(|manifest| manifest.encode()),
            rows::pack(&new.selected)?,
            new.stage as i64,
            new.synced,
            new.boot,
            rows::pack_pieces(&new.durable)?,
            rows::pack_pieces(&new.doubtful)?,
            new.dev as i64,
            rows::pack(&new.files)?,
            rows::pack_id_starts(&new.map()),
            new.count() as i64,
            held,
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Writes all that changes in the life of a download.
pub(crate) fn update(tx: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let before = get(tx, record.number)?.map(|before| before.indexed());
    tx.execute(
        "UPDATE downloads SET name = ?2, selected = ?3, state = ?4, synced = ?5, boot = ?6,
             durable = ?7, doubtful = ?8, dev = ?9, files = ?10, count = ?11 WHERE number = ?1",
        params![
            record.number,
            record.name.as_str(),
            rows::pack(&record.selected)?,
            record.stage as i64,
            record.synced,
            record.boot,
            rows::pack_pieces(&record.durable)?,
            rows::pack_pieces(&record.doubtful)?,
            record.dev as i64,
            rows::pack(&record.files)?,
            record.count() as i64,
        ],
    )?;
    let Some(before) = before else { return Ok(()) };
    owners::update(tx, Origin::Downloaded, record.number, &before, &record.indexed())
}

/// Writes which pieces are here.
pub(crate) fn update_marks(
    connection: &Connection,
    number: i64,
    durable: &PieceSet,
    doubtful: &PieceSet,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE downloads SET durable = ?2, doubtful = ?3 WHERE number = ?1")?
        .execute(params![number, rows::pack_pieces(durable)?, rows::pack_pieces(doubtful)?])?;
    Ok(())
}

/// Takes a download out of the table.
pub(crate) fn delete(tx: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    let Some(record) = get(tx, number)? else { return Ok(()) };
    tx.execute("DELETE FROM downloads WHERE number = ?1", [number])?;
    owners::update(tx, Origin::Downloaded, number, &record.indexed(), &Files::default())
}

/// Takes away what is said about other contents at the place where `record` now is.
pub(crate) fn displace(tx: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let filter = "folder = ?1 AND name = ?2 AND content != ?3 AND state = 2";
    let (folder, name) = (rows::path_bytes(&record.folder), record.name.as_str());
    for displaced in select(tx, filter, params![folder, name, record.content.0])? {
        delete(tx, displaced.number)?;
    }
    Ok(())
}

/// All downloads of the person's that are not finished.
pub(crate) fn unfinished(connection: &Connection) -> Result<Vec<DownloadInfo>, StoreError> {
    let records = select(connection, "state != 2 AND held = 0 ORDER BY number", params![])?;
    let info = |record: Record| {
        let map = record.map();
        let mut here = record.durable.clone();
        here.insert_all(&record.doubtful);
        for (file, _) in (0..).zip(&record.files).filter(|(_, placed)| placed.is_some()) {
            here.insert_range(map.file(file).pieces);
        }
        DownloadInfo {
            number: record.number,
            content: record.content,
            kind: record.kind,
            path: record.target(),
            name: record.name,
            size: record.size,
            have: map.bytes_of_set(&here),
            created: record.created,
        }
    };
    Ok(records.into_iter().map(info).collect())
}

/// Finished downloads of the person's, as lines in the list of shares.
pub(crate) fn finished(
    connection: &Connection,
    filter: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<ShareInfo>, StoreError> {
    let sql = format!(
        "SELECT content, kind, name, folder, created, size, executable, count FROM downloads
         WHERE state = 2 AND held = 0 AND {filter} ORDER BY number"
    );
    let mut read = connection.prepare_cached(&sql)?;
    let mut found = read.query(params)?;
    let mut shares = Vec::new();
    while let Some(row) = found.next()? {
        let name = rows::name(&row.get::<_, String>(2)?)?;
        shares.push(ShareInfo {
            id: rows::content_id(&row.get::<_, Vec<u8>>(0)?)?,
            kind: ShareKind::of_number(row.get(1)?)?,
            origin: Origin::Downloaded,
            path: rows::path(row.get(3)?).join(name.as_str()),
            name,
            created: row.get::<_, i64>(4)? as u64,
            size: row.get::<_, i64>(5)? as u64,
            executable: row.get(6)?,
            files: row.get::<_, i64>(7)? as u32,
        });
    }
    Ok(shares)
}

/// All finished downloads.
pub(crate) fn every_finished(connection: &Connection) -> Result<Vec<Record>, StoreError> {
    select(connection, "state = 2 ORDER BY number", params![])
}

/// The newest finished download of a content that may be served: after a crash of the machine one
/// that was not on the disk yet must be read again first.
pub(crate) fn finished_share(
    connection: &Connection,
    store: &Inner,
    content: &ContentId,
) -> Result<Option<ShareRecord>, StoreError> {
    let filter = "state = 2 AND content = ?1 ORDER BY number DESC";
    let mut records = select(connection, filter, params![content.0])?;
    records.retain(|record| record.synced || store.same_boot(&record.boot));
    Ok(records.into_iter().next().map(Record::share))
}

/// Forgets the person's finished downloads of a content.
pub(crate) fn forget_finished(tx: &Transaction<'_>, content: &ContentId) -> Result<(), StoreError> {
    const OF_PERSON: &str = "state = 2 AND held = 0 AND content = ?1";
    for record in select(tx, OF_PERSON, params![content.0])? {
        delete(tx, record.number)?;
    }
    Ok(())
}

/// The files of several pieces whose values are kept.
pub(crate) fn files_with_values(
    connection: &Connection,
    map: &PieceMap,
) -> Result<BTreeSet<u32>, StoreError> {
    let mut known = BTreeSet::new();
    for number in 0..map.files() {
        let file = map.file(number);
        if file.pieces.len() > 1 && hashes::has_values(connection, &file.id)? {
            known.insert(number);
        }
    }
    Ok(known)
}

fn select(
    connection: &Connection,
    filter: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Record>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM downloads WHERE {filter}");
    let mut read = connection.prepare_cached(&sql)?;
    let mut found = read.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        records.push(self::read(row)?);
    }
    Ok(records)
}

fn read(row: &Row<'_>) -> Result<Record, StoreError> {
    let blob = |column| row.get::<_, Vec<u8>>(column);
    let content = rows::content_id(&blob(1)?)?;
    let manifest: Option<Vec<u8>> = row.get(9)?;
    let mut record = Record {
        number: row.get(0)?,
        content,
        kind: ShareKind::of_number(row.get(2)?)?,
        name: rows::name(&row.get::<_, String>(3)?)?,
        asked: rows::name(&row.get::<_, String>(4)?)?,
        folder: rows::path(blob(5)?),
        created: row.get::<_, i64>(6)? as u64,
        size: row.get::<_, i64>(7)? as u64,
        executable: row.get(8)?,
        manifest: rows::manifest(manifest.as_deref(), &content)?,
        selected: rows::unpack(&blob(10)?)?,
        stage: match row.get(11)? {
            0 => Stage::Fetching,
            1 => Stage::Finishing,
            2 => Stage::Finished,
            _ => return Err(StoreError::Damaged("a stage that does not exist")),
        },
        synced: row.get(12)?,
        boot: row.get(13)?,
        durable: PieceSet::none(0),
        doubtful: PieceSet::none(0),
        dev: row.get::<_, i64>(16)? as u64,
        files: Vec::new(),
    };
    if (record.kind == ShareKind::Folder) != record.manifest.is_some() {
        return Err(StoreError::Damaged("a download"));
    }
    let map = record.map();
    record.durable = rows::unpack_pieces(&blob(14)?, map.total())?;
    record.doubtful = rows::unpack_pieces(&blob(15)?, map.total())?;
    record.files = rows::fingerprints(&blob(17)?, &map)?;
    Ok(record)
}

/// Whether anything is shared or finished: without, there is nothing to copy from.
pub(crate) fn anything_to_adopt(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM shares UNION ALL SELECT 1 FROM downloads WHERE state = 2 LIMIT 1";
    Ok(connection.query_row(sql, [], |_| Ok(())).optional()?.is_some())
}
