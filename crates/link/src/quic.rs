//! Links over QUIC: iroh's endpoint as we want it, its connections, and what its errors mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iroh::dns::DnsResolver;
use iroh::endpoint::{
    BindOpts, Connection, ConnectionError, NetReportConfig, PortmapperConfig, QuicTransportConfig,
    TransportErrorCode, VarInt, presets,
};
use iroh::{EndpointAddr, EndpointId, RelayMap, RelayMode, RelayUrl, TransportAddr};
use potluck_base::{PathKind, PeerAddr, PeerId, limits};
use potluck_identity::SecretKey;
use tokio::runtime::Handle;

use crate::bind::UdpPlace;
use crate::error::DialFault;
use crate::find::Lookup;
use crate::lane::{LaneRx, LaneTx, Rx, Tx};
use crate::lanes::Slot;
use crate::link::{Ending, PathInfo, Shared};
use crate::quic_lane::{QuicLaneRx, QuicLaneTx};
use crate::{Finder, LinkError};

/// Bytes that may be under way, or received and unread, on one stream.
///
/// noq 1.4 breaks the whole connection ("too many gaps in stream buffer") when more than 2,048
/// pieces of a stream wait to be read, and a packet is a piece, gap or not: 16 MiB die at once when
/// the reader lags. This much is safe down to 768 bytes a packet; where the path is long and wide,
/// a link should push on several lanes.
const STREAM_WINDOW: u32 = 3 * 512 * 1024;
/// The same for one connection: all lanes towards us, and the control stream.
const CONNECTION_WINDOW: u32 = (limits::LANES_PER_LINK as u32 + 1) * STREAM_WINDOW;
/// Bytes that we keep until the peer has acknowledged them.
const SEND_WINDOW: u64 = 16 * 1024 * 1024;
/// Time without a packet after which a path counts as dead, and how often a quiet one is tried.
const PATH_IDLE: Duration = Duration::from_secs(4);
const PATH_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// The first byte of every lane: QUIC shows a stream to the peer only once something is written.
const LANE: u8 = 4;
/// The code with which a link is closed in order.
const CODE_CLOSED: u32 = 0;
/// The code for a peer that sends what makes no sense.
pub(crate) const CODE_NONSENSE: u32 = 1;

/// An iroh endpoint that contacts nobody by itself, except the relays it is given.
pub(crate) async fn bind(
    secret: &SecretKey,
    alpn: &[u8],
    places: &[UdpPlace],
    relays: &[String],
    finder: Option<Arc<dyn Finder>>,
) -> Result<iroh::Endpoint, LinkError> {
    let relay_mode = if relays.is_empty() {
        RelayMode::Disabled
    } else {
        let urls: Result<Vec<RelayUrl>, _> = relays
            .iter()
            .map(|url| url.parse().map_err(|_| LinkError::BadRelay { url: url.clone() }))
            .collect();
        RelayMode::Custom(RelayMap::from_iter(urls?))
    };
    let dns = DnsResolver::builder().with_system_defaults().disable_fallback().build();
    let mut builder = iroh::Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&secret.to_seed()))
        .alpns(vec![alpn.to_vec()])
        .relay_mode(relay_mode)
        .dns_resolver(dns)
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(NetReportConfig::minimal())
        .transport_config(transport())
        .clear_ip_transports();
    if let Some(finder) = finder {
        builder = builder.address_lookup(Lookup(finder));
    }
    let failed = |address: SocketAddr, why: String| LinkError::Listen { address, why };
    for &UdpPlace { address, optional } in places {
        let options = BindOpts::default().set_is_required(!optional);
        builder = builder
            .bind_addr_with_opts(address, options)
            .map_err(|error| failed(address, error.to_string()))?;
    }
    let first = places.first().ok_or(LinkError::Config("nowhere to listen"))?.address;
    builder.bind().await.map_err(|error| failed(first, error.to_string()))
}

fn transport() -> QuicTransportConfig {
    let lanes = VarInt::from_u32(2 * limits::LANES_PER_LINK as u32);
    QuicTransportConfig::builder()
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .max_concurrent_uni_streams(lanes)
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_idle_timeout(Some(limits::LINK_IDLE_TIME.try_into().expect("a few seconds fit")))
        .default_path_max_idle_timeout(PATH_IDLE)
        .default_path_keep_alive_interval(PATH_KEEP_ALIVE)
        .build()
}

/// Whether an address can be dialled at all: a hostile ticket may name any.
pub(crate) fn is_dialable(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let broadcast = matches!(ip, std::net::IpAddr::V4(ip) if ip.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// The peer's address as iroh writes it; `None` if there is no way to try it.
pub(crate) fn target(addr: &PeerAddr, direct: &[SocketAddr], relays: bool) -> Option<EndpointAddr> {
    let id = EndpointId::from_bytes(&addr.id.0).ok()?;
    let direct = direct.iter().copied().map(TransportAddr::Ip);
    let relay = addr.relay.as_ref().filter(|_| relays).and_then(|url| url.parse().ok());
    let places: Vec<_> = direct.chain(relay.map(TransportAddr::Relay)).collect();
    (!places.is_empty()).then(|| EndpointAddr::from_parts(id, places))
}

/// A QUIC connection that carries a link.
pub(crate) struct QuicCarrier {
    connection: Connection,
    runtime: Handle,
}

impl QuicCarrier {
    /// Call it within the runtime.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, runtime: Handle::current() }
    }

    pub(crate) fn path(&self) -> PathInfo {
        let paths = self.connection.paths();
        let path = paths.iter().find(|path| path.is_selected());
        let (kind, remote) = match path.as_ref().map(|path| path.remote_addr()) {
            Some(TransportAddr::Ip(address)) => (PathKind::DirectQuic, address.to_string()),
            Some(TransportAddr::Relay(url)) => (PathKind::Relayed, url.to_string()),
            _ => (PathKind::DirectQuic, "no path now".to_owned()),
        };
        PathInfo { kind, remote, rtt: path.map(|path| path.rtt()) }
    }

    /// Opens a lane towards the peer.
    pub(crate) async fn outgoing(&self, link: &Arc<Shared>) -> Result<LaneTx, LinkError> {
        let slot = link.lanes.wait_slot_to_peer().await;
        let broken = |error: String| LinkError::Broken(error);
        let mut stream =
            self.connection.open_uni().await.map_err(|error| broken(error.to_string()))?;
        stream.write_all(&[LANE]).await.map_err(|error| broken(error.to_string()))?;
        let lane = QuicLaneTx::new(stream, self.runtime.clone());
        if !link.lanes.remember(lane.stopper()) {
            return Err(link.error());
        }
        Ok(LaneTx::new(Tx::Quic(lane), slot))
    }

    /// Takes the lanes that the peer opens, until the link ends.
    pub(crate) async fn serve_lanes(&self, link: &Shared) {
        loop {
            let taken = tokio::select! {
                biased;
                () = link.closing.cancelled() => return,
                taken = self.next_lane(link) => taken,
            };
            match taken {
                Ok((lane, slot)) => {
                    if link.lanes.remember(lane.stopper()) {
                        link.lanes.offer_incoming(LaneRx::new(Rx::Quic(lane), slot));
                    }
                }
                Err(ending) => link.end(ending),
            }
        }
    }

    /// The next lane, once there is room for it: until then the peer's bytes wait.
    async fn next_lane(&self, link: &Shared) -> Result<(QuicLaneRx, Slot), Ending> {
        loop {
            let slot = link.lanes.wait_slot_from_peer().await;
            let mut stream = self.connection.accept_uni().await.map_err(|e| ending_of(&e))?;
            let mut mark = [0];
            let read = tokio::time::timeout(limits::HELLO_TIME, stream.read_exact(&mut mark));
            if matches!(read.await, Ok(Ok(()))) && mark == [LANE] {
                return Ok((QuicLaneRx::new(stream, self.runtime.clone()), slot));
            }
            let _ = stream.stop(VarInt::from_u32(CODE_NONSENSE));
        }
    }

    /// When the connection has ended; does not keep it alive.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let connection = self.connection.weak_handle();
        async move {
            connection.closed().await;
        }
    }

    pub(crate) fn hang_up(&self, reason: &str) {
        self.connection.close(VarInt::from_u32(CODE_CLOSED), reason.as_bytes());
    }
}

fn ending_of(error: &ConnectionError) -> Ending {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == CODE_CLOSED.into() => {
            Ending::Theirs(String::from_utf8_lossy(&close.reason).into_owned())
        }
        error => Ending::Broken(error.to_string()),
    }
}

/// What a failed connection says about the peer.
pub(crate) fn fault_of(error: &ConnectionError) -> DialFault {
    // TLS's alert 120, no_application_protocol, as a QUIC error.
    let no_protocol = TransportErrorCode::crypto(120);
    match error {
        ConnectionError::VersionMismatch => DialFault::Version,
        ConnectionError::ConnectionClosed(close) if close.error_code == no_protocol => {
            DialFault::Version
        }
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset => DialFault::HungUp,
        ConnectionError::TransportError(error) if is_about_key(error.code) => {
            DialFault::WrongKey(None)
        }
        ConnectionError::TimedOut => DialFault::TimedOut,
        error => DialFault::Other(error.to_string()),
    }
}

/// Whether our own TLS found fault with the peer's key: a certificate alert, 42 to 49 or 51.
fn is_about_key(code: TransportErrorCode) -> bool {
    (42..=51).any(|alert| code == TransportErrorCode::crypto(alert))
}

/// Our name for the peer of a connection.
pub(crate) fn peer_of(connection: &Connection) -> PeerId {
    PeerId(*connection.remote_id().as_bytes())
}
