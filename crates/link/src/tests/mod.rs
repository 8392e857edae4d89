//! Stories of links over every transport, on loopback only.

mod dials;
mod hostile;
mod links;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use potluck_base::{PeerAddr, PeerId};
use potluck_identity::SecretKey;

use crate::mem::MemoryNet;
use crate::{Endpoint, EndpointConfig, LaneRx, LaneTx, Link};

/// Long enough that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn id(seed: u8) -> PeerId {
    secret(seed).peer_id()
}

fn loopback(seed: u8, tcp: bool, quic: bool) -> EndpointConfig {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    EndpointConfig { listen, tcp, quic, ..EndpointConfig::new(secret(seed)) }
}

async fn endpoint(seed: u8, tcp: bool, quic: bool) -> Endpoint {
    Endpoint::bind(loopback(seed, tcp, quic)).await.unwrap()
}

fn at(seed: u8, direct: &[SocketAddr]) -> PeerAddr {
    PeerAddr { id: id(seed), direct: direct.to_vec(), relay: None }
}

/// What carries the links of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Tcp,
    Quic,
    Memory,
}

const ALL: [Over; 3] = [Over::Tcp, Over::Quic, Over::Memory];

/// Two endpoints with the seeds 1 and 2, and a link that the first dialled.
struct Pair {
    us: Endpoint,
    them: Endpoint,
    near: Link,
    far: Link,
}

impl Pair {
    async fn new(over: Over) -> Self {
        let (us, them) = match over {
            Over::Memory => {
                let net = MemoryNet::new();
                (net.endpoint(id(1)), net.endpoint(id(2)))
            }
            _ => {
                let (tcp, quic) = (over == Over::Tcp, over == Over::Quic);
                (endpoint(1, tcp, quic).await, endpoint(2, tcp, quic).await)
            }
        };
        let near = us.dial(&them.addr()).await.unwrap();
        let far = them.accept().await.unwrap();
        Self { us, them, near, far }
    }

    /// A lane from the dialler to the acceptor.
    async fn lane_there(&self) -> (LaneTx, LaneRx) {
        let tx = self.near.outgoing_lane().await.unwrap();
        (tx, self.far.incoming_lane().await.unwrap())
    }

    /// A lane from the acceptor to the dialler.
    async fn lane_back(&self) -> (LaneTx, LaneRx) {
        self.near.want_lanes(1);
        self.lane_asked_for().await
    }

    /// The same, where the dialler has already said how many lanes it wants.
    async fn lane_asked_for(&self) -> (LaneTx, LaneRx) {
        let tx = self.far.outgoing_lane().await.unwrap();
        (tx, self.near.incoming_lane().await.unwrap())
    }
}

/// Waits for a thread without holding up the runtime.
async fn join<T: Send + 'static>(thread: thread::JoinHandle<T>) -> T {
    let joined = tokio::task::spawn_blocking(|| thread.join().unwrap());
    tokio::time::timeout(PATIENCE, joined).await.expect("the thread ends").unwrap()
}

/// Fails instead of hanging.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens soon")
}

/// Bytes that do not repeat in step with any buffer.
fn pattern(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}
