//! Takes the bytes of pieces, and sees to it that only verified ones count.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use potluck_base::PieceRange;
use potluck_content::Located;

use crate::download::Download;
use crate::error::StoreError;
use crate::hashing::piece_on_disk;
use crate::progress::{Marked, Progress};

/// Marked bytes after which marks are written to the database without being asked.
const UNSAVED_MAX: u64 = 64 * 1024 * 1024;

impl Download {
    /// Writes bytes of a piece, from `offset` within the piece.
    ///
    /// A piece that comes whole must be verified before. Parts of one may be written as they come,
    /// if the piece is only marked after all of them were verified. Bytes of a piece that is here
    /// already are dropped.
    pub fn write(&self, piece: u32, offset: u32, bytes: &[u8]) -> Result<(), StoreError> {
        let at = self.located(piece)?;
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if offset.checked_add(len).is_none_or(|end| end > at.len) {
            return Err(StoreError::Bug("bytes beyond the end of a piece"));
        }
        let whole = len == at.len;
        if !self.enter(piece, offset, len, whole) {
            return Ok(());
        }
        let written = self.write_at(&at, offset, bytes, whole);
        if !whole && let Some(partial) = self.progress().partial.get_mut(&piece) {
            partial.writing -= 1;
            partial.mixed |= written.is_err();
            self.quiet.notify_all();
        }
        written.map_err(|error| self.error("write", at.file, error))
    }

    /// Notes that the caller has verified and written these pieces. From now on they are served.
    pub fn mark(&self, range: PieceRange) -> Result<Marked, StoreError> {
        if range.end > self.map.total() {
            return Err(StoreError::Bug("a mark beyond the last piece"));
        }
        let mut marked = Marked::default();
        let mut progress = self.progress();
        if progress.partial.range(range.start..range.end).next().is_some() {
            for piece in range.iter() {
                let one = PieceRange::one(piece);
                let right;
                (progress, right) = self.judge(progress, piece)?;
                if right {
                    marked.also.extend(self.add(&mut progress, one));
                } else {
                    marked.bad.push(one);
                }
            }
        } else {
            marked.also = self.add(&mut progress, range);
        }
        let overdue = progress.unsaved >= UNSAVED_MAX;
        drop(progress);
        if overdue {
            self.save()?;
        }
        Ok(marked)
    }

    /// Whether bytes may be written now. Keeps account of who writes which part of a piece.
    fn enter(&self, piece: u32, offset: u32, len: u32, whole: bool) -> bool {
        let mut progress = self.progress();
        if progress.stored.contains(piece) {
            return false;
        }
        if whole {
            if let Some(partial) = progress.partial.get_mut(&piece) {
                partial.mixed = true;
                return !partial.closed;
            }
            return true;
        }
        let partial = progress.partial.entry(piece).or_default();
        if partial.closed {
            return false;
        }
        partial.mixed |= partial.writing > 0 || partial.next != offset;
        partial.next = offset + len;
        partial.writing += 1;
        true
    }

    fn write_at(&self, at: &Located, offset: u32, bytes: &[u8], whole: bool) -> io::Result<()> {
        let info = self.map.file(at.file);
        if whole && info.pieces.len() == 1 && self.manifest.is_some() {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            // Finished: whoever still writes comes too late.
            let Some(part) = places.part.clone() else {
                return Ok(());
            };
            drop(places);
            let rel = part.rel(self.rel(at.file));
            return part.write_small(&self.store.disk, rel, bytes, self.runs(at.file));
        }
        let file = if info.pieces.len() == 1 {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            let Some(part) = places.part.clone() else {
                return Ok(());
            };
            drop(places);
            let rel = part.rel(self.rel(at.file));
            Arc::new(part.file(&self.store.disk, rel, info.layout.len(), self.runs(at.file))?)
        } else {
            self.opened(at.file)?
        };
        self.store.disk.write(&file, bytes, at.offset + u64::from(offset))
    }

    /// Whether a piece that was written bit by bit is right; it is read again if several wrote it.
    fn judge<'a>(
        &'a self,
        mut progress: MutexGuard<'a, Progress>,
        piece: u32,
    ) -> Result<(MutexGuard<'a, Progress>, bool), StoreError> {
        let at = self.map.locate(piece);
        let Some(partial) = progress.partial.get_mut(&piece) else {
            return Ok((progress, true));
        };
        if !partial.mixed && partial.writing == 0 && partial.next == at.len {
            progress.partial.remove(&piece);
            return Ok((progress, true));
        }
        partial.closed = true;
        let writing = |progress: &mut Progress| {
            progress.partial.get(&piece).is_some_and(|partial| partial.writing > 0)
        };
        progress = self.quiet.wait_while(progress, writing).unwrap_or_else(PoisonError::into_inner);
        drop(progress);
        let right = self.is_right(&at);
        progress = self.progress();
        progress.partial.remove(&piece);
        Ok((progress, right?))
    }

    fn is_right(&self, at: &Located) -> Result<bool, StoreError> {
        let info = self.map.file(at.file);
        let Some(values) = self.values(at.file)? else {
            return Ok(false);
        };
        let value = self
            .opened(at.file)
            .and_then(|file| piece_on_disk(&file, &info.layout, at.index, &mut Vec::new()));
        match value {
            Ok(value) => Ok(value == *values.get(at.index)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(self.error("read", at.file, error)),
        }
    }

    fn located(&self, piece: u32) -> Result<Located, StoreError> {
        if piece < self.map.total() {
            Ok(self.map.locate(piece))
        } else {
            Err(StoreError::Bug("a piece beyond the last"))
        }
    }
}
