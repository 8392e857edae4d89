//! Listening on QUIC: peers become links; their lanes come as streams of the same connection.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use iroh::endpoint::{Connection, Incoming, IncomingAddr, RecvStream, SendStream, VarInt};
use potluck_base::limits;
use tokio::time::timeout;
use tracing::debug;

use crate::control::{ControlRx, ControlTx};
use crate::hub::{Hub, NewLink};
use crate::link::{Carrier, Link, Shared};
use crate::preface::{self, Answer, Purpose};
use crate::quic::{CODE_NONSENSE, QuicCarrier, peer_of};

/// Takes connections until the endpoint closes.
pub(crate) async fn listen(hub: Arc<Hub>, endpoint: iroh::Endpoint) {
    loop {
        let incoming = tokio::select! {
            () = hub.closed.cancelled() => return,
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => incoming,
                None => return,
            },
        };
        let source = match incoming.remote_addr() {
            IncomingAddr::Ip(address) => address.ip(),
            // All that comes through relays counts as one source.
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let pass = hub.gate.enter(source);
        let hub = hub.clone();
        hub.tasks.clone().spawn(async move {
            tokio::select! {
                () = hub.closed.cancelled() => {}
                () = pass.thrown_out() => debug!(%source, "too many half-open connections"),
                done = timeout(limits::HELLO_TIME, serve(&hub, incoming)) => match done {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => debug!(%source, %why, "refused a connection"),
                    Err(_) => debug!(%source, "a connection said too little for too long"),
                },
            }
        });
    }
}

async fn serve(hub: &Arc<Hub>, incoming: Incoming) -> Result<(), String> {
    let accepting = incoming.accept().map_err(|error| error.to_string())?;
    let connection = accepting.await.map_err(|error| error.to_string())?;
    let mut control = connection.accept_bi().await.map_err(|error| error.to_string())?;
    let io = |error: std::io::Error| error.to_string();
    let heard = preface::hear(&mut control).await.map_err(io)?;
    let Some(preface) = heard.filter(|preface| preface.purpose == Purpose::Control) else {
        connection.close(VarInt::from_u32(CODE_NONSENSE), b"a preface without sense");
        return Err("a preface without sense".to_owned());
    };
    let carrier = Carrier::Quic(QuicCarrier::new(connection.clone()));
    let new = match hub.room(false) {
        Some(room) => hub.prepare(peer_of(&connection), preface.link, false, carrier, room),
        None => None,
    };
    let Some(new) = new else {
        preface::answer(&mut control, Answer::NoRoom).await.map_err(io)?;
        // Until the peer has read that, or given up.
        connection.closed().await;
        return Err("no room for another link".to_owned());
    };
    preface::answer(&mut control, Answer::Yes).await.map_err(io)?;
    if !preface::hear_go(&mut control).await.map_err(io)? {
        return Err("no go".to_owned());
    }
    hub.arrived(start(hub, new, connection, control));
    Ok(())
}

/// Starts a link over QUIC: its control stream, and the taking of lanes.
pub(crate) fn start(
    hub: &Hub,
    new: NewLink,
    connection: Connection,
    (tx, rx): (SendStream, RecvStream),
) -> Link {
    let shared: Arc<Shared> = new.shared().clone();
    hub.tasks.spawn(async move {
        if let Carrier::Quic(carrier) = &shared.carrier {
            carrier.serve_lanes(&shared).await;
        }
        drop(connection);
    });
    new.start(ControlTx::Quic(tx), ControlRx::Quic(rx))
}
