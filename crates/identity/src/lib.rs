//! Keys and signatures, as pure values.

mod key;

pub use key::{IdentityError, SecretKey, Signature, verify};
