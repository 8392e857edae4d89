//! Where we listen: one port number for TCP and UDP, and the addresses that lead to it.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use futures_util::FutureExt;
use iroh::TransportAddr;
use netwatch::ip::LocalAddresses;
use potluck_base::{PeerAddr, PeerId, limits};
use potluck_identity::SecretKey;
use tokio::net::{TcpListener, TcpSocket};

use crate::{EndpointConfig, LinkError, quic};

/// How often a free TCP port is looked for whose UDP twin is free too.
const PORT_TRIES: usize = 8;
/// Connections that wait in the kernel until we take them.
const BACKLOG: u32 = 1024;
const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// What an endpoint has bound.
pub(crate) struct Bound {
    pub(crate) quic: Option<iroh::Endpoint>,
    listen: Vec<SocketAddr>,
}

/// A UDP address for QUIC, and whether we can do without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpPlace {
    pub(crate) address: SocketAddr,
    pub(crate) optional: bool,
}

/// Binds what the configuration asks for.
pub(crate) async fn bind(
    config: &EndpointConfig,
    alpn: &[u8],
) -> Result<(Vec<TcpListener>, Bound), LinkError> {
    if !config.tcp && !config.quic {
        return Err(LinkError::Config("neither TCP nor QUIC is switched on"));
    }
    let mut listen = config.listen.clone();
    if listen.is_empty() {
        listen.push(EVERYWHERE);
    }
    let port = listen[0].port();
    if listen.iter().any(|address| address.port() != port) {
        return Err(LinkError::Config("the addresses to listen on have different ports"));
    }
    let mut tries = if port == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match try_bind(config, alpn, &listen).await {
            Err(LinkError::Listen { .. }) if tries > 0 => {}
            result => return result,
        }
    }
}

async fn try_bind(
    config: &EndpointConfig,
    alpn: &[u8],
    listen: &[SocketAddr],
) -> Result<(Vec<TcpListener>, Bound), LinkError> {
    let mut listen = listen.to_vec();
    let mut listeners = Vec::new();
    let failed = |address: SocketAddr, error: io::Error| LinkError::Listen {
        address,
        why: error.to_string(),
    };
    for index in 0..listen.len() {
        if listen[index].port() == 0 {
            let found = find_port(&mut listen[index], config.tcp);
            listeners.extend(found.map_err(|error| failed(listen[index], error))?);
            let port = listen[index].port();
            listen.iter_mut().for_each(|address| address.set_port(port));
        } else if config.tcp {
            let listener = listen_tcp(listen[index]);
            listeners.push(listener.map_err(|error| failed(listen[index], error))?);
        }
    }
    let quic = match config.quic {
        true => {
            let (places, finder) = (udp_places(&listen), config.finder.clone());
            Some(quic::bind(&config.secret, alpn, &places, &config.relays, finder).await?)
        }
        false => None,
    };
    Ok((listeners, Bound { quic, listen }))
}

/// Finds a port that is free; holds on to it if it is for TCP.
fn find_port(address: &mut SocketAddr, tcp: bool) -> io::Result<Option<TcpListener>> {
    if tcp {
        let mut listener = listen_tcp(*address);
        if listener.is_err() && *address == EVERYWHERE {
            // A system without IPv6.
            address.set_ip(Ipv4Addr::UNSPECIFIED.into());
            listener = listen_tcp(*address);
        }
        let listener = listener?;
        address.set_port(listener.local_addr()?.port());
        Ok(Some(listener))
    } else {
        address.set_port(UdpSocket::bind(*address)?.local_addr()?.port());
        Ok(None)
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        // `[::]` takes IPv4 too, whatever the system's default is.
        rustix::net::sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    // A node that restarts takes its port again at once. On Windows it would share it.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// iroh takes one address of each family: the first. `[::]` stands for both families.
fn udp_places(listen: &[SocketAddr]) -> Vec<UdpPlace> {
    let mut places: Vec<UdpPlace> = Vec::new();
    let mut add = |address: SocketAddr, optional| {
        if !places.iter().any(|place| place.address.is_ipv6() == address.is_ipv6()) {
            places.push(UdpPlace { address, optional });
        }
    };
    for &address in listen {
        if address.is_ipv6() && address.ip().is_unspecified() {
            add(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()), false);
            add(address, true);
        } else {
            add(address, false);
        }
    }
    places
}

impl Bound {
    /// A QUIC endpoint beside ours on other ports, which has no relays and asks nobody.
    pub(crate) async fn another_quic(
        &self,
        secret: &SecretKey,
        alpn: &[u8],
    ) -> Result<iroh::Endpoint, LinkError> {
        let mut places = udp_places(&self.listen);
        places.iter_mut().for_each(|place| place.address.set_port(0));
        // Boxed: what waits for a dial would be too deep a type for the compiler.
        quic::bind(secret, alpn, &places, &[], None).boxed().await
    }

    /// The addresses that lead here.
    pub(crate) fn addr(&self, id: PeerId) -> PeerAddr {
        let port = self.listen.first().map_or(0, SocketAddr::port);
        let mut ips: Vec<IpAddr> = Vec::new();
        let needs_interfaces = self.listen.iter().any(|address| address.ip().is_unspecified());
        let local =
            if needs_interfaces { LocalAddresses::new() } else { LocalAddresses::default() };
        for address in &self.listen {
            match address.ip() {
                IpAddr::V6(ip) if ip.is_unspecified() => ips.extend(&local.regular),
                IpAddr::V4(ip) if ip.is_unspecified() => {
                    ips.extend(local.regular.iter().filter(|ip| ip.is_ipv4()));
                }
                ip => ips.push(ip),
            }
        }
        let mut direct: Vec<_> =
            ips.into_iter().filter(is_portable).map(|ip| SocketAddr::new(ip, port)).collect();
        let mut relay = None;
        for place in self.quic.iter().flat_map(|quic| quic.addr().addrs) {
            match place {
                TransportAddr::Ip(address) if is_portable(&address.ip()) => direct.push(address),
                TransportAddr::Relay(url) => relay = Some(url.to_string()),
                _ => {}
            }
        }
        let outside = direct.iter().any(|address| !address.ip().is_loopback());
        direct.retain(|address| !(outside && address.ip().is_loopback()));
        if direct.is_empty() {
            direct.extend(local.loopback.iter().map(|ip| SocketAddr::new(*ip, port)));
        }
        let mut seen = BTreeSet::new();
        direct.retain(|address| seen.insert(*address));
        direct.truncate(limits::PEER_ADDRS);
        PeerAddr { id, direct, relay }
    }
}

/// Whether an address means the same to others: one of a single cable does not.
fn is_portable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_means_both_families_and_ipv6_is_optional() {
        let places = udp_places(&["[::]:7".parse().unwrap()]);
        let expected = [("0.0.0.0:7", false), ("[::]:7", true)]
            .map(|(text, optional)| UdpPlace { address: text.parse().unwrap(), optional });
        assert_eq!(places, expected);
        let both = ["127.0.0.1:7", "[::1]:7", "127.0.0.2:7"].map(|text| text.parse().unwrap());
        let places = udp_places(&both);
        assert_eq!(places.iter().map(|place| place.address).collect::<Vec<_>>(), both[..2]);
    }
}
