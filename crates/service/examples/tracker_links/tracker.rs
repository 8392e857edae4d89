//! The tracker, put together as a node does it, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use potluck_base::{PeerAddr, limits};
use potluck_identity::{SecretKey, TrackerTicket};
use potluck_link::{Endpoint, EndpointConfig};
use potluck_service::Notices;
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_service::tracker::sqlite::SqliteStore;
use potluck_service::tracker::{Config, ServerSetup, TrackerServer};
use potluck_store::Store;

use crate::role::{Role, orders};

const TOKEN: [u8; 16] = [7; 16];

fn key() -> SecretKey {
    SecretKey::from_seed([200; 32])
}

pub fn place(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// The right to make a network at the tracker on this port.
pub fn ticket(port: u16) -> TrackerTicket {
    let addr = PeerAddr { id: key().peer_id(), direct: vec![place(port)], relay: None };
    TrackerTicket { addr, token: TOKEN }
}

/// How everybody here listens: TCP on loopback.
pub fn config(secret: SecretKey, port: u16, links: usize) -> EndpointConfig {
    let (listen, quic) = (vec![place(port)], false);
    EndpointConfig { listen, quic, links, ..EndpointConfig::new(secret) }
}

/// Starts a tracker; it tells its port.
pub async fn start(folder: &Path, port: u16) -> Role {
    Role::start(&["tracker", folder.to_str().unwrap(), &port.to_string()]).await
}

/// Is a tracker until the process that wanted one is gone.
pub async fn run(folder: &Path, port: u16) {
    let store = Store::open(folder).unwrap();
    let endpoint = Endpoint::bind(config(key(), port, limits::TRACKER_LINKS)).await.unwrap();
    let port = endpoint.addr().direct[0].port();
    let notices = Notices::new();
    let peers = Peers::new(endpoint, "bench/1".to_owned(), notices.clone());
    let swarms = Swarms::new(store, Arc::clone(&peers), notices.clone());
    peers.set_links_max(limits::TRACKER_LINKS);
    let server = TrackerServer::start(ServerSetup {
        secret: key(),
        config: Config { token: Some(TOKEN), ..Config::default() },
        store: Arc::new(SqliteStore::open(&folder.join("tracker.db")).unwrap()),
        peers: Arc::clone(&peers),
        notices,
    });
    let _server = server.await.unwrap();
    peers.start(&swarms);
    println!("{port}");
    // Ends when nobody can give orders any more.
    let mut orders = orders();
    while let Ok(Some(_)) = orders.next_line().await {}
}
