//! Whoever hears what trackers, their clients and members of circles say on links.

use std::sync::{Arc, RwLock};

use futures_util::future::BoxFuture;
use potluck_base::{NetworkId, PeerId};
use potluck_proto::CircleFrame;
use potluck_proto::directory::tracker;

use super::Linked;

/// Hears of links and of the frames that are about networks.
///
/// The reader of the link waits for it, so that whoever sends faster than it is heard waits too.
pub trait FrameListener: Send + Sync {
    /// There is a link to a peer. Comes before any frame of it, and after the end of an earlier
    /// link.
    fn link_up(&self, peer: PeerId) -> BoxFuture<'_, ()>;
    /// The last link to a peer has ended.
    fn link_down(&self, peer: PeerId) -> BoxFuture<'_, ()>;
    /// A peer sent this.
    fn tracker<'a>(
        &'a self,
        linked: &'a Arc<Linked>,
        message: tracker::Message,
    ) -> BoxFuture<'a, ()>;
    /// A peer sent this to another member of a network.
    fn circle<'a>(&'a self, linked: &'a Arc<Linked>, frame: &'a CircleFrame) -> BoxFuture<'a, ()> {
        let _ = (linked, frame);
        Box::pin(async {})
    }
    /// A peer has shown that it is a member of these networks, and was told that we are.
    fn admitted<'a>(
        &'a self,
        linked: &'a Arc<Linked>,
        networks: &'a [NetworkId],
    ) -> BoxFuture<'a, ()> {
        let _ = (linked, networks);
        Box::pin(async {})
    }
}

/// All that listen.
#[derive(Default)]
pub(super) struct Listeners(RwLock<Vec<Arc<dyn FrameListener>>>);

impl Listeners {
    pub(super) fn add(&self, listener: Arc<dyn FrameListener>) {
        self.0.write().expect("no panic while held").push(listener);
    }

    pub(super) async fn link_up(&self, peer: PeerId) {
        for listener in self.all() {
            listener.link_up(peer).await;
        }
    }

    pub(super) async fn link_down(&self, peer: PeerId) {
        for listener in self.all() {
            listener.link_down(peer).await;
        }
    }

    pub(super) async fn tracker(&self, linked: &Arc<Linked>, message: tracker::Message) {
        let mut all = self.all();
        let last = all.pop();
        for listener in all {
            listener.tracker(linked, message.clone()).await;
        }
        if let Some(last) = last {
            last.tracker(linked, message).await;
        }
    }

    pub(super) async fn circle(&self, linked: &Arc<Linked>, frame: &CircleFrame) {
        for listener in self.all() {
            listener.circle(linked, frame).await;
        }
    }

    pub(super) async fn admitted(&self, linked: &Arc<Linked>, networks: &[NetworkId]) {
        for listener in self.all() {
            listener.admitted(linked, networks).await;
        }
    }

    fn all(&self) -> Vec<Arc<dyn FrameListener>> {
        self.0.read().expect("no panic while held").clone()
    }
}
