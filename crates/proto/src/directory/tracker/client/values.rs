//! What goes into a client and what comes out, besides messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use potluck_base::{PeerAddr, PeerId, ShareKey, Time};
use potluck_identity::{Membership, NetworkRecord, Revocations, SecretKey, Signed};

use crate::directory::record::ShareHead;
use crate::directory::tracker::message::{Denial, Reply, Request};

/// How a tracker's key becomes the name that links have here; none if it cannot be reached at all.
pub type PeerOf<P> = Box<dyn Fn(&PeerId) -> Option<P> + Send>;

/// What a client starts with.
pub struct Setup<P> {
    /// This peer's key: it signs presences and withdrawals.
    pub key: SecretKey,
    /// The network's record; it was verified.
    pub record: Signed<NetworkRecord>,
    /// Who is known to be revoked.
    pub revocations: Revocations,
    /// Why this peer may take part. If the network asks for an admission that it lacks, the client
    /// gets it first.
    pub membership: Membership,
    /// With it the network is created on the tracker if that does not know it.
    pub token: Option<[u8; 16]>,
    /// Under which name.
    pub nick: Nick,
    /// What others are told.
    pub about: About,
    /// Everything that is published. What the tracker has besides is withdrawn.
    pub shares: Vec<Published>,
    /// Withdrawals that no tracker has acknowledged, with their sequence numbers.
    pub withdrawn: Vec<(ShareKey, u64)>,
    /// Unix time of [`Time::ZERO`] by this peer's own clock, in milliseconds.
    pub epoch_ms: u64,
    /// Decides the order of the trackers and the pauses between dials.
    pub seed: u64,
    /// How a tracker's key becomes a peer.
    pub peer_of: PeerOf<P>,
}

/// A wish for a name in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nick {
    /// The one that it had, or a numbered one.
    Any,
    /// This, or one like it if it is taken.
    Suggested(String),
    /// This. If it is taken, the person is told, and `Any` takes its place.
    Chosen(String),
}

/// What others are told about this peer besides its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// The relay that it can be reached through.
    pub relay: Option<String>,
    /// Program and version.
    pub agent: String,
    /// Where it answers P2P-CI requests.
    pub p2p_ci: Option<SocketAddr>,
}

/// A share as it is published now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The share, signed. Its sequence number is higher than that of any earlier version.
    pub head: Signed<ShareHead>,
    /// All its pages, those without entries as well.
    pub pages: BTreeMap<u16, PageRoot>,
}

/// One page of a share, as far as a client needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRoot {
    /// When it was signed, as a sequence number.
    pub sequence: u64,
    /// What its entries hash to.
    pub root: [u8; 32],
}

/// What our own side wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Others are to be told this.
    About(About),
    /// A share is published, or has changed.
    Publish(Published),
    /// A share is no longer published. The sequence number is higher than any that it had.
    Withdraw {
        /// Which.
        share: ShareKey,
        /// When.
        sequence: u64,
    },
    /// Ask the tracker; exactly one [`Event::Answered`] with this number follows.
    Ask {
        /// Chosen by the asker.
        id: u64,
        /// What.
        request: Request,
    },
    /// Take another name.
    Rename(Nick),
    /// The network of this machine has changed, or it woke up: dial now.
    Hurry,
    /// Go; nothing is said or done after that.
    Leave {
        /// Whether it is for good: the tracker forgets this peer's name and all that it lists.
        forget: bool,
    },
}

/// What the client tells its own side.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<P> {
    /// A tracker has registered this peer.
    Connected {
        /// Which tracker.
        peer: P,
        /// Under which name.
        nick: String,
        /// When it was last seen there, unix milliseconds, if it is not new.
        returning: Option<u64>,
    },
    /// There is no session with any tracker.
    Away {
        /// Why.
        why: Why,
        /// When the next attempt begins.
        retry_at: Time,
    },
    /// The membership is complete now; it is to be kept.
    Admitted(Membership),
    /// The tracker does not let this peer in; it is asked again, but not often.
    Denied(Denial),
    /// This peer was a member and no longer is.
    Expelled,
    /// The chosen name belongs to somebody else.
    NickTaken {
        /// The chosen one.
        wanted: String,
        /// One that is free.
        free: String,
    },
    /// A newer list of revoked peers, verified.
    Revoked(Revocations),
    /// A newer record of the network, verified.
    Record(Signed<NetworkRecord>),
    /// The tracker does not take a share, or a page of it, until it is published anew.
    Refused {
        /// Which.
        share: ShareKey,
        /// Why.
        denial: Denial,
    },
    /// The tracker has a share with a higher sequence number than ours: it must be signed again,
    /// with one above that.
    Behind {
        /// Which.
        share: ShareKey,
        /// What the tracker has.
        have: u64,
    },
    /// A withdrawal was acknowledged: it need not be remembered any more.
    Withdrawn(ShareKey),
    /// The tracker has all that is published, but for what was [refused](Event::Refused), and
    /// nothing else of this peer.
    InStep,
    /// The answer to [`Command::Ask`].
    Answered {
        /// Which.
        id: u64,
        /// What.
        result: Result<Reply, Unanswered>,
    },
    /// A tracker said something that it cannot prove; that part was dropped.
    Liar {
        /// Which tracker.
        peer: P,
        /// What was wrong, for the log.
        what: &'static str,
    },
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No tracker could be reached; this is what the last dial said.
    Unreachable(String),
    /// The link broke.
    Broken,
    /// The tracker did not answer in time.
    Silent,
    /// The tracker said that it is about to stop.
    Closing,
    /// The tracker did not let us in.
    Denied,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unanswered {
    /// There is no tracker.
    #[error("no tracker of the network can be reached")]
    Away,
    /// The tracker takes too long.
    #[error("the tracker does not answer")]
    Silent,
    /// Too many questions wait already.
    #[error("too many questions wait for the tracker")]
    Busy,
    /// The tracker refuses.
    #[error("{0}")]
    Denied(Denial),
    /// The answer is not one to this question.
    #[error("the tracker's answer makes no sense")]
    Nonsense,
}

/// Work done beside the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<P> {
    /// Reach a tracker. Ends in a link, or one [`Outcome::DialFailed`].
    Dial {
        /// Which.
        peer: P,
        /// Where the network's record says it is.
        addr: PeerAddr,
    },
    /// Send a page of a share as [`Request::PutPage`] with this id; or, if it cannot be made any
    /// more, one [`Outcome::NoPage`].
    SendPage {
        /// To which tracker.
        to: P,
        /// The id of the request.
        id: u32,
        /// Of which share.
        share: ShareKey,
        /// Which page.
        page: u16,
    },
}

/// How such work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<P> {
    /// A tracker could not be reached.
    DialFailed {
        /// Which.
        peer: P,
        /// Why, for people.
        why: String,
    },
    /// A page could not be sent: it is no longer published as it was.
    NoPage {
        /// The id of the request.
        id: u32,
    },
}

/// What a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Dial, or try another tracker.
    Dial,
    /// Tell the tracker that we live.
    Renew,
    /// See whether the tracker still answers.
    Silence,
    /// Go on after the tracker asked for a pause, or renew what gets old.
    Work,
    /// Give up on questions.
    Asks,
}
