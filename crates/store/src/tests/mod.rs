//! Stories of sharing and fetching on a real disk, and what the tests of this crate share.

mod circles;
mod crashes;
mod downloads;
mod endings;
mod hostile;
mod offers;
mod refreshes;
mod scans;
mod sources;
mod stored;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use potluck_base::{ContentId, PieceRange, RelPath};
use potluck_content::{Entry, Kind, Manifest};

use crate::{
    Download, DownloadPlan, Faults, OnExists, PlanKind, ShareKind, Source, Store, StoreError,
};

/// A sender's and a receiver's home, and a folder for each.
struct World {
    folder: tempfile::TempDir,
    sender: Store,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["shared", "target"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let sender = Store::open(&folder.path().join("sender")).unwrap();
        Self { folder, sender }
    }

    fn path(&self, rel: &str) -> PathBuf {
        self.folder.path().join(rel)
    }

    /// Writes a file below the shared folder, long enough ago not to be racy.
    fn file(&self, rel: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path("shared").join(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        age(&path, 60);
        path
    }

    fn share(&self, paths: &[&str]) -> Arc<Source> {
        let paths: Vec<_> = paths.iter().map(|rel| self.path("shared").join(rel)).collect();
        self.share_paths(&paths)
    }

    fn share_paths(&self, paths: &[PathBuf]) -> Arc<Source> {
        let mut scan = self.sender.scan(paths).unwrap();
        let cancel = AtomicBool::new(false);
        let ids = self.sender.hash_scan(&mut scan, 2, &|_| {}, &cancel).unwrap();
        let record = scan.record(&ids).unwrap();
        self.sender.put_share(&record).unwrap();
        Arc::new(self.sender.open_source(&record.id).unwrap().unwrap())
    }

    fn receiver(&self) -> Store {
        Store::open(&self.path("receiver")).unwrap()
    }

    fn faulty_receiver(&self, faults: &Arc<Faults>) -> Store {
        Store::open_faulty(&self.path("receiver"), faults.clone()).unwrap()
    }

    fn plan(&self, source: &Source) -> DownloadPlan {
        let kind = match source.manifest() {
            Some(manifest) => PlanKind::Folder(manifest),
            None => {
                PlanKind::File { size: source.map().total_bytes(), executable: source.executable() }
            }
        };
        DownloadPlan {
            content: source.content(),
            kind,
            name: source.name().clone(),
            chosen_name: None,
            folder: self.path("target"),
            on_exists: OnExists::Refuse,
            selected: None,
        }
    }

    fn target(&self, rel: &str) -> PathBuf {
        self.path("target").join(rel)
    }

    /// The names in the target folder.
    fn names(&self) -> Vec<String> {
        names_in(&self.path("target"))
    }
}

fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sets a file's time of change back.
fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().read(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

/// Bytes that do not repeat.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn name(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

/// Gives the values of all files that still need them.
fn give_values(source: &Source, download: &Download) -> Result<(), StoreError> {
    for file in 0..source.map().files() {
        if source.map().file(file).pieces.len() > 1 && !download.known_values().contains(&file) {
            download.set_values(file, source.values(file).unwrap().unwrap())?;
        }
    }
    Ok(())
}

/// Fetches pieces as the network would: only wanted ones that are not here; returns how many.
fn fetch(source: &Source, download: &Download, pieces: PieceRange) -> Result<u32, StoreError> {
    let wanted = download.wanted();
    let (mut buf, mut fetched) = (Vec::new(), 0);
    for piece in pieces.iter().filter(|piece| wanted.contains(*piece)) {
        if download.have().contains(piece) {
            continue;
        }
        source.read(PieceRange::one(piece), &mut buf).unwrap();
        let at = source.map().locate(piece);
        let values = download.values(at.file)?.expect("values come first");
        assert!(values.matches(at.index, &buf));
        download.write(piece, 0, &buf)?;
        let marked = download.mark(PieceRange::one(piece))?;
        assert!(marked.bad.is_empty());
        fetched += 1;
    }
    Ok(fetched)
}

/// Fetches everything and finishes; returns how many pieces had to be fetched.
fn fetch_all(source: &Source, download: &Download) -> Result<u32, StoreError> {
    give_values(source, download)?;
    let fetched = fetch(source, download, PieceRange::new(0, source.map().total()))?;
    assert!(download.is_complete());
    download.finish(&[])?;
    Ok(fetched)
}

/// What a tree contains: paths, bytes, executable bits, links.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, path: &Path, into: &mut BTreeMap<String, String>) {
        let rel = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let meta = fs::symlink_metadata(path).unwrap();
        let what = if meta.is_symlink() {
            format!("link to {}", fs::read_link(path).unwrap().display())
        } else if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(root, &entry.unwrap().path(), into);
            }
            "folder".to_owned()
        } else {
            let runs = meta.mode() & 0o111 != 0;
            format!("{} runs: {runs}", potluck_content::hash(&fs::read(path).unwrap()))
        };
        into.insert(rel, what);
    }
    let mut into = BTreeMap::new();
    walk(root, root, &mut into);
    into
}

fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A manifest that no honest scan makes, with the bytes of its files.
fn folder_of(files: &[(&str, &[u8])]) -> Arc<Manifest> {
    let entry = |(path, bytes): &(&str, &[u8])| Entry {
        path: name(path),
        kind: Kind::File {
            size: bytes.len() as u64,
            id: potluck_content::hash(bytes),
            executable: false,
        },
    };
    Arc::new(Manifest::new(files.iter().map(entry).collect()).unwrap())
}

/// A plan for such a manifest.
fn plan_of(world: &World, manifest: &Arc<Manifest>, top: &str) -> DownloadPlan {
    DownloadPlan {
        content: manifest.id(),
        kind: PlanKind::Folder(manifest.clone()),
        name: name(top),
        chosen_name: None,
        folder: world.path("target"),
        on_exists: OnExists::Refuse,
        selected: None,
    }
}

/// A plan for a single file.
fn plan_of_file(world: &World, bytes: &[u8], top: &str) -> DownloadPlan {
    DownloadPlan {
        content: potluck_content::hash(bytes),
        kind: PlanKind::File { size: bytes.len() as u64, executable: false },
        name: name(top),
        chosen_name: None,
        folder: world.path("target"),
        on_exists: OnExists::Refuse,
        selected: None,
    }
}

/// Puts the bytes of one-piece files into a download, piece by piece, and finishes it.
fn put_all(download: &Download, pieces: &[&[u8]]) -> Result<(), StoreError> {
    for (piece, bytes) in (0..).zip(pieces) {
        download.write(piece, 0, bytes)?;
        download.mark(PieceRange::one(piece))?;
    }
    download.finish(&[]).map(|_| ())
}

fn kind_of(source: &Source) -> (ShareKind, ContentId) {
    (source.kind(), source.content())
}
