//! Walks a tree for a scan: from folder to folder by handles, never through a link.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use potluck_base::RelPath;
use potluck_content::link_stays_inside;
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::names;
use crate::scan::{ScannedFile, Top, Warning};
use crate::share::Root;

/// What was found so far.
pub(crate) struct Walk {
    pub(crate) roots: Vec<Root>,
    pub(crate) files: Vec<ScannedFile>,
    pub(crate) folders: Vec<RelPath>,
    pub(crate) links: Vec<(RelPath, String)>,
    pub(crate) warnings: Vec<Warning>,
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
    pub(crate) fn new(home: &Path) -> Self {
        let home = rustix::fs::stat(home).ok().map(|stat| identity(&stat));
        let user = rustix::process::geteuid().as_raw();
        let (roots, files, folders, links) = Default::default();
        Self { roots, files, folders, links, warnings: Vec::new(), home, user }
    }

    /// One of several paths, or a single file: an error here is the user's to know.
    pub(crate) fn top(&mut self, top: &Top) -> Result<(), StoreError> {
        let fail = |e| StoreError::io("read", &top.path, e);
        let no_name = || StoreError::NotShareable {
            path: top.path.clone(),
            why: "its real name is not text".to_owned(),
        };
        let folder = top.path.parent().ok_or_else(no_name)?;
        let real = top.path.file_name().and_then(OsStr::to_str).ok_or_else(no_name)?;
        let names = Some((top.name.as_str().to_owned(), real.to_owned()));
        if top.is_folder {
            let opened = open_folder(&top.path).map_err(fail)?;
            self.roots.push(Root { folder: folder.to_owned(), dev: dev_of(&opened), names });
            return self.top_folder(opened, Some(&top.name), &top.path).map_err(fail);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&top.path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let fingerprint = Fingerprint::of(&file).map_err(fail)?;
        let stat = rustix::fs::fstat(&file).map_err(|e| fail(e.into()))?;
        self.roots.push(Root { folder: folder.to_owned(), dev: fingerprint.dev, names });
        self.files.push(ScannedFile {
            rel: top.name.clone(),
            path: top.path.clone(),
            fingerprint,
            executable: stat.st_mode & 0o100 != 0,
        });
        Ok(())
    }

    /// What is at one path below a top folder and below that path: `names` from the top, which
    /// `top` is called in the share. Nothing there, or nothing that can travel, adds nothing.
    pub(crate) fn at(
        &mut self,
        top_path: &Path,
        top: Option<&RelPath>,
        names: &[&str],
    ) -> io::Result<()> {
        let opened = open_folder(top_path)?;
        let Some((last, parents)) = names.split_last() else {
            return self.top_folder(opened, top, top_path);
        };
        let (mut folder, mut path) = (None::<OwnedFd>, top_path.to_owned());
        let (mut rel, mut below_top) = (top.cloned(), String::new());
        for name in parents {
            let above = folder.as_ref().map_or(opened.as_fd(), AsFd::as_fd);
            let next = match rustix::fs::openat(above, *name, FOLDER, Mode::empty()) {
                Ok(next) if !names::is_part(name) && !self.is_home(next.as_fd()) => next,
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            folder = Some(next);
            path.push(name);
            below_top = join(&below_top, name);
            let parent = rel.as_ref().map_or("", RelPath::as_str);
            match RelPath::parse(&join(parent, name)) {
                Ok(next) => rel = Some(next),
                Err(_) => return Ok(()),
            }
        }
        let above = folder.as_ref().map_or(opened.as_fd(), AsFd::as_fd);
        let Ok(name) = CString::new(*last) else { return Ok(()) };
        let stat = rustix::fs::statat(above, &name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_err_and(|error| error == Errno::NOENT) {
            return Ok(());
        }
        path.push(last);
        let (rel, below_top) = (rel.as_ref(), below_top.as_str());
        let place = Place { folder: above, top: opened.as_fd(), below_top, rel, path: &path };
        if let Err(reason) = self.entry(&place, &name, FileType::Unknown, &path) {
            self.warnings.push(Warning { path: path.clone(), reason });
        }
        Ok(())
    }

    pub(crate) fn top_folder(
        &mut self,
        folder: OwnedFd,
        rel: Option<&RelPath>,
        path: &Path,
    ) -> io::Result<()> {
        let top = folder.as_fd();
        let entries = list(top)?;
        let place = Place { folder: top, top, below_top: "", rel, path };
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
        let text = name.to_str().map_err(|_| "its name is not text".to_owned())?;
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
        self.files.push(ScannedFile { rel, path: path.to_owned(), fingerprint, executable });
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
        if self.is_home(folder.as_fd()) {
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

    fn is_home(&self, folder: BorrowedFd<'_>) -> bool {
        self.home.is_some() && rustix::fs::fstat(folder).ok().map(|s| identity(&s)) == self.home
    }

    fn link(&mut self, place: &Place<'_>, name: &CString, rel: RelPath) -> Result<(), String> {
        let target =
            rustix::fs::readlinkat(place.folder, name, Vec::new()).map_err(|e| e.to_string())?;
        let target = target.to_str().map_err(|_| "the link leads to a name that is not text")?;
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

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
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
    match openat2(top, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
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
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

pub(crate) fn dev_of(folder: &OwnedFd) -> u64 {
    rustix::fs::fstat(folder).map_or(0, |stat| identity(&stat).0)
}

#[allow(clippy::unnecessary_cast)] // The fields have other widths on other systems.
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
