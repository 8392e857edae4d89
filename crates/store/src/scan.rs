//! Lists what is below the paths that a user wants to share, without ever following a link.
//!
//! What cannot travel is left out and named in a warning: special files, unreadable files, names that
//! are not text, links that lead out of the share, our own unfinished downloads and the node's home.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use potluck_base::{ContentId, RelPath};
use potluck_content::{Entry, Kind, Manifest, link_stays_inside};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::StoreError;
use crate::fingerprint::{Fingerprint, now_ns};
use crate::names;
use crate::share::{Root, ShareKind, ShareRecord};

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
        let files = self
            .files
            .iter()
            .map(|file| Some(file.fingerprint))
            .collect();
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
            kind: Kind::File {
                size: file.fingerprint.size,
                id: *id,
                executable: file.executable,
            },
        });
        let folders = self.folders.iter().map(|path| Entry {
            path: path.clone(),
            kind: Kind::Folder,
        });
        let links = self.links.iter().map(|(path, target)| Entry {
            path: path.clone(),
            kind: Kind::Link {
                target: target.clone(),
            },
        });
        Ok(Manifest::new(files.chain(folders).chain(links).collect())?)
    }
}

/// Lists what is below `paths`; the folder `home`, wherever it turns up, is left out.
pub(crate) fn scan(paths: &[PathBuf], home: &Path) -> Result<Scan, StoreError> {
    let mut tops = paths
        .iter()
        .map(|path| Top::find(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut walk = Walk::new(home);
    let (kind, name) = match tops.as_slice() {
        [] => return Err(StoreError::NothingToShare),
        [only] if only.is_folder => {
            let fail = |e| StoreError::io("read", &only.path, e);
            let folder = open_folder(&only.path).map_err(fail)?;
            walk.roots.push(Root {
                folder: only.path.clone(),
                dev: dev_of(&folder),
                names: None,
            });
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
    let Walk {
        roots,
        files,
        folders,
        links,
        warnings,
        ..
    } = walk;
    Ok(Scan {
        kind,
        name,
        roots,
        files,
        folders,
        links,
        warnings,
    })
}

/// One of the given paths.
struct Top {
    /// The name under which it was given: of a link, the link's own.
    name: RelPath,
    /// Where it really is.
    path: PathBuf,
    is_folder: bool,
}

impl Top {
    fn find(given: &Path) -> Result<Self, StoreError> {
        let fail = |e| StoreError::io("read", given, e);
        let refuse = |why: &str| StoreError::NotShareable {
            path: given.to_owned(),
            why: why.to_owned(),
        };
        let path = given.canonicalize().map_err(fail)?;
        let meta = path.metadata().map_err(fail)?;
        if !meta.is_dir() && !meta.is_file() {
            return Err(refuse("it is neither a file nor a folder"));
        }
        // `.` and `..` have no name of their own, `a/..` has a wrong one.
        let name = given
            .file_name()
            .or(path.file_name())
            .ok_or_else(|| refuse("it has no name"))?;
        let name = name
            .to_str()
            .ok_or_else(|| refuse("its name is not text"))?;
        let name = RelPath::parse_name(name).map_err(|e| refuse(&e.to_string()))?;
        Ok(Self {
            name,
            path,
            is_folder: meta.is_dir(),
        })
    }
}

fn name_of_many(first: &RelPath, more: usize) -> RelPath {
    let mut stem = first.as_str();
    while stem.len() > 200 {
        stem = &stem[..stem.floor_char_boundary(stem.len() - 1)];
    }
    RelPath::parse_name(&format!("{stem} and {more} more")).unwrap_or_else(|_| first.clone())
}

struct Walk {
    roots: Vec<Root>,
    files: Vec<ScannedFile>,
    folders: Vec<RelPath>,
    links: Vec<(RelPath, String)>,
    warnings: Vec<Warning>,
    home: Option<(u64, u64)>,
    user: u32,
}

/// A folder in the middle of the walk.
struct Place<'a> {
    folder: BorrowedFd<'a>,
    /// The folder that links may not leave, and this one's path below it.
    top: BorrowedFd<'a>,
    below_top: &'a str,
    rel: Option<&'a RelPath>,
    path: &'a Path,
}

impl Walk {
    fn new(home: &Path) -> Self {
        let home = rustix::fs::stat(home).ok().map(|stat| identity(&stat));
        let user = rustix::process::geteuid().as_raw();
        let (roots, files, folders, links) = Default::default();
        Self {
            roots,
            files,
            folders,
            links,
            warnings: Vec::new(),
            home,
            user,
        }
    }

    /// One of several paths, or a single file: an error here is the user's to know.
    fn top(&mut self, top: &Top) -> Result<(), StoreError> {
        let fail = |e| StoreError::io("read", &top.path, e);
        let no_name = || StoreError::NotShareable {
            path: top.path.clone(),
            why: "its real name is not text".to_owned(),
        };
        let folder = top.path.parent().ok_or_else(no_name)?;
        let real = top
            .path
            .file_name()
            .and_then(OsStr::to_str)
            .ok_or_else(no_name)?;
        let names = Some((top.name.as_str().to_owned(), real.to_owned()));
        if top.is_folder {
            let opened = open_folder(&top.path).map_err(fail)?;
            self.roots.push(Root {
                folder: folder.to_owned(),
                dev: dev_of(&opened),
                names,
            });
            return self
                .top_folder(opened, Some(&top.name), &top.path)
                .map_err(fail);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&top.path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let fingerprint = Fingerprint::of(&file).map_err(fail)?;
        let stat = rustix::fs::fstat(&file).map_err(|e| fail(e.into()))?;
        self.roots.push(Root {
            folder: folder.to_owned(),
            dev: fingerprint.dev,
            names,
        });
        self.files.push(ScannedFile {
            rel: top.name.clone(),
            path: top.path.clone(),
            fingerprint,
            executable: stat.st_mode & 0o100 != 0,
        });
        Ok(())
    }

    fn top_folder(
        &mut self,
        folder: OwnedFd,
        rel: Option<&RelPath>,
        path: &Path,
    ) -> io::Result<()> {
        let top = folder.as_fd();
        let entries = list(top)?;
        let place = Place {
            folder: top,
            top,
            below_top: "",
            rel,
            path,
        };
        self.entries(&place, entries);
        Ok(())
    }

    /// The entries of a folder, by name; then what is below each stands where a manifest wants it.
    fn entries(&mut self, place: &Place<'_>, entries: Vec<(CString, FileType)>) {
        let before = (self.files.len(), self.folders.len(), self.links.len());
        for (name, kind) in entries {
            let path = place.path.join(OsStr::from_bytes(name.as_bytes()));
            if let Err(reason) = self.entry(place, &name, kind, &path) {
                self.warnings.push(Warning { path, reason });
            }
        }
        let after = (self.files.len(), self.folders.len(), self.links.len());
        if let Some(rel) = place.rel
            && before == after
        {
            self.folders.push(rel.clone());
        }
    }

    fn entry(
        &mut self,
        place: &Place<'_>,
        name: &CString,
        mut kind: FileType,
        path: &Path,
    ) -> Result<(), String> {
        let text = name
            .to_str()
            .map_err(|_| "its name is not text".to_owned())?;
        let rel = match place.rel {
            Some(parent) => RelPath::parse(&format!("{}/{text}", parent.as_str())),
            None => RelPath::parse(text),
        }
        .map_err(|e| e.to_string())?;
        if names::is_part(text) {
            return Err("it is an unfinished download".to_owned());
        }
        let look = || {
            rustix::fs::statat(place.folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| e.to_string())
        };
        let mut stat = None;
        if matches!(kind, FileType::RegularFile | FileType::Unknown) {
            let found = look()?;
            kind = FileType::from_raw_mode(found.st_mode);
            stat = Some(found);
        }
        match (kind, stat) {
            (FileType::RegularFile, Some(stat)) => self.file(place, name, &stat, rel, path),
            (FileType::Directory, _) => self.folder(place, name, rel, path),
            (FileType::Symlink, _) => self.link(place, name, rel),
            _ => Err("it is neither a file nor a folder nor a link".to_owned()),
        }
    }

    fn file(
        &mut self,
        place: &Place<'_>,
        name: &CString,
        stat: &Stat,
        rel: RelPath,
        path: &Path,
    ) -> Result<(), String> {
        // The mode answers for nearly all files; only the rest costs a call.
        let readable = self.user == 0
            || (stat.st_uid == self.user && stat.st_mode & 0o400 != 0)
            || (stat.st_uid != self.user && stat.st_mode & 0o044 == 0o044)
            || rustix::fs::accessat(place.folder, name, Access::READ_OK, AtFlags::EACCESS).is_ok();
        if !readable {
            return Err(Errno::ACCESS.to_string());
        }
        let fingerprint = Fingerprint::of_stat(stat);
        let executable = stat.st_mode & 0o100 != 0;
        self.files.push(ScannedFile {
            rel,
            path: path.to_owned(),
            fingerprint,
            executable,
        });
        Ok(())
    }

    fn folder(
        &mut self,
        place: &Place<'_>,
        name: &CString,
        rel: RelPath,
        path: &Path,
    ) -> Result<(), String> {
        let folder = rustix::fs::openat(place.folder, name, FOLDER, Mode::empty())
            .map_err(|e| e.to_string())?;
        if self.home.is_some() && rustix::fs::fstat(&folder).ok().map(|s| identity(&s)) == self.home
        {
            return Err("it is the home of this node, with its secret key".to_owned());
        }
        let entries = list(folder.as_fd()).map_err(|e| e.to_string())?;
        let below_top = join(place.below_top, name.to_str().unwrap_or_default());
        let place = Place {
            folder: folder.as_fd(),
            top: place.top,
            below_top: &below_top,
            rel: Some(&rel),
            path,
        };
        self.entries(&place, entries);
        Ok(())
    }

    fn link(&mut self, place: &Place<'_>, name: &CString, rel: RelPath) -> Result<(), String> {
        let target =
            rustix::fs::readlinkat(place.folder, name, Vec::new()).map_err(|e| e.to_string())?;
        let target = target
            .to_str()
            .map_err(|_| "the link leads to a name that is not text")?;
        let own = join(place.below_top, name.to_str().unwrap_or_default());
        let lexically = RelPath::parse(&own).is_ok_and(|own| link_stays_inside(&own, target));
        if lexically && really_inside(place.top, &join(place.below_top, target)) {
            self.links.push((rel, target.to_owned()));
            Ok(())
        } else {
            Err("the link leads out of what is shared".to_owned())
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// A folder's entries, sorted by name.
fn list(folder: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

/// Whether a path, with every link on it followed, stays below `top`. A link to nothing does.
#[cfg(target_os = "linux")]
fn really_inside(top: BorrowedFd<'_>, path: &str) -> bool {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(
        top,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    ) {
        Ok(_) | Err(Errno::NOENT) => true,
        Err(Errno::NOSYS | Errno::PERM) => really_inside_by_name(top, path),
        Err(_) => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn really_inside(top: BorrowedFd<'_>, path: &str) -> bool {
    really_inside_by_name(top, path)
}

fn really_inside_by_name(top: BorrowedFd<'_>, path: &str) -> bool {
    let Ok(top) = top.try_clone_to_owned() else {
        return false;
    };
    match cap_std::fs::Dir::from_std_file(File::from(top)).metadata(path) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

fn dev_of(folder: &OwnedFd) -> u64 {
    rustix::fs::fstat(folder).map_or(0, |stat| identity(&stat).0)
}

#[allow(clippy::unnecessary_cast)] // The fields have other widths on other systems.
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
