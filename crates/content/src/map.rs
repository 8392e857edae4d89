//! The numbers of the pieces of a whole content: file after file, in the order of the manifest.

use potluck_base::{ContentId, PieceRange, PieceSet};

use crate::manifest::{Kind, Manifest};
use crate::tree::Layout;

/// Which piece number is which bytes of which file.
///
/// A piece never crosses the end of a file; an empty file has no piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceMap {
    /// The first piece of each file, and last the number of all pieces.
    starts: Vec<u32>,
    /// The bytes of all files before each file, and last the bytes of all.
    bytes: Vec<u64>,
    /// The place of each file among the manifest's entries.
    entries: Vec<u32>,
    ids: Vec<ContentId>,
}

/// One file of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its place among the manifest's entries; 0 if the content is a single file.
    pub entry: usize,
    /// Its length and how it is cut into pieces.
    pub layout: Layout,
    /// Its own content id.
    pub id: ContentId,
    /// The numbers of its pieces within the whole content.
    pub pieces: PieceRange,
}

/// What a piece number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file, counted as in [`PieceMap::file`].
    pub file: u32,
    /// The number of the piece within that file.
    pub index: u32,
    /// Where the piece starts in the file.
    pub offset: u64,
    /// Bytes of the piece.
    pub len: u32,
}

impl PieceMap {
    /// The map of a content that is a single file.
    pub fn one_file(size: u64, id: ContentId) -> Self {
        let mut map = Self::with_capacity(1);
        map.push(0, size, id);
        map
    }

    /// The map of a folder.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let mut map = Self::with_capacity(manifest.files() as usize);
        for (entry, of) in manifest.entries().iter().enumerate() {
            if let Kind::File { size, id, .. } = &of.kind {
                map.push(entry as u32, *size, *id);
            }
        }
        map
    }

    /// How many pieces there are.
    pub fn total(&self) -> u32 {
        self.starts[self.ids.len()]
    }

    /// How many bytes there are.
    pub fn total_bytes(&self) -> u64 {
        self.bytes[self.ids.len()]
    }

    /// How many files there are; links and folders do not count.
    pub fn files(&self) -> u32 {
        self.ids.len() as u32
    }

    /// A file, counted from 0 in the order of the manifest.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn file(&self, file: u32) -> FileInfo {
        let i = file as usize;
        FileInfo {
            entry: self.entries[i] as usize,
            layout: self.layout(i),
            id: self.ids[i],
            pieces: PieceRange::new(self.starts[i], self.starts[i + 1]),
        }
    }

    /// What a piece number stands for.
    ///
    /// # Panics
    ///
    /// If there is no such piece: numbers from a peer are compared with [`PieceMap::total`] first.
    pub fn locate(&self, piece: u32) -> Located {
        assert!(piece < self.total(), "piece {piece} of {}", self.total());
        // Empty files start where the next file starts: the last file that starts here has the
        // piece.
        let i = self.starts.partition_point(|start| *start <= piece) - 1;
        let index = piece - self.starts[i];
        let (offset, len) = self.layout(i).span(index);
        Located { file: i as u32, index, offset, len }
    }

    /// Bytes of a piece; none if there is no such piece.
    pub fn piece_len(&self, piece: u32) -> u32 {
        if piece < self.total() { self.locate(piece).len } else { 0 }
    }

    /// Bytes of a range of pieces; what lies beyond the last piece counts nothing.
    pub fn bytes_of(&self, range: PieceRange) -> u64 {
        self.bytes_before(range.end).saturating_sub(self.bytes_before(range.start))
    }

    /// Bytes of a set of pieces.
    pub fn bytes_of_set(&self, set: &PieceSet) -> u64 {
        set.ranges().map(|range| self.bytes_of(range)).sum()
    }

    fn with_capacity(files: usize) -> Self {
        let (mut starts, mut bytes) =
            (Vec::with_capacity(files + 1), Vec::with_capacity(files + 1));
        starts.push(0);
        bytes.push(0);
        Self { starts, bytes, entries: Vec::with_capacity(files), ids: Vec::with_capacity(files) }
    }

    fn push(&mut self, entry: u32, size: u64, id: ContentId) {
        self.starts.push(self.total().saturating_add(Layout::new(size).pieces()));
        self.bytes.push(self.total_bytes().saturating_add(size));
        self.entries.push(entry);
        self.ids.push(id);
    }

    fn layout(&self, i: usize) -> Layout {
        Layout::new(self.bytes[i + 1] - self.bytes[i])
    }

    fn bytes_before(&self, piece: u32) -> u64 {
        if piece >= self.total() {
            return self.total_bytes();
        }
        let at = self.locate(piece);
        self.bytes[at.file as usize] + at.offset
    }
}

#[cfg(test)]
mod tests {
    use potluck_base::RelPath;
    use proptest::prelude::{Strategy, prop_oneof, proptest};

    use super::*;
    use crate::hash;
    use crate::manifest::Entry;

    /// A folder of files of these sizes, with links and empty folders between them.
    fn folder(sizes: &[u64]) -> Manifest {
        let mut entries = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let id = if *size == 0 { hash(&[]) } else { ContentId([i as u8; 32]) };
            let file = Kind::File { size: *size, id, executable: false };
            let link = Kind::Link { target: "x".to_owned() };
            for (name, kind) in [("a-link", link), ("b-folder", Kind::Folder), ("c-file", file)] {
                let path = RelPath::parse(&format!("{i:04}/{name}")).unwrap();
                entries.push(Entry { path, kind });
            }
        }
        Manifest::new(entries).unwrap()
    }

    #[test]
    fn pieces_are_numbered_file_after_file() {
        let manifest = folder(&[0, 65_537, 5, 0, 65_536]);
        let map = PieceMap::of_manifest(&manifest);
        assert_eq!((map.total(), map.files(), map.total_bytes()), (4, 5, 131_078));
        let at = |file, index, offset, len| Located { file, index, offset, len };
        let found: Vec<_> = (0..4).map(|piece| map.locate(piece)).collect();
        let expected =
            [at(1, 0, 0, 65_536), at(1, 1, 65_536, 1), at(2, 0, 0, 5), at(4, 0, 0, 65_536)];
        assert_eq!(found, expected);
        let file = map.file(1);
        assert_eq!((file.entry, file.id), (5, ContentId([1; 32])));
        assert_eq!((file.layout.len(), file.pieces), (65_537, PieceRange::new(0, 2)));
        assert_eq!(map.file(3).pieces, PieceRange::new(3, 3));
    }

    #[test]
    fn a_single_file_is_a_content_of_one_file() {
        let map = PieceMap::one_file(65_537, ContentId([7; 32]));
        assert_eq!((map.total(), map.files(), map.piece_len(1)), (2, 1, 1));
        assert_eq!((map.file(0).entry, map.file(0).id), (0, ContentId([7; 32])));
        assert_eq!(PieceMap::one_file(0, hash(&[])).total(), 0);
        assert_eq!(PieceMap::one_file(u64::MAX, hash(&[])).total(), u32::MAX);
        assert_eq!(PieceMap::of_manifest(&folder(&[])).total(), 0);
    }

    #[test]
    #[should_panic(expected = "piece 2 of 2")]
    fn a_piece_beyond_the_last_is_nowhere() {
        PieceMap::one_file(65_537, ContentId([7; 32])).locate(2);
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_pieces(
            sizes in proptest::collection::vec(prop_oneof![0u64..2, 60_000u64..200_000], 0..9),
            (a, b) in (0u32..30, 0u32..30).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ) {
            let map = PieceMap::of_manifest(&folder(&sizes));
            assert_eq!(map.total_bytes(), sizes.iter().sum::<u64>());
            let len = |piece| u64::from(map.piece_len(piece));
            let sum = |range: PieceRange| range.iter().map(len).sum::<u64>();
            assert_eq!(sum(PieceRange::new(0, map.total())), map.total_bytes());
            assert_eq!(map.bytes_of(PieceRange::new(a, b)), sum(PieceRange::new(a, b)));
            let mut set = PieceSet::all(map.total());
            set.remove_range(PieceRange::new(a, b));
            assert_eq!(map.bytes_of_set(&set), map.total_bytes() - sum(PieceRange::new(a, b)));
            for piece in 0..map.total() {
                let at = map.locate(piece);
                let file = map.file(at.file);
                assert_eq!(file.pieces.start + at.index, piece);
                assert_eq!(file.layout.span(at.index), (at.offset, at.len));
                assert!(at.len > 0 && file.pieces.contains(piece));
            }
        }
    }
}
