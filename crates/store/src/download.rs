//! A download in progress: takes pieces, remembers which are verified, serves them to others.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath};
use potluck_content::{FileInfo, Kind, Manifest, PieceMap, Values};
use rustix::fs::OFlags;

use crate::below::Below;
use crate::checkpoint::Turn;
use crate::error::{ReadError, ReadFault, StoreError};
use crate::lru::Lru;
use crate::plan::OnExists;
use crate::progress::{Places, Progress};
use crate::resume::right_pieces;
use crate::source::{read_part, read_pieces};
use crate::state::{Inner, Occupied};
use crate::twins::Twins;

/// Large files that stay open.
pub(crate) const FILES_OPEN: u64 = 32;
/// Bytes of values after which they are written to the database without being asked.
const FRESH_VALUES_MAX: u64 = 4 * 1024 * 1024;

/// A download in progress. Dropped, it leaves what it has for a later attempt.
pub struct Download {
    pub(crate) store: Arc<Inner>,
    pub(crate) number: i64,
    pub(crate) content: ContentId,
    pub(crate) map: Arc<PieceMap>,
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// Of a single file: whether it may be run.
    pub(crate) executable: bool,
    /// The name that was asked for.
    pub(crate) asked: RelPath,
    /// The folder that the target is in.
    pub(crate) folder: Below,
    pub(crate) folder_path: PathBuf,
    pub(crate) on_exists: OnExists,
    /// Whether the target is there and is an earlier result of this content.
    pub(crate) ours: bool,
    pub(crate) selected: Option<BTreeSet<u32>>,
    pub(crate) twins: Twins,
    pub(crate) wanted: PieceSet,
    pub(crate) places: RwLock<Places>,
    pub(crate) progress: Mutex<Progress>,
    /// Rung when a write of a part of a piece ends.
    pub(crate) quiet: Condvar,
    pub(crate) open: Mutex<Lru<u32, Arc<File>>>,
    /// Taken by whoever writes the database or finishes.
    pub(crate) turn: Mutex<Turn>,
    pub(crate) _occupied: Occupied,
}

impl Download {
    /// Its number in [`crate::Store::unfinished`].
    pub fn number(&self) -> i64 {
        self.number
    }

    /// What is fetched.
    pub fn content(&self) -> ContentId {
        self.content
    }

    /// The numbers of its pieces.
    pub fn map(&self) -> &Arc<PieceMap> {
        &self.map
    }

    /// What a folder contains.
    pub fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.manifest.as_ref()
    }

    /// Where it will be (with [`OnExists::Rename`] another number may be chosen at the end).
    pub fn target(&self) -> PathBuf {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        self.folder_path.join(places.name.as_str())
    }

    /// The pieces of all selected files, here or not; of equal files only those of the first.
    pub fn wanted(&self) -> PieceSet {
        self.wanted.clone()
    }

    /// The pieces that are here and verified: what can be served.
    pub fn have(&self) -> PieceSet {
        self.progress().have.clone()
    }

    /// Whether all selected files are here.
    pub fn is_complete(&self) -> bool {
        let progress = self.progress();
        self.wanted.ranges().all(|range| progress.have.contains_range(range))
    }

    /// The files of several pieces whose values are known.
    pub fn known_values(&self) -> BTreeSet<u32> {
        self.progress().known_values.clone()
    }

    /// Remembers a file's values. Returns pieces that were on the disk from an earlier attempt and
    /// turn out to be right: they are here now.
    pub fn set_values(
        &self,
        file: u32,
        values: Arc<Values>,
    ) -> Result<Vec<PieceRange>, StoreError> {
        let info = self.file_info(file)?;
        if values.root() != info.id || *values.layout() != info.layout {
            return Err(StoreError::Mismatch(info.id));
        }
        if info.pieces.len() < 2 {
            return Ok(Vec::new());
        }
        self.store.keep_values(values.clone());
        let unchecked = {
            let mut progress = self.progress();
            if progress.known_values.insert(file)
                && progress.fresh_values.insert(info.id, values.clone()).is_none()
            {
                progress.fresh_bytes += u64::from(info.pieces.len()) * 32;
            }
            if progress.fresh_bytes >= FRESH_VALUES_MAX {
                drop(progress);
                self.save()?;
                progress = self.progress();
            }
            if progress.unchecked.first_present(info.pieces.start) >= info.pieces.end {
                return Ok(Vec::new());
            }
            let unchecked = progress.unchecked.clone();
            progress.unchecked.remove_range(info.pieces);
            unchecked
        };
        let opened = self.opened(file).map_err(|e| self.error("read", file, e))?;
        let mut right = right_pieces(&opened, &info, &unchecked, &values)
            .map_err(|e| self.error("read", file, e))?;
        let mut progress = self.progress();
        let mut also = Vec::new();
        for range in &right {
            also.extend(self.add(&mut progress, *range));
        }
        right.extend(also);
        Ok(right)
    }

    /// A file's values, if they are known. Those of a file of one piece always are.
    pub fn values(&self, file: u32) -> Result<Option<Arc<Values>>, StoreError> {
        let info = self.file_info(file)?;
        if info.pieces.len() > 1
            && let Some(values) = self.progress().fresh_values.get(&info.id)
        {
            return Ok(Some(values.clone()));
        }
        self.store.values(info.layout, info.id)
    }

    /// As [`crate::Source::read`], for the pieces that are here.
    pub fn read(&self, range: PieceRange, buf: &mut Vec<u8>) -> Result<(), ReadError> {
        self.check_here(range)?;
        read_pieces(&self.map, range, buf, |file, offset, part| self.read_file(file, offset, part))
    }

    /// As [`crate::Source::read_part`], for a piece that is here.
    pub fn read_part(
        &self,
        piece: u32,
        offset: u32,
        len: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        self.check_here(PieceRange::one(piece))?;
        let read_file = |file, at, part: &mut [u8]| self.read_file(file, at, part);
        read_part(&self.map, piece, offset, len, buf, read_file)
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_selected(&self, file: u32) -> bool {
        let entry = self.map.file(file).entry as u32;
        self.selected.as_ref().is_none_or(|selected| selected.contains(&entry))
    }

    /// A file's path in the manifest; none for a single file.
    pub(crate) fn rel(&self, file: u32) -> Option<&str> {
        let manifest = self.manifest.as_ref()?;
        Some(manifest.entries()[self.map.file(file).entry].path.as_str())
    }

    pub(crate) fn runs(&self, file: u32) -> bool {
        let Some(manifest) = &self.manifest else {
            return self.executable;
        };
        let kind = &manifest.entries()[self.map.file(file).entry].kind;
        matches!(kind, Kind::File { executable: true, .. })
    }

    /// Adds pieces that are on the disk and verified; returns what is here with them.
    pub(crate) fn add(&self, progress: &mut Progress, range: PieceRange) -> Vec<PieceRange> {
        if progress.stored.insert_range(range) > 0 {
            let bytes = self.map.bytes_of(range);
            progress.unsaved += bytes;
            progress.unsynced += bytes;
        }
        progress.have.insert_range(range);
        let mut also = Vec::new();
        if self.twins.is_empty() || range.is_empty() {
            return also;
        }
        for file in self.map.locate(range.start).file..=self.map.locate(range.end - 1).file {
            let twins = self.twins.of(file);
            if twins.is_empty() || !progress.stored.contains_range(self.map.file(file).pieces) {
                continue;
            }
            for twin in twins {
                let pieces = self.map.file(*twin).pieces;
                if progress.have.insert_range(pieces) > 0 {
                    also.push(pieces);
                }
            }
        }
        also
    }

    /// Opens a file of the part or the target: the small ones for once, the large ones to stay
    /// open.
    pub(crate) fn opened(&self, file: u32) -> io::Result<Arc<File>> {
        let several = self.map.file(file).pieces.len() > 1;
        if several {
            let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&file);
            if let Some(opened) = known {
                return Ok(opened);
            }
        }
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let missing = || io::Error::from(rustix::io::Errno::NOENT);
        let opened = if places.placed[file as usize].is_some() {
            let target = places.target.as_ref().ok_or_else(missing)?;
            target.file(self.rel(file).unwrap_or(places.name.as_str()), OFlags::RDONLY)?
        } else {
            let part = places.part.as_ref().ok_or_else(missing)?;
            let (rel, len) = (part.rel(self.rel(file)), self.map.file(file).layout.len());
            if several {
                part.file(&self.store.disk, rel, len, self.runs(file))?
            } else {
                part.below.file(rel, OFlags::RDWR)?
            }
        };
        let opened = Arc::new(opened);
        if several {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.put(file, opened.clone(), 1);
        }
        Ok(opened)
    }

    pub(crate) fn file_path(&self, file: u32) -> PathBuf {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let top = match &places.part {
            Some(part) if places.placed[file as usize].is_none() => part.path.clone(),
            _ => self.folder_path.join(places.name.as_str()),
        };
        self.rel(file).map_or_else(|| top.clone(), |rel| top.join(rel))
    }

    pub(crate) fn error(&self, doing: &'static str, file: u32, error: io::Error) -> StoreError {
        match StoreError::io(doing, &self.file_path(file), error) {
            StoreError::NoSpace { .. } => {
                let mut missing = self.wanted.clone();
                missing.remove_all(&self.progress().have);
                let needed = self.map.bytes_of_set(&missing);
                let free = self.store.disk.free(&**self.folder.root()).unwrap_or(0);
                StoreError::NoSpace { needed, free }
            }
            other => other,
        }
    }

    fn read_file(&self, file: u32, offset: u64, part: &mut [u8]) -> Result<(), ReadError> {
        let info = self.map.file(file);
        let first = info.pieces.start + (offset >> info.layout.piece_log2()) as u32;
        let from = match self.twins.stand_in(file) {
            Some(twin) if !self.progress().stored.contains(first) => twin,
            _ => file,
        };
        let read = self.opened(from).and_then(|opened| opened.read_exact_at(part, offset));
        read.map_err(|error| self.read_error(file, error.into()))
    }

    fn check_here(&self, range: PieceRange) -> Result<(), ReadError> {
        let range = range.intersect(PieceRange::new(0, self.map.total()));
        let absent = self.progress().have.first_absent(range.start);
        if range.is_empty() || absent >= range.end {
            Ok(())
        } else {
            Err(self.read_error(self.map.locate(absent).file, ReadFault::Missing))
        }
    }

    fn read_error(&self, file: u32, why: ReadFault) -> ReadError {
        ReadError { pieces: self.map.file(file).pieces, path: self.file_path(file), why }
    }

    pub(crate) fn file_info(&self, file: u32) -> Result<FileInfo, StoreError> {
        if file < self.map.files() {
            Ok(self.map.file(file))
        } else {
            Err(StoreError::Bug("a file beyond the last"))
        }
    }
}
