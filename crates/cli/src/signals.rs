//! Ctrl-C and its relatives: the first asks to stop, the second stops at once.

use std::time::Duration;

use potluck_api::{ApiError, ErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::exit::STOPPED_AT_ONCE;

/// A second signal that comes sooner is the first one again: `timeout` and shells signal a process
/// and then its group, and no person is this quick.
const SAME_SIGNAL_TIME: Duration = Duration::from_millis(300);

/// Whether the person, or the system, asked the program to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, ApiError> {
        let mut signals = Signals::new().map_err(|error| {
            ApiError::internal("the system does not tell about signals").because(&error)
        })?;
        let (ask, asked) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            ask.send_replace(true);
            let first = Instant::now();
            while first.elapsed() < SAME_SIGNAL_TIME {
                signals.next().await;
            }
            std::process::exit(STOPPED_AT_ONCE.into());
        });
        Ok(Self(asked))
    }

    /// Waits until the program is asked to stop.
    pub(crate) async fn wait(&self) {
        let mut asked = self.0.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// What a command answers that was stopped.
    pub(crate) fn error() -> ApiError {
        ApiError::new(ErrorKind::Interrupted, "stopped")
    }
}

#[cfg(unix)]
struct Signals(
    tokio::signal::unix::Signal,
    tokio::signal::unix::Signal,
    tokio::signal::unix::Signal,
);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let of = |kind| signal(kind);
        let (int, term, hup) =
            (SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup());
        Ok(Self(of(int)?, of(term)?, of(hup)?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
            _ = self.2.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
