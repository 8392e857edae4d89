//! The embedded index: the contract, hostile names, scripts, crashes, several writers.

mod crash;
mod names;

use crate::tracker::sqlite::SqliteStore;
use crate::tracker::store::contract;

/// A store in a folder that goes away with it.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path().join("index.db")).unwrap()
    }
}

#[test]
fn it_keeps_the_contract() {
    let kept = Kept::new();
    contract::keep(&|| Box::new(kept.open()));
}
