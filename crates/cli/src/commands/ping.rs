//! `potluck ping PEER [--count N]`

use potluck_api::{Command, ErrorKind, Reply};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::networks::pinged;

/// What to type after `ping`.
#[derive(Debug, clap::Args)]
pub(crate) struct PingArgs {
    /// A peer: its nickname, its id, or the first characters of its id
    #[arg(value_name = "PEER")]
    peer: String,
    /// How many round trips to measure, one a second
    #[arg(short, long, env = "POTLUCK_PING_COUNT", value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Only in this network
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// Measures the round trip to a peer.
pub(crate) async fn run(args: PingArgs, context: &Context) -> Result<(), CliError> {
    let PingArgs { peer, count, network } = args;
    let (reply, _) = ask(context, Command::Ping { peer, network, count }).await?;
    let is_json = context.ui.json_reply(&reply)?;
    let Reply::Pinged(answer) = &reply else {
        return Err(unexpected(&reply));
    };
    if !is_json {
        context.ui.out(&pinged(answer))?;
    }
    if answer.times_ms.is_empty() {
        return Err(CliError::Told(ErrorKind::Unreachable));
    }
    Ok(())
}
