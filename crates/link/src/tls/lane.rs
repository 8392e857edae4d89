//! Lanes over TCP: blocking sockets, large reads and writes, one copy of each byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::record::{OVERHEAD, RECORD_DATA, Sealer};
use super::stream::{Decoder, Taken, TlsStream, cut_off};
use crate::lanes::Stop;

/// Records sealed before they are written: a block of `limits::BLOCK_BYTES` and its header.
const WRITE_RECORDS: usize = 17;
/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Time for the peer to take something before the lane counts as dead.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
/// Time that the farewell of a lane may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The sending end of a lane over TCP.
pub(crate) struct TlsLaneTx {
    socket: Arc<TcpStream>,
    sealer: Sealer,
    /// Sealed records; its memory is there from the first use on.
    out: Vec<u8>,
    dead: bool,
}

impl TlsLaneTx {
    pub(crate) fn new(stream: TlsStream) -> io::Result<Self> {
        Self::with_patience(stream, SEND_PATIENCE)
    }

    /// Gives up on a peer that takes nothing for that long.
    pub(crate) fn with_patience(stream: TlsStream, patience: Duration) -> io::Result<Self> {
        let (socket, sealer, _) = stream.into_blocking()?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Self { socket, sealer, out: Vec::new(), dead: false })
    }

    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    pub(crate) fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let sent = self.seal_and_write(parts);
        self.dead = sent.is_err();
        sent
    }

    fn seal_and_write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.out.clear();
        self.out.reserve(WRITE_RECORDS * (RECORD_DATA + OVERHEAD));
        let (header, data) = parts.split_at(parts.len().min(1));
        self.seal_stream(header)?;
        self.seal_stream(data)?;
        self.write_out()
    }

    /// Seals the parts, end to end, in full records; writes whenever the buffer is full.
    fn seal_stream(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let (mut part, mut later) = (&[] as &[u8], parts.iter());
        loop {
            while part.is_empty() {
                let Some(next) = later.next() else {
                    return Ok(());
                };
                part = next;
            }
            if self.out.len() + RECORD_DATA + 2 * OVERHEAD > self.out.capacity() {
                self.write_out()?;
            }
            let begun = self.sealer.begin(&mut self.out).map_err(|_| broken_keys())?;
            let mut room = RECORD_DATA;
            loop {
                let (now, rest) = part.split_at(part.len().min(room));
                self.out.extend_from_slice(now);
                (part, room) = (rest, room - now.len());
                match later.as_slice().first() {
                    Some(next) if part.is_empty() && room > 0 => {
                        part = next;
                        later.next();
                    }
                    _ => break,
                }
            }
            self.sealer.end(begun, &mut self.out);
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = (&*self.socket).write_all(&self.out);
        self.out.clear();
        written.map_err(|error| match error.kind() {
            // What a socket says when its time is up.
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

impl Drop for TlsLaneTx {
    fn drop(&mut self) {
        if !self.dead {
            self.out.clear();
            self.sealer.close_notify(&mut self.out);
            let _ = self.socket.set_write_timeout(Some(FAREWELL));
            let _ = self.write_out();
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}

/// The receiving end of a lane over TCP.
pub(crate) struct TlsLaneRx {
    socket: Arc<TcpStream>,
    decoder: Decoder,
}

impl TlsLaneRx {
    pub(crate) fn new(stream: TlsStream) -> io::Result<Self> {
        let (socket, _, mut decoder) = stream.into_blocking()?;
        decoder.widen(READ_BYTES);
        Ok(Self { socket, decoder })
    }

    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    pub(crate) fn recv_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.decoder.take(buf)? {
                Taken::Bytes(count) => buf = &mut buf[count..],
                Taken::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Taken::Dry => match (&*self.socket).read(self.decoder.room()) {
                    Ok(0) => return Err(cut_off()),
                    Ok(count) => self.decoder.received(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }
}

impl Stop for TcpStream {
    fn stop(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

fn broken_keys() -> io::Error {
    io::Error::other("no further key")
}
