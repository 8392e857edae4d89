//! A node's secret key, what it signs, and how a peer's signature is checked.
//!
//! What is signed is never the bare message but `"potluck/1 " + domain + 0x00 + message`. Each use
//! of the key has a domain of its own, so a signature made for one use is worth nothing in another.
//! A domain has no zero byte, so no two pairs of domain and message give the same bytes.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use potluck_base::{NetworkId, PeerId};

/// What every signature of this protocol version starts with.
const PROTOCOL: &[u8] = b"potluck/1 ";

/// Why a signature is refused: either way the peer is not who it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The peer's id is not a public key.
    #[error("the peer's id is not a key")]
    Key,
    /// The signature was not made by this peer, for this domain, over this message.
    #[error("the peer's signature is wrong")]
    Signature,
}

/// A node's secret key. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that grows from 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The bytes that the key grew from: the secret itself, to be stored or handed to a TLS stack.
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half, by which others know this node.
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    /// The public half, if this is the key of a network.
    pub fn network_id(&self) -> NetworkId {
        NetworkId(self.peer_id().0)
    }

    /// Signs a message for one use, which `domain` names; the name has no zero byte.
    pub fn sign(&self, domain: &'static str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&signed_bytes(domain, message)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.peer_id().short())
    }
}

/// An ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// Checks that `peer` signed this message for this domain.
///
/// Strict: keys of small order and signatures with a second form are refused, so that all nodes
/// agree.
pub fn verify(
    peer: &PeerId,
    domain: &'static str,
    message: &[u8],
    signature: &Signature,
) -> Result<(), IdentityError> {
    let key = VerifyingKey::from_bytes(&peer.0).map_err(|_| IdentityError::Key)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(&signed_bytes(domain, message), &signature)
        .map_err(|_| IdentityError::Signature)
}

fn signed_bytes(domain: &'static str, message: &[u8]) -> Vec<u8> {
    debug_assert!(!domain.contains('\0'), "a domain has no zero byte");
    [PROTOCOL, domain.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    #[test]
    fn a_signature_holds_for_its_peer_domain_and_message_only() {
        let signature = key().sign("hello", b"message");
        let peer = key().peer_id();
        assert_eq!(verify(&peer, "hello", b"message", &signature), Ok(()));
        let refused = Err(IdentityError::Signature);
        assert_eq!(verify(&peer, "hello", b"messagE", &signature), refused);
        assert_eq!(verify(&peer, "hello", b"", &signature), refused);
        assert_eq!(verify(&peer, "other", b"message", &signature), refused);
        assert_eq!(verify(&peer, "hell", b"omessage", &signature), refused);
        let other = SecretKey::from_seed([8; 32]).peer_id();
        assert_eq!(verify(&other, "hello", b"message", &signature), refused);
        for byte in 0..64 {
            let mut changed = signature;
            changed.0[byte] ^= 1;
            assert_eq!(verify(&peer, "hello", b"message", &changed), refused);
        }
    }

    #[test]
    fn what_is_signed_names_the_protocol_and_the_domain() {
        let signature = key().sign("hello", b"message");
        let bytes = b"potluck/1 hello\0message";
        assert_eq!(key().0.sign(bytes).to_bytes(), signature.0);
    }

    #[test]
    fn the_public_half_is_that_of_rfc_8032() {
        // RFC 8032, 7.1, test 1.
        let bytes = |hex: &str| -> [u8; 32] {
            let digits = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
            std::array::from_fn(digits)
        };
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(SecretKey::from_seed(seed).peer_id(), PeerId(public));
        assert_eq!(SecretKey::from_seed(seed).to_seed(), seed);
    }

    #[test]
    fn a_key_that_signs_everything_is_refused() {
        // The neutral point as key and as commitment: without strictness this fits any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        let verdict = verify(&PeerId(neutral), "hello", b"anything", &Signature(signature));
        assert_eq!(verdict, Err(IdentityError::Signature));
    }

    #[test]
    fn an_id_that_is_no_key_is_refused() {
        // 2 is the y of no point of the curve.
        let mut id = [0; 32];
        id[0] = 2;
        let signature = key().sign("hello", b"message");
        assert_eq!(verify(&PeerId(id), "hello", b"message", &signature), Err(IdentityError::Key));
    }

    #[test]
    fn the_secret_is_never_printed() {
        let seed: [u8; 32] = std::array::from_fn(|i| 200 + i as u8);
        let printed = format!("{:?}", SecretKey::from_seed(seed));
        assert_eq!(
            printed,
            format!("SecretKey(of {})", SecretKey::from_seed(seed).peer_id().short())
        );
    }
}
