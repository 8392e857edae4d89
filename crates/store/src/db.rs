//! The node's state: one SQLite database, its versions and how it is opened.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::StoreError;
use crate::upgrade;

/// How long a statement waits for another program that looks into the database.
const BUSY: Duration = Duration::from_secs(10);

/// Work on the state that is being brought to a newer version.
type Upgrade = fn(&Transaction<'_>) -> Result<(), StoreError>;

/// A step from one version of the schema to the next.
struct Step {
    sql: &'static str,
    /// What SQL alone cannot do, afterwards.
    then: Option<Upgrade>,
}

impl Step {
    const fn sql(sql: &'static str) -> Self {
        Self { sql, then: None }
    }
}

/// The steps; the first makes an empty database a state. Described in docs/spec/05-state.md.
const MIGRATIONS: &[Step] = &[
    Step::sql(
        "CREATE TABLE hashes (
            dev INTEGER NOT NULL,
            ino INTEGER NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            id BLOB NOT NULL,
            used INTEGER NOT NULL,
            PRIMARY KEY (dev, ino)
        ) WITHOUT ROWID;
        CREATE TABLE file_values (
            id BLOB NOT NULL PRIMARY KEY,
            added INTEGER NOT NULL,
            bytes BLOB NOT NULL
        );
        CREATE TABLE shares (
            id BLOB NOT NULL PRIMARY KEY,
            kind INTEGER NOT NULL,
            name TEXT NOT NULL,
            created INTEGER NOT NULL,
            size INTEGER NOT NULL,
            executable INTEGER NOT NULL,
            roots BLOB NOT NULL,
            manifest BLOB,
            files BLOB NOT NULL,
            ids BLOB NOT NULL
        );
        CREATE TABLE downloads (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            content BLOB NOT NULL,
            kind INTEGER NOT NULL,
            name TEXT NOT NULL,
            asked TEXT NOT NULL,
            folder BLOB NOT NULL,
            created INTEGER NOT NULL,
            size INTEGER NOT NULL,
            executable INTEGER NOT NULL,
            manifest BLOB,
            selected BLOB,
            state INTEGER NOT NULL,
            synced INTEGER NOT NULL,
            boot TEXT NOT NULL,
            durable BLOB NOT NULL,
            doubtful BLOB NOT NULL,
            dev INTEGER NOT NULL,
            files BLOB NOT NULL,
            ids BLOB NOT NULL,
            UNIQUE (folder, name, content)
        );",
    ),
    // Small columns stand before large ones: SQLite reads a row from its beginning.
    Step { sql: include_str!("schema_2.sql"), then: Some(upgrade::to_2) },
    Step::sql(include_str!("schema_3.sql")),
    Step::sql(include_str!("schema_4.sql")),
];

/// The database, with one connection that writes and one that need not wait for it.
pub(crate) struct Db {
    write: Mutex<Connection>,
    read: Mutex<Connection>,
}

impl Db {
    /// Opens the database and brings it to the newest version.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection, MIGRATIONS)?;
        // A crash of the machine may cost the last transactions, never the database; whatever is
        // lost so is found again by looking at the files.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA journal_size_limit = 4194304;
             PRAGMA cache_size = -2048;",
        )?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = Connection::open_with_flags(path, flags)?;
        read.busy_timeout(BUSY)?;
        Ok(Self { write: Mutex::new(connection), read: Mutex::new(read) })
    }

    /// A connection for reads that must not wait while something is written.
    pub(crate) fn read(&self) -> MutexGuard<'_, Connection> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that writes.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.write.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does all of `work` or nothing.
    pub(crate) fn transaction<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

fn migrate(connection: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::NewerState { found, known });
    }
    let done = usize::try_from(found).map_err(|_| StoreError::Damaged("a negative version"))?;
    for step in &steps[done..] {
        transaction.execute_batch(step.sql)?;
        if let Some(then) = step.then {
            then(&transaction)?;
        }
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_empty_database_becomes_the_newest_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        for _ in 0..2 {
            let db = Db::open(&path).unwrap();
            let connection = db.lock();
            assert_eq!(version(&connection), MIGRATIONS.len() as i64);
            connection.execute("DELETE FROM shares", []).unwrap();
        }
    }

    #[test]
    fn an_older_state_is_taken_along_step_by_step() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            Step::sql("CREATE TABLE a (x); INSERT INTO a VALUES (7);"),
            Step::sql("ALTER TABLE a ADD COLUMN y;"),
        ];
        migrate(&mut connection, &steps[..1]).unwrap();
        migrate(&mut connection, &steps).unwrap();
        migrate(&mut connection, &steps).unwrap();
        let x: i64 =
            connection.query_row("SELECT x FROM a WHERE y IS NULL", [], |r| r.get(0)).unwrap();
        assert_eq!((x, version(&connection)), (7, 2));
    }

    #[test]
    fn a_step_that_fails_leaves_the_state_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x);", "CREATE TABLE b (x);", "NONSENSE;"].map(Step::sql);
        migrate(&mut connection, &steps[..1]).unwrap();
        migrate(&mut connection, &steps).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.query_row("SELECT * FROM b", [], |_| Ok(())).unwrap_err();
    }

    #[test]
    fn a_state_of_a_newer_program_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(Db::open(&path).unwrap());
        let newer = MIGRATIONS.len() as i64 + 1;
        Connection::open(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
        let error = Db::open(&path).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::NewerState { found, .. } if found == newer));
        assert_eq!(version(&Connection::open(&path).unwrap()), newer);
    }
}
