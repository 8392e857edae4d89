//! The server: listens on loopback, publishes its token, stops in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use potluck_api::{ApiError, ApiFile, ErrorKind};
use potluck_node::NodeHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::guard::{Guard, guard};
use crate::node::Node;
use crate::routes::{Shared, router};
use crate::token::{PublishedFile, new_token};

/// A request's body: a command with as many paths as fit a command line.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long connections may take to end once the server stops.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Why the API does not run.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Somebody asked for an address that others could reach.
    #[error("the API listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address is taken, or the system refuses it.
    #[error("the API cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The home cannot be written, or the system has no randomness.
    #[error("the API's token cannot be published in the home: {0}")]
    Publish(#[from] io::Error),
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        let kind = match error {
            HttpError::NotLoopback(_) => ErrorKind::Usage,
            HttpError::Listen { .. } => ErrorKind::Busy,
            HttpError::Publish(_) => ErrorKind::Denied,
        };
        ApiError::from_error(kind, &error)
    }
}

/// A running API. Dropping it stops it at once; [`ApiServer::stop`] lets commands say their last
/// words.
#[derive(Debug)]
pub struct ApiServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What a request must show.
    pub token: String,
    /// Ends commands.
    stopping: CancellationToken,
    /// Ends the listener.
    closing: CancellationToken,
    task: JoinHandle<()>,
    /// Goes away with this value.
    _published: PublishedFile,
}

/// Serves the API of a node that ends with the command it runs, on a loopback address; port 0 takes
/// a free one.
pub async fn serve(handle: NodeHandle, listen: SocketAddr) -> Result<ApiServer, HttpError> {
    serve_node(handle, listen, false).await
}

/// Serves the API of a node that goes on until it is told to stop.
pub async fn serve_daemon(handle: NodeHandle, listen: SocketAddr) -> Result<ApiServer, HttpError> {
    serve_node(handle, listen, true).await
}

async fn serve_node<N: Node>(
    node: N,
    listen: SocketAddr,
    daemon: bool,
) -> Result<ApiServer, HttpError> {
    if !listen.ip().is_loopback() {
        return Err(HttpError::NotLoopback(listen));
    }
    let refused = |error| HttpError::Listen { address: listen, error };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let token = new_token()?;
    let stopping = CancellationToken::new();
    let closing = CancellationToken::new();
    let file = ApiFile { address, token: token.clone(), pid: std::process::id(), daemon };
    let router = guarded(node.clone(), Guard::new(address, token.clone()), stopping.clone());
    // Published last: who reads the file finds somebody listening.
    let published = PublishedFile::publish(node.home(), &file)?;
    node.set_api_address(address);
    let server = axum::serve(listener, router);
    let server = server.with_graceful_shutdown(closing.clone().cancelled_owned());
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the API ended");
        }
    });
    Ok(ApiServer { address, token, stopping, closing, task, _published: published })
}

fn guarded<N: Node>(node: N, guard_by: Guard, stopping: CancellationToken) -> Router {
    router(Shared { node, stopping })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        // The last layer is the first that a request meets.
        .layer(from_fn_with_state(Arc::new(guard_by), guard))
}

impl ApiServer {
    /// Ends running commands, as interrupted where they do not end by themselves, and takes no
    /// more.
    ///
    /// The file in the home stays, so that whoever waits for the node's end sees it come with
    /// [`ApiServer::stop`].
    pub fn end_commands(&self) {
        self.stopping.cancel();
    }

    /// Stops: no new requests, running commands end, connections close.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.closing.cancel();
        if timeout(CLOSE_TIME, &mut self.task).await.is_err() {
            tracing::debug!("the API's connections did not end in time");
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.closing.cancel();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
