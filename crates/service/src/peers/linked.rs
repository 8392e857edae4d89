//! One peer that said hello: its link, what flows over it, and the questions that wait for its
//! answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_identity::{Membership, Role};
use potluck_link::{Link, PathInfo};
use potluck_proto::{FEATURE_CIRCLES, FEATURE_NETWORKS, Frame, Hello, Refusal, What};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::error::ServiceError;
use crate::swarm::push::{PushQueue, give_back};

/// Chunks of an answer that wait to be put together; the link's reader waits beyond that.
const CHUNKS_QUEUED: usize = 4;

/// Pause before a claim that was not answered is made again.
const CLAIM_AGAIN: Duration = Duration::from_secs(5);

/// A link whose peer said a hello that we understand.
pub struct Linked {
    /// The peer at the other end.
    pub peer: PeerId,
    /// What the peer said of itself.
    pub hello: Hello,
    /// When the link came up.
    pub since: Instant,
    /// Bulk bytes sent to the peer.
    pub sent: AtomicU64,
    /// Bulk bytes received from the peer.
    pub received: AtomicU64,
    /// Pieces on their way to the peer.
    pub pushes: PushQueue,
    /// Answers of ours on their way to the peer.
    pub answering: Arc<Semaphore>,
    link: Link,
    contents: Mutex<BTreeSet<ContentId>>,
    standing: Mutex<Standing>,
    heard: Mutex<Instant>,
    rtt_us: AtomicU64,
    echoed: watch::Sender<u64>,
    questions: Mutex<BTreeMap<u32, mpsc::Sender<Answer>>>,
    next_question: AtomicU32,
}

/// Who the two sides of a link are to each other.
#[derive(Default)]
struct Standing {
    /// In which networks the peer has shown a membership that was good, and as what it is taken
    /// now: as nothing if it was put out since, or we have left.
    theirs: BTreeMap<NetworkId, (Option<Role>, Membership)>,
    /// When we claimed to be in which networks.
    claimed: BTreeMap<NetworkId, Instant>,
    /// In which of those the peer takes us for a member.
    ours: BTreeSet<NetworkId>,
    /// Claims of the peer that were judged.
    judged: usize,
}

/// A part of the answer to a [`Frame::MetaRequest`].
pub enum Answer {
    /// Some bytes of it.
    Chunk {
        /// Length of the whole answer.
        total: u64,
        /// Where these bytes stand in it.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// There is none.
    Refused(Refusal),
}

impl Linked {
    /// A link of which both sides have said hello.
    pub fn new(link: Link, hello: Hello) -> Self {
        Self {
            peer: link.peer(),
            hello,
            since: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            pushes: PushQueue::default(),
            answering: Arc::new(Semaphore::new(limits::META_REQUESTS)),
            link,
            contents: Mutex::new(BTreeSet::new()),
            standing: Mutex::default(),
            heard: Mutex::new(Instant::now()),
            rtt_us: AtomicU64::new(0),
            echoed: watch::Sender::new(0),
            questions: Mutex::new(BTreeMap::new()),
            next_question: AtomicU32::new(0),
        }
    }

    /// The link below.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// What carries the link.
    pub fn path(&self) -> PathInfo {
        self.link.path()
    }

    /// The last round trip measured, by a ping of ours or by the transport.
    pub fn rtt(&self) -> Option<Duration> {
        match self.rtt_us.load(Ordering::Relaxed) {
            0 => self.link.path().rtt,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Sends a frame, waiting while the link's queue is full.
    pub async fn send(&self, frame: &Frame) -> Result<(), ServiceError> {
        Ok(self.link.send(Bytes::from(frame.encode())).await?)
    }

    /// Whether the peer may talk about this content: it does already, or not about too many.
    pub fn admits(&self, content: ContentId) -> bool {
        let mut contents = self.contents.lock().expect("no panic while held");
        if contents.len() < limits::CONTENTS_PER_LINK {
            contents.insert(content);
        }
        contents.contains(&content)
    }

    /// Whether the peer understands claims of membership and what follows from them.
    pub fn speaks_of_networks(&self) -> bool {
        self.hello.features & FEATURE_NETWORKS != 0
    }

    /// Whether the peer understands what members of networks without trackers say.
    pub fn speaks_of_circles(&self) -> bool {
        self.hello.features & FEATURE_CIRCLES != 0
    }

    /// What the peer is in a network of ours; none until it has shown its membership.
    pub fn role_in(&self, network: &NetworkId) -> Option<Role> {
        self.standing().theirs.get(network).and_then(|(role, _)| *role)
    }

    /// Our networks in which the peer has shown its membership.
    pub fn networks(&self) -> Vec<NetworkId> {
        let standing = self.standing();
        let taken = standing.theirs.iter().filter(|(_, (role, _))| role.is_some());
        taken.map(|(network, _)| *network).collect()
    }

    /// Whether the peer takes us for a member of a network.
    pub fn admits_us(&self, network: &NetworkId) -> bool {
        self.standing().ours.contains(network)
    }

    pub(super) fn membership_in(&self, network: &NetworkId) -> Option<Membership> {
        self.standing().theirs.get(network).map(|(_, membership)| membership.clone())
    }

    pub(super) fn admit(&self, network: NetworkId, role: Role, membership: Membership) {
        self.standing().theirs.insert(network, (Some(role), membership));
    }

    pub(super) fn dismiss(&self, network: &NetworkId) {
        if let Some((role, _)) = self.standing().theirs.get_mut(network) {
            *role = None;
        }
    }

    /// Notes what the peer says that it admits us to; what we never claimed does not count.
    pub(super) fn admitted(&self, networks: Vec<NetworkId>) {
        let mut standing = self.standing();
        let claimed = networks.into_iter().filter(|n| standing.claimed.contains_key(n));
        let claimed: Vec<NetworkId> = claimed.collect();
        standing.ours.extend(claimed);
    }

    /// Whether to claim a network now: not yet, or in vain and some time ago. It counts as claimed
    /// from now on.
    pub(super) fn is_claim_due(&self, network: &NetworkId) -> bool {
        let mut standing = self.standing();
        let recent = |at: &Instant| at.elapsed() < CLAIM_AGAIN;
        let due =
            !standing.ours.contains(network) && !standing.claimed.get(network).is_some_and(recent);
        if due {
            standing.claimed.insert(*network, Instant::now());
        }
        due
    }

    /// Whether so many more claims of the peer are worth judging: signatures cost time.
    pub(super) fn may_claim(&self, count: usize) -> bool {
        let mut standing = self.standing();
        standing.judged += count;
        standing.judged <= limits::CLAIMS_PER_LINK
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no panic while held")
    }

    /// Notes that the peer gave a sign of life.
    pub fn hear(&self) {
        *self.heard.lock().expect("no panic while held") = Instant::now();
    }

    /// Time since the peer's last sign of life.
    pub fn silence(&self) -> Duration {
        self.heard.lock().expect("no panic while held").elapsed()
    }

    /// The number that a ping carries: microseconds since the link came up.
    pub fn ping_number(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes the echo of a ping.
    pub fn pong(&self, number: u64) {
        let micros = self.ping_number().saturating_sub(number).max(1);
        self.rtt_us.store(micros, Ordering::Relaxed);
        self.echoed.send_replace(number);
    }

    /// Waits until the peer has read everything that was sent before.
    pub async fn echo(&self) -> Result<(), ServiceError> {
        let number = self.ping_number();
        let mut echoed = self.echoed.subscribe();
        self.send(&Frame::Ping(number)).await?;
        // The sender lives as long as this link.
        let _ = echoed.wait_for(|echoed| *echoed >= number).await;
        Ok(())
    }

    /// Asks the peer for a manifest or for values and puts the answer together.
    ///
    /// `bytes_max` bounds what is taken. Each part must come within [`limits::META_TIME`].
    pub async fn ask(
        &self,
        content: ContentId,
        what: What,
        bytes_max: u64,
    ) -> Result<Vec<u8>, ServiceError> {
        let id = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (answers, mut parts) = mpsc::channel(CHUNKS_QUEUED);
        self.questions.lock().expect("no panic while held").insert(id, answers);
        let _forget = Forget { linked: self, id };
        self.send(&Frame::MetaRequest { id, content, what }).await?;
        let mut gathered = Vec::new();
        loop {
            let part = timeout(limits::META_TIME, parts.recv()).await;
            match part.map_err(|_| ServiceError::Silent(self.peer))? {
                None => return Err(ServiceError::LinkLost(self.peer)),
                Some(Answer::Refused(why)) => {
                    return Err(ServiceError::Refused { peer: self.peer, content, why });
                }
                Some(Answer::Chunk { total, offset, bytes }) => {
                    let fits = total <= bytes_max
                        && offset == gathered.len() as u64
                        && offset + bytes.len() as u64 <= total
                        && (!bytes.is_empty() || total == 0);
                    if !fits {
                        return Err(ServiceError::Lied { peer: self.peer, content });
                    }
                    gathered.extend_from_slice(&bytes);
                    if gathered.len() as u64 == total {
                        return Ok(gathered);
                    }
                }
            }
        }
    }

    /// Hands a part of an answer to whoever asked; nobody did: it is dropped.
    pub async fn answer(&self, id: u32, answer: Answer) {
        let asker = self.questions.lock().expect("no panic while held").get(&id).cloned();
        if let Some(asker) = asker {
            // An asker that is gone has lost interest.
            let _ = asker.send(answer).await;
        }
    }

    /// Ends the link and everything that waits for it.
    pub fn close(&self, reason: &str) {
        self.link.close(reason);
        give_back(self.peer, self.pushes.close());
        self.questions.lock().expect("no panic while held").clear();
    }
}

/// Takes a question off the list however the asking ends.
struct Forget<'a> {
    linked: &'a Linked,
    id: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.linked.questions.lock().expect("no panic while held").remove(&self.id);
    }
}
