//! `potluck tracker run`, and `potluck tracker COMMAND` against the one that runs.

mod ask;
mod serve;

use std::path::PathBuf;

use potluck_api::{ApiError, Command, ErrorKind};
use potluck_client::Client;

use super::{Context, daemon};
use crate::error::CliError;
use crate::ui::shown_path;
use ask::TrackerAsk;

/// Folder of a tracker in the home, if nobody says where.
const FOLDER: &str = "tracker";

/// What to type after `tracker`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrackerArgs {
    /// The folder of the tracker's key and index [default: "tracker" in the home]
    #[arg(long, global = true, env = "POTLUCK_TRACKER_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    verb: TrackerVerb,
}

#[derive(Debug, clap::Subcommand)]
enum TrackerVerb {
    /// Run a tracker until it is told to stop; on a terminal, with a prompt for these commands
    Run(serve::RunArgs),
    #[command(flatten)]
    Ask(TrackerAsk),
}

impl TrackerArgs {
    /// Whether this is the tracker itself.
    pub(crate) fn is_run(&self) -> bool {
        matches!(self.verb, TrackerVerb::Run(_))
    }
}

/// Runs a tracker, or asks the one that runs.
pub(crate) async fn run(args: TrackerArgs, context: &Context) -> Result<(), CliError> {
    let data = match args.data {
        Some(data) => std::path::absolute(&data).map_err(|error| {
            ApiError::usage(format!("{} is no path", shown_path(&data))).because(&error)
        })?,
        None => context.settings.load()?.home.join(FOLDER),
    };
    match args.verb {
        TrackerVerb::Run(args) => serve::run(args, data, context).await,
        TrackerVerb::Ask(question) => ask_running(question, data, context).await,
    }
}

async fn ask_running(
    question: TrackerAsk,
    data: PathBuf,
    context: &Context,
) -> Result<(), CliError> {
    let ui = &context.ui;
    let running = Client::from_home(&data).await.map_err(ApiError::from)?;
    let Some(client) = running else {
        let message = format!("no tracker is running in {}", shown_path(&data));
        return Err(ApiError::new(ErrorKind::NotFound, message)
            .hint("\"potluck tracker run\" starts one; --data names the folder of another")
            .into());
    };
    if matches!(question, TrackerAsk::Stop) {
        return daemon::stop_node(&client, &data, context).await;
    }
    let asking = question.ask(async |command: Command| client.run(command, |_| ()).await);
    let reply = tokio::select! {
        biased;
        () = context.interrupt.wait() => return Err(crate::signals::Interrupt::error().into()),
        reply = asking => reply?,
    };
    question.show(&reply, "potluck tracker search", ui)
}
