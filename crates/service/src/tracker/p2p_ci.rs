//! The tracker's gateway for clients of the classic course protocol P2P-CI/1.0.
//!
//! Clients without keys register files under the address that they came from; a client cannot
//! register for another machine. What a connection registered goes when it ends. A client that
//! connects anew for each request keeps its records for a lease of [`limits::CI_LEASE`], renewed
//! by any request for the same address and port.

mod book;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use potluck_base::limits;
use potluck_proto::p2p_ci::{Dialect, Method, Request, Row, SERVER_PORT, Status, print_rows};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::book::Book;
use crate::p2p_ci::listen::accept_all;
use crate::p2p_ci::talk::{Ended, Talk};

/// Where the gateway listens unless it is told otherwise: this machine only.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SERVER_PORT);
/// How often leases are looked at.
const SWEEP: Duration = Duration::from_secs(30);
/// Time for the name that a client of this machine claims to be resolved.
const RESOLVE_TIME: Duration = Duration::from_secs(1);

/// A row of the index: number, title, and where the file can be fetched.
pub type CiRow = Row;

/// A client that registers files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiPeer {
    /// The host that it claims; for display only.
    pub host: String,
    /// Where its GET server is: the address that it came from, and the port that it claims.
    pub address: SocketAddr,
}

/// Why a file is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CiRefusal(pub String);

/// The index behind the gateway. Calls block, and run on threads of their own.
pub trait CiBackend: Send + Sync + 'static {
    /// Registers a file; the same once more is no error. The row for others is the peer's
    /// [`CiPeer::address`].
    fn add(&self, peer: &CiPeer, number: u32, title: &str) -> Result<(), CiRefusal>;
    /// Drops everything that a client registered.
    fn gone(&self, peer: &CiPeer);
    /// Drops everything that any client registered: the gateway starts or ends, nobody is there.
    fn reset(&self);
    /// Who has a file: those of a number, or, where none is given, of a title. At most
    /// [`limits::CI_ROWS`] are shown.
    fn lookup(&self, number: Option<u32>, title: Option<&str>) -> Vec<CiRow>;
    /// The index; at most [`limits::CI_ROWS`] are shown.
    fn list(&self) -> Vec<CiRow>;
}

/// A gateway that is bound and not yet running.
pub struct Gateway {
    listener: TcpListener,
    backend: Arc<dyn CiBackend>,
}

impl Gateway {
    /// Binds it.
    pub async fn bind(listen: SocketAddr, backend: Arc<dyn CiBackend>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let listen = listener.local_addr()?;
        tracing::warn!(
            %listen,
            "P2P-CI speaks clear text without keys: whoever can connect can list and register"
        );
        Ok(Self { listener, backend })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let desk = Desk { backend: self.backend, book: Arc::default() };
        desk.ask(|backend| backend.reset()).await;
        let sweeper = tokio::spawn(desk.clone().sweep());
        accept_all(self.listener, stop, |stream, from| desk.clone().serve(stream, from)).await;
        sweeper.abort();
        desk.ask(|backend| backend.reset()).await;
    }
}

/// What all connections share.
#[derive(Clone)]
struct Desk {
    backend: Arc<dyn CiBackend>,
    book: Arc<Mutex<Book>>,
}

/// One connection's part.
struct Visit {
    from: IpAddr,
    /// Our own address on this connection: what a row of this machine is called elsewhere.
    local: IpAddr,
    /// Clients that registered here.
    peers: BTreeSet<SocketAddr>,
    requests: u32,
    last: Instant,
}

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the index on a thread of its own.
    async fn ask<T, F>(&self, question: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn CiBackend) -> T + Send + 'static,
    {
        let backend = self.backend.clone();
        tokio::task::spawn_blocking(move || question(backend.as_ref())).await.ok()
    }

    async fn sweep(self) {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            let expired = self.book().expire(Instant::now());
            self.drop_all(expired).await;
        }
    }

    async fn drop_all(&self, peers: Vec<CiPeer>) {
        for peer in peers {
            tracing::debug!(address = %peer.address, "a P2P-CI client is gone");
            self.ask(move |backend| backend.gone(&peer)).await;
        }
    }

    async fn serve(self, stream: TcpStream, from: SocketAddr) {
        let mut talk = Talk::new(stream);
        let local = talk.local().map_or(from.ip(), |local| local.ip().to_canonical());
        let mut visit = Visit {
            from: from.ip(),
            local,
            peers: BTreeSet::new(),
            requests: 0,
            last: Instant::now(),
        };
        while let Some((request, dialect)) = talk.next().await {
            visit.requests += 1;
            let answer = self.answer(&mut visit, request, &dialect).await;
            visit.last = Instant::now();
            if talk.send(&answer).await.is_err() {
                break;
            }
        }
        let brief = visit.requests <= 1
            && talk.ended() == Ended::Client
            && visit.last.elapsed() <= limits::CI_ONE_SHOT;
        let gone = self.book().release(&visit.peers, brief, Instant::now());
        self.drop_all(gone).await;
        talk.close().await;
    }

    async fn answer(
        &self,
        visit: &mut Visit,
        request: Result<Request, Status>,
        dialect: &Dialect,
    ) -> Vec<u8> {
        let (request, method) = match request {
            Ok(request) => (request.clone(), request.method),
            Err(status) => return print_rows(status, &[], Method::Get, dialect),
        };
        if let Some(port) = request.port {
            self.book().renew(visit.from, port, Instant::now());
        }
        let found = match method {
            Method::Add => self.add(visit, &request).await,
            Method::Lookup => self.lookup(request).await,
            Method::List => self.ask(|backend| backend.list()).await.ok_or(Status::NotFound),
            Method::Register => Ok(Vec::new()),
            Method::Leave => self.leave(visit, &request).await,
            Method::Get => Err(Status::BadRequest),
        };
        match found {
            Ok(mut rows) => {
                rows.iter_mut().for_each(|row| visit.mend(row));
                print_rows(Status::Ok, &rows, method, dialect)
            }
            Err(status) => print_rows(status, &[], method, dialect),
        }
    }

    async fn add(&self, visit: &mut Visit, request: &Request) -> Result<Vec<CiRow>, Status> {
        let (Some(number), Some(port)) = (request.number, request.port) else {
            return Err(Status::BadRequest);
        };
        let claimed = request.host.as_deref().unwrap_or("");
        let Some(ip) = vouch(visit.from, claimed).await else {
            tracing::info!(from = %visit.from, claimed, "P2P-CI: not for another machine");
            return Err(Status::BadRequest);
        };
        let title =
            potluck_proto::p2p_ci::clean_title(request.title.as_deref().unwrap_or(""), number);
        let address = SocketAddr::new(ip, port);
        let peer = CiPeer { host: claimed.to_owned(), address };
        let fresh = visit.peers.insert(address);
        let admitted = self.book().admit(&peer, visit.from, fresh, (number, &title));
        if let Err(refusal) = admitted {
            if !self.book().knows(&address) {
                visit.peers.remove(&address);
            }
            tracing::info!(from = %visit.from, %refusal, "P2P-CI: a file was refused");
            return Err(Status::BadRequest);
        }
        let row = CiRow { number, title: title.clone(), host: ip.to_string(), port };
        match self.ask(move |backend| backend.add(&peer, number, &title)).await {
            Some(Ok(())) => Ok(vec![row]),
            Some(Err(refusal)) => {
                tracing::info!(from = %visit.from, %refusal, "P2P-CI: a file was refused");
                Err(Status::BadRequest)
            }
            None => Err(Status::BadRequest),
        }
    }

    /// Rows of the number, those of the title first: clients send titles that they do not know.
    async fn lookup(&self, request: Request) -> Result<Vec<CiRow>, Status> {
        let Request { number, title, .. } = request;
        let wanted = title.clone().map(|title| title.to_lowercase());
        let asked = if number.is_some() { None } else { title };
        let rows = self.ask(move |backend| backend.lookup(number, asked.as_deref())).await;
        let mut rows = rows.unwrap_or_default();
        if rows.is_empty() {
            return Err(Status::NotFound);
        }
        rows.sort_by_key(|row| wanted.as_ref().is_none_or(|w| row.title.to_lowercase() != *w));
        Ok(rows)
    }

    /// A goodbye: for what this connection registered, or for this client's own address.
    async fn leave(&self, visit: &mut Visit, request: &Request) -> Result<Vec<CiRow>, Status> {
        let mut peers = std::mem::take(&mut visit.peers);
        if let Some(port) = request.port {
            peers.extend(self.book().of(visit.from, port));
        }
        let gone = self.book().leave(&peers);
        self.drop_all(gone).await;
        Ok(Vec::new())
    }
}

impl Visit {
    /// A row of this machine is no use elsewhere under its loopback address.
    fn mend(&self, row: &mut CiRow) {
        let loopback = row.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if loopback && !self.from.is_loopback() && !self.local.is_loopback() {
            row.host = self.local.to_string();
        }
    }
}

/// The address for a client that came from `from` and claims `host`; none if it claims to be
/// another machine. A client of this machine may claim any address of it, and is believed about
/// others: it speaks for a tunnel.
async fn vouch(from: IpAddr, host: &str) -> Option<IpAddr> {
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let useless = |ip: &IpAddr| ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
    if !from.is_loopback() {
        // A name is only shown. Some systems give themselves a loopback address.
        return literal.is_none_or(|ip| ip == from || useless(&ip)).then_some(from);
    }
    if let Some(ip) = literal {
        return Some(if useless(&ip) { from } else { ip });
    }
    if host.is_empty() || host.eq_ignore_ascii_case("localhost") {
        return Some(from);
    }
    // Many clients bind their GET server to the address of their own name.
    let resolved = timeout(RESOLVE_TIME, tokio::net::lookup_host((host, 0))).await;
    let Ok(Ok(addresses)) = resolved else { return Some(from) };
    let own = addresses.map(|address| address.ip().to_canonical());
    Some(own.into_iter().find(|ip| ip.is_ipv4() == from.is_ipv4() && is_ours(*ip)).unwrap_or(from))
}

/// Whether an address is one of this machine: only then can it be bound.
fn is_ours(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
