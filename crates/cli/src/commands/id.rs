//! `potluck id`

use potluck_api::{Command, Reply};

use super::{Context, ask};
use crate::error::{CliError, unexpected};

/// What to type after `id`.
#[derive(Debug, clap::Args)]
pub(crate) struct IdArgs {}

/// Prints the node's key.
pub(crate) async fn run(IdArgs {}: IdArgs, context: &Context) -> Result<(), CliError> {
    let (reply, _) = ask(context, Command::Id).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Id(identity) = reply else {
        return Err(unexpected(&reply));
    };
    Ok(context.ui.out(&identity.id.to_string())?)
}
