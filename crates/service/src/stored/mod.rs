//! Files that live in a network: put there by one member, held by those who keep the key of their
//! content, fetched from any of them whether or not whoever put them there is online.
//!
//! Goals: as many copies as were asked for, made again when some vanish; a quota that nothing
//! exceeds; whoever put a file there takes it out again, by a signature, or by not renewing it.
//!
//! Non-goals: proving that a member that says it has a copy has one; hiding files from members.
//!
//! - [`put`](StoredService::put), [`repair`](StoredService::repair),
//!   [`remove`](StoredService::remove): what this node puts there. In between, `tend` renews it.
//! - `hold`: what this node holds for others. `release`: when it lets go. `book`: how much of it.
//! - `turns`: who of those who keep a key is to hold a file.
//! - `copies`: how the copies of a file are, by the word of those who are to have them.

mod book;
mod circle;
mod copies;
mod fetching;
mod hold;
mod live;
mod put;
mod release;
mod said;
mod tend;
mod turns;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_identity::{SecretKey, Signed};
use potluck_proto::directory::chord::index::Deposit as Record;
use potluck_proto::directory::record::EntryKind;
use potluck_store::{OwnDeposit, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chance::now_ms;
use crate::error::ServiceError;
use crate::fetch::Fetcher;

pub use book::{Book, Claimant, NoRoom};
pub use circle::{Circle, Circles, Put as CirclePut};
use hold::Holds;
pub(crate) use turns::candidates;

/// A file to be put into a network.
#[derive(Clone, Debug)]
pub struct Put {
    /// An absolute path to one file.
    pub path: PathBuf,
    /// Into which network.
    pub network: NetworkId,
    /// How many others are to have a copy.
    pub copies: u8,
}

/// What happens while copies are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The file is being read.
    Hashing {
        /// Bytes read.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// Those are being looked for who are to have it.
    Placing,
    /// It is on its way to them.
    Copying {
        /// What.
        content: ContentId,
        /// What it is called.
        name: String,
        /// Bytes that are there, all copies together.
        done: u64,
        /// Bytes of all copies that are wanted.
        total: u64,
        /// Copies that are there.
        copies: u32,
        /// How many are wanted.
        wanted: u32,
    },
    /// One of them has it, or cannot.
    Ended {
        /// What.
        content: ContentId,
        /// Its name.
        name: String,
        /// Who.
        peer: PeerId,
        /// How it ended.
        state: CopyState,
    },
    /// Nothing moves.
    Waiting {
        /// Why, as half a sentence.
        reason: String,
    },
}

/// How a copy is, by the word of whoever is to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyState {
    /// It is there and whole.
    There,
    /// It is on its way.
    Coming,
    /// It is not there.
    Missing {
        /// Why, as half a sentence.
        why: String,
    },
}

/// One copy of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Who has it, or is to have it.
    pub peer: PeerId,
    /// How it is.
    pub state: CopyState,
}

/// A file that this node has put into a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// What it is.
    pub content: ContentId,
    /// What it is called.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// In which network.
    pub network: NetworkId,
    /// How many copies there should be.
    pub wanted: u8,
    /// The copies, as they were last heard of; those that are there first.
    pub copies: Vec<Copy>,
    /// Why there are fewer than there should be.
    pub why: Option<String>,
    /// Until when it is kept if it is not renewed, unix milliseconds.
    pub expires_ms: u64,
}

/// A file that this node holds for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub content: ContentId,
    /// What its publisher calls it.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// In which network.
    pub network: NetworkId,
    /// For whom.
    pub by: PeerId,
    /// Until when, unix milliseconds.
    pub expires_ms: u64,
}

/// What this node has put into networks, and what it holds for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its own.
    pub files: Vec<Deposit>,
    /// Others', the oldest first.
    pub held: Vec<Held>,
    /// Bytes of those; a content that is held for several counts once.
    pub held_bytes: u64,
    /// How many bytes it is willing to hold.
    pub quota: u64,
}

/// A file that was taken out of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What it was.
    pub content: ContentId,
    /// What it was called.
    pub name: String,
    /// In which network.
    pub network: NetworkId,
    /// Copies that are gone already; the others go when their holders hear of it.
    pub dropped: u32,
    /// Copies that were there.
    pub copies: u32,
}

/// How patient the service is.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Pause between two looks at everything; a fifth more or less.
    pub look: Duration,
    /// How long a file is held on after others are to hold it.
    pub linger: Duration,
    /// Pause between two questions to one who is about to have a copy.
    pub ask: Duration,
    /// How long nothing may move before a copy is waited for no longer.
    pub patience: Duration,
    /// Pause before a file is fetched again that did not come: from, to.
    pub retry: (Duration, Duration),
    /// How long a deposit counts; it is renewed after a third of that.
    pub lifetime: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(60),
            linger: Duration::from_secs(600),
            ask: Duration::from_millis(300),
            patience: Duration::from_secs(30),
            retry: (Duration::from_secs(5), Duration::from_secs(300)),
            lifetime: limits::DEPOSIT_LIFETIME,
        }
    }
}

/// What the service needs of the node.
pub struct Parts {
    /// The disk.
    pub store: Store,
    /// Moves files.
    pub fetcher: Fetcher,
    /// The circles of this node's networks.
    pub circles: Arc<dyn Circles>,
    /// Our key.
    pub secret: SecretKey,
    /// Bytes that this node holds for others, in all networks together.
    pub quota: u64,
    /// How patient it is.
    pub pace: Pace,
}

/// Stored files, from start to stop.
pub struct StoredService {
    store: Store,
    fetcher: Fetcher,
    circles: Arc<dyn Circles>,
    secret: SecretKey,
    pace: Pace,
    own: PeerId,
    holds: Mutex<Holds>,
    /// Wakes those who look after held files.
    kick: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl StoredService {
    /// Takes up what was held and put before, and looks after it from now on.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, ServiceError> {
        let own = parts.secret.peer_id();
        let store = parts.store.clone();
        let claims = tokio::task::spawn_blocking(move || {
            store.tidy_held()?;
            store.claims()
        });
        let holds = Holds::restore(parts.quota, claims.await??);
        let service = Arc::new(Self {
            store: parts.store,
            fetcher: parts.fetcher,
            circles: parts.circles,
            secret: parts.secret,
            pace: parts.pace,
            own,
            holds: Mutex::new(holds),
            kick: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let answers = Arc::downgrade(&service);
        service.fetcher.swarms.answer_for_copies(answers);
        service.spawn(Arc::clone(&service).hold());
        service.spawn(Arc::clone(&service).tend());
        Ok(service)
    }

    /// Stops looking after files; fetches in progress go on after the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What this node has put into networks, and what it holds for others: from disk and as it was
    /// last heard.
    pub async fn list(&self, network: Option<&NetworkId>) -> Result<Listed, ServiceError> {
        let store = self.store.clone();
        let read = move || -> Result<_, ServiceError> {
            let mut claims = store.claims()?;
            let mut here = std::collections::BTreeMap::new();
            for claim in &claims {
                if let std::collections::btree_map::Entry::Vacant(place) = here.entry(claim.content)
                {
                    place.insert(store.is_here(&claim.content)?);
                }
            }
            claims.retain(|claim| here.get(&claim.content) == Some(&true));
            Ok((store.deposits()?, claims))
        };
        let (own, claims) = tokio::task::spawn_blocking(read).await??;
        let wanted = |of: &NetworkId| network.is_none_or(|network| network == of);
        let held: Vec<Held> = claims
            .into_iter()
            .filter(|claim| wanted(&claim.network))
            .map(|claim| Held {
                content: claim.content,
                name: claim.name,
                bytes: claim.bytes,
                network: claim.network,
                by: claim.peer,
                expires_ms: claim.expires_ms,
            })
            .collect();
        let each: std::collections::BTreeMap<ContentId, u64> =
            held.iter().map(|one| (one.content, one.bytes)).collect();
        let there = own.iter().filter(|one| !one.removed && wanted(&one.network));
        Ok(Listed {
            files: there.map(copies::view).collect(),
            held_bytes: each.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
            held,
            quota: self.holds().book.quota(),
        })
    }

    /// Our deposits that a name, a content id or its first characters mean; at least one.
    async fn meant(
        &self,
        what: Option<&str>,
        network: Option<&NetworkId>,
    ) -> Result<Vec<OwnDeposit>, ServiceError> {
        let store = self.store.clone();
        let mut own = tokio::task::spawn_blocking(move || store.deposits()).await??;
        own.retain(|one| !one.removed && network.is_none_or(|network| one.network == *network));
        let Some(what) = what else { return Ok(own) };
        let start = what.to_ascii_lowercase();
        let named = |one: &OwnDeposit| one.name.as_str() == what;
        let numbered =
            |one: &OwnDeposit| !start.is_empty() && one.content.to_string().starts_with(&start);
        if own.iter().any(named) {
            own.retain(named);
        } else {
            own.retain(numbered);
        }
        if own.is_empty() { Err(ServiceError::NotStored(what.to_owned())) } else { Ok(own) }
    }

    /// What we sign about a deposit of ours. The same each time, as long as the deposit is.
    fn sign(&self, own: &OwnDeposit) -> Signed<Record> {
        let record = Record {
            network: own.network,
            peer: self.own,
            content: own.content,
            name: own.name.as_str().to_owned(),
            size: own.bytes,
            kind: EntryKind::File,
            copies: own.copies,
            sequence: own.sequence,
            expires_ms: own.expires_ms,
            removed: own.removed,
        };
        Signed::sign(&self.secret, record)
    }

    /// Gives a deposit of ours a new number and its whole lifetime.
    async fn renew(&self, own: &mut OwnDeposit) -> Result<(), ServiceError> {
        let now = now_ms();
        let store = self.store.clone();
        own.sequence = tokio::task::spawn_blocking(move || store.next_sequence(now)).await??;
        own.expires_ms = now.saturating_add(millis(self.pace.lifetime));
        self.save(own).await
    }

    /// Signs a deposit of ours afresh and has it kept. If that fails it stays what it was.
    async fn publish(
        &self,
        circle: &Arc<dyn Circle>,
        own: &mut OwnDeposit,
    ) -> Result<CirclePut, ServiceError> {
        let before = own.clone();
        self.renew(own).await?;
        let put = circle.put(self.sign(own)).await;
        if !matches!(put, Ok(CirclePut::Kept(_) | CirclePut::Stale)) && before.sequence > 0 {
            *own = before;
            self.save(own).await?;
        }
        put
    }

    async fn save(&self, own: &OwnDeposit) -> Result<(), ServiceError> {
        let (store, own) = (self.store.clone(), own.clone());
        Ok(tokio::task::spawn_blocking(move || store.put_deposit(&own)).await??)
    }

    fn circle(&self, network: &NetworkId) -> Result<Arc<dyn Circle>, ServiceError> {
        let unknown = || ServiceError::NoCircle(network.short().to_string());
        self.circles.get(network).ok_or_else(unknown)
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().expect("no panic while held")
    }

    /// Runs a task until this node stops.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
