//! What tells that a file is still the one that was hashed, without reading it again.

use std::io;
use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat, fstat};
use serde::{Deserialize, Serialize};

/// A file changed so shortly before it was hashed may change again without its time moving on:
/// FAT counts in steps of two seconds, other file systems in steps of a kernel tick.
const RACY_NS: i64 = 2_000_000_000;

/// Device, inode, size and time of change: as long as they stay, the file counts as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The device that the file is on.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed, nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Fingerprint {
    /// Of an open file; an error if it is not a regular file.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = fstat(file)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok(Self::of_stat(&stat))
        } else {
            Err(rustix::io::Errno::LOOP.into())
        }
    }

    /// From what the system says about a regular file.
    pub(crate) fn of_stat(stat: &Stat) -> Self {
        // The fields have other widths on other systems.
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: (stat.st_mtime as i64)
                .saturating_mul(1_000_000_000)
                .saturating_add(stat.st_mtime_nsec as i64),
        }
    }

    /// The time of change, whole seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.mtime_ns / 1_000_000_000).unwrap_or(0)
    }

    /// Whether a hash that was begun at `now_ns` may miss a change that leaves no trace.
    ///
    /// The same rule as in git's index: such a hash is right for the moment, but is not remembered.
    pub fn racy(&self, now_ns: i64) -> bool {
        self.mtime_ns > now_ns.saturating_sub(RACY_NS)
    }
}

/// The present, nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changed_within_two_seconds_before_its_hash_is_racy() {
        let of = |mtime_ns| Fingerprint { dev: 1, ino: 2, size: 3, mtime_ns };
        let now = 1_000_000_000_000;
        assert!(!of(now - 2_000_000_000).racy(now));
        assert!(of(now - 1_999_999_999).racy(now));
        assert!(of(now + 5).racy(now));
    }
}
