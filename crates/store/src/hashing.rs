//! Hashes files on all cores: many small ones side by side, a large one in parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use potluck_base::ContentId;
use potluck_content::{Layout, PieceHasher, Value, Values, hash, piece_value, root};
use rustix::fs::{Mode, OFlags};

use crate::error::{ReadFault, StoreError};
use crate::fingerprint::{Fingerprint, now_ns};
use crate::hashes::{self, FileHash};
use crate::scan::{Scan, ScannedFile, Warning};
use crate::state::Inner;

/// Bytes that are read at a time: they stay in a core's cache until they are hashed.
const READ_BYTES: usize = 512 * 1024;
/// A larger file is hashed in parts of this many bytes.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Small files that one thread takes at a time, and their bytes.
const SMALL_FILES: usize = 64;
const SMALL_BYTES: u64 = 1024 * 1024;
/// Bytes and files after which hashes are remembered: keeps values from filling the memory.
const BATCH_BYTES: u64 = 16 * 1024 * 1024 * 1024;
const BATCH_FILES: usize = 20_000;
/// How often a file that changes while it is read is tried again.
const TRIES: u32 = 3;

/// Hashes files with `threads` threads, this one included; `progress` hears of all bytes so far.
///
/// The first file that is not the one that was scanned, or cannot be read, is an error.
pub fn hash_files(
    files: &[ScannedFile],
    threads: usize,
    progress: &dyn Fn(u64),
    cancel: &AtomicBool,
) -> Result<Vec<FileHash>, StoreError> {
    let files: Vec<_> = files.iter().collect();
    let hashed = hash_each(&files, threads, progress, cancel)?;
    let judged = files.iter().zip(hashed);
    judged.map(|(file, hashed)| hashed.map_err(|why| fault(&file.path, why))).collect()
}

/// Hashes the files of a scan that are not known yet, and remembers them. Files that vanished or
/// cannot be read leave the scan with a warning; one that changes all the time is an error.
pub(crate) fn hash_scan(
    store: &Inner,
    scan: &mut Scan,
    threads: usize,
    progress: &dyn Fn(u64),
    cancel: &AtomicBool,
) -> Result<Vec<ContentId>, StoreError> {
    let prints: Vec<_> = scan.files.iter().map(|file| file.fingerprint).collect();
    let mut ids = hashes::known(&store.db, &prints)?;
    let known = ids.iter().zip(&prints).filter(|(id, _)| id.is_some());
    let mut done: u64 = known.map(|(_, print)| print.size).sum();
    progress(done);
    let mut gone = BTreeSet::new();
    let mut tries = 0;
    loop {
        let todo: Vec<usize> =
            (0..ids.len()).filter(|i| ids[*i].is_none() && !gone.contains(i)).collect();
        if todo.is_empty() {
            break;
        }
        for batch in batches(&scan.files, &todo) {
            let files: Vec<_> = batch.iter().map(|i| &scan.files[*i]).collect();
            let hashed = hash_each(&files, threads, &|bytes| progress(done + bytes), cancel)?;
            done += files.iter().map(|file| file.fingerprint.size).sum::<u64>();
            let mut news = Vec::new();
            for (i, hashed) in batch.iter().zip(hashed) {
                match hashed {
                    Ok(hash) => {
                        ids[*i] = Some(hash.id);
                        news.push((scan.files[*i].fingerprint, hash));
                    }
                    Err(ReadFault::Changed) if tries < TRIES => {
                        done = done.saturating_sub(scan.files[*i].fingerprint.size);
                        look_again(&mut scan.files[*i]);
                    }
                    Err(ReadFault::Missing | ReadFault::Unreadable(_)) if scan.files.len() > 1 => {
                        gone.insert(*i);
                        let path = scan.files[*i].path.clone();
                        let reason = "it vanished or cannot be read".to_owned();
                        scan.warnings.push(Warning { path, reason });
                    }
                    Err(why) => return Err(fault(&scan.files[*i].path, why)),
                }
            }
            hashes::remember(&store.db, &news)?;
        }
        tries += 1;
    }
    let mut at = 0..;
    scan.files.retain(|_| !at.next().is_some_and(|i| gone.contains(&i)));
    Ok(ids.into_iter().flatten().collect())
}

/// Hashes the files that are not known yet, and remembers them; each once, and for each says what
/// became of it.
pub(crate) fn hash_once(
    store: &Inner,
    files: &[ScannedFile],
    threads: usize,
    cancel: &AtomicBool,
) -> Result<Vec<Result<ContentId, ReadFault>>, StoreError> {
    let prints: Vec<_> = files.iter().map(|file| file.fingerprint).collect();
    let known = hashes::known(&store.db, &prints)?;
    let todo: Vec<usize> = (0..files.len()).filter(|i| known[*i].is_none()).collect();
    let mut fresh = BTreeMap::new();
    for batch in batches(files, &todo) {
        let chosen: Vec<_> = batch.iter().map(|i| &files[*i]).collect();
        let hashed = hash_each(&chosen, threads, &|_| {}, cancel)?;
        let mut news = Vec::new();
        for (i, hashed) in batch.iter().zip(hashed) {
            let id = hashed.map(|hash| {
                let id = hash.id;
                news.push((files[*i].fingerprint, hash));
                id
            });
            fresh.insert(*i, id);
        }
        hashes::remember(&store.db, &news)?;
    }
    let ids = known.into_iter().enumerate();
    Ok(ids.map(|(i, id)| id.map_or_else(|| fresh.remove(&i).expect("it was hashed"), Ok)).collect())
}

/// Finds the values of one open file, this thread alone.
pub(crate) fn hash_open_file(file: &File, layout: &Layout) -> io::Result<Vec<Value>> {
    let mut buffer = Vec::new();
    (0..layout.pieces()).map(|index| piece_on_disk(file, layout, index, &mut buffer)).collect()
}

/// The value that a piece has on the disk.
pub(crate) fn piece_on_disk(
    file: &File,
    layout: &Layout,
    index: u32,
    buffer: &mut Vec<u8>,
) -> io::Result<Value> {
    let (mut offset, len) = layout.span(index);
    let end = offset + u64::from(len);
    let mut hasher = PieceHasher::new(layout, index);
    while offset < end {
        buffer.resize(READ_BYTES.min((end - offset) as usize), 0);
        file.read_exact_at(buffer, offset)?;
        hasher.update(buffer);
        offset += buffer.len() as u64;
    }
    Ok(hasher.finish())
}

fn fault(path: &Path, why: ReadFault) -> StoreError {
    let path = path.to_owned();
    match why {
        ReadFault::Changed => StoreError::Changed { path },
        ReadFault::Missing => StoreError::NotFound { path },
        ReadFault::Unreadable(source) => StoreError::io("read", &path, source),
    }
}

fn look_again(file: &mut ScannedFile) {
    if let Ok(stat) = rustix::fs::lstat(&file.path) {
        file.fingerprint = Fingerprint::of_stat(&stat);
    }
}

fn batches(files: &[ScannedFile], todo: &[usize]) -> Vec<Vec<usize>> {
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for i in todo {
        let batch = batches.last_mut().expect("there is one from the start");
        if !batch.is_empty() && (bytes > BATCH_BYTES || batch.len() >= BATCH_FILES) {
            batches.push(vec![*i]);
            bytes = files[*i].fingerprint.size;
        } else {
            batch.push(*i);
            bytes += files[*i].fingerprint.size;
        }
    }
    batches
}

fn hash_each(
    files: &[&ScannedFile],
    threads: usize,
    progress: &dyn Fn(u64),
    cancel: &AtomicBool,
) -> Result<Vec<Result<FileHash, ReadFault>>, StoreError> {
    let job = Job {
        files,
        cursor: Mutex::new(Cursor { file: 0, large: None }),
        results: files.iter().map(|_| OnceLock::new()).collect(),
        done: AtomicU64::new(0),
        cancel,
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(|| job.work(&|_| {}));
        }
        job.work(progress);
    });
    progress(job.done.load(Ordering::Relaxed));
    if cancel.load(Ordering::Relaxed) {
        return Err(StoreError::Cancelled);
    }
    let Job { results, .. } = job;
    Ok(results.into_iter().map(|r| r.into_inner().expect("every file was taken")).collect())
}

struct Job<'a> {
    files: &'a [&'a ScannedFile],
    cursor: Mutex<Cursor>,
    results: Vec<OnceLock<Result<FileHash, ReadFault>>>,
    done: AtomicU64,
    cancel: &'a AtomicBool,
}

/// How far the work has been given out.
struct Cursor {
    file: usize,
    /// The large file that is being given out, and its next piece.
    large: Option<(Arc<Large>, u32)>,
}

enum Work {
    Small(Range<usize>),
    Part(Arc<Large>, Range<u32>),
}

/// A large file, hashed by several threads.
struct Large {
    index: usize,
    file: File,
    layout: Layout,
    begun_ns: i64,
    progress: Mutex<LargeProgress>,
}

struct LargeProgress {
    values: Vec<Value>,
    left: u32,
    fault: Option<ReadFault>,
}

impl Job<'_> {
    fn work(&self, progress: &dyn Fn(u64)) {
        let mut buffer = vec![0; READ_BYTES];
        while let Some(work) = self.take() {
            match work {
                Work::Small(files) => {
                    for index in files {
                        self.put(index, self.small(self.files[index], &mut buffer));
                    }
                }
                Work::Part(large, pieces) => self.part(&large, pieces, &mut buffer),
            }
            progress(self.done.load(Ordering::Relaxed));
        }
    }

    fn take(&self) -> Option<Work> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.cancel.load(Ordering::Relaxed) {
            if let Some((large, next)) = &mut cursor.large {
                let start = *next;
                let step = (PART_BYTES / large.layout.piece_bytes()) as u32;
                *next = start.saturating_add(step).min(large.layout.pieces());
                let part = Work::Part(large.clone(), start..*next);
                if *next == large.layout.pieces() {
                    cursor.large = None;
                }
                return Some(part);
            }
            let index = cursor.file;
            let size = self.files.get(index)?.fingerprint.size;
            if size <= SMALL_BYTES {
                return Some(Work::Small(self.take_small(&mut cursor)));
            }
            cursor.file += 1;
            match self.open_large(index, size) {
                Ok(large) => cursor.large = Some((Arc::new(large), 0)),
                Err(why) => self.put(index, Err(why)),
            }
        }
        None
    }

    fn take_small(&self, cursor: &mut Cursor) -> Range<usize> {
        let start = cursor.file;
        let mut bytes = 0;
        for file in &self.files[start..] {
            bytes += file.fingerprint.size;
            let full = cursor.file - start == SMALL_FILES || bytes > SMALL_BYTES;
            if cursor.file > start && full {
                break;
            }
            cursor.file += 1;
        }
        start..cursor.file
    }

    fn open_large(&self, index: usize, size: u64) -> Result<Large, ReadFault> {
        let begun_ns = now_ns();
        let file = open_checked(self.files[index])?;
        let layout = Layout::new(size);
        let values = vec![[0; 32]; layout.pieces() as usize];
        let progress = LargeProgress { values, left: layout.pieces(), fault: None };
        Ok(Large { index, file, layout, begun_ns, progress: Mutex::new(progress) })
    }

    fn small(&self, file: &ScannedFile, buffer: &mut Vec<u8>) -> Result<FileHash, ReadFault> {
        let begun_ns = now_ns();
        if file.fingerprint.size == 0 {
            return Ok(FileHash { id: hash(&[]), values: None, begun_ns });
        }
        let opened = open_checked(file)?;
        let layout = Layout::new(file.fingerprint.size);
        let mut values = Vec::with_capacity(layout.pieces() as usize);
        read_values(&opened, &layout, 0..layout.pieces(), buffer, &mut values)?;
        self.done.fetch_add(layout.len(), Ordering::Relaxed);
        finish(file, &opened, layout, values, begun_ns)
    }

    fn part(&self, large: &Large, pieces: Range<u32>, buffer: &mut Vec<u8>) {
        read_ahead(large, pieces.end);
        let mut values = Vec::with_capacity(pieces.len());
        let read = read_values(&large.file, &large.layout, pieces.clone(), buffer, &mut values);
        let bytes: u64 = pieces.clone().map(|index| u64::from(large.layout.span(index).1)).sum();
        self.done.fetch_add(bytes, Ordering::Relaxed);
        let mut progress = large.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(()) => {
                progress.values[pieces.start as usize..pieces.end as usize].copy_from_slice(&values)
            }
            Err(error) => progress.fault = Some(error.into()),
        }
        progress.left -= pieces.len() as u32;
        if progress.left == 0 {
            let values = std::mem::take(&mut progress.values);
            let hashed = match progress.fault.take() {
                Some(why) => Err(why),
                None => {
                    let file = self.files[large.index];
                    finish(file, &large.file, large.layout, values, large.begun_ns)
                }
            };
            self.put(large.index, hashed);
        }
    }

    fn put(&self, index: usize, result: Result<FileHash, ReadFault>) {
        // Each file is given out once.
        let _ = self.results[index].set(result);
    }
}

fn open_checked(file: &ScannedFile) -> Result<File, ReadFault> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&file.path, flags, Mode::empty()).map_err(io::Error::from)?;
    let opened = File::from(opened);
    if Fingerprint::of(&opened)? == file.fingerprint { Ok(opened) } else { Err(ReadFault::Changed) }
}

fn finish(
    file: &ScannedFile,
    opened: &File,
    layout: Layout,
    values: Vec<Value>,
    begun_ns: i64,
) -> Result<FileHash, ReadFault> {
    if Fingerprint::of(opened)? != file.fingerprint {
        return Err(ReadFault::Changed);
    }
    let id = root(&layout, &values);
    let values = (values.len() > 1)
        .then(|| Values::verify(layout, id, values).expect("the id was made from these values"));
    Ok(FileHash { id, values: values.map(Arc::new), begun_ns })
}

/// Appends the values of pieces that follow each other.
fn read_values(
    file: &File,
    layout: &Layout,
    pieces: Range<u32>,
    buffer: &mut Vec<u8>,
    values: &mut Vec<Value>,
) -> io::Result<()> {
    let at_once = (READ_BYTES as u64 / layout.piece_bytes()) as u32;
    if at_once == 0 {
        for index in pieces {
            values.push(piece_on_disk(file, layout, index, buffer)?);
        }
        return Ok(());
    }
    let mut next = pieces.start;
    while next < pieces.end {
        let last = next.saturating_add(at_once).min(pieces.end);
        let (start, _) = layout.span(next);
        let (offset, len) = layout.span(last - 1);
        buffer.resize((offset + u64::from(len) - start) as usize, 0);
        file.read_exact_at(buffer, start)?;
        for index in next..last {
            let (offset, len) = layout.span(index);
            let bytes = &buffer[(offset - start) as usize..][..len as usize];
            values.push(piece_value(layout, index, bytes));
        }
        next = last;
    }
    Ok(())
}

/// Tells the system which part comes next: threads that take turns look random to it.
fn read_ahead(large: &Large, next: u32) {
    #[cfg(target_os = "linux")]
    if let Some(len) = std::num::NonZeroU64::new(PART_BYTES) {
        let (offset, _) = large.layout.span(next);
        // Only advice: if it is not taken, reading is slower.
        let _ = rustix::fs::fadvise(&large.file, offset, Some(len), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (large, next);
}
