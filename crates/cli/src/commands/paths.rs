//! `potluck paths`

use potluck_api::{Command, Reply};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::ui::shown_path;
use crate::ui::table::Table;

/// What to type after `paths`.
#[derive(Debug, clap::Args)]
pub(crate) struct PathsArgs {}

/// Prints where the node keeps its things.
pub(crate) async fn run(PathsArgs {}: PathsArgs, context: &Context) -> Result<(), CliError> {
    let (reply, _) = ask(context, Command::Paths).await?;
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Paths(paths) = &reply else {
        return Err(unexpected(&reply));
    };
    let mut table = Table::new(&[], &[]);
    for (name, path) in [
        ("home", &paths.home),
        ("key", &paths.key),
        ("config", &paths.config),
        ("database", &paths.database),
        ("api", &paths.api),
        ("log", &paths.log),
    ] {
        table.row(vec![name.to_owned(), shown_path(path)]);
    }
    for line in table.lines().iter().skip(1) {
        context.ui.out(line)?;
    }
    Ok(())
}
