//! The peers that a ticket names: kept linked, and told of when none can be reached.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId};
use potluck_content::Ticket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{LOOK_EVERY, Step, Steps, tell};
use crate::directory::Directories;
use crate::error::ServiceError;
use crate::peers::{DialState, Keeping, Peers};
use crate::progress::Meter;
use crate::swarm::Outlook;

/// How long providers of a ticket may stay unreachable before the first of them was ever reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// Silence after which a person is told that nothing moves.
const QUIET: Duration = Duration::from_secs(3);

/// Pause between two questions to the directories who else has a content.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// Providers that are kept linked for one content; others help when they are introduced.
const KEPT: usize = 32;

/// The peers that a ticket names, and how long they have been out of reach.
pub struct Providers {
    pub(super) kept: Vec<Keeping>,
    give_up_after: Option<Duration>,
    since: Instant,
    ever_linked: bool,
    told: Option<String>,
    more: Option<mpsc::Receiver<(NetworkId, PeerAddr)>>,
}

impl Providers {
    /// Keeps links to all peers of the ticket, as long as this lives; they are taken for members of
    /// the networks that it was found in.
    pub async fn keep(
        peers: &Arc<Peers>,
        ticket: &Ticket,
        networks: &[NetworkId],
        give_up_after: Option<Duration>,
    ) -> Self {
        let mut kept = Vec::new();
        for address in ticket.providers.iter().filter(|address| address.id != peers.own_id()) {
            peers.learn(address.clone());
            for network in networks {
                peers.know_in(address.id, *network).await;
            }
            kept.push(peers.keep(address.id));
        }
        let since = Instant::now();
        Self { kept, give_up_after, since, ever_linked: false, told: None, more: None }
    }

    /// Asks the directories from now on who else has the content.
    pub(super) fn ask_for_more(
        &mut self,
        directories: &Arc<Directories>,
        content: ContentId,
        networks: &[NetworkId],
    ) {
        if networks.is_empty() {
            return;
        }
        let (put, more) = mpsc::channel(KEPT);
        let (directories, networks) = (Arc::clone(directories), networks.to_vec());
        tokio::spawn(async move {
            while !put.is_closed() {
                for (network, provider) in directories.providers(content, &networks).await {
                    if provider.online && put.send((network, provider.address)).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(ASK_EVERY) => {}
                    () = put.closed() => {}
                }
            }
        });
        self.more = Some(more);
    }

    /// The next provider that was not known; never, if nobody is asked.
    pub(super) async fn another(&mut self, peers: &Arc<Peers>) -> Option<PeerId> {
        let Some(more) = &mut self.more else { return std::future::pending().await };
        loop {
            let (network, address) = more.recv().await?;
            let peer = address.id;
            if peer == peers.own_id()
                || self.kept.len() >= KEPT
                || self.kept.iter().any(|keeping| keeping.peer == peer)
            {
                continue;
            }
            peers.learn(address);
            peers.know_in(peer, network).await;
            self.kept.push(peers.keep(peer));
            return Some(peer);
        }
    }

    /// Whether each is linked, or was dialled in vain more than once: nobody else is about to turn
    /// up.
    pub(super) fn are_settled(&self) -> bool {
        self.kept.iter().all(|keeping| match &*keeping.state.borrow() {
            DialState::Linked => true,
            DialState::Dialling => false,
            DialState::Waiting { failed, .. } => *failed > 1,
        })
    }

    /// Those that are linked now.
    pub(super) fn linked(&self, peers: &Peers) -> Vec<PeerId> {
        self.kept.iter().map(|k| k.peer).filter(|peer| peers.linked(*peer).is_some()).collect()
    }

    /// Tells why nothing moves, and ends the wait when it has become pointless.
    pub(super) async fn check(
        &mut self,
        steps: &Steps,
        moving: Option<(&Outlook, &Meter)>,
    ) -> Result<(), ServiceError> {
        if let Some((outlook, meter)) = moving {
            let all_refused = self.kept.iter().all(|k| outlook.refused.contains(&k.peer));
            if all_refused && outlook.peers.is_empty() {
                let nobody = self.kept.is_empty();
                return Err(if nobody {
                    ServiceError::NoProviders
                } else {
                    ServiceError::NotShared
                });
            }
            if meter.still_for() < LOOK_EVERY * 2 {
                self.since = Instant::now();
            }
        }
        let mut causes = Vec::new();
        let mut next: Option<Instant> = None;
        for keeping in &self.kept {
            match &*keeping.state.borrow() {
                DialState::Linked => self.ever_linked = true,
                DialState::Dialling => {}
                DialState::Waiting { why, until, .. } => {
                    causes.push(why.clone());
                    next = Some(next.map_or(*until, |n| n.min(*until)));
                }
            }
        }
        if self.kept.is_empty() && moving.is_none() {
            return Err(ServiceError::NoProviders);
        }
        let waited = self.since.elapsed();
        if let Some(patience) = self.give_up_after
            && waited > patience
        {
            return Err(ServiceError::GaveUp(patience.as_secs()));
        }
        let peers = moving.map_or(0, |(outlook, _)| outlook.peers.len());
        let unreachable = peers == 0 && !causes.is_empty() && causes.len() == self.kept.len();
        if unreachable && !self.ever_linked && waited > PATIENCE {
            return Err(ServiceError::Unreachable { causes });
        }
        let silent = moving.is_some_and(|(_, meter)| peers > 0 && meter.still_for() > QUIET);
        let reason = match (unreachable, silent) {
            (true, _) => Some(causes.join("; ")),
            (false, true) => Some("the other side is linked, but nothing comes from it".to_owned()),
            (false, false) => None,
        };
        self.tell_waiting(steps, reason, next).await;
        Ok(())
    }

    async fn tell_waiting(&mut self, steps: &Steps, reason: Option<String>, next: Option<Instant>) {
        let key = reason.as_ref().map(|reason| format!("{reason} {next:?}"));
        if key == self.told {
            return;
        }
        self.told = key;
        match reason {
            Some(reason) => {
                let retry_in = next.map(|at| at.saturating_duration_since(Instant::now()));
                tell(steps, Step::Waiting { reason, retry_in }).await;
            }
            None => tell(steps, Step::Fetching).await,
        }
    }
}
