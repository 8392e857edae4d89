//! The embedded index of a tracker: one SQLite file with FTS5.
//!
//! Goals: a search takes milliseconds among a million files; what a tracker needs at its start is
//! read without touching files; several processes may use one file. Not a goal: ranking by
//! statistics, which would have all matches of a frequent word read.
//!
//! One connection writes, behind a lock; each question takes a connection of its own from a pool
//! and sees one state of the index, whatever is written meanwhile.

mod answers;
mod catalogue;
mod expire;
mod facts;
mod hits;
mod load;
mod members;
mod publish;
mod query;
mod rows;
mod schema;
mod search;
mod suggest;
#[cfg(test)]
mod tests;
mod words;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use potluck_base::NetworkId;
use potluck_proto::directory::tracker::{
    Answer, Change, Conflict, Found, Loaded, Question, Written,
};
use rusqlite::Connection;

use self::facts::Facts;
use self::hits::Source;
use super::store::{CiCatalogue, IndexStats, Online, StoreFault, TrackerStore};

/// Connections that are kept for the next question; more are opened and closed as needed.
const READERS_KEPT: usize = 8;
/// Pieces of the index of words that are merged in one go of upkeep.
const MERGED: u32 = 2000;

/// The index of a tracker in one file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    facts: Facts,
}

impl SqliteStore {
    /// Opens the index, or makes an empty one.
    pub fn open(path: &Path) -> Result<Self, StoreFault> {
        let writer = Mutex::new(schema::open_writer(path)?);
        let (readers, facts) = (Mutex::default(), Facts::default());
        Ok(Self { path: path.to_owned(), writer, readers, facts })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from one state of the index.
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let kept = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let free = kept().pop();
        let connection = match free {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = work(&transaction);
        drop(transaction);
        let mut kept = kept();
        if result.is_ok() && kept.len() < READERS_KEPT {
            kept.push(connection);
        }
        result
    }

    fn source<'a>(
        &'a self,
        connection: &'a Connection,
        network: &NetworkId,
        online: Online<'a>,
    ) -> Source<'a> {
        Source { connection, facts: &self.facts, network: *network, online }
    }
}

impl TrackerStore for SqliteStore {
    fn load(&self) -> Result<Loaded, StoreFault> {
        self.read(load::load)
    }

    fn write(&self, changes: Vec<Change>) -> Vec<Result<Written, Conflict>> {
        write::write(&mut self.writer(), &changes)
    }

    fn ask(&self, question: &Question, online: Online<'_>) -> Result<Answer, StoreFault> {
        self.read(|connection| match question {
            Question::Search { network, query } => {
                let source = self.source(connection, network, online);
                let Some(row) = write::network_row(connection, network)? else {
                    return Ok(Answer::Found(Found::default()));
                };
                search::search(&source, row, query).map(Answer::Found)
            }
            Question::Providers { network, content, offset } => {
                let source = self.source(connection, network, online);
                let Some(row) = write::network_row(connection, network)? else {
                    return Ok(Answer::Providers { providers: Vec::new(), more: false });
                };
                answers::providers(&source, row, content, *offset as usize)
            }
            Question::Shares { network, peer, after } => {
                let source = self.source(connection, network, online);
                answers::shares(&source, peer, after.as_ref())
            }
            Question::Entries { network, peer, share, after } => {
                let source = self.source(connection, network, online);
                answers::entries(&source, peer, share, after.as_deref())
            }
        })
    }

    fn stats(&self) -> Result<IndexStats, StoreFault> {
        self.read(|connection| {
            let count = |sql: &str| -> Result<u64, StoreFault> {
                let mut query = connection.prepare_cached(sql)?;
                Ok(query.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned())
            };
            Ok(IndexStats {
                files: count("SELECT count(*) FROM files")?,
                pages: count("SELECT count(*) FROM pages")?,
                shares: count("SELECT count(*) FROM shares")?,
                words: count("SELECT count(*) FROM vocabulary")?,
                ci: count("SELECT count(*) FROM ci")?,
                bytes: count("PRAGMA page_count")? * count("PRAGMA page_size")?,
                revision: schema::revision(connection)?,
            })
        })
    }

    fn upkeep(&self) -> Result<(), StoreFault> {
        let connection = self.writer();
        let sql = "INSERT INTO words (words, rank) VALUES ('merge', ?1)";
        connection.execute(sql, [MERGED])?;
        connection.execute_batch(
            "PRAGMA analysis_limit = 400;
             PRAGMA optimize;
             PRAGMA wal_checkpoint(PASSIVE);",
        )?;
        Ok(())
    }

    fn ci(&self) -> &dyn CiCatalogue {
        self
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
