//! One file of a shared or downloaded folder, served as if it were shared by itself.

use std::sync::Arc;

use potluck_base::{ContentId, RelPath};
use potluck_content::Kind;

use crate::error::StoreError;
use crate::owners;
use crate::share::{Root, ShareKind, ShareRecord};
use crate::shares;
use crate::source::Source;
use crate::state::Inner;

/// Opens a file by its content id: the first that is still what it was, in any folder that has it.
pub(crate) fn open(store: &Arc<Inner>, id: &ContentId) -> Result<Option<Source>, StoreError> {
    let folders = owners::contents_with(&store.db.read(), id)?;
    for folder in folders {
        let Some(share) = shares::record(store, &folder)? else {
            continue;
        };
        for single in find(&share, id) {
            let source = Source::new(store.clone(), single);
            // Without the values of its pieces nobody could check what is sent.
            if source.open_file(0).is_ok() && source.values(0)?.is_some() {
                return Ok(Some(source));
            }
        }
    }
    Ok(None)
}

/// The files of a folder that have an id, each as a share of its own.
fn find<'a>(
    share: &'a ShareRecord,
    wanted: &'a ContentId,
) -> impl Iterator<Item = ShareRecord> + 'a {
    let entries = share.manifest.iter().flat_map(|manifest| manifest.entries());
    let files = entries.filter(|entry| matches!(entry.kind, Kind::File { .. }));
    files.zip(&share.files).filter_map(move |(entry, print)| match entry.kind {
        Kind::File { size, id, executable } if id == *wanted => {
            let name = RelPath::parse_name(entry.path.file_name()).ok()?;
            Some(ShareRecord {
                id,
                kind: ShareKind::File,
                roots: vec![root_of(share, &entry.path, name.as_str())?],
                name,
                created: share.created,
                size,
                executable,
                manifest: None,
                files: vec![Some((*print)?)],
            })
        }
        _ => None,
    })
}

/// The root of a folder's file, with the whole path to the file in it.
fn root_of(share: &ShareRecord, path: &RelPath, name: &str) -> Option<Root> {
    let root = share.root_of(path.as_str())?;
    let real = root.real_path(path.as_str()).into_owned();
    Some(Root { folder: root.folder.clone(), dev: root.dev, names: Some((name.to_owned(), real)) })
}
