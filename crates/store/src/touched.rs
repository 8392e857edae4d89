//! Looks at some paths of a share again and puts what is there into what was recorded.
//!
//! The only thing in a share that depends on its neighbours is an empty folder: it is an entry as
//! long as nothing is below it. So where something came or went, the folders above are seen to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use potluck_base::RelPath;
use potluck_content::Kind;

use crate::before::{Before, is_below};
use crate::refresh::{Item, items_of};
use crate::share::Root;
use crate::walk::Walk;

/// Of more paths than this, looking at everything is as quick.
const TOUCHED_MAX: usize = 5000;

/// All items of a share of folders after some paths were touched; none if everything has to be
/// looked at.
pub(crate) fn merge(
    before: &Before<'_>,
    touched: &BTreeSet<PathBuf>,
    walk: &mut Walk,
) -> Option<Vec<Item>> {
    if touched.len() > TOUCHED_MAX {
        return None;
    }
    let roots = &before.record.roots;
    let mut again = BTreeSet::new();
    for path in touched {
        again.extend(rel_of(roots, path)?);
    }
    let mut found: BTreeMap<RelPath, Vec<Item>> = BTreeMap::new();
    while !again.is_empty() {
        let mut emptied = BTreeSet::new();
        for rel in again {
            if is_found(&found, &rel) {
                continue;
            }
            let (root, names) = place_of(roots, &rel)?;
            let top = root.names.as_ref().map(|(name, _)| RelPath::parse_name(name));
            let top = top.transpose().ok()?;
            walk.at(&top_path(root), top.as_ref(), &names).ok()?;
            let items = items_of(walk);
            if items.is_empty() {
                emptied.extend(rel.parent());
            }
            found.retain(|other, _| !is_below(other.as_str(), rel.as_str()));
            found.insert(rel, items);
        }
        emptied.retain(|folder| !has_something(before, &found, folder));
        again = emptied;
    }
    Some(put_together(before, found))
}

/// Everything that was, but for what was looked at again, and that.
fn put_together(before: &Before<'_>, found: BTreeMap<RelPath, Vec<Item>>) -> Vec<Item> {
    let mut gone: Vec<Range<usize>> = found.keys().map(|rel| before.below(rel)).collect();
    for (rel, items) in &found {
        if items.is_empty() {
            continue;
        }
        let mut above = rel.parent();
        while let Some(folder) = above {
            let place = before.place(&folder);
            let empty = |place: &usize| matches!(before.entries()[*place].kind, Kind::Folder);
            gone.extend(place.filter(empty).map(|place| place..place + 1));
            above = folder.parent();
        }
    }
    gone.sort_unstable_by_key(|range| (range.start, range.end));
    let mut items = Vec::with_capacity(before.entries().len());
    let mut next = 0;
    let end = before.entries().len();
    gone.push(end..end);
    for range in gone {
        items.extend((next..range.start.max(next)).filter_map(|place| {
            let rel = before.entries()[place].path.clone();
            Some(Item { rel, what: before.at(place)? })
        }));
        next = next.max(range.end);
    }
    items.extend(found.into_values().flatten());
    items.sort_by(|a, b| a.rel.cmp(&b.rel));
    items
}

/// Whether anything is at or below a path, by what was and what was found.
fn has_something(
    before: &Before<'_>,
    found: &BTreeMap<RelPath, Vec<Item>>,
    folder: &RelPath,
) -> bool {
    let inside = |rel: &RelPath| is_below(rel.as_str(), folder.as_str());
    if found.iter().any(|(rel, items)| inside(rel) && !items.is_empty()) {
        return true;
    }
    let mut next = before.below(folder);
    for rel in found.keys().filter(|rel| inside(rel)) {
        let gone = before.below(rel);
        if next.start < gone.start {
            return true;
        }
        next.start = next.start.max(gone.end);
    }
    !next.is_empty()
}

/// A path on the disk as a path of the share: nothing if it cannot be one, none at all if it is a
/// whole root, or above one.
fn rel_of(roots: &[Root], path: &Path) -> Option<Option<RelPath>> {
    for root in roots {
        let top = top_path(root);
        if top.starts_with(path) {
            return None;
        }
        let Ok(below) = path.strip_prefix(&top) else { continue };
        let Some(below) = below.to_str() else { return Some(None) };
        let rel = match &root.names {
            Some((name, _)) => format!("{name}/{below}"),
            None => below.to_owned(),
        };
        return Some(RelPath::parse(&rel).ok());
    }
    Some(None)
}

/// The root that a path of the share is below, and its names below the top folder there.
fn place_of<'a>(roots: &'a [Root], rel: &'a RelPath) -> Option<(&'a Root, Vec<&'a str>)> {
    let mut names = rel.names();
    let root = match roots {
        [only] if only.names.is_none() => only,
        _ => {
            let top = names.next()?;
            roots.iter().find(|root| root.names.as_ref().is_some_and(|(name, _)| name == top))?
        }
    };
    Some((root, names.collect()))
}

fn top_path(root: &Root) -> PathBuf {
    match &root.names {
        Some((_, real)) => root.folder.join(real),
        None => root.folder.clone(),
    }
}

/// Whether a path, or one above it, was looked at.
fn is_found(found: &BTreeMap<RelPath, Vec<Item>>, rel: &RelPath) -> bool {
    let mut above = Some(rel.clone());
    while let Some(path) = above {
        if found.contains_key(&path) {
            return true;
        }
        above = path.parent();
    }
    false
}
