//! Files and folders to be moved, and whether they arrived.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Files in one folder of a tree.
const FILES_PER_FOLDER: usize = 100;
/// Bytes made or compared at a time; a multiple of eight.
const STEP_BYTES: usize = 256 * 1024;

/// Makes a file of bytes that no other file has: equal files would be fetched only once.
pub fn make_file(path: &Path, size: u64, seed: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(STEP_BYTES, File::create(path)?);
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut buffer = vec![0; STEP_BYTES];
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(STEP_BYTES);
        for word in buffer[..part.next_multiple_of(8)].chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    file.flush()?;
    Ok(())
}

/// Makes a tree of `count` files of `size` bytes in folders of a hundred.
pub fn make_tree(root: &Path, count: usize, size: u64) -> Result<()> {
    for index in 0..count {
        let folder = root.join(format!("folder-{:03}", index / FILES_PER_FOLDER));
        if index % FILES_PER_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        make_file(&folder.join(format!("file-{index:05}.bin")), size, index as u64)?;
    }
    Ok(())
}

/// All files at or below a path, in order.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = fs::symlink_metadata(path).with_context(|| format!("{}", path.display()))?;
    if kind.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    names.sort();
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| !name.is_symlink()) {
        found.append(&mut files(&name)?);
    }
    Ok(found)
}

/// Frees the space of all files at or below a path; their names stay.
pub fn empty_files(path: &Path) -> Result<()> {
    for file in files(path)? {
        File::options().write(true).open(&file)?.set_len(0)?;
    }
    Ok(())
}

/// Fails unless both hold the same files with the same bytes.
pub fn ensure_same(source: &Path, target: &Path) -> Result<()> {
    let (sources, targets) = (files(source)?, files(target)?);
    let names = |root: &Path, paths: &[PathBuf]| -> Result<Vec<PathBuf>> {
        paths.iter().map(|path| Ok(path.strip_prefix(root)?.to_owned())).collect()
    };
    ensure!(names(source, &sources)? == names(target, &targets)?, "other files arrived");
    for (sent, received) in sources.iter().zip(&targets) {
        ensure!(same_bytes(sent, received)?, "{} arrived changed", received.display());
    }
    Ok(())
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let size = one.metadata()?.len();
    if size != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut ours, mut theirs) = (size, vec![0; STEP_BYTES], vec![0; STEP_BYTES]);
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(STEP_BYTES);
        one.read_exact(&mut ours[..part])?;
        other.read_exact(&mut theirs[..part])?;
        if ours[..part] != theirs[..part] {
            return Ok(false);
        }
        left -= part as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_same_as_itself_and_as_nothing_else() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (scratch.path().join("one"), scratch.path().join("other"));
        make_tree(&one, 203, 9).expect("is made");
        make_tree(&other, 203, 9).expect("is made");
        assert_eq!(files(&one).expect("is listed").len(), 203);
        ensure_same(&one, &other).expect("are the same");
        let last = other.join("folder-002/file-00202.bin");
        let mut bytes = fs::read(&last).expect("is there");
        bytes[8] ^= 1;
        fs::write(&last, bytes).expect("is written");
        assert!(ensure_same(&one, &other).is_err(), "one bit differs");
        fs::remove_file(&last).expect("is removed");
        assert!(ensure_same(&one, &other).is_err(), "a file is missing");
    }

    #[test]
    fn no_two_files_of_a_tree_are_equal() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        make_tree(scratch.path(), 300, 16).expect("is made");
        let files = files(scratch.path()).expect("is listed");
        let contents: std::collections::BTreeSet<_> =
            files.iter().map(|path| fs::read(path).expect("is there")).collect();
        assert_eq!(contents.len(), 300);
    }
}
