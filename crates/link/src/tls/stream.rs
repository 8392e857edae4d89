//! TLS over tokio's TCP: whole while it is set up, then two halves for control, or a blocking lane.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::PeerId;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::handshake::{Handshake, Session, TlsError};
use super::record::{
    DATA_START, OVERHEAD, Opened, Opener, RECORD_BYTES, RECORD_DATA, RecordBuffer, Sealer,
    plain_room,
};

/// Bytes that a control stream seals before it writes.
const CONTROL_WRITE: usize = 64 * 1024;

/// A TLS connection whose peer has proven its key.
pub(crate) struct TlsStream {
    socket: TcpStream,
    peer: PeerId,
    sealer: Sealer,
    decoder: Decoder,
}

impl TlsStream {
    /// Shakes hands. Its time is bounded by the caller, its bytes here.
    pub(crate) async fn shake(
        mut socket: TcpStream,
        mut handshake: Handshake,
    ) -> Result<Self, TlsError> {
        let cut_off = |_: io::Error| TlsError::CutOff;
        let (mut outgoing, mut incoming) = (Vec::new(), [0; 4096]);
        loop {
            let done = handshake.advance(&mut outgoing);
            if !outgoing.is_empty() {
                let written = socket.write_all(&outgoing).await;
                // If there was an error, that is the one to tell.
                if done.is_ok() {
                    written.map_err(cut_off)?;
                }
                outgoing.clear();
            }
            if done? {
                break;
            }
            match socket.read(&mut incoming).await.map_err(cut_off)? {
                0 => return Err(TlsError::CutOff),
                count => handshake.receive(&incoming[..count])?,
            }
        }
        let Session { peer, sealer, opener, incoming } = handshake.finish()?;
        Ok(Self { socket, peer, sealer, decoder: Decoder::new(opener, incoming) })
    }

    pub(crate) fn peer(&self) -> PeerId {
        self.peer
    }

    /// The bare socket, on which anything can be said.
    #[cfg(test)]
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// The two halves of a control stream.
    pub(crate) fn split(self) -> (TlsTx, TlsRx) {
        let (read, write) = self.socket.into_split();
        let tx = TlsTx { socket: write, sealer: self.sealer, out: Vec::new() };
        (tx, TlsRx { socket: read, decoder: self.decoder })
    }

    /// The parts of a blocking lane.
    pub(super) fn into_blocking(self) -> io::Result<(Arc<std::net::TcpStream>, Sealer, Decoder)> {
        let socket = self.socket.into_std()?;
        socket.set_nonblocking(false)?;
        Ok((Arc::new(socket), self.sealer, self.decoder))
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        write_sealed(&mut self.socket, &mut self.sealer, &mut out, bytes, Duration::MAX).await
    }

    pub(crate) async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.decoder.take(&mut buf[filled..])? {
                Taken::Bytes(count) => filled += count,
                Taken::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Taken::Dry => match self.socket.read(self.decoder.room()).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => self.decoder.received(count),
                },
            }
        }
        Ok(())
    }
}

/// The sending half of a control stream.
pub(crate) struct TlsTx {
    socket: OwnedWriteHalf,
    sealer: Sealer,
    out: Vec<u8>,
}

impl TlsTx {
    /// Writes all; fails if the peer takes nothing for as long as `patience`.
    pub(crate) async fn write_all(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        write_sealed(&mut self.socket, &mut self.sealer, &mut self.out, bytes, patience).await
    }

    /// Says that nothing follows.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.out.clear();
        self.sealer.close_notify(&mut self.out);
        self.socket.write_all(&self.out).await?;
        self.socket.shutdown().await
    }
}

/// The receiving half of a control stream.
pub(crate) struct TlsRx {
    socket: OwnedReadHalf,
    decoder: Decoder,
}

impl TlsRx {
    /// Reads some bytes; none at the end in order. The future may be dropped.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.decoder.take(buf)? {
                Taken::Bytes(count) => return Ok(count),
                Taken::End => return Ok(0),
                Taken::Dry => match self.socket.read(self.decoder.room()).await? {
                    0 => return Err(cut_off()),
                    count => self.decoder.received(count),
                },
            }
        }
    }

    /// Reads and forgets until the peer is done.
    pub(crate) async fn drain(&mut self) {
        let mut waste = vec![0; RECORD_BYTES];
        while matches!(self.socket.read(&mut waste).await, Ok(1..)) {}
    }
}

/// Turns received bytes into data.
pub(crate) struct Decoder {
    opener: Opener,
    records: RecordBuffer,
    /// Data of a record that was opened in its place and not yet taken.
    pending: std::ops::Range<usize>,
    ended: bool,
}

/// What a [`Decoder`] had.
pub(crate) enum Taken {
    /// So many bytes; at least one, unless there was no room for any.
    Bytes(usize),
    /// Nothing until more is received.
    Dry,
    /// Nothing any more: the peer is done.
    End,
}

impl Decoder {
    fn new(opener: Opener, records: RecordBuffer) -> Self {
        Self { opener, records, pending: 0..0, ended: false }
    }

    pub(crate) fn widen(&mut self, capacity: usize) {
        self.records.widen(capacity);
    }

    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.records.room()
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.records.received(count);
    }

    /// Fills the buffer with what there is.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> io::Result<Taken> {
        let mut filled = 0;
        while filled < buf.len() {
            if !self.pending.is_empty() {
                let count = self.pending.len().min(buf.len() - filled);
                let range = self.pending.start..self.pending.start + count;
                buf[filled..filled + count].copy_from_slice(self.records.bytes(range));
                self.pending.start += count;
                filled += count;
            } else if self.ended {
                break;
            } else if let Some(range) = self.records.next_record().map_err(invalid)? {
                filled += self.open(range, &mut buf[filled..]).map_err(invalid)?;
            } else {
                break;
            }
        }
        Ok(match filled {
            0 if self.ended => Taken::End,
            0 if !buf.is_empty() => Taken::Dry,
            count => Taken::Bytes(count),
        })
    }

    /// Opens a record straight into the buffer if it fits, else in its place, as pending.
    fn open(&mut self, range: std::ops::Range<usize>, buf: &mut [u8]) -> Result<usize, TlsError> {
        let start = range.start + DATA_START;
        let record = self.records.bytes(range);
        let direct = plain_room(record) <= buf.len();
        let opened = if direct {
            self.opener.open_into(record, buf)?
        } else {
            self.opener.open_in_place(record)?
        };
        match opened {
            Opened::Data(count) if direct => return Ok(count),
            Opened::Data(count) => self.pending = start..start + count,
            Opened::Closed => self.ended = true,
        }
        Ok(0)
    }
}

/// The error of a stream that ends without the peer having said so.
pub(super) fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was cut off")
}

fn invalid(error: TlsError) -> io::Error {
    let text = match error {
        TlsError::Broken(text) => text,
        other => format!("{other:?}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

async fn write_sealed(
    socket: &mut (impl AsyncWrite + Unpin),
    sealer: &mut Sealer,
    out: &mut Vec<u8>,
    bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    for batch in bytes.chunks(CONTROL_WRITE) {
        out.clear();
        out.reserve(batch.len() + batch.len().div_ceil(RECORD_DATA) * OVERHEAD);
        for data in batch.chunks(RECORD_DATA) {
            let begun = sealer.begin(out).map_err(invalid)?;
            out.extend_from_slice(data);
            sealer.end(begun, out);
        }
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            match tokio::time::timeout(patience, socket.write(rest)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(count)) => rest = &rest[count..],
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
    // An idle link keeps little.
    if out.capacity() > 2 * RECORD_BYTES {
        *out = Vec::new();
    }
    Ok(())
}
