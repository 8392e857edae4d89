//! Whom a dial reaches, over what, and what it says if it reaches nobody.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use potluck_base::{PathKind, PeerAddr, PeerId};

use super::{at, endpoint, id, loopback, soon};
use crate::{Attempt, DialFault, Endpoint, EndpointConfig, Finder, LinkError, Transport};

/// A directory that knows one peer.
#[derive(Clone, Debug)]
struct Knows(PeerAddr);

impl Finder for Knows {
    fn find(&self, peer: PeerId) -> BoxFuture<'static, Option<PeerAddr>> {
        let known = (peer == self.0.id).then(|| self.0.clone());
        Box::pin(async move { known })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_found_by_its_key_alone_and_where_it_moved_to() {
    for (tcp, quic) in [(true, false), (false, true)] {
        let there = endpoint(2, tcp, quic).await;
        let finder: Arc<dyn Finder> = Arc::new(Knows(there.addr()));
        let config = EndpointConfig { finder: Some(finder), ..loopback(1, tcp, quic) };
        let us = Endpoint::bind(config).await.unwrap();
        assert_eq!(soon(us.dial(&at(2, &[]))).await.unwrap().peer(), id(2));
        soon(there.accept()).await.unwrap();
        // Somebody else lives now where it was.
        let stranger = endpoint(4, tcp, quic).await;
        let link = soon(us.dial(&at(2, &stranger.addr().direct))).await.unwrap();
        assert_eq!(link.peer(), id(2));
        let far = soon(there.accept()).await.unwrap();
        far.send(Bytes::from_static(b"here")).await.unwrap();
        assert_eq!(&soon(link.recv()).await.unwrap().unwrap()[..], b"here");
        link.close("seen");
        assert_eq!(soon(far.recv()).await.unwrap(), None);
        assert_eq!(far.why_closed().as_deref(), Some("closed by the peer: seen"));
        let nobody = soon(us.dial(&at(3, &[]))).await.unwrap_err();
        assert!(matches!(nobody, LinkError::NoAddress(_)), "{nobody}");
    }
}

/// An address of this machine where nobody listens.
fn deserted() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_in_the_peers_place_is_refused_over_both_transports() {
    for (tcp, quic) in [(true, false), (false, true)] {
        let (us, stranger) = (endpoint(1, tcp, quic).await, endpoint(2, tcp, quic).await);
        let place = stranger.addr().direct;
        match soon(us.dial(&at(3, &place))).await {
            Err(LinkError::WrongPeer { expected, found }) => {
                assert_eq!(expected, id(3));
                assert_eq!(found, tcp.then(|| id(2)));
            }
            other => panic!("{other:?}"),
        }
        // And the stranger, under its own name, is no stranger.
        soon(us.dial(&at(2, &place))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_called_that_over_both_transports() {
    for (tcp, quic) in [(true, false), (false, true)] {
        let us = endpoint(1, tcp, quic).await;
        let newer = Endpoint::bind_as(loopback(2, tcp, quic), b"potluck/2").await.unwrap();
        let error = soon(us.dial(&newer.addr())).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the peer speaks another version of Potluck's protocol than potluck/1; \
             update the older one"
        );
        let error = soon(newer.dial(&us.addr())).await.unwrap_err();
        assert!(matches!(error, LinkError::Version { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_reaches_nobody_says_why_for_each_address() {
    let (us, stranger) = (endpoint(1, true, false).await, endpoint(2, true, false).await);
    // One that takes connections and says nothing: the time limit of a handshake.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let places = [deserted(), stranger.addr().direct[0], mute.local_addr().unwrap()];
    let start = Instant::now();
    let error = soon(us.dial(&at(3, &places))).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(11));
    let text = error.to_string();
    let LinkError::Unreachable { peer, attempts } = error else { panic!("{error:?}") };
    assert_eq!(peer, id(3));
    let faults = [DialFault::Refused, DialFault::WrongKey(Some(id(2))), DialFault::TimedOut];
    for (place, fault) in places.into_iter().zip(faults) {
        let attempt = Attempt { over: Transport::Tcp, to: place.to_string(), fault };
        assert!(attempts.contains(&attempt), "{attempt} in {attempts:?}");
        assert!(text.contains(&attempt.to_string()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_dead_does_not_hide_one_that_lives() {
    let (us, them) = (endpoint(1, true, true).await, endpoint(2, true, true).await);
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut places: Vec<_> = (0..5).map(|_| deserted()).collect();
    places.push(mute.local_addr().unwrap());
    places.extend(them.addr().direct);
    let start = Instant::now();
    let link = soon(us.dial(&at(2, &places))).await.unwrap();
    assert_eq!(link.path().kind, PathKind::DirectTcp);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_taken_where_tcp_is_refused_or_swallowed() {
    let (us, them) = (endpoint(1, true, true).await, endpoint(2, false, true).await);
    let addr = them.addr();
    let link = soon(us.dial(&addr)).await.unwrap();
    assert_eq!(link.path().kind, PathKind::DirectQuic);
    soon(them.accept()).await.unwrap();
    // Somebody takes the TCP connection of the same port and says nothing.
    let _mute = TcpListener::bind(addr.direct[0]).unwrap();
    let start = Instant::now();
    let link = soon(us.dial(&addr)).await.unwrap();
    assert_eq!(link.path().kind, PathKind::DirectQuic);
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_is_preferred_where_both_work() {
    let (us, them) = (endpoint(1, true, true).await, endpoint(2, true, true).await);
    for _ in 0..5 {
        let link = soon(us.dial(&them.addr())).await.unwrap();
        assert_eq!(link.path().kind, PathKind::DirectTcp);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_over_many_addresses_makes_one_link() {
    let mut config = loopback(2, true, true);
    config.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let them = Endpoint::bind(config).await.unwrap();
    let (us, later) = (endpoint(1, true, true).await, endpoint(3, true, true).await);
    let port = them.addr().direct[0].port();
    let places: Vec<SocketAddr> =
        (1..9).map(|last| SocketAddr::from(([127, 0, 0, last], port))).collect();
    let link = soon(us.dial(&at(2, &places))).await.unwrap();
    assert_eq!(soon(them.accept()).await.unwrap().peer(), id(1));
    // Whoever comes next is somebody else.
    let _second = soon(later.dial(&at(2, &places[..1]))).await.unwrap();
    assert_eq!(soon(them.accept()).await.unwrap().peer(), id(3));
    drop(link);
}

#[tokio::test(flavor = "multi_thread")]
async fn ourselves_nobody_and_nonsense_are_not_dialled() {
    let us = endpoint(1, true, true).await;
    assert!(matches!(us.dial(&us.addr()).await, Err(LinkError::Ourselves)));
    let unknown = PeerAddr::unknown(id(2));
    assert!(matches!(us.dial(&unknown).await, Err(LinkError::NoAddress(peer)) if peer == id(2)));
    let nonsense = ["0.0.0.0:1", "255.255.255.255:1", "224.0.0.1:1", "127.0.0.1:0", "[::]:1"];
    let nonsense = at(2, &nonsense.map(|text| text.parse().unwrap()));
    assert!(matches!(us.dial(&nonsense).await, Err(LinkError::NoAddress(_))));
    // A relay is nothing to a node without relays.
    let relay = Some("https://relay.invalid".to_owned());
    assert!(us.dial(&PeerAddr { relay, ..unknown }).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = loopback(1, true, true);
    let place = taken.local_addr().unwrap();
    config.listen = vec![place];
    let error = Endpoint::bind(config).await.unwrap_err();
    assert!(matches!(error, LinkError::Listen { address, .. } if address == place), "{error}");
    let mut config = loopback(1, true, true);
    config.listen.push("[::1]:7".parse().unwrap());
    assert!(matches!(Endpoint::bind(config).await, Err(LinkError::Config(_))));
    assert!(matches!(Endpoint::bind(loopback(1, false, false)).await, Err(LinkError::Config(_))));
}
