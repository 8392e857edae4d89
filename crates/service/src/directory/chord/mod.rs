//! The directory of a network whose members are the directory themselves: plays a member's machine
//! on the circle, over links that are made when they are needed.
//!
//! Goals: everything that a network with a tracker can do, the same for whoever asks; what a member
//! published is found while it is away. Non-goals: an answer at one moment for the whole network,
//! since nobody knows it; keeping out members who lie (what they say is checked where it can be).

mod answers;
mod circles;
mod contact;
mod core;
mod deposits;
mod finding;
mod heart;
mod keep;
mod lines;
mod live;
mod machine;
mod members;
mod people;
mod player;
mod publish;
mod spread;
mod status;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey, Time, limits};
use potluck_identity::{DirectoryKind, Membership, NetworkRecord, Revocations, SecretKey, Signed};
use potluck_proto::directory::chord::index::{
    Answer as Told, Question, Record, Rules, Subject, Term,
};
use potluck_proto::directory::chord::{self as ring, Chord, FingerView, Params, RingId};
use potluck_proto::directory::record::Presence;
use potluck_proto::directory::tracker::{Denial, Nick, Query, Reply, Request};
use potluck_proto::directory::words::tokens;
use potluck_store::Store;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::core::Core;
use super::remembered::Remembered;
use super::shares::Shares;
use super::{
    Announcement, Answer, Directory, Found, Happened, Located, NetworkDirectory, Provider, State,
    checked,
};
use crate::chance::{now_ms, random_seed};
use crate::error::ServiceError;
use crate::peers::Peers;
use crate::runner::{INPUTS_QUEUED, Runner};
use deposits::Deposits;
use heart::{Heart, Parts, Phase, Standing};
use keep::Keeper;
use lines::Lines;
use live::Life;
use machine::Seen;
use player::RingPlayer;
use publish::Publisher;

pub use self::core::Ended;
pub use circles::Circles;
pub use contact::Contact;
pub use status::{Health, Kept, Status};

/// Letters of a word that say where it is.
const LETTERS: usize = 3;
/// Happenings that wait to be kept.
const HAPPENINGS_QUEUED: usize = 64;
/// Names that wait to be taken.
const RENAMES_QUEUED: usize = 4;
/// How long those who hold a stored file are looked for, beside others who have it.
const HOLDERS_TIME: Duration = Duration::from_secs(3);
/// How long going in order may take when this node stops.
const STOP_TIME: Duration = Duration::from_secs(2);

/// What a circle's directory starts with.
pub struct Setup {
    /// The network's record, verified.
    pub record: Signed<NetworkRecord>,
    /// Who we are in it.
    pub membership: Membership,
    /// Who no longer is in it.
    pub revocations: Revocations,
    /// Under which name.
    pub nick: Nick,
    /// Members to enter by, from an invite.
    pub known: Vec<PeerAddr>,
    /// Everything that is published in it.
    pub published: Vec<Announcement>,
    /// Our key.
    pub secret: SecretKey,
    /// Program and version.
    pub agent: String,
    /// Where old clients reach this node, if they do.
    pub p2p_ci: Option<SocketAddr>,
    /// The links.
    pub peers: Arc<Peers>,
    /// Where members are heard.
    pub circles: Arc<Circles>,
    /// Where records and contacts are kept.
    pub store: Store,
}

/// A network's directory on the circle of its members.
pub struct ChordDirectory {
    heart: Arc<Heart>,
    circles: Arc<Circles>,
    publisher: Arc<Publisher>,
    remembered: Mutex<Remembered>,
    renames: mpsc::Sender<String>,
}

impl ChordDirectory {
    /// Starts to take part. What is to be kept comes out of the receiver.
    pub async fn start(
        setup: Setup,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Happened>), ServiceError> {
        let network = setup.record.value.network;
        let (inputs, queue) = mpsc::channel(INPUTS_QUEUED);
        let (happened, happenings) = mpsc::channel(HAPPENINGS_QUEUED);
        let (renames, wishes) = mpsc::channel(RENAMES_QUEUED);
        let keeper = Arc::new(Keeper::new(network, setup.store.clone()));
        let own = Contact::of(&network, setup.peers.own_id());
        let (records, known) = from_before(&setup, &keeper).await?;
        let params = params(&setup.record.value.directory);
        let deposits = Deposits::among(&records);
        let machine = Chord::new(ring::Setup {
            own,
            params: params.clone(),
            known,
            records,
            rules: Rules::new(network),
            epoch_ms: now_ms(),
            seed: random_seed(),
        });
        let heart = Arc::new(Heart {
            lines: Arc::new(Lines::new(network, Arc::clone(&setup.peers), inputs.downgrade())),
            core: Core::new(network, own, inputs),
            peers: setup.peers,
            keeper,
            people: Default::default(),
            deposits,
            walked: Default::default(),
            parts: Parts {
                params,
                secret: setup.secret.clone(),
                membership: setup.membership,
                agent: setup.agent,
                p2p_ci: setup.p2p_ci,
                store: setup.store.clone(),
            },
            standing: Mutex::new(Standing { record: setup.record, revocations: setup.revocations }),
            state: watch::Sender::new(State::Connecting { why: None, retry_at_ms: None }),
            phase: watch::Sender::new(Phase::Looking { tried: false }),
            turned: Notify::new(),
            happened,
            stop: CancellationToken::new(),
        });
        heart.bar_revoked();
        let lifetime = limits::RING_RECORD_LIFETIME;
        let shares = Arc::new(Shares::new(network, setup.secret, setup.store, lifetime));
        let publisher = Arc::new(Publisher::new(Arc::clone(&heart), shares));
        for share in setup.published {
            publisher.announce(share).await?;
        }
        let directory = Arc::new(Self {
            heart: Arc::clone(&heart),
            circles: setup.circles,
            publisher,
            remembered: Mutex::default(),
            renames,
        });
        directory.circles.plug_in(Arc::clone(&heart));
        let counted = matches!(setup.nick, Nick::Suggested(_));
        let (of_life, nick) = (Arc::clone(&heart), setup.nick);
        let life = Life { heart: of_life, nick, counted, renames: wishes };
        let player = RingPlayer { heart: Arc::clone(&heart) };
        directory.run(Runner::new(Seen::new(machine), player, queue), life);
        for linked in heart.lines.linked() {
            heart.met(&linked).await;
        }
        Ok((directory, happenings))
    }

    /// Starts the tasks; each ends when the network is left.
    fn run(self: &Arc<Self>, runner: Runner<Seen, RingPlayer>, life: Life) {
        let until = |work: BoxFuture<'static, ()>| {
            let stop = self.heart.stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = work => {}
                    () = stop.cancelled() => {}
                }
            });
        };
        until(Box::pin(runner.run()));
        until(Box::pin(life.run()));
        until(Box::pin(Arc::clone(&self.publisher).run()));
        until(Box::pin(Arc::clone(&self.heart.keeper).run()));
        until(Box::pin(circles::tidy(Arc::clone(&self.heart), Arc::clone(&self.circles))));
    }

    /// How this node stands on the circle.
    pub async fn status(&self) -> Status {
        self.heart.status().await
    }

    /// The fingers, and the time of the clock that they were refreshed by.
    pub async fn fingers(&self) -> (Vec<FingerView<Contact>>, Time) {
        self.heart.fingers().await
    }

    /// Who keeps a key, and the way there.
    pub async fn lookup(&self, key: RingId) -> Result<ring::Found<Contact>, ServiceError> {
        self.is_there()?;
        self.heart.core.lookup(key).await
    }

    /// What is kept here, by key.
    pub async fn keys(&self) -> Vec<Kept> {
        self.heart.keys().await
    }

    /// Hands over what is kept here and goes, until this node is started again. It stays a member.
    pub async fn leave(&self) -> Result<(), ServiceError> {
        self.is_there()?;
        self.hand_over().await
    }

    /// The place of a member.
    pub fn place_of_peer(&self, peer: &PeerId) -> RingId {
        RingId::of_peer(&self.heart.network(), peer)
    }

    /// The place of a content, where a stored file is.
    pub fn place_of_content(&self, content: &ContentId) -> RingId {
        RingId::of_content(&self.heart.network(), content)
    }

    /// The place of a word that is searched for: it stands with all that begin like it.
    pub fn place_of_word(&self, word: &str) -> RingId {
        let mut first = None;
        tokens(word, &mut |token| {
            first.get_or_insert_with(|| token.text.chars().take(LETTERS).collect());
        });
        Term::new(Subject::Word(first.unwrap_or_default())).key(&self.heart.network())
    }

    /// What a member is called, as far as that was heard.
    pub fn nick_of(&self, peer: PeerId) -> Option<String> {
        self.heart.people.presence(peer).map(|presence| presence.value.nick)
    }

    /// Members to enter by, for an invite: ourselves, then those beside us.
    pub fn contacts(&self) -> Vec<PeerAddr> {
        let mut contacts = vec![self.heart.lines.address(self.heart.own())];
        let linked = self.heart.lines.linked();
        let mut others: Vec<PeerAddr> =
            linked.iter().map(|linked| self.heart.lines.address(linked.peer)).collect();
        others.sort_by_key(|address| address.direct.is_empty() && address.relay.is_none());
        contacts.extend(others);
        contacts.truncate(limits::INVITE_CONTACTS);
        contacts
    }

    /// Has records kept; how each ended.
    pub async fn put(&self, records: Vec<(RingId, Record)>) -> Result<Vec<Ended>, ServiceError> {
        self.is_there()?;
        self.heart.core.put(records).await
    }

    /// Asks those who keep a key.
    pub async fn ask_key(
        &self,
        key: RingId,
        question: Question,
    ) -> Result<Option<(Contact, Told)>, ServiceError> {
        self.is_there()?;
        self.heart.core.ask(key, question).await
    }

    fn is_there(&self) -> Result<(), ServiceError> {
        match &*self.heart.state.borrow() {
            State::Expelled => Err(ServiceError::Expelled),
            State::Denied(denial) => Err(denial.clone().into()),
            State::Away => Err(ServiceError::OffCircle),
            _ if self.heart.is_on() => Ok(()),
            State::Connecting { why: Some(why), .. } => {
                Err(ServiceError::CircleAway { why: why.clone() })
            }
            _ => Err(ServiceError::CircleAway { why: "it is still being looked for".to_owned() }),
        }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("no panic while held")
    }
}

/// The records that were kept before, and the members to look for: first those of the invite.
async fn from_before(
    setup: &Setup,
    keeper: &Arc<Keeper>,
) -> Result<(Vec<(RingId, Record)>, Vec<Contact>), ServiceError> {
    let (reader, mut contacts) = (Arc::clone(keeper), setup.known.clone());
    let read = move || {
        contacts.extend(reader.contacts()?);
        // Those of an invite are written down before it is tried: it is not kept itself.
        reader.put_contacts(contacts.clone())?;
        Ok::<_, ServiceError>((reader.records()?, contacts))
    };
    let (records, contacts) = tokio::task::spawn_blocking(read).await??;
    let network = setup.record.value.network;
    let mut known = Vec::new();
    for address in contacts {
        let peer = address.id;
        if peer != setup.peers.own_id() && !setup.revocations.is_revoked(&peer) {
            setup.peers.learn(address);
            known.push(Contact::of(&network, peer));
        }
    }
    Ok((records, known))
}

/// How a member takes part, by the kind of its network's directory.
fn params(kind: &DirectoryKind) -> Params {
    match kind {
        DirectoryKind::Ring { replicas } => {
            Params { replicas: usize::from(*replicas), ..Params::ring() }
        }
        DirectoryKind::Chord { replicas } => {
            Params { replicas: usize::from(*replicas), ..Params::live() }
        }
        DirectoryKind::Tracker { .. } => Params::live(),
    }
}

impl Directory for ChordDirectory {
    fn network(&self) -> NetworkId {
        self.heart.network()
    }

    fn announce(&self, share: Announcement) -> Answer<'_, ()> {
        Box::pin(self.publisher.announce(share))
    }

    fn withdraw(&self, share: ShareKey) -> Answer<'_, ()> {
        Box::pin(self.publisher.withdraw(share))
    }

    fn search(&self, query: Query) -> Answer<'_, Found> {
        Box::pin(async move {
            let network = self.heart.network();
            let asked = async {
                self.is_there()?;
                self.heart.search(query.clone()).await
            };
            match asked.await {
                Ok(found) => {
                    let mut found = checked::found(network, found);
                    self.count_holders(&mut found.groups).await;
                    self.remembered().keep(&found);
                    Ok(found)
                }
                Err(error @ (ServiceError::CircleAway { .. } | ServiceError::OffCircle)) => {
                    let remembered = self.remembered().search(network, &query);
                    remembered.ok_or(error)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn providers(&self, content: ContentId) -> Answer<'_, Vec<Provider>> {
        Box::pin(async move {
            let (network, own) = (self.heart.network(), self.heart.own());
            let asked = async {
                self.is_there()?;
                self.heart.providers(content).await
            };
            // Whoever put it into the network may be away: those who hold it are not.
            let holders = timeout(HOLDERS_TIME, self.holders(content));
            let (asked, holders) = tokio::join!(asked, holders);
            match asked {
                Ok(found) => {
                    let found = found.into_iter();
                    let mut providers: Vec<Provider> = found
                        .filter_map(|one| checked::provider(&network, own, &content, one))
                        .collect();
                    for holder in holders.ok().and_then(Result::ok).unwrap_or_default() {
                        match providers.iter_mut().find(|one| one.peer == holder.peer) {
                            Some(known) => known.online |= !holder.partial,
                            None => providers.push(holder),
                        }
                    }
                    providers.sort_by_key(|one| (!one.online, one.partial));
                    self.remembered().keep_providers(content, &providers);
                    Ok(providers)
                }
                Err(error @ (ServiceError::CircleAway { .. } | ServiceError::OffCircle)) => {
                    let known = self.remembered().providers(&content);
                    known.ok_or(error)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn resolve(&self, peer: PeerId) -> Answer<'_, Option<Located>> {
        Box::pin(async move {
            let (presence, online, last_seen_ms) = match self.ask(Request::Resolve { peer }).await {
                Ok(Reply::Resolved { presence, online, last_seen_ms }) => {
                    (presence, online, last_seen_ms)
                }
                Ok(_) => return Ok(None),
                Err(ServiceError::Denied(Denial::Unknown)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(presence) = presence else { return Ok(None) };
            let Ok(presence) = Presence::check(&presence, &self.heart.network(), &peer) else {
                return Ok(None);
            };
            let address = checked::address_of(presence);
            Ok(Some(Located { address, nick: presence.nick.clone(), online, last_seen_ms }))
        })
    }
}

impl NetworkDirectory for ChordDirectory {
    fn ask(&self, request: Request) -> Answer<'_, Reply> {
        Box::pin(async move {
            let about_itself = matches!(
                request,
                Request::Revocations | Request::Record | Request::Leave { .. } | Request::Renew
            );
            if !about_itself {
                self.is_there()?;
            }
            self.answered(request).await
        })
    }

    fn rename(&self, nick: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // One that is no longer a member has no name.
            let _ = self.renames.send(nick).await;
        })
    }

    fn state(&self) -> watch::Receiver<State> {
        self.heart.state.subscribe()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.heart.keeper.hoard();
            if self.heart.is_on() {
                let _ = tokio::time::timeout(STOP_TIME, self.hand_over()).await;
            }
            self.circles.unplug(&self.heart.network());
            self.heart.lines.shut();
            self.heart.stop.cancel();
            let keeper = Arc::clone(&self.heart.keeper);
            let flushed = tokio::task::spawn_blocking(move || keeper.flush()).await;
            if let Err(error) = flushed.map_err(ServiceError::from).flatten() {
                tracing::error!(%error, "records of a circle could not be kept");
            }
        })
    }
}
