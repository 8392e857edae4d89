//! The lanes of one link: how many there are, which wait to be taken, and how all are stopped.

use std::sync::{Arc, Mutex as StdMutex, Weak};

use potluck_base::limits;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::lane::{LaneRx, LaneTx};

/// The lanes of one link.
pub(crate) struct Lanes {
    to_peer: Arc<Semaphore>,
    from_peer: Arc<Semaphore>,
    outgoing: Queue<LaneTx>,
    incoming: Queue<LaneRx>,
    /// `None` once the link ended.
    open: StdMutex<Option<Vec<Weak<dyn Stop>>>>,
}

/// Something that a blocked reader or writer waits on and that can be stopped from elsewhere.
pub(crate) trait Stop: Send + Sync {
    /// Makes every read and write on it end at once, now and later.
    fn stop(&self);
}

/// The right to one of the [`limits::LANES_PER_LINK`] lanes of one direction.
pub(crate) type Slot = OwnedSemaphorePermit;

impl Lanes {
    pub(crate) fn new() -> Self {
        Self {
            to_peer: Arc::new(Semaphore::new(limits::LANES_PER_LINK)),
            from_peer: Arc::new(Semaphore::new(limits::LANES_PER_LINK)),
            outgoing: Queue::new(),
            incoming: Queue::new(),
            open: StdMutex::new(Some(Vec::new())),
        }
    }

    /// A slot for a lane towards the peer, if one is free.
    pub(crate) fn slot_to_peer(&self) -> Option<Slot> {
        self.to_peer.clone().try_acquire_owned().ok()
    }

    /// A slot for a lane towards the peer, when one becomes free.
    pub(crate) async fn wait_slot_to_peer(&self) -> Slot {
        self.to_peer.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A slot for a lane towards us, if one is free.
    pub(crate) fn slot_from_peer(&self) -> Option<Slot> {
        self.from_peer.clone().try_acquire_owned().ok()
    }

    /// A slot for a lane towards us, when one becomes free.
    pub(crate) async fn wait_slot_from_peer(&self) -> Slot {
        self.from_peer.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// How many lanes lead towards us, those being opened included.
    pub(crate) fn count_from_peer(&self) -> usize {
        limits::LANES_PER_LINK - self.from_peer.available_permits()
    }

    /// Remembers how to stop a lane; `false`, and stopped, if the link ended already.
    pub(crate) fn remember<S: Stop + 'static>(&self, lane: &Arc<S>) -> bool {
        let mut open = self.open.lock().expect("no holder panics");
        let Some(open) = open.as_mut() else {
            lane.stop();
            return false;
        };
        open.retain(|lane| lane.strong_count() > 0);
        let weak: Weak<S> = Arc::downgrade(lane);
        open.push(weak);
        true
    }

    /// Stops every lane, and those still to come.
    pub(crate) fn shut(&self) {
        let open = self.open.lock().expect("no holder panics").take();
        for lane in open.into_iter().flatten() {
            if let Some(lane) = lane.upgrade() {
                lane.stop();
            }
        }
        self.outgoing.clear();
        self.incoming.clear();
    }

    pub(crate) fn offer_outgoing(&self, lane: LaneTx) {
        self.outgoing.offer(lane);
    }

    pub(crate) fn offer_incoming(&self, lane: LaneRx) {
        self.incoming.offer(lane);
    }

    pub(crate) async fn next_outgoing(&self) -> LaneTx {
        self.outgoing.next().await
    }

    pub(crate) async fn next_incoming(&self) -> LaneRx {
        self.incoming.next().await
    }
}

/// Lanes that wait to be taken. Every lane holds a slot, so there are never more than fit.
struct Queue<T> {
    put: mpsc::Sender<T>,
    take: Mutex<mpsc::Receiver<T>>,
}

impl<T> Queue<T> {
    fn new() -> Self {
        let (put, take) = mpsc::channel(limits::LANES_PER_LINK);
        Self { put, take: Mutex::new(take) }
    }

    fn offer(&self, lane: T) {
        // A full queue would mean more lanes than slots; the lane is closed then.
        let _ = self.put.try_send(lane);
    }

    async fn next(&self) -> T {
        let mut take = self.take.lock().await;
        take.recv().await.expect("the queue holds its own sender")
    }

    fn clear(&self) {
        if let Ok(mut take) = self.take.try_lock() {
            while take.try_recv().is_ok() {}
        }
    }
}
