//! `potluck browse PEER [SHARE]`

use potluck_api::{ApiError, BrowseCommand, Browsed, Command, Reply};

use super::Context;
use crate::door::{Door, Purpose};
use crate::error::CliError;
use crate::show::found;

/// Files that are listed at most: as many as the largest shares have.
const FILES_MAX: usize = 200_000;

/// What to type after `browse`.
#[derive(Debug, clap::Args)]
pub(crate) struct BrowseArgs {
    /// A member: its nickname, its id, or the first characters of its id
    #[arg(value_name = "PEER")]
    peer: String,
    /// One of its shares, to list the files in it
    #[arg(value_name = "SHARE")]
    share: Option<String>,
    /// Only in this network
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
}

/// Lists the shares of a member, or the files of one.
pub(crate) async fn run(args: BrowseArgs, context: &Context) -> Result<(), CliError> {
    let wants_files = args.share.is_some();
    let mut door = Door::open(context, Purpose::Ask).await?;
    let result = browse(&mut door, args).await;
    door.close().await;
    let reply = Reply::Browsed(result?);
    if context.ui.json_reply(&reply)? {
        return Ok(());
    }
    if let Reply::Browsed(browsed) = &reply {
        found::browsed(browsed, wants_files).print(&context.ui)?;
    }
    Ok(())
}

/// Asks page by page, and puts the pages together.
async fn browse(door: &mut Door<'_>, args: BrowseArgs) -> Result<Browsed, ApiError> {
    let BrowseArgs { peer, share, network } = args;
    let mut whole: Option<Browsed> = None;
    let mut after = None;
    loop {
        let question = BrowseCommand {
            peer: peer.clone(),
            network: network.clone(),
            share: share.clone(),
            after: after.clone(),
        };
        let page = match door.run(Command::Browse(question), |_| ()).await? {
            Reply::Browsed(page) => page,
            _ => return Err(ApiError::internal("the node answered with something else")),
        };
        // A directory that turns in circles must not keep us for ever.
        let goes_on = page.after > after && !page.entries.is_empty();
        after = page.after.clone();
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => {
                whole.entries.extend(page.entries);
                whole.after = page.after;
            }
        }
        if let Some(done) = whole.take_if(|w| !goes_on || w.entries.len() >= FILES_MAX) {
            return Ok(done);
        }
    }
}
