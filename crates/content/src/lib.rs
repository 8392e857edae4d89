//! Turns bytes into hashes and manifests and checks them; bytes in, values out.

mod hash;
mod manifest;
mod map;
mod reader;
mod ticket;
mod tree;

pub use hash::hash;
pub use manifest::{Entry, Kind, Manifest, ManifestError, link_stays_inside};
pub use map::{FileInfo, Located, PieceMap};
pub use ticket::{Ticket, TicketError, TicketKind};
pub use tree::{
    Layout, Mismatch, PIECE_LOG2_MAX, PIECE_LOG2_MIN, PieceHasher, Value, Values, piece_value, root,
};
