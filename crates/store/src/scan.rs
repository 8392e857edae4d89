//! Lists what is below the paths that a user wants to share, without ever following a link.
//!
//! What cannot travel is left out and named in a warning: special files, unreadable files, names
//! that are not text, links that lead out of the share, our own unfinished downloads and the node's
//! home.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::{ContentId, RelPath};
use potluck_content::{Entry, Kind, Manifest};

use crate::error::StoreError;
use crate::fingerprint::{Fingerprint, now_ns};
use crate::share::{Root, ShareKind, ShareRecord};
use crate::walk::{Walk, dev_of, open_folder};

/// What was found below the given paths.
#[derive(Debug)]
pub struct Scan {
    /// A single file, or a folder (also one that only holds several given paths together).
    pub kind: ShareKind,
    /// The name that the share gets unless somebody chooses another.
    pub name: RelPath,
    /// Where the files are.
    pub roots: Vec<Root>,
    /// The files, in the order of their paths: the order of a manifest.
    pub files: Vec<ScannedFile>,
    /// Folders that contain nothing, or nothing that can travel.
    pub folders: Vec<RelPath>,
    /// Links that stay inside the share, and where they lead.
    pub links: Vec<(RelPath, String)>,
    /// What was left out.
    pub warnings: Vec<Warning>,
}

/// A file that can be shared.
#[derive(Clone, Debug)]
pub struct ScannedFile {
    /// Its path below the share.
    pub rel: RelPath,
    /// Where it is.
    pub path: PathBuf,
    /// What it was when it was found.
    pub fingerprint: Fingerprint,
    /// Whether its owner may run it.
    pub executable: bool,
}

/// Something that is not part of the share, and why.
#[derive(Clone, Debug)]
pub struct Warning {
    /// What was left out.
    pub path: PathBuf,
    /// Why, in words.
    pub reason: String,
}

impl Scan {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.fingerprint.size).sum()
    }

    /// Makes the record of a share, given the hashes of `files` in their order.
    pub fn record(&self, ids: &[ContentId]) -> Result<ShareRecord, StoreError> {
        if ids.len() != self.files.len() {
            return Err(StoreError::Bug("a scan and its hashes differ in number"));
        }
        let files = self.files.iter().map(|file| Some(file.fingerprint)).collect();
        let created = u64::try_from(now_ns() / 1_000_000_000).unwrap_or(0);
        let (name, roots) = (self.name.clone(), self.roots.clone());
        if let (ShareKind::File, [file], [id]) = (self.kind, self.files.as_slice(), ids) {
            let (size, executable) = (file.fingerprint.size, file.executable);
            let manifest = None;
            return Ok(ShareRecord {
                id: *id,
                kind: self.kind,
                name,
                roots,
                created,
                size,
                executable,
                manifest,
                files,
            });
        }
        let manifest = Arc::new(self.manifest(ids)?);
        Ok(ShareRecord {
            id: manifest.id(),
            kind: ShareKind::Folder,
            name,
            roots,
            created,
            size: manifest.total_bytes(),
            executable: false,
            manifest: Some(manifest),
            files,
        })
    }

    fn manifest(&self, ids: &[ContentId]) -> Result<Manifest, StoreError> {
        let files = self.files.iter().zip(ids).map(|(file, id)| Entry {
            path: file.rel.clone(),
            kind: Kind::File { size: file.fingerprint.size, id: *id, executable: file.executable },
        });
        let folders =
            self.folders.iter().map(|path| Entry { path: path.clone(), kind: Kind::Folder });
        let links = self.links.iter().map(|(path, target)| Entry {
            path: path.clone(),
            kind: Kind::Link { target: target.clone() },
        });
        Ok(Manifest::new(files.chain(folders).chain(links).collect())?)
    }
}

/// Lists what is below `paths`; the folder `home`, wherever it turns up, is left out.
pub(crate) fn scan(paths: &[PathBuf], home: &Path) -> Result<Scan, StoreError> {
    let mut tops = paths.iter().map(|path| Top::find(path)).collect::<Result<Vec<_>, _>>()?;
    let mut walk = Walk::new(home);
    let (kind, name) = match tops.as_slice() {
        [] => return Err(StoreError::NothingToShare),
        [only] if only.is_folder => {
            let fail = |e| StoreError::io("read", &only.path, e);
            let folder = open_folder(&only.path).map_err(fail)?;
            walk.roots.push(Root { folder: only.path.clone(), dev: dev_of(&folder), names: None });
            walk.top_folder(folder, None, &only.path).map_err(fail)?;
            (ShareKind::Folder, only.name.clone())
        }
        [only] => {
            walk.top(only)?;
            (ShareKind::File, only.name.clone())
        }
        [first, ..] => {
            let name = name_of_many(&first.name, paths.len() - 1);
            tops.sort_by(|a, b| a.name.cmp(&b.name));
            for pair in tops.windows(2) {
                if pair[0].name == pair[1].name {
                    let [first, second] = [0, 1].map(|i: usize| pair[i].path.clone());
                    return Err(StoreError::DuplicateName {
                        name: pair[0].name.clone(),
                        first,
                        second,
                    });
                }
            }
            for top in &tops {
                walk.top(top)?;
            }
            (ShareKind::Folder, name)
        }
    };
    let Walk { roots, files, folders, links, warnings, .. } = walk;
    Ok(Scan { kind, name, roots, files, folders, links, warnings })
}

/// One of the given paths.
pub(crate) struct Top {
    /// The name under which it was given: of a link, the link's own.
    pub(crate) name: RelPath,
    /// Where it really is.
    pub(crate) path: PathBuf,
    pub(crate) is_folder: bool,
}

impl Top {
    pub(crate) fn find(given: &Path) -> Result<Self, StoreError> {
        let fail = |e| StoreError::io("read", given, e);
        let refuse =
            |why: &str| StoreError::NotShareable { path: given.to_owned(), why: why.to_owned() };
        let path = given.canonicalize().map_err(fail)?;
        let meta = path.metadata().map_err(fail)?;
        if !meta.is_dir() && !meta.is_file() {
            return Err(refuse("it is neither a file nor a folder"));
        }
        // `.` and `..` have no name of their own, `a/..` has a wrong one.
        let name =
            given.file_name().or(path.file_name()).ok_or_else(|| refuse("it has no name"))?;
        let name = name.to_str().ok_or_else(|| refuse("its name is not text"))?;
        let name = RelPath::parse_name(name).map_err(|e| refuse(&e.to_string()))?;
        Ok(Self { name, path, is_folder: meta.is_dir() })
    }
}

fn name_of_many(first: &RelPath, more: usize) -> RelPath {
    let mut stem = first.as_str();
    while stem.len() > 200 {
        stem = &stem[..stem.floor_char_boundary(stem.len() - 1)];
    }
    RelPath::parse_name(&format!("{stem} and {more} more")).unwrap_or_else(|_| first.clone())
}
