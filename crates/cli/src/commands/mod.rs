//! The commands: each file has one verb's arguments, what it asks of the node, and how it shows the
//! answer.

pub(crate) mod browse;
mod choose;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod dht;
pub(crate) mod get;
pub(crate) mod id;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod ls;
pub(crate) mod network;
pub(crate) mod paths;
pub(crate) mod peers;
pub(crate) mod ping;
pub(crate) mod search;
pub(crate) mod send;
pub(crate) mod share;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod stored;
pub(crate) mod tracker;
pub(crate) mod unshare;

use std::io::Read;

use potluck_api::{ApiError, Command, Reply};

use crate::args::{Settings, Verb};
use crate::door::{Door, Purpose};
use crate::error::CliError;
use crate::signals::Interrupt;
use crate::ui::Ui;

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) settings: Settings,
    pub(crate) interrupt: Interrupt,
}

/// Runs a command.
pub(crate) async fn run(verb: Verb, context: &Context) -> Result<(), CliError> {
    match verb {
        Verb::Share(args) => share::run(args, context).await,
        Verb::Get(args) => get::run(args, context).await,
        Verb::Send(args) => send::run(args, context).await,
        Verb::Ls(args) => ls::run(args, context).await,
        Verb::Unshare(args) => unshare::run(args, context).await,
        Verb::Search(args) => search::run(args, context).await,
        Verb::Browse(args) => browse::run(args, context).await,
        Verb::Join(args) => join::run(args, context).await,
        Verb::Invite(args) => invite::run(args, context).await,
        Verb::Network(verb) => network::run(verb, context).await,
        Verb::Dht(verb) => dht::run(verb, context).await,
        Verb::Store(args) => store::run(args, context).await,
        Verb::Stored(verb) => stored::run(verb, context).await,
        Verb::Tracker(args) => tracker::run(args, context).await,
        Verb::Ping(args) => ping::run(args, context).await,
        Verb::Peers(args) => peers::run(args, context).await,
        Verb::Status(args) => status::run(args, context).await,
        Verb::Id(args) => id::run(args, context).await,
        Verb::Paths(args) => paths::run(args, context).await,
        Verb::Config(verb) => config::run(verb, context).await,
        Verb::Completions(args) => completions::run(&args),
        Verb::Daemon(verb) => daemon::run(verb, context).await,
        Verb::Demo(args) => demo::run(args, context).await,
    }
}

/// A secret from the command line, or from standard input if it is `-` there.
fn secret(given: Option<&str>, what: &str, chars_max: usize) -> Result<Option<String>, ApiError> {
    if given != Some("-") {
        return Ok(given.map(str::to_owned));
    }
    let mut text = String::new();
    // White space around it is allowed, so one that is too long must still look too long.
    let read = std::io::stdin().take(2 * chars_max as u64).read_to_string(&mut text);
    match read {
        Ok(_) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(ApiError::usage(format!("standard input holds no {what}"))),
        Err(error) => Err(ApiError::usage("standard input cannot be read").because(&error)),
    }
}

/// Asks a question and gives the answer, and whether a running node gave it.
async fn ask(context: &Context, command: Command) -> Result<(Reply, bool), ApiError> {
    let mut door = Door::open(context, Purpose::Ask).await?;
    let reply = door.run(command, |_| ()).await;
    let is_running = door.joined().is_some();
    door.close().await;
    Ok((reply?, is_running))
}
