//! Decides under which name a download goes, and what of it is there already.

use std::path::PathBuf;
use std::sync::Arc;

use potluck_base::RelPath;
use rustix::fs::{FileType, Stat};

use crate::begin::Outset;
use crate::below::Below;
use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::names;
use crate::plan::{OnExists, PlanKind};
use crate::record::{self, Record, Stage};
use crate::resume::{Placed, placed};

/// Numbers that are tried for a free name.
const NUMBERS_MAX: u32 = 10_000;

/// Where a download starts from.
pub(crate) struct Start {
    /// Its row, if there was an earlier attempt.
    pub(crate) record: Option<Record>,
    pub(crate) name: RelPath,
    /// The target folder, or for a single file the folder that it is in, if files are there.
    pub(crate) target: Option<Arc<Below>>,
    /// The files that are there and right.
    pub(crate) placed: Vec<Option<Fingerprint>>,
    /// Whether the target is there and is an earlier result of this content.
    pub(crate) ours: bool,
}

/// What stands at the target of an earlier attempt.
struct Seen {
    stands: bool,
    target: Option<Arc<Below>>,
    placed: Vec<Option<Fingerprint>>,
    /// A file that was ours and is another now.
    changed: Option<PathBuf>,
}

pub(crate) fn choose(outset: &Outset<'_>) -> Result<Start, StoreError> {
    let (plan, store) = (outset.plan, outset.store);
    let mut records = record::find(&store.db.lock(), &outset.folder_path, &plan.content)?;
    // A numbered name belongs to those who want to keep both.
    let numbered = plan.on_exists == OnExists::Rename;
    records.retain(|r| r.asked == outset.asked && (r.name == outset.asked || numbered));
    // Unfinished ones first, then the newest.
    records
        .sort_by_key(|record| (record.stage == Stage::Finished, std::cmp::Reverse(record.number)));
    for record in records {
        let seen = look(outset, &record)?;
        let path = outset.folder_path.join(record.name.as_str());
        let any = seen.placed.iter().any(Option::is_some);
        let unharmed = seen.changed.is_none() && (any || just_moved(outset, &record)?);
        let mut ours = seen.stands && unharmed;
        if !seen.stands && record.stage == Stage::Finished && record.name != outset.asked {
            continue;
        }
        if seen.stands && !unharmed {
            match plan.on_exists {
                OnExists::Refuse => {
                    return Err(StoreError::TargetExists { path: seen.changed.unwrap_or(path) });
                }
                OnExists::Overwrite => {
                    check_kind(outset, &record.name)?;
                    ours = any;
                }
                // What the user has made of an earlier result is kept beside the new one.
                OnExists::Rename if seen.changed.is_some() => continue,
                OnExists::Rename if record.stage == Stage::Finished => continue,
                OnExists::Rename => {}
            }
        }
        let (name, target, placed) = (record.name.clone(), seen.target, seen.placed);
        return Ok(Start { record: Some(record), name, target, placed, ours });
    }
    let name = free_name(outset)?;
    let placed = vec![None; outset.map.files() as usize];
    Ok(Start { record: None, name, target: None, placed, ours: false })
}

/// The next name that nothing stands under, from `NAME (2)` on.
pub(crate) fn next_free(folder: &Below, asked: &RelPath, is_folder: bool) -> Option<RelPath> {
    let names = (2..NUMBERS_MAX).map(|number| names::numbered(asked, number, is_folder));
    names.into_iter().find(|name| matches!(folder.find(name.as_str()), Ok(None)))
}

pub(crate) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn free_name(outset: &Outset<'_>) -> Result<RelPath, StoreError> {
    let asked = outset.asked.clone();
    let path = outset.folder_path.join(asked.as_str());
    let fail = |e| StoreError::io("look at", &path, e);
    if outset.folder.find(asked.as_str()).map_err(fail)?.is_none() {
        return Ok(asked);
    }
    match outset.plan.on_exists {
        OnExists::Refuse => Err(StoreError::TargetExists { path }),
        OnExists::Overwrite => check_kind(outset, &asked).map(|()| asked),
        OnExists::Rename => {
            let is_folder = matches!(outset.plan.kind, PlanKind::Folder(_));
            next_free(&outset.folder, &asked, is_folder).ok_or(StoreError::TargetExists { path })
        }
    }
}

/// A file replaces files and links, a folder only joins a folder.
fn check_kind(outset: &Outset<'_>, name: &RelPath) -> Result<(), StoreError> {
    let path = outset.folder_path.join(name.as_str());
    let found =
        outset.folder.find(name.as_str()).map_err(|e| StoreError::io("look at", &path, e))?;
    let wants_folder = matches!(outset.plan.kind, PlanKind::Folder(_));
    match found {
        Some(stat) if is_folder(&stat) != wants_folder => Err(StoreError::TargetKind { path }),
        _ => Ok(()),
    }
}

/// Whether the part of an attempt without any file was moved to the target just before a crash.
fn just_moved(outset: &Outset<'_>, record: &Record) -> Result<bool, StoreError> {
    if record.stage != Stage::Finishing || record.files.iter().any(Option::is_some) {
        return Ok(false);
    }
    Ok(outset.part_place(&record.name).find()?.is_none())
}

fn look(outset: &Outset<'_>, record: &Record) -> Result<Seen, StoreError> {
    let name = record.name.as_str();
    let path = outset.folder_path.join(name);
    let fail = |e| StoreError::io("look at", &path, e);
    let mut seen = Seen {
        stands: false,
        target: None,
        placed: vec![None; outset.map.files() as usize],
        changed: None,
    };
    let Some(stat) = outset.folder.find(name).map_err(fail)? else {
        return Ok(seen);
    };
    seen.stands = true;
    let below = match outset.manifest() {
        None => Below::of(outset.folder.root().clone()),
        Some(_) if is_folder(&stat) => Below::of(outset.folder.folder(name).map_err(fail)?),
        Some(_) => return Ok(seen),
    };
    let trusted = record.synced || outset.store.same_boot(&record.boot);
    for (file, then) in (0..).zip(&record.files) {
        let Some(then) = then else { continue };
        let info = outset.map.file(file);
        let rel = outset.rel(file).unwrap_or(name);
        match placed(&below, rel, &info, then, trusted).map_err(fail)? {
            Placed::Right(now) => seen.placed[file as usize] = Some(now),
            // While finishing, what stood there before may still stand there.
            Placed::Other if record.stage != Stage::Finishing && seen.changed.is_none() => {
                let top = path.clone();
                seen.changed = Some(outset.rel(file).map_or(top, |rel| path.join(rel)));
            }
            Placed::Other | Placed::Gone => {}
        }
    }
    seen.target = Some(Arc::new(below));
    Ok(seen)
}
