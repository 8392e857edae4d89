//! The part: the file or folder, next to the target, in which a download grows.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::below::Below;
use crate::disk::Disk;
use crate::error::StoreError;

/// What a new file may be used for, before the umask. Never more, whatever the sender says.
const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;
const FOLDER_MODE: u32 = 0o755;

/// A part, held open and locked against other processes.
pub(crate) struct Part {
    /// The part itself, or for a single file the folder that it is in.
    pub(crate) below: Below,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    single: bool,
    /// Holds the lock.
    _lock: File,
}

/// Where a part is, or would be.
pub(crate) struct PartPlace<'a> {
    pub(crate) folder: &'a Arc<Dir>,
    pub(crate) folder_path: &'a Path,
    pub(crate) name: String,
    /// Of a single file: whether it may be run.
    pub(crate) single: Option<bool>,
}

impl PartPlace<'_> {
    /// Opens what an earlier attempt has left, if it has left anything.
    pub(crate) fn find(&self) -> Result<Option<Part>, StoreError> {
        match self.open() {
            Ok(part) => Ok(Some(part)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("open", error)),
        }
    }

    /// Makes a part where there is none.
    pub(crate) fn make(&self, disk: &Disk) -> Result<Part, StoreError> {
        self.create(disk).and_then(|()| self.open()).map_err(|e| self.error("create", e))
    }

    fn create(&self, disk: &Disk) -> io::Result<()> {
        disk.step()?;
        match self.single {
            Some(executable) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(file_mode(executable) as _);
                rustix::fs::openat(&**self.folder, &self.name, flags, mode)?;
            }
            None => {
                let mode = Mode::from_raw_mode(FOLDER_MODE as _);
                rustix::fs::mkdirat(&**self.folder, &self.name, mode)?;
            }
        }
        Ok(())
    }

    fn open(&self) -> io::Result<Part> {
        let parent = Below::of(self.folder.clone());
        let (below, lock) = if self.single.is_some() {
            let file = parent.file(&self.name, OFlags::RDWR)?;
            check_own(&rustix::fs::fstat(&file)?)?;
            (parent, file)
        } else {
            let folder = parent.folder(&self.name)?;
            let lock = File::from(rustix::io::fcntl_dupfd_cloexec(&*folder, 0)?);
            (Below::of(folder), lock)
        };
        let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        // On a file system without locks our own list of open parts must do.
        if locked == Err(Errno::WOULDBLOCK) {
            return Err(Errno::BUSY.into());
        }
        Ok(Part {
            below,
            name: self.name.clone(),
            path: self.folder_path.join(&self.name),
            single: self.single.is_some(),
            _lock: lock,
        })
    }

    fn error(&self, doing: &'static str, error: io::Error) -> StoreError {
        let path = self.folder_path.join(&self.name);
        if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) {
            return StoreError::Busy { path };
        }
        StoreError::io(doing, &path, error)
    }
}

impl Part {
    /// The path of a file below [`Part::below`], from its path in the manifest.
    pub(crate) fn rel<'a>(&'a self, in_manifest: Option<&'a str>) -> &'a str {
        in_manifest.unwrap_or(&self.name)
    }

    /// Opens a file for pieces: made if need be, as long as it will be, and empty of blocks.
    pub(crate) fn file(&self, disk: &Disk, rel: &str, len: u64, runs: bool) -> io::Result<File> {
        let file = self.below.file_made(disk, rel, OFlags::empty(), file_mode(runs))?;
        let stat = rustix::fs::fstat(&file)?;
        check_own(&stat)?;
        if u64::try_from(stat.st_size).unwrap_or(0) != len {
            disk.step()?;
            rustix::fs::ftruncate(&file, len)?;
        }
        Ok(file)
    }

    /// Writes a small file at once.
    pub(crate) fn write_small(
        &self,
        disk: &Disk,
        rel: &str,
        bytes: &[u8],
        runs: bool,
    ) -> io::Result<()> {
        match self.below.file_made(disk, rel, OFlags::EXCL, file_mode(runs)) {
            Ok(file) => disk.write(&file, bytes, 0),
            // An earlier attempt has left something.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.file(disk, rel, bytes.len() as u64, runs)?;
                disk.write(&file, bytes, 0)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self, disk: &Disk) -> io::Result<()> {
        if self.single {
            let file = self.below.file(&self.name, OFlags::RDWR)?;
            disk.sync_file(&file, &**self.below.root())
        } else {
            disk.sync_below(&**self.below.root())
        }
    }
}

/// A file's mode, before the umask.
fn file_mode(executable: bool) -> u32 {
    if executable { EXECUTABLE_MODE } else { FILE_MODE }
}

/// A file in a part must be a regular one with a single name: writing into it must not change
/// another.
pub(crate) fn check_own(stat: &Stat) -> io::Result<()> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if regular && stat.st_nlink == 1 { Ok(()) } else { Err(Errno::MLINK.into()) }
}

/// The parts of a sparse file that hold data, each with its end; the whole file where the file
/// system does not tell.
pub(crate) fn data_of(file: &File, len: u64) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < len {
        match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < len => {
                let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(len).min(len);
                found.push((start, end.max(start + 1)));
                at = end.max(start + 1);
            }
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => return vec![(0, len)],
        }
    }
    found
}
