//! What things take: bytes on the wire, and bytes of memory.

use potluck_proto::directory::chord::Message;
use serde::{Serialize, Serializer};

use super::note::{Known, Note};
use super::spot::Spot;

/// A peer as it is named on the wire: 40 bytes, its key with one address.
#[derive(Clone, Copy, Debug)]
pub struct Wire;

/// Bytes of it behind its length.
const WIRE_BYTES: [u8; 39] = [0; 39];

impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&WIRE_BYTES)
    }
}

/// Bytes of a message in its frame, without what QUIC or TLS add.
pub fn bytes_of(message: &Message<Spot, Note, (), Known>) -> u64 {
    let named = message.clone().map_peers(|_| Some(Wire));
    named.and_then(|named| postcard::to_allocvec(&named).ok()).map_or(0, |bytes| bytes.len() as u64)
}

/// Memory of this process that is really there, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use potluck_proto::directory::chord::{Neighbours, Reply};

    use super::*;

    #[test]
    fn a_message_takes_forty_bytes_for_each_peer_that_it_names() {
        let bytes = |count| {
            let successors = vec![Spot(7); count];
            let said = Neighbours { predecessor: None, successors };
            bytes_of(&Message::Answer { id: 1, body: Reply::State(said) })
        };
        assert_eq!(bytes(9) - bytes(1), 320);
        assert!(bytes(0) < 8);
    }
}
