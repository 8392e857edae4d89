//! Trees of files: made from a seed, and compared with each other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A small seeded generator.
pub struct Dice(u64);

impl Dice {
    /// The same seed rolls the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes that do not compress and are the same for the same seed.
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&dice.roll().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes one file of random bytes.
pub fn fill(path: &Path, seed: u64, length: usize) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("a folder for the file");
    }
    fs::write(path, random_bytes(seed, length)).expect("writing a file of the story");
}

/// Writes a tree with everything that a tree can have: scripts of the world, empty files and
/// folders, links.
pub fn random_tree(root: &Path, seed: u64, files: usize) {
    let mut dice = Dice::new(seed);
    let names =
        ["notes", "日本語", "наука", "ملف", "Ünïcödé", "emoji 👩‍👩‍👧", "a b", "x%y", "Episode 1: it?"];
    for index in 0..files {
        let mut path = root.to_owned();
        for _ in 0..dice.roll() % 4 {
            path.push(names[(dice.roll() % names.len() as u64) as usize]);
        }
        path.push(format!("{} {index}", names[(dice.roll() % names.len() as u64) as usize]));
        let length = match dice.roll() % 8 {
            0 => 0,
            1 => 1,
            2 => 65_536,
            3 => 65_537 + (dice.roll() % 300_000) as usize,
            _ => (dice.roll() % 20_000) as usize,
        };
        fill(&path, dice.roll(), length);
        if dice.roll().is_multiple_of(5) {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&path, mode).expect("changing a file of the story");
        }
    }
    fs::create_dir_all(root.join("empty/really")).expect("an empty folder");
    fill(&root.join("twins/one"), 7, 200_000);
    fill(&root.join("twins/two"), 7, 200_000);
    symlink("twins/one", root.join("link to one")).expect("a link of the story");
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Thing {
    /// A file: whether it may be run, and its bytes.
    File(bool, Vec<u8>),
    /// A folder.
    Folder,
    /// A link and where it leads.
    Link(PathBuf),
}

/// Everything below a folder, by relative path.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the story") {
            let path = entry.expect("an entry of the story").path();
            let what = fs::symlink_metadata(&path).expect("an entry of the story");
            let thing = if what.is_symlink() {
                Thing::Link(fs::read_link(&path).expect("a link"))
            } else if what.is_dir() {
                folders.push(path.clone());
                Thing::Folder
            } else {
                let run = what.permissions().mode() & 0o111 != 0;
                Thing::File(run, fs::read(&path).expect("a file"))
            };
            things.insert(path.strip_prefix(root).expect("below the root").to_owned(), thing);
        }
    }
    things
}
