//! `potluck store FILE... [--copies N] [--network N]`

use std::path::PathBuf;

use potluck_api::{Command, ErrorKind, Reply, StoreCommand, StoredFile, StoredFiles};
use potluck_base::limits;

use super::Context;
use super::share::absolute;
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::show::stored;
use crate::ui::progress::Meter;

/// What to type after `store`.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many members are to have a copy of each, besides you
    #[arg(short, long, env = "POTLUCK_COPIES", value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::DEPOSIT_COPIES)))]
    copies: u8,
    /// The network, if you are in several
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// Puts files into a network, and waits until the copies are there.
pub(crate) async fn run(args: StoreArgs, context: &Context) -> Result<(), CliError> {
    let paths = args.files.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
    let StoreArgs { copies, network, .. } = args;
    let command = Command::Store(StoreCommand { paths, copies, network });
    let reply = work(command, context).await?;
    let is_json = context.ui.json_reply(&reply)?;
    let Reply::StoredFiles(StoredFiles { files, .. }) = &reply else {
        return Err(unexpected(&reply));
    };
    if !is_json {
        stored::put(files).print(&context.ui)?;
    }
    whole(files)
}

/// Runs a command that copies files, and shows how far it is.
pub(super) async fn work(command: Command, context: &Context) -> Result<Reply, CliError> {
    let mut door = Door::open(context, Purpose::Work).await?;
    let mut meter = Meter::new(&context.ui);
    let result = door.run(command, |event| meter.event(&event)).await;
    meter.status("finishing");
    door.close().await;
    meter.finish()?;
    Ok(result?)
}

/// Success only if no copy is missing; why one is has been told.
pub(super) fn whole(files: &[StoredFile]) -> Result<(), CliError> {
    match files.iter().all(|file| file.missing() == 0) {
        true => Ok(()),
        false => Err(CliError::Told(ErrorKind::Unreachable)),
    }
}
