//! What members are told about the copies that this node is to have.

use potluck_base::{ContentId, NetworkId, PeerId};
use potluck_proto::{CopySaid, Refusal};

use super::StoredService;
use super::hold::Progress;
use crate::peers::Linked;
use crate::swarm::Copies;

impl Copies for StoredService {
    fn said(
        &self,
        linked: &Linked,
        content: ContentId,
        network: &NetworkId,
    ) -> Result<Vec<u8>, Refusal> {
        let memberships = self.fetcher.peers.memberships();
        if linked.role_in(network).is_none() || !memberships.is_in(network) {
            return Err(Refusal::NotShared);
        }
        let (progress, refused) = {
            let holds = self.holds();
            let progress = holds.progress(&content, network);
            (progress, holds.refusal(&content, network))
        };
        let said = match progress {
            None => match refused {
                Some(why) => CopySaid::Missing { why, again: false },
                None => {
                    self.look_whose_turn(content);
                    CopySaid::Unasked
                }
            },
            Some(progress) => match self.store.is_here(&content) {
                Ok(true) => CopySaid::There,
                Ok(false) => {
                    self.hear_of(linked.peer, content);
                    match progress {
                        Progress::Coming { have } => CopySaid::Coming { have },
                        Progress::Failed { why, hope } => CopySaid::Missing { why, again: hope },
                    }
                }
                Err(error) => {
                    tracing::warn!(content = %content.short(), %error, "a copy cannot be seen");
                    let why = "its disk or state cannot be read".to_owned();
                    CopySaid::Missing { why, again: true }
                }
            },
        };
        Ok(said.encode())
    }
}

impl StoredService {
    /// Who asks about a copy that is not here may have one itself: its publisher, or whoever had to
    /// hold it before.
    fn hear_of(&self, peer: PeerId, content: ContentId) {
        let news = {
            let mut holds = self.holds();
            holds.jobs.get_mut(&content).is_some_and(|job| {
                let news = job.asked_by(peer);
                if news {
                    job.try_now();
                }
                news
            })
        };
        if !news {
            return;
        }
        if let Some(session) = self.fetcher.swarms.session(content) {
            session.add_provider(peer);
            self.fetcher.peers.introduce(&session, peer);
        }
        self.kick.notify_one();
    }
}
