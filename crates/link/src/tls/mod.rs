//! TLS 1.3 with raw public keys (RFC 7250): rustls shakes hands, records are sealed here.
//!
//! Both sides prove the ed25519 key that is their `PeerId`. After the handshake rustls hands its
//! keys over as it does for TLS in a kernel, and the record layer below works without an
//! allocation per record: this is what makes a lane fast.

mod handshake;
mod keys;
mod lane;
mod record;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use handshake::{Handshake, TlsError};
pub(crate) use keys::TlsKeys;
pub(crate) use lane::{TlsLaneRx, TlsLaneTx};
pub(crate) use stream::{TlsRx, TlsStream, TlsTx};
