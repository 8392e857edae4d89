//! `potluck daemon run|start|stop|status`

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use potluck_api::{ApiError, Command, ErrorKind, Reply};
use potluck_client::Client;
use potluck_node::Node;

use super::Context;
use crate::error::{CliError, unexpected};
use crate::signals::Interrupt;
use crate::ui::{Ui, shown_path, spoken};

/// How long a daemon may take to start: it opens its database, and may have to migrate it.
const START_TIME: Duration = Duration::from_secs(30);
/// How long a daemon may take to stop: it tells its peers and finishes its writes.
const STOP_TIME: Duration = Duration::from_secs(30);
/// Pause between two looks at a daemon that starts or stops.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes at the end of the log that may say why a daemon did not start.
const LOG_SHOWN_BYTES: usize = 2000;

/// What to type after `daemon`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DaemonVerb {
    /// Run a node in this process until it is told to stop
    Run(RunArgs),
    /// Start a node in the background
    Start(StartArgs),
    /// Stop the node of this home
    Stop,
    /// Show whether a daemon is running
    Status,
}

/// What to type after `daemon start`.
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Where the API listens, on this machine; port 0 takes a free one
    #[arg(
        long,
        env = "POTLUCK_API_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:0"
    )]
    api_listen: SocketAddr,
}

/// What to type after `daemon run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    start: StartArgs,
    /// Leave the session of the terminal
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs, starts, stops or shows the daemon.
pub(crate) async fn run(verb: DaemonVerb, context: &Context) -> Result<(), CliError> {
    match verb {
        DaemonVerb::Run(args) => run_here(args, context).await,
        DaemonVerb::Start(args) => start(args, context).await,
        DaemonVerb::Stop => stop(context).await,
        DaemonVerb::Status => status(context).await,
    }
}

async fn run_here(args: RunArgs, context: &Context) -> Result<(), CliError> {
    if args.detached {
        leave_session();
    }
    let node = Node::start_working(context.settings.load()?).await?;
    let handle = node.handle();
    let api = match potluck_http::serve_daemon(handle.clone(), args.start.api_listen).await {
        Ok(api) => api,
        Err(error) => {
            node.stop().await;
            return Err(ApiError::from(error).into());
        }
    };
    context.ui.note(&format!("The node is running; its API is at http://{}.", api.address));
    tokio::select! {
        () = context.interrupt.wait() => {}
        () = handle.stopped() => {}
    }
    context.ui.note("The node is stopping.");
    api.end_commands();
    node.stop().await;
    api.stop().await;
    Ok(())
}

/// A session of one's own: the terminal's end is not the daemon's.
fn leave_session() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::setsid() {
        // Whoever leads a process group already has left.
        let _ = error;
    }
}

async fn start(args: StartArgs, context: &Context) -> Result<(), CliError> {
    let home = context.settings.load()?.home;
    if let Some(client) = client(&home).await? {
        return already_running(&client, &context.ui);
    }
    let log = home.join("daemon.log");
    let mut child = spawn(&args, context, &home, &log)?;
    let started = Instant::now();
    let client = loop {
        if let Some(client) = client(&home).await?.filter(|client| client.pid() == child.id()) {
            break client;
        }
        if let Some(ended) = child.try_wait().map_err(|error| no_daemon(&log).because(&error))? {
            let kind = kind_of(ended.code());
            return Err(ApiError { kind, ..no_daemon(&log) }.into());
        }
        if started.elapsed() > START_TIME {
            return Err(no_daemon(&log).into());
        }
        tokio::select! {
            () = context.interrupt.wait() => return Err(Interrupt::error().into()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    };
    let reply = client.run(Command::Status, |_| ()).await?;
    if !context.ui.json_reply(&reply)? {
        context.ui.note(&format!(
            "The daemon is running as process {}, in {}.",
            client.pid(),
            spoken(started.elapsed())
        ));
    }
    Ok(())
}

fn already_running(client: &Client, ui: &Ui) -> Result<(), CliError> {
    if client.is_daemon() {
        ui.note(&format!("The daemon is running already, as process {}.", client.pid()));
        return Ok(());
    }
    let message = format!("another command runs this home's node, as process {}", client.pid());
    let error = ApiError::new(ErrorKind::Busy, message);
    Err(error.hint("stop it first: \"potluck daemon stop\"").into())
}

/// Starts this program again, away from the terminal.
fn spawn(args: &StartArgs, context: &Context, home: &Path, log: &Path) -> Result<Child, ApiError> {
    let cannot = |what: &str, error: &std::io::Error| {
        ApiError::new(ErrorKind::Denied, what.to_owned()).because(error)
    };
    let program = std::env::current_exe()
        .map_err(|error| cannot("this program does not find its own file", &error))?;
    make_home(home).map_err(|error| {
        cannot(&format!("the home {} cannot be made", shown_path(home)), &error)
    })?;
    let log_file = open_log(log)
        .map_err(|error| cannot(&format!("{} cannot be written", shown_path(log)), &error))?;
    let err_file =
        log_file.try_clone().map_err(|error| cannot("the log cannot be shared", &error))?;
    let mut process = Process::new(program);
    process.args(["daemon", "run", "--detached", "--api-listen", &args.api_listen.to_string()]);
    process.arg("--home").arg(home);
    if let Some(listen) = &context.settings.listen {
        process.arg("--listen").arg(listen);
    }
    for (key, value) in &context.settings.others {
        process.arg("--set").arg(format!("{key}={value}"));
    }
    // The daemon must not hold the folder that it was started from.
    process.current_dir(home).env_remove("POTLUCK_JSON").env_remove("POTLUCK_QUIET");
    process.stdin(Stdio::null()).stdout(log_file).stderr(err_file);
    process.spawn().map_err(|error| cannot("the daemon cannot be started", &error))
}

fn make_home(home: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(home)
}

/// The log of this start only: the last one's is kept beside it.
fn open_log(log: &Path) -> std::io::Result<File> {
    let _ = fs::rename(log, log.with_extension("log.1"));
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(log)
}

/// Why the daemon did not start, in its own words.
fn no_daemon(log: &PathBuf) -> ApiError {
    let error = ApiError::internal("the daemon did not start");
    let error = error.hint(format!("its log is {}", shown_path(log)));
    let said = fs::read(log).unwrap_or_default();
    let said = &said[said.len().saturating_sub(LOG_SHOWN_BYTES)..];
    let causes = String::from_utf8_lossy(said)
        .lines()
        .map(|line| line.trim().trim_start_matches("error: ").to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    ApiError { causes, ..error }
}

fn kind_of(exit_code: Option<i32>) -> ErrorKind {
    let is = |kind: &ErrorKind| Some(i32::from(kind.exit_code())) == exit_code;
    ErrorKind::ALL.into_iter().find(is).unwrap_or(ErrorKind::Internal)
}

async fn stop(context: &Context) -> Result<(), CliError> {
    let home = context.settings.load()?.home;
    let Some(client) = client(&home).await? else {
        return Err(not_running().into());
    };
    stop_node(&client, &home, context).await
}

/// Stops a node and waits until its home is free.
pub(super) async fn stop_node(
    client: &Client,
    home: &Path,
    context: &Context,
) -> Result<(), CliError> {
    let reply = client.run(Command::Stop, |_| ()).await?;
    let Reply::Stopping = reply else {
        return Err(unexpected(&reply));
    };
    let started = Instant::now();
    // The file goes when the home is free.
    while pid_of_running(home) == Some(client.pid()) {
        if started.elapsed() > STOP_TIME {
            let message = format!("process {} does not end", client.pid());
            return Err(ApiError::new(ErrorKind::Busy, message).into());
        }
        tokio::select! {
            () = context.interrupt.wait() => return Err(Interrupt::error().into()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    if !context.ui.json_reply(&reply)? {
        context.ui.note(&format!("Process {} has stopped.", client.pid()));
    }
    Ok(())
}

fn pid_of_running(home: &Path) -> Option<u32> {
    let text = fs::read(home.join(potluck_api::API_FILE)).ok()?;
    serde_json::from_slice::<potluck_api::ApiFile>(&text).ok().map(|file| file.pid)
}

async fn status(context: &Context) -> Result<(), CliError> {
    let home = context.settings.load()?.home;
    let running = client(&home).await?.filter(Client::is_daemon);
    let Some(client) = running else {
        return Err(not_running().into());
    };
    let reply = client.run(Command::Status, |_| ()).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Status(status) = reply else {
        return Err(unexpected(&reply));
    };
    let uptime = spoken(Duration::from_millis(status.uptime_ms));
    Ok(context.ui.out(&format!(
        "The daemon is running as process {} for {uptime}; its API is at http://{}.",
        client.pid(),
        client.address()
    ))?)
}

fn not_running() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "no daemon is running for this home")
        .hint("\"potluck daemon start\" starts one")
}

async fn client(home: &Path) -> Result<Option<Client>, ApiError> {
    Ok(Client::from_home(home).await?)
}
