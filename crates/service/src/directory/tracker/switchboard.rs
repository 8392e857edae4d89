//! Brings what trackers say to the machine of the network that it is for.
//!
//! Several networks may share a tracker, and so a link. Numbers of requests are ours on each link:
//! each request gets a fresh one, and the answer finds its way back by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use potluck_base::{NetworkId, PeerId};
use potluck_proto::directory::tracker::{Client, Message};
use potluck_proto::{Frame, Input};
use tokio::sync::mpsc;

use crate::error::ServiceError;
use crate::peers::{FrameListener, Linked};

/// The queue of a network's machine.
pub(super) type Inputs = mpsc::Sender<Input<Client<PeerId>>>;

/// Where all answers of trackers arrive.
#[derive(Default)]
pub struct Switchboard {
    machines: Mutex<BTreeMap<NetworkId, Inputs>>,
    /// Open requests: whose they are, and under which number the machine knows them.
    waiting: Mutex<BTreeMap<(PeerId, u32), (NetworkId, u32)>>,
    next: AtomicU32,
}

impl Switchboard {
    /// Connects a network's machine.
    pub(super) fn plug_in(&self, network: NetworkId, inputs: Inputs) {
        self.machines().insert(network, inputs);
    }

    /// Disconnects it.
    pub(super) fn unplug(&self, network: &NetworkId) {
        self.machines().remove(network);
    }

    /// Sends what a network's machine says, its requests under a number of ours.
    pub(super) async fn send(
        &self,
        linked: &Linked,
        network: NetworkId,
        message: Message,
    ) -> Result<(), ServiceError> {
        let message = match message {
            Message::Request { id, network, body } => {
                let number = self.expect(linked.peer, (network, id));
                Message::Request { id: number, network, body }
            }
            other => other,
        };
        let sent = linked.send(&Frame::Tracker(Box::new(message))).await;
        if sent.is_err() {
            tracing::debug!(network = %network.short(), "the tracker is gone");
        }
        sent
    }

    fn expect(&self, from: PeerId, waiter: (NetworkId, u32)) -> u32 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert((from, number), waiter);
        number
    }

    async fn told(&self, from: PeerId, message: Message) {
        let (network, message) = match message {
            Message::Reply { id, result } => match self.waiting().remove(&(from, id)) {
                Some((network, id)) => (network, Message::Reply { id, result }),
                None => return,
            },
            Message::Notice { network, notice } => (network, Message::Notice { network, notice }),
            // Only trackers are asked.
            Message::Request { .. } => return,
        };
        self.input(network, Input::Received { from, message }).await;
    }

    async fn input(&self, network: NetworkId, input: Input<Client<PeerId>>) {
        let machine = self.machines().get(&network).cloned();
        if let Some(machine) = machine {
            // A machine that has ended needs no more.
            let _ = machine.send(input).await;
        }
    }

    fn machines(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Inputs>> {
        self.machines.lock().expect("no panic while held")
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(PeerId, u32), (NetworkId, u32)>> {
        self.waiting.lock().expect("no panic while held")
    }
}

impl FrameListener for Switchboard {
    fn link_up(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        let networks: Vec<NetworkId> = self.machines().keys().copied().collect();
        Box::pin(async move {
            for network in networks {
                self.input(network, Input::LinkUp(peer)).await;
            }
        })
    }

    fn link_down(&self, peer: PeerId) -> BoxFuture<'_, ()> {
        self.waiting().retain(|(from, _), _| *from != peer);
        let networks: Vec<NetworkId> = self.machines().keys().copied().collect();
        Box::pin(async move {
            for network in networks {
                self.input(network, Input::LinkDown(peer)).await;
            }
        })
    }

    fn tracker<'a>(&'a self, linked: &'a Arc<Linked>, message: Message) -> BoxFuture<'a, ()> {
        Box::pin(self.told(linked.peer, message))
    }
}
