//! The hash tree over the entries of a page.
//!
//! Two neighbours hash to one node, a last one without a neighbour climbs as it is. Leaves and
//! nodes begin with different bytes, so that neither can pass for the other.

use super::Entry;

/// One hash of the tree.
type Hash = [u8; 32];

/// What a page without entries hashes to.
const EMPTY: [u8; 1] = [2];

/// What an entry hashes to.
pub fn leaf(entry: &Entry) -> Hash {
    let bytes = postcard::to_extend(entry, vec![0]).expect("writing to memory does not fail");
    potluck_content::hash(&bytes).0
}

/// What the leaves of a page hash to.
pub fn root_of(leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return potluck_content::hash(&EMPTY).0;
    }
    let mut floor = leaves.to_vec();
    while floor.len() > 1 {
        floor = floor_above(&floor);
    }
    floor[0]
}

/// The hashes that lead from one leaf to the root, lowest first.
///
/// # Panics
/// If there is no such leaf.
pub fn path_of(leaves: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < leaves.len(), "there is no such entry");
    let (mut floor, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while floor.len() > 1 {
        path.extend(floor.get(at ^ 1));
        floor = floor_above(&floor);
        at /= 2;
    }
    path
}

/// The hashes that lead to the root from each leaf, as [`path_of`] tells them one by one.
pub fn paths_of(leaves: &[Hash]) -> Vec<Vec<Hash>> {
    let mut paths = vec![Vec::new(); leaves.len()];
    let (mut floor, mut height) = (leaves.to_vec(), 0);
    while floor.len() > 1 {
        for (leaf, path) in paths.iter_mut().enumerate() {
            path.extend(floor.get((leaf >> height) ^ 1));
        }
        floor = floor_above(&floor);
        height += 1;
    }
    paths
}

/// The root to which a path leads from a leaf of a page of so many entries; none if it is not as
/// long as it must be.
pub(super) fn climb(leaf: Hash, index: u16, entries: u16, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut count, mut path) = (usize::from(index), usize::from(entries), path.iter());
    if at >= count {
        return None;
    }
    let mut hash = leaf;
    while count > 1 {
        if at ^ 1 < count {
            let other = path.next()?;
            hash = if at % 2 == 0 { node(&hash, other) } else { node(other, &hash) };
        }
        at /= 2;
        count = count.div_ceil(2);
    }
    path.next().is_none().then_some(hash)
}

/// What a share's pages come to: both sides compare it to learn whether they have the same.
///
/// Pages come in order of their numbers. Those without entries do not count: it makes no
/// difference whether a page was emptied or never was.
pub fn share_digest(pages: impl IntoIterator<Item = (u16, Hash)>) -> Hash {
    let empty = potluck_content::hash(&EMPTY).0;
    let mut bytes = vec![3];
    for (page, root) in pages {
        if root != empty {
            bytes.extend_from_slice(&page.to_be_bytes());
            bytes.extend_from_slice(&root);
        }
    }
    potluck_content::hash(&bytes).0
}

fn floor_above(floor: &[Hash]) -> Vec<Hash> {
    let above = floor.chunks(2).map(|pair| match pair {
        [left, right] => node(left, right),
        rest => rest[0],
    });
    above.collect()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    potluck_content::hash(&bytes).0
}
