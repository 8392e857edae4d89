//! Audiences of sessions that run: what changes while content is moved, and whom that ends it for.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, PeerId, PieceRange};
use potluck_proto::{Frame, Input, Refusal};
use potluck_store::Audience;

use super::push::give_back;
use super::{Session, Swarms};
use crate::access;
use crate::error::ServiceError;
use crate::peers::Linked;

/// Time that a peer gets to take the news that a content is no longer for it.
const REFUSE_TIME: Duration = Duration::from_secs(2);

impl Swarms {
    /// The audience of a content that is fetched: what was asked for, or, if that is anyone and the
    /// content is offered here already, that of the offers.
    pub fn audience_of_fetch(
        &self,
        content: &ContentId,
        asked: Audience,
    ) -> Result<Audience, ServiceError> {
        if !asked.anyone {
            return Ok(asked);
        }
        Ok(self.store.audience(content)?.unwrap_or(asked))
    }

    /// Takes note that offers have changed: each session that serves what is here follows its
    /// offers, lets go of peers that it is no longer for, and ends if nothing offers it any more.
    pub async fn review_audiences(self: &Arc<Self>) -> Result<(), ServiceError> {
        for session in self.all().into_iter().filter(|session| !session.is_fetching()) {
            let (store, content) = (self.store.clone(), session.id);
            let audience = tokio::task::spawn_blocking(move || store.audience(&content)).await??;
            match audience {
                Some(audience) if audience == *session.audience() => {}
                Some(audience) => self.change_audience(&session, audience).await,
                None => self.close(content).await,
            }
        }
        Ok(())
    }

    /// Gives a content that is being moved another audience and lets go of peers that are not in
    /// it.
    pub async fn set_audience(&self, content: ContentId, audience: Audience) {
        if let Some(session) = self.session(content) {
            self.change_audience(&session, audience).await;
        }
    }

    async fn change_audience(&self, session: &Arc<Session>, audience: Audience) {
        session.set_audience(audience);
        let there: Vec<PeerId> = session.outlook.borrow().peers.iter().copied().collect();
        for linked in there.into_iter().filter_map(|peer| self.peers.linked(peer)) {
            self.review(session, &linked).await;
        }
    }

    /// A peer is no longer what it was: sessions that are not for it let go of it.
    pub(crate) async fn review_peer(&self, linked: &Arc<Linked>) {
        for session in self.all() {
            if !session.audience().anyone {
                session.remove_provider(linked.peer);
            }
            let there = session.outlook.borrow().peers.contains(&linked.peer);
            if there || session.is_interested(linked.peer) {
                self.review(&session, linked).await;
            }
        }
    }

    /// Lets go of a peer that a session is not for.
    pub(super) async fn review(&self, session: &Arc<Session>, linked: &Arc<Linked>) {
        if access::may_join(session, linked, self.peers.memberships()) {
            return;
        }
        let (peer, content) = (linked.peer, session.id);
        session.forget_peer(peer);
        session.outlook.send_if_modified(|outlook| outlook.peers.remove(&peer));
        let all = PieceRange::new(0, session.map.total());
        give_back(peer, linked.pushes.cancel(content, &[all]));
        session.input(Input::LinkDown(peer)).await;
        let linked = Arc::clone(linked);
        self.spawn(async move {
            let refuse = Frame::Refuse { content, why: Refusal::NotShared };
            // A peer that goes away has its answer too.
            let _ = tokio::time::timeout(REFUSE_TIME, linked.send(&refuse)).await;
        });
    }
}
