//! The record layer of TLS 1.3 (RFC 8446, section 5) with the keys of a finished handshake.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, Error, ExtractedSecrets};

use super::TlsError;

/// Plain bytes of a full record.
pub(crate) const RECORD_DATA: usize = 16 * 1024;
/// A record of the largest size that a peer may send, header included.
pub(crate) const RECORD_BYTES: usize = HEADER + RECORD_DATA + 256;
/// What sealing adds to the bytes of a record.
pub(crate) const OVERHEAD: usize = HEADER + 1 + TAG;

const HEADER: usize = 5;
const TAG: usize = 16;
/// Records under one key. AES-GCM is good for 2^24.5 full ones (RFC 8446, section 5.5).
const RECORDS_PER_KEY: u64 = 1 << 23;
/// Records in a row that carry no data, after which a peer is only wasting our time.
const EMPTY_RECORDS: u32 = 32;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const KEY_UPDATE: u8 = 24;

/// Seals what we send.
pub(crate) struct Sealer {
    key: RecordKey,
    records_per_key: u64,
    shared: Arc<SharedKeys>,
}

impl Sealer {
    /// Begins a record of data at the end of `out`: append at most [`RECORD_DATA`] bytes to it,
    /// then call [`Sealer::end`].
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) -> Result<Begun, TlsError> {
        let asked = self.shared.update_asked.load(Ordering::Relaxed);
        if asked || self.key.sequence >= self.records_per_key {
            self.shared.update_asked.store(false, Ordering::Relaxed);
            let begun = begin(out);
            out.extend([KEY_UPDATE, 0, 0, 1, 0]);
            self.seal(begun, HANDSHAKE, out);
            self.key = RecordKey::new(self.shared.next(KernelSide::Transmit)?)?;
        }
        Ok(begin(out))
    }

    /// Seals the record that begins there and ends at the end of `out`.
    pub(crate) fn end(&mut self, begun: Begun, out: &mut Vec<u8>) {
        self.seal(begun, DATA, out);
    }

    /// Appends the notice that nothing follows.
    pub(crate) fn close_notify(&mut self, out: &mut Vec<u8>) {
        let begun = begin(out);
        out.extend([1, 0]);
        self.seal(begun, ALERT, out);
    }

    fn seal(&mut self, Begun(start): Begun, content: u8, out: &mut Vec<u8>) {
        out.push(content);
        let plain = start + HEADER;
        let [high, low] = ((out.len() - plain + TAG) as u16).to_be_bytes();
        let header = [DATA, 3, 3, high, low];
        out[start..plain].copy_from_slice(&header);
        let nonce = self.key.next_nonce();
        let tag = self
            .key
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(header), &mut out[plain..])
            .expect("a record is far shorter than what the cipher takes");
        out.extend_from_slice(tag.as_ref());
    }

    #[cfg(test)]
    pub(crate) fn wear_out_after(&mut self, records: u64) {
        self.records_per_key = records;
    }

    /// A key update that asks the peer for one too, as other implementations send it.
    #[cfg(test)]
    pub(crate) fn ask_for_new_key(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let begun = begin(&mut out);
        out.extend([KEY_UPDATE, 0, 0, 1, 1]);
        self.seal(begun, HANDSHAKE, &mut out);
        self.key = RecordKey::new(self.shared.next(KernelSide::Transmit).unwrap()).unwrap();
        out
    }
}

/// Where a record begins in the buffer.
pub(crate) struct Begun(usize);

fn begin(out: &mut Vec<u8>) -> Begun {
    let start = out.len();
    out.extend([0; HEADER]);
    Begun(start)
}

/// Opens what the peer sent.
pub(crate) struct Opener {
    key: RecordKey,
    empty_in_a_row: u32,
    shared: Arc<SharedKeys>,
}

/// What was in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// So many bytes of data.
    Data(usize),
    /// The peer closed its direction in order.
    Closed,
}

impl Opener {
    /// Opens a record in its place; data begins behind the header.
    pub(crate) fn open_in_place(&mut self, record: &mut [u8]) -> Result<Opened, TlsError> {
        let (header, sealed) = split(record);
        let nonce = self.key.next_nonce();
        let length = self
            .key
            .key
            .open_in_place(nonce, Aad::from(header), sealed)
            .map_err(|_| forged())?
            .len();
        self.judge(&sealed[..length])
    }

    /// Opens a record into a buffer that has [`plain_room`] of room.
    pub(crate) fn open_into(
        &mut self,
        record: &mut [u8],
        buf: &mut [u8],
    ) -> Result<Opened, TlsError> {
        let (header, sealed) = split(record);
        let (text, tag) = sealed.split_at(sealed.len() - TAG);
        let plain = &mut buf[..text.len()];
        let nonce = self.key.next_nonce();
        self.key
            .key
            .open_separate_gather(nonce, Aad::from(header), text, tag, plain)
            .map_err(|_| forged())?;
        self.judge(plain)
    }

    /// Says what decrypted bytes are: content, its type in one byte, padding.
    fn judge(&mut self, plain: &[u8]) -> Result<Opened, TlsError> {
        let end = plain.iter().rposition(|byte| *byte != 0).ok_or_else(|| broken("no content"))?;
        let (content, kind) = (&plain[..end], plain[end]);
        if content.len() > RECORD_DATA {
            return Err(broken("an oversized record"));
        }
        if kind == DATA && !content.is_empty() {
            self.empty_in_a_row = 0;
            return Ok(Opened::Data(content.len()));
        }
        self.empty_in_a_row += 1;
        if self.empty_in_a_row > EMPTY_RECORDS {
            return Err(broken("endless empty records"));
        }
        match (kind, content) {
            (DATA, _) => Ok(Opened::Data(0)),
            (ALERT, [_, 0]) => Ok(Opened::Closed),
            (ALERT, [_, code]) => Err(TlsError::Broken(format!("alert {code}"))),
            (HANDSHAKE, [KEY_UPDATE, 0, 0, 1, asks @ (0 | 1)]) => {
                if *asks == 1 {
                    self.shared.update_asked.store(true, Ordering::Relaxed);
                }
                self.key = RecordKey::new(self.shared.next(KernelSide::Receive)?)?;
                Ok(Opened::Data(0))
            }
            _ => Err(broken("a record that does not belong there")),
        }
    }
}

/// How much room [`Opener::open_into`] needs for a record: its data, type and padding.
pub(crate) fn plain_room(record: &[u8]) -> usize {
    record.len() - HEADER - TAG
}

/// Where the data of a record opened in place begins.
pub(crate) const DATA_START: usize = HEADER;

fn split(record: &mut [u8]) -> ([u8; HEADER], &mut [u8]) {
    let (header, sealed) = record.split_first_chunk_mut::<HEADER>().expect("a record has a header");
    (*header, sealed)
}

fn forged() -> TlsError {
    broken("a forged or damaged record")
}

fn broken(what: &str) -> TlsError {
    TlsError::Broken(what.to_owned())
}

/// Received bytes that are cut into records. Its memory is only there once it is used.
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    held: Range<usize>,
    capacity: usize,
}

impl RecordBuffer {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), held: 0..bytes.len(), capacity: RECORD_BYTES }
    }

    /// Makes room for so many bytes at a time, when it next needs room.
    pub(crate) fn widen(&mut self, capacity: usize) {
        self.capacity = self.capacity.max(capacity);
    }

    /// The next whole record.
    pub(crate) fn next_record(&mut self) -> Result<Option<Range<usize>>, TlsError> {
        let held = &self.bytes[self.held.clone()];
        let &[kind, major, minor, high, low, ..] = held else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if (kind, major, minor) != (DATA, 3, 3) {
            return Err(broken("something that is no sealed record"));
        }
        if length <= TAG || HEADER + length > RECORD_BYTES {
            return Err(broken("a record of impossible size"));
        }
        if held.len() < HEADER + length {
            return Ok(None);
        }
        let record = self.held.start..self.held.start + HEADER + length;
        self.held.start = record.end;
        Ok(Some(record))
    }

    pub(crate) fn bytes(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// Room to receive into. What [`RecordBuffer::next_record`] returned before is lost.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let held = self.held.clone();
        self.bytes.copy_within(held.clone(), 0);
        self.held = 0..held.len();
        if self.bytes.len() < self.capacity {
            self.bytes.resize(self.capacity, 0);
        }
        &mut self.bytes[self.held.end..]
    }

    /// So many bytes were received into the room.
    pub(crate) fn received(&mut self, count: usize) {
        self.held.end += count;
    }
}

/// What rustls keeps of the connection: how the next keys follow from the present ones.
pub(crate) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

enum KernelSide {
    Transmit,
    Receive,
}

struct SharedKeys {
    kernel: Mutex<Kernel>,
    /// The peer asked us to use a new key.
    update_asked: AtomicBool,
}

impl SharedKeys {
    fn next(&self, side: KernelSide) -> Result<(u64, ConnectionTrafficSecrets), TlsError> {
        let mut kernel = self.kernel.lock().expect("no holder panics");
        match (&mut *kernel, side) {
            (Kernel::Client(kernel), KernelSide::Transmit) => kernel.update_tx_secret(),
            (Kernel::Client(kernel), KernelSide::Receive) => kernel.update_rx_secret(),
            (Kernel::Server(kernel), KernelSide::Transmit) => kernel.update_tx_secret(),
            (Kernel::Server(kernel), KernelSide::Receive) => kernel.update_rx_secret(),
        }
        .map_err(|error: Error| TlsError::Broken(error.to_string()))
    }
}

/// Both directions, from what rustls hands over.
pub(crate) fn new_pair(
    secrets: ExtractedSecrets,
    kernel: Kernel,
) -> Result<(Sealer, Opener), TlsError> {
    let shared =
        Arc::new(SharedKeys { kernel: Mutex::new(kernel), update_asked: AtomicBool::new(false) });
    let sealer = Sealer {
        key: RecordKey::new(secrets.tx)?,
        records_per_key: RECORDS_PER_KEY,
        shared: shared.clone(),
    };
    let opener = Opener { key: RecordKey::new(secrets.rx)?, empty_in_a_row: 0, shared };
    Ok((sealer, opener))
}

/// One direction's key and the number of its next record.
struct RecordKey {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl RecordKey {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, TlsError> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(broken("a cipher that we did not offer")),
        };
        let iv = iv.as_ref().try_into().map_err(|_| broken("an odd initialization vector"))?;
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| broken("an odd key"))?;
        Ok(Self { key: LessSafeKey::new(key), iv, sequence })
    }

    /// The nonce of the next record: each is used once, for the sequence only counts up.
    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
