//! Watches on folders: which are set, and that none is on something else than it seems.
//!
//! On Linux each folder needs a watch of its own. We set them ourselves, each before its folder is
//! listed, so that nothing that comes in between is missed, and one unreadable folder does not cost
//! the others their watches. Elsewhere one watch covers a tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::Inbox;

/// Whether each folder is watched by itself.
const ONE_BY_ONE: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// All watches of a node. Its calls may block.
pub(crate) struct Watch(Mutex<Inner>);

struct Inner {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    /// How many of them there may be.
    most: usize,
    /// Why there is no watcher.
    broken: String,
}

/// Why something is not watched; in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwatched(pub(crate) String);

impl Watch {
    /// Watches nothing yet, later so many folders at most; with `on` false, nothing ever.
    pub(crate) fn new(on: bool, most: usize, inbox: &Arc<Inbox>) -> Self {
        let inbox = Arc::clone(inbox);
        let made = on.then(|| {
            let put = move |event| inbox.put(event);
            RecommendedWatcher::new(put, Config::default().with_follow_symlinks(false))
        });
        let (watcher, broken) = match made {
            Some(Ok(watcher)) => (Some(watcher), String::new()),
            Some(Err(error)) => (None, error.to_string()),
            None => (None, "watching is switched off".to_owned()),
        };
        Self(Mutex::new(Inner { watcher, folders: BTreeSet::new(), most, broken }))
    }

    /// Watches a folder and all that is below it.
    pub(crate) fn cover(&self, folder: &Path) -> Result<(), Unwatched> {
        // Locked for one folder at a time: a large tree takes seconds.
        let one =
            |folder: &Path, mode| self.0.lock().expect("no panic while held").one(folder, mode);
        if !ONE_BY_ONE {
            return one(folder, RecursiveMode::Recursive);
        }
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            one(&folder, RecursiveMode::NonRecursive)?;
            // What cannot be listed is not shared either.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let folders = entries.filter_map(Result::ok).filter(|entry| {
                let part = entry.file_name().to_str().is_some_and(potluck_store::is_part);
                entry.file_type().is_ok_and(|kind| kind.is_dir()) && !part
            });
            todo.extend(folders.map(|entry| entry.path()));
        }
        Ok(())
    }

    /// Watches a folder, but not what is below it.
    pub(crate) fn one(&self, folder: &Path) -> Result<(), Unwatched> {
        let mut inner = self.0.lock().expect("no panic while held");
        inner.one(folder, RecursiveMode::NonRecursive)
    }

    /// Ends the watches at and below a path where something else may be now.
    pub(crate) fn drop_below(&self, path: &Path) {
        let mut inner = self.0.lock().expect("no panic while held");
        inner.end_where(|folder| folder.starts_with(path));
    }

    /// Ends the watches on all folders that are neither below one of `trees` nor one of `folders`.
    pub(crate) fn retain(&self, trees: &BTreeSet<PathBuf>, folders: &BTreeSet<PathBuf>) {
        let mut inner = self.0.lock().expect("no panic while held");
        inner.end_where(|folder| {
            let below = folder.ancestors().any(|above| trees.contains(above));
            !below && !folders.contains(folder)
        });
    }

    /// Whether a watch is set at or below a path.
    pub(crate) fn has_below(&self, path: &Path) -> bool {
        let inner = self.0.lock().expect("no panic while held");
        let mut from = inner.folders.range(path.to_owned()..);
        from.next().is_some_and(|folder| folder.starts_with(path))
    }
}

impl Inner {
    fn one(&mut self, folder: &Path, mode: RecursiveMode) -> Result<(), Unwatched> {
        let Some(watcher) = &mut self.watcher else {
            return Err(Unwatched(self.broken.clone()));
        };
        if self.folders.contains(folder) {
            return Ok(());
        }
        let most = self.most;
        if self.folders.len() >= most {
            return Err(Unwatched(format!("more than {most} folders would have to be watched")));
        }
        match watcher.watch(folder, mode) {
            Ok(()) => {
                self.folders.insert(folder.to_owned());
                Ok(())
            }
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch => Err(Unwatched(
                    "the system's limit is reached (fs.inotify.max_user_watches)".to_owned(),
                )),
                ErrorKind::Io(ref io) if is_limit(io) => Err(Unwatched(error.to_string())),
                // Gone, or not readable: then nothing in it is shared.
                _ => Ok(()),
            },
        }
    }

    fn end_where(&mut self, ends: impl Fn(&Path) -> bool) {
        let ended: Vec<PathBuf> = self.folders.iter().filter(|f| ends(f)).cloned().collect();
        for folder in ended {
            self.folders.remove(&folder);
            if let Some(watcher) = &mut self.watcher {
                // The system ends a watch by itself when its folder is deleted.
                let _ = watcher.unwatch(&folder);
            }
        }
    }
}

/// Whether the system has no more to give, of watches, files or memory.
fn is_limit(error: &std::io::Error) -> bool {
    // ENFILE, EMFILE, ENOSPC and ENOMEM, the same numbers on all systems that have a watcher here.
    matches!(error.raw_os_error(), Some(23 | 24 | 28 | 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_watcher_everything_is_unwatched() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Arc::new(Inbox::new(folder.path()));
        let watch = Watch::new(false, 9, &inbox);
        assert!(watch.cover(folder.path()).is_err());
        assert!(!watch.has_below(folder.path()));
    }

    #[test]
    fn watches_are_kept_for_trees_and_single_folders_that_are_still_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for path in ["a/b/c", "d/e", ".x.aabbccdd.part/y"] {
            std::fs::create_dir_all(root.join(path)).expect("folders");
        }
        let watch = Watch::new(true, 9, &Arc::new(Inbox::new(&root.join("home"))));
        watch.cover(root).expect("watched");
        assert!(!watch.has_below(&root.join(".x.aabbccdd.part")));
        let set = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect();
        watch.retain(&set(&["a/b"]), &set(&["d"]));
        for (path, is) in [("a/b/c", true), ("a", true), ("d", true), ("d/e", false)] {
            assert_eq!(watch.has_below(&root.join(path)), is, "{path}");
        }
        watch.drop_below(&root.join("a"));
        assert!(!watch.has_below(&root.join("a")));
    }
}
