//! The handshake without IO: bytes from the peer go in, bytes for the peer come out.

use std::sync::{Arc, OnceLock};

use potluck_base::PeerId;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{AlertDescription, Error};

use super::keys::{TlsKeys, peer_of};
use super::record::{Kernel, Opener, RECORD_BYTES, RecordBuffer, Sealer, new_pair};

/// All bytes that a peer may send before the handshake is done; an honest one needs two thousand.
const HANDSHAKE_BYTES: usize = 16 * 1024;

/// Why a TLS connection failed.
#[derive(Clone, Debug)]
pub(crate) enum TlsError {
    /// The peer proved another key than the expected one.
    WrongKey(Option<PeerId>),
    /// The peer speaks another version of our protocol.
    Version,
    /// The peer hung up in the middle.
    CutOff,
    /// What the peer sent is not TLS, or not as we want it.
    Broken(String),
}

/// One side of a handshake in progress.
pub(crate) struct Handshake {
    side: Side,
    alpn: Vec<u8>,
    seen: Arc<OnceLock<PeerId>>,
    incoming: Vec<u8>,
    /// How much of `incoming` rustls has been shown: whole records, one more at a time, so that
    /// nothing behind the handshake's last record gets into its hands.
    shown: usize,
    received: usize,
}

/// What came out of a finished handshake.
pub(crate) struct Session {
    pub(crate) peer: PeerId,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    /// What the peer sent behind its handshake.
    pub(crate) incoming: RecordBuffer,
}

impl Handshake {
    pub(crate) fn dial(keys: &TlsKeys, expected: PeerId) -> Self {
        let seen = Arc::new(OnceLock::new());
        let config = Arc::new(keys.client(expected, seen.clone()));
        // Neither sent (no SNI) nor checked (the key is): but rustls wants a name.
        let name = ServerName::try_from("peer.invalid").expect("a name as it should be");
        let connection =
            UnbufferedClientConnection::new(config, name).expect("the configuration is complete");
        Self::new(Side::Client(connection), keys, seen)
    }

    pub(crate) fn accept(keys: &TlsKeys) -> Self {
        let connection =
            UnbufferedServerConnection::new(keys.server()).expect("the configuration is complete");
        Self::new(Side::Server(connection), keys, Arc::default())
    }

    fn new(side: Side, keys: &TlsKeys, seen: Arc<OnceLock<PeerId>>) -> Self {
        let alpn = keys.alpn().to_vec();
        Self { side, alpn, seen, incoming: Vec::new(), shown: 0, received: 0 }
    }

    /// Takes bytes from the peer.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.received += bytes.len();
        if self.received > HANDSHAKE_BYTES {
            return Err(TlsError::Broken("an endless handshake".to_owned()));
        }
        self.incoming.extend_from_slice(bytes);
        Ok(())
    }

    /// Goes as far as the bytes allow; whether the handshake is done.
    ///
    /// What is left in `outgoing` must be sent, also after an error: it tells the peer why.
    pub(crate) fn advance(&mut self, outgoing: &mut Vec<u8>) -> Result<bool, TlsError> {
        loop {
            match self.step(outgoing) {
                Ok(Step::Again) => {}
                Ok(Step::Done) => return self.check_protocol().map(|()| true),
                Ok(Step::Blocked) => {
                    if !self.show_record()? {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.collect_alert(&error, outgoing);
                    return Err(self.explain(error));
                }
            }
        }
    }

    /// The keys and what follows the handshake. Call when [`Handshake::advance`] says done.
    pub(crate) fn finish(self) -> Result<Session, TlsError> {
        let broken = |error: Error| TlsError::Broken(error.to_string());
        if self.shown > 0 {
            return Err(TlsError::Broken(
                "a handshake that does not end with its record".to_owned(),
            ));
        }
        let (peer, secrets, kernel) = match self.side {
            Side::Client(connection) => {
                let peer = peer_of(connection.peer_certificates());
                let (secrets, kernel) =
                    connection.dangerous_into_kernel_connection().map_err(broken)?;
                (peer, secrets, Kernel::Client(kernel))
            }
            Side::Server(connection) => {
                let peer = peer_of(connection.peer_certificates());
                let (secrets, kernel) =
                    connection.dangerous_into_kernel_connection().map_err(broken)?;
                (peer, secrets, Kernel::Server(kernel))
            }
        };
        let peer = peer.ok_or_else(|| TlsError::Broken("no key was shown".to_owned()))?;
        let (sealer, opener) = new_pair(secrets, kernel)?;
        Ok(Session { peer, sealer, opener, incoming: RecordBuffer::new(&self.incoming) })
    }

    fn step(&mut self, outgoing: &mut Vec<u8>) -> Result<Step, Error> {
        let shown = &mut self.incoming[..self.shown];
        let (discard, step, handshaking) = match &mut self.side {
            Side::Client(connection) => {
                let (discard, step) = act(connection.process_tls_records(shown), outgoing);
                (discard, step, connection.is_handshaking())
            }
            Side::Server(connection) => {
                let (discard, step) = act(connection.process_tls_records(shown), outgoing);
                (discard, step, connection.is_handshaking())
            }
        };
        self.incoming.drain(..discard);
        self.shown -= discard;
        // A server may write before the client has proven its key: not here.
        Ok(match step? {
            Step::Done if handshaking => Step::Blocked,
            step => step,
        })
    }

    /// Fetches what tells the peer about an error of ours.
    fn collect_alert(&mut self, error: &Error, outgoing: &mut Vec<u8>) {
        // What cannot be cut into messages stays in the buffer, and rustls must not see it twice:
        // after one step, which yields the alert, it would.
        let once = matches!(
            error,
            Error::InvalidMessage(_)
                | Error::PeerSentOversizedRecord
                | Error::DecryptError
                | Error::PeerMisbehaved(_)
        );
        // Part of our flight may come before the alert, in up to five pieces.
        for _ in 0..if once { 1 } else { 8 } {
            if !matches!(self.step(outgoing), Ok(Step::Again)) {
                break;
            }
        }
    }

    /// Shows rustls one more record; `false` if none is complete.
    fn show_record(&mut self) -> Result<bool, TlsError> {
        let rest = &self.incoming[self.shown..];
        let &[kind, major, _, high, low, ..] = rest else {
            return Ok(false);
        };
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        // At once, not when all that it promises is here: it may be a web browser.
        if !(20..=23).contains(&kind) || major != 3 || length > RECORD_BYTES {
            return Err(TlsError::Broken("something that is not TLS".to_owned()));
        }
        if rest.len() < length {
            return Ok(false);
        }
        self.shown += length;
        Ok(true)
    }

    /// rustls takes a peer that names no protocol at all; we do not.
    fn check_protocol(&self) -> Result<(), TlsError> {
        let agreed = match &self.side {
            Side::Client(connection) => connection.alpn_protocol(),
            Side::Server(connection) => connection.alpn_protocol(),
        };
        if agreed == Some(&self.alpn) { Ok(()) } else { Err(TlsError::Version) }
    }

    fn explain(&self, error: Error) -> TlsError {
        match error {
            Error::NoApplicationProtocol
            | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => TlsError::Version,
            Error::InvalidCertificate(_) => TlsError::WrongKey(self.seen.get().copied()),
            error => TlsError::Broken(error.to_string()),
        }
    }
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

enum Step {
    Again,
    Blocked,
    Done,
}

/// Does what rustls asks for; also says how many bytes it is done with.
fn act<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let step = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = outgoing.len();
            // Asked with no room at first, it says how much it needs.
            let mut room = 0;
            loop {
                outgoing.resize(start + room, 0);
                match data.encode(&mut outgoing[start..]) {
                    Ok(written) => {
                        outgoing.truncate(start + written);
                        break Ok(Step::Again);
                    }
                    Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
                    Err(EncodeError::AlreadyEncoded) => break Ok(Step::Again),
                }
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Done),
        Ok(state) => Err(Error::General(format!("{state:?} during the handshake"))),
    };
    (status.discard, step)
}
