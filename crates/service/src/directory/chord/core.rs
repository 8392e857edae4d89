//! Questions to the machine, and their answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{NetworkId, Time, limits};
use potluck_proto::Input;
use potluck_proto::directory::chord::index::{Answer, Question, Record};
use potluck_proto::directory::chord::{Command, Found, Reject, RingId, Slot, State};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::contact::Contact;
use super::machine::{Ring, RingEvent, Seen, Wish};
use crate::error::ServiceError;

/// How a record that was put ended.
pub type Ended = (RingId, Slot, Result<u8, Reject>);
/// How long a batch of records may take to be put: several lookups and copies one after the other.
const PUT_TIME: Duration = Duration::from_secs(30);

/// The way to a machine.
pub(super) struct Core {
    pub(super) network: NetworkId,
    pub(super) own: Contact,
    pub(super) inputs: mpsc::Sender<Input<Seen>>,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<RingEvent>>>,
    next: AtomicU64,
}

/// Takes a question off the list however the asking ends.
struct Forget<'a>(&'a Core, u64);

impl Core {
    pub(super) fn new(network: NetworkId, own: Contact, inputs: mpsc::Sender<Input<Seen>>) -> Self {
        Self { network, own, inputs, waiting: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// Who keeps a key.
    pub(super) async fn lookup(&self, key: RingId) -> Result<Found<Contact>, ServiceError> {
        match self.asked(|id| Command::Lookup { id, key }, limits::ASK_TIME).await? {
            RingEvent::Found { found, .. } => Ok(found),
            RingEvent::Lost { timeouts, .. } => {
                let why = format!("who keeps {} was not found: {timeouts} silent", key.short());
                Err(ServiceError::CircleAway { why })
            }
            _ => Err(away()),
        }
    }

    /// Has records kept by those whose keys they are.
    pub(super) async fn put(
        &self,
        records: Vec<(RingId, Record)>,
    ) -> Result<Vec<Ended>, ServiceError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        match self.asked(|id| Command::Put { id, records }, PUT_TIME).await? {
            RingEvent::Put { results, .. } => Ok(results),
            _ => Err(away()),
        }
    }

    /// Asks those who keep a key; who answered, and what.
    pub(super) async fn ask(
        &self,
        key: RingId,
        question: Question,
    ) -> Result<Option<(Contact, Answer)>, ServiceError> {
        match self.asked(|id| Command::Ask { id, key, question }, limits::ASK_TIME).await? {
            RingEvent::Told { answer, .. } => Ok(answer),
            _ => Err(away()),
        }
    }

    /// Asks one member who stands beside it, and about all that it keeps.
    pub(super) async fn visit(
        &self,
        peer: Contact,
        question: Question,
    ) -> Result<Option<(State<Contact>, Answer)>, ServiceError> {
        match self.asked(|id| Command::Visit { id, peer, question }, limits::ASK_TIME).await? {
            RingEvent::Visited { answer, .. } => Ok(answer),
            _ => Err(away()),
        }
    }

    /// Sees how the machine stands.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        see: impl FnOnce(&Ring, Time) -> T + Send + 'static,
    ) -> Option<T> {
        let (put, seen) = oneshot::channel();
        let look = Box::new(move |ring: &Ring, now: Time| {
            // Whoever asked may have gone.
            let _ = put.send(see(ring, now));
        });
        self.inputs.send(Input::Command(Wish::Look(look))).await.ok()?;
        seen.await.ok()
    }

    /// Wants something of the machine that has no answer.
    pub(super) async fn wish(&self, command: Command<Contact, Record>) {
        // A machine that has ended needs no more.
        let _ = self.inputs.send(Input::Command(Wish::Do(command))).await;
    }

    /// Hands an answer to whoever asked; what is no answer comes back.
    pub(super) fn answer(&self, event: RingEvent) -> Option<RingEvent> {
        let id = match &event {
            RingEvent::Found { id, .. }
            | RingEvent::Lost { id, .. }
            | RingEvent::Put { id, .. }
            | RingEvent::Told { id, .. }
            | RingEvent::Visited { id, .. } => *id,
            _ => return Some(event),
        };
        let asker = self.lock().remove(&id);
        if let Some(asker) = asker {
            // An asker that is gone has lost interest.
            let _ = asker.send(event);
        }
        None
    }

    async fn asked(
        &self,
        command: impl FnOnce(u64) -> Command<Contact, Record>,
        patience: Duration,
    ) -> Result<RingEvent, ServiceError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (put, answer) = oneshot::channel();
        self.lock().insert(id, put);
        let _forget = Forget(self, id);
        self.wish(command(id)).await;
        match timeout(patience, answer).await {
            Ok(Ok(event)) => Ok(event),
            Ok(Err(_)) | Err(_) => Err(away()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<RingEvent>>> {
        self.waiting.lock().expect("no panic while held")
    }
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Nobody answered.
pub(super) fn away() -> ServiceError {
    ServiceError::CircleAway { why: "nobody answers".to_owned() }
}
