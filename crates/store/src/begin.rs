//! Starts a download: decides where it goes, finds what an earlier attempt has left, checks that it
//! can work before anything is fetched.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, RwLock};

use potluck_base::{PieceSet, RelPath};
use potluck_content::{Manifest, PieceMap};

use crate::below::Below;
use crate::checkpoint::Turn;
use crate::download::{Download, FILES_OPEN};
use crate::error::StoreError;
use crate::fingerprint::{Fingerprint, now_ns};
use crate::lru::Lru;
use crate::names;
use crate::part::{Part, PartPlace};
use crate::plan::{DownloadPlan, PlanKind};
use crate::progress::{Places, Progress};
use crate::record::{self, Record, Stage};
use crate::resume::{Found, Noted};
use crate::share::ShareKind;
use crate::state::Inner;
use crate::stored;
use crate::sweep;
use crate::target::{self, Start};
use crate::twins::Twins;

/// File systems give out space in blocks of about this size.
const DISK_BLOCK: u64 = 4096;

/// What is known before the download exists.
pub(crate) struct Outset<'a> {
    pub(crate) store: &'a Arc<Inner>,
    pub(crate) plan: &'a DownloadPlan,
    pub(crate) map: PieceMap,
    pub(crate) asked: RelPath,
    pub(crate) folder: Below,
    pub(crate) folder_path: PathBuf,
}

pub(crate) fn begin(store: &Arc<Inner>, plan: &DownloadPlan) -> Result<Download, StoreError> {
    check(plan)?;
    let outset = Outset::of(store, plan)?;
    let path = outset.folder_path.join(outset.asked.as_str());
    let part_path = outset.folder_path.join(names::part(&outset.asked, &plan.content));
    let occupied = store.occupy(part_path).map_err(|_| StoreError::Busy { path })?;
    let mut start = target::choose(&outset)?;
    let mut part = outset.part_place(&start.name).find()?;
    let found = outset.found(&start, part.as_ref())?;
    let selected = |file: u32| outset.selected(file);
    let twins = Twins::find(&outset.map, selected, &found.stored);
    if part.is_none() {
        outset.check_names(&start)?;
    }
    outset.check_space(&found.stored)?;
    if part.is_none() && !(start.ours && outset.all_placed(&start)) {
        part = Some(outset.part_place(&start.name).make(&store.disk)?);
    }
    let record = outset.record(&mut start, &found)?;
    let progress = outset.progress(found, &twins)?;
    let wanted = outset.wanted(&twins);
    let Outset { map, folder, folder_path, asked, .. } = outset;
    let (manifest, executable) = match &plan.kind {
        PlanKind::File { executable, .. } => (None, *executable),
        PlanKind::Folder(manifest) => (Some(manifest.clone()), false),
    };
    Ok(Download {
        store: store.clone(),
        number: record.number,
        content: plan.content,
        map: Arc::new(map),
        manifest,
        executable,
        asked,
        folder,
        folder_path,
        on_exists: plan.on_exists,
        ours: start.ours,
        selected: plan.selected.clone(),
        twins,
        wanted,
        places: RwLock::new(Places {
            part: part.map(Arc::new),
            target: start.target,
            name: start.name,
            placed: start.placed,
        }),
        progress: Mutex::new(progress),
        quiet: Condvar::new(),
        open: Mutex::new(Lru::new(FILES_OPEN)),
        turn: Mutex::new(Turn::new(record)),
        _occupied: occupied,
    })
}

fn check(plan: &DownloadPlan) -> Result<(), StoreError> {
    let entries = match &plan.kind {
        PlanKind::File { .. } => 1,
        PlanKind::Folder(manifest) if manifest.id() != plan.content => {
            return Err(StoreError::Mismatch(plan.content));
        }
        PlanKind::Folder(manifest) => manifest.entries().len(),
    };
    let last = plan.selected.as_ref().and_then(BTreeSet::last);
    if last.is_some_and(|last| *last as usize >= entries) {
        return Err(StoreError::Bug("a selection beyond the last entry"));
    }
    Ok(())
}

impl<'a> Outset<'a> {
    fn of(store: &'a Arc<Inner>, plan: &'a DownloadPlan) -> Result<Self, StoreError> {
        let asked = names::asked(plan)?;
        let fail = |e| StoreError::io("open", &plan.folder, e);
        let folder_path = plan.folder.canonicalize().map_err(fail)?;
        let folder = Below::open(&folder_path).map_err(fail)?;
        Ok(Self { store, plan, map: plan.map(), asked, folder, folder_path })
    }
}

impl Outset<'_> {
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match &self.plan.kind {
            PlanKind::File { .. } => None,
            PlanKind::Folder(manifest) => Some(manifest),
        }
    }

    pub(crate) fn part_place(&self, name: &RelPath) -> PartPlace<'_> {
        PartPlace {
            folder: self.folder.root(),
            folder_path: &self.folder_path,
            name: names::part(name, &self.plan.content),
            single: match self.plan.kind {
                PlanKind::File { executable, .. } => Some(executable),
                PlanKind::Folder(_) => None,
            },
        }
    }

    pub(crate) fn rel(&self, file: u32) -> Option<&str> {
        Some(self.manifest()?.entries()[self.map.file(file).entry].path.as_str())
    }

    fn selected(&self, file: u32) -> bool {
        let entry = self.map.file(file).entry as u32;
        self.plan.selected.as_ref().is_none_or(|selected| selected.contains(&entry))
    }

    fn all_placed(&self, start: &Start) -> bool {
        (0..self.map.files())
            .zip(&start.placed)
            .all(|(file, p)| p.is_some() || !self.selected(file))
    }

    /// The pieces that are here: at the target, and in what an earlier attempt has left.
    fn found(&self, start: &Start, part: Option<&Part>) -> Result<Found, StoreError> {
        let mut found = Found::nothing(&self.map);
        for (file, _) in (0..).zip(&start.placed).filter(|(_, placed)| placed.is_some()) {
            found.stored.insert_range(self.map.file(file).pieces);
        }
        let Some(part) = part else { return Ok(found) };
        let none = PieceSet::none(self.map.total());
        let (durable, doubtful) = match &start.record {
            Some(record) => (&record.durable, &record.doubtful),
            None => (&none, &none),
        };
        let noted = Noted { durable, doubtful };
        for (file, placed) in (0..self.map.files()).zip(&start.placed) {
            let info = self.map.file(file);
            if placed.is_some() || info.layout.is_empty() {
                continue;
            }
            let rel = part.rel(self.rel(file));
            let values = || self.store.values(info.layout, info.id).ok().flatten();
            found
                .look(&part.below, rel, &info, &noted, &values)
                .map_err(|e| StoreError::io("read", &part.path.join(rel), e))?;
        }
        Ok(found)
    }

    fn progress(&self, found: Found, twins: &Twins) -> Result<Progress, StoreError> {
        let mut progress = Progress::new(found.stored, found.durable, found.unchecked);
        progress.known_values = record::files_with_values(&self.store.db.lock(), &self.map)?;
        for first in twins.firsts() {
            if progress.stored.contains_range(self.map.file(first).pieces) {
                for twin in twins.of(first) {
                    progress.have.insert_range(self.map.file(*twin).pieces);
                }
            }
        }
        Ok(progress)
    }

    fn wanted(&self, twins: &Twins) -> PieceSet {
        let mut wanted = PieceSet::none(self.map.total());
        for file in 0..self.map.files() {
            if self.selected(file) && twins.stand_in(file).is_none() {
                wanted.insert_range(self.map.file(file).pieces);
            }
        }
        wanted
    }

    /// Room for all that is still to be written, copies of equal files too.
    fn check_space(&self, stored: &PieceSet) -> Result<(), StoreError> {
        let mut needed = 0u64;
        for file in (0..self.map.files()).filter(|file| self.selected(*file)) {
            let info = self.map.file(file);
            let mut bytes = info.layout.len();
            let mut piece = stored.first_present(info.pieces.start);
            while piece < info.pieces.end {
                bytes -= u64::from(self.map.piece_len(piece));
                piece = stored.first_present(piece + 1);
            }
            needed = needed.saturating_add(bytes.next_multiple_of(DISK_BLOCK));
        }
        let root = self.folder.root();
        let free = self.store.disk.free(&**root);
        let free = free.map_err(|e| StoreError::io("look at", &self.folder_path, e))?;
        if needed > free { Err(StoreError::NoSpace { needed, free }) } else { Ok(()) }
    }

    /// Refuses a folder with two names that the target's file system takes for one.
    fn check_names(&self, start: &Start) -> Result<(), StoreError> {
        if start.ours {
            return Ok(());
        }
        let Some((first, second)) = self.manifest().and_then(Manifest::collisions) else {
            return Ok(());
        };
        let fail = |e| StoreError::io("write", &self.folder_path, e);
        if self.takes_for_one(first.file_name(), second.file_name()).map_err(fail)? {
            return Err(StoreError::Collision { first, second });
        }
        Ok(())
    }

    fn takes_for_one(&self, one: &str, other: &str) -> std::io::Result<bool> {
        let (disk, root) = (&self.store.disk, self.folder.root());
        let name = format!(".potluck-{}-{}.probe", self.plan.content.short(), std::process::id());
        let probe = Below::of(self.folder.folder_made(disk, &name)?);
        let seen = probe
            .file_made(disk, one, rustix::fs::OFlags::empty(), 0o600)
            .and_then(|_| probe.find(other));
        self.folder.forget();
        sweep::delete(disk, root.as_fd(), &name)?;
        Ok(seen?.is_some() || disk.folds())
    }

    /// Brings the row up to what was found, or makes one.
    fn record(&self, start: &mut Start, found: &Found) -> Result<Record, StoreError> {
        let mut doubtful = found.stored.clone();
        doubtful.remove_all(&found.durable);
        let durable = found.durable.clone();
        let (kind, manifest, executable) = match &self.plan.kind {
            PlanKind::File { executable, .. } => (ShareKind::File, None, *executable),
            PlanKind::Folder(manifest) => (ShareKind::Folder, Some(manifest.clone()), false),
        };
        let (selected, files) = (self.plan.selected.clone(), start.placed.clone());
        let Some(mut record) = start.record.take() else {
            let mut record = Record {
                number: 0,
                content: self.plan.content,
                kind,
                name: start.name.clone(),
                asked: self.asked.clone(),
                folder: self.folder_path.clone(),
                created: u64::try_from(now_ns() / 1_000_000_000).unwrap_or(0),
                size: self.map.total_bytes(),
                executable,
                manifest,
                selected,
                stage: Stage::Fetching,
                synced: false,
                boot: String::new(),
                durable,
                doubtful,
                dev: 0,
                files,
            };
            let held = stored::is_folder(self.store, &self.folder_path);
            record.number = record::insert(&self.store.db.lock(), &record, held)?;
            return Ok(record);
        };
        // What is finished already stays so: there is nothing to do.
        if record.stage != Stage::Finished || !self.all_placed(start) {
            record.stage = Stage::Fetching;
        }
        let changed = record.files != files;
        (record.name, record.selected) = (start.name.clone(), selected);
        (record.durable, record.doubtful, record.files) = (durable, doubtful, files);
        if changed {
            record.dev = first_dev(&record.files);
        }
        self.store.db.transaction(|tx| record::update(tx, &record))?;
        Ok(record)
    }
}

fn first_dev(files: &[Option<Fingerprint>]) -> u64 {
    files.iter().flatten().next().map_or(0, |file| file.dev)
}
