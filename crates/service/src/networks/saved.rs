//! What a node keeps of a network that it is in, as bytes for the store.

use potluck_base::NetworkId;
use potluck_identity::{Membership, NetworkRecord, Revocations, Role, SecretKey, Signed};
use serde::{Deserialize, Serialize};

use crate::error::ServiceError;

/// The first byte of what is saved: how the rest is written.
const VERSION: u8 = 1;

/// A network that this node is in.
#[derive(Clone, Debug)]
pub struct Saved {
    /// What the network is.
    pub record: Signed<NetworkRecord>,
    /// Who we are in it.
    pub membership: Membership,
    /// Who no longer is in it.
    pub revocations: Revocations,
    /// What we are called in it, once that is settled.
    pub nick: Option<String>,
    /// The network's own key, if we made the network.
    pub key: Option<SecretKey>,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    record: Signed<NetworkRecord>,
    membership: Vec<u8>,
    revocations: Vec<u8>,
    nick: Option<String>,
    key: Option<[u8; 32]>,
}

impl Saved {
    /// The network's id.
    pub fn id(&self) -> NetworkId {
        self.record.value.network
    }

    /// Who we are in it; a stranger if we were revoked since.
    pub fn role(&self) -> Option<Role> {
        self.membership.verify(&self.record.value, &self.revocations).ok()
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let written = Written {
            record: self.record.clone(),
            membership: self.membership.encode(),
            revocations: self.revocations.encode(),
            nick: self.nick.clone(),
            key: self.key.as_ref().map(SecretKey::to_seed),
        };
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(&written).expect("writing to memory does not fail"));
        bytes
    }

    /// Reads what [`encode`](Saved::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Saved, ServiceError> {
        let damaged = || ServiceError::SavedNetwork;
        let (version, rest) = bytes.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(damaged());
        }
        let written: Written = postcard::from_bytes(rest).map_err(|_| damaged())?;
        written.record.record().map_err(|_| damaged())?;
        Ok(Saved {
            membership: Membership::decode(&written.membership).map_err(|_| damaged())?,
            revocations: Revocations::decode(&written.revocations).map_err(|_| damaged())?,
            record: written.record,
            nick: written.nick,
            key: written.key.map(SecretKey::from_seed),
        })
    }
}
