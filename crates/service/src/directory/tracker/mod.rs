//! The directory of a network with a tracker: plays the member's machine, signs what it publishes,
//! checks what it is told, and remembers results for when the tracker is away.

mod player;
mod switchboard;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Membership, NetworkRecord, Revocations, SecretKey, Signed};
use potluck_proto::Input;
use potluck_proto::directory::record::Presence;
use potluck_proto::directory::tracker::{
    About, Client, Denial, Nick, Query, Reply, Request, Unanswered, client,
};
use potluck_store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

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
use player::ClientPlayer;

pub use switchboard::Switchboard;

/// Pause between two looks whether our own addresses have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long a session gets to say goodbye.
const STOP_TIME: Duration = Duration::from_millis(500);
/// Happenings that wait to be kept.
const HAPPENINGS_QUEUED: usize = 64;

/// What a network's directory starts with.
pub struct Setup {
    /// The network's record, verified.
    pub record: Signed<NetworkRecord>,
    /// Who we are in it.
    pub membership: Membership,
    /// Who no longer is in it.
    pub revocations: Revocations,
    /// Under which name.
    pub nick: Nick,
    /// The right to make the network at its tracker, if it is new.
    pub token: Option<[u8; 16]>,
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
    /// Where trackers answer.
    pub switchboard: Arc<Switchboard>,
    /// Gives out sequence numbers.
    pub store: Store,
}

/// A network's directory at its tracker.
pub struct TrackerDirectory {
    network: NetworkId,
    peers: Arc<Peers>,
    switchboard: Arc<Switchboard>,
    inputs: mpsc::Sender<Input<Client<PeerId>>>,
    asked: Arc<Asked>,
    shares: Arc<Shares>,
    remembered: Mutex<Remembered>,
    state: watch::Receiver<State>,
    stop: CancellationToken,
}

/// Questions that wait for their answers.
#[derive(Default)]
pub(super) struct Asked {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Result<Reply, Unanswered>>>>,
}

impl TrackerDirectory {
    /// Starts to take part. What is to be kept comes out of the receiver.
    pub async fn start(
        setup: Setup,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Happened>), ServiceError> {
        let network = setup.record.value.network;
        let (inputs, queue) = mpsc::channel(INPUTS_QUEUED);
        let (happened, happenings) = mpsc::channel(HAPPENINGS_QUEUED);
        let connecting = State::Connecting { why: None, retry_at_ms: None };
        let (state_put, state) = watch::channel(connecting);
        let shares = Arc::new(Shares::new(
            network,
            setup.secret.clone(),
            setup.store.clone(),
            limits::RECORD_LIFETIME,
        ));
        let asked = Arc::new(Asked::default());
        for tracker in setup.record.value.trackers() {
            setup.peers.learn(tracker.clone());
        }
        let about = about(&setup.peers, &setup.agent, setup.p2p_ci);
        let (of_thread, published) = (Arc::clone(&shares), setup.published);
        let published = tokio::task::spawn_blocking(move || {
            published.into_iter().map(|one| of_thread.publish(one)).collect::<Result<Vec<_>, _>>()
        });
        let published = published.await??;
        let machine = Client::new(client::Setup {
            key: setup.secret,
            record: setup.record,
            revocations: setup.revocations,
            membership: setup.membership,
            token: setup.token,
            nick: setup.nick,
            about: about.clone(),
            shares: published,
            withdrawn: Vec::new(),
            epoch_ms: now_ms(),
            seed: random_seed(),
            peer_of: Box::new(|peer| Some(*peer)),
        });
        let player = ClientPlayer {
            network,
            peers: Arc::clone(&setup.peers),
            switchboard: Arc::clone(&setup.switchboard),
            shares: Arc::clone(&shares),
            asked: Arc::clone(&asked),
            inputs: inputs.downgrade(),
            state: state_put,
            happened,
            started_ms: now_ms(),
        };
        let stop = CancellationToken::new();
        let directory = Arc::new(Self {
            network,
            peers: setup.peers,
            switchboard: setup.switchboard,
            inputs,
            asked,
            shares,
            remembered: Mutex::default(),
            state,
            stop: stop.clone(),
        });
        directory.run(Runner::new(machine, player, queue), about, setup.agent, setup.p2p_ci);
        Ok((directory, happenings))
    }

    /// Starts the tasks: the machine's, and the one that looks at our addresses.
    fn run(
        self: &Arc<Self>,
        runner: Runner<Client<PeerId>, ClientPlayer>,
        mut told: About,
        agent: String,
        p2p_ci: Option<SocketAddr>,
    ) {
        self.switchboard.plug_in(self.network, self.inputs.clone());
        let (stop, linked) = (self.stop.clone(), self.peers.all());
        let (inputs, peers) = (self.inputs.clone(), Arc::clone(&self.peers));
        let shares = Arc::clone(&self.shares);
        tokio::spawn(async move {
            tokio::select! {
                () = runner.run() => {}
                () = stop.cancelled() => {}
            }
        });
        let stop = self.stop.clone();
        tokio::spawn(async move {
            for linked in linked {
                let _ = inputs.send(Input::LinkUp(linked.peer)).await;
            }
            // The machine begins with its first input.
            let _ = inputs.send(Input::Command(client::Command::Hurry)).await;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => return,
                }
                for share in shares.aging() {
                    if let Some(published) = shares.sign_above(&share, 0) {
                        let publish = client::Command::Publish(published);
                        let _ = inputs.send(Input::Command(publish)).await;
                    }
                }
                let now = about(&peers, &agent, p2p_ci);
                if now != told {
                    told = now.clone();
                    let _ = inputs.send(Input::Command(client::Command::About(now))).await;
                }
            }
        });
    }

    async fn answered(&self, request: Request) -> Result<Reply, ServiceError> {
        let id = self.asked.next.fetch_add(1, Ordering::Relaxed);
        let (put, answer) = oneshot::channel();
        self.asked.waiting.lock().expect("no panic while held").insert(id, put);
        self.command(client::Command::Ask { id, request }).await;
        let answered = answer.await;
        self.asked.waiting.lock().expect("no panic while held").remove(&id);
        match answered {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Unanswered::Denied(denial))) => Err(denial.into()),
            Ok(Err(why)) => Err(match &*self.state.borrow() {
                State::Expelled => ServiceError::Expelled,
                State::Denied(denial) => denial.clone().into(),
                _ => ServiceError::TrackerAway { why: why.to_string() },
            }),
            Err(_) => Err(ServiceError::TrackerAway { why: "the network was left".to_owned() }),
        }
    }

    async fn command(&self, command: client::Command) {
        // A machine that has ended needs no more.
        let _ = self.inputs.send(Input::Command(command)).await;
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("no panic while held")
    }
}

impl Directory for TrackerDirectory {
    fn network(&self) -> NetworkId {
        self.network
    }

    fn announce(&self, share: Announcement) -> Answer<'_, ()> {
        Box::pin(async move {
            let shares = Arc::clone(&self.shares);
            let published = tokio::task::spawn_blocking(move || shares.publish(share)).await??;
            self.command(client::Command::Publish(published)).await;
            Ok(())
        })
    }

    fn withdraw(&self, share: ShareKey) -> Answer<'_, ()> {
        Box::pin(async move {
            let shares = Arc::clone(&self.shares);
            let withdrawn = tokio::task::spawn_blocking(move || shares.withdraw(&share)).await??;
            if let Some(sequence) = withdrawn {
                self.command(client::Command::Withdraw { share, sequence }).await;
            }
            Ok(())
        })
    }

    fn search(&self, query: Query) -> Answer<'_, Found> {
        Box::pin(async move {
            match self.ask(Request::Search { query: query.clone() }).await {
                Ok(Reply::Found(found)) => {
                    let found = checked::found(self.network, found);
                    self.remembered().keep(&found);
                    Ok(found)
                }
                Ok(_) => Err(ServiceError::TrackerNonsense),
                Err(ServiceError::TrackerAway { why }) => {
                    let remembered = self.remembered().search(self.network, &query);
                    remembered.ok_or(ServiceError::TrackerAway { why })
                }
                Err(error) => Err(error),
            }
        })
    }

    fn providers(&self, content: ContentId) -> Answer<'_, Vec<Provider>> {
        Box::pin(async move {
            let mut providers = Vec::new();
            loop {
                let offset = providers.len() as u32;
                let (found, more) = match self.ask(Request::Providers { content, offset }).await {
                    Ok(Reply::Providers { providers, more }) => (providers, more),
                    Ok(_) => return Err(ServiceError::TrackerNonsense),
                    Err(ServiceError::TrackerAway { why }) => {
                        let known = self.remembered().providers(&content);
                        return known.ok_or(ServiceError::TrackerAway { why });
                    }
                    Err(error) => return Err(error),
                };
                let empty = found.is_empty();
                providers.extend(found);
                if !more || empty || providers.len() >= limits::PROVIDERS_ASKED {
                    break;
                }
            }
            let own = self.peers.own_id();
            let providers = providers.into_iter();
            let providers: Vec<Provider> = providers
                .filter_map(|one| checked::provider(&self.network, own, &content, one))
                .collect();
            self.remembered().keep_providers(content, &providers);
            Ok(providers)
        })
    }

    fn resolve(&self, peer: PeerId) -> Answer<'_, Option<Located>> {
        Box::pin(async move {
            let (presence, online, last_seen_ms) = match self.ask(Request::Resolve { peer }).await {
                Ok(Reply::Resolved { presence, online, last_seen_ms }) => {
                    (presence, online, last_seen_ms)
                }
                Ok(_) => return Err(ServiceError::TrackerNonsense),
                Err(ServiceError::Denied(Denial::Unknown)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(presence) = presence else { return Ok(None) };
            let presence = Presence::check(&presence, &self.network, &peer)
                .map_err(|_| ServiceError::TrackerNonsense)?;
            Ok(Some(Located {
                address: checked::address_of(presence),
                nick: presence.nick.clone(),
                online,
                last_seen_ms,
            }))
        })
    }
}

impl NetworkDirectory for TrackerDirectory {
    fn ask(&self, request: Request) -> Answer<'_, Reply> {
        Box::pin(self.answered(request))
    }

    fn rename(&self, nick: String) -> BoxFuture<'_, ()> {
        Box::pin(self.command(client::Command::Rename(Nick::Chosen(nick))))
    }

    fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let goodbye = self.ask(Request::Leave { forget: false });
            if matches!(*self.state.borrow(), State::Online { .. }) {
                let _ = tokio::time::timeout(STOP_TIME, goodbye).await;
            }
            self.switchboard.unplug(&self.network);
            self.stop.cancel();
        })
    }
}

impl Asked {
    /// Hands an answer to whoever asked.
    fn answer(&self, id: u64, result: Result<Reply, Unanswered>) {
        let asker = self.waiting.lock().expect("no panic while held").remove(&id);
        if let Some(asker) = asker {
            // An asker that is gone has lost interest.
            let _ = asker.send(result);
        }
    }
}

fn about(peers: &Peers, agent: &str, p2p_ci: Option<SocketAddr>) -> About {
    let own = peers.own_address();
    About { addresses: own.direct, relay: own.relay, agent: agent.to_owned(), p2p_ci }
}
