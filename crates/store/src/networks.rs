//! The networks that this node is a member of: what the services keep about each, as bytes of
//! theirs.

use potluck_base::NetworkId;
use rusqlite::{Connection, params};

use crate::error::StoreError;

/// Keeps what is to be known about a network, in place of what was kept before.
pub(crate) fn put(
    connection: &Connection,
    network: &NetworkId,
    record: &[u8],
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO networks (network, record) VALUES (?1, ?2)
         ON CONFLICT (network) DO UPDATE SET record = excluded.record",
        params![network.0, record],
    )?;
    Ok(())
}

/// All networks, in the order in which they were joined.
pub(crate) fn all(connection: &Connection) -> Result<Vec<(NetworkId, Vec<u8>)>, StoreError> {
    let mut read =
        connection.prepare_cached("SELECT network, record FROM networks ORDER BY number")?;
    let mut found = read.query([])?;
    let mut networks = Vec::new();
    while let Some(row) = found.next()? {
        let id: [u8; 32] = row
            .get::<_, Vec<u8>>(0)?
            .try_into()
            .map_err(|_| StoreError::Damaged("a network's id of a wrong length"))?;
        networks.push((NetworkId(id), row.get(1)?));
    }
    Ok(networks)
}

/// Forgets a network; whether it was known.
pub(crate) fn remove(connection: &Connection, network: &NetworkId) -> Result<bool, StoreError> {
    Ok(connection.execute("DELETE FROM networks WHERE network = ?1", [network.0])? > 0)
}
