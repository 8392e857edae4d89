//! Lanes: blocking streams of bulk bytes in one direction, each used on a thread of its own.

use std::io;
use std::sync::{Arc, Weak};

use crate::LinkError;
use crate::lanes::{Slot, Stop};
use crate::link::Shared;
use crate::mem::Pipe;
use crate::quic_lane::{QuicLaneRx, QuicLaneTx};
use crate::tls::{TlsLaneRx, TlsLaneTx};

/// The sending end of a lane. Its calls block; dropping it ends the lane in order.
pub struct LaneTx {
    inner: Tx,
    _slot: Slot,
}

impl LaneTx {
    pub(crate) fn new(inner: Tx, slot: Slot) -> Self {
        Self { inner, _slot: slot }
    }

    /// Sends the parts one after the other; blocks until the system has taken them.
    ///
    /// The first part is a header: it travels in a record of its own, so that what follows is cut
    /// into full records and the peer can decrypt straight into its buffer. The call fails with
    /// [`io::ErrorKind::TimedOut`] if the peer takes nothing for half a minute. After an error the
    /// lane is dead. Not to be called from an async task.
    pub fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        match &mut self.inner {
            Tx::Tls(lane) => lane.send(parts),
            Tx::Quic(lane) => lane.send(parts),
            Tx::Memory(pipe) => parts.iter().try_for_each(|part| pipe.write_all(part)),
        }
    }
}

impl Drop for LaneTx {
    fn drop(&mut self) {
        if let Tx::Memory(pipe) = &self.inner {
            pipe.finish();
        }
    }
}

/// The receiving end of a lane. Its calls block; they return promptly when
/// [`Link::close`](crate::Link::close) is called.
pub struct LaneRx {
    inner: Rx,
    _slot: Slot,
}

impl LaneRx {
    pub(crate) fn new(inner: Rx, slot: Slot) -> Self {
        Self { inner, _slot: slot }
    }

    /// Fills the buffer. A lane that ends, in order or not, yields
    /// [`io::ErrorKind::UnexpectedEof`].
    ///
    /// Not to be called from an async task.
    pub fn recv_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        match &mut self.inner {
            Rx::Tls(lane) => lane.recv_exact(buf),
            Rx::Quic(lane) => lane.recv_exact(buf),
            Rx::Memory(pipe) => pipe.read_exact(buf),
        }
    }
}

impl Drop for LaneRx {
    fn drop(&mut self) {
        if let Rx::Memory(pipe) = &self.inner {
            pipe.stop();
        }
    }
}

pub(crate) enum Tx {
    Tls(TlsLaneTx),
    Quic(QuicLaneTx),
    Memory(Arc<Pipe>),
}

pub(crate) enum Rx {
    Tls(TlsLaneRx),
    Quic(QuicLaneRx),
    Memory(Arc<Pipe>),
}

/// Opens a lane of a link in memory.
pub(crate) async fn in_memory(ours: &Shared, other: &Weak<Shared>) -> Result<LaneTx, LinkError> {
    let slot = ours.lanes.wait_slot_to_peer().await;
    let other = other.upgrade().ok_or(LinkError::Closed)?;
    let peer_slot = other.lanes.wait_slot_from_peer().await;
    let pipe = Arc::new(Pipe::new());
    if !ours.lanes.remember(&pipe) || !other.lanes.remember(&pipe) {
        return Err(LinkError::Closed);
    }
    other.lanes.offer_incoming(LaneRx::new(Rx::Memory(pipe.clone()), peer_slot));
    Ok(LaneTx::new(Tx::Memory(pipe), slot))
}
