//! Listening on TCP: strangers knock, peers become links, lanes find theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use potluck_base::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use crate::control::{ControlRx, ControlTx};
use crate::hub::{Hub, RoundTrip};
use crate::lane::{LaneRx, LaneTx, Rx, Tx};
use crate::lanes::Slot;
use crate::link::{Carrier, Shared};
use crate::preface::{self, Answer, LinkId, Purpose};
use crate::tls::{Handshake, TlsError, TlsLaneRx, TlsLaneTx, TlsStream};

/// Pause after the system could not give us a connection: it lacks descriptors or memory.
const BREATHER: Duration = Duration::from_millis(50);

/// Takes connections until the endpoint closes.
pub(crate) async fn listen(hub: Arc<Hub>, listener: TcpListener) {
    loop {
        let (socket, remote) = tokio::select! {
            () = hub.closed.cancelled() => return,
            knock = listener.accept() => match knock {
                Ok(knock) => knock,
                Err(error) => {
                    debug!(%error, "no connection could be taken");
                    tokio::time::sleep(BREATHER).await;
                    continue;
                }
            },
        };
        let pass = hub.gate.enter(remote.ip());
        let hub = hub.clone();
        hub.tasks.clone().spawn(async move {
            tokio::select! {
                () = hub.closed.cancelled() => {}
                () = pass.thrown_out() => debug!(%remote, "too many half-open connections"),
                done = timeout(limits::HELLO_TIME, serve(&hub, socket, remote)) => match done {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => debug!(%remote, %why, "refused a connection"),
                    Err(_) => debug!(%remote, "a connection said too little for too long"),
                },
            }
        });
    }
}

async fn serve(hub: &Arc<Hub>, socket: TcpStream, remote: SocketAddr) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    socket.set_nodelay(true).map_err(io)?;
    let shaken = TlsStream::shake(socket, Handshake::accept(&hub.tls)).await;
    let mut stream = shaken.map_err(|error| match error {
        TlsError::Version => "it speaks another version".to_owned(),
        error => format!("{error:?}"),
    })?;
    let Some(preface) = preface::hear(&mut stream).await.map_err(io)? else {
        return Err("a preface without sense".to_owned());
    };
    match preface.purpose {
        Purpose::Control => control(hub, stream, remote, preface.link).await,
        purpose => lane(hub, stream, preface.link, purpose).await,
    }
}

async fn control(
    hub: &Arc<Hub>,
    mut stream: TlsStream,
    remote: SocketAddr,
    id: LinkId,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let carrier = Carrier::Tcp { remote, rtt: RoundTrip::new(), dialler: None };
    let new = match hub.room(false) {
        Some(room) => hub.prepare(stream.peer(), id, false, carrier, room),
        None => None,
    };
    let Some(new) = new else {
        preface::answer(&mut stream, Answer::NoRoom).await.map_err(io)?;
        return Err("no room for another link".to_owned());
    };
    let asked = Instant::now();
    preface::answer(&mut stream, Answer::Yes).await.map_err(io)?;
    if !preface::hear_go(&mut stream).await.map_err(io)? {
        return Err("no go".to_owned());
    }
    if let Carrier::Tcp { rtt, .. } = &new.shared().carrier {
        let _ = rtt.set(asked.elapsed());
    }
    let (tx, rx) = stream.split();
    hub.arrived(new.start(ControlTx::Tls(tx), ControlRx::Tls(rx)));
    Ok(())
}

async fn lane(
    hub: &Arc<Hub>,
    mut stream: TlsStream,
    id: LinkId,
    purpose: Purpose,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    // A link is only ever found by the key that dialled it.
    let Some(link) = hub.find_accepted(stream.peer(), id) else {
        preface::answer(&mut stream, Answer::NoSuchLink).await.map_err(io)?;
        return Err("a lane without a link".to_owned());
    };
    let slot = match purpose {
        Purpose::LaneToDialler => link.lanes.slot_to_peer(),
        _ => link.lanes.slot_from_peer(),
    };
    let Some(slot) = slot else {
        preface::answer(&mut stream, Answer::NoRoom).await.map_err(io)?;
        return Err("too many lanes".to_owned());
    };
    preface::answer(&mut stream, Answer::Yes).await.map_err(io)?;
    attach(&link, stream, purpose, slot).map_err(io)
}

fn attach(link: &Shared, stream: TlsStream, purpose: Purpose, slot: Slot) -> std::io::Result<()> {
    if purpose == Purpose::LaneToDialler {
        let lane = TlsLaneTx::new(stream)?;
        if link.lanes.remember(lane.socket()) {
            link.lanes.offer_outgoing(LaneTx::new(Tx::Tls(lane), slot));
        }
    } else {
        let lane = TlsLaneRx::new(stream)?;
        if link.lanes.remember(lane.socket()) {
            link.lanes.offer_incoming(LaneRx::new(Rx::Tls(lane), slot));
        }
    }
    Ok(())
}
