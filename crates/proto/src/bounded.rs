//! How lists, bytes and texts are read from a peer: a length beyond its limit is refused before
//! memory is taken.

use std::net::SocketAddr;
use std::ops::Range;

pub(crate) use potluck_base::bounded::text;
use potluck_base::bounded::{list, optional_text};
use potluck_base::{PeerAddr, PeerId, limits};
use serde::de::{Deserialize, Deserializer, Error};

use crate::circle::RingMessage;
use crate::directory::chord;
use crate::directory::chord::index::{Answer, Question, Record};
use crate::hello::RELAY_BYTES;
use crate::swarm::Message;

/// Ranges of pieces, in order and disjoint, as pairs of gap (since the last end) and length.
pub(crate) mod ranges {
    use potluck_base::{PieceRange, limits};
    use serde::de::{Deserializer, Error};
    use serde::ser::{SerializeSeq, Serializer};

    /// Writes them; ranges that are empty or out of order are our own mistake.
    pub(crate) fn serialize<S: Serializer>(
        ranges: &[PieceRange],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(ranges.len()))?;
        let mut at = 0;
        for range in ranges {
            assert!(range.start >= at && !range.is_empty(), "ranges are in order and not empty");
            list.serialize_element(&(range.start - at, range.len()))?;
            at = range.end;
        }
        list.end()
    }

    /// Reads them; what it returns is in order, disjoint and not empty.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<PieceRange>, D::Error> {
        let pairs: Vec<(u32, u32)> = potluck_base::bounded::list::<_, _, { limits::RANGES }>(from)?;
        let mut at: u32 = 0;
        let mut ranges = Vec::with_capacity(pairs.len());
        for (gap, length) in pairs {
            let start = at.checked_add(gap).ok_or_else(|| D::Error::custom("range too far"))?;
            at = start.checked_add(length).ok_or_else(|| D::Error::custom("range too long"))?;
            if length == 0 {
                return Err(D::Error::custom("empty range"));
            }
            ranges.push(PieceRange::new(start, at));
        }
        Ok(ranges)
    }
}

/// Bytes of one chunk of a manifest or of values.
pub(crate) mod chunk {
    use std::fmt;

    use potluck_base::limits;
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    /// Writes them as one run.
    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    /// Reads them, at most [`limits::META_CHUNK_BYTES`].
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_bytes(Chunk)
    }

    struct Chunk;

    impl Visitor<'_> for Chunk {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} bytes", limits::META_CHUNK_BYTES)
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            if bytes.len() > limits::META_CHUNK_BYTES {
                return Err(E::invalid_length(bytes.len(), &self));
            }
            Ok(bytes.to_vec())
        }
    }
}

/// Peers of one message of peer exchange.
pub(crate) fn exchange_peers<'de, D, P>(from: D) -> Result<Vec<P>, D::Error>
where
    D: Deserializer<'de>,
    P: Deserialize<'de>,
{
    list::<_, _, { limits::EXCHANGE_PEERS }>(from)
}

/// Addresses of one peer.
pub(crate) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    list::<_, _, { limits::PEER_ADDRS }>(from)
}

/// A range of files that is not empty.
pub(crate) fn files<'de, D: Deserializer<'de>>(from: D) -> Result<Range<u32>, D::Error> {
    let files = Range::<u32>::deserialize(from)?;
    if files.is_empty() { Err(D::Error::custom("empty range of files")) } else { Ok(files) }
}

/// A message whose peers have no more addresses than they may.
pub(crate) fn message<'de, D: Deserializer<'de>>(from: D) -> Result<Message<PeerAddr>, D::Error> {
    let message = Message::<BoundedAddr>::deserialize(from)?;
    Ok(message.map_peers(|peer| PeerAddr { id: peer.id, direct: peer.direct, relay: peer.relay }))
}

/// A message of a circle whose peers have no more addresses than they may.
pub(crate) fn ring_message<'de, D: Deserializer<'de>>(from: D) -> Result<RingMessage, D::Error> {
    let message = chord::Message::<BoundedAddr, Record, Question, Answer>::deserialize(from)?;
    let named = message
        .map_peers(|peer| Some(PeerAddr { id: peer.id, direct: peer.direct, relay: peer.relay }));
    Ok(named.expect("each peer has a name"))
}

/// A [`PeerAddr`] that comes from a peer; same fields, same bytes.
#[derive(serde::Deserialize)]
struct BoundedAddr {
    id: PeerId,
    #[serde(deserialize_with = "addresses")]
    direct: Vec<SocketAddr>,
    #[serde(deserialize_with = "relay")]
    relay: Option<String>,
}

/// The URL of a relay.
pub(crate) fn relay<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    optional_text::<_, RELAY_BYTES>(from)
}
