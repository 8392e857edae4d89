//! Brings what members say to the circle of the network that it is for.
//!
//! Only what somebody says who has shown on this link that it is a member is heard, and not faster
//! than an honest machine talks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use potluck_base::{NetworkId, PeerId, limits};
use potluck_proto::directory::chord::{Message, Reply};
use potluck_proto::directory::tracker;
use potluck_proto::{CircleBody, CircleFrame};
use tokio::time::Instant;

use super::heart::Heart;
use crate::peers::{FrameListener, Linked};

/// Pause between two looks which links are not needed.
const TIDY_EVERY: Duration = Duration::from_secs(15);
/// How long changes beside us are gathered before it is written down who is there.
const SAVE_AFTER: Duration = Duration::from_millis(200);

/// Where all members of all circles are heard.
#[derive(Default)]
pub struct Circles {
    hearts: Mutex<BTreeMap<NetworkId, Arc<Heart>>>,
    rates: Mutex<BTreeMap<PeerId, Rate>>,
}

/// Fills at [`limits::RING_CALLS_PER_PEER`] a second; each call takes one.
struct Rate {
    left: f64,
    at: Instant,
}

impl Circles {
    /// Connects a circle.
    pub(super) fn plug_in(&self, heart: Arc<Heart>) {
        self.hearts().insert(heart.network(), heart);
    }

    /// Disconnects it.
    pub(super) fn unplug(&self, network: &NetworkId) {
        self.hearts().remove(network);
    }

    /// Whether another circle than this one counts on a member.
    pub(super) fn is_needed_elsewhere(&self, network: &NetworkId, peer: PeerId) -> bool {
        let hearts = self.hearts();
        hearts.iter().any(|(other, heart)| other != network && heart.lines.needs(peer))
    }

    async fn heard(&self, linked: &Arc<Linked>, frame: &CircleFrame) {
        if linked.role_in(&frame.network).is_none() {
            tracing::debug!(peer = %linked.peer.short(), "a stranger is not heard");
            return;
        }
        let heart = self.hearts().get(&frame.network).cloned();
        let Some(heart) = heart else { return };
        let body = frame.body.clone();
        if let CircleBody::Ring(message) = &body
            && !matches!(message, Message::Answer { .. })
            && !self.may_call(linked.peer)
        {
            if let Message::Call { id, .. } = message {
                let busy = Message::Answer { id: *id, body: Reply::Busy };
                heart.lines.send(linked.peer, CircleBody::Ring(busy));
            }
            return;
        }
        heart.heard(linked, body).await;
    }

    fn may_call(&self, peer: PeerId) -> bool {
        let most = f64::from(limits::RING_CALLS_PER_PEER);
        let mut rates = self.rates.lock().expect("no panic while held");
        let rate = rates.entry(peer).or_insert_with(|| Rate { left: most, at: Instant::now() });
        rate.left = (rate.left + rate.at.elapsed().as_secs_f64() * most).min(most);
        rate.at = Instant::now();
        let may = rate.left >= 1.0;
        if may {
            rate.left -= 1.0;
        }
        may
    }

    fn all(&self) -> Vec<Arc<Heart>> {
        self.hearts().values().cloned().collect()
    }

    fn hearts(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Arc<Heart>>> {
        self.hearts.lock().expect("no panic while held")
    }
}

impl FrameListener for Circles {
    fn link_up(&self, _: PeerId) -> BoxFuture<'_, ()> {
        // A link says nothing before its peer has shown that it is a member.
        Box::pin(async {})
    }

    fn link_down(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        self.rates.lock().expect("no panic while held").remove(&peer);
        let hearts = self.all();
        Box::pin(async move {
            for heart in hearts {
                heart.link_down(peer).await;
            }
        })
    }

    fn tracker<'a>(&'a self, _: &'a Arc<Linked>, _: tracker::Message) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn circle<'a>(&'a self, linked: &'a Arc<Linked>, frame: &'a CircleFrame) -> BoxFuture<'a, ()> {
        Box::pin(self.heard(linked, frame))
    }

    fn admitted<'a>(
        &'a self,
        linked: &'a Arc<Linked>,
        networks: &'a [NetworkId],
    ) -> BoxFuture<'a, ()> {
        let hearts = self.all();
        Box::pin(async move {
            for heart in hearts.iter().filter(|heart| networks.contains(&heart.network())) {
                heart.met(linked).await;
            }
        })
    }
}

/// Lets links go that nobody needs, and writes down where members are: soon after it changes, for
/// a device may lose its power at any time.
pub(super) async fn tidy(heart: Arc<Heart>, circles: Arc<Circles>) {
    let network = heart.network();
    let mut next = Instant::now() + TIDY_EVERY;
    loop {
        tokio::select! {
            () = heart.turned.notified() => {
                tokio::time::sleep(SAVE_AFTER).await;
                heart.save_contacts().await;
            }
            () = tokio::time::sleep_until(next) => {
                next = Instant::now() + TIDY_EVERY;
                let near = heart.near().await;
                let elsewhere = |peer| circles.is_needed_elsewhere(&network, peer);
                heart.lines.tidy(near, elsewhere).await;
                heart.save_contacts().await;
            }
        }
    }
}
