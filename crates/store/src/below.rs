//! Opens files below a folder that is held open, and never follows a link on the way.
//!
//! Every step of a path is opened from the folder before it with `O_NOFOLLOW`: whatever is swapped
//! in between a check and its use, the worst that can happen is an error.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::Disk;
use crate::lru::Lru;

/// Folders below one root that stay open.
const FOLDERS_OPEN: u64 = 16;
/// What a new folder may be used for, before the umask.
const FOLDER_MODE: u16 = 0o755;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// `NONBLOCK`: a pipe put in a file's place must not hang us.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A folder that is held open; paths are those of a checked `RelPath`.
pub(crate) struct Below {
    root: Arc<Dir>,
    folders: Mutex<Lru<String, Arc<Dir>>>,
}

impl Below {
    /// Holds a folder by its path, whose last name must not be a link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let folder = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self::of(Arc::new(Dir::from_std_file(File::from(folder)))))
    }

    /// Holds a folder that is open already.
    pub(crate) fn of(root: Arc<Dir>) -> Self {
        Self { root, folders: Mutex::new(Lru::new(FOLDERS_OPEN)) }
    }

    pub(crate) fn root(&self) -> &Arc<Dir> {
        &self.root
    }

    /// Forgets which folders were found where.
    pub(crate) fn forget(&self) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The folder at a path; the root itself for an empty one.
    pub(crate) fn folder(&self, rel: &str) -> io::Result<Arc<Dir>> {
        self.walk(rel, None)
    }

    /// The folder at a path, made if it is not there.
    pub(crate) fn folder_made(&self, disk: &Disk, rel: &str) -> io::Result<Arc<Dir>> {
        self.walk(rel, Some(disk))
    }

    /// Opens an existing regular file.
    pub(crate) fn file(&self, rel: &str, access: OFlags) -> io::Result<File> {
        let (parent, name) = split(rel);
        let parent = self.folder(parent)?;
        Ok(File::from(rustix::fs::openat(&*parent, name, FILE | access, Mode::empty())?))
    }

    /// Opens a file for writing, made with `mode` if it is not there; `more` is `EXCL` or nothing.
    pub(crate) fn file_made(
        &self,
        disk: &Disk,
        rel: &str,
        more: OFlags,
        mode: u32,
    ) -> io::Result<File> {
        let (parent, name) = split(rel);
        let parent = self.folder_made(disk, parent)?;
        disk.step()?;
        let flags = FILE | OFlags::RDWR | OFlags::CREATE | more;
        Ok(File::from(rustix::fs::openat(&*parent, name, flags, Mode::from_raw_mode(mode as _))?))
    }

    /// What stands at a path, itself.
    pub(crate) fn stat(&self, rel: &str) -> io::Result<Stat> {
        let (parent, name) = split(rel);
        let parent = self.folder(parent)?;
        Ok(rustix::fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What stands at a path, if anything does.
    pub(crate) fn find(&self, rel: &str) -> io::Result<Option<Stat>> {
        match self.stat(rel) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn walk(&self, rel: &str, make: Option<&Disk>) -> io::Result<Arc<Dir>> {
        if rel.is_empty() {
            return Ok(self.root.clone());
        }
        let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get(rel);
        if let Some(folder) = known {
            return Ok(folder);
        }
        let (parent, name) = split(rel);
        let parent = self.walk(parent, make)?;
        let open = || rustix::fs::openat(&*parent, name, FOLDER, Mode::empty());
        let opened = match (open(), make) {
            (Err(Errno::NOENT), Some(disk)) => {
                disk.step()?;
                match rustix::fs::mkdirat(&*parent, name, Mode::from_raw_mode(FOLDER_MODE.into())) {
                    // Another thread was faster.
                    Ok(()) | Err(Errno::EXIST) => open()?,
                    Err(errno) => return Err(errno.into()),
                }
            }
            (opened, _) => opened?,
        };
        let folder = Arc::new(Dir::from_std_file(File::from(opened)));
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.put(rel.to_owned(), folder.clone(), 1);
        Ok(folder)
    }
}

/// A path's parent, empty if it is the root, and its last name.
pub(crate) fn split(rel: &str) -> (&str, &str) {
    rel.rsplit_once('/').unwrap_or(("", rel))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_on_the_way_or_at_the_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        for path in [&inside, &outside] {
            fs::create_dir(path).unwrap();
        }
        fs::write(outside.join("secret"), "x").unwrap();
        symlink("../out", inside.join("folder")).unwrap();
        symlink("../out/secret", inside.join("file")).unwrap();
        symlink(&inside, folder.path().join("root")).unwrap();
        let (below, disk) = (Below::open(&inside).unwrap(), Disk::default());
        for rel in ["folder/secret", "file"] {
            assert!(below.file(rel, OFlags::RDONLY).is_err(), "{rel}");
            assert!(below.file_made(&disk, rel, OFlags::empty(), 0o644).is_err(), "{rel}");
        }
        assert!(below.file_made(&disk, "folder/new", OFlags::empty(), 0o644).is_err());
        assert!(below.folder_made(&disk, "folder/sub").is_err());
        assert!(Below::open(&folder.path().join("root")).is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"x");
    }

    #[test]
    fn folders_are_made_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (below, disk) = (Below::open(folder.path()).unwrap(), Disk::default());
        below.file_made(&disk, "a/b/c", OFlags::EXCL, 0o644).unwrap();
        assert!(below.file_made(&disk, "a/b/c", OFlags::EXCL, 0o644).is_err());
        assert!(folder.path().join("a/b/c").is_file());
        assert!(below.find("a/x/y").unwrap().is_none());
    }
}
