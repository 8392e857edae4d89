//! A dial: every address of a peer over TCP, one after the other but soon, and QUIC beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use iroh::EndpointAddr;
use potluck_base::{PeerAddr, limits};
use tokio::time::{Instant, sleep_until};

use crate::control::{ControlRx, ControlTx};
use crate::error::{Attempt, DialFault, LinkError, Transport, sum_up};
use crate::hub::{Hub, RoundTrip};
use crate::link::{Carrier, Link};
use crate::preface::{self, LinkId, Preface, Purpose};
use crate::quic::{self, QuicCarrier};
use crate::tls_dial::LaneDialler;
use crate::{quic_dial, quic_listen, tls_dial};

/// Between two addresses over TCP, unless one fails sooner.
const STAGGER: Duration = Duration::from_millis(50);
/// By how much TCP may be behind QUIC and still be taken.
const TCP_LEAD: Duration = Duration::from_millis(150);

/// Reaches a peer over whatever answers first, TCP preferred.
pub(crate) async fn dial(
    hub: &Arc<Hub>,
    addr: &PeerAddr,
    tcp: bool,
    quic: Option<(&iroh::Endpoint, bool)>,
) -> Result<Link, LinkError> {
    if addr.id == hub.id {
        return Err(LinkError::Ourselves);
    }
    if hub.closed.is_cancelled() {
        return Err(LinkError::Closed);
    }
    let room = hub.room(true).ok_or(LinkError::Busy)?;
    let link = LinkId::random();
    let mut race = Race::new(hub, addr, link, tcp, quic);
    let taken = tokio::select! {
        () = hub.closed.cancelled() => return Err(LinkError::Closed),
        taken = race.run() => taken,
    };
    let Some(taken) = taken else {
        return Err(sum_up(addr, race.failed));
    };
    let made = match taken {
        Taken::Tcp(taken) => {
            let tls_dial::Taken { mut stream, remote, rtt } = taken;
            let (tls, tasks) = (hub.tls.clone(), hub.tasks.clone());
            let dialler = Some(LaneDialler { tls, remote, link, tasks });
            let carrier = Carrier::Tcp { remote, rtt: RoundTrip::from(rtt), dialler };
            let new = hub.prepare(addr.id, link, true, carrier, room).ok_or(LinkError::Closed)?;
            preface::go(&mut stream).await.map(|()| {
                let (tx, rx) = stream.split();
                new.start(ControlTx::Tls(tx), ControlRx::Tls(rx))
            })
        }
        Taken::Quic(taken) => {
            let quic_dial::Taken { connection, mut control } = taken;
            let carrier = Carrier::Quic(QuicCarrier::new(connection.clone()));
            let new = hub.prepare(addr.id, link, true, carrier, room).ok_or(LinkError::Closed)?;
            preface::go(&mut control)
                .await
                .map(|()| quic_listen::start(hub, new, connection, control))
        }
    };
    made.map_err(|error| LinkError::Broken(error.to_string()))
}

enum Taken {
    Tcp(tls_dial::Taken),
    Quic(quic_dial::Taken),
}

/// How an attempt ended: over what, to where, and with what.
type Finish = (Transport, String, Result<Taken, DialFault>);

/// The attempts of one dial.
struct Race<'a> {
    hub: &'a Arc<Hub>,
    addr: &'a PeerAddr,
    preface: Preface,
    /// Addresses still to be tried over TCP.
    waiting: std::vec::IntoIter<SocketAddr>,
    quic: Option<(iroh::Endpoint, EndpointAddr)>,
    running: FuturesUnordered<BoxFuture<'static, Finish>>,
    /// What is running: an attempt that is still in here when time is up has timed out.
    open: Vec<(Transport, String)>,
    /// Whether anybody took a TCP connection.
    tcp_connected: Arc<AtomicBool>,
    failed: Vec<Attempt>,
}

impl<'a> Race<'a> {
    fn new(
        hub: &'a Arc<Hub>,
        addr: &'a PeerAddr,
        link: LinkId,
        tcp: bool,
        quic: Option<(&iroh::Endpoint, bool)>,
    ) -> Self {
        let mut direct: Vec<_> = addr
            .direct
            .iter()
            .copied()
            .filter(quic::is_dialable)
            .take(limits::PEER_ADDRS)
            .collect();
        let quic = quic.and_then(|(endpoint, relays)| {
            Some((endpoint.clone(), quic::target(addr, &direct, relays)?))
        });
        if !tcp {
            direct.clear();
        }
        Self {
            hub,
            addr,
            preface: Preface { purpose: Purpose::Control, link },
            waiting: direct.into_iter(),
            quic,
            running: FuturesUnordered::new(),
            open: Vec::new(),
            tcp_connected: Arc::default(),
            failed: Vec::new(),
        }
    }

    /// The winner; without one, all failures are in `failed`.
    async fn run(&mut self) -> Option<Taken> {
        let start = Instant::now();
        let end = start + limits::DIAL_TIME;
        let (mut next_tcp, mut next_quic) = (start, start + TCP_LEAD);
        // A QUIC connection that waits whether TCP makes it, and how long it does.
        let mut second: Option<(Taken, Instant)> = None;
        loop {
            let now = Instant::now();
            if self.waiting.len() == 0 && self.open.is_empty() {
                next_quic = now;
            }
            if next_tcp <= now {
                self.start_tcp();
                next_tcp = now + STAGGER;
            }
            if next_quic <= now {
                self.start_quic();
            }
            if self.waiting.len() == 0 && self.open.is_empty() {
                return second.map(|(taken, _)| taken);
            }
            let mut wake = second.as_ref().map_or(end, |(_, until)| end.min(*until));
            if self.waiting.len() > 0 {
                wake = wake.min(next_tcp);
            }
            if self.quic.is_some() {
                wake = wake.min(next_quic);
            }
            tokio::select! {
                Some((over, to, result)) = self.running.next() => {
                    self.open.retain(|open| *open != (over, to.clone()));
                    match result {
                        Err(fault) => {
                            self.failed.push(Attempt { over, to, fault });
                            next_tcp = Instant::now();
                        }
                        Ok(taken @ Taken::Quic(_)) if self.tcp_is_close() => {
                            let now = Instant::now();
                            second = Some((taken, now + TCP_LEAD.max(now - start)));
                        }
                        Ok(taken) => return Some(taken),
                    }
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if second.as_ref().is_some_and(|(_, until)| *until <= now) {
                        return second.map(|(taken, _)| taken);
                    }
                    if end <= now {
                        self.time_is_up();
                        return None;
                    }
                }
            }
        }
    }

    /// Whether a TCP connection stands and is only shaking hands.
    fn tcp_is_close(&self) -> bool {
        self.tcp_connected.load(Ordering::Relaxed)
            && self.open.iter().any(|(over, _)| *over == Transport::Tcp)
    }

    fn start_tcp(&mut self) {
        let Some(remote) = self.waiting.next() else {
            return;
        };
        let (tls, connected) = (self.hub.tls.clone(), self.tcp_connected.clone());
        let dialled = tls_dial::dial(tls, self.addr.id, remote, self.preface, connected);
        let to = remote.to_string();
        self.open.push((Transport::Tcp, to.clone()));
        self.running
            .push(Box::pin(async move { (Transport::Tcp, to, dialled.await.map(Taken::Tcp)) }));
    }

    fn start_quic(&mut self) {
        let Some((endpoint, target)) = self.quic.take() else {
            return;
        };
        let places: Vec<_> = target.addrs.iter().map(|place| place.to_string()).collect();
        let to = places.join(", ");
        self.open.push((Transport::Quic, to.clone()));
        let alpn = self.hub.tls.alpn().to_vec();
        let dialled = quic_dial::dial(endpoint, target, alpn, self.preface);
        self.running
            .push(Box::pin(async move { (Transport::Quic, to, dialled.await.map(Taken::Quic)) }));
    }

    fn time_is_up(&mut self) {
        for (over, to) in self.open.drain(..) {
            self.failed.push(Attempt { over, to, fault: DialFault::TimedOut });
        }
    }
}
