//! The names everything hangs on: peers, networks, contents and shares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has the wrong number of characters.
    #[error("{what} has {expected} characters, not {found}")]
    Length {
        /// Which id was read.
        what: &'static str,
        /// Characters that it has.
        expected: usize,
        /// Characters that were found.
        found: usize,
    },
    /// The text has a character that the id's alphabet lacks.
    #[error("{what} has a character that does not belong there")]
    Alphabet {
        /// Which id was read.
        what: &'static str,
    },
}

/// A peer's ed25519 public key, 32 bytes. Prints as 52 characters of base32 (RFC 4648, lower case,
/// no padding).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

impl PeerId {
    /// The first eight characters: enough for a person to tell peers apart, never enough to trust
    /// one.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32_lower(&self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

impl FromStr for PeerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read_base32("a peer id", text).map(Self)
    }
}

/// A network's ed25519 public key, 32 bytes. Prints as a [`PeerId`] does: 52 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub [u8; 32]);

impl NetworkId {
    /// The first eight characters: enough for a person to tell networks apart, never enough to
    /// trust one.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32_lower(&self.0))
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkId({})", self.short())
    }
}

impl FromStr for NetworkId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read_base32("a network id", text).map(Self)
    }
}

/// The plain BLAKE3 hash of some bytes, as `b3sum` prints it: 64 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// The first eight characters: for people, and for the names of unfinished files.
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0[..4])
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({})", self.short())
    }
}

impl FromStr for ContentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read_hex("a content id", text).map(Self)
    }
}

/// Names one published share of one peer for as long as it is published, whatever its content is
/// at the moment: 16 random bytes. Prints as 32 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey(pub [u8; 16]);

impl fmt::Display for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareKey({})", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

impl FromStr for ShareKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read_hex("a share's key", text).map(Self)
    }
}

/// Base32 of RFC 4648 in lower case without padding: its alphabet lacks 0 and 1, so nothing looks
/// like o or l.
fn base32_lower(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Thirty-two bytes, which are 52 characters of base32 in any case.
fn read_base32(what: &'static str, text: &str) -> Result<[u8; 32], IdError> {
    if text.len() != 52 {
        return Err(IdError::Length { what, expected: 52, found: text.chars().count() });
    }
    let bytes = data_encoding::BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| IdError::Alphabet { what })?;
    bytes.try_into().map_err(|_| IdError::Alphabet { what })
}

/// `N` bytes, which are twice as many hexadecimal characters in any case.
fn read_hex<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], IdError> {
    if text.len() != 2 * N {
        return Err(IdError::Length { what, expected: 2 * N, found: text.chars().count() });
    }
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| IdError::Alphabet { what })?;
    bytes.try_into().map_err(|_| IdError::Alphabet { what })
}

/// Ids are raw bytes in binary formats and their printed form in readable ones.
macro_rules! serde_as_text_or_bytes {
    ($id:ty, $bytes:ty) => {
        impl Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() { to.collect_str(self) } else { self.0.serialize(to) }
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    let text = String::deserialize(from)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <$bytes>::deserialize(from).map(Self)
                }
            }
        }
    };
}

serde_as_text_or_bytes!(PeerId, [u8; 32]);
serde_as_text_or_bytes!(NetworkId, [u8; 32]);
serde_as_text_or_bytes!(ContentId, [u8; 32]);
serde_as_text_or_bytes!(ShareKey, [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_back() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 37) as u8);
        let (peer, content) = (PeerId(bytes), ContentId(bytes));
        assert_eq!(peer.to_string().parse(), Ok(peer));
        assert_eq!(content.to_string().parse(), Ok(content));
        assert_eq!(content.to_string().to_ascii_uppercase().parse(), Ok(content));
        assert_eq!(peer.to_string().len(), 52);
        let (network, share) = (NetworkId(bytes), ShareKey(std::array::from_fn(|i| i as u8)));
        assert_eq!(network.to_string().parse(), Ok(network));
        assert_eq!(network.to_string(), peer.to_string());
        assert_eq!(share.to_string(), "000102030405060708090a0b0c0d0e0f");
        assert_eq!(share.to_string().to_ascii_uppercase().parse(), Ok(share));
    }

    #[test]
    fn a_text_that_is_no_id_says_why() {
        assert!(matches!("abc".parse::<PeerId>(), Err(IdError::Length { found: 3, .. })));
        assert!(matches!("!".repeat(52).parse::<PeerId>(), Err(IdError::Alphabet { .. })));
        assert!(matches!("g".repeat(64).parse::<ContentId>(), Err(IdError::Alphabet { .. })));
        assert!("é".repeat(26).parse::<PeerId>().is_err());
        assert!(matches!("abc".parse::<NetworkId>(), Err(IdError::Length { found: 3, .. })));
        assert!(matches!("x".repeat(32).parse::<ShareKey>(), Err(IdError::Alphabet { .. })));
    }
}
