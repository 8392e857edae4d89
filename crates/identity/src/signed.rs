//! Statements that somebody signs: what all records of networks and memberships are made of.

use std::fmt;

use potluck_base::PeerId;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::key::{IdentityError, SecretKey, Signature, verify};

/// Something that can be signed. Each kind has a domain of its own, so that a signature under one
/// statement is worth nothing under another that happens to have the same bytes.
pub trait Statement: Serialize + DeserializeOwned {
    /// Names the kind; has no zero byte.
    const DOMAIN: &'static str;
}

/// A statement and a signature, which may be wrong until [`verify`](Signed::verify) says otherwise.
///
/// The signature is over the domain and the postcard bytes of the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What is stated.
    pub value: T,
    /// The signature over it.
    pub signature: Signature,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    pub fn sign(key: &SecretKey, value: T) -> Self {
        let signature = key.sign(T::DOMAIN, &bytes_of(&value));
        Self { value, signature }
    }

    /// The statement, if this peer signed it.
    pub fn verify(&self, by: &PeerId) -> Result<&T, IdentityError> {
        verify(by, T::DOMAIN, &bytes_of(&self.value), &self.signature)?;
        Ok(&self.value)
    }
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writing to memory does not fail")
}

/// 64 raw bytes in binary formats, 128 hexadecimal characters in readable ones.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return to.serialize_str(&data_encoding::HEXLOWER.encode(&self.0));
        }
        let mut bytes = to.serialize_tuple(self.0.len())?;
        for byte in self.0 {
            bytes.serialize_element(&byte)?;
        }
        bytes.end()
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let text = String::deserialize(from)?;
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
            let bytes = bytes.map_err(D::Error::custom)?;
            let bytes = bytes.try_into().map_err(|_| D::Error::custom("not 64 bytes"))?;
            return Ok(Self(bytes));
        }
        from.deserialize_tuple(64, SignatureBytes)
    }
}

struct SignatureBytes;

impl<'de> Visitor<'de> for SignatureBytes {
    type Value = Signature;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the 64 bytes of a signature")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Signature, A::Error> {
        let mut bytes = [0; 64];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let next = items.next_element()?;
            *byte = next.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(Signature(bytes))
    }
}
