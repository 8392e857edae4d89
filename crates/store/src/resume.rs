//! Finds out what an earlier attempt has left, and how much of it can be trusted.
//!
//! A piece that was noted as being on the disk is believed as long as the file still has data
//! there. Everything else that is found (noted but perhaps lost in a crash, or written and never
//! noted) is hashed before it counts. Without values it must wait for them.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::sync::Arc;

use potluck_base::{PieceRange, PieceSet};
use potluck_content::{FileInfo, PieceMap, Value, Values, hash};
use rustix::fs::OFlags;

use crate::below::Below;
use crate::fingerprint::Fingerprint;
use crate::hashing::{hash_open_file, piece_on_disk};
use crate::part::{check_own, data_of};

/// What was found.
pub(crate) struct Found {
    /// Verified pieces.
    pub(crate) stored: PieceSet,
    /// Those of them that are known to be on the disk.
    pub(crate) durable: PieceSet,
    /// Pieces that may be right: to be hashed once the values are known.
    pub(crate) unchecked: PieceSet,
}

/// What an earlier attempt has noted.
pub(crate) struct Noted<'a> {
    /// Pieces that were on the disk.
    pub(crate) durable: &'a PieceSet,
    /// Pieces that were verified, but not synced.
    pub(crate) doubtful: &'a PieceSet,
}

impl Found {
    pub(crate) fn nothing(map: &PieceMap) -> Self {
        let none = PieceSet::none(map.total());
        Self { stored: none.clone(), durable: none.clone(), unchecked: none }
    }

    /// Looks at a file in the part.
    pub(crate) fn look(
        &mut self,
        below: &Below,
        rel: &str,
        file: &FileInfo,
        noted: &Noted<'_>,
        values: &dyn Fn() -> Option<Arc<Values>>,
    ) -> io::Result<()> {
        let Some(stat) = below.find(rel)? else {
            return Ok(());
        };
        if check_own(&stat).is_err() {
            return Ok(());
        }
        let whole = u64::try_from(stat.st_size).ok() == Some(file.layout.len());
        if file.pieces.len() == 1 {
            let believed = noted.durable.contains(file.pieces.start);
            let opened = || below.file(rel, OFlags::RDONLY);
            if whole && (believed || hashes_to(&opened()?, file)?) {
                self.stored.insert(file.pieces.start);
                if believed {
                    self.durable.insert(file.pieces.start);
                }
            }
            return Ok(());
        }
        let opened = below.file(rel, OFlags::RDONLY)?;
        self.look_at_pieces(&opened, file, noted, values)
    }

    fn look_at_pieces(
        &mut self,
        opened: &File,
        file: &FileInfo,
        noted: &Noted<'_>,
        values: &dyn Fn() -> Option<Arc<Values>>,
    ) -> io::Result<()> {
        let lazy = OnceCell::new();
        let values = || lazy.get_or_init(values).as_deref();
        let len = opened.metadata()?.len().min(file.layout.len());
        let layout = &file.layout;
        let (mut buffer, mut looked_at) = (Vec::new(), PieceSet::none(layout.pieces()));
        let mut judge = |index: u32, all_data: bool| -> io::Result<()> {
            let (offset, bytes) = layout.span(index);
            if offset + u64::from(bytes) > len || !looked_at.insert(index) {
                return Ok(());
            }
            let piece = file.pieces.start + index;
            if all_data && noted.durable.contains(piece) {
                self.stored.insert(piece);
                self.durable.insert(piece);
            } else if let Some(values) = values() {
                if *values.get(index) == piece_on_disk(opened, layout, index, &mut buffer)? {
                    self.stored.insert(piece);
                }
            } else {
                self.unchecked.insert(piece);
            }
            Ok(())
        };
        for (start, end) in data_of(opened, len) {
            let first = (start >> layout.piece_log2()) as u32;
            let last = ((end - 1) >> layout.piece_log2()) as u32;
            for index in first..=last {
                let (offset, bytes) = layout.span(index);
                judge(index, start <= offset && offset + u64::from(bytes) <= end)?;
            }
        }
        // Some file systems keep zeros as holes.
        for piece in file.pieces.iter() {
            if noted.durable.contains(piece) || noted.doubtful.contains(piece) {
                judge(piece - file.pieces.start, false)?;
            }
        }
        Ok(())
    }
}

/// Those pieces of a file that are on the disk as they should be.
pub(crate) fn right_pieces(
    opened: &File,
    file: &FileInfo,
    unchecked: &PieceSet,
    values: &Values,
) -> io::Result<Vec<PieceRange>> {
    let mut right = PieceSet::none(unchecked.capacity());
    let mut buffer = Vec::new();
    let mut piece = unchecked.first_present(file.pieces.start);
    while piece < file.pieces.end {
        let index = piece - file.pieces.start;
        match piece_on_disk(opened, &file.layout, index, &mut buffer) {
            Ok(value) if value == *values.get(index) => {
                right.insert(piece);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        piece = unchecked.first_present(piece + 1);
    }
    Ok(right.ranges().collect())
}

/// What became of a file that an earlier attempt has put in its place.
pub(crate) enum Placed {
    /// It is there and right.
    Right(Fingerprint),
    /// It is not there.
    Gone,
    /// Something else is there.
    Other,
}

/// Looks at a file in its final place. Only if `trusted` its fingerprint is enough.
pub(crate) fn placed(
    below: &Below,
    rel: &str,
    file: &FileInfo,
    then: &Fingerprint,
    trusted: bool,
) -> io::Result<Placed> {
    let opened = match below.file(rel, OFlags::RDONLY) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Placed::Gone),
        Err(_) => return Ok(Placed::Other),
    };
    let Ok(now) = Fingerprint::of(&opened) else {
        return Ok(Placed::Other);
    };
    if now.size != file.layout.len() {
        return Ok(Placed::Other);
    }
    if (trusted && now == *then) || hashes_to(&opened, file)? {
        // What changes while it is read is not ours any more.
        let still = Fingerprint::of(&opened)? == now;
        return Ok(if still { Placed::Right(now) } else { Placed::Other });
    }
    Ok(Placed::Other)
}

/// Whether a file's bytes are those that its id names.
pub(crate) fn hashes_to(opened: &File, file: &FileInfo) -> io::Result<bool> {
    if file.layout.is_empty() {
        return Ok(file.id == hash(&[]));
    }
    let values: Vec<Value> = match hash_open_file(opened, &file.layout) {
        Ok(values) => values,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(potluck_content::root(&file.layout, &values) == file.id)
}
