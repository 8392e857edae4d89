//! `potluck invite [--network N] [--role ROLE] [--expires 7d] [--uses 1]`

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use potluck_api::{Command, InviteCommand, Invited, Reply, Role};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::networks::invited;
use crate::ui::{Ui, qr};
use crate::units;

/// What to type after `invite`.
#[derive(Debug, clap::Args)]
pub(crate) struct InviteArgs {
    /// The network, if you are in several
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
    /// What the invited may do
    #[arg(short, long, env = "POTLUCK_ROLE", value_name = "ROLE", default_value = "member")]
    role: InviteRole,
    /// How long it admits, like 12h or 7d
    #[arg(short, long, env = "POTLUCK_EXPIRES", value_name = "TIME", default_value = "7d")]
    #[arg(value_parser = units::duration)]
    expires: Duration,
    /// How many it admits
    #[arg(short, long, env = "POTLUCK_USES", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// Draw no QR code
    #[arg(long, env = "POTLUCK_NO_QR", value_parser = BoolishValueParser::new())]
    no_qr: bool,
}

/// The roles that an invite can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InviteRole {
    /// Searches and fetches
    Guest,
    /// Publishes too
    Member,
    /// Invites and revokes too
    Admin,
}

/// Makes an invite and prints it.
pub(crate) async fn run(args: InviteArgs, context: &Context) -> Result<(), CliError> {
    let command = Command::Invite(InviteCommand {
        network: args.network,
        role: args.role.in_api(),
        expires_s: args.expires.as_secs(),
        uses: args.uses,
    });
    let (reply, _) = ask(context, command).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Invited(invite) = &reply else {
        return Err(unexpected(&reply));
    };
    show(invite, !args.no_qr, &context.ui)
}

fn show(invite: &Invited, with_qr: bool, ui: &Ui) -> Result<(), CliError> {
    ui.note(&invited(invite));
    if ui.is_watched() {
        if with_qr {
            qr::draw(&invite.invite, ui);
        }
        ui.note("It is a secret. On the other device, type:\n");
        // Both outputs are the same terminal: the line to copy is complete, and stdout has the
        // invite only.
        ui.start_line("  potluck join ");
    }
    Ok(ui.out(&invite.invite)?)
}

impl InviteRole {
    fn in_api(self) -> Role {
        match self {
            InviteRole::Guest => Role::Guest,
            InviteRole::Member => Role::Member,
            InviteRole::Admin => Role::Admin,
        }
    }
}
