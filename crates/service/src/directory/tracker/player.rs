//! Does what a member's machine says: frames to trackers, dials, pages.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId};
use potluck_proto::Input;
use potluck_proto::directory::tracker::client::{Command, Effect, Event, Outcome, Why};
use potluck_proto::directory::tracker::{Client, Message, Request};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{Asked, Switchboard};
use crate::directory::shares::Shares;
use crate::directory::{Happened, State};
use crate::peers::Peers;
use crate::runner::Player;

/// Time that a frame may wait for room in a link's queue before the link counts as stuck.
const SEND_TIME: Duration = Duration::from_secs(5);

/// Plays one network's machine.
pub(super) struct ClientPlayer {
    pub(super) network: NetworkId,
    pub(super) peers: Arc<Peers>,
    pub(super) switchboard: Arc<Switchboard>,
    pub(super) shares: Arc<Shares>,
    pub(super) asked: Arc<Asked>,
    /// Weak: the machine ends when its directory is gone.
    pub(super) inputs: mpsc::WeakSender<Input<Client<PeerId>>>,
    pub(super) state: watch::Sender<State>,
    pub(super) happened: mpsc::Sender<Happened>,
    /// When the machine's clock began, unix milliseconds.
    pub(super) started_ms: u64,
}

impl ClientPlayer {
    fn tell(&self, happened: Happened) {
        if let Err(error) = self.happened.try_send(happened) {
            tracing::warn!(%error, network = %self.network.short(), "a change was not kept");
        }
    }

    fn enter(&self, state: State) {
        self.state.send_replace(state.clone());
        self.tell(Happened::State(state));
    }

    fn is_shut_out(&self) -> bool {
        matches!(*self.state.borrow(), State::Denied(_) | State::Expelled)
    }

    fn send_page(&self, to: PeerId, id: u32, share: potluck_base::ShareKey, page: u16) {
        let (shares, peers) = (Arc::clone(&self.shares), Arc::clone(&self.peers));
        let (switchboard, network) = (Arc::clone(&self.switchboard), self.network);
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let made = tokio::task::spawn_blocking(move || shares.page(&share, page)).await;
            let sent = match (made.ok().flatten(), peers.linked(to)) {
                (Some(page), Some(linked)) => {
                    let body = Request::PutPage { page };
                    let message = Message::Request { id, network, body };
                    switchboard.send(&linked, network, message).await.is_ok()
                }
                _ => false,
            };
            if let (false, Some(inputs)) = (sent, inputs.upgrade()) {
                let _ = inputs.send(Input::Done(Outcome::NoPage { id })).await;
            }
        });
    }
}

impl Player<Client<PeerId>> for ClientPlayer {
    async fn send(&mut self, to: PeerId, message: Message) {
        let Some(linked) = self.peers.linked(to) else { return };
        let sending = self.switchboard.send(&linked, self.network, message);
        if !matches!(timeout(SEND_TIME, sending).await, Ok(Ok(()))) {
            linked.close("the tracker does not read");
        }
    }

    fn hang_up(&mut self, peer: PeerId) {
        if let Some(linked) = self.peers.linked(peer) {
            linked.close("the tracker does not answer");
        }
    }

    fn perform(&mut self, effect: Effect<PeerId>) {
        match effect {
            Effect::Dial { peer, addr } => {
                let (peers, inputs) = (Arc::clone(&self.peers), self.inputs.clone());
                tokio::spawn(async move {
                    peers.learn(addr);
                    let stands = peers.linked(peer).is_some();
                    let outcome = match peers.dial(peer).await {
                        // The machine asks for a link that it has not used up to now.
                        Ok(()) if stands => Input::LinkUp(peer),
                        // The switchboard tells of new ones.
                        Ok(()) => return,
                        Err(error) => {
                            let why = error.to_string();
                            Input::Done(Outcome::DialFailed { peer, why })
                        }
                    };
                    if let Some(inputs) = inputs.upgrade() {
                        let _ = inputs.send(outcome).await;
                    }
                });
            }
            Effect::SendPage { to, id, share, page } => self.send_page(to, id, share, page),
        }
    }

    fn emit(&mut self, event: Event<PeerId>) {
        match event {
            Event::Connected { peer, nick, returning } => {
                tracing::debug!(peer = %peer.short(), "a session with this tracker");
                self.tell(Happened::Named(nick.clone()));
                self.enter(State::Online { nick, returning });
            }
            // The state says more than that already.
            Event::Away { why: Why::Denied, .. } if self.is_shut_out() => {}
            Event::Away { why, retry_at } => {
                let retry_at_ms = Some(self.started_ms + retry_at.0 / 1000);
                self.enter(State::Connecting { why: Some(in_words(why)), retry_at_ms });
            }
            Event::Admitted(membership) => self.tell(Happened::Admitted(membership)),
            Event::Denied(denial) => self.enter(State::Denied(denial)),
            Event::Expelled => self.enter(State::Expelled),
            Event::NickTaken { wanted, free } => {
                self.enter(State::NickTaken { nick: wanted, free });
            }
            Event::Revoked(revocations) => self.tell(Happened::Revoked(revocations)),
            Event::Record(record) => self.tell(Happened::Record(record)),
            Event::Refused { share, denial } => {
                tracing::warn!(%share, %denial, "the tracker does not list a share");
                self.tell(Happened::Refused { share, denial });
            }
            Event::Behind { share, have } => {
                if let Some(published) = self.shares.sign_above(&share, have) {
                    let (inputs, command) = (self.inputs.clone(), published);
                    tokio::spawn(async move {
                        let publish = Command::Publish(command);
                        if let Some(inputs) = inputs.upgrade() {
                            let _ = inputs.send(Input::Command(publish)).await;
                        }
                    });
                }
            }
            Event::Withdrawn(share) => tracing::debug!(%share, "withdrawn"),
            Event::InStep => self.tell(Happened::InStep),
            Event::Answered { id, result } => self.asked.answer(id, result),
            Event::Liar { peer, what } => {
                tracing::warn!(peer = %peer.short(), what, "the tracker lies");
            }
        }
    }
}

fn in_words(why: Why) -> String {
    match why {
        Why::Unreachable(why) => why,
        Why::Broken => "the link to the tracker broke".to_owned(),
        Why::Silent => "the tracker does not answer".to_owned(),
        Why::Closing => "the tracker was stopped".to_owned(),
        Why::Denied => "the tracker does not let this node in".to_owned(),
    }
}
