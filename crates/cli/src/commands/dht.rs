//! `potluck dht status|fingers|lookup|keys|leave|join`

use clap::builder::BoolishValueParser;
use potluck_api::{ApiError, Command, DhtCommand, ErrorKind, Reply};

use super::{Context, ask};
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::show::{Shown, dht, label};

/// What to type after `dht`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DhtVerb {
    /// Show where you stand on the circle, between whom, and how it is
    Status(OneNetwork),
    /// List your shortcuts across the circle
    Fingers(OneNetwork),
    /// Look who keeps what belongs to a word, a content, a peer or a place, and over whom
    Lookup(LookupArgs),
    /// List the records that you keep for the others
    Keys(KeysArgs),
    /// Hand your records over and step off the circle; you stay a member
    Leave(OneNetwork),
    /// Step onto the circle again
    Join(OneNetwork),
}

/// A network without a server.
#[derive(Debug, clap::Args)]
pub(crate) struct OneNetwork {
    /// The network, if you are in several without a server
    #[arg(value_name = "NETWORK")]
    network: Option<String>,
}

/// What to type after `dht lookup`.
#[derive(Debug, clap::Args)]
pub(crate) struct LookupArgs {
    /// A place (32 hexadecimal digits), a content id, a peer's id, a nickname, or a word
    #[arg(value_name = "WHAT")]
    what: String,
    /// Take it for a word, even if a peer is called like that
    #[arg(short, long, env = "POTLUCK_WORD", value_parser = BoolishValueParser::new())]
    word: bool,
    /// The network, if you are in several without a server
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// What to type after `dht keys`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    of: OneNetwork,
    /// How many places to list
    #[arg(short, long, env = "POTLUCK_LIMIT", value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The page, from 1
    #[arg(short, long, env = "POTLUCK_PAGE", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    page: u32,
}

/// Asks about a circle, leaves it or joins it again.
pub(crate) async fn run(verb: DhtVerb, context: &Context) -> Result<(), CliError> {
    let lasts = matches!(verb, DhtVerb::Leave(_) | DhtVerb::Join(_));
    let first = match &verb {
        DhtVerb::Keys(args) => args.offset(),
        _ => 0,
    };
    let command = verb.into_command();
    let reply =
        if lasts { ask_running(context, command).await? } else { ask(context, command).await?.0 };
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    if let (Reply::DhtStatus(status), true) = (&reply, context.ui.is_watched()) {
        context.ui.out_lines(&dht::circle(status))?;
    }
    Ok(shown(&reply, first)?.print(&context.ui)?)
}

/// Asks the running node: one that only lives for this command stands on the circle no longer than
/// that.
async fn ask_running(context: &Context, command: Command) -> Result<Reply, CliError> {
    let mut door = Door::open(context, Purpose::Ask).await?;
    let result = match door.joined() {
        Some(_) => door.run(command, |_| ()).await,
        None => Err(ApiError::new(
            ErrorKind::NotFound,
            "no node is running here, so it stands on no circle",
        )
        .hint("\"potluck daemon start\" starts one, and puts it there")),
    };
    door.close().await;
    Ok(result?)
}

impl DhtVerb {
    fn into_command(self) -> Command {
        let (network, what) = match self {
            DhtVerb::Status(of) => (of.network, DhtCommand::Status),
            DhtVerb::Fingers(of) => (of.network, DhtCommand::Fingers),
            DhtVerb::Lookup(LookupArgs { what, word, network }) => {
                (network, DhtCommand::Lookup { what, word })
            }
            DhtVerb::Keys(args) => {
                let (offset, limit) = (args.offset(), args.limit);
                (args.of.network, DhtCommand::Keys { offset, limit })
            }
            DhtVerb::Leave(of) => (of.network, DhtCommand::Leave),
            DhtVerb::Join(of) => (of.network, DhtCommand::Join),
        };
        Command::DhtDo { network, what }
    }
}

impl KeysArgs {
    fn offset(&self) -> u32 {
        (self.page - 1).saturating_mul(self.limit)
    }
}

fn shown(reply: &Reply, first: u32) -> Result<Shown, CliError> {
    Ok(match reply {
        Reply::DhtStatus(status) => dht::status(status),
        Reply::DhtFingers(fingers) => dht::fingers(fingers),
        Reply::DhtFound(found) => dht::found(found),
        Reply::DhtKeys(keys) => dht::keys(keys, first),
        Reply::DhtLeft(left) => {
            let mut out = Shown::default();
            out.note(dht::left(left));
            let network = crate::suggest::quoted(&label(&left.network.name));
            out.note(format!("\"potluck dht join {network}\" puts it back there."));
            out
        }
        _ => return Err(unexpected(reply)),
    })
}
