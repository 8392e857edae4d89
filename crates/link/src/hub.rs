//! What the parts of an endpoint share: its key, its links, and the room for more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{PeerId, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::{self, ControlRx, ControlTx, INBOX_FRAMES, Queues};
use crate::gate::Gate;
use crate::link::{Carrier, Ending, Link, Shared};
use crate::preface::LinkId;
use crate::tls::TlsKeys;

/// What dialling and listening have in common.
pub(crate) struct Hub {
    pub(crate) id: PeerId,
    pub(crate) tls: Arc<TlsKeys>,
    pub(crate) gate: Gate,
    /// Cancelled when the endpoint closes.
    pub(crate) closed: CancellationToken,
    pub(crate) tasks: TaskTracker,
    arrivals: mpsc::Sender<Link>,
    links: Mutex<BTreeMap<(PeerId, LinkId), Weak<Shared>>>,
    room: Arc<Semaphore>,
    room_accepted: Arc<Semaphore>,
}

/// The right to have a link.
pub(crate) struct Room {
    _all: OwnedSemaphorePermit,
    _accepted: Option<OwnedSemaphorePermit>,
}

/// A link that nobody uses yet: its dialler may still choose another connection.
pub(crate) struct NewLink {
    shared: Arc<Shared>,
    queues: Queues,
    forget: Forget,
    room: Room,
}

impl Hub {
    pub(crate) fn new(
        id: PeerId,
        tls: TlsKeys,
        arrivals: mpsc::Sender<Link>,
        links_max: usize,
    ) -> Self {
        Self {
            id,
            tls: Arc::new(tls),
            gate: Gate::new(limits::LINKS_HALF_OPEN.max(links_max / 16)),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            arrivals,
            links: Mutex::default(),
            room: Arc::new(Semaphore::new(links_max)),
            // Strangers may not fill it all: the rest is left for peers that we dial.
            room_accepted: Arc::new(Semaphore::new(links_max / 4 * 3)),
        }
    }

    /// Room for a link that we dial, or that a peer dialled.
    pub(crate) fn room(&self, dialled: bool) -> Option<Room> {
        let accepted = match dialled {
            true => None,
            false => Some(self.room_accepted.clone().try_acquire_owned().ok()?),
        };
        Some(Room { _all: self.room.clone().try_acquire_owned().ok()?, _accepted: accepted })
    }

    /// Makes a link, known by its id from now on; `None` if the peer has one of the same id.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        peer: PeerId,
        id: LinkId,
        dialled: bool,
        carrier: Carrier,
        room: Room,
    ) -> Option<NewLink> {
        let (outbox_put, outbox) = mpsc::channel(limits::SEND_QUEUE_FRAMES);
        let (inbox, inbox_take): (_, mpsc::Receiver<Bytes>) = mpsc::channel(INBOX_FRAMES);
        let shared = Arc::new(Shared::new(peer, dialled, carrier, outbox_put, inbox_take));
        let mut links = self.links();
        if self.closed.is_cancelled() || links.contains_key(&(peer, id)) {
            return None;
        }
        links.insert((peer, id), Arc::downgrade(&shared));
        drop(links);
        let forget = Forget { hub: self.clone(), key: (peer, id) };
        Some(NewLink { shared, queues: Queues { outbox, inbox }, forget, room })
    }

    /// The link that this peer dialled under this id.
    pub(crate) fn find_accepted(&self, peer: PeerId, id: LinkId) -> Option<Arc<Shared>> {
        self.links().get(&(peer, id)).and_then(Weak::upgrade).filter(|link| !link.dialled)
    }

    /// Hands a link to whoever accepts.
    pub(crate) fn arrived(&self, link: Link) {
        // The queue is as long as there may be links: if it is full, nobody accepts any more.
        let _ = self.arrivals.try_send(link);
    }

    /// Ends all links.
    pub(crate) fn end_links(&self, reason: &str) {
        let links = std::mem::take(&mut *self.links());
        for link in links.values().filter_map(Weak::upgrade) {
            link.end(Ending::Ours(reason.to_owned()));
        }
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<(PeerId, LinkId), Weak<Shared>>> {
        self.links.lock().expect("no holder panics")
    }
}

impl NewLink {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts to carry frames.
    pub(crate) fn start(self, tx: ControlTx, rx: ControlRx) -> Link {
        let Self { shared, queues, forget, room } = self;
        let link = Link::new(shared.clone());
        let tasks = forget.hub.tasks.clone();
        tasks.spawn(async move {
            control::run(shared, tx, rx, queues).await;
            drop((forget, room));
        });
        link
    }
}

/// Takes a link out of the table when its task ends.
struct Forget {
    hub: Arc<Hub>,
    key: (PeerId, LinkId),
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.hub.links().remove(&self.key);
    }
}

/// The time of a round trip, once it is measured.
pub(crate) type RoundTrip = OnceLock<Duration>;
