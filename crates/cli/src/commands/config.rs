//! `potluck config show`

use potluck_api::{Command, ConfigShown, Reply};
use potluck_client::Client;

use super::Context;
use crate::error::{CliError, unexpected};
use crate::ui::shown;
use crate::ui::table::Table;

/// What to type after `config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print every setting, its value and where that comes from: default, file, environment, flag
    Show,
}

/// Prints the settings of the running node, or those that one would start with.
pub(crate) async fn run(verb: ConfigVerb, context: &Context) -> Result<(), CliError> {
    let ConfigVerb::Show = verb;
    let config = context.settings.load()?;
    let running = Client::from_home(&config.home).await.map_err(potluck_api::ApiError::from)?;
    let reply = match running {
        Some(client) => client.run(Command::ConfigShow, |_| ()).await?,
        None => Reply::Config(ConfigShown { entries: config.shown() }),
    };
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Config(ConfigShown { entries }) = &reply else {
        return Err(unexpected(&reply));
    };
    let mut table = Table::new(&["KEY", "FROM", "VALUE"], &[]);
    for entry in entries {
        table.row(vec![entry.key.clone(), entry.origin.to_string(), shown(&entry.value)]);
    }
    for line in table.lines() {
        context.ui.out(&line)?;
    }
    Ok(())
}
