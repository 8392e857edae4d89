//! Dialling over QUIC: one attempt for all addresses, for iroh tries them together.

use iroh::EndpointAddr;
use iroh::endpoint::{ConnectError, ConnectingError, Connection, RecvStream, SendStream};

use crate::error::DialFault;
use crate::preface::{self, Preface};
use crate::quic::fault_of;

/// A connection to the right peer, which took it. Dropping it hangs up.
pub(crate) struct Taken {
    pub(crate) connection: Connection,
    pub(crate) control: (SendStream, RecvStream),
}

/// Connects, says what for, and waits for the answer.
pub(crate) async fn dial(
    endpoint: iroh::Endpoint,
    target: EndpointAddr,
    alpn: Vec<u8>,
    preface: Preface,
) -> Result<Taken, DialFault> {
    let connection = endpoint.connect(target, &alpn).await.map_err(|error| explain(&error))?;
    let mut control = connection.open_bi().await.map_err(|error| fault_of(&error))?;
    // That the connection stands does not mean that the peer took it.
    match preface::ask(&mut control, preface).await {
        Ok(answer) => answer?,
        Err(_) => {
            return Err(match connection.close_reason() {
                Some(error) => fault_of(&error),
                None => DialFault::HungUp,
            });
        }
    }
    Ok(Taken { connection, control })
}

fn explain(error: &ConnectError) -> DialFault {
    match error {
        ConnectError::Connecting {
            source: ConnectingError::ConnectionError { source, .. },
            ..
        }
        | ConnectError::Connection { source, .. } => fault_of(source),
        error => DialFault::Other(error.to_string()),
    }
}
