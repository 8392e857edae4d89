//! A download in progress: takes pieces, remembers which are verified, serves them to others.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath};
use potluck_content::{Manifest, PieceMap, Values};

use crate::error::{ReadError, StoreError};

/// A download in progress. Dropped, it leaves what it has for a later attempt.
pub struct Download {}

/// What [`Download::mark`] found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// Pieces that are here now too: of files that are equal to one that is complete.
    pub also: Vec<PieceRange>,
    /// Pieces that are not here after all: several writers had their hands on them, and what came out
    /// is wrong. They must be fetched again.
    pub bad: Vec<PieceRange>,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// Selected files that were given up.
    pub missing: Vec<RelPath>,
}

impl Download {
    /// Its number in [`crate::Store::unfinished`].
    pub fn number(&self) -> i64 { unimplemented!() }
    /// What is fetched.
    pub fn content(&self) -> ContentId { unimplemented!() }
    /// The numbers of its pieces.
    pub fn map(&self) -> &Arc<PieceMap> { unimplemented!() }
    /// What a folder contains.
    pub fn manifest(&self) -> Option<&Arc<Manifest>> { unimplemented!() }
    /// Where it will be (another number may be chosen at the end with `OnExists::Rename`).
    pub fn target(&self) -> PathBuf { unimplemented!() }
    /// The pieces of all selected files, here or not; of equal files only the first.
    pub fn wanted(&self) -> PieceSet { unimplemented!() }
    /// The pieces that are here and verified: what can be served.
    pub fn have(&self) -> PieceSet { unimplemented!() }
    /// Whether all selected files are here.
    pub fn is_complete(&self) -> bool { unimplemented!() }
    /// The files of several pieces whose values are known.
    pub fn known_values(&self) -> BTreeSet<u32> { unimplemented!() }
    /// Remembers a file's values; returns pieces that were on the disk from an earlier attempt and
    /// turn out to be right.
    pub fn set_values(&self, file: u32, values: Arc<Values>) -> Result<Vec<PieceRange>, StoreError> { let _ = (file, values); unimplemented!() }
    /// A file's values, if they are known. Those of a file of one piece always are.
    pub fn values(&self, file: u32) -> Result<Option<Arc<Values>>, StoreError> { let _ = file; unimplemented!() }
    /// Writes bytes of a piece. A whole piece must be verified before; parts of one may be written as
    /// they come. Bytes of a piece that is here already are dropped.
    pub fn write(&self, piece: u32, offset: u32, bytes: &[u8]) -> Result<(), StoreError> { let _ = (piece, offset, bytes); unimplemented!() }
    /// Notes that the caller has verified and written these pieces.
    pub fn mark(&self, range: PieceRange) -> Result<Marked, StoreError> { let _ = range; unimplemented!() }
    /// As [`crate::Source::read`], for the pieces that are here.
    pub fn read(&self, range: PieceRange, buf: &mut Vec<u8>) -> Result<(), ReadError> { let _ = (range, buf); unimplemented!() }
    /// As [`crate::Source::read_part`].
    pub fn read_part(&self, piece: u32, offset: u32, len: u32, buf: &mut Vec<u8>) -> Result<(), ReadError> { let _ = (piece, offset, len, buf); unimplemented!() }
    /// Makes what was marked survive a crash. To be called every two seconds or so, on a thread that may wait.
    pub fn checkpoint(&self) -> Result<(), StoreError> { unimplemented!() }
    /// Copies wanted files that are in shares or finished downloads; returns their pieces. To be called
    /// once, before anything is fetched.
    pub fn adopt_local(&self, cancel: &AtomicBool) -> Result<Vec<PieceRange>, StoreError> { let _ = cancel; unimplemented!() }
    /// Moves the result to its place. `given_up` names files that may be missing; any other missing
    /// file is an error. May be called again after an error, and after success.
    pub fn finish(&self, given_up: &[u32]) -> Result<Finished, StoreError> { let _ = given_up; unimplemented!() }
}
