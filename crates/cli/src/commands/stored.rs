//! `potluck stored ls|rm|repair`

use potluck_api::{Command, Reply, StoredCommand};

use super::{Context, ask, store};
use crate::error::{CliError, unexpected};
use crate::show::stored;

/// What to type after `stored`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoredVerb {
    /// List what you put into networks, and what you hold for others
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Take a file of yours out of a network; its holders drop their copies
    Rm(RmArgs),
    /// Look at every copy of your files now, and make those that are missing
    Repair(RepairArgs),
}

/// What to type after `stored ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    only: OneNetwork,
}

/// What to type after `stored rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    /// The file: its name, its content id, or the first characters of that
    #[arg(value_name = "WHAT")]
    what: String,
    #[command(flatten)]
    only: OneNetwork,
}

/// What to type after `stored repair`.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    /// Only this file: its name, its content id, or the first characters of that
    #[arg(value_name = "WHAT")]
    what: Option<String>,
    #[command(flatten)]
    only: OneNetwork,
}

/// A network.
#[derive(Debug, clap::Args)]
struct OneNetwork {
    /// Only in this network
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// Lists, removes or repairs what is stored in networks.
pub(crate) async fn run(verb: StoredVerb, context: &Context) -> Result<(), CliError> {
    let is_work = matches!(verb, StoredVerb::Repair(_));
    let command = verb.into_command();
    let reply = match is_work {
        true => store::work(command, context).await?,
        false => ask(context, command).await?.0,
    };
    let is_json = context.ui.json_reply(&reply)?;
    let shown = match &reply {
        Reply::Stored(all) => stored::list(all),
        Reply::StoredRemoved(removed) => stored::removed(removed),
        Reply::StoredFiles(repaired) => stored::repaired(repaired),
        _ => return Err(unexpected(&reply)),
    };
    if !is_json {
        shown.print(&context.ui)?;
    }
    match &reply {
        Reply::StoredFiles(repaired) => store::whole(&repaired.files),
        _ => Ok(()),
    }
}

impl StoredVerb {
    fn into_command(self) -> Command {
        let (only, what) = match self {
            StoredVerb::Ls(args) => (args.only, StoredCommand::Ls),
            StoredVerb::Rm(RmArgs { what, only }) => (only, StoredCommand::Rm { what }),
            StoredVerb::Repair(RepairArgs { what, only }) => (only, StoredCommand::Repair { what }),
        };
        Command::StoredDo { network: only.network, what }
    }
}
