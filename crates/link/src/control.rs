//! The control stream of a link: small frames in order, both ways, until either side says stop.
//!
//! ```text
//! frame     length (4, little endian, ≤ limits::FRAME_BYTES) | bytes
//! farewell  0x8000_0000 + length (4)                         | reason (UTF-8, ≤ 200 bytes)
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iroh::endpoint::{RecvStream, SendStream};
use potluck_base::limits;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::link::{Carrier, Ending, Shared};
use crate::tls::{TlsRx, TlsTx};

/// Frames that are received before somebody asks for them.
pub(crate) const INBOX_FRAMES: usize = 16;
/// Frames that are written together at most.
const BATCH_FRAMES: usize = 64;
/// Bytes that are gathered before they are written.
const BATCH_BYTES: usize = 64 * 1024;
/// Time for what is queued to go out after the link was closed.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of the reason in a farewell.
const REASON_BYTES: usize = 200;
/// The bit of the length that marks a farewell.
const FAREWELL_BIT: u32 = 1 << 31;

/// The sending half of whatever carries the frames.
pub(crate) enum ControlTx {
    Tls(TlsTx),
    Quic(SendStream),
}

/// The receiving half of whatever carries the frames.
pub(crate) enum ControlRx {
    Tls(TlsRx),
    Quic(RecvStream),
}

/// The ends of the queues between a [`Shared`] and its control stream.
pub(crate) struct Queues {
    pub(crate) outbox: mpsc::Receiver<Bytes>,
    pub(crate) inbox: mpsc::Sender<Bytes>,
}

/// Carries frames until the link ends, then says farewell.
pub(crate) async fn run(link: Arc<Shared>, mut tx: ControlTx, mut rx: ControlRx, queues: Queues) {
    let Queues { mut outbox, inbox } = queues;
    {
        let write = write_frames(&link, &mut tx, &mut outbox);
        let read = read_frames(&link, &mut rx, &inbox);
        let late = async {
            link.closing.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            _ = async { tokio::join!(write, read) } => {}
            () = late => {}
        }
    }
    // A connection that is closed with bytes unread is reset, and the farewell may get lost.
    let _ = timeout(FAREWELL, rx.drain()).await;
    if let (Carrier::Quic(carrier), Some(ending)) = (&link.carrier, link.ending()) {
        carrier.hang_up(ending.reason());
    }
}

async fn write_frames(link: &Shared, tx: &mut ControlTx, outbox: &mut mpsc::Receiver<Bytes>) {
    let mut batch = Vec::with_capacity(BATCH_FRAMES);
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = outbox.recv_many(&mut batch, BATCH_FRAMES) => if count == 0 {
                break;
            },
            // From here on nothing more gets in, and what is in goes out.
            () = link.closing.cancelled(), if !outbox.is_closed() => outbox.close(),
        }
        if let Err(error) = write_batch(tx, &mut batch, &mut bytes).await {
            link.end(Ending::Broken(say(&error)));
            return;
        }
    }
    if let Some(Ending::Ours(reason)) = link.ending() {
        let reason = cut(reason);
        bytes.clear();
        bytes.extend((FAREWELL_BIT | reason.len() as u32).to_le_bytes());
        bytes.extend_from_slice(reason.as_bytes());
        let _ = tx.write_all(&bytes).await;
    }
    tx.finish().await;
}

/// Writes the frames, gathering small ones.
async fn write_batch(
    tx: &mut ControlTx,
    batch: &mut Vec<Bytes>,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    bytes.clear();
    for frame in batch.drain(..) {
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&frame);
        if bytes.len() >= BATCH_BYTES {
            tx.write_all(bytes).await?;
            bytes.clear();
        }
    }
    if !bytes.is_empty() {
        tx.write_all(bytes).await?;
    }
    // An idle link keeps little.
    if bytes.capacity() > 2 * BATCH_BYTES {
        *bytes = Vec::new();
    }
    Ok(())
}

async fn read_frames(link: &Shared, rx: &mut ControlRx, inbox: &mpsc::Sender<Bytes>) {
    loop {
        let frame = tokio::select! {
            biased;
            () = link.closing.cancelled() => return,
            frame = read_frame(rx) => frame,
        };
        let ending = match frame {
            Ok(Received::Frame(frame)) => {
                tokio::select! {
                    biased;
                    () = link.closing.cancelled() => return,
                    sent = inbox.send(frame) => if sent.is_err() {
                        return;
                    },
                }
                continue;
            }
            Ok(Received::Farewell(reason)) => Ending::Theirs(reason),
            Ok(Received::End) => Ending::Theirs("hung up".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Ending::Misbehaved(say(&error))
            }
            Err(error) => Ending::Broken(say(&error)),
        };
        link.end(ending);
    }
}

enum Received {
    Frame(Bytes),
    Farewell(String),
    End,
}

async fn read_frame(rx: &mut ControlRx) -> io::Result<Received> {
    let mut word = [0; 4];
    let first = rx.read(&mut word).await?;
    if first == 0 {
        return Ok(Received::End);
    }
    rx.read_exact(&mut word[first..]).await?;
    let word = u32::from_le_bytes(word);
    let length = (word & !FAREWELL_BIT) as usize;
    let farewell = word & FAREWELL_BIT != 0;
    if length > if farewell { REASON_BYTES } else { limits::FRAME_BYTES } {
        let text = format!("a frame of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = BytesMut::zeroed(length);
    rx.read_exact(&mut bytes).await?;
    Ok(if farewell {
        Received::Farewell(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        Received::Frame(bytes.freeze())
    })
}

impl ControlTx {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            ControlTx::Tls(tx) => tx.write_all(bytes, limits::LINK_IDLE_TIME).await,
            ControlTx::Quic(tx) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let written = timeout(limits::LINK_IDLE_TIME, tx.write(rest)).await;
                    let count = written.map_err(|_| io::ErrorKind::TimedOut)??;
                    rest = &rest[count..];
                }
                Ok(())
            }
        }
    }

    async fn finish(&mut self) {
        match self {
            ControlTx::Tls(tx) => {
                let _ = tx.finish().await;
            }
            ControlTx::Quic(tx) => {
                let _ = tx.finish();
                // Until the peer has it all.
                let _ = tx.stopped().await;
            }
        }
    }
}

impl ControlRx {
    /// Reads some bytes; none at the end in order.
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            ControlRx::Tls(rx) => rx.read(buf).await,
            ControlRx::Quic(rx) => Ok(rx.read(buf).await?.unwrap_or(0)),
        }
    }

    async fn read_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => {
                    let text = "the end in the middle of a frame";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                count => buf = &mut buf[count..],
            }
        }
        Ok(())
    }

    async fn drain(&mut self) {
        match self {
            ControlRx::Tls(rx) => rx.drain().await,
            ControlRx::Quic(rx) => {
                let mut waste = [0; 4096];
                while matches!(rx.read(&mut waste).await, Ok(Some(_))) {}
            }
        }
    }
}

/// The reason, no longer than a farewell may be.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES)]
}

fn say(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "the peer takes nothing any more".to_owned(),
        _ => error.to_string(),
    }
}
