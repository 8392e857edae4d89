//! Plays the swarm machine of one content: messages to links, effects to lanes and store, events to
//! whoever waits.

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use potluck_base::PeerId;
use potluck_content::{Value, Values};
use potluck_proto::Input;
use potluck_proto::swarm::{Command, Effect, Event, Message, Outcome, Swarm, ValuesError};
use potluck_proto::{Frame, What};
use tokio::time::timeout;

use crate::access::may_join;
use crate::error::ServiceError;
use crate::notice::Notice;
use crate::peers::{Linked, Peers};
use crate::runner::Player;
use crate::swarm::push::{LANES_USED, Push, give_back, push};
use crate::swarm::session::{Holding, Session};

/// A peer that takes no frame for this long is stuck; waiting longer would hold up the others.
const SEND_TIME: Duration = Duration::from_secs(2);

/// The hands of one swarm machine.
pub struct SwarmPlayer {
    session: Arc<Session>,
    peers: Weak<Peers>,
}

impl SwarmPlayer {
    /// Plays for `session` over the links of `peers`.
    pub fn new(session: Arc<Session>, peers: &Arc<Peers>) -> Self {
        Self { session, peers: Arc::downgrade(peers) }
    }

    fn linked(&self, peer: PeerId) -> Option<Arc<Linked>> {
        self.peers.upgrade()?.linked(peer)
    }

    /// The link to a peer that the content is for. What the machine said before it heard that a
    /// peer is out must not reach it over its next link.
    fn partner(&self, peer: PeerId) -> Option<Arc<Linked>> {
        let peers = self.peers.upgrade()?;
        peers.linked(peer).filter(|linked| may_join(&self.session, linked, peers.memberships()))
    }

    fn fetch_values(&self, from: PeerId, files: Range<u32>) {
        let session = Arc::clone(&self.session);
        let linked = self.linked(from);
        tokio::spawn(async move {
            let result = match linked {
                Some(linked) => fetch_values(&session, &linked, files.clone()).await,
                None => Err(ValuesError::Unavailable),
            };
            let outcome = Outcome::Values { from, files, result };
            session.input(Input::Done(outcome)).await;
        });
    }

    fn finished(&mut self, peer: PeerId) {
        let mut count = 0;
        self.session.outlook.send_modify(|outlook| {
            outlook.finished += 1;
            count = outlook.finished;
        });
        let content = self.session.id;
        self.session.notices.send(Notice::ReceiverDone { content, peer, count });
    }
}

impl Player<Swarm<PeerId>> for SwarmPlayer {
    async fn send(&mut self, to: PeerId, message: Message<PeerId>) {
        let (Some(peers), Some(linked)) = (self.peers.upgrade(), self.partner(to)) else { return };
        if matches!(message, Message::Join { wants: true, .. } | Message::Request(_)) {
            // If we dialled, only we can open the lanes that pieces will come over.
            linked.link().want_lanes(LANES_USED);
        }
        let message = message.map_peers(|peer| peers.address(peer));
        let frame = Frame::Swarm { content: self.session.id, message };
        if !matches!(timeout(SEND_TIME, linked.send(&frame)).await, Ok(Ok(()))) {
            linked.close("does not take what it is sent");
        }
    }

    fn hang_up(&mut self, peer: PeerId) {
        if let Some(linked) = self.linked(peer) {
            linked.close("misbehaved");
        }
    }

    fn perform(&mut self, effect: Effect<PeerId>) {
        match effect {
            Effect::FetchValues { from, files } => self.fetch_values(from, files),
            Effect::Expect { from, ranges } => self.session.expect(from, &ranges),
            Effect::Forget { from, ranges } => self.session.forget(from, &ranges),
            Effect::Push { to, range } => {
                let run = Push { session: Arc::clone(&self.session), range };
                match self.partner(to) {
                    Some(linked) => push(&linked, run),
                    None => give_back(to, [run]),
                }
            }
            Effect::CancelPush { to, ranges } => {
                if let Some(linked) = self.linked(to) {
                    give_back(to, linked.pushes.cancel(self.session.id, &ranges));
                }
            }
            Effect::Connect { peer } => {
                // Peers may tell us of ourselves.
                if let Some(peers) = self.peers.upgrade().filter(|p| p.own_id() != peer) {
                    peers.connect_for(&self.session, peer);
                }
            }
        }
    }

    fn emit(&mut self, event: Event<PeerId>) {
        match event {
            Event::Complete => self.session.outlook.send_modify(|outlook| outlook.complete = true),
            Event::PeerFinished(peer) => self.finished(peer),
            Event::Lost { ranges, why } => self.session.outlook.send_modify(|outlook| {
                outlook.lost.extend(ranges.into_iter().map(|range| (range, why)));
            }),
            Event::Liar { peer, piece } => {
                tracing::warn!(peer = %peer.short(), ?piece, "a peer sent wrong bytes");
                self.session.notices.send(Notice::Liar { content: self.session.id, peer });
            }
            Event::Stalled(peer) => tracing::info!(peer = %peer.short(), "a peer stalls"),
            Event::Revived(peer) => tracing::info!(peer = %peer.short(), "a peer is back"),
        }
    }
}

/// Asks a peer for the values of some files, checks each list against its file's id and keeps it.
async fn fetch_values(
    session: &Session,
    linked: &Linked,
    files: Range<u32>,
) -> Result<(), ValuesError> {
    let what = What::Values { files: files.clone() };
    let bytes_max = files.clone().map(|file| values_bytes(session, file) as u64).sum();
    let answer = linked.ask(session.id, what, bytes_max).await;
    let bytes = answer.map_err(|error| match error {
        ServiceError::Lied { .. } => ValuesError::Lie,
        _ => ValuesError::Unavailable,
    })?;
    let holding = session.holding();
    let Holding::Download(download) = &*holding else { return Ok(()) };
    let mut rest = bytes.as_slice();
    for index in files {
        let length = values_bytes(session, index);
        if length == 0 {
            continue;
        }
        let file = session.map.file(index);
        let (list, after) = rest.split_at_checked(length).ok_or(ValuesError::Lie)?;
        rest = after;
        let values =
            Values::from_bytes(file.layout, file.id, list).map_err(|_| ValuesError::Lie)?;
        // Pieces of an earlier attempt are verified with them, which takes the disk some time.
        let (download, values) = (Arc::clone(download), Arc::new(values));
        let kept = tokio::task::spawn_blocking(move || download.set_values(index, values));
        match kept.await.map_err(|_| ValuesError::Unavailable)? {
            Ok(found) if found.is_empty() => {}
            Ok(found) => session.input(Input::Command(Command::Local(found))).await,
            Err(error) => {
                session.fail(error);
                return Err(ValuesError::Unavailable);
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(ValuesError::Lie) }
}

/// Length of a file's list of values on the wire: none for a file of one piece, whose value is its
/// id.
pub fn values_bytes(session: &Session, file: u32) -> usize {
    match session.map.file(file).layout.pieces() {
        0 | 1 => 0,
        pieces => pieces as usize * size_of::<Value>(),
    }
}
