//! What those who mean no good get: nothing, and nobody else suffers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::ConnectionError;
use potluck_base::limits;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{endpoint, id, join, secret, soon};
use crate::bind::UdpPlace;
use crate::preface::{self, LinkId, Preface, Purpose};
use crate::tls::{Handshake, TlsKeys, TlsLaneTx, TlsStream};
use crate::tls_dial::{self, Taken};
use crate::{ALPN, DialFault, Endpoint, LinkError, quic, quic_dial};

/// A peer that knows the protocol and keeps to it only as far as it likes.
async fn raw(
    seed: u8,
    to: SocketAddr,
    purpose: Purpose,
    link: LinkId,
) -> Result<TlsStream, DialFault> {
    let tls = Arc::new(TlsKeys::new(&secret(seed), ALPN));
    let preface = Preface { purpose, link };
    let dialled = tls_dial::dial(tls, id(2), to, preface, Arc::default());
    soon(dialled).await.map(|Taken { stream, .. }| stream)
}

async fn raw_control(seed: u8, to: SocketAddr, link: LinkId) -> TlsStream {
    let mut stream = raw(seed, to, Purpose::Control, link).await.unwrap();
    preface::go(&mut stream).await.unwrap();
    stream
}

async fn assert_serves(them: &Endpoint) {
    let honest = endpoint(1, true, false).await;
    let link = soon(honest.dial(&them.addr())).await.unwrap();
    loop {
        let far = soon(them.accept()).await.unwrap();
        if far.peer() == id(1) {
            far.send(Bytes::from_static(b"welcome")).await.unwrap();
            assert_eq!(soon(link.recv()).await.unwrap().unwrap(), "welcome");
            return;
        }
    }
}

/// Reads until the other side hangs up.
async fn hung_up(stream: &mut TcpStream) {
    let mut waste = [0; 1024];
    while soon(stream.read(&mut waste)).await.is_ok_and(|count| count > 0) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_hung_up_on_and_others_are_served() {
    let them = endpoint(2, true, false).await;
    let place = them.addr().direct[0];
    let oversized: &[u8] = &[22, 3, 1, 255, 255];
    for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &[0; 600], oversized] {
        let mut stranger = TcpStream::connect(place).await.unwrap();
        let start = std::time::Instant::now();
        stranger.write_all(garbage).await.unwrap();
        hung_up(&mut stranger).await;
        assert!(start.elapsed() < limits::HELLO_TIME, "before its time is up");
    }
    assert_serves(&them).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_client_without_a_key_is_refused() {
    let them = endpoint(2, true, false).await;
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = ServerName::try_from("peer.invalid").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut socket = TcpStream::connect(them.addr().direct[0]).await.unwrap();
    socket.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();
    client.read_tls(&mut answer.as_slice()).unwrap();
    let error = client.process_new_packets().unwrap_err();
    assert!(matches!(error, Error::AlertReceived(_)), "{error:?}");
    assert_serves(&them).await;
}

/// Believes every certificate, as a careless client does.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_silent_connections_does_not_keep_an_honest_dial_out() {
    let them = endpoint(2, true, false).await;
    let place = them.addr().direct[0];
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(place).await.unwrap());
    }
    let start = std::time::Instant::now();
    assert_serves(&them).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // All but the last ones were thrown out to make room.
    for stranger in &mut silent[..200 - limits::LINKS_HALF_OPEN] {
        hung_up(stranger).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_comes_drop_by_drop_is_ended_in_time() {
    let them = endpoint(2, true, false).await;
    let mut slow = TcpStream::connect(them.addr().direct[0]).await.unwrap();
    let start = std::time::Instant::now();
    // A record that promises more than ever comes, a byte now and then.
    let drops = [22, 3, 1, 2, 0, 1].into_iter().chain(std::iter::repeat(0));
    let mut answer = [0; 1];
    for byte in drops {
        let _ = slow.write_all(&[byte]).await;
        let waited = tokio::time::timeout(Duration::from_millis(100), slow.read(&mut answer)).await;
        if waited.is_ok() {
            break;
        }
        assert!(start.elapsed() < limits::HELLO_TIME + Duration::from_secs(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_too_large_ends_the_link() {
    let them = endpoint(2, true, false).await;
    let place = them.addr().direct[0];
    let too_large = limits::FRAME_BYTES as u32 + 1;
    for length in [too_large, u32::MAX, 1 << 31 | 201] {
        let mut raw = raw_control(1, place, LinkId::random()).await;
        let link = soon(them.accept()).await.unwrap();
        raw.write_all(&[3, 0, 0, 0, b'o', b'n', b'e']).await.unwrap();
        raw.write_all(&length.to_le_bytes()).await.unwrap();
        assert_eq!(soon(link.recv()).await.unwrap().unwrap(), "one");
        let error = soon(link.recv()).await.unwrap_err();
        assert!(matches!(error, LinkError::Misbehaved(_)), "{error:?}");
        soon(link.closed()).await;
        assert!(matches!(link.send(Bytes::new()).await, Err(LinkError::Misbehaved(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_off_is_not_closed_in_order() {
    let them = endpoint(2, true, false).await;
    for partial in [&[][..], &[3, 0], &[3, 0, 0, 0, b'x']] {
        let mut raw = raw_control(1, them.addr().direct[0], LinkId::random()).await;
        let link = soon(them.accept()).await.unwrap();
        raw.write_all(partial).await.unwrap();
        drop(raw);
        let error = soon(link.recv()).await.unwrap_err();
        assert!(matches!(error, LinkError::Broken(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_cut_off_or_damaged_is_an_error_at_that_place() {
    let them = endpoint(2, true, false).await;
    let (place, link) = (them.addr().direct[0], LinkId::random());
    let _control = raw_control(1, place, link).await;
    let far = soon(them.accept()).await.unwrap();
    let mut lane = raw(1, place, Purpose::LaneToAcceptor, link).await.unwrap();
    let mut rx = soon(far.incoming_lane()).await.unwrap();
    lane.write_all(b"whole").await.unwrap();
    drop(lane);
    let cut = join(thread::spawn(move || {
        rx.recv_exact(&mut [0; 5]).unwrap();
        rx.recv_exact(&mut [0; 5]).unwrap_err()
    }));
    let cut = cut.await;
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(cut.to_string(), "the connection was cut off");

    let lane = raw(1, place, Purpose::LaneToAcceptor, link).await.unwrap();
    let mut rx = soon(far.incoming_lane()).await.unwrap();
    let mut socket = lane.into_socket();
    // A record as it should look, but nobody sealed it.
    socket.write_all(&[[23, 3, 3, 0, 40].as_slice(), &[9; 40]].concat()).await.unwrap();
    let error = join(thread::spawn(move || rx.recv_exact(&mut [0; 5]).unwrap_err())).await;
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    // The link itself is none the worse.
    assert!(far.why_closed().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_nobody_reads_is_given_up() {
    let them = endpoint(2, true, false).await;
    let (place, link) = (them.addr().direct[0], LinkId::random());
    let _control = raw_control(1, place, link).await;
    let far = soon(them.accept()).await.unwrap();
    let lane = raw(1, place, Purpose::LaneToAcceptor, link).await.unwrap();
    let _unread = soon(far.incoming_lane()).await.unwrap();
    let mut tx = TlsLaneTx::with_patience(lane, Duration::from_millis(100)).unwrap();
    let sender = thread::spawn(move || {
        let error = (0..4096).find_map(|_| tx.send(&[b"x", &[0; 256 * 1024]]).err()).unwrap();
        (error.kind(), tx.send(&[b"x"]).unwrap_err().kind())
    });
    assert_eq!(join(sender).await, (io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_finds_only_the_link_of_its_own_key() {
    let them = endpoint(2, true, false).await;
    let (place, link) = (them.addr().direct[0], LinkId::random());
    let _control = raw_control(1, place, link).await;
    let far = soon(them.accept()).await.unwrap();
    let refused = DialFault::Other("it knows no such link".to_owned());
    for purpose in [Purpose::LaneToAcceptor, Purpose::LaneToDialler] {
        let unknown = raw(1, place, purpose, LinkId::random()).await;
        assert_eq!(unknown.err(), Some(refused.clone()));
        let thief = raw(3, place, purpose, link).await;
        assert_eq!(thief.err(), Some(refused.clone()));
        // The owner may, until there are enough.
        let mut lanes = Vec::new();
        for _ in 0..limits::LANES_PER_LINK {
            lanes.push(raw(1, place, purpose, link).await.unwrap());
        }
        assert_eq!(raw(1, place, purpose, link).await.err(), Some(DialFault::Busy));
    }
    let second = raw(1, place, Purpose::Control, link).await;
    assert_eq!(second.err(), Some(DialFault::Busy), "the id is taken");
    far.close("done");
    soon(async {
        while raw(1, place, Purpose::LaneToAcceptor, link).await.err() != Some(refused.clone()) {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_never_told_to_go_is_no_link() {
    let them = endpoint(2, true, false).await;
    let place = them.addr().direct[0];
    let hesitant = raw(1, place, Purpose::Control, LinkId::random()).await.unwrap();
    let _decided = raw_control(3, place, LinkId::random()).await;
    assert_eq!(soon(them.accept()).await.unwrap().peer(), id(3));
    drop(hesitant);
    // A word that is not "go" is none either.
    let mut confused = raw(1, place, Purpose::Control, LinkId::random()).await.unwrap();
    confused.write_all(&[9]).await.unwrap();
    assert!(soon(confused.read_exact(&mut [0])).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_enough_links_says_so_and_keeps_room_for_its_own_dials() {
    let them = endpoint(2, true, false).await;
    let place = them.addr().direct[0];
    let mut links = Vec::new();
    let busy = loop {
        match raw(1, place, Purpose::Control, LinkId::random()).await {
            Ok(mut stream) => {
                preface::go(&mut stream).await.unwrap();
                links.push((stream, soon(them.accept()).await.unwrap()));
            }
            Err(fault) => break fault,
        }
        assert!(links.len() <= limits::LINKS);
    };
    assert_eq!(busy, DialFault::Busy);
    let other = endpoint(4, true, false).await;
    assert!(matches!(soon(other.dial(&them.addr())).await, Err(LinkError::Busy)));
    soon(them.dial(&other.addr())).await.unwrap();
    // Room comes back with every link that ends.
    drop(links);
    soon(async { while other.dial(&them.addr()).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_hung_up_on() {
    let them = endpoint(2, true, false).await;
    let _raw = raw_control(1, them.addr().direct[0], LinkId::random()).await;
    let link = soon(them.accept()).await.unwrap();
    // From here on time jumps whenever nothing moves.
    tokio::time::pause();
    let error = loop {
        if let Err(error) = link.send(Bytes::from(vec![0; limits::FRAME_BYTES])).await {
            break error;
        }
    };
    assert_eq!(error.to_string(), "the link is broken: the peer takes nothing any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_over_quic_ends_only_the_link_of_whoever_says_it() {
    let them = endpoint(2, false, true).await;
    let place = UdpPlace { address: "127.0.0.1:0".parse().unwrap(), optional: false };
    let stranger = quic::bind(&secret(3), ALPN, &[place], &[], None).await.unwrap();
    let target = quic::target(&them.addr(), &them.addr().direct, false).unwrap();

    let connection = stranger.connect(target.clone(), ALPN).await.unwrap();
    let (mut tx, _rx) = connection.open_bi().await.unwrap();
    tx.write_all(&[9; 17]).await.unwrap();
    let closed = soon(connection.closed()).await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)), "{closed}");

    let preface = Preface { purpose: Purpose::Control, link: LinkId::random() };
    let dialled = quic_dial::dial(stranger.clone(), target, ALPN.to_vec(), preface).await;
    let quic_dial::Taken { connection, mut control } = dialled.unwrap();
    preface::go(&mut control).await.unwrap();
    let link = soon(them.accept()).await.unwrap();
    // A lane that begins with something else is none; the next one is.
    for mark in [9, 4] {
        let mut lane = connection.open_uni().await.unwrap();
        lane.write_all(&[mark, mark]).await.unwrap();
        lane.finish().unwrap();
    }
    let mut rx = soon(link.incoming_lane()).await.unwrap();
    let received = thread::spawn(move || {
        let mut byte = [0];
        rx.recv_exact(&mut byte).map(|()| byte[0])
    });
    assert_eq!(join(received).await.unwrap(), 4);
    control.0.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    assert!(matches!(soon(link.recv()).await, Err(LinkError::Misbehaved(_))));

    let honest = endpoint(1, false, true).await;
    soon(honest.dial(&them.addr())).await.unwrap();
    assert_eq!(soon(them.accept()).await.unwrap().peer(), id(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_who_only_shakes_hands_is_let_go_in_time() {
    let them = endpoint(2, true, false).await;
    let socket = TcpStream::connect(them.addr().direct[0]).await.unwrap();
    let keys = TlsKeys::new(&secret(1), ALPN);
    let mut stream = TlsStream::shake(socket, Handshake::dial(&keys, id(2))).await.unwrap();
    assert_eq!(stream.peer(), id(2));
    assert!(soon(stream.read_exact(&mut [0])).await.is_err());
}
