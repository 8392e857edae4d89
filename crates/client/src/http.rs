//! One request on a connection of its own, to a node on this machine: no proxy, redirect or TLS.

use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// Why a request got no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFault {
    /// Nobody listens.
    #[error("nobody listens at {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The connection broke, or the other end speaks no HTTP.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
}

/// An answer whose body is still coming. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

/// Sends a request and waits for the head of the answer.
pub(crate) async fn send(
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, HttpFault> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| HttpFault::Connect { address, error })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move {
        // A connection that breaks is told by the body, too.
        let _ = connection.await;
    });
    let connection = AbortOnDropHandle::new(connection);
    let host = HeaderValue::from_str(&address.to_string()).expect("an address is plain ASCII");
    request.headers_mut().insert(header::HOST, host);
    let response = sender.send_request(request).await?;
    Ok(Answer { response, _connection: connection })
}

impl Answer {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Whether the body is of this kind.
    pub(crate) fn is(&self, kind: &str) -> bool {
        let found = self.response.headers().get(header::CONTENT_TYPE);
        found.is_some_and(|found| found.as_bytes().starts_with(kind.as_bytes()))
    }

    /// The next bytes of the body.
    pub(crate) async fn bytes(&mut self) -> Result<Option<Bytes>, HttpFault> {
        while let Some(frame) = self.response.body_mut().frame().await {
            if let Ok(bytes) = frame?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The whole body.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, HttpFault> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.bytes().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}
