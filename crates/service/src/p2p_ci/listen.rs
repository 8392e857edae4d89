//! Accepts connections within limits, and ends them all when told to.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use potluck_base::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Pause after the system refused a connection, when it lacks descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are open, by address.
type Open = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

/// Hands each connection to `handle` until `stop`; then all of them are dropped. Connections
/// beyond [`limits::CI_CONNECTIONS`] and [`limits::CI_CONNECTIONS_PER_HOST`] are ended at once.
pub(crate) async fn accept_all<H, F>(listener: TcpListener, stop: CancellationToken, handle: H)
where
    H: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let open = Open::default();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            () = stop.cancelled() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(&open, from.ip().to_canonical()) else {
            tracing::debug!(%from, "too many P2P-CI connections");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let work = handle(stream, SocketAddr::new(from.ip().to_canonical(), from.port()));
        tasks.spawn(async move {
            let _place = place;
            work.await;
        });
    }
    tasks.shutdown().await;
}

/// One of the connections that may be open.
struct Place {
    open: Open,
    ip: IpAddr,
}

impl Place {
    fn take(open: &Open, ip: IpAddr) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = counts.get(&ip).copied().unwrap_or(0);
        let all: usize = counts.values().sum();
        if of_host >= limits::CI_CONNECTIONS_PER_HOST || all >= limits::CI_CONNECTIONS {
            return None;
        }
        counts.insert(ip, of_host + 1);
        Some(Self { open: open.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}
