//! `potluck unshare ID`

use potluck_api::{Command, Reply};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::ui::shown;

/// What to type after `unshare`.
#[derive(Debug, clap::Args)]
pub(crate) struct UnshareArgs {
    /// The first characters of its id as "potluck ls" shows it, or its name
    id: String,
}

/// Stops sharing something.
pub(crate) async fn run(args: UnshareArgs, context: &Context) -> Result<(), CliError> {
    let (reply, _) = ask(context, Command::Unshare { id: args.id }).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Unshared(gone) = reply else {
        return Err(unexpected(&reply));
    };
    context.ui.note(&format!("{} ({}) is no longer shared", shown(&gone.name), gone.id.short()));
    Ok(())
}
