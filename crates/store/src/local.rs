//! Copies of files that are on this machine already: from other shares, or from an equal file of
//! the same content. Every copy is hashed while it is made.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use potluck_base::{ContentId, PieceRange};
use potluck_content::{Layout, PieceHasher, Value, Values};

use crate::disk::Disk;
use crate::download::Download;
use crate::error::StoreError;
use crate::record;
use crate::rows;
use crate::shares;
use crate::source::Source;

const COPY_BYTES: usize = 512 * 1024;

impl Download {
    /// Copies wanted files that are in shares or finished downloads of this node; returns the
    /// pieces that are here now. To be called once, before anything is fetched.
    pub fn adopt_local(&self, cancel: &AtomicBool) -> Result<Vec<PieceRange>, StoreError> {
        let sources = {
            let connection = self.store.db.lock();
            if !record::anything_to_adopt(&connection)? {
                return Ok(Vec::new());
            }
            let wanted = self.missing_files();
            let starts: HashSet<u64> = wanted.keys().map(rows::id_start).collect();
            if starts.is_empty() {
                return Ok(Vec::new());
            }
            shares::with_files(&connection, |start| starts.contains(&start))?
        };
        let mut adopted = Vec::new();
        for id in sources {
            let Some(source) = shares::open_whole(&self.store, &id)? else {
                continue;
            };
            let mut wanted = self.missing_files();
            for theirs in 0..source.map().files() {
                if cancel.load(Ordering::Relaxed) {
                    return Err(StoreError::Cancelled);
                }
                if let Some(ours) = wanted.remove(&source.map().file(theirs).id) {
                    adopted.extend(self.adopt(&source, theirs, ours)?);
                }
            }
        }
        Ok(adopted)
    }

    /// Wanted files of which nothing is here: the rest of one begun is fetched.
    fn missing_files(&self) -> HashMap<ContentId, u32> {
        let progress = self.progress();
        let absent = |file: &u32| {
            let pieces = self.map.file(*file).pieces;
            let wanted = self.wanted.contains_range(pieces) && !pieces.is_empty();
            wanted && progress.stored.first_present(pieces.start) >= pieces.end
        };
        (0..self.map.files()).filter(absent).map(|file| (self.map.file(file).id, file)).collect()
    }

    /// Copies one file, if it is still what was shared.
    fn adopt(
        &self,
        source: &Source,
        theirs: u32,
        ours: u32,
    ) -> Result<Vec<PieceRange>, StoreError> {
        let info = self.map.file(ours);
        // A share whose file is gone or changed is not our concern here.
        let Ok(from) = source.open_file(theirs) else {
            return Ok(Vec::new());
        };
        let part = self.places.read().unwrap_or_else(PoisonError::into_inner).part.clone();
        let Some(part) = part else {
            return Ok(Vec::new());
        };
        let rel = part.rel(self.rel(ours));
        let copied = part
            .file(&self.store.disk, rel, info.layout.len(), self.runs(ours))
            .and_then(|to| copy_values(&self.store.disk, &from, &to, &info.layout));
        let values = match copied {
            Ok(values) => values,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
            Err(error) => return Err(self.error("write", ours, error)),
        };
        if potluck_content::root(&info.layout, &values) != info.id {
            return Ok(Vec::new());
        }
        if let Ok(values) = Values::verify(info.layout, info.id, values) {
            self.set_values(ours, Arc::new(values))?;
        }
        let mut here = self.add(&mut self.progress(), info.pieces);
        here.push(info.pieces);
        Ok(here)
    }
}

/// Copies a file and finds the values of what was copied. Shares the blocks where the file system
/// can.
pub(crate) fn copy_values(
    disk: &Disk,
    from: &File,
    to: &File,
    layout: &Layout,
) -> io::Result<Vec<Value>> {
    let cloned = clone_blocks(disk, from, to)?;
    let read_from = if cloned { to } else { from };
    let mut buffer = vec![0; COPY_BYTES];
    let mut values = Vec::with_capacity(layout.pieces() as usize);
    for index in 0..layout.pieces() {
        let (mut at, len) = layout.span(index);
        let end = at + u64::from(len);
        let mut hasher = PieceHasher::new(layout, index);
        while at < end {
            let here = &mut buffer[..COPY_BYTES.min((end - at) as usize)];
            read_from.read_exact_at(here, at)?;
            hasher.update(here);
            if !cloned {
                disk.write(to, here, at)?;
            }
            at += here.len() as u64;
        }
        values.push(hasher.finish());
    }
    Ok(values)
}

#[cfg(target_os = "linux")]
fn clone_blocks(disk: &Disk, from: &File, to: &File) -> io::Result<bool> {
    disk.step()?;
    // What is cloned must be as long as what is expected, or the rest of the file would change too.
    if from.metadata()?.len() != to.metadata()?.len() {
        return Ok(false);
    }
    Ok(rustix::fs::ioctl_ficlone(to, from).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn clone_blocks(disk: &Disk, _: &File, _: &File) -> io::Result<bool> {
    disk.step()?;
    Ok(false)
}
