//! `potluck network create|ls|leave|members|revoke`

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use potluck_api::{ApiError, Command, DirectoryKind, NetworkCreate, Reply};
use potluck_base::limits;

use super::{Context, ask, secret};
use crate::error::{CliError, unexpected};
use crate::show::{Shown, label, networks};
use crate::suggest::looks_like_tracker;

/// What to type after `network`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NetworkVerb {
    /// Make a network; you are its owner
    Create(CreateArgs),
    /// List the networks that you are in
    #[command(visible_alias = "list")]
    Ls,
    /// Leave a network: nothing of yours is listed there any more
    Leave(LeaveArgs),
    /// List who is in a network
    Members(MembersArgs),
    /// Take a member's rights away for good
    Revoke(RevokeArgs),
}

/// What to type after `network create`.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// How its members find each other's files
    #[arg(long, env = "POTLUCK_DIRECTORY", value_name = "KIND", default_value = "tracker")]
    directory: Directory,
    /// Without a tracker: how many members keep each entry of the index [default: 3]
    #[arg(long, env = "POTLUCK_REPLICAS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::REPLICAS_MAX)))]
    replicas: Option<u8>,
    /// The ticket that "potluck tracker run" printed; "-" reads it from standard input
    #[arg(long, env = "POTLUCK_TRACKER", value_name = "TICKET")]
    tracker: Option<String>,
    /// Let everyone in who knows it, not only those with an invite
    #[arg(long, env = "POTLUCK_OPEN", value_parser = BoolishValueParser::new())]
    open: bool,
    /// A relay for members that cannot be reached directly; can be given more than once
    #[arg(long, env = "POTLUCK_RELAY", value_name = "URL", value_delimiter = ',')]
    relay: Vec<String>,
    /// How you are called there; a name with a number if you do not say
    #[arg(long, env = "POTLUCK_NICK", value_name = "NAME")]
    nick: Option<String>,
}

/// The kinds of directory that a network can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Directory {
    /// They ask a tracker
    Tracker,
    /// They keep the index among themselves, and reach any part of it in a few steps
    Chord,
    /// The same, but each question is handed on from neighbour to neighbour
    Ring,
}

/// What to type after `network leave`.
#[derive(Debug, clap::Args)]
pub(crate) struct LeaveArgs {
    /// The network: its name, its id, or the first characters of its id
    #[arg(value_name = "NETWORK")]
    network: String,
}

/// What to type after `network members`.
#[derive(Debug, clap::Args)]
pub(crate) struct MembersArgs {
    /// The network; all of yours if you do not say
    #[arg(value_name = "NETWORK")]
    network: Option<String>,
}

/// What to type after `network revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// The member: its nickname, its id, or the first characters of its id
    #[arg(value_name = "PEER")]
    peer: String,
    /// The network, if you are in several
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// Makes, lists or leaves networks; lists or revokes members.
pub(crate) async fn run(verb: NetworkVerb, context: &Context) -> Result<(), CliError> {
    let (reply, _) = ask(context, verb.into_command()?).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    Ok(shown(&reply)?.print(&context.ui)?)
}

impl NetworkVerb {
    fn into_command(self) -> Result<Command, ApiError> {
        Ok(match self {
            NetworkVerb::Create(args) => Command::NetworkCreate(args.into_command()?),
            NetworkVerb::Ls => Command::NetworkLs,
            NetworkVerb::Leave(args) => Command::NetworkLeave { network: args.network },
            NetworkVerb::Members(args) => Command::NetworkMembers { network: args.network },
            NetworkVerb::Revoke(args) => {
                Command::NetworkRevoke { network: args.network, peer: args.peer }
            }
        })
    }
}

impl CreateArgs {
    fn into_command(self) -> Result<NetworkCreate, ApiError> {
        let tracker = match self.directory {
            Directory::Tracker => Some(self.tracker_ticket()?),
            Directory::Chord | Directory::Ring => self.no_tracker()?,
        };
        let directory = self.directory.in_api();
        let CreateArgs { name, replicas, open, relay: relays, nick, .. } = self;
        Ok(NetworkCreate { name, directory, tracker, replicas, open, relays, nick })
    }

    fn tracker_ticket(&self) -> Result<String, ApiError> {
        if self.replicas.is_some() {
            return Err(ApiError::usage("with a tracker there are no replicas to count")
                .hint("leave out --replicas, or choose --directory chord"));
        }
        let ticket = secret(self.tracker.as_deref(), "ticket", limits::TICKET_CHARS)?;
        let hint = "\"potluck tracker run\" starts a tracker and prints its ticket";
        let Some(tracker) = ticket else {
            return Err(ApiError::usage("the network needs a tracker: --tracker TICKET")
                .hint(format!("{hint}; with --directory chord it needs none")));
        };
        if !looks_like_tracker(&tracker) {
            let problem = "this is not the ticket of a tracker; those begin with \"pottr1\"";
            return Err(ApiError::usage(problem).hint(hint));
        }
        Ok(tracker)
    }

    fn no_tracker(&self) -> Result<Option<String>, ApiError> {
        match self.tracker {
            None => Ok(None),
            Some(_) => {
                let kind = self.directory.in_api().name();
                let problem = format!("a network with --directory {kind} has no tracker");
                let hint =
                    "leave out --tracker (and POTLUCK_TRACKER), or choose --directory tracker";
                Err(ApiError::usage(problem).hint(hint))
            }
        }
    }
}

impl Directory {
    fn in_api(self) -> DirectoryKind {
        match self {
            Directory::Tracker => DirectoryKind::Tracker,
            Directory::Chord => DirectoryKind::Chord,
            Directory::Ring => DirectoryKind::Ring,
        }
    }
}

fn shown(reply: &Reply) -> Result<Shown, CliError> {
    let mut out = Shown::default();
    match reply {
        Reply::NetworkCreated(info) => return Ok(networks::created(info)),
        Reply::Networks(known) if known.networks.is_empty() => {
            out.note("You are in no network; \"potluck join INVITE\" enters one.");
        }
        Reply::Networks(known) => return Ok(networks::networks(&known.networks)),
        Reply::NetworkLeft(network) => out.note(format!("You have left {}.", label(&network.name))),
        Reply::Members(members) => return Ok(networks::members(&members.networks)),
        Reply::Revoked(revoked) => out.note(networks::revoked(revoked)),
        _ => return Err(unexpected(reply)),
    }
    Ok(out)
}
