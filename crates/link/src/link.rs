//! A link: frames to and from one peer in order, and lanes for bulk bytes beside them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{PathKind, PeerId, escape, limits};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::LinkError;
use crate::error::OURS;
use crate::hub::RoundTrip;
use crate::lane::{self, LaneRx, LaneTx};
use crate::lanes::Lanes;
use crate::quic::QuicCarrier;
use crate::tls_dial::LaneDialler;

/// An authenticated, encrypted connection to a peer, whatever carries it.
///
/// Clones are the same link. It closes when the last clone is dropped.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    _alive: Arc<CloseOnDrop>,
}

/// What carries a link, and to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// What carries the bytes.
    pub kind: PathKind,
    /// The peer's address, as text.
    pub remote: String,
    /// The time of a round trip: for QUIC the current one, for TCP that of the link's set-up.
    pub rtt: Option<Duration>,
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let _alive = Arc::new(CloseOnDrop(shared.clone()));
        Self { shared, _alive }
    }

    pub(crate) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// When its QUIC connection has ended; `None` over anything else.
    pub(crate) fn hung_up(&self) -> Option<impl Future<Output = ()> + use<>> {
        match &self.shared.carrier {
            Carrier::Quic(carrier) => Some(carrier.closed()),
            _ => None,
        }
    }

    /// The peer's key; it has proven that it holds the secret half.
    pub fn peer(&self) -> PeerId {
        self.shared.peer
    }

    /// Whether we opened the link, rather than the peer.
    pub fn dialled(&self) -> bool {
        self.shared.dialled
    }

    /// What carries the link now. QUIC may change its path at any time.
    pub fn path(&self) -> PathInfo {
        self.shared.carrier.path()
    }

    /// Queues a frame; waits while the queue is full. A peer that does not read is hung up on.
    pub async fn send(&self, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > limits::FRAME_BYTES {
            return Err(LinkError::FrameTooLarge(frame.len()));
        }
        if self.shared.closing.is_cancelled() {
            return Err(self.shared.error());
        }
        tokio::select! {
            sent = self.shared.outbox.send(frame) => sent.map_err(|_| self.shared.error()),
            () = self.shared.closing.cancelled() => Err(self.shared.error()),
        }
    }

    /// Queues a frame if there is room at once.
    pub fn try_send(&self, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > limits::FRAME_BYTES {
            return Err(LinkError::FrameTooLarge(frame.len()));
        }
        if self.shared.closing.is_cancelled() {
            return Err(self.shared.error());
        }
        self.shared.outbox.try_send(frame).map_err(|_| LinkError::Busy)
    }

    /// The next frame; `None` once either side closed the link in order.
    ///
    /// One task reads. Dropping the future loses nothing.
    pub async fn recv(&self) -> Result<Option<Bytes>, LinkError> {
        let mut inbox = self.shared.inbox.lock().await;
        tokio::select! {
            biased;
            frame = inbox.recv() => if let Some(frame) = frame {
                return Ok(Some(frame));
            },
            () = self.shared.closing.cancelled() => if let Ok(frame) = inbox.try_recv() {
                return Ok(Some(frame));
            },
        }
        self.shared.closing.cancelled().await;
        match self.shared.error() {
            LinkError::Closed => Ok(None),
            error => Err(error),
        }
    }

    /// Closes the link: frames that are queued still go out, lanes stop at once.
    ///
    /// The peer is told the reason; only the first one counts.
    pub fn close(&self, reason: &str) {
        self.shared.end(Ending::Ours(reason.to_owned()));
    }

    /// Waits until the link is closed or broken.
    pub async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    /// Why the link ended, safe to show; `None` while it lives.
    pub fn why_closed(&self) -> Option<String> {
        self.shared.ending.get().map(Ending::to_string)
    }

    /// A lane on which we push. Over TCP only the dialler can open one: the acceptor waits for it.
    pub async fn outgoing_lane(&self) -> Result<LaneTx, LinkError> {
        let shared = &self.shared;
        let opened = async {
            match &shared.carrier {
                Carrier::Tcp { dialler: Some(dialler), .. } => dialler.outgoing(shared).await,
                Carrier::Tcp { dialler: None, .. } => Ok(shared.lanes.next_outgoing().await),
                Carrier::Quic(carrier) => carrier.outgoing(shared).await,
                Carrier::Memory { other } => lane::in_memory(shared, other).await,
            }
        };
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => Err(shared.error()),
            lane = opened => lane,
        }
    }

    /// The next lane on which the peer pushes to us; `None` once the link is closed.
    pub async fn incoming_lane(&self) -> Option<LaneRx> {
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => None,
            lane = self.shared.lanes.next_incoming() => Some(lane),
        }
    }

    /// Sees to it that the peer can push to us on `n` lanes.
    ///
    /// Only the dialler of a TCP link has anything to do: it opens as many as are missing. They
    /// come out of [`Link::incoming_lane`], as all do.
    pub fn want_lanes(&self, n: usize) {
        if let Carrier::Tcp { dialler: Some(dialler), .. } = &self.shared.carrier {
            dialler.want(&self.shared, n.min(limits::LANES_PER_LINK));
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { peer, dialled, ending, .. } = &*self.shared;
        f.debug_struct("Link")
            .field("peer", peer)
            .field("dialled", dialled)
            .field("ending", ending)
            .finish_non_exhaustive()
    }
}

/// What the clones of a link, its task and its lanes share.
pub(crate) struct Shared {
    pub(crate) peer: PeerId,
    pub(crate) dialled: bool,
    pub(crate) carrier: Carrier,
    pub(crate) lanes: Lanes,
    /// Cancelled as soon as the link ends, for whatever reason.
    pub(crate) closing: CancellationToken,
    outbox: mpsc::Sender<Bytes>,
    inbox: Mutex<mpsc::Receiver<Bytes>>,
    ending: OnceLock<Ending>,
}

impl Shared {
    pub(crate) fn new(
        peer: PeerId,
        dialled: bool,
        carrier: Carrier,
        outbox: mpsc::Sender<Bytes>,
        inbox: mpsc::Receiver<Bytes>,
    ) -> Self {
        Self {
            peer,
            dialled,
            carrier,
            lanes: Lanes::new(),
            closing: CancellationToken::new(),
            outbox,
            inbox: Mutex::new(inbox),
            ending: OnceLock::new(),
        }
    }

    /// Ends the link; only the first ending counts.
    pub(crate) fn end(&self, ending: Ending) {
        if self.ending.set(ending).is_ok() {
            self.closing.cancel();
            self.lanes.shut();
            if let Carrier::Memory { other } = &self.carrier
                && let (Some(other), Some(ending)) = (other.upgrade(), self.ending.get())
            {
                other.end(Ending::Theirs(ending.reason().to_owned()));
            }
        }
    }

    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// What someone is told who wants something of a link that ended.
    pub(crate) fn error(&self) -> LinkError {
        match self.ending.get() {
            None | Some(Ending::Ours(_) | Ending::Theirs(_)) => LinkError::Closed,
            Some(Ending::Broken(why)) => LinkError::Broken(why.clone()),
            Some(Ending::Misbehaved(why)) => LinkError::Misbehaved(why.clone()),
        }
    }
}

/// What carries a link.
pub(crate) enum Carrier {
    Tcp { remote: SocketAddr, rtt: RoundTrip, dialler: Option<LaneDialler> },
    Quic(QuicCarrier),
    Memory { other: Weak<Shared> },
}

impl Carrier {
    fn path(&self) -> PathInfo {
        match self {
            Carrier::Tcp { remote, rtt, .. } => PathInfo {
                kind: PathKind::DirectTcp,
                remote: remote.to_string(),
                rtt: rtt.get().copied(),
            },
            Carrier::Quic(carrier) => carrier.path(),
            Carrier::Memory { .. } => {
                PathInfo { kind: PathKind::Memory, remote: "memory".to_owned(), rtt: None }
            }
        }
    }
}

/// How a link ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// We closed it.
    Ours(String),
    /// The peer closed it in order.
    Theirs(String),
    /// The connection broke.
    Broken(String),
    /// The peer broke the protocol.
    Misbehaved(String),
}

impl Ending {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Ending::Ours(text) | Ending::Theirs(text) => text,
            Ending::Broken(text) | Ending::Misbehaved(text) => text,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = escape(self.reason(), 200);
        match self {
            Ending::Ours(_) => write!(f, "closed: {reason}"),
            Ending::Theirs(_) => write!(f, "closed by the peer: {reason}"),
            Ending::Broken(_) => write!(f, "broken: {reason}"),
            Ending::Misbehaved(_) => write!(f, "the peer broke {OURS}: {reason}"),
        }
    }
}

/// Closes the link when the last clone of it is gone; its task holds only [`Shared`].
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.end(Ending::Ours("no longer used".to_owned()));
    }
}
