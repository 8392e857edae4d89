//! Keys, signatures, networks, invites and memberships, as pure values.
//!
//! - [`SecretKey`], [`verify`]: ed25519 keys, one domain for each use of a key.
//! - [`Signed`]: a statement and who signed it; everything below is built from such statements.
//! - [`NetworkRecord`]: what a network is. [`Membership`]: who somebody is in it, as a chain of
//!   signatures that leads to the network's key. [`Revocations`]: who is no longer in it.
//! - [`Invite`], [`TrackerTicket`]: texts that people pass on.
//!
//! `docs/spec/07-networks.md` draws the bytes and says what holds.

mod invite;
mod key;
mod member;
mod record;
mod revocation;
#[cfg(test)]
mod scene;
mod signed;
mod text;

pub use invite::{Grant, Invite, TrackerTicket};
pub use key::{IdentityError, SecretKey, Signature, verify};
pub use member::{
    Admission, Appointment, Basis, Capability, Membership, MembershipError, Redemption, Role,
};
pub use record::{DirectoryKind, NetworkRecord, Policy, RecordError};
pub use revocation::{RevocationError, RevocationList, Revocations, Revoked};
pub use signed::{Signed, Statement};
pub use text::TextError;
