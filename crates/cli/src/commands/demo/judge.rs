//! Compares copies with their original: names, bytes, executable bits, links, and nothing more or
//! less.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::below;

/// Bytes compared at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// What the comparison found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Entries of one copy that were compared.
    pub(super) compared: u64,
    /// Entries of the original that the provider said it leaves out.
    pub(super) left_out: u64,
    /// What is not as it should be.
    pub(super) differences: Vec<String>,
}

impl Verdict {
    /// Whether all is as it should be.
    pub(super) fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { bytes: u64, executable: bool },
    Folder,
    Link(OsString),
    Other,
}

/// Compares `copies` with `original`, without what was `left_out` of it.
pub(super) fn judge(
    original: &Path,
    copies: &[PathBuf],
    left_out: &[PathBuf],
) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut expected = entries(original)?;
    let all = expected.len();
    let is_left_out = |path: &Path| {
        left_out.iter().any(|out| path.starts_with(out) || original.join(path).starts_with(out))
    };
    expected.retain(|path, _| !is_left_out(path));
    verdict.left_out = (all - expected.len()) as u64;
    verdict.compared = expected.len() as u64;
    for copy in copies {
        compare(original, &expected, copy, &mut verdict)?;
    }
    Ok(verdict)
}

fn compare(
    original: &Path,
    expected: &BTreeMap<PathBuf, Entry>,
    copy: &Path,
    verdict: &mut Verdict,
) -> io::Result<()> {
    let mut found = entries(copy)?;
    let mut differ = |path: &Path, how: &str| {
        let name = below(&at(copy, path), copy.parent().unwrap_or(copy));
        verdict.differences.push(format!("{name}: {how}"));
    };
    for (path, entry) in expected {
        match found.remove(path) {
            None => differ(path, "is missing"),
            Some(other) if other != *entry => {
                differ(path, &format!("is {other:?} instead of {entry:?}"));
            }
            Some(Entry::File { .. }) => {
                if !same_bytes(&at(original, path), &at(copy, path))? {
                    differ(path, "has other bytes");
                }
            }
            Some(_) => {}
        }
    }
    for path in found.keys() {
        differ(path, "was never sent");
    }
    Ok(())
}

/// Everything at and below a path, by relative path; links are not followed, except the path
/// itself.
fn entries(root: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    if !fs::metadata(root)?.is_dir() {
        entries.insert(PathBuf::new(), entry(root, &fs::metadata(root)?)?);
        return Ok(entries);
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for child in fs::read_dir(root.join(&folder))? {
            let path = folder.join(child?.file_name());
            let entry = entry(&root.join(&path), &fs::symlink_metadata(root.join(&path))?)?;
            if entry == Entry::Folder {
                folders.push(path.clone());
            }
            entries.insert(path, entry);
        }
    }
    Ok(entries)
}

/// A path below a root; the empty one is the root itself, which may be a file.
fn at(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn entry(path: &Path, metadata: &fs::Metadata) -> io::Result<Entry> {
    Ok(if metadata.is_dir() {
        Entry::Folder
    } else if metadata.is_symlink() {
        Entry::Link(fs::read_link(path)?.into_os_string())
    } else if metadata.is_file() {
        Entry::File { bytes: metadata.len(), executable: is_executable(metadata) }
    } else {
        Entry::Other
    })
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut from_a, mut from_b) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    loop {
        let read = a.read(&mut from_a)?;
        if read == 0 {
            return Ok(b.read(&mut from_b)? == 0);
        }
        match b.read_exact(&mut from_b[..read]) {
            Ok(()) if from_a[..read] == from_b[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::commands::demo::tree;

    struct World {
        _temp: tempfile::TempDir,
        original: PathBuf,
        copy: PathBuf,
    }

    /// An original and a copy that is equal.
    fn world() -> World {
        let temp = tempfile::tempdir().unwrap();
        let (original, copy) = (temp.path().join("a"), temp.path().join("b"));
        tree::grow(&original, 300_000).unwrap();
        tree::grow(&copy, 300_000).unwrap();
        World { _temp: temp, original, copy }
    }

    impl World {
        fn differences(&self) -> Vec<String> {
            judge(&self.original, from_ref(&self.copy), &[]).unwrap().differences
        }
    }

    #[test]
    fn equal_trees_are_equal() {
        let world = world();
        assert_eq!(world.differences(), Vec::<String>::new());
        let verdict = judge(&world.original, from_ref(&world.copy), &[]).unwrap();
        assert!(verdict.compared > 400, "{verdict:?}");
    }

    #[test]
    fn a_changed_byte_a_lost_file_and_an_extra_one_are_seen() {
        let world = world();
        let film = world.copy.join("film.dat");
        let mut bytes = fs::read(&film).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&film, bytes).unwrap();
        fs::remove_file(world.copy.join("empty file")).unwrap();
        fs::write(world.copy.join("extra"), b"").unwrap();
        assert_eq!(
            world.differences(),
            ["b/empty file: is missing", "b/film.dat: has other bytes", "b/extra: was never sent"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_lost_executable_bit_and_a_link_that_leads_elsewhere_are_seen() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let world = world();
        let program = world.copy.join("run me.sh");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(world.copy.join("a link")).unwrap();
        symlink("elsewhere", world.copy.join("a link")).unwrap();
        assert_eq!(world.differences().len(), 2, "{:?}", world.differences());
    }

    #[test]
    fn an_empty_folder_that_is_missing_is_seen() {
        let world = world();
        fs::remove_dir(world.copy.join("empty folder/in it another")).unwrap();
        assert_eq!(world.differences(), ["b/empty folder/in it another: is missing"]);
    }

    #[test]
    fn what_the_provider_left_out_is_not_missed() {
        let world = world();
        fs::write(world.original.join("socket"), b"").unwrap();
        let left_out = [world.original.join("socket")];
        let verdict = judge(&world.original, from_ref(&world.copy), &left_out).unwrap();
        assert!(verdict.is_equal() && verdict.left_out == 1, "{verdict:?}");
    }

    #[test]
    fn single_files_are_compared_too() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        fs::write(&a, b"same").unwrap();
        fs::write(&b, b"same").unwrap();
        assert!(judge(&a, from_ref(&b), &[]).unwrap().is_equal());
        fs::write(&b, b"sama").unwrap();
        assert!(!judge(&a, from_ref(&b), &[]).unwrap().is_equal());
    }
}
