//! What a share has become since it was recorded: everything is looked at again, or only what was
//! touched, and the record is made anew.
//!
//! A file that is still being written is not taken: the share keeps what it had at that path, and
//! the caller is told to ask again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use potluck_base::{ContentId, RelPath};
use potluck_content::{Entry, Kind, Manifest, ManifestError};

use crate::before::Before;
use crate::error::{ReadFault, StoreError};
use crate::fingerprint::{Fingerprint, now_ns};
use crate::hashing;
use crate::scan::{ScannedFile, Top, Warning};
use crate::share::{Root, ShareKind, ShareRecord};
use crate::state::Inner;
use crate::touched;
use crate::walk::{Walk, dev_of, open_folder};

/// A file that changed so shortly ago, and whose writer is not known to have closed it, may still
/// be being written.
const SETTLE_NS: i64 = 1_000_000_000;

/// What is to be looked at again.
pub struct Refresh<'a> {
    /// What was shared, as absolute paths.
    pub paths: &'a [PathBuf],
    /// The name of the share.
    pub name: &'a RelPath,
    /// The record of what was there before.
    pub before: Option<&'a ShareRecord>,
    /// If nothing else can have changed: what may have, as paths on the disk with all links
    /// resolved.
    pub touched: Option<&'a BTreeSet<PathBuf>>,
    /// When everything was looked at last, nanoseconds since 1970, if `before` follows from that: a
    /// file that was as it is now, and had not been touched for a while, is not looked up again.
    pub verified_ns: Option<i64>,
    /// Whether the record is to be taken over from another offer of equal contents elsewhere.
    pub claim: bool,
    /// Whether a file is known to have been closed by who wrote it last.
    pub closed: &'a dyn Fn(&Path) -> bool,
    /// Threads that may hash.
    pub threads: usize,
    /// Makes the work end with [`StoreError::Cancelled`].
    pub cancel: &'a AtomicBool,
}

/// What was found.
#[derive(Debug)]
pub struct Refreshed {
    /// What is there now.
    pub now: Now,
    /// Files that are still being written: to be looked at again about a second later.
    pub later: Vec<PathBuf>,
    /// What was left out.
    pub warnings: Vec<Warning>,
    /// Those of the given paths that are not there.
    pub missing: Vec<PathBuf>,
    /// Whether everything was looked at.
    pub full: bool,
}

/// What is there now.
#[derive(Debug)]
pub enum Now {
    /// What was there before.
    Same,
    /// Something else, which has a record of its own.
    Other(ShareRecord),
    /// Nothing that can be shared yet: the only file is still being written.
    Nothing,
    /// None of the given paths is there.
    Gone,
}

/// What stands at a path of the share.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) rel: RelPath,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A file that was looked at and may have changed.
    Found(ScannedFile),
    /// A file whose bytes are known.
    File {
        print: Option<Fingerprint>,
        size: u64,
        id: ContentId,
        executable: bool,
    },
    Folder,
    Link(String),
}

impl Item {
    fn with_mode(mut self, now: bool) -> Self {
        if let What::File { executable, .. } = &mut self.what {
            *executable = now;
        }
        self
    }
}

/// Looks again.
pub(crate) fn refresh(store: &Inner, ask: &Refresh<'_>) -> Result<Refreshed, StoreError> {
    let mut tops = Tops::find(ask.paths);
    if tops.found.is_empty() {
        let (later, warnings, full) = (Vec::new(), tops.warnings, true);
        return Ok(Refreshed { now: Now::Gone, later, warnings, missing: tops.missing, full });
    }
    let before = ask.before.map(Before::of);
    if let (Some(touched), Some(before)) = (ask.touched, &before)
        && tops.roots_are(&before.record.roots)
    {
        let mut walk = Walk::new(store.home.path());
        if let Some(items) = touched::merge(before, touched, &mut walk) {
            walk.roots.clone_from(&before.record.roots);
            let done = finish(store, ask, &tops, Some(before), walk, items, false);
            // What was not told does not fit what was: everything has to be looked at.
            if !matches!(done, Err(StoreError::Manifest(ManifestError::Below(_)))) {
                return done;
            }
        }
    }
    let mut walk = Walk::new(store.home.path());
    tops.walk(&mut walk);
    if tops.found.is_empty() {
        let (later, warnings, full) = (Vec::new(), tops.warnings, true);
        return Ok(Refreshed { now: Now::Gone, later, warnings, missing: tops.missing, full });
    }
    let items = items_of(&mut walk);
    finish(store, ask, &tops, before.as_ref(), walk, items, true)
}

/// All that a walk has found since it was last asked, in order.
pub(crate) fn items_of(walk: &mut Walk) -> Vec<Item> {
    let files = std::mem::take(&mut walk.files).into_iter();
    let files = files.map(|file| Item { rel: file.rel.clone(), what: What::Found(file) });
    let folders = std::mem::take(&mut walk.folders).into_iter();
    let folders = folders.map(|rel| Item { rel, what: What::Folder });
    let links = std::mem::take(&mut walk.links).into_iter();
    let links = links.map(|(rel, target)| Item { rel, what: What::Link(target) });
    let mut items: Vec<_> = files.chain(folders).chain(links).collect();
    items.sort_by(|a, b| a.rel.cmp(&b.rel));
    items
}

fn finish(
    store: &Inner,
    ask: &Refresh<'_>,
    tops: &Tops,
    before: Option<&Before<'_>>,
    walk: Walk,
    items: Vec<Item>,
    full: bool,
) -> Result<Refreshed, StoreError> {
    let (mut later, mut warnings) = (Vec::new(), tops.warnings.clone());
    warnings.extend(walk.warnings);
    let items = settled(store, ask, before, &walk.roots, items, &mut later, &mut warnings)?;
    let missing = tops.missing.clone();
    let made = make(ask, tops, walk.roots, items)?;
    let now = match (made, before) {
        (None, _) => Now::Nothing,
        (Some(made), Some(before)) if same(before.record, &made, ask.claim) => Now::Same,
        (Some(made), _) => Now::Other(made),
    };
    Ok(Refreshed { now, later, warnings, missing, full })
}

/// Hashes what is not known; what cannot be hashed now is as before, or left out.
fn settled(
    store: &Inner,
    ask: &Refresh<'_>,
    before: Option<&Before<'_>>,
    roots: &[Root],
    items: Vec<Item>,
    later: &mut Vec<PathBuf>,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Item>, StoreError> {
    let now = now_ns();
    // Of a record that is about files elsewhere nothing can be kept.
    let elsewhere = before.is_some_and(|before| is_elsewhere(before.record, roots));
    let as_before = |rel: &RelPath| {
        let what = before.filter(|_| !elsewhere).and_then(|before| before.file(rel))?;
        Some(Item { rel: rel.clone(), what })
    };
    let mut done = Vec::with_capacity(items.len());
    let (mut files, mut places) = (Vec::new(), Vec::new());
    for item in items {
        let Item { what: What::Found(file), .. } = item else {
            done.push(Some(item));
            continue;
        };
        let young = (now - file.fingerprint.mtime_ns).abs() < SETTLE_NS;
        let print = before.and_then(|before| before.print(&file.rel));
        let verified = ask.verified_ns.is_some_and(|then| !file.fingerprint.racy(then));
        if verified && !elsewhere && print == Some(file.fingerprint) {
            done.push(as_before(&file.rel).map(|item| item.with_mode(file.executable)));
            continue;
        }
        if young && !elsewhere && print != Some(file.fingerprint) && !(ask.closed)(&file.path) {
            done.push(as_before(&file.rel));
            later.push(file.path);
        } else {
            files.push(file);
            places.push(done.len());
            done.push(None);
        }
    }
    let hashed = hashing::hash_once(store, &files, ask.threads, ask.cancel)?;
    for ((file, place), hashed) in files.into_iter().zip(places).zip(hashed) {
        let (size, executable) = (file.fingerprint.size, file.executable);
        done[place] = match hashed {
            Ok(id) => {
                let what = What::File { print: Some(file.fingerprint), size, id, executable };
                Some(Item { rel: file.rel, what })
            }
            Err(ReadFault::Changed) => {
                later.push(file.path);
                as_before(&file.rel)
            }
            Err(ReadFault::Missing) => None,
            Err(ReadFault::Unreadable(error)) => {
                warnings.push(Warning { path: file.path, reason: error.to_string() });
                None
            }
        };
    }
    Ok(done.into_iter().flatten().collect())
}

fn make(
    ask: &Refresh<'_>,
    tops: &Tops,
    roots: Vec<Root>,
    items: Vec<Item>,
) -> Result<Option<ShareRecord>, StoreError> {
    let created = u64::try_from(now_ns() / 1_000_000_000).unwrap_or(0);
    let created = ask.before.map_or(created, |before| before.created);
    let (kind, name, mut files) = (tops.kind(), ask.name.clone(), Vec::new());
    let mut entries = Vec::with_capacity(items.len());
    for Item { rel: path, what } in items {
        let kind = match what {
            What::File { print, size, id, executable } => {
                files.push(print);
                Kind::File { size, id, executable }
            }
            What::Folder => Kind::Folder,
            What::Link(target) => Kind::Link { target },
            What::Found(_) => continue,
        };
        entries.push(Entry { path, kind });
    }
    if kind == ShareKind::File {
        let [Entry { kind: Kind::File { size, id, executable }, .. }] = entries[..] else {
            return Ok(None);
        };
        let manifest = None;
        return Ok(Some(ShareRecord {
            id,
            kind,
            name,
            roots,
            created,
            size,
            executable,
            manifest,
            files,
        }));
    }
    let manifest = Arc::new(Manifest::new(entries)?);
    Ok(Some(ShareRecord {
        id: manifest.id(),
        kind,
        name,
        roots,
        created,
        size: manifest.total_bytes(),
        executable: false,
        manifest: Some(manifest),
        files,
    }))
}

/// Whether a new record says nothing new. Of two offers of equal contents one has the record: it
/// keeps it unless the other claims it, or its folder is gone.
fn same(before: &ShareRecord, made: &ShareRecord, claim: bool) -> bool {
    if before.id != made.id || before.kind != made.kind {
        return false;
    }
    if is_elsewhere(before, &made.roots)
        && !claim
        && before.roots.iter().all(|root| root.folder.exists())
    {
        return true;
    }
    let equal = before.roots == made.roots && before.executable == made.executable;
    equal && before.files == made.files
}

/// Whether a record is about files in other folders.
fn is_elsewhere(record: &ShareRecord, roots: &[Root]) -> bool {
    record.roots.iter().zip(roots).any(|(a, b)| a.folder != b.folder)
}

/// The given paths that are there.
struct Tops {
    several: bool,
    found: Vec<Top>,
    missing: Vec<PathBuf>,
    warnings: Vec<Warning>,
}

impl Tops {
    fn find(paths: &[PathBuf]) -> Self {
        let several = paths.len() > 1;
        let (found, missing, warnings) = (Vec::new(), Vec::new(), Vec::new());
        let mut tops = Self { several, found, missing, warnings };
        for path in paths {
            match Top::find(path) {
                Ok(top) => tops.found.push(top),
                Err(error) => tops.lose(path, &error),
            }
        }
        tops.found.sort_by(|a, b| a.name.cmp(&b.name));
        tops.found.dedup_by(|a, b| a.name == b.name);
        tops
    }

    fn lose(&mut self, path: &Path, error: &StoreError) {
        if !matches!(error, StoreError::NotFound { .. }) {
            self.warnings.push(Warning { path: path.to_owned(), reason: error.to_string() });
        }
        self.missing.push(path.to_owned());
    }

    fn kind(&self) -> ShareKind {
        match self.found.as_slice() {
            [only] if !self.several && !only.is_folder => ShareKind::File,
            _ => ShareKind::Folder,
        }
    }

    /// Whether a record was made of just these paths, one of them at least a folder.
    fn roots_are(&self, roots: &[Root]) -> bool {
        let same = |(top, root): (&Top, &Root)| match &root.names {
            None => !self.several && top.is_folder && top.path == root.folder,
            Some((name, real)) => {
                self.several && *name == top.name.as_str() && top.path == root.folder.join(real)
            }
        };
        self.found.len() == roots.len() && self.found.iter().zip(roots).all(same)
    }

    /// Walks everything; what cannot be opened counts as not there.
    fn walk(&mut self, walk: &mut Walk) {
        for top in std::mem::take(&mut self.found) {
            let walked = if top.is_folder && !self.several {
                open_folder(&top.path)
                    .and_then(|folder| {
                        let (path, dev) = (top.path.clone(), dev_of(&folder));
                        walk.roots.push(Root { folder: path, dev, names: None });
                        walk.top_folder(folder, None, &top.path)
                    })
                    .map_err(|error| StoreError::io("read", &top.path, error))
            } else {
                walk.top(&top)
            };
            match walked {
                Ok(()) => self.found.push(top),
                Err(error) => self.lose(&top.path, &error),
            }
        }
    }
}
