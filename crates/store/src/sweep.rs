//! Takes things out of a part, and never anything outside of it: each step down is taken from a
//! folder that is held open, and no link is followed.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::Disk;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Folders deeper than any manifest has are not ours: they are left, and so is the part.
const DEPTH_MAX: usize = potluck_base::limits::PATH_DEPTH + 1;

/// Deletes one name in a folder, with all that is below it. Missing is fine.
pub(crate) fn delete(disk: &Disk, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match rustix::fs::openat(parent, name, FOLDER, Mode::empty()) {
        Ok(folder) => {
            keep_only(disk, folder.as_fd(), &|_| false)?;
            unlink(disk, parent, name, AtFlags::REMOVEDIR)
        }
        Err(Errno::NOENT) => Ok(()),
        // Something that is no folder, or a link: only the name goes.
        Err(Errno::NOTDIR | Errno::LOOP) => unlink(disk, parent, name, AtFlags::empty()),
        Err(errno) => Err(errno.into()),
    }
}

/// Deletes everything below a folder except files, links and folders whose path `keep` knows, and
/// the folders on the way to them.
pub(crate) fn keep_only(
    disk: &Disk,
    folder: BorrowedFd<'_>,
    keep: &dyn Fn(&str) -> bool,
) -> io::Result<()> {
    sweep(disk, folder, "", keep, 0).map(|_| ())
}

/// Whether nothing is left in the folder.
fn sweep(
    disk: &Disk,
    folder: BorrowedFd<'_>,
    rel: &str,
    keep: &dyn Fn(&str) -> bool,
    depth: usize,
) -> io::Result<bool> {
    if depth > DEPTH_MAX {
        return Ok(false);
    }
    let mut empty = true;
    for (name, kind) in list(folder)? {
        // A name that is not text is in no manifest.
        let path = name
            .to_str()
            .ok()
            .map(|name| if rel.is_empty() { name.to_owned() } else { format!("{rel}/{name}") });
        let kept = path.as_deref().is_some_and(keep);
        let opened = match kind {
            FileType::Directory | FileType::Unknown => {
                rustix::fs::openat(folder, &name, FOLDER, Mode::empty())
            }
            _ => Err(Errno::NOTDIR),
        };
        match opened {
            Ok(below) => {
                let bare = sweep(disk, below.as_fd(), &path.unwrap_or_default(), keep, depth + 1)?;
                if kept || !bare {
                    empty = false;
                } else {
                    unlink(disk, folder, &name, AtFlags::REMOVEDIR)?;
                }
            }
            Err(_) if kept => empty = false,
            Err(_) => unlink(disk, folder, &name, AtFlags::empty())?,
        }
    }
    Ok(empty)
}

fn unlink(
    disk: &Disk,
    folder: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
    flags: AtFlags,
) -> io::Result<()> {
    disk.step()?;
    match rustix::fs::unlinkat(folder, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn list(folder: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn deleting_a_part_takes_links_away_and_leaves_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let (part, other) = (folder.path().join("part"), folder.path().join("other"));
        fs::create_dir_all(part.join("a/b")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "x").unwrap();
        symlink("../../other", part.join("a/link")).unwrap();
        symlink("../other/precious", part.join("file")).unwrap();
        fs::write(part.join("a/b/c"), "x").unwrap();
        symlink("other", folder.path().join("fake")).unwrap();
        let (disk, parent) = (Disk::default(), fs::File::open(folder.path()).unwrap());
        for name in ["part", "fake", "absent"] {
            delete(&disk, parent.as_fd(), name).unwrap();
            assert!(!folder.path().join(name).exists());
        }
        assert_eq!(fs::read(other.join("precious")).unwrap(), b"x");
    }

    #[test]
    fn only_what_is_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["a/x", "a/y", "b/c", "d", "e/f", "g"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("a/x/1"), "").unwrap();
        fs::write(root.join("a/x/2"), "").unwrap();
        let opened = fs::File::open(root).unwrap();
        let keep = |path: &str| matches!(path, "a/x/1" | "d");
        keep_only(&Disk::default(), opened.as_fd(), &keep).unwrap();
        assert!(root.join("a/x/1").exists() && root.join("d").exists());
        for gone in ["a/x/2", "a/y", "b", "e", "g"] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
    }
}
