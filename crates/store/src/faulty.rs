//! Disks that fail on purpose: full, broken, or pulled out in the middle. For tests only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// What shall go wrong, and when.
#[derive(Default)]
pub struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    /// Bytes that may still be written, and what happens then.
    writes: Option<(u64, i32)>,
    /// Changes of the disk that still succeed before the program dies.
    steps: Option<u64>,
    steps_done: u64,
    dead: bool,
    free: Option<u64>,
    folds: bool,
    unsynced: Vec<(File, u64, u64)>,
}

impl Faults {
    /// A disk that works until something else is asked of it.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets writes fail with ENOSPC once `bytes` more are written.
    pub fn full_after(&self, bytes: u64) {
        self.lock().writes = Some((bytes, Errno::NOSPC.raw_os_error()));
    }

    /// Lets writes fail with EIO once `bytes` more are written.
    pub fn broken_after(&self, bytes: u64) {
        self.lock().writes = Some((bytes, Errno::IO.raw_os_error()));
    }

    /// Lets the program die after so many more changes of the disk: everything fails from then on.
    pub fn crash_after(&self, steps: u64) {
        self.lock().steps = Some(steps);
    }

    /// Reports this much free space.
    pub fn free_space(&self, bytes: u64) {
        self.lock().free = Some(bytes);
    }

    /// Pretends that the file system ignores case and normalisation.
    pub fn fold_names(&self) {
        self.lock().folds = true;
    }

    /// Changes of the disk so far.
    pub fn steps_done(&self) -> u64 {
        self.lock().steps_done
    }

    /// Whether the program is dead by now.
    pub fn dead(&self) -> bool {
        self.lock().dead
    }

    /// What a power cut does: all bytes written since the last sync become zeros.
    pub fn lose_unsynced(&self) -> io::Result<()> {
        for (file, offset, len) in std::mem::take(&mut self.lock().unsynced) {
            let end = file.metadata()?.len().min(offset + len);
            let zeros = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or(0)];
            file.write_all_at(&zeros, offset)?;
        }
        Ok(())
    }

    pub(crate) fn step(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.dead {
            return Err(Errno::IO.into());
        }
        if state.steps == Some(state.steps_done) {
            state.dead = true;
            return Err(Errno::IO.into());
        }
        state.steps_done += 1;
        Ok(())
    }

    pub(crate) fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.dead() {
            return Err(Errno::IO.into());
        }
        let dies = self.step().is_err();
        let mut state = self.lock();
        // Who dies while writing leaves half of it.
        let mut taken = if dies { bytes.len() / 2 } else { bytes.len() };
        let mut error = dies.then_some(Errno::IO.raw_os_error());
        if let Some((left, errno)) = &mut state.writes {
            if taken as u64 > *left {
                taken = usize::try_from(*left).unwrap_or(taken);
                error = Some(*errno);
            }
            *left -= taken as u64;
        }
        file.write_all_at(&bytes[..taken], offset)?;
        state.unsynced.push((file.try_clone()?, offset, taken as u64));
        error.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    pub(crate) fn synced(&self) {
        self.lock().unsynced.clear();
    }

    pub(crate) fn free(&self) -> Option<u64> {
        self.lock().free
    }

    pub(crate) fn folds(&self) -> bool {
        self.lock().folds
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
