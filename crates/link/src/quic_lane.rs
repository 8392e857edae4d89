//! Lanes over QUIC: streams of the connection behind blocking calls.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{ReadError, RecvStream, SendStream, WriteError};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::lanes::Stop;

/// Time for the peer to take something before the lane counts as dead.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// Wakes whoever is blocked on a stream.
pub(crate) struct Stopper(CancellationToken);

impl Stop for Stopper {
    fn stop(&self) {
        self.0.cancel();
    }
}

/// The sending end of a lane over QUIC.
pub(crate) struct QuicLaneTx {
    stream: SendStream,
    runtime: Handle,
    stopper: Arc<Stopper>,
}

impl QuicLaneTx {
    pub(crate) fn new(stream: SendStream, runtime: Handle) -> Self {
        Self { stream, runtime, stopper: Arc::new(Stopper(CancellationToken::new())) }
    }

    pub(crate) fn stopper(&self) -> &Arc<Stopper> {
        &self.stopper
    }

    pub(crate) fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let Self { stream, runtime, stopper } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = stopper.0.cancelled() => Err(io::ErrorKind::BrokenPipe.into()),
                sent = send(stream, parts) => sent,
            }
        })
    }
}

async fn send(stream: &mut SendStream, parts: &[&[u8]]) -> io::Result<()> {
    for mut rest in parts.iter().copied() {
        while !rest.is_empty() {
            let written = timeout(SEND_PATIENCE, stream.write(rest)).await;
            let count = written
                .map_err(|_| io::ErrorKind::TimedOut)?
                .map_err(|error: WriteError| io::Error::new(io::ErrorKind::BrokenPipe, error))?;
            rest = &rest[count..];
        }
    }
    Ok(())
}

/// The receiving end of a lane over QUIC.
pub(crate) struct QuicLaneRx {
    stream: RecvStream,
    runtime: Handle,
    stopper: Arc<Stopper>,
}

impl QuicLaneRx {
    pub(crate) fn new(stream: RecvStream, runtime: Handle) -> Self {
        Self { stream, runtime, stopper: Arc::new(Stopper(CancellationToken::new())) }
    }

    pub(crate) fn stopper(&self) -> &Arc<Stopper> {
        &self.stopper
    }

    pub(crate) fn recv_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let Self { stream, runtime, stopper } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = stopper.0.cancelled() => Err(io::ErrorKind::UnexpectedEof.into()),
                received = recv(stream, buf) => received,
            }
        })
    }
}

async fn recv(stream: &mut RecvStream, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        let read = stream.read(buf).await;
        let ended = |error: ReadError| io::Error::new(io::ErrorKind::UnexpectedEof, error);
        match read.map_err(ended)? {
            Some(count) => buf = &mut buf[count..],
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(())
}
