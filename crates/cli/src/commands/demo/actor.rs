//! An actor of the demo: this program again, in a process of its own, with a home of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use potluck_api::{ApiError, ErrorKind, Event, Line, Reply};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::stage::Stage;
use crate::ui::shown_path;

/// How long an actor may take to leave when asked to.
const LEAVE_TIME: Duration = Duration::from_secs(10);

/// A running actor; dropping it kills its process.
#[derive(Debug)]
pub(super) struct Actor {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    /// Starts the one who shares `source`.
    pub(super) fn provider(stage: &Stage, source: &Path) -> Result<Self, ApiError> {
        let mut command = command(stage, "provider")?;
        command.arg("share").arg("--").arg(source);
        Self::start("provider".to_owned(), command)
    }

    /// Starts one who fetches, into a folder of its own.
    pub(super) fn receiver(stage: &Stage, index: usize, ticket: &str) -> Result<Self, ApiError> {
        let name = format!("receiver-{index}");
        let mut command = command(stage, &name)?;
        let copy = stage.folder(&format!("copy-{index}"))?;
        // A ticket on a command line would show in the list of processes.
        command.arg("get").arg("--output").arg(copy).env("POTLUCK_TICKET", ticket);
        Self::start(name, command)
    }

    fn start(name: String, mut command: Command) -> Result<Self, ApiError> {
        let failed = |error: &std::io::Error| {
            ApiError::internal(format!("the {name} cannot be started")).because(error)
        };
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let out = child.stdout.take().ok_or_else(|| ApiError::internal("a pipe is missing"))?;
        Ok(Self { name, child, lines: BufReader::new(out).lines() })
    }

    /// Reads what the actor tells until it tells how its command ended.
    pub(super) async fn outcome(
        &mut self,
        mut on_event: impl FnMut(&Event),
    ) -> Result<Reply, ApiError> {
        loop {
            let line =
                self.lines.next_line().await.map_err(|error| self.lost(&error.to_string()))?;
            let Some(line) = line else {
                return Err(self.lost("it ended without an answer"));
            };
            match serde_json::from_str(&line) {
                Ok(Line::Event(event)) => on_event(&event),
                Ok(Line::Outcome(outcome)) => {
                    return Result::from(outcome).map_err(|error| ApiError {
                        message: format!("the {} failed: {}", self.name, error.message),
                        ..error
                    });
                }
                Err(error) => return Err(self.lost(&format!("it wrote {error}"))),
            }
        }
    }

    /// Asks the actor to leave, and makes it.
    pub(super) async fn end(mut self) {
        ask_to_leave(&self.child);
        // Its output must not fill the pipe while it leaves.
        let lines = &mut self.lines;
        let read_on = async { while let Ok(Some(_)) = lines.next_line().await {} };
        if timeout(LEAVE_TIME, read_on).await.is_ok()
            && timeout(LEAVE_TIME, self.child.wait()).await.is_ok()
        {
            return;
        }
        // It may have left just now.
        let _ = self.child.kill().await;
    }

    fn lost(&self, why: &str) -> ApiError {
        ApiError::new(ErrorKind::Internal, format!("the {} was lost: {why}", self.name))
    }
}

/// This program, with nothing of the person's own settings.
fn command(stage: &Stage, name: &str) -> Result<Command, ApiError> {
    let program = std::env::current_exe().map_err(|error| {
        ApiError::internal("this program does not find its own file").because(&error)
    })?;
    let home = stage.folder(&format!("home-{name}"))?;
    let errors = home.join("stderr.log");
    let errors = std::fs::File::create(&errors).map_err(|error| {
        let message = format!("{} cannot be written", shown_path(&errors));
        ApiError::new(ErrorKind::Denied, message).because(&error)
    })?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("POTLUCK_") {
            command.env_remove(name);
        }
    }
    command
        .env("POTLUCK_HOME", home)
        .env("POTLUCK_LISTEN", "127.0.0.1:0")
        .env("POTLUCK_JSON", "true");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
    // Ctrl-C is for the demo, which ends its actors itself.
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}

#[cfg(unix)]
fn ask_to_leave(child: &Child) {
    let id =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // Whoever has left already does not mind.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
    }
}

#[cfg(not(unix))]
fn ask_to_leave(_: &Child) {}
