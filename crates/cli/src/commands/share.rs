//! `potluck share PATH...`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use potluck_api::{ApiError, Command, ErrorKind, Peers, Reply, ShareCommand, ShareInfo};
use potluck_base::{Bytes, Rate, escape};

use super::Context;
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::show::networks;
use crate::ui::progress::Meter;
use crate::ui::{NAME_CHARS, Ui, counted, qr, shown};

/// Pause between two looks at the peers, for the line that moves.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What to type after `share`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(super) what: What,
}

/// What to share, and how the ticket is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// Files and folders; several become one folder
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Its name for receivers
    #[arg(long = "as", env = "POTLUCK_AS", value_name = "NAME")]
    name: Option<String>,
    /// Publish it in this network; can be given more than once [default: the one you are in]
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK", value_delimiter = '\n')]
    network: Vec<String>,
    /// A word that searches find it by; can be given more than once
    #[arg(short, long, env = "POTLUCK_TAG", value_name = "WORD", value_delimiter = ',')]
    tag: Vec<String>,
    /// Only for this peer, by nickname or id; can be given more than once
    #[arg(long, env = "POTLUCK_TO", value_name = "PEER", value_delimiter = '\n')]
    to: Vec<String>,
    /// List it in no network: whoever has the ticket may have it
    #[arg(long, env = "POTLUCK_UNLISTED", value_parser = BoolishValueParser::new())]
    #[arg(conflicts_with = "network")]
    unlisted: bool,
    /// Draw no QR code
    #[arg(long, env = "POTLUCK_NO_QR", value_parser = BoolishValueParser::new())]
    no_qr: bool,
}

/// Shares, prints the ticket, and serves until Ctrl-C; a daemon serves by itself.
pub(crate) async fn run(args: ShareArgs, context: &Context) -> Result<(), CliError> {
    let command = Command::Share(args.what.to_command()?);
    let mut door = Door::open(context, Purpose::Work).await?;
    let result = match share(&mut door, command.clone(), context).await {
        Ok(info) => after_sharing(&mut door, &info, command, &args.what, context).await,
        Err(error) => Err(error),
    };
    door.close().await;
    result
}

async fn after_sharing(
    door: &mut Door<'_>,
    info: &ShareInfo,
    command: Command,
    what: &What,
    context: &Context,
) -> Result<(), CliError> {
    what.show_ticket(info, &context.ui)?;
    match door.joined() {
        Some(node) if node.is_daemon() => {
            context.ui.note("The daemon serves it; \"potluck unshare\" ends that.");
            Ok(())
        }
        _ => serve(door, info, command, context).await,
    }
}

impl What {
    /// The command, or why there is nothing to share.
    pub(super) fn to_command(&self) -> Result<ShareCommand, ApiError> {
        let paths = self.paths.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
        Ok(ShareCommand {
            paths,
            name: self.name.clone(),
            networks: self.network.clone(),
            to: self.to.clone(),
            tags: self.tag.clone(),
            unlisted: self.unlisted,
        })
    }

    /// Prints the ticket, and for a person how to use it.
    pub(super) fn show_ticket(&self, info: &ShareInfo, ui: &Ui) -> Result<(), CliError> {
        if ui.json_reply(&Reply::Shared(info.clone()))? {
            return Ok(());
        }
        let (files, bytes) = (counted(info.files, "file"), Bytes(info.bytes));
        ui.note(&format!("{}: {files}, {bytes}", ui.bold(&shown(&info.name))));
        if let Some(line) = whom(info) {
            ui.note(&line);
        }
        if ui.is_watched() {
            if !self.no_qr {
                qr::draw(&info.ticket, ui);
            }
            ui.note("On the other device, type:\n");
            // Both outputs are the same terminal: the line to copy is complete, and stdout has the
            // ticket only.
            ui.start_line("  potluck get ");
        }
        Ok(ui.out(&info.ticket)?)
    }
}

/// Where it is listed and who may have it, unless that is as everywhere.
fn whom(info: &ShareInfo) -> Option<String> {
    let (names, who) = (networks::names(&info.networks), networks::audience(&info.audience));
    let is_for_members = info.audience.peers.is_empty() && info.audience.networks == info.networks;
    match (info.networks.is_empty(), info.audience.anyone) {
        (true, true) => None,
        (true, false) => Some(format!("Only for {who}; listed nowhere.")),
        (false, true) => Some(format!("Listed in {names}.")),
        (false, false) if is_for_members => Some(format!("Listed in {names}, for its members.")),
        (false, false) => Some(format!("Listed in {names}, only for {who}.")),
    }
}

/// Shares, showing how the hashing goes.
pub(super) async fn share(
    door: &mut Door<'_>,
    command: Command,
    context: &Context,
) -> Result<ShareInfo, CliError> {
    let mut meter = Meter::new(&context.ui);
    let result = door.run(command, |event| meter.event(&event)).await;
    meter.finish()?;
    match result? {
        Reply::Shared(info) => Ok(info),
        reply => Err(unexpected(&reply)),
    }
}

/// Serves until Ctrl-C. Where the node is another command's, it is taken over when that command
/// ends.
async fn serve(
    door: &mut Door<'_>,
    info: &ShareInfo,
    command: Command,
    context: &Context,
) -> Result<(), CliError> {
    let mut meter = Meter::new(&context.ui);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut events = door.events();
    let result = loop {
        tokio::select! {
            biased;
            () = context.interrupt.wait() => break Ok(()),
            () = door.stopped() => {
                meter.line("Stopped by another command.", Ui::note);
                break Ok(());
            }
            event = events.recv() => match event {
                Some(event) => meter.event(&event),
                None => match take_over(door, command.clone()).await {
                    Ok(()) => events = door.events(),
                    Err(error) => break Err(error),
                },
            },
            _ = look.tick(), if context.ui.is_lively() => look_at_peers(door, info, &meter).await,
        }
    };
    let output = meter.finish();
    // What this command began to share ends with it; what was shared before goes on being shared.
    if !info.known_before {
        let _ = door.ask(Command::Unshare { id: info.id.to_string() }).await;
    }
    if result.is_ok() {
        let again = "Stopped serving; the same command serves it again, under the same ticket.";
        context.ui.note(again);
    }
    result?;
    Ok(output?)
}

/// Goes on after another command's node has ended. Hashes are known, so this takes no time.
async fn take_over(door: &mut Door<'_>, command: Command) -> Result<(), CliError> {
    door.reopen().await?;
    door.run(command, |_| ()).await?;
    Ok(())
}

async fn look_at_peers(door: &Door<'_>, info: &ShareInfo, meter: &Meter) {
    // The node may be ending; then the events say so.
    if let Ok(Reply::Peers(Peers { peers, .. })) = door.ask(Command::Peers).await {
        let rate = peers.iter().fold(0.0, |sum, peer| sum + peer.rate_up_bps);
        meter.status(&format!(
            "serving {}: {}, {}; Ctrl-C stops",
            escape(&info.name, 40),
            counted(peers.len() as u64, "peer"),
            Rate(rate),
        ));
    }
}

/// A path as the node can use it, wherever the node stands; it must exist.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, ApiError> {
    let shown = escape(&path.to_string_lossy(), NAME_CHARS);
    match path.symlink_metadata() {
        Ok(_) => std::path::absolute(path)
            .map_err(|error| ApiError::usage(format!("{shown} is no path")).because(&error)),
        Err(error) => {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                    ErrorKind::NotFound
                }
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Usage,
            };
            let message = match kind {
                ErrorKind::NotFound => format!("{shown} does not exist"),
                _ => format!("{shown} cannot be read"),
            };
            let error = ApiError::new(kind, message).because(&error);
            Err(if crate::suggest::looks_like_ticket(&shown) {
                error.hint(format!("to fetch a ticket: potluck get {shown}"))
            } else {
                error
            })
        }
    }
}
