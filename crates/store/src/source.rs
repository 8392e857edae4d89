//! Pieces of what this node offers, read in place; a file that is no longer the one that was shared
//! is never sent.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use potluck_base::{ContentId, PieceRange, PieceSet, RelPath};
use potluck_content::{Manifest, PieceMap, Values};
use rustix::fs::OFlags;

use crate::below::Below;
use crate::error::{ReadError, ReadFault, StoreError};
use crate::fingerprint::Fingerprint;
use crate::lru::Lru;
use crate::share::{Root, ShareKind, ShareRecord};
use crate::state::Inner;

/// Large files that stay open.
const FILES_OPEN: u64 = 32;
/// Roots that stay open: most shares have one.
const ROOTS_OPEN: u64 = 4;

/// A share, open for reading. Cheap to keep: values and files are opened when they are asked for.
pub struct Source {
    store: Arc<Inner>,
    share: ShareRecord,
    map: Arc<PieceMap>,
    roots: Mutex<Lru<usize, OpenRoot>>,
    open: Mutex<Lru<u32, Arc<File>>>,
}

#[derive(Clone)]
struct OpenRoot {
    below: Arc<Below>,
    dev: u64,
}

impl Source {
    pub(crate) fn new(store: Arc<Inner>, share: ShareRecord) -> Self {
        let map = Arc::new(share.map());
        let (roots, open) = (Mutex::new(Lru::new(ROOTS_OPEN)), Mutex::new(Lru::new(FILES_OPEN)));
        Self { store, share, map, roots, open }
    }

    /// What names the share.
    pub fn content(&self) -> ContentId {
        self.share.id
    }

    /// A file or a folder.
    pub fn kind(&self) -> ShareKind {
        self.share.kind
    }

    /// Its name in tickets.
    pub fn name(&self) -> &RelPath {
        &self.share.name
    }

    /// Whether a single file may be run.
    pub fn executable(&self) -> bool {
        self.share.executable
    }

    /// The numbers of its pieces.
    pub fn map(&self) -> &Arc<PieceMap> {
        &self.map
    }

    /// What a folder contains.
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        self.share.manifest.clone()
    }

    /// The pieces of all files that were here when the share was recorded; that each still is turns
    /// out when it is read.
    pub fn have(&self) -> PieceSet {
        let mut have = PieceSet::none(self.map.total());
        for (file, here) in (0..self.map.files()).zip(&self.share.files) {
            if here.is_some() {
                have.insert_range(self.map.file(file).pieces);
            }
        }
        have
    }

    /// The values of a file's pieces. None only if the state was damaged.
    pub fn values(&self, file: u32) -> Result<Option<Arc<Values>>, StoreError> {
        let info = self.map.file(file);
        self.store.values(info.layout, info.id)
    }

    /// Fills `buf` with the bytes of the pieces, one after another; pieces of several files may
    /// follow each other. Nothing in `buf` counts if there is an error.
    pub fn read(&self, range: PieceRange, buf: &mut Vec<u8>) -> Result<(), ReadError> {
        read_pieces(&self.map, range, buf, |file, offset, part| self.read_file(file, offset, part))
    }

    /// Fills `buf` with `len` bytes of one piece, from `offset` within the piece: for pieces that
    /// are longer than a block.
    pub fn read_part(
        &self,
        piece: u32,
        offset: u32,
        len: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        read_part(&self.map, piece, offset, len, buf, |file, at, part| {
            self.read_file(file, at, part)
        })
    }

    /// Opens a file if it is still the one that was shared.
    pub(crate) fn open_file(&self, file: u32) -> Result<File, ReadError> {
        self.open_checked(file).map(|(opened, _)| opened).map_err(|why| self.error(file, why))
    }

    fn read_file(&self, file: u32, offset: u64, part: &mut [u8]) -> Result<(), ReadError> {
        let read = if self.map.file(file).pieces.len() == 1 {
            self.open_checked(file)
                .and_then(|(opened, expected)| read_then_check(&opened, &expected, offset, part))
        } else {
            self.kept_open(file).and_then(|(opened, expected)| {
                check(&opened, &expected)?;
                read_then_check(&opened, &expected, offset, part)
            })
        };
        read.map_err(|why| {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
            self.error(file, why)
        })
    }

    fn kept_open(&self, file: u32) -> Result<(Arc<File>, Fingerprint), ReadFault> {
        let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&file);
        if let Some(opened) = known {
            let (_, root) = self.place(file);
            return Ok((opened, self.expected(file, root)?));
        }
        let (opened, expected) = self.open_checked(file)?;
        let opened = Arc::new(opened);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.put(file, opened.clone(), 1);
        Ok((opened, expected))
    }

    fn open_checked(&self, file: u32) -> Result<(File, Fingerprint), ReadFault> {
        let (rel, root) = self.place(file);
        let expected = self.expected(file, root)?;
        let opened = match self.root(root)?.below.file(&rel, OFlags::RDONLY) {
            // The folder may have been replaced since it was opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.roots.lock().unwrap_or_else(PoisonError::into_inner).remove(&root);
                self.root(root)?.below.file(&rel, OFlags::RDONLY)?
            }
            opened => opened?,
        };
        check(&opened, &expected)?;
        Ok((opened, expected))
    }

    /// The fingerprint that a file must have now: the recorded one, on its root's present device.
    fn expected(&self, file: u32, root: usize) -> Result<Fingerprint, ReadFault> {
        let recorded = self.share.files.get(file as usize).copied().flatten();
        let mut expected = recorded.ok_or(ReadFault::Missing)?;
        if expected.dev == self.share.roots[root].dev {
            expected.dev = self.root(root)?.dev;
        }
        Ok(expected)
    }

    fn root(&self, root: usize) -> Result<OpenRoot, ReadFault> {
        let known = self.roots.lock().unwrap_or_else(PoisonError::into_inner).get(&root);
        if let Some(known) = known {
            return Ok(known);
        }
        let below = Below::open(&self.share.roots[root].folder)?;
        // A share with names of its own may have a device below the root's folder.
        let top = self.share.roots[root].names.as_ref().map(|(_, real)| real.as_str());
        let stat = match top {
            Some(real) => below.stat(real)?,
            None => rustix::fs::fstat(&**below.root()).map_err(io::Error::from)?,
        };
        let opened = OpenRoot { below: Arc::new(below), dev: Fingerprint::of_stat(&stat).dev };
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.put(root, opened.clone(), 1);
        Ok(opened)
    }

    /// A file's path below its root, and which root that is.
    fn place(&self, file: u32) -> (Cow<'_, str>, usize) {
        let rel = match &self.share.manifest {
            Some(manifest) => manifest.entries()[self.map.file(file).entry].path.as_str(),
            None => self.share.roots[0].names.as_ref().map_or("", |(shared, _)| shared),
        };
        let root = self.share.root_number(rel);
        (self.share.roots[root].real_path(rel), root)
    }

    fn error(&self, file: u32, why: ReadFault) -> ReadError {
        let (rel, root) = self.place(file);
        let path: PathBuf = self.share.roots[root].folder.join(&*rel);
        ReadError { pieces: self.map.file(file).pieces, path, why }
    }
}

impl ShareRecord {
    /// Which of the roots a path of the share is below.
    fn root_number(&self, rel: &str) -> usize {
        let top = rel.split('/').next().unwrap_or(rel);
        let before = |root: &Root| root.names.as_ref().is_some_and(|(t, _)| t.as_str() < top);
        self.roots.partition_point(before).min(self.roots.len() - 1)
    }

    /// The root that a path of the share is below.
    pub(crate) fn root_of(&self, rel: &str) -> Option<&Root> {
        self.roots.get(self.root_number(rel))
    }
}

impl Root {
    /// The path below the root's folder of a path below the share.
    pub(crate) fn real_path<'a>(&'a self, rel: &'a str) -> Cow<'a, str> {
        match (&self.names, rel.split_once('/')) {
            (None, _) => Cow::Borrowed(rel),
            (Some((_, real)), Some((_, rest))) => Cow::Owned(format!("{real}/{rest}")),
            (Some((_, real)), None) => Cow::Borrowed(real),
        }
    }
}

/// Reads pieces that follow each other, file by file, with `read_file(file, offset, into)`.
pub(crate) fn read_pieces(
    map: &PieceMap,
    range: PieceRange,
    buf: &mut Vec<u8>,
    read_file: impl Fn(u32, u64, &mut [u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let range = range.intersect(PieceRange::new(0, map.total()));
    let bytes = usize::try_from(map.bytes_of(range)).expect("a range to read fits into memory");
    // Never zeroed twice: what the buffer held before is overwritten.
    buf.resize(bytes, 0);
    let (mut piece, mut filled) = (range.start, 0);
    while piece < range.end {
        let at = map.locate(piece);
        let here = map.file(at.file).pieces.intersect(PieceRange::new(piece, range.end));
        let len = usize::try_from(map.bytes_of(here)).expect("a part of what fits");
        read_file(at.file, at.offset, &mut buf[filled..filled + len])?;
        filled += len;
        piece = here.end;
    }
    Ok(())
}

/// Reads a part of one piece; what lies beyond the piece is left out.
pub(crate) fn read_part(
    map: &PieceMap,
    piece: u32,
    offset: u32,
    len: u32,
    buf: &mut Vec<u8>,
    read_file: impl Fn(u32, u64, &mut [u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if piece >= map.total() {
        buf.clear();
        return Ok(());
    }
    let at = map.locate(piece);
    let offset = offset.min(at.len);
    buf.resize(len.min(at.len - offset) as usize, 0);
    read_file(at.file, at.offset + u64::from(offset), buf)
}

fn read_then_check(
    file: &File,
    expected: &Fingerprint,
    offset: u64,
    part: &mut [u8],
) -> Result<(), ReadFault> {
    file.read_exact_at(part, offset)?;
    check(file, expected)
}

fn check(file: &File, expected: &Fingerprint) -> Result<(), ReadFault> {
    if Fingerprint::of(file)? == *expected { Ok(()) } else { Err(ReadFault::Changed) }
}
