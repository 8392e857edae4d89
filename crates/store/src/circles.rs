//! What this node keeps of circles: records of other members that it is responsible for, and where
//! it last saw members, so that it finds them again.

use potluck_base::NetworkId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::error::StoreError;

/// A record that is kept for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    /// Under which key.
    pub key: [u8; 16],
    /// Which of those under the key.
    pub slot: [u8; 16],
    /// Until when it counts, milliseconds since 1970.
    pub expires_ms: u64,
    /// The record, as the services write it.
    pub bytes: Vec<u8>,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// It is kept, in place of one with the same key and slot.
    Keep(KeptRecord),
    /// It is forgotten.
    Drop {
        /// Under which key.
        key: [u8; 16],
        /// Which of those under the key.
        slot: [u8; 16],
    },
}

/// Makes changes in order.
pub(crate) fn change(
    tx: &Transaction<'_>,
    network: &NetworkId,
    changes: &[RecordChange],
) -> Result<(), StoreError> {
    let mut keep = tx.prepare_cached(
        "INSERT INTO circle_records (network, key, slot, expires_ms, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (network, key, slot)
         DO UPDATE SET expires_ms = excluded.expires_ms, bytes = excluded.bytes",
    )?;
    let mut drop = tx.prepare_cached(
        "DELETE FROM circle_records WHERE network = ?1 AND key = ?2 AND slot = ?3",
    )?;
    for change in changes {
        match change {
            RecordChange::Keep(record) => {
                let expires = record.expires_ms as i64;
                keep.execute(params![network.0, record.key, record.slot, expires, record.bytes])?;
            }
            RecordChange::Drop { key, slot } => {
                drop.execute(params![network.0, key, slot])?;
            }
        }
    }
    Ok(())
}

/// All records of a network that count at `now_ms`; the others are forgotten.
pub(crate) fn records(
    tx: &Transaction<'_>,
    network: &NetworkId,
    now_ms: u64,
) -> Result<Vec<KeptRecord>, StoreError> {
    tx.execute(
        "DELETE FROM circle_records WHERE network = ?1 AND expires_ms < ?2",
        params![network.0, now_ms as i64],
    )?;
    let mut read = tx.prepare_cached(
        "SELECT key, slot, expires_ms, bytes FROM circle_records WHERE network = ?1
         ORDER BY key, slot",
    )?;
    let mut found = read.query([network.0])?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        records.push(KeptRecord {
            key: sixteen(row.get(0)?)?,
            slot: sixteen(row.get(1)?)?,
            expires_ms: row.get::<_, i64>(2)? as u64,
            bytes: row.get(3)?,
        });
    }
    Ok(records)
}

/// Keeps where members were seen, in place of what was kept before.
pub(crate) fn put_contacts(
    connection: &Connection,
    network: &NetworkId,
    contacts: &[u8],
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO circle_contacts (network, contacts) VALUES (?1, ?2)
         ON CONFLICT (network) DO UPDATE SET contacts = excluded.contacts",
        params![network.0, contacts],
    )?;
    Ok(())
}

/// Where members were seen, as the services wrote it.
pub(crate) fn contacts(
    connection: &Connection,
    network: &NetworkId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT contacts FROM circle_contacts WHERE network = ?1";
    Ok(connection.query_row(sql, [network.0], |row| row.get(0)).optional()?)
}

/// Forgets everything about a network.
pub(crate) fn forget(tx: &Transaction<'_>, network: &NetworkId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM circle_records WHERE network = ?1", [network.0])?;
    tx.execute("DELETE FROM circle_contacts WHERE network = ?1", [network.0])?;
    Ok(())
}

fn sixteen(bytes: Vec<u8>) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged("a key of a wrong length"))
}
