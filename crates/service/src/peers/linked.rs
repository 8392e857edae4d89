//! One peer that said hello: its link, what flows over it, and the questions that wait for its
//! answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{ContentId, PeerId, limits};
use potluck_link::{Link, PathInfo};
use potluck_proto::{Frame, Hello, Refusal, What};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::error::ServiceError;
use crate::swarm::push::{PushQueue, give_back};

/// Chunks of an answer that wait to be put together; the link's reader waits beyond that.
const CHUNKS_QUEUED: usize = 4;

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
    heard: Mutex<Instant>,
    rtt_us: AtomicU64,
    echoed: watch::Sender<u64>,
    questions: Mutex<BTreeMap<u32, mpsc::Sender<Answer>>>,
    next_question: AtomicU32,
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
