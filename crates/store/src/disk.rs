//! Every change of the disk by a download goes through here, so that tests can make disks fail.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
#[cfg(any(test, feature = "faulty"))]
use std::sync::Arc;

#[cfg(any(test, feature = "faulty"))]
use crate::faulty::Faults;

/// The disk, as it is or with faults.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(any(test, feature = "faulty"))]
    faults: Option<Arc<Faults>>,
}

impl Disk {
    #[cfg(any(test, feature = "faulty"))]
    pub(crate) fn faulty(faults: Arc<Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    /// Comes before every change; a test may let the program die here.
    #[inline]
    pub(crate) fn step(&self) -> io::Result<()> {
        #[cfg(any(test, feature = "faulty"))]
        if let Some(faults) = &self.faults {
            return faults.step();
        }
        Ok(())
    }

    /// Writes all the bytes at an offset.
    pub(crate) fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(any(test, feature = "faulty"))]
        if let Some(faults) = &self.faults {
            return faults.write(file, bytes, offset);
        }
        file.write_all_at(bytes, offset)
    }

    /// Brings a file's bytes to the disk, and the name of a new one.
    pub(crate) fn sync_file(&self, file: &File, folder: impl AsFd) -> io::Result<()> {
        self.step()?;
        #[cfg(not(target_vendor = "apple"))]
        rustix::fs::fdatasync(file)?;
        #[cfg(target_vendor = "apple")]
        rustix::fs::fsync(file)?;
        rustix::fs::fsync(folder)?;
        self.synced();
        Ok(())
    }

    /// Brings everything on a folder's file system to the disk: one call, however many files.
    pub(crate) fn sync_below(&self, folder: impl AsFd) -> io::Result<()> {
        self.step()?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(folder)?;
        #[cfg(not(target_os = "linux"))]
        {
            let _ = folder;
            rustix::fs::sync();
        }
        self.synced();
        Ok(())
    }

    /// Bytes that this user may still write on a folder's file system.
    pub(crate) fn free(&self, folder: impl AsFd) -> io::Result<u64> {
        #[cfg(any(test, feature = "faulty"))]
        if let Some(free) = self.faults.as_ref().and_then(|faults| faults.free()) {
            return Ok(free);
        }
        let stat = rustix::fs::fstatvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether a test wants this file system to take two names for one.
    pub(crate) fn folds(&self) -> bool {
        #[cfg(any(test, feature = "faulty"))]
        if let Some(faults) = &self.faults {
            return faults.folds();
        }
        false
    }

    fn synced(&self) {
        #[cfg(any(test, feature = "faulty"))]
        if let Some(faults) = &self.faults {
            faults.synced();
        }
    }
}
