//! Keeping the link to a peer: dial, wait while it holds, dial again with growing pauses when it
//! breaks.

use std::sync::Arc;
use std::time::Duration;

use potluck_base::{PeerId, limits};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Change, Peers};

/// How often a peer that others told us of is dialled before it is forgotten.
const INTRODUCED_TRIES: u32 = 6;
/// The larger key waits this long before it dials a peer it was introduced to, as that peer dials
/// too.
const COURTESY: Duration = Duration::from_millis(300);

/// Where the keeping of a link stands.
#[derive(Clone, Debug)]
pub enum DialState {
    /// Being dialled.
    Dialling,
    /// There is a link.
    Linked,
    /// The last dial failed; the next is at `until`.
    Waiting {
        /// Why the dial failed.
        why: String,
        /// When the next one starts.
        until: Instant,
        /// Dials that failed since there was a link.
        failed: u32,
    },
}

/// Keeps a link for as long as it lives.
pub struct Keeping {
    /// The peer.
    pub peer: PeerId,
    /// How it goes.
    pub state: watch::Receiver<DialState>,
    _guard: DropGuard,
}
/// A link that lasted this long was a good one: the pauses start small again.
const STEADY: Duration = Duration::from_secs(3);

impl Peers {
    /// Sees to it that there is a link to `peer` until the result is dropped.
    pub fn keep(self: &Arc<Self>, peer: PeerId) -> Keeping {
        let (state, watched) = watch::channel(DialState::Dialling);
        let cancel = CancellationToken::new();
        let (peers, token) = (Arc::clone(self), cancel.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = peers.keep_linked(peer, &state) => {}
                () = token.cancelled() => {}
                () = peers.stop.cancelled() => {}
            }
        });
        Keeping { peer, state: watched, _guard: cancel.drop_guard() }
    }

    async fn keep_linked(self: &Arc<Self>, peer: PeerId, state: &watch::Sender<DialState>) {
        let mut failed = 0;
        loop {
            let mut changes = self.changes();
            if self.linked(peer).is_some() {
                let since = Instant::now();
                state.send_replace(DialState::Linked);
                while self.linked(peer).is_some() {
                    // A lagging receiver just looks again.
                    let _ = changes.recv().await;
                }
                if since.elapsed() > STEADY {
                    failed = 0;
                } else {
                    // A peer that takes links and drops them at once must not be dialled in a tight
                    // loop.
                    tokio::time::sleep(backoff(failed, 0)).await;
                    failed += 1;
                }
            }
            state.send_replace(DialState::Dialling);
            let Err(error) = self.dial(peer).await else { continue };
            let pause = backoff(failed, u32::from(peer.0[0]) + failed);
            failed += 1;
            tracing::debug!(peer = %peer.short(), %error, ?pause, "dial failed");
            let until = Instant::now() + pause;
            state.send_replace(DialState::Waiting { why: error.to_string(), until, failed });
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    change = changes.recv() => {
                        if matches!(change, Ok(Change::Up(up)) if up == peer) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Dials a peer that another peer told us of.
    pub(super) async fn dial_introduced(self: &Arc<Self>, peer: PeerId) {
        if self.own_id() > peer {
            tokio::time::sleep(COURTESY).await;
        }
        for attempt in 0..INTRODUCED_TRIES {
            match self.dial(peer).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(peer = %peer.short(), %error, "introduced, not reached")
                }
            }
            tokio::time::sleep(backoff(attempt, u32::from(peer.0[1]))).await;
        }
    }
}

/// The pause after the n-th failure: doubles up to a limit, and is spread so that many peers do not
/// dial in step.
fn backoff(failed: u32, spread: u32) -> Duration {
    let pause = limits::REDIAL_MIN.saturating_mul(1 << failed.min(10)).min(limits::REDIAL_MAX);
    pause.mul_f64(0.8 + 0.4 * f64::from(spread % 16) / 15.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_spread() {
        assert!(backoff(0, 0) < backoff(1, 0) && backoff(1, 0) < backoff(3, 0));
        assert!(backoff(60, 15) <= limits::REDIAL_MAX.mul_f64(1.21));
        assert_ne!(backoff(5, 1), backoff(5, 2));
    }
}
