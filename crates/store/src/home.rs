//! The home of a node: a folder that only its user can read, and that only one node uses at a time.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::StoreError;

const LOCK: &str = "lock";
const STATE: &str = "state.db";

/// The home, locked as long as this value lives.
pub(crate) struct Home {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl Home {
    /// Makes the home if need be, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| StoreError::io("create", path, e))?;
        let path = path.canonicalize().map_err(|e| StoreError::io("open", path, e))?;
        make_private(&path)?;
        let lock = lock(&path.join(LOCK))?;
        // SQLite gives its other files the mode of the first.
        private_file(&path.join(STATE))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }
}

/// Takes away what others may do in the home, unless the folder holds other things of the user.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let fail = |e| StoreError::io("open", path, e);
    let meta = fs::metadata(path).map_err(fail)?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreError::Denied { path: path.to_owned() });
    }
    let fresh = fs::read_dir(path).map_err(fail)?.next().is_none();
    if fresh && meta.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let fail = |e| StoreError::io("lock", path, e);
    let mut file = private_file(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // Whoever holds the lock may be just about to write its number.
            let _ = file.take(32).read_to_string(&mut text);
            return Err(StoreError::HomeInUse { pid: text.trim().parse().ok() });
        }
        Err(errno) => return Err(fail(errno.into())),
    }
    file.set_len(0).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

fn private_file(path: &Path) -> Result<File, StoreError> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(|e| StoreError::io("open", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_in_use_names_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/home");
        let home = Home::open(&path).unwrap();
        let pid = std::process::id();
        assert!(
            matches!(Home::open(&path), Err(StoreError::HomeInUse { pid: Some(p) }) if p == pid)
        );
        drop(home);
        Home::open(&path).unwrap();
    }

    #[test]
    fn a_home_is_private_but_a_users_own_folder_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let (fresh, empty, used) =
            (folder.path().join("fresh"), folder.path().join("empty"), folder.path().join("used"));
        for path in [&empty, &used] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(used.join("letter"), "dear").unwrap();
        for path in [&fresh, &empty, &used] {
            drop(Home::open(path).unwrap());
            assert_eq!(mode(&path.join(STATE)), 0o600);
            assert_eq!(mode(&path.join(LOCK)), 0o600);
        }
        assert_eq!((mode(&fresh), mode(&empty), mode(&used)), (0o700, 0o700, 0o755));
    }
}
