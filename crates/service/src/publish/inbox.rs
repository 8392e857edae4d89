//! Where the watching thread puts what it hears, until the publisher takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind};
use potluck_base::limits;
use tokio::sync::Notify;

/// What was heard of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touch {
    /// Whoever wrote it has closed it since, or it was moved here as it is.
    pub(crate) closed: bool,
    /// What was there was moved away or deleted: a watch on it would be one on something else.
    pub(crate) stale: bool,
}

/// What was heard since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By path.
    pub(crate) touched: BTreeMap<PathBuf, Touch>,
    /// Something was lost: anything may have changed.
    pub(crate) lost: bool,
    /// A folder could not be watched: no more watches are to be had.
    pub(crate) full: bool,
}

/// Filled by one thread, taken by one task.
#[derive(Debug)]
pub(crate) struct Inbox {
    heard: Mutex<Heard>,
    /// The node's home, which changes whenever something is recorded.
    home: PathBuf,
    rung: Notify,
}

impl Inbox {
    pub(crate) fn new(home: &Path) -> Self {
        // As it is in what is heard: with all links resolved.
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        Self { heard: Mutex::default(), home, rung: Notify::new() }
    }

    /// Waits until there is something to take.
    pub(crate) async fn wait(&self) {
        self.rung.notified().await;
    }

    /// Takes all of it.
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().expect("no panic while held"))
    }

    /// Notes an event, or that there is an error.
    pub(crate) fn put(&self, event: notify::Result<Event>) {
        let mut heard = self.heard.lock().expect("no panic while held");
        match event {
            Ok(event) if event.need_rescan() => heard.lost = true,
            Ok(event) => {
                let Some(change) = Change::of(&event.kind) else { return };
                let mut any = false;
                for path in event.paths {
                    if !self.is_ours(&path) {
                        change.note(heard.touched.entry(path).or_default());
                        any = true;
                    }
                }
                if !any {
                    return;
                }
                if heard.touched.len() > limits::TOUCHED_PATHS {
                    heard.touched.clear();
                    heard.lost = true;
                }
            }
            Err(error) => {
                heard.full |= matches!(error.kind, ErrorKind::MaxFilesWatch);
                heard.lost = true;
            }
        }
        drop(heard);
        self.rung.notify_one();
    }

    /// Whether nobody shares it: the home, and what is being downloaded.
    fn is_ours(&self, path: &Path) -> bool {
        let is_part = |name: &std::ffi::OsStr| name.to_str().is_some_and(potluck_store::is_part);
        path.starts_with(&self.home) || path.iter().any(is_part)
    }
}

/// What an event says about a path.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// It is being written.
    Written,
    /// Who wrote it has closed it.
    Closed,
    /// It was moved here.
    Came,
    /// It is not here any more.
    Left,
    /// Something else; or the system does not say.
    Other,
}

impl Change {
    fn of(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Closed,
            // Looking at files does not change them: we do so ourselves.
            EventKind::Access(_) => return None,
            EventKind::Create(CreateKind::Folder) => Change::Other,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Change::Written,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Change::Came,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Change::Left,
            // Both halves were told already.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Change::Left,
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => Change::Other,
        })
    }

    fn note(self, touch: &mut Touch) {
        match self {
            Change::Written => touch.closed = false,
            Change::Closed | Change::Came => touch.closed = true,
            Change::Left => *touch = Touch { closed: false, stale: true },
            Change::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, Flag, RemoveKind};

    use super::*;

    fn heard(events: &[(EventKind, &str)]) -> Heard {
        let inbox = Inbox::new(Path::new("/home"));
        for (kind, path) in events {
            inbox.put(Ok(Event::new(*kind).add_path(PathBuf::from(path))));
        }
        inbox.take()
    }

    #[test]
    fn a_file_counts_as_closed_until_it_is_written_again() {
        let create = EventKind::Create(CreateKind::File);
        let write = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let remove = EventKind::Remove(RemoveKind::File);
        let touch = |kinds: &[EventKind]| {
            let events: Vec<_> = kinds.iter().map(|kind| (*kind, "/x")).collect();
            heard(&events).touched.get(Path::new("/x")).copied()
        };
        let closed = |closed, stale| Some(Touch { closed, stale });
        assert_eq!(touch(&[create, write, close]), closed(true, false));
        assert_eq!(touch(&[create, write, close, write]), closed(false, false));
        assert_eq!(touch(&[close, remove]), closed(false, true));
        assert_eq!(touch(&[remove, create, close]), closed(true, true));
        assert_eq!(touch(&[open]), None);
    }

    #[test]
    fn our_own_files_are_not_heard() {
        let create = EventKind::Create(CreateKind::File);
        let heard = heard(&[
            (create, "/home/state.db"),
            (create, "/t/.film.00aabbcc.part"),
            (create, "/t/.folder.00aabbcc.part/inner/file"),
            (create, "/t/film"),
        ]);
        assert_eq!(heard.touched.into_keys().collect::<Vec<_>>(), [PathBuf::from("/t/film")]);
    }

    #[test]
    fn what_is_lost_or_too_much_means_that_anything_may_have_changed() {
        let inbox = Inbox::new(Path::new("/home"));
        inbox.put(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(inbox.take().lost);
        let create = EventKind::Create(CreateKind::File);
        for number in 0..=limits::TOUCHED_PATHS {
            inbox.put(Ok(Event::new(create).add_path(PathBuf::from(format!("/t/{number}")))));
        }
        let heard = inbox.take();
        assert!(heard.lost && heard.touched.is_empty());
        inbox.put(Err(notify::Error::new(ErrorKind::MaxFilesWatch)));
        let heard = inbox.take();
        assert!(heard.lost && heard.full);
    }
}
