//! `potluck completions SHELL`

use std::io::Write;

use clap_complete::Shell;

use crate::args;
use crate::error::CliError;

/// What to type after `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell; its own manual says where completions go
    shell: Shell,
}

/// Prints the completions.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "potluck", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
