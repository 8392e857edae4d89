//! What happens to a download that is stopped half way.

use std::sync::Arc;

use potluck_base::ContentId;
use potluck_store::Download;

use crate::swarm::Swarms;

/// Ends a session whose download was stopped half way, and records what is here.
pub(super) struct Guard {
    pub(super) swarms: Arc<Swarms>,
    pub(super) download: Arc<Download>,
    pub(super) content: ContentId,
    pub(super) armed: bool,
}

impl Guard {
    /// The download came to its end: nothing is left to do.
    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let (swarms, download, content) =
            (Arc::clone(&self.swarms), Arc::clone(&self.download), self.content);
        self.swarms.spawn(async move {
            swarms.close(content).await;
            let recorded = tokio::task::spawn_blocking(move || download.checkpoint()).await;
            if let Ok(Err(error)) = recorded {
                tracing::warn!(%error, "the progress could not be recorded");
            }
        });
    }
}
