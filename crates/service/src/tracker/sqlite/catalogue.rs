//! What clients of P2P-CI have added: a table of its own, found by the same searches.

use std::collections::HashMap;

use potluck_base::{NetworkId, PeerId, ShareKey, limits};
use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_proto::directory::tracker::{FileType, Group, Hit, HitProof, Query};
use potluck_proto::directory::words::{Wanted, tokens};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior};

use super::SqliteStore;
use super::query::expression;
use super::write::network_row;
use crate::tracker::store::{CI_LISTED, CiCatalogue, CiRow, StoreFault};

/// What a hit says it is from.
const SOURCE: &str = "p2p-ci";
/// Rows that a search reads.
const FOUND: u32 = 200;
const COLUMNS: &str = "c.number, c.title, c.host, c.port";

impl CiCatalogue for SqliteStore {
    fn add(&self, network: &NetworkId, row: &CiRow) -> Result<(), StoreFault> {
        self.change(|connection| {
            let network = network_row(connection, network)?.ok_or(StoreFault::NoNetwork)?;
            let key = (network, row.number, &row.host, row.port);
            let old: Option<i64> = connection
                .prepare_cached(
                    "SELECT id FROM ci
                     WHERE network = ?1 AND number = ?2 AND host = ?3 AND port = ?4",
                )?
                .query_row(key, |row| row.get(0))
                .optional()?;
            if let Some(old) = old {
                drop_row(connection, old)?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO ci (network, number, host, port, title)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((network, row.number, &row.host, row.port, &row.title))?;
            add_words(connection, connection.last_insert_rowid(), row.number, &row.title)
        })
    }

    fn drop_host(&self, network: &NetworkId, host: &str, port: u16) -> Result<usize, StoreFault> {
        self.change(|connection| {
            let Some(network) = network_row(connection, network)? else { return Ok(0) };
            let ids: Vec<i64> = connection
                .prepare_cached("SELECT id FROM ci WHERE network = ?1 AND host = ?2 AND port = ?3")?
                .query_map((network, host, port), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for id in &ids {
                drop_row(connection, *id)?;
            }
            Ok(ids.len())
        })
    }

    fn clear(&self) -> Result<(), StoreFault> {
        self.change(|connection| {
            let sql = "DELETE FROM ci; INSERT INTO ci_words (ci_words) VALUES ('delete-all');";
            Ok(connection.execute_batch(sql)?)
        })
    }

    fn lookup(&self, network: &NetworkId, number: u32) -> Result<Vec<CiRow>, StoreFault> {
        self.read(|connection| {
            let Some(network) = network_row(connection, network)? else { return Ok(Vec::new()) };
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM ci c WHERE c.network = ?1 AND c.number = ?2
                 ORDER BY c.host, c.port LIMIT ?3"
            ))?;
            let rows = query.query_map((network, number, CI_LISTED), read_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn list(&self, network: &NetworkId) -> Result<Vec<CiRow>, StoreFault> {
        self.read(|connection| {
            let Some(network) = network_row(connection, network)? else { return Ok(Vec::new()) };
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM ci c WHERE c.network = ?1
                 ORDER BY c.number, c.host, c.port LIMIT ?2"
            ))?;
            let rows = query.query_map((network, CI_LISTED), read_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn read_row(row: &Row<'_>) -> Result<CiRow, rusqlite::Error> {
    Ok(CiRow { number: row.get(0)?, title: row.get(1)?, host: row.get(2)?, port: row.get(3)? })
}

fn drop_row(connection: &Connection, id: i64) -> Result<(), StoreFault> {
    let sql = "DELETE FROM ci WHERE id = ?1 RETURNING number, title";
    let mut query = connection.prepare_cached(sql)?;
    let text = query.query_row([id], |row| Ok(text_of(row.get(0)?, row.get_ref(1)?.as_str()?)))?;
    let sql = "INSERT INTO ci_words (ci_words, rowid, text) VALUES ('delete', ?1, ?2)";
    connection.prepare_cached(sql)?.execute((id, text))?;
    Ok(())
}

fn add_words(connection: &Connection, id: i64, number: u32, title: &str) -> Result<(), StoreFault> {
    let sql = "INSERT INTO ci_words (rowid, text) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((id, text_of(number, title)))?;
    Ok(())
}

/// What the index of words holds of a row.
fn text_of(number: u32, title: &str) -> String {
    let mut text = number.to_string();
    tokens(title, &mut |token| {
        text.push(' ');
        text.push_str(token.text);
    });
    text
}

/// Builds the words of all rows anew.
pub(super) fn rebuild(connection: &Connection) -> Result<(), StoreFault> {
    let mut query = connection.prepare("SELECT id, number, title FROM ci")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        add_words(connection, row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str()?)?;
    }
    Ok(())
}

/// What fits the words, one group for each number and title. Sizes are not known, so nothing fits
/// when one is asked for.
pub(super) fn search(
    connection: &Connection,
    network: i64,
    wanted: &Wanted,
    query: &Query,
) -> Result<Vec<Group>, StoreFault> {
    let fits = query.kinds.is_empty() || query.kinds.contains(&FileType::Other);
    if wanted.is_empty() || !fits || query.min_size.is_some() || query.max_size.is_some() {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM ci_words w CROSS JOIN ci c ON c.id = w.rowid
         WHERE w.ci_words MATCH ?1 AND c.network = ?2 LIMIT ?3"
    ))?;
    let rows = statement.query_map((expression(wanted), network, FOUND), read_row)?;
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<(u32, String), usize> = HashMap::new();
    for row in rows {
        let row = row?;
        let key = (row.number, row.title.to_lowercase());
        let at = *known.entry(key).or_insert_with(|| {
            groups.push(group(&row));
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.online += 1;
        group.providers += 1;
        if group.hits.len() < limits::GROUP_HITS {
            group.hits.push(hit(row));
        }
    }
    Ok(groups)
}

fn group(row: &CiRow) -> Group {
    Group {
        content: name_of(row),
        size: 0,
        kind: EntryKind::File,
        online: 0,
        providers: 0,
        partial: 0,
        newest_s: 0,
        hits: Vec::new(),
    }
}

/// Nobody knows what it hashes to: this only tells one title from another.
fn name_of(row: &CiRow) -> potluck_base::ContentId {
    potluck_content::hash(format!("{SOURCE} {} {}", row.number, row.title).as_bytes())
}

fn hit(row: CiRow) -> Hit {
    let entry = Entry {
        content: name_of(&row),
        path: row.title,
        size: 0,
        kind: EntryKind::File,
        executable: false,
        modified_s: 0,
    };
    let (host, port, number) = (row.host, row.port, row.number);
    Hit {
        peer: PeerId([0; 32]),
        share: ShareKey([0; 16]),
        entry,
        proof: HitProof::Unverified { source: SOURCE.to_owned(), host, port, number },
        online: true,
        last_seen_ms: 0,
    }
}

impl SqliteStore {
    /// Changes something in a transaction of its own.
    fn change<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let mut connection = self.writer();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        super::schema::count_revision(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}
