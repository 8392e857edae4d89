//! Authenticated links to a `PeerId` over TCP with TLS 1.3, over iroh's QUIC, or in memory.
//!
//! A [`Link`] has one control stream of small frames, and lanes for bulk bytes. Both ends are
//! known by their ed25519 keys before either says a word. A dial tries TCP and QUIC at once and
//! prefers TCP, because the kernel moves bytes for a fraction of what QUIC costs in user space.
//!
//! Wire layout: `docs/spec/06-link.md`.

mod bind;
mod control;
mod dial;
mod endpoint;
mod error;
mod find;
mod gate;
mod hub;
mod lane;
mod lanes;
mod link;
pub mod mem;
mod preface;
mod quic;
mod quic_dial;
mod quic_lane;
mod quic_listen;
#[cfg(test)]
mod tests;
mod tls;
mod tls_dial;
mod tls_listen;

pub use endpoint::{Endpoint, EndpointConfig};
pub use error::{Attempt, DialFault, LinkError, Transport};
pub use find::Finder;
pub use lane::{LaneRx, LaneTx};
pub use link::{Link, PathInfo};

/// The protocol and its version, agreed on in the handshake of every connection.
pub const ALPN: &[u8] = b"potluck/1";
