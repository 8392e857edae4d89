//! Files with equal bytes within one content: one of them is fetched, the others are copied at the
//! end.

use std::collections::BTreeMap;

use potluck_base::PieceSet;
use potluck_content::PieceMap;

/// Which files equal which.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    /// The file that stands for another.
    first: BTreeMap<u32, u32>,
    /// The files that another stands for.
    others: BTreeMap<u32, Vec<u32>>,
}

impl Twins {
    /// Finds equal files among the selected ones; a complete one stands for the others if there is
    /// one, even if it is not selected.
    pub(crate) fn find(map: &PieceMap, selected: impl Fn(u32) -> bool, stored: &PieceSet) -> Self {
        let complete = |file: u32| stored.contains_range(map.file(file).pieces);
        let mut files: Vec<u32> = (0..map.files())
            .filter(|file| !map.file(*file).layout.is_empty())
            .filter(|file| selected(*file) || complete(*file))
            .collect();
        files.sort_unstable_by_key(|file| (map.file(*file).id, !complete(*file), *file));
        let mut twins = Self::default();
        for equal in files.chunk_by(|a, b| map.file(*a).id == map.file(*b).id) {
            if let [first, others @ ..] = equal
                && !others.is_empty()
            {
                twins.first.extend(others.iter().map(|other| (*other, *first)));
                twins.others.insert(*first, others.to_vec());
            }
        }
        twins
    }

    /// The file that stands for this one, if it is not this one itself.
    pub(crate) fn stand_in(&self, file: u32) -> Option<u32> {
        self.first.get(&file).copied()
    }

    /// The files that this one stands for.
    pub(crate) fn of(&self, file: u32) -> &[u32] {
        self.others.get(&file).map_or(&[], Vec::as_slice)
    }

    /// All files that stand for others.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = u32> + '_ {
        self.others.keys().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.others.is_empty()
    }
}
