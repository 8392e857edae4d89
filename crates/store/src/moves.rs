//! Moves what was gathered in the part to the target, never onto something that may not be
//! replaced.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};

use cap_std::fs::Dir;
use potluck_content::Kind;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::below::{Below, split};
use crate::disk::Disk;
use crate::download::Download;
use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::part::Part;
use crate::plan::OnExists;
use crate::progress::Places;
use crate::target::{is_folder, next_free};

impl Download {
    /// Moves everything; whether files went one by one into a target that was there.
    pub(crate) fn move_all(
        &self,
        part: Option<&Part>,
        files: &[Option<Fingerprint>],
    ) -> Result<bool, StoreError> {
        // Readers wait until the files are in their new places.
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        self.folder.forget();
        let into_target = match self.manifest {
            Some(_) => self.move_folder(&mut places, part, files)?,
            None => self.move_file(&mut places, part, files)?,
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(into_target)
    }

    /// With `OnExists::Rename`, takes another number if something has appeared at the target.
    pub(crate) fn choose_name(&self) -> Result<(), StoreError> {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if self.on_exists != OnExists::Rename || self.ours {
            return Ok(());
        }
        let path = self.folder_path.join(places.name.as_str());
        let found = self.folder.find(places.name.as_str());
        if found.map_err(|e| StoreError::io("look at", &path, e))?.is_some() {
            places.name = self.next_name(&places)?;
        }
        Ok(())
    }

    fn next_name(&self, places: &Places) -> Result<potluck_base::RelPath, StoreError> {
        let asked = &self.asked;
        next_free(&self.folder, asked, self.manifest.is_some()).ok_or_else(|| {
            StoreError::TargetExists { path: self.folder_path.join(places.name.as_str()) }
        })
    }

    fn move_file(
        &self,
        places: &mut Places,
        part: Option<&Part>,
        files: &[Option<Fingerprint>],
    ) -> Result<bool, StoreError> {
        let root = self.folder.root();
        let replace = self.on_exists == OnExists::Overwrite;
        while places.placed[0].is_none() {
            let part = part.ok_or(StoreError::Bug("nothing to move"))?;
            let path = self.folder_path.join(places.name.as_str());
            let name = places.name.as_str();
            match rename(&self.store.disk, (root, &part.name), (root, name), replace) {
                Ok(()) => places.placed = files.to_vec(),
                Err(Errno::ISDIR | Errno::NOTEMPTY) => return Err(StoreError::TargetKind { path }),
                Err(Errno::EXIST) if self.on_exists == OnExists::Rename => {
                    places.name = self.next_name(places)?;
                }
                Err(Errno::EXIST) => return Err(StoreError::TargetExists { path }),
                Err(errno) => return Err(StoreError::io("write", &path, errno.into())),
            }
        }
        places.target = Some(Arc::new(Below::of(root.clone())));
        Ok(false)
    }

    fn move_folder(
        &self,
        places: &mut Places,
        part: Option<&Part>,
        files: &[Option<Fingerprint>],
    ) -> Result<bool, StoreError> {
        let root = self.folder.root();
        loop {
            let path = self.folder_path.join(places.name.as_str());
            let fail = |e| StoreError::io("write", &path, e);
            match self.folder.find(places.name.as_str()).map_err(fail)? {
                None if self.ours => return Err(StoreError::NotFound { path }),
                None => {
                    let part = part.ok_or(StoreError::Bug("nothing to move"))?;
                    self.furnish(&part.below, true, &part.path)?;
                    let (from, to) = ((root, part.name.as_str()), (root, places.name.as_str()));
                    match rename(&self.store.disk, from, to, false) {
                        Ok(()) => {
                            places.placed = files.to_vec();
                            places.target = Some(Arc::new(Below::of(part.below.root().clone())));
                            return Ok(false);
                        }
                        // Something has appeared just now: look again.
                        Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                        Err(errno) => return Err(fail(errno.into())),
                    }
                }
                Some(stat) if self.ours || self.on_exists == OnExists::Overwrite => {
                    if !is_folder(&stat) {
                        return Err(StoreError::TargetKind { path });
                    }
                    let target = self.folder.folder(places.name.as_str()).map_err(fail)?;
                    self.merge(places, part, Arc::new(Below::of(target)), files)?;
                    return Ok(true);
                }
                Some(_) if self.on_exists == OnExists::Rename => {
                    places.name = self.next_name(places)?;
                }
                Some(_) => return Err(StoreError::TargetExists { path }),
            }
        }
    }

    /// Moves files one by one into a folder that is there.
    fn merge(
        &self,
        places: &mut Places,
        part: Option<&Part>,
        target: Arc<Below>,
        files: &[Option<Fingerprint>],
    ) -> Result<(), StoreError> {
        let disk = &self.store.disk;
        let replace = self.on_exists == OnExists::Overwrite;
        let top = self.folder_path.join(places.name.as_str());
        places.target = Some(target.clone());
        for file in 0..self.map.files() {
            let i = file as usize;
            let (Some(print), None) = (files[i], places.placed[i]) else {
                continue;
            };
            let part = part.ok_or(StoreError::Bug("nothing to move"))?;
            let rel = self.rel(file).ok_or(StoreError::Bug("a folder without a manifest"))?;
            let (parent, name) = split(rel);
            let path = top.join(rel);
            let from = part.below.folder(parent).map_err(|e| StoreError::io("read", &path, e))?;
            let to = match target.folder_made(disk, parent) {
                Ok(to) => to,
                Err(error) => {
                    return Err(match StoreError::io("create", &path, error) {
                        StoreError::Foreign { path } => StoreError::TargetKind { path },
                        other => other,
                    });
                }
            };
            match rename(disk, (&from, name), (&to, name), replace) {
                Ok(()) => places.placed[i] = Some(print),
                Err(Errno::EXIST) => return Err(StoreError::TargetExists { path }),
                Err(Errno::ISDIR) => return Err(StoreError::TargetKind { path }),
                Err(errno) => return Err(StoreError::io("write", &path, errno.into())),
            }
        }
        self.furnish(&target, replace, &top)
    }

    /// Makes empty folders, and last the links: nothing is ever written through one.
    fn furnish(
        &self,
        below: &Below,
        replace: bool,
        top: &std::path::Path,
    ) -> Result<(), StoreError> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let chosen = |entry: u32| self.selected.as_ref().is_none_or(|s| s.contains(&entry));
        let entries = || (0..).zip(manifest.entries()).filter(|(i, _)| chosen(*i)).map(|(_, e)| e);
        let kind = |path: &str, error| match StoreError::io("create", &top.join(path), error) {
            StoreError::Foreign { path } => StoreError::TargetKind { path },
            other => other,
        };
        for entry in entries() {
            if entry.kind == Kind::Folder {
                let path = entry.path.as_str();
                below.folder_made(&self.store.disk, path).map_err(|e| kind(path, e))?;
            }
        }
        for entry in entries() {
            if let Kind::Link { target } = &entry.kind {
                let path = entry.path.as_str();
                let (parent, name) = split(path);
                let made = below
                    .folder_made(&self.store.disk, parent)
                    .and_then(|folder| link(&self.store.disk, &folder, name, target, replace));
                match made {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(StoreError::TargetExists { path: top.join(path) });
                    }
                    Err(error) => return Err(kind(path, error)),
                }
            }
        }
        Ok(())
    }
}

/// Makes a link, unless the same is there already.
fn link(disk: &Disk, folder: &Dir, name: &str, target: &str, replace: bool) -> io::Result<()> {
    disk.step()?;
    match rustix::fs::symlinkat(target, folder, name) {
        Err(Errno::EXIST) => {
            let there = rustix::fs::readlinkat(folder, name, Vec::new());
            if there.is_ok_and(|there| there.as_bytes() == target.as_bytes()) {
                return Ok(());
            }
            if !replace {
                return Err(Errno::EXIST.into());
            }
            disk.step()?;
            match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) => return Err(Errno::NOTDIR.into()),
                unlinked => unlinked?,
            }
            Ok(rustix::fs::symlinkat(target, folder, name)?)
        }
        made => Ok(made?),
    }
}

/// Renames; unless `replace`, fails with `EXIST` if something stands there.
fn rename(
    disk: &Disk,
    from: (&Arc<Dir>, &str),
    to: (&Arc<Dir>, &str),
    replace: bool,
) -> Result<(), Errno> {
    disk.step().map_err(|_| Errno::IO)?;
    let ((from_folder, from), (to_folder, to)) = ((&**from.0, from.1), (&**to.0, to.1));
    if replace {
        return rustix::fs::renameat(from_folder, from, to_folder, to);
    }
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(from_folder, from, to_folder, to, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        renamed => return renamed,
    }
    // A file system without such a rename. A new name for the same file is as safe; for folders,
    // and where files have one name only, a look beforehand must do.
    match rustix::fs::linkat(from_folder, from, to_folder, to, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from_folder, from, AtFlags::empty()),
        Err(Errno::EXIST) => Err(Errno::EXIST),
        Err(_) => {
            let there = rustix::fs::statat(to_folder.as_fd(), to, AtFlags::SYMLINK_NOFOLLOW);
            match there {
                Err(Errno::NOENT) => rustix::fs::renameat(from_folder, from, to_folder, to),
                Ok(_) => Err(Errno::EXIST),
                Err(errno) => Err(errno),
            }
        }
    }
}
