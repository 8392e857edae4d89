//! Offers: what a person publishes, under which name, where, and for whom. A share says which bytes
//! are where; an offer says whom they are for, and stays the same when a watched folder changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use potluck_base::{ContentId, NetworkId, RelPath, ShareKey};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::audience::Audience;
use crate::db::Db;
use crate::error::StoreError;
use crate::record;
use crate::rows;
use crate::share::ShareRecord;
use crate::shares;

/// The counter of [`crate::Store::next_sequence`].
const SEQUENCE: &str = "sequence";

/// Something that this node publishes, for as long as it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What names it to others.
    pub key: ShareKey,
    /// What it is at present.
    pub content: ContentId,
    /// Its name in tickets, lists and searches.
    pub name: RelPath,
    /// Words that it is found by, beside its names.
    pub tags: Vec<String>,
    /// What was given to be shared, as absolute paths.
    pub paths: Vec<PathBuf>,
    /// The networks that it is published in.
    pub listed: BTreeSet<NetworkId>,
    /// Who may have it.
    pub audience: Audience,
    /// Whether its paths are watched, so that it follows what happens there.
    pub watch: bool,
    /// Whether it was downloaded.
    pub downloaded: bool,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// The number of its last publication, see [`crate::Store::next_sequence`].
    pub sequence: u64,
}

/// How an offer got another content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The offer as it is now.
    pub offer: Offer,
    /// What it was before, if that is something else.
    pub before: Option<ContentId>,
    /// Whether nothing offers what it was before any more: its share is gone.
    pub gone: bool,
}

const COLUMNS: &str = "key, content, name, tags, paths, listed, audience, watch, downloaded,
    created_ms, sequence";

/// Puts an offer into the table, in place of an earlier one of the same key.
pub(crate) fn put(connection: &Connection, offer: &Offer) -> Result<(), StoreError> {
    let paths: Vec<&[u8]> = offer.paths.iter().map(|path| rows::path_bytes(path)).collect();
    connection
        .prepare_cached(&format!(
            "INSERT INTO offers ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (key) DO UPDATE SET content = ?2, name = ?3, tags = ?4, paths = ?5,
                 listed = ?6, audience = ?7, watch = ?8, downloaded = ?9, created_ms = ?10,
                 sequence = ?11"
        ))?
        .execute(params![
            offer.key.0,
            offer.content.0,
            offer.name.as_str(),
            rows::pack(&offer.tags)?,
            rows::pack(&paths)?,
            rows::pack(&offer.listed)?,
            rows::pack(&offer.audience)?,
            offer.watch,
            offer.downloaded,
            offer.created_ms as i64,
            offer.sequence as i64,
        ])?;
    Ok(())
}

/// All offers, the oldest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Offer>, StoreError> {
    select(connection, "TRUE ORDER BY created_ms, key", params![])
}

/// One offer.
pub(crate) fn get(connection: &Connection, key: &ShareKey) -> Result<Option<Offer>, StoreError> {
    Ok(select(connection, "key = ?1", params![key.0])?.pop())
}

/// The offers of a content.
pub(crate) fn of_content(
    connection: &Connection,
    content: &ContentId,
) -> Result<Vec<Offer>, StoreError> {
    select(connection, "content = ?1 ORDER BY created_ms, key", params![content.0])
}

/// For whom each offer of a content is.
pub(crate) fn audiences(
    connection: &Connection,
    content: &ContentId,
) -> Result<Vec<Audience>, StoreError> {
    let mut read = connection.prepare_cached("SELECT audience FROM offers WHERE content = ?1")?;
    let mut found = read.query([content.0])?;
    let mut audiences = Vec::new();
    while let Some(row) = found.next()? {
        audiences.push(rows::unpack(&row.get::<_, Vec<u8>>(0)?)?);
    }
    Ok(audiences)
}

/// Takes an offer away, and its share or finished download if nothing else offers that.
pub(crate) fn remove(tx: &Transaction<'_>, key: &ShareKey) -> Result<Option<Offer>, StoreError> {
    let Some(offer) = get(tx, key)? else {
        return Ok(None);
    };
    tx.execute("DELETE FROM offers WHERE key = ?1", [key.0])?;
    if !is_offered(tx, &offer.content)? {
        shares::delete(tx, &offer.content)?;
        record::forget_finished(tx, &offer.content)?;
    }
    Ok(Some(offer))
}

/// Takes all offers of a content away; returns them.
pub(crate) fn remove_of(tx: &Transaction<'_>, id: &ContentId) -> Result<Vec<Offer>, StoreError> {
    let offers = of_content(tx, id)?;
    tx.execute("DELETE FROM offers WHERE content = ?1", [id.0])?;
    Ok(offers)
}

/// Takes the offers of a download away that was given up, unless the content is here otherwise.
pub(crate) fn remove_lost(tx: &Transaction<'_>, content: &ContentId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM offers WHERE content = ?1 AND downloaded
             AND NOT EXISTS (SELECT 1 FROM shares WHERE id = ?1)
             AND NOT EXISTS (SELECT 1 FROM downloads WHERE content = ?1)",
        [content.0],
    )?;
    Ok(())
}

/// Gives an offer the content that its paths have now, and its publication a new number.
pub(crate) fn advance(
    tx: &Transaction<'_>,
    key: &ShareKey,
    share: &ShareRecord,
    now_ms: u64,
) -> Result<Option<Moved>, StoreError> {
    let Some(mut offer) = get(tx, key)? else {
        return Ok(None);
    };
    let before = offer.content;
    offer.content = share.id;
    offer.sequence = next_sequence(tx, now_ms)?;
    put(tx, &offer)?;
    let gone = before != share.id && !is_offered(tx, &before)?;
    // The share of the old content becomes that of the new one: then only what differs is written
    // into the index of files.
    let of = if gone { before } else { share.id };
    shares::write(tx, &of, share)?;
    Ok(Some(Moved { offer, before: (before != share.id).then_some(before), gone }))
}

/// Records an offer and the share that it is of at once: no moment at which the share is there and
/// for anyone. An earlier share of the same offer goes as in [`advance`].
pub(crate) fn begin(
    tx: &Transaction<'_>,
    offer: &Offer,
    share: &ShareRecord,
    now_ms: u64,
) -> Result<Option<Moved>, StoreError> {
    let content = get(tx, &offer.key)?.map_or(share.id, |earlier| earlier.content);
    put(tx, &Offer { content, ..offer.clone() })?;
    advance(tx, &offer.key, share, now_ms)
}

/// Takes away what an offer offers, for as long as its paths are not there. The offer stays.
pub(crate) fn suspend(
    tx: &Transaction<'_>,
    key: &ShareKey,
    now_ms: u64,
) -> Result<Option<Moved>, StoreError> {
    let Some(mut offer) = get(tx, key)? else {
        return Ok(None);
    };
    offer.sequence = next_sequence(tx, now_ms)?;
    put(tx, &offer)?;
    let others = of_content(tx, &offer.content)?.iter().any(|other| other.key != *key);
    if !others {
        shares::delete(tx, &offer.content)?;
    }
    let before = Some(offer.content);
    Ok(Some(Moved { offer, before, gone: !others }))
}

/// Into how many pages the files of an offer are put; none if that was never said.
pub(crate) fn pages(connection: &Connection, key: &ShareKey) -> Result<Option<u16>, StoreError> {
    let sql = "SELECT pages FROM offers WHERE key = ?1";
    let pages: Option<u16> =
        connection.prepare_cached(sql)?.query_row([key.0], |row| row.get(0)).optional()?;
    Ok(pages.filter(|pages| *pages > 0))
}

/// Notes into how many pages the files of an offer are put.
pub(crate) fn set_pages(
    connection: &Connection,
    key: &ShareKey,
    pages: u16,
) -> Result<(), StoreError> {
    connection.execute("UPDATE offers SET pages = ?2 WHERE key = ?1", params![key.0, pages])?;
    Ok(())
}

/// A number for the next publication: larger than all before, and not below the present.
pub(crate) fn next_sequence(tx: &Transaction<'_>, now_ms: u64) -> Result<u64, StoreError> {
    let last: Option<i64> = tx
        .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
        .query_row([SEQUENCE], |row| row.get(0))
        .optional()?;
    let next = now_ms.max(last.map_or(0, |last| (last as u64).saturating_add(1)));
    tx.prepare_cached("INSERT OR REPLACE INTO counters (name, value) VALUES (?1, ?2)")?
        .execute(params![SEQUENCE, next as i64])?;
    Ok(next)
}

/// As [`next_sequence`], in a transaction of its own.
pub(crate) fn draw_sequence(db: &Db, now_ms: u64) -> Result<u64, StoreError> {
    db.transaction(|tx| next_sequence(tx, now_ms))
}

fn is_offered(connection: &Connection, content: &ContentId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM offers WHERE content = ?1";
    Ok(connection.prepare_cached(sql)?.exists([content.0])?)
}

fn select(
    connection: &Connection,
    filter: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Offer>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM offers WHERE {filter}");
    let mut read = connection.prepare_cached(&sql)?;
    let mut found = read.query(params)?;
    let mut offers = Vec::new();
    while let Some(row) = found.next()? {
        offers.push(self::read(row)?);
    }
    Ok(offers)
}

fn read(row: &Row<'_>) -> Result<Offer, StoreError> {
    let blob = |column| row.get::<_, Vec<u8>>(column);
    let key: [u8; 16] =
        blob(0)?.try_into().map_err(|_| StoreError::Damaged("a key of a wrong length"))?;
    let paths: Vec<Vec<u8>> = rows::unpack(&blob(4)?)?;
    Ok(Offer {
        key: ShareKey(key),
        content: rows::content_id(&blob(1)?)?,
        name: rows::name(&row.get::<_, String>(2)?)?,
        tags: rows::unpack(&blob(3)?)?,
        paths: paths.into_iter().map(rows::path).collect(),
        listed: rows::unpack(&blob(5)?)?,
        audience: rows::unpack(&blob(6)?)?,
        watch: row.get(7)?,
        downloaded: row.get(8)?,
        created_ms: row.get::<_, i64>(9)? as u64,
        sequence: row.get::<_, i64>(10)? as u64,
    })
}

impl Offer {
    /// Whether a path is one of those that were given, or below one.
    pub fn covers(&self, path: &Path) -> bool {
        self.paths.iter().any(|given| path.starts_with(given))
    }
}
