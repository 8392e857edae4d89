//! Makes finished downloads safe, some time after the user has them: what copying programs leave to
//! chance.

use std::path::PathBuf;
use std::sync::Arc;

use crate::below::Below;
use crate::error::StoreError;
use crate::hashes;
use crate::record::{self, Record, Stage};
use crate::resume::{Placed, placed};
use crate::share::ShareKind;
use crate::state::Inner;

/// What [`crate::Store::settle`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Finished downloads that are safe on the disk now.
    pub safe: u32,
    /// Files of finished downloads that are gone or changed, perhaps by a crash of the machine:
    /// they are not served any more.
    pub damaged: Vec<PathBuf>,
}

pub(crate) fn settle(store: &Arc<Inner>) -> Result<Settled, StoreError> {
    let records = record::unsynced(&store.db.lock())?;
    let mut settled = Settled::default();
    for record in records {
        settle_one(store, record, &mut settled)?;
    }
    hashes::prune(&store.db)?;
    Ok(settled)
}

fn settle_one(
    store: &Arc<Inner>,
    mut record: Record,
    settled: &mut Settled,
) -> Result<(), StoreError> {
    let (then, path) = (record.clone(), record.target());
    let fail = |e| StoreError::io("sync", &path, e);
    let folder = match record.kind {
        ShareKind::Folder => &path,
        ShareKind::File => &record.folder,
    };
    // The user may have moved it, or unplugged the disk that it is on.
    let Ok(below) = Below::open(folder) else {
        return Ok(());
    };
    if !store.same_boot(&record.boot) {
        let map = record.map();
        let name = record.name.as_str().to_owned();
        for (file, print) in (0..).zip(&mut record.files) {
            let Some(then) = *print else { continue };
            let info = map.file(file);
            let manifest = record.manifest.as_ref();
            let entry = manifest.map(|manifest| &manifest.entries()[info.entry]);
            let rel = entry.map_or(name.as_str(), |entry| entry.path.as_str());
            *print = match placed(&below, rel, &info, &then, false).map_err(fail)? {
                Placed::Right(now) => Some(now),
                Placed::Gone | Placed::Other => {
                    settled.damaged.push(entry.map_or(path.clone(), |_| path.join(rel)));
                    None
                }
            };
        }
    }
    match record.kind {
        ShareKind::Folder => store.disk.sync_below(&**below.root()).map_err(fail)?,
        ShareKind::File => {
            if let Ok(file) = below.file(record.name.as_str(), rustix::fs::OFlags::RDONLY) {
                store.disk.sync_file(&file, &**below.root()).map_err(fail)?;
            }
        }
    }
    record.synced = true;
    store.db.transaction(|tx| {
        // A download to the same place may have gone on meanwhile: then its own end settles it.
        let now = record::get(tx, record.number)?;
        let same = |now: &Record| now.stage == Stage::Finished && now.files == then.files;
        if now.as_ref().is_some_and(same) {
            record::update(tx, &record)?;
            settled.safe += 1;
        }
        Ok(())
    })
}
