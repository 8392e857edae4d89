//! The words of Potluck: ids, ranges, addresses, limits, time; nothing here does more than parse
//! and print.
//!
//! | word | meaning |
//! |---|---|
//! | node | our process |
//! | peer | the other end of a link; named by its ed25519 public key, [`PeerId`] |
//! | network | a named group of peers with its own key, policy and directory, [`NetworkId`] |
//! | member | a peer admitted to a network, with a role |
//! | invite | a string that admits to a network |
//! | ticket | a string that names content and where to get it |
//! | content | bytes named by their plain BLAKE3 hash, [`ContentId`] |
//! | piece | the unit of exchange and of verification: an aligned range, a BLAKE3 subtree |
//! | value | what a piece hashes to: a chaining value, or the content id of a one-piece file |
//! | manifest | what a shared folder contains; its own hash names the folder |
//! | share | content that this node offers, published under a [`ShareKey`] |
//! | provider | a peer that has some or all pieces of a content |
//! | directory | who has what, always |
//! | tracker | the index server of a network |
//! | folder | a tree on disk (a *directory* is an index of who has what) |
//! | link | an authenticated, encrypted connection to a peer, whatever carries it |
//! | lane | one bulk byte stream of a link |
//! | home | the folder in which a node keeps its key, its configuration and its state |

mod address;
pub mod bounded;
mod id;
pub mod limits;
mod path;
mod pieces;
mod text;
mod time;

pub use address::{PathKind, PeerAddr};
pub use id::{ContentId, IdError, NetworkId, PeerId, ShareKey};
pub use path::{PathError, Platform, RelPath, local_name};
pub use pieces::{PieceRange, PieceSet, Ranges};
pub use text::{Bytes, NoSize, Rate, escape};
pub use time::Time;
