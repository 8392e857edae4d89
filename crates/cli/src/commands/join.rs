//! `potluck join INVITE [--nick NAME]`

use potluck_api::{ApiError, Command, Reply};
use potluck_base::limits;

use super::{Context, secret};
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::show::networks::welcome;
use crate::suggest::{looks_like_invite, looks_like_ticket};
use crate::ui::progress::Meter;

/// What to type after `join`.
#[derive(Debug, clap::Args)]
pub(crate) struct JoinArgs {
    /// The invite; "-" reads it from standard input
    #[arg(env = "POTLUCK_INVITE", hide_env_values = true, value_name = "INVITE")]
    invite: Option<String>,
    /// How you are called there; a name with a number if you do not say
    #[arg(long, env = "POTLUCK_NICK", value_name = "NAME")]
    nick: Option<String>,
}

/// Enters a network, or returns to it.
pub(crate) async fn run(args: JoinArgs, context: &Context) -> Result<(), CliError> {
    let invite = read(args.invite.as_deref())?;
    let mut door = Door::open(context, Purpose::Work).await?;
    let mut meter = Meter::new(&context.ui);
    meter.status("asking the network's directory");
    let command = Command::Join { invite, nick: args.nick };
    let result = door.run(command, |event| meter.event(&event)).await;
    let stays = door.joined().is_some_and(potluck_client::Client::is_daemon);
    door.close().await;
    meter.finish()?;
    let reply = result?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Joined(joined) = &reply else {
        return Err(unexpected(&reply));
    };
    let mut shown = welcome(joined);
    if !stays {
        shown.note("\"potluck daemon start\" keeps you in it.");
    }
    Ok(shown.print(&context.ui)?)
}

fn read(given: Option<&str>) -> Result<String, ApiError> {
    let Some(invite) = secret(given, "invite", limits::TICKET_CHARS)? else {
        return Err(ApiError::usage("no invite is given")
            .hint("\"potluck join INVITE\", \"potluck join -\", or POTLUCK_INVITE"));
    };
    if looks_like_invite(&invite) {
        return Ok(invite);
    }
    let error = ApiError::usage("this is not an invite; invites begin with \"potin1\"");
    Err(if looks_like_ticket(&invite) {
        error.hint("it is a ticket: \"potluck get TICKET\" fetches what it names")
    } else {
        error.hint("\"potluck invite\" prints one, on the device of an admin of the network")
    })
}
