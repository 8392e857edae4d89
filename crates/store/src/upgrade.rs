//! What SQL alone cannot do when the state is brought to a newer version.

use rusqlite::{Transaction, params};

use crate::error::StoreError;
use crate::owners::{self, Files};
use crate::record;
use crate::share::Origin;
use crate::shares;

/// Fills what version 2 has more: the numbers of files, and the index of files in folders.
pub(crate) fn to_2(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let none = Files::default();
    for (number, share) in shares::every(tx)? {
        let set = "UPDATE shares SET count = ?2 WHERE number = ?1";
        tx.execute(set, params![number, share.files.len() as i64])?;
        owners::update(tx, Origin::Shared, number, &none, &shares::indexed(&share))?;
    }
    for record in record::every_finished(tx)? {
        let set = "UPDATE downloads SET count = ?2 WHERE number = ?1";
        tx.execute(set, params![record.number, record.count() as i64])?;
        owners::update(tx, Origin::Downloaded, record.number, &none, &record.indexed())?;
    }
    Ok(())
}
