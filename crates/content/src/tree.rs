//! How a file is cut into pieces, and the values by which each piece is checked.
//!
//! A piece is a whole subtree of the file's BLAKE3 tree. Its value is the subtree's chaining value,
//! so the list of values hashes to the content id, and no list but the true one does. A file of one
//! piece has no subtree apart from itself: its value is its content id.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use potluck_base::{ContentId, limits};

use crate::hash;

/// The smallest piece is 2 to the power of this: 64 KiB.
pub const PIECE_LOG2_MIN: u8 = 16;
/// The largest piece is 2 to the power of this: 4 MiB.
pub const PIECE_LOG2_MAX: u8 = 22;

/// Pieces grow rather than that a file has more of them than this.
const PIECES_AIM: u64 = 65_536;

/// How a file is cut into pieces. It follows from the file's length alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    len: u64,
    piece_log2: u8,
}

impl Layout {
    /// The longest file whose pieces can be numbered: 16 PiB.
    pub const LEN_MAX: u64 = limits::PIECES << PIECE_LOG2_MAX;

    /// The layout of a file of `len` bytes. Pieces of one longer than [`Layout::LEN_MAX`] are
    /// counted only as far as their numbers reach: manifests and tickets refuse such a file.
    pub fn new(len: u64) -> Self {
        let mut piece_log2 = PIECE_LOG2_MIN;
        while piece_log2 < PIECE_LOG2_MAX && len > PIECES_AIM << piece_log2 {
            piece_log2 += 1;
        }
        Self { len, piece_log2 }
    }

    /// The file's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes, and so no pieces.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A piece is 2 to the power of this many bytes.
    pub fn piece_log2(&self) -> u8 {
        self.piece_log2
    }

    /// Bytes of each piece but the last, which may be shorter.
    pub fn piece_bytes(&self) -> u64 {
        1 << self.piece_log2
    }

    /// How many pieces; an empty file has none.
    pub fn pieces(&self) -> u32 {
        u32::try_from(self.pieces_exactly()).unwrap_or(u32::MAX)
    }

    /// How many pieces, even if there are more than have numbers.
    pub(crate) fn pieces_exactly(&self) -> u64 {
        self.len.div_ceil(self.piece_bytes())
    }

    /// Where a piece starts in the file and how many bytes it has: none beyond the last piece.
    pub fn span(&self, index: u32) -> (u64, u32) {
        let offset = (u64::from(index) << self.piece_log2).min(self.len);
        let len = (self.len - offset).min(self.piece_bytes());
        (offset, u32::try_from(len).expect("a piece has at most 4 MiB"))
    }
}

/// What a piece hashes to: its chaining value, or for the only piece of a file the plain hash.
pub type Value = [u8; 32];

/// The value of a whole piece, as [`PieceHasher`] finds it.
pub fn piece_value(layout: &Layout, index: u32, bytes: &[u8]) -> Value {
    let mut hasher = PieceHasher::new(layout, index);
    hasher.update(bytes);
    hasher.finish()
}

/// Finds the value of a piece whose bytes come bit by bit.
#[derive(Clone, Debug)]
pub struct PieceHasher {
    hasher: blake3::Hasher,
    layout: Layout,
    index: u32,
    missing: u32,
    too_many: bool,
}

impl PieceHasher {
    /// Starts with the first byte of piece `index`.
    pub fn new(layout: &Layout, index: u32) -> Self {
        let (offset, missing) = layout.span(index);
        let mut hasher = blake3::Hasher::new();
        if missing > 0 {
            hasher.set_input_offset(offset);
        }
        Self { hasher, layout: *layout, index, missing, too_many: false }
    }

    /// Takes the next bytes of the piece.
    pub fn update(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.missing as usize);
        self.hasher.update(&bytes[..taken]);
        self.missing -= taken as u32;
        self.too_many |= taken < bytes.len();
    }

    /// Whether it took exactly the bytes of a piece that exists.
    pub fn is_complete(&self) -> bool {
        let exists = self.index < self.layout.pieces().max(1);
        exists && self.missing == 0 && !self.too_many
    }

    /// The value. If it took fewer or more bytes than the piece has, the result is no value of any
    /// honest file; bytes from a peer are judged by [`Values::accepts`], which counts them too.
    pub fn finish(self) -> Value {
        if !self.is_complete() {
            return blake3::derive_key("potluck 1 wrong number of bytes for a piece", &[]);
        }
        if self.layout.pieces() > 1 {
            self.hasher.finalize_non_root()
        } else {
            *self.hasher.finalize().as_bytes()
        }
    }
}

/// The content id that a list of values leads to. An empty file has no values and the hash of
/// nothing.
pub fn root(layout: &Layout, values: &[Value]) -> ContentId {
    match values {
        values if values.is_empty() || layout.is_empty() => hash(&[]),
        [only] => ContentId(*only),
        _ => {
            let (left, right) = halves(values);
            let root = merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash);
            ContentId(*root.as_bytes())
        }
    }
}

fn subtree(values: &[Value]) -> Value {
    if let [only] = values {
        return *only;
    }
    let (left, right) = halves(values);
    merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
}

/// BLAKE3 fills the left: the largest power of two that leaves something for the right.
fn halves(values: &[Value]) -> (&[Value], &[Value]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

/// The values do not belong to the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the values of the pieces do not belong to the content")]
pub struct Mismatch;

/// The values of all pieces of one file, which were found to lead to its content id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    layout: Layout,
    id: ContentId,
    values: Vec<Value>,
}

impl Values {
    /// Checks the number of values and that they lead to `id`.
    pub fn verify(layout: Layout, id: ContentId, values: Vec<Value>) -> Result<Self, Mismatch> {
        let complete = values.len() as u64 == layout.pieces_exactly();
        if complete && root(&layout, &values) == id {
            Ok(Self { layout, id, values })
        } else {
            Err(Mismatch)
        }
    }

    /// Checks values that were stored or sent, 32 bytes each, one after another.
    pub fn from_bytes(layout: Layout, id: ContentId, bytes: &[u8]) -> Result<Self, Mismatch> {
        let (values, []) = bytes.as_chunks::<32>() else {
            return Err(Mismatch);
        };
        Self::verify(layout, id, values.to_vec())
    }

    /// The values of a file of one piece: its id. An empty file has no values.
    ///
    /// # Panics
    ///
    /// If the file has several pieces: its id does not tell their values.
    pub fn single(layout: Layout, id: ContentId) -> Self {
        assert!(layout.pieces() <= 1, "the values of several pieces do not follow from the id");
        Self { layout, id, values: vec![id.0; layout.pieces() as usize] }
    }

    /// The values, 32 bytes each, one after another.
    pub fn as_bytes(&self) -> Vec<u8> {
        self.values.as_flattened().to_vec()
    }

    /// The file's layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The content id that the values lead to.
    pub fn root(&self) -> ContentId {
        self.id
    }

    /// The value of one piece.
    ///
    /// # Panics
    ///
    /// If the file has no such piece.
    pub fn get(&self, index: u32) -> &Value {
        &self.values[index as usize]
    }

    /// Whether these are the bytes of piece `index`, all of them and no more.
    pub fn matches(&self, index: u32, bytes: &[u8]) -> bool {
        let mut hasher = PieceHasher::new(&self.layout, index);
        hasher.update(bytes);
        self.accepts(hasher)
    }

    /// Whether the hasher took the bytes of its piece of this file, all of them and no more.
    pub fn accepts(&self, hasher: PieceHasher) -> bool {
        let value = self.values.get(hasher.index as usize);
        hasher.layout == self.layout && hasher.is_complete() && value == Some(&hasher.finish())
    }
}

#[cfg(test)]
mod tests;
