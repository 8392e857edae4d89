//! A running command as a stream of lines; dropping the stream cancels the command.

use std::time::Duration;

use futures_util::{Stream, stream};
use potluck_api::{ApiError, Command, ErrorKind, Event, Line, Outcome, Reply};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::node::Node;

/// Events that may wait for a door that reads slowly; then the command decides whether to drop or
/// to wait.
const EVENTS_QUEUED: usize = 256;
/// How long a command may take to end by itself once the server stops.
const LAST_WORDS_TIME: Duration = Duration::from_millis(250);

/// A command, from its start to the end of its outcome.
struct Running {
    events: mpsc::Receiver<Event>,
    task: AbortOnDropHandle<Result<Reply, ApiError>>,
    stopping: CancellationToken,
    outcome: Option<Outcome>,
    ended: bool,
}

/// Runs a command: its events, then its outcome.
pub(crate) fn run<N: Node>(
    node: N,
    command: Command,
    stopping: CancellationToken,
) -> impl Stream<Item = Line> + Send {
    let (sender, events) = mpsc::channel(EVENTS_QUEUED);
    // A task of its own: a door that does not read must not stop the work.
    let task = tokio::spawn(async move { node.run(command, sender).await });
    let task = AbortOnDropHandle::new(task);
    let running = Running { events, task, stopping, outcome: None, ended: false };
    stream::unfold(running, |mut running| async move {
        let line = running.next().await?;
        Some((line, running))
    })
}

impl Running {
    async fn next(&mut self) -> Option<Line> {
        if self.ended {
            return None;
        }
        if self.outcome.is_none() {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => return Some(Line::Event(event)),
                ended = &mut self.task => self.outcome = Some(outcome_of(ended)),
                () = self.stopping.cancelled() => self.outcome = Some(self.last_words().await),
            }
        }
        // The command may have said something between our last look and its end.
        if let Ok(event) = self.events.try_recv() {
            return Some(Line::Event(event));
        }
        self.ended = true;
        self.outcome.take().map(Line::Outcome)
    }

    /// The server stops: the command may still end by itself, as `stop` does.
    async fn last_words(&mut self) -> Outcome {
        match timeout(LAST_WORDS_TIME, &mut self.task).await {
            Ok(ended) => outcome_of(ended),
            Err(_) => {
                let error = ApiError::new(ErrorKind::Interrupted, "the node was stopped")
                    .hint("run the same command again to continue");
                Outcome::Failed { error }
            }
        }
    }
}

fn outcome_of(ended: Result<Result<Reply, ApiError>, tokio::task::JoinError>) -> Outcome {
    ended
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a command ended without an answer");
            Err(ApiError::internal("the command ended without an answer"))
        })
        .into()
}
