//! The place where a node is dialled and from where it dials.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{PeerAddr, PeerId, limits};
use potluck_identity::SecretKey;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use crate::bind::{self, Bound};
use crate::hub::Hub;
use crate::mem::MemoryEndpoint;
use crate::tls::TlsKeys;
use crate::{ALPN, Finder, Link, LinkError, dial, quic_listen, tls_listen};

/// Time for links to say farewell when the endpoint closes.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How an endpoint is made.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The node's key.
    pub secret: SecretKey,
    /// Where to listen, all with one port number, used for TCP and UDP. Port 0: any that is free.
    /// Empty: everywhere, on any port.
    pub listen: Vec<SocketAddr>,
    /// URLs of relays. Without any, peers are only reached directly and nobody is contacted.
    pub relays: Vec<String>,
    /// Whether to use QUIC.
    pub quic: bool,
    /// Whether to use TCP.
    pub tcp: bool,
    /// Links at a time, those that peers dial and our own. A quarter is kept for our own.
    pub links: usize,
    /// Whom to ask where a peer is, when it is dialled by its key alone or has moved.
    pub finder: Option<Arc<dyn Finder>>,
}

impl EndpointConfig {
    /// Listens everywhere on any port, over TCP and QUIC, without relays.
    pub fn new(secret: SecretKey) -> Self {
        Self {
            secret,
            listen: Vec::new(),
            relays: Vec::new(),
            quic: true,
            tcp: true,
            links: limits::LINKS,
            finder: None,
        }
    }
}

/// Where a node is dialled, and from where it dials. Clones are the same endpoint.
#[derive(Clone)]
pub struct Endpoint {
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Net(Arc<Net>),
    Memory(Arc<MemoryEndpoint>),
}

/// An endpoint on the network.
struct Net {
    secret: SecretKey,
    hub: Arc<Hub>,
    accepted: Mutex<mpsc::Receiver<Link>>,
    tcp: bool,
    relays: bool,
    finder: Option<Arc<dyn Finder>>,
    bound: Bound,
}

impl Endpoint {
    /// Starts to listen. Contacts nobody, unless relays are configured.
    pub async fn bind(config: EndpointConfig) -> Result<Self, LinkError> {
        Self::bind_as(config, ALPN).await
    }

    /// Speaks another version: for tests of what happens then.
    pub(crate) async fn bind_as(config: EndpointConfig, alpn: &[u8]) -> Result<Self, LinkError> {
        let (listeners, bound) = bind::bind(&config, alpn).await?;
        let (arrivals, accepted) = mpsc::channel(config.links);
        let tls = TlsKeys::new(&config.secret, alpn);
        let hub = Arc::new(Hub::new(config.secret.peer_id(), tls, arrivals, config.links));
        for listener in listeners {
            hub.tasks.spawn(tls_listen::listen(hub.clone(), listener));
        }
        if let Some(quic) = &bound.quic {
            hub.tasks.spawn(quic_listen::listen(hub.clone(), quic.clone()));
        }
        let net = Net {
            secret: config.secret,
            hub,
            accepted: Mutex::new(accepted),
            tcp: config.tcp,
            relays: !config.relays.is_empty(),
            finder: config.finder,
            bound,
        };
        Ok(Self { inner: Inner::Net(Arc::new(net)) })
    }

    pub(crate) fn in_memory(endpoint: Arc<MemoryEndpoint>) -> Self {
        Self { inner: Inner::Memory(endpoint) }
    }

    /// Our key.
    pub fn id(&self) -> PeerId {
        match &self.inner {
            Inner::Net(net) => net.hub.id,
            Inner::Memory(memory) => memory.id(),
        }
    }

    /// Where peers may reach us now: what goes into a ticket.
    ///
    /// Addresses of this machine; the loopback one only if nothing else is listened on. With
    /// relays also the address that they see, and the relay.
    pub fn addr(&self) -> PeerAddr {
        match &self.inner {
            Inner::Net(net) => net.bound.addr(net.hub.id),
            Inner::Memory(memory) => PeerAddr::unknown(memory.id()),
        }
    }

    /// Opens a link to a peer over whatever answers first, TCP preferred; takes at most
    /// [`limits::DIAL_TIME`].
    ///
    /// A peer that is not met where it was, or whose places are not known, is asked for at the
    /// [`Finder`] and dialled once more if that knows another place.
    pub async fn dial(&self, addr: &PeerAddr) -> Result<Link, LinkError> {
        match &self.inner {
            Inner::Net(net) => match net.dial(addr).await {
                Err(
                    error @ (LinkError::NoAddress(_)
                    | LinkError::Unreachable { .. }
                    | LinkError::WrongPeer { .. }),
                ) => match net.elsewhere(addr).await {
                    Some(elsewhere) => net.dial_moved(&elsewhere).await,
                    None => Err(error),
                },
                result => result,
            },
            Inner::Memory(memory) => memory.dial(addr),
        }
    }

    /// The next link that a peer opened; `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Link> {
        match &self.inner {
            Inner::Net(net) => {
                let mut accepted = net.accepted.lock().await;
                tokio::select! {
                    biased;
                    () = net.hub.closed.cancelled() => None,
                    link = accepted.recv() => link,
                }
            }
            Inner::Memory(memory) => memory.accept().await,
        }
    }

    /// Stops listening and closes every link; waits for farewells, a second at most.
    pub async fn close(&self) {
        match &self.inner {
            Inner::Net(net) => net.close().await,
            Inner::Memory(memory) => memory.close(),
        }
    }
}

impl Net {
    async fn dial(&self, addr: &PeerAddr) -> Result<Link, LinkError> {
        let quic = self.bound.quic.as_ref().map(|quic| (quic, self.relays));
        dial::dial(&self.hub, addr, self.tcp, quic).await
    }

    /// Dials a peer that was not where it was.
    async fn dial_moved(&self, addr: &PeerAddr) -> Result<Link, LinkError> {
        match self.dial(addr).await {
            Err(LinkError::WrongPeer { .. }) if self.bound.quic.is_some() => {
                self.dial_afresh(addr).await
            }
            result => result,
        }
    }

    /// Dials from a socket of its own, which lives as long as the link.
    ///
    /// An iroh endpoint remembers every place of a peer for a minute and more, knocks at all of
    /// them, and fails if a stranger who lives in one answers first. A fresh one knows only `addr`.
    async fn dial_afresh(&self, addr: &PeerAddr) -> Result<Link, LinkError> {
        let quic = self.bound.another_quic(&self.secret, self.hub.tls.alpn()).await?;
        let link = dial::dial(&self.hub, addr, self.tcp, Some((&quic, false))).await;
        let hung_up = link.as_ref().ok().and_then(Link::hung_up);
        self.hub.tasks.spawn(async move {
            if let Some(hung_up) = hung_up {
                hung_up.await;
            }
            quic.close().await;
        });
        link
    }

    /// Where the peer may be besides, if the finder knows a place that was not tried.
    async fn elsewhere(&self, tried: &PeerAddr) -> Option<PeerAddr> {
        let finder = self.finder.as_ref()?;
        let mut found = timeout(limits::FIND_TIME, finder.find(tried.id)).await.ok()??;
        found.direct.retain(|place| !tried.direct.contains(place));
        let relay_is_new = found.relay.is_some() && found.relay != tried.relay;
        (found.id == tried.id && (!found.direct.is_empty() || relay_is_new)).then_some(found)
    }

    async fn close(&self) {
        let deadline = Instant::now() + CLOSE_TIME;
        self.hub.closed.cancel();
        self.hub.end_links("the node stops");
        self.hub.tasks.close();
        let _ = timeout_at(deadline, self.hub.tasks.wait()).await;
        if let Some(quic) = &self.bound.quic {
            let _ = timeout_at(deadline, quic.close()).await;
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The listeners hold the hub, not this.
        self.hub.closed.cancel();
        self.hub.end_links("the node stops");
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("addr", &self.addr()).finish()
    }
}
