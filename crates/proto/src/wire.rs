//! The bytes of control frames and of block headers; `docs/spec/02-wire.md` draws them.

use std::ops::Range;

use potluck_base::bounded::list;
use potluck_base::{ContentId, NetworkId, PeerAddr, PieceRange, limits};
use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::circle::CircleFrame;
use crate::directory::tracker::{self, Claim};
use crate::hello::{Hello, VERSION};
use crate::swarm::Message;

/// Bytes of the reason of a goodbye.
pub const REASON_BYTES: usize = 256;
/// Bytes of a [`BlockHeader`].
pub const BLOCK_HEADER_BYTES: usize = 52;

/// One frame of the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// The first frame of either side.
    Hello(Hello),
    /// Something about one content, between the machines of both sides.
    Swarm {
        /// Which content.
        content: ContentId,
        /// What.
        #[serde(deserialize_with = "bounded::message")]
        message: Message<PeerAddr>,
    },
    /// Send me a manifest or piece values. Answered by chunks, or one refusal, with the same id.
    MetaRequest {
        /// Chosen by the asker; one of its requests that are open.
        id: u32,
        /// Of which content.
        content: ContentId,
        /// What.
        what: What,
    },
    /// A part of the answer to a request; parts come in order.
    MetaChunk {
        /// Which request.
        id: u32,
        /// Bytes of the whole answer.
        total: u64,
        /// Where in the answer these bytes belong.
        offset: u64,
        /// At most [`limits::META_CHUNK_BYTES`]; only the answer with `total` 0 has none.
        #[serde(with = "bounded::chunk")]
        bytes: Vec<u8>,
    },
    /// A request is not answered.
    MetaRefused {
        /// Which request.
        id: u32,
        /// Why.
        why: Refusal,
    },
    /// A swarm message about this content is not heard.
    Refuse {
        /// Which content.
        content: ContentId,
        /// Why.
        why: Refusal,
    },
    /// Answer with a pong of the same number.
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
    /// The last frame: the sender ends the link.
    Goodbye {
        /// For people, at most [`REASON_BYTES`]; escape before showing.
        #[serde(deserialize_with = "bounded::text::<_, REASON_BYTES>")]
        reason: String,
    },
    /// The networks that the sender belongs to, at most [`limits::CLAIMS`]. Only for peers with
    /// [`FEATURE_NETWORKS`](crate::FEATURE_NETWORKS), as is all that follows.
    Claims(#[serde(deserialize_with = "list::<_, _, { limits::CLAIMS }>")] Vec<Claim>),
    /// The networks among those that the other claimed in which the sender takes it for a member.
    Admitted(#[serde(deserialize_with = "list::<_, _, { limits::CLAIMS }>")] Vec<NetworkId>),
    /// Something between a tracker and a member.
    Tracker(Box<tracker::Message>),
    /// Something between members of a network without trackers. Only for peers with
    /// [`FEATURE_CIRCLES`](crate::FEATURE_CIRCLES).
    Chord(Box<CircleFrame>),
}

/// What a [`Frame::MetaRequest`] asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The manifest of a shared folder.
    Manifest,
    /// The piece values of those files among these that have more than one piece, one after the
    /// other.
    Values {
        /// Files, by number in the piece map; not empty.
        #[serde(deserialize_with = "bounded::files")]
        files: Range<u32>,
    },
    /// How your copy of it is, which is stored in a network: [`CopySaid`](crate::CopySaid). Only
    /// for peers with [`FEATURE_CIRCLES`](crate::FEATURE_CIRCLES).
    Stored {
        /// Which network. Only members of it are answered.
        network: NetworkId,
    },
}

/// Why a peer does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// It does not have that content.
    #[error("the other side does not share this")]
    NotShared,
    /// It has it, but not for us.
    #[error("the other side does not share this with us")]
    Denied,
    /// Not now.
    #[error("the other side is busy")]
    Busy,
    /// It had it, but the file has changed.
    #[error("the file was changed on the other side")]
    Changed,
}

/// Why bytes from a peer are not a frame or a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than a frame may have.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// Not a frame of this version, or one that breaks a limit.
    #[error("not a valid frame")]
    Malformed,
    /// A frame, and then something else.
    #[error("a frame is followed by {0} stray bytes")]
    Stray(usize),
    /// Not the header of a block.
    #[error("not a valid block header: {0}")]
    Header(&'static str),
}

impl Frame {
    /// The frame's bytes, without the length that goes before them on the stream.
    ///
    /// # Panics
    /// If a list of ours breaks its limits: out of order, or longer than a peer would accept.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).expect("writing to memory does not fail");
        assert!(bytes.len() <= limits::FRAME_BYTES, "a frame of ours is too long");
        bytes
    }

    /// Reads one frame; everything in it is within its limits.
    ///
    /// Bytes that follow a frame are refused, except in the hello of a newer version, which may
    /// say more than we understand: it must still be read so that the person learns what to update.
    pub fn decode(bytes: &[u8]) -> Result<Frame, WireError> {
        if bytes.len() > limits::FRAME_BYTES {
            return Err(WireError::TooLong(bytes.len()));
        }
        let (frame, rest) =
            postcard::take_from_bytes::<Frame>(bytes).map_err(|_| WireError::Malformed)?;
        match &frame {
            Frame::Hello(hello) if hello.version > VERSION => Ok(frame),
            Frame::MetaChunk { total, offset, bytes, .. }
                if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > *total) =>
            {
                Err(WireError::Malformed)
            }
            _ if rest.is_empty() => Ok(frame),
            _ => Err(WireError::Stray(rest.len())),
        }
    }
}

/// What goes before the bytes of a block on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Of which content.
    pub content: ContentId,
    /// The pieces that the block belongs to: one piece, or several that the block has whole.
    pub range: PieceRange,
    /// Where in the first piece the block starts; 0 unless a piece is larger than a block.
    pub offset: u32,
    /// How many bytes follow the header.
    pub bytes: u32,
    /// Whether this is the last block of this range.
    pub last: bool,
}

/// The first byte of every block: a lane that has lost its place is noticed at once.
const BLOCK_KIND: u8 = 0xb1;

impl BlockHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        bytes[0] = BLOCK_KIND;
        bytes[1] = u8::from(self.last);
        bytes[4..36].copy_from_slice(&self.content.0);
        bytes[36..40].copy_from_slice(&self.range.start.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.range.end.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.offset.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }

    /// Reads a header; its numbers are within their limits, but know nothing of the content's size.
    pub fn decode(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<BlockHeader, WireError> {
        let refuse = |why| Err(WireError::Header(why));
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        if bytes[0] != BLOCK_KIND {
            return refuse("no block starts like this");
        }
        if bytes[1] > 1 || bytes[2] != 0 || bytes[3] != 0 {
            return refuse("unknown flags");
        }
        let header = BlockHeader {
            content: ContentId(std::array::from_fn(|i| bytes[4 + i])),
            range: PieceRange { start: number(36), end: number(40) },
            offset: number(44),
            bytes: number(48),
            last: bytes[1] == 1,
        };
        if header.range.is_empty() || header.range.len() > limits::BLOCK_PIECES {
            return refuse("number of pieces");
        }
        if header.bytes == 0 || header.bytes as usize > limits::BLOCK_BYTES {
            return refuse("number of bytes");
        }
        let inside = header.offset > 0 || !header.last;
        if inside && header.range.len() != 1 {
            return refuse("a part of a piece names several pieces");
        }
        Ok(header)
    }
}
