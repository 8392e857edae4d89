//! Dialling over TCP: the control connection of a link, and the lanes that follow it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use potluck_base::{PeerId, limits};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::LinkError;
use crate::error::DialFault;
use crate::lane::{LaneRx, LaneTx, Rx, Tx};
use crate::lanes::Slot;
use crate::link::Shared;
use crate::preface::{self, LinkId, Preface, Purpose};
use crate::tls::{Handshake, TlsError, TlsKeys, TlsLaneRx, TlsLaneTx, TlsStream};

/// A connection to the right peer, which took it.
pub(crate) struct Taken {
    pub(crate) stream: TlsStream,
    pub(crate) remote: SocketAddr,
    /// How long the peer took to answer.
    pub(crate) rtt: Duration,
}

/// Connects, shakes hands, says what for, and waits for the answer.
///
/// `connected` is set as soon as somebody answers at all.
pub(crate) async fn dial(
    tls: Arc<TlsKeys>,
    peer: PeerId,
    remote: SocketAddr,
    preface: Preface,
    connected: Arc<AtomicBool>,
) -> Result<Taken, DialFault> {
    let socket = TcpStream::connect(remote).await.map_err(|error| fault_of(&error))?;
    connected.store(true, Ordering::Relaxed);
    socket.set_nodelay(true).map_err(|error| fault_of(&error))?;
    let introduce = async {
        let handshake = Handshake::dial(&tls, peer);
        let mut stream = TlsStream::shake(socket, handshake).await.map_err(explain)?;
        let asked = Instant::now();
        let answer = preface::ask(&mut stream, preface).await;
        answer.map_err(|error| explain_first_read(&error))??;
        Ok(Taken { stream, remote, rtt: asked.elapsed() })
    };
    timeout(limits::HELLO_TIME, introduce).await.unwrap_or(Err(DialFault::TimedOut))
}

/// Opens the lanes of a TCP link that we dialled.
pub(crate) struct LaneDialler {
    pub(crate) tls: Arc<TlsKeys>,
    pub(crate) remote: SocketAddr,
    pub(crate) link: LinkId,
    pub(crate) tasks: TaskTracker,
}

impl LaneDialler {
    /// Opens a lane towards the peer.
    pub(crate) async fn outgoing(&self, link: &Arc<Shared>) -> Result<LaneTx, LinkError> {
        let slot = link.lanes.wait_slot_to_peer().await;
        let taken =
            self.open(link.peer, Purpose::LaneToAcceptor).await.map_err(|fault| match fault {
                DialFault::Busy => LinkError::Busy,
                fault => LinkError::Broken(format!("no lane: {fault}")),
            })?;
        let lane =
            TlsLaneTx::new(taken.stream).map_err(|error| LinkError::Broken(error.to_string()))?;
        if !link.lanes.remember(lane.socket()) {
            return Err(link.error());
        }
        Ok(LaneTx::new(Tx::Tls(lane), slot))
    }

    /// Opens as many lanes towards us as are missing to `n`.
    pub(crate) fn want(&self, link: &Arc<Shared>, n: usize) {
        while link.lanes.count_from_peer() < n {
            let Some(slot) = link.lanes.slot_from_peer() else {
                return;
            };
            let (opener, link) = (self.clone(), link.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = link.closing.cancelled() => {}
                    () = opener.incoming(&link, slot) => {}
                }
            });
        }
    }

    async fn incoming(&self, link: &Arc<Shared>, slot: Slot) {
        let taken = match self.open(link.peer, Purpose::LaneToDialler).await {
            Ok(taken) => taken,
            Err(fault) => {
                debug!(peer = %link.peer.short(), %fault, "no lane from the peer");
                return;
            }
        };
        if let Ok(lane) = TlsLaneRx::new(taken.stream)
            && link.lanes.remember(lane.socket())
        {
            link.lanes.offer_incoming(LaneRx::new(Rx::Tls(lane), slot));
        }
    }

    async fn open(&self, peer: PeerId, purpose: Purpose) -> Result<Taken, DialFault> {
        let preface = Preface { purpose, link: self.link };
        let dialled = dial(self.tls.clone(), peer, self.remote, preface, Arc::default());
        timeout(limits::DIAL_TIME, dialled).await.unwrap_or(Err(DialFault::TimedOut))
    }
}

impl Clone for LaneDialler {
    fn clone(&self) -> Self {
        let Self { tls, remote, link, tasks } = self;
        Self { tls: tls.clone(), remote: *remote, link: *link, tasks: tasks.clone() }
    }
}

fn fault_of(error: &io::Error) -> DialFault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialFault::Refused,
        io::ErrorKind::TimedOut => DialFault::TimedOut,
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => DialFault::HungUp,
        _ => DialFault::Other(error.to_string()),
    }
}

fn explain(error: TlsError) -> DialFault {
    match error {
        TlsError::WrongKey(found) => DialFault::WrongKey(found),
        TlsError::Version => DialFault::Version,
        TlsError::CutOff => DialFault::HungUp,
        TlsError::Broken(text) => DialFault::Other(text),
    }
}

/// In TLS 1.3 a refusal of our key or protocol arrives only here, as an alert in place of data.
fn explain_first_read(error: &io::Error) -> DialFault {
    match error.kind() {
        io::ErrorKind::InvalidData => DialFault::Other(error.to_string()),
        _ => fault_of(error),
    }
}
