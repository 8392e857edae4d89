//! The tables of the index, their versions, and how the file is opened.
//!
//! Ids: a file's id is `network << 40 | number`, so the files of one network are one range of ids,
//! and the index of words, which is one for all networks, is read within that range only.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::words;
use crate::tracker::store::StoreFault;

/// How long a statement waits for another program that writes to the same file.
const BUSY: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared: all there are.
const PREPARED: usize = 128;
/// Bytes of the file that readers map into memory at most; the rest is read.
const MAPPED_BYTES: u64 = 4 << 30;
/// Bits of a file's id that are its number in its network.
pub(super) const NUMBER_BITS: u32 = 40;

/// Which entries [`super::text`] makes of a name. Another number has the index of words built anew.
const TEXT_RULES: i64 = 1;

/// The steps from each version to the next; the first makes an empty database an index.
const MIGRATIONS: &[&str] = &["
CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', 0), ('text_rules', 1);

CREATE TABLE networks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network BLOB NOT NULL UNIQUE,
    record BLOB NOT NULL,
    revocations BLOB
);
CREATE TABLE admissions (
    network BLOB NOT NULL,
    invite BLOB NOT NULL,
    peer BLOB NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (network, invite, peer)
) WITHOUT ROWID;
CREATE TABLE banned (peer BLOB NOT NULL PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE peers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network INTEGER NOT NULL,
    peer BLOB NOT NULL,
    nick TEXT NOT NULL,
    nick_folded TEXT NOT NULL,
    role INTEGER NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    presence BLOB,
    membership BLOB NOT NULL,
    UNIQUE (network, peer),
    UNIQUE (network, nick_folded)
);

CREATE TABLE shares (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    peer INTEGER NOT NULL,
    share BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    size INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    file INTEGER,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,
    head BLOB NOT NULL,
    UNIQUE (peer, share)
);
CREATE TABLE withdrawn (
    network BLOB NOT NULL,
    peer BLOB NOT NULL,
    share BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (network, peer, share)
) WITHOUT ROWID;
CREATE TABLE pages (
    id INTEGER PRIMARY KEY,
    share INTEGER NOT NULL,
    page INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    root BLOB NOT NULL,
    entries INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    head BLOB NOT NULL,
    leaves BLOB NOT NULL,
    files BLOB NOT NULL
);
CREATE UNIQUE INDEX pages_by_share
    ON pages (share, page, sequence, root, entries, expires_ms);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    network INTEGER NOT NULL,
    share INTEGER NOT NULL,
    page INTEGER,
    size INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    modified_s INTEGER NOT NULL,
    content BLOB NOT NULL,
    path TEXT NOT NULL
);
CREATE UNIQUE INDEX files_by_path ON files (share, path) WHERE page IS NOT NULL;
CREATE INDEX files_by_content ON files (network, substr(content, 1, 8));

CREATE VIRTUAL TABLE words USING fts5 (
    text, content = '', columnsize = 0, detail = column, tokenize = 'ascii'
);
CREATE TABLE vocabulary (
    network INTEGER NOT NULL,
    word TEXT NOT NULL,
    files INTEGER NOT NULL,
    PRIMARY KEY (network, word)
) WITHOUT ROWID;

CREATE TABLE ci (
    id INTEGER PRIMARY KEY,
    network INTEGER NOT NULL,
    number INTEGER NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    title TEXT NOT NULL,
    UNIQUE (network, number, host, port)
);
CREATE INDEX ci_by_host ON ci (network, host, port);
CREATE VIRTUAL TABLE ci_words USING fts5 (
    text, content = '', columnsize = 0, detail = column, tokenize = 'ascii'
);
"];

/// Opens the connection that writes, and brings the file to the newest version.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreFault> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // Before anything is changed: a file of a newer program stays as it is.
    refuse_newer(&connection)?;
    // A crash of the machine may cost the last transactions, never the file; peers say again what
    // is missing. What they cannot say again is written with `synchronous = FULL`.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 33554432;
         PRAGMA cache_size = -65536;",
    )?;
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// Opens one of the connections that only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // The file's pages are shared with the system and among connections instead of copied.
    let sql = format!("PRAGMA mmap_size = {MAPPED_BYTES}; PRAGMA cache_size = -8192;");
    connection.execute_batch(&sql)?;
    Ok(connection)
}

/// How much was written since the file was made: grows with every transaction that changes
/// something.
pub(super) fn revision(connection: &Connection) -> Result<u64, StoreFault> {
    let mut query = connection.prepare_cached("SELECT value FROM meta WHERE name = 'revision'")?;
    Ok(query.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

/// Counts a change.
pub(super) fn count_revision(connection: &Connection) -> Result<(), StoreFault> {
    let sql = "UPDATE meta SET value = value + 1 WHERE name = 'revision'";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, StoreFault> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn refuse_newer(connection: &Connection) -> Result<(), StoreFault> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = version(connection)?;
    if found > known { Err(StoreFault::Newer { found, known }) } else { Ok(()) }
}

fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let done = usize::try_from(found).map_err(|_| StoreFault::Damaged("a negative version"))?;
    for step in steps.get(done..).unwrap_or_default() {
        transaction.execute_batch(step)?;
        let next = version(&transaction)? + 1;
        transaction.pragma_update(None, "user_version", next)?;
    }
    let rules: i64 =
        transaction
            .query_row("SELECT value FROM meta WHERE name = 'text_rules'", [], |row| row.get(0))?;
    if rules != TEXT_RULES {
        words::rebuild(&transaction)?;
        let sql = "UPDATE meta SET value = ?1 WHERE name = 'text_rules'";
        transaction.execute(sql, [TEXT_RULES])?;
    }
    transaction.commit()?;
    Ok(())
}
