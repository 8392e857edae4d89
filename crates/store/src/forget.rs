//! Gives up a download: deletes its part, and nothing else.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::below::Below;
use crate::error::StoreError;
use crate::names;
use crate::offers;
use crate::record::{self, Stage};
use crate::state::Inner;
use crate::sweep;

pub(crate) fn forget(store: &Arc<Inner>, number: i64) -> Result<(), StoreError> {
    let record = record::get(&store.db.lock(), number)?;
    let record = record.filter(|record| record.stage != Stage::Finished);
    let record = record.ok_or(StoreError::NoSuchDownload(number))?;
    let _occupied =
        store.occupy(record.folder.join(names::part(&record.asked, &record.content)))?;
    // The name is made anew from checked names: it cannot lead out of the folder.
    let part = names::part(&record.name, &record.content);
    match Below::open(&record.folder) {
        Ok(folder) => sweep::delete(&store.disk, folder.root().as_fd(), &part)
            .map_err(|e| StoreError::io("delete", &record.folder.join(&part), e))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("open", &record.folder, error)),
    }
    store.db.transaction(|tx| {
        record::delete(tx, number)?;
        offers::remove_lost(tx, &record.content)
    })
}
