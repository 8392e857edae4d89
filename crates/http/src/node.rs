//! What the routes need of a node, so that they can be tested without one.

use std::future::Future;
use std::path::Path;

use potluck_api::{ApiError, Command, Event, Reply};
use potluck_node::NodeHandle;
use tokio::sync::{broadcast, mpsc};

/// A node as the routes see it.
pub(crate) trait Node: Clone + Send + Sync + 'static {
    /// Runs a command; dropping the future cancels it.
    fn run(
        &self,
        command: Command,
        events: mpsc::Sender<Event>,
    ) -> impl Future<Output = Result<Reply, ApiError>> + Send;

    /// Everything that happens from now on.
    fn subscribe(&self) -> broadcast::Receiver<Event>;

    /// The node's home.
    fn home(&self) -> &Path;

    /// Tells the node where its API listens.
    fn set_api_address(&self, address: std::net::SocketAddr);
}

impl Node for NodeHandle {
    async fn run(&self, command: Command, events: mpsc::Sender<Event>) -> Result<Reply, ApiError> {
        NodeHandle::run(self, command, events).await
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        NodeHandle::subscribe(self)
    }

    fn home(&self) -> &Path {
        NodeHandle::home(self)
    }

    fn set_api_address(&self, address: std::net::SocketAddr) {
        NodeHandle::set_api_address(self, address);
    }
}
