//! What the swarm machine hears and says: to peers, to its own side, and to the driver that moves
//! bytes.

use std::ops::Range;

use potluck_base::PieceRange;
use serde::{Deserialize, Serialize};

use crate::bounded;

/// What peers say to each other about one content. On the wire `P` is an address, in the machine an
/// id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<P> {
    /// The first message of either side: what it has, and whether it wants pieces. The other
    /// answers with its own `Join` unless it has sent one. Having more ranges than fit, it goes on
    /// with `Have`.
    Join {
        /// Pieces that the sender has.
        #[serde(with = "bounded::ranges")]
        have: Vec<PieceRange>,
        /// Whether the sender wants pieces, so that grants make sense.
        wants: bool,
    },
    /// The sender has got these pieces. The other may ask for them.
    Have(#[serde(with = "bounded::ranges")] Vec<PieceRange>),
    /// From one who has pieces: the other may ask for this many bytes more, counting for each piece
    /// its length plus [`PIECE_OVERHEAD`](super::PIECE_OVERHEAD). A grant never expires; it ends
    /// with the link.
    Grant {
        /// How many more.
        bytes: u32,
    },
    /// Push me these pieces. Costs allowance; what exceeds it is ignored.
    Request(#[serde(with = "bounded::ranges")] Vec<PieceRange>),
    /// Do not push me these after all, if they have not left yet.
    Cancel(#[serde(with = "bounded::ranges")] Vec<PieceRange>),
    /// I no longer have these, for that reason; do not wait for them.
    Gone {
        /// Which pieces.
        #[serde(with = "bounded::ranges")]
        ranges: Vec<PieceRange>,
        /// What happened to them.
        why: GoneWhy,
    },
    /// Others who want or have pieces of this content. The other may connect to them.
    Peers(
        #[serde(
            bound(deserialize = "P: Deserialize<'de>"),
            deserialize_with = "bounded::exchange_peers"
        )]
        Vec<P>,
    ),
    /// I have all I want: do not tell me what you get.
    Finished,
    /// I take no further part. Nothing that was asked needs to be pushed.
    Bye,
}

impl<P> Message<P> {
    /// The same message with every peer named differently.
    pub fn map_peers<Q>(self, name: impl FnMut(P) -> Q) -> Message<Q> {
        match self {
            Message::Join { have, wants } => Message::Join { have, wants },
            Message::Have(ranges) => Message::Have(ranges),
            Message::Grant { bytes } => Message::Grant { bytes },
            Message::Request(ranges) => Message::Request(ranges),
            Message::Cancel(ranges) => Message::Cancel(ranges),
            Message::Gone { ranges, why } => Message::Gone { ranges, why },
            Message::Peers(peers) => Message::Peers(peers.into_iter().map(name).collect()),
            Message::Finished => Message::Finished,
            Message::Bye => Message::Bye,
        }
    }
}

/// Why pieces that were there no longer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GoneWhy {
    /// The file was changed.
    Changed,
    /// The file was moved or deleted.
    Missing,
    /// The file is there but cannot be read.
    Unreadable,
}

/// What our own side wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// These pieces, besides what was wanted before.
    Want(potluck_base::PieceSet),
    /// These pieces no longer: they are given up.
    Skip(Vec<PieceRange>),
    /// These pieces appeared here without a peer (copied from an equal local file).
    Local(Vec<PieceRange>),
    /// These pieces of ours changed or vanished.
    Lost(Vec<PieceRange>),
    /// Take no further part: say goodbye, push nothing more.
    Leave,
}

/// Work for the driver that moves bytes between lanes and store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<P> {
    /// Ask a peer for the piece values of those of these files that have more than one piece.
    /// Ends in one [`Outcome::Values`].
    FetchValues {
        /// Whom.
        from: P,
        /// Files, by number in the piece map.
        files: Range<u32>,
    },
    /// These pieces may come from that peer. Each ends in `Arrived` or `Bad`, or in nothing
    /// (the machine watches the time).
    Expect {
        /// From whom.
        from: P,
        /// Which pieces.
        ranges: Vec<PieceRange>,
    },
    /// These may no longer come from that peer. A piece that has begun to arrive may be finished.
    Forget {
        /// From whom.
        from: P,
        /// Which pieces.
        ranges: Vec<PieceRange>,
    },
    /// Push these pieces: either one piece, or several that fit a block together.
    /// Ends in one `Pushed` or `NotPushed`, even if cancelled or the link is gone.
    Push {
        /// To whom.
        to: P,
        /// Which pieces.
        range: PieceRange,
    },
    /// Pushes of these need not be done, if they have not begun.
    CancelPush {
        /// To whom.
        to: P,
        /// Which pieces.
        ranges: Vec<PieceRange>,
    },
    /// Connect to a peer that another told us of.
    Connect {
        /// Whom.
        peer: P,
    },
}

/// What the driver has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<P> {
    /// A `FetchValues` has ended.
    Values {
        /// From whom.
        from: P,
        /// The files that were asked for.
        files: Range<u32>,
        /// Whether all their values are here, verified against the ids.
        result: Result<(), ValuesError>,
    },
    /// Expected pieces have arrived: verified and stored.
    Arrived {
        /// From whom.
        from: P,
        /// Which pieces.
        range: PieceRange,
    },
    /// An expected piece has arrived that does not hash to its value.
    Bad {
        /// From whom.
        from: P,
        /// Which piece.
        piece: u32,
    },
    /// Pieces came that were not expected from that peer; they were thrown away.
    Unasked {
        /// From whom.
        from: P,
        /// Which pieces it said they were.
        range: PieceRange,
    },
    /// A push has left.
    Pushed {
        /// To whom.
        to: P,
        /// Which pieces.
        range: PieceRange,
    },
    /// A push has not left, or not wholly.
    NotPushed {
        /// To whom.
        to: P,
        /// Which pieces.
        range: PieceRange,
        /// What was in the way.
        why: NotPushedWhy,
    },
}

/// Why values did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesError {
    /// They do not hash to the file's id: the peer lied.
    Lie,
    /// The peer refused, was too slow, or the link is gone.
    Unavailable,
}

/// Why a push did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPushedWhy {
    /// The pieces cannot be read.
    Source(GoneWhy),
    /// The lane broke, or the push was cancelled.
    Link,
}

/// What our own side is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<P> {
    /// All wanted pieces are here.
    Complete,
    /// A peer has all it wanted.
    PeerFinished(P),
    /// No connected peer can serve these wanted pieces any more, although one did. They may be
    /// skipped.
    Lost {
        /// Which pieces.
        ranges: Vec<PieceRange>,
        /// What the last holder said.
        why: GoneWhy,
    },
    /// A peer sent what does not hash to what it should; it is not asked again.
    Liar {
        /// Who.
        peer: P,
        /// Which piece was bad; none if it lied about values.
        piece: Option<u32>,
    },
    /// Nothing has come from a peer for a while: its pieces are asked from others.
    Stalled(P),
    /// A stalled peer sends again.
    Revived(P),
}
