//! A client played by hand: a real link, and no more state than its requests need.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use potluck_base::{NetworkId, limits};
use potluck_identity::{Invite, Membership, SecretKey, Signed};
use potluck_link::{Endpoint, Link, LinkError};
use potluck_proto::directory::record::Presence;
use potluck_proto::directory::tracker::{Denial, Message, Reply, Request};
use potluck_proto::{FEATURE_NETWORKS, Frame, Hello, VERSION};
use potluck_service::now_ms;
use tokio::sync::oneshot;

use crate::tracker;

/// Kinds of clients, so that no two have one key.
pub const CROWD: u8 = 3;
pub const WAVE: u8 = 4;
pub const MEMBER: u8 = 5;
pub const SEARCHER: u8 = 6;
pub const COUNTER: u8 = 7;

const AGENT: &str = "bench/1";
/// Links of a client: one, and room for one more of its own.
const LINKS: usize = 4;

/// Requests that the tracker put off and that were made again.
pub static PUT_OFF: AtomicU64 = AtomicU64::new(0);

pub fn key(kind: u8, number: u64) -> SecretKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(seed)
}

type Waiting = Mutex<BTreeMap<u32, oneshot::Sender<Result<Reply, Denial>>>>;

pub struct Hand {
    pub key: SecretKey,
    pub network: NetworkId,
    endpoint: Endpoint,
    link: Link,
    waiting: Arc<Waiting>,
    next: AtomicU32,
}

impl Hand {
    /// Links to the tracker of a network and says hello.
    pub async fn dial(invite: &Invite, key: SecretKey) -> Result<Arc<Self>, LinkError> {
        let record = &invite.record.value;
        let endpoint = Endpoint::bind(tracker::config(key.clone(), 0, LINKS)).await?;
        let link = endpoint.dial(&record.trackers()[0]).await?;
        let hello = Hello {
            version: VERSION,
            features: FEATURE_NETWORKS,
            agent: AGENT.to_owned(),
            addresses: endpoint.addr().direct,
            relay: None,
        };
        link.send(Frame::Hello(hello).encode().into()).await?;
        link.recv().await?.ok_or(LinkError::Closed)?;
        let (waiting, next) = (Arc::new(Waiting::default()), AtomicU32::new(1));
        tokio::spawn(read(link.clone(), Arc::clone(&waiting)));
        Ok(Arc::new(Self { key, network: record.network, endpoint, link, waiting, next }))
    }

    pub fn is_linked(&self) -> bool {
        self.link.why_closed().is_none()
    }

    /// Asks, and asks again when the tracker says that it is too busy.
    pub async fn ask(&self, body: Request) -> Result<Reply, Denial> {
        loop {
            let retry_ms = match self.ask_once(body.clone()).await {
                Err(Denial::Busy { retry_ms } | Denial::Unavailable { retry_ms }) => retry_ms,
                result => return result,
            };
            PUT_OFF.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(retry_ms.into())).await;
        }
    }

    async fn ask_once(&self, body: Request) -> Result<Reply, Denial> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (put, answer) = oneshot::channel();
        self.waiting.lock().expect("no panic while held").insert(id, put);
        let message = Message::Request { id, network: self.network, body };
        let frame = Bytes::from(Frame::Tracker(Box::new(message)).encode());
        let lost = || Denial::TooMuch("the link has ended".to_owned());
        self.link.send(frame).await.map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?
    }

    /// Registers under a name and says where it is; returns for how long that counts.
    pub async fn register(&self, nick: &str) -> Result<Duration, Denial> {
        let peer = self.key.peer_id();
        let (membership, revocations) = (Membership::open(peer), 0);
        let register = Request::Register { membership, nick: Some(nick.to_owned()), revocations };
        let Reply::Registered { nick, lease_ms, .. } = self.ask(register).await? else {
            return Err(Denial::Unknown);
        };
        let presence = Presence {
            network: self.network,
            peer,
            nick,
            addresses: self.endpoint.addr().direct,
            relay: None,
            agent: AGENT.to_owned(),
            p2p_ci: None,
            sequence: now_ms(),
            expires_ms: now_ms() + limits::PRESENCE_LIFETIME.as_millis() as u64,
        };
        let presence = Signed::sign(&self.key, presence);
        self.ask(Request::Announce { presence }).await?;
        Ok(Duration::from_millis(lease_ms))
    }

    /// Renews its lease for as long as there is a link.
    pub async fn live(self: Arc<Self>, lease: Duration) {
        while self.ask(Request::Renew).await.is_ok() {
            tokio::time::sleep(lease / 3).await;
        }
    }
}

/// Hands answers to whoever asked, and answers pings.
async fn read(link: Link, waiting: Arc<Waiting>) {
    while let Ok(Some(frame)) = link.recv().await {
        match Frame::decode(&frame) {
            Ok(Frame::Ping(number)) => {
                // A link that has ended is seen above.
                let _ = link.send(Frame::Pong(number).encode().into()).await;
            }
            Ok(Frame::Tracker(message)) => {
                if let Message::Reply { id, result } = *message
                    && let Some(asker) = waiting.lock().expect("not poisoned").remove(&id)
                {
                    // An asker that is gone has lost interest.
                    let _ = asker.send(result);
                }
            }
            _ => {}
        }
    }
    waiting.lock().expect("not poisoned").clear();
}
