//! Entering a network: starting its directory, and following what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::NetworkId;
use potluck_proto::directory::tracker::Nick;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Entered, First, Joined, Networks, Saved, nonsense};
use crate::directory::chord::{self, ChordDirectory};
use crate::directory::tracker::{self, TrackerDirectory};
use crate::directory::{Announcement, Directory, Happened, NetworkDirectory, State};
use crate::error::ServiceError;
use crate::notice::Notice;

/// How long `create` and `join` wait for the directory to be reached.
const ENTER_TIME: Duration = Duration::from_secs(8);

impl Networks {
    /// Takes part again in a network whose circle was left for a while.
    pub async fn enter_again(self: &Arc<Self>, network: &NetworkId) -> Result<(), ServiceError> {
        let joined = self.get(network)?;
        {
            let _turn = self.starting.lock().await;
            match joined.entered() {
                Some(directory) if *directory.state().borrow() == State::Away => {
                    directory.stop().await;
                    let nick = joined.saved().nick.clone().map_or(Nick::Any, Nick::Suggested);
                    self.enter(&joined, nick, First::default()).await?;
                }
                _ => {}
            }
        }
        self.settled(&joined).await.map(|_| ())
    }

    /// Starts to take part in a network.
    pub(super) async fn enter(
        self: &Arc<Self>,
        joined: &Arc<Joined>,
        nick: Nick,
        first: First,
    ) -> Result<(), ServiceError> {
        let saved = joined.saved().clone();
        self.admit(&saved);
        // Members that are linked since we were in it before need not show again that they are.
        self.parts.peers.judge_again(&saved.id()).await;
        let (network, published) = (saved.id(), Arc::clone(&self.parts.published));
        let published = tokio::task::spawn_blocking(move || published(&network)).await?;
        let (entered, mut happenings) = match saved.record.value.replicas() {
            Some(_) => self.start_circle(saved, nick, first, published).await?,
            None => self.start_session(saved, nick, first, published).await?,
        };
        self.parts.directories.put(Arc::clone(&entered.directory) as Arc<dyn Directory>);
        joined.enter(entered);
        let (networks, joined) = (Arc::downgrade(self), Arc::downgrade(joined));
        tokio::spawn(async move {
            while let Some(happened) = happenings.recv().await {
                let (Some(networks), Some(joined)) = (networks.upgrade(), joined.upgrade()) else {
                    return;
                };
                if let Err(error) = networks.follow(&joined, happened).await {
                    tracing::error!(%error, "a change of a network could not be kept");
                }
            }
        });
        Ok(())
    }

    async fn start_session(
        &self,
        saved: Saved,
        nick: Nick,
        first: First,
        published: Vec<Announcement>,
    ) -> Result<(Entered, mpsc::Receiver<Happened>), ServiceError> {
        let parts = &self.parts;
        let started = TrackerDirectory::start(tracker::Setup {
            record: saved.record,
            membership: saved.membership,
            revocations: saved.revocations,
            nick,
            token: first.token,
            published,
            secret: parts.secret.clone(),
            agent: parts.agent.clone(),
            p2p_ci: parts.p2p_ci,
            peers: Arc::clone(&parts.peers),
            switchboard: Arc::clone(&parts.switchboard),
            store: parts.store.clone(),
        });
        let (directory, happenings) = started.await?;
        Ok((Entered { directory, circle: None }, happenings))
    }

    async fn start_circle(
        &self,
        saved: Saved,
        nick: Nick,
        first: First,
        published: Vec<Announcement>,
    ) -> Result<(Entered, mpsc::Receiver<Happened>), ServiceError> {
        let parts = &self.parts;
        let started = ChordDirectory::start(chord::Setup {
            record: saved.record,
            membership: saved.membership,
            revocations: saved.revocations,
            nick,
            known: first.known,
            published,
            secret: parts.secret.clone(),
            agent: parts.agent.clone(),
            p2p_ci: parts.p2p_ci,
            peers: Arc::clone(&parts.peers),
            circles: Arc::clone(&parts.circles),
            store: parts.store.clone(),
        });
        let (circle, happenings) = started.await?;
        let directory = Arc::clone(&circle) as Arc<dyn NetworkDirectory>;
        Ok((Entered { directory, circle: Some(circle) }, happenings))
    }

    /// Lets the links know what this network admits.
    pub(super) fn admit(&self, saved: &Saved) {
        self.parts.memberships.put(
            saved.record.clone(),
            saved.membership.clone(),
            saved.revocations.clone(),
        );
    }

    /// Keeps what a network's directory told.
    pub(super) async fn follow(
        &self,
        joined: &Joined,
        happened: Happened,
    ) -> Result<(), ServiceError> {
        let network = joined.saved().id();
        match happened {
            Happened::State(state) => {
                self.parts.notices.send(Notice::Network { network, state });
                return Ok(());
            }
            Happened::Named(nick) => joined.saved().nick = Some(nick),
            Happened::Record(record) => {
                joined.saved().record = record;
                let saved = joined.saved().clone();
                self.admit(&saved);
                self.parts.peers.judge_again(&network).await;
            }
            Happened::Admitted(membership) => joined.saved().membership = membership,
            Happened::Revoked(revocations) => {
                let parts = &self.parts;
                if !parts.memberships.accept_revocations(&parts.peers, &revocations).await {
                    return Ok(());
                }
                let mut saved = joined.saved();
                // A newer one may have come while links were ended.
                if revocations.number() > saved.revocations.number() {
                    saved.revocations = revocations;
                }
            }
            Happened::Refused { share, denial } => {
                self.parts.notices.send(Notice::NotListed { network, share, denial });
                return Ok(());
            }
            Happened::InStep => {
                self.parts.notices.send(Notice::InStep { network });
                return Ok(());
            }
        }
        let saved = joined.saved().clone();
        self.admit(&saved);
        self.keep(&saved).await
    }

    /// Waits for the first session of a network; when we were there last, if we were.
    pub(super) async fn settled(&self, joined: &Joined) -> Result<Option<u64>, ServiceError> {
        let mut state = joined.directory()?.state();
        let settled = async {
            loop {
                match &*state.borrow_and_update() {
                    State::Online { returning, .. } => return Ok(*returning),
                    State::NickTaken { nick, free } => {
                        let (nick, free) = (nick.clone(), free.clone());
                        return Err(ServiceError::NickTaken { nick, free });
                    }
                    State::Expelled => return Err(ServiceError::Expelled),
                    State::Denied(denial) => return Err(denial.clone().into()),
                    State::Connecting { .. } | State::Away => {}
                }
                if state.changed().await.is_err() {
                    return Err(nonsense());
                }
            }
        };
        timeout(ENTER_TIME, settled).await.unwrap_or_else(|_| {
            let state = joined.entered().map(|directory| directory.state().borrow().clone());
            let why = match state {
                Some(State::Connecting { why: Some(why), .. }) => why,
                _ => "it does not answer".to_owned(),
            };
            Err(joined.away(&why))
        })
    }
}
