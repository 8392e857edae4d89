//! Ctrl-C and its relatives: the first asks to stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use potluck_api::{ApiError, ErrorKind};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::exit::STOPPED_AT_ONCE;

/// A second signal that comes sooner is the first one again: `timeout` and shells signal a process
/// and then its group, and no person is this quick.
const SAME_SIGNAL_TIME: Duration = Duration::from_millis(300);

/// Whether the person, or the system, asked the program to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
    held: Arc<Held>,
}

/// Ctrl-C that is about a command, not about the program.
#[derive(Debug, Default)]
struct Held {
    holds: AtomicUsize,
    pressed: Notify,
}

/// While this lives, Ctrl-C does not stop the program.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Held>);

impl Hold {
    /// Waits until Ctrl-C is pressed.
    pub(crate) async fn pressed(&self) {
        self.0.pressed.notified().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, ApiError> {
        let mut signals = Signals::new().map_err(|error| {
            ApiError::internal("the system does not tell about signals").because(&error)
        })?;
        let (ask, asked) = watch::channel(false);
        let held = Arc::new(Held::default());
        let holds = Arc::clone(&held);
        tokio::spawn(async move {
            while signals.next().await == Sign::Key && holds.holds.load(Ordering::SeqCst) > 0 {
                holds.pressed.notify_waiters();
            }
            ask.send_replace(true);
            let first = Instant::now();
            while first.elapsed() < SAME_SIGNAL_TIME {
                signals.next().await;
            }
            std::process::exit(STOPPED_AT_ONCE.into());
        });
        Ok(Self { asked, held })
    }

    /// From now on, and as long as the hold lives, Ctrl-C is told to the hold only.
    pub(crate) fn hold(&self) -> Hold {
        self.held.holds.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(&self.held))
    }

    /// Waits until the program is asked to stop.
    pub(crate) async fn wait(&self) {
        let mut asked = self.asked.clone();
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

/// Where a wish to stop comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Ctrl-C.
    Key,
    /// The system, or another program.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix tells them apart"))]
    System,
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

    async fn next(&mut self) -> Sign {
        tokio::select! {
            _ = self.0.recv() => Sign::Key,
            _ = self.1.recv() => Sign::System,
            _ = self.2.recv() => Sign::System,
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

    async fn next(&mut self) -> Sign {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Sign::Key
    }
}
